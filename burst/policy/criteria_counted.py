"""Criteria that somebody beside the sender must count for: without him they are never measured, and never hold."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from burst.policy.criteria import parse_criterion

COUNTED = ("lost", "duplicates")


def needs_counting(criteria: Iterable[str]) -> list[tuple[int, str]]:
    """Return (position, text) of the criteria on what only a second count can tell; what is no criterion is passed."""
    found = []
    for number, text in enumerate(criteria):
        try:
            criterion = parse_criterion(text)
        except ValueError:
            continue
        if criterion.subject in COUNTED:
            found.append((number, criterion.text))
    return found


def all_counted(judges: Collection[str]) -> bool:
    """Return whether one count covers everybody: ``judges`` are those of a run's sinks (``Sink.judge``)."""
    return set(judges) in ({"witness"}, {"provider"})
