"""From indexes back to tokens."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from burst.audience.synthetic import SyntheticPeople
from burst.model.batch import Batch
from burst.model.ports import Audience
from burst.model.scenario import Batching


def tokens_of(
    audience: Audience, batching: Batching, ranges: Sequence[tuple[int, int]]
) -> Iterator[tuple[int, str, str]]:
    """Yield (index, platform, token text) of everybody in the ranges (first, last; ascending, both included)."""
    if not ranges:
        return
    batches = (
        _wanted(audience, batching, ranges) if isinstance(audience, SyntheticPeople) else audience.batches(batching)
    )
    at = 0
    for batch in batches:
        while at < len(ranges) and ranges[at][0] < batch.end_index:
            first, last = ranges[at]
            for index in range(max(first, batch.first_index), min(last + 1, batch.end_index)):
                yield index, batch.platform.name.lower(), batch.token_text(index - batch.first_index)
            if last >= batch.end_index:
                break
            at += 1
        if at == len(ranges):
            return


def _wanted(people: SyntheticPeople, batching: Batching, ranges: Sequence[tuple[int, int]]) -> Iterator[Batch]:
    """Yield only those batches of synthetic people that hold anybody of the ranges."""
    done = -1
    for first, last in ranges:
        number = max(done + 1, people.number_of(batching, first))
        while number <= people.number_of(batching, last):
            yield people.batch(batching, number)
            done = number
            number += 1
