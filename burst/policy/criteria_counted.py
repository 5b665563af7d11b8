"""Criteria that somebody beside the sender must count for: without him they are never measured, and never hold."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from burst.policy.criteria import readable

COUNTED = ("lost", "duplicates")


def needs_counting(criteria: Iterable[str]) -> list[tuple[int, str]]:
    """Return (position, text) of the criteria on what only a second count can tell; what is no criterion is passed."""
    return [(number, criterion.text) for number, criterion in readable(criteria) if criterion.subject in COUNTED]


def all_counted(judges: Collection[str]) -> bool:
    """Return whether one count covers everybody: ``judges`` are those of a run's sinks (``Sink.judge``)."""
    return set(judges) in ({"witness"}, {"provider"})
