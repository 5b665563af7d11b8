"""Projections: what a run that is bound by a rate says of one that is so many times larger.

A token bucket of a hundredth of the size, under the same rate, is empty after a hundredth of the time: the whole run is
the small one, a hundred times slower. What does not grow with the audience (the latency of a single push) is stretched
with the rest, so a projection is late by at most ``scale`` times the service latency, and never early by it. Waits
between attempts do not grow either: where there were any, nothing is said of how late it is at most.
"""

from __future__ import annotations

from dataclasses import replace

from burst.model.scenario import Scenario
from burst.policy.criteria import Measured, deadlines_ns, parse_criterion

_STRETCHED = ("end_to_end", "queue_wait")


def deadlines_of(scenario: Scenario) -> dict[int, int]:
    """Return every deadline of a scenario (ns after GO), and where it lies in the run that is made, ascending."""
    criteria = [parse_criterion(text) for text in scenario.criteria]
    scale = 1 if scenario.projection is None else scenario.projection.scale
    return {deadline: max(1, deadline // scale) for deadline in sorted({*deadlines_ns(criteria), scenario.deadline_ns})}


def expire_after_ns(scenario: Scenario) -> int | None:
    """Return when a push is not worth sending any more in the run that is made (ns after GO): as deadlines lie."""
    if scenario.expire_after_ns is None or scenario.projection is None:
        return scenario.expire_after_ns
    return max(1, scenario.expire_after_ns // scenario.projection.scale)


def stretched(measured: Measured, scale: int, deadlines: dict[int, int]) -> Measured:
    """Return what a run so many times larger would have measured. ``deadlines`` are those of ``deadlines_of``."""
    return replace(
        measured,
        audience=measured.audience * scale,
        counts={name: count * scale for name, count in measured.counts.items()},
        within={deadline: measured.within.get(at, 0) * scale for deadline, at in deadlines.items()},
        completion_ns={name: _times(value, scale) for name, value in measured.completion_ns.items()},
        latency_ns={
            interval: {
                name: _times(value, scale) if interval in _STRETCHED else value for name, value in percentiles.items()
            }
            for interval, percentiles in measured.latency_ns.items()
        },
    )


def _times(value: int | None, scale: int) -> int | None:
    return None if value is None else value * scale
