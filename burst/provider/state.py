"""What the processes of a stand-in say of themselves, added up."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

_ADDED = ("requests", "accepted", "refused", "hung", "opened", "connections", "streams", "cpu_s")


def summed(states: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """Add up the states of the processes that live.

    ``peak`` adds the processes' peaks, so it is an upper bound; ``busy_share`` is of the busiest process.
    """
    states = list(states)
    alive = [state for state in states if state["alive"]]
    sums: dict[str, Any] = {key: sum(state.get(key, 0) for state in alive) for key in _ADDED}
    sums["peak"] = sum(state.get("peak", 0) for state in alive)
    sums["busy_share"] = max((_busy_share(state) for state in alive), default=0.0)
    sums["alive"], sums["dead"] = len(alive), len(states) - len(alive)
    return sums


def _busy_share(state: Mapping[str, Any]) -> float:
    wall_ns = state.get("wall_ns", 0)
    return float(state["busy_ns"] / wall_ns) if wall_ns else 0.0
