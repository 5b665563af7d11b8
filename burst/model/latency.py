"""How long an answer takes, as a file says it: shared by every provider that burst pretends to be."""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, WithJsonSchema, model_validator

from burst.model.scenario import DurationNs, Settings
from burst.model.units import NS_PER_S, parse_count, parse_duration_ns


def _read_percentiles(value: object) -> object:
    """Read ``{50: 1ms, 99.9: 20ms}`` into ((0.5, ns), ...), ascending in both."""
    if isinstance(value, tuple):
        return value
    if not isinstance(value, dict) or len(value) < 2:
        raise ValueError("give two or more percentiles, such as {50: 1ms, 99: 5ms, 99.9: 20ms}")
    points: list[tuple[float, int]] = []
    for key, duration in value.items():
        try:
            percentile = Fraction(str(key).removeprefix("p"))
        except (ValueError, ZeroDivisionError):
            raise ValueError(f"{key!r} is not a percentile; write it like 50 or 99.9") from None
        if not 0 <= percentile <= 100:
            raise ValueError(f"percentile {key} is not between 0 and 100")
        points.append((float(percentile / 100), _duration(duration)))
    points.sort()
    shares, durations = zip(*points, strict=True)
    if len(set(shares)) < len(shares):
        raise ValueError("a percentile is given twice")
    if any(later < sooner for sooner, later in pairwise(durations)):
        raise ValueError("a higher percentile cannot be shorter than a lower one")
    return tuple(points)


def _read_empirical(value: object) -> object:
    """Read ``[[1ms, 500], [2ms, 300]]`` into ((upper_ns, count), ...), ascending."""
    if isinstance(value, tuple):
        return value
    if not isinstance(value, list) or not value:
        raise ValueError("give a list of [upper bound, count], such as [[1ms, 500], [2ms, 300]]")
    bins: list[tuple[int, int]] = []
    for row in value:
        if not isinstance(row, list) or len(row) != 2:
            raise ValueError(f"{row!r} is not [upper bound, count], such as [1ms, 500]")
        bins.append((_duration(row[0]), parse_count(row[1])))
    if any(later[0] <= sooner[0] for sooner, later in pairwise(bins)):
        raise ValueError("upper bounds must rise from row to row")
    if not sum(count for _, count in bins):
        raise ValueError("every count is zero: there is nothing to draw from")
    return tuple(bins)


def _duration(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, (str, int, float)):
        raise ValueError(f"{value!r} is not a duration; write it like 5ms")  # noqa: TRY004 (pydantic turns ValueError into a mistake)
    nanoseconds = parse_duration_ns(value)
    if nanoseconds <= 0:
        raise ValueError("a latency is longer than zero")
    return nanoseconds


_DURATION_SCHEMA: dict[str, Any] = {"type": ["string", "number"]}
Percentiles = Annotated[
    tuple[tuple[float, int], ...],
    BeforeValidator(_read_percentiles),
    WithJsonSchema({"type": "object", "additionalProperties": _DURATION_SCHEMA, "minProperties": 2}),
]
Empirical = Annotated[
    tuple[tuple[int, int], ...],
    BeforeValidator(_read_empirical),
    WithJsonSchema(
        {
            "type": "array",
            "minItems": 1,
            "items": {"type": "array", "minItems": 2, "maxItems": 2, "items": _DURATION_SCHEMA},
        }
    ),
]


class LatencySettings(Settings):
    """How long an answer takes. One of three: lognormal through p50 and p99, percentiles, or a histogram.

    Percentiles are joined by straight lines in log(duration); outside them the curve is flat.
    """

    p50_ns: DurationNs | None = Field(None, alias="p50", description="median of a lognormal; default 1ms")
    p99_ns: DurationNs | None = Field(None, alias="p99", description="99th percentile; default: thrice the median")
    percentiles: Percentiles | None = Field(None, description="a curve, such as {50: 1ms, 99: 5ms, 99.9: 20ms}")
    empirical: Empirical | None = Field(None, description="a histogram: rows of [upper bound, count]")

    @model_validator(mode="before")
    @classmethod
    def _fill(cls, value: object) -> object:
        """Fill in what a lognormal was not given."""
        if not isinstance(value, dict) or not set(value) <= {"p50", "p99"}:
            return value
        p50, p99 = value.get("p50"), value.get("p99")
        try:
            if p50 is None:
                p50 = "1ms" if p99 is None else _duration(p99) / 3 / NS_PER_S
            if p99 is None:
                p99 = _duration(p50) * 3 / NS_PER_S
        except ValueError:
            return value  # the field's own check will say so
        return {"p50": p50, "p99": p99}

    @model_validator(mode="after")
    def _one_form(self) -> LatencySettings:
        lognormal = self.p50_ns is not None or self.p99_ns is not None
        if sum((lognormal, self.percentiles is not None, self.empirical is not None)) != 1:
            raise ValueError("give one of: p50 with p99, percentiles, empirical")
        if lognormal and not 0 < (self.p50_ns or 0) <= (self.p99_ns or 0):
            raise ValueError("p50 must be above zero and no longer than p99")
        return self
