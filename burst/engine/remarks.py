"""What a result remarks on beside its numbers: a stand-in near its limit, people whose attempts were used up."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from burst.model.scenario import RetrySettings
from burst.model.units import format_duration
from burst.policy.retry import Backoff
from burst.runs.result import NEAR_LIMIT

_REASONS = 3  # the commonest; result.json counts them all


def limit_note(busy_share: float) -> str:
    """Return what is to be said of a witness that was near its limit, else nothing."""
    if busy_share <= NEAR_LIMIT:
        return ""
    return (
        f"the witness was near its limit: a process of the stand-in was {busy_share:.0%} busy, "
        "so what is slow may be slow there"
    )


def used_up_note(people: int, reasons: Sequence[str], retry: RetrySettings) -> str:
    """Return what is to be said of ``people`` who failed when their attempts were used up, else nothing.

    ``reasons`` are the providers' last words to them, the commonest first. The reason alone would hide how little they
    waited: the waits of four attempts are over in 350 ms, and a provider's quota is not.
    """
    if not people:
        return ""
    more = f" and {len(reasons) - _REASONS} more" if len(reasons) > _REASONS else ""
    why = f": {', '.join(reasons[:_REASONS])}{more}" if reasons else ""
    if retry.attempts == 1:
        return (
            f"{people:,} failed at their only attempt (retry.attempts is 1){why}; more attempts, or a `rate` (of "
            "the sink or the scenario) at what the provider allows, would carry them"
        )
    made = np.arange(1, retry.attempts, dtype=np.uint8)
    backoff = Backoff(retry.attempts, retry.base_ns, retry.cap_ns)
    longest_ns = int(backoff.waits_ns(made, np.ones(made.size)).sum())
    return (
        f"{people:,} failed after their {retry.attempts} attempts (retry.attempts){why}; between these they waited "
        f"{format_duration(longest_ns)} at most, unless the provider asked for longer (retry.base): a `rate` (of "
        "the sink or the scenario) at what the provider allows, or more attempts, would carry them"
    )
