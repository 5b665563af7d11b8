"""Which failed criteria a generator that was itself the limit may have failed, and which it cannot have.

A busy worker is late, and nothing else: it makes durations longer, rates lower and accepts later. It makes nobody
rejected, lost or doubled. So a failed criterion is excused when it would have held for the best that a generator
without fault could have shown, and a run with one that would not has its NO-GO.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

from burst.policy.criteria import Criterion, Judgement, Measured, parse_criterion, value_of

#: Outcomes that a clock decides: who is late enough expires, or is given up while the answer is on its way.
_OF_LATENESS = ("expired", "unknown", "late_answers")


def excusable(judgements: Iterable[Judgement], measured: Measured) -> frozenset[str]:
    """Return the names of the failed criteria that a generator which was the limit may have failed."""
    return frozenset(one.name for one in judgements if not one.ok and _excusable(parse_criterion(one.name), measured))


def _excusable(criterion: Criterion, measured: Measured) -> bool:
    best = _best(criterion, measured)
    if best is None:
        return False
    value = value_of(criterion, measured)
    if value is None or criterion.op != "==":
        return criterion.holds(best)
    return min(value, best) <= criterion.limit <= max(value, best)


def _best(criterion: Criterion, measured: Measured) -> float | None:
    """Return what a generator that is never late could have shown, in the unit of the limit; None: nothing better."""
    if measured.audience <= 0:
        return None
    if criterion.kind in {"count", "share"}:
        return _best_count(criterion, measured)
    reachable = _accepted_at_best(measured)
    if criterion.subject == "completion":
        share = 1.0 if criterion.detail == "all" else float(criterion.detail[1:]) / 100
        # Whom a provider refused no generator makes complete.
        return 0.0 if reachable >= math.ceil(round(share * measured.audience, 6)) else None
    if criterion.subject == "go_skew":
        return 0.0
    if not reachable:
        return None
    return math.inf if criterion.kind == "rate" else 0.0


def _best_count(criterion: Criterion, measured: Measured) -> float | None:
    value = value_of(criterion, measured)
    if value is None:  # nobody measured it
        return None
    if criterion.subject == "accepted":
        best = _accepted_at_best(measured)
    elif criterion.subject in _OF_LATENESS:
        best = 0
    else:
        return value
    return best if criterion.kind == "count" else best / measured.audience


def _accepted_at_best(measured: Measured) -> int:
    """Return how many would have been accepted in the end, had nobody come too late."""
    counts = measured.counts
    late = sum(counts.get(name, 0) for name in ("expired", "unknown", "unsent"))
    return min(counts.get("accepted", 0) + late, measured.audience)
