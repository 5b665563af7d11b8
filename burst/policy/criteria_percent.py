"""Counts that were most likely meant as percent: ``accepted >= 99`` of ten thousand people holds with 1 % of them."""

from __future__ import annotations

import math
from collections.abc import Iterable

from burst.model.units import format_count
from burst.policy.criteria import Criterion, readable

LARGEST_PERCENT = 100
FEW_PEOPLE = 1_000
"""Among so many, a count of up to a hundred may be meant; among more it is at most a tenth of them (our own bound)."""
_MOST_DIGITS = 12


def bare_counts(criteria: Iterable[str]) -> list[tuple[int, Criterion]]:
    """Return (position, criterion) of those that ask for at least 1 to 100 accepted people, and say no %.

    Only where a number that is too small passes what should fail: ``== 99`` and ``lost <= 1`` are only stricter. What
    is no criterion is passed.
    """
    return [
        (number, criterion)
        for number, criterion in readable(criteria)
        if criterion.subject == "accepted"
        and criterion.kind == "count"
        and criterion.op in {">=", ">"}
        and 0 < criterion.limit <= LARGEST_PERCENT
    ]


def what_to_write(criterion: Criterion, people: int | None) -> str:
    """Return how a share is written, and how that count of ``people`` (None: unknown) where it is meant."""
    count = int(criterion.limit)
    share = f"write {count}% for a share"
    if people is None:
        return f"{share}; if so few are meant, write what share of all they are"
    at_least = count + (criterion.op == ">")
    return f"{share}; for {at_least} of {format_count(people)} people write `>= {_percent(at_least, people)}%`"


def _percent(count: int, people: int) -> str:
    """Return the shortest percentage that ``count`` of ``people`` reach and one fewer do not."""
    for digits in range(_MOST_DIGITS):
        scaled = math.floor(count * 100 * 10**digits / people)
        if scaled * people > (count - 1) * 100 * 10**digits:
            return f"{scaled / 10**digits:.{digits}f}"
    return f"{count * 100 / people:.{_MOST_DIGITS}f}"
