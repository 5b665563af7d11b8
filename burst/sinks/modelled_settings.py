"""Settings of the modelled provider: how fast it answers, and what it answers."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from burst.model.latency import LatencySettings
from burst.model.scenario import Count, DurationNs, RatePerS, Settings, Share


class QuotaSettings(Settings):
    """A token bucket over the whole fleet; what finds it empty is answered THROTTLED, not processed."""

    rate_per_s: RatePerS = Field(alias="rate", description="how much is granted, fleet-wide, such as 30000/s")
    burst: Count = Field(1000, ge=1, description="how many may come at once after a rest")
    retry_after_ns: DurationNs | None = Field(
        None, alias="retry_after", description="the wait that a refusal asks for; default: it does not say"
    )


class OutageSettings(Settings):
    """A time when the provider takes nothing."""

    at_ns: DurationNs = Field(alias="at", description="begins this long after GO")
    lasts_ns: DurationNs = Field(alias="lasts", description="and lasts this long")
    how: Literal["refuse", "hang"] = Field(
        "refuse", description="refuse: answered at once, not processed; hang: no answer, perhaps processed"
    )


class ModelledSettings(Settings):
    """A provider that exists on paper only: latency, quota and failures drawn from a seed."""

    latency: LatencySettings = Field(default_factory=LatencySettings, description="how long an answer takes")
    quota: QuotaSettings | None = Field(None, description="a rate the provider grants; default: no limit")
    rejected: Share = Field(0.0, description="share of the people whose token is dead, the same ones for a seed")
    transient: Share = Field(0.0, description="share of attempts refused for the moment, not processed")
    silent: Share = Field(0.0, description="share of attempts that are processed, but whose answer never comes")
    outage: OutageSettings | None = Field(None, description="a time when the provider takes nothing")
