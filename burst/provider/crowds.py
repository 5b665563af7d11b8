"""People of calls that are for several, where an index column has room for one number a call."""

from __future__ import annotations

import numpy as np

from burst.model.batch import Int64Column
from burst.model.identity import FOREIGN
from burst.provider.loose import TRACERS

_MOST_CROWDS = 65_536


class Crowds:
    """People of calls that are for several: each has a number below ``TRACERS`` until it is witnessed."""

    def __init__(self) -> None:
        self._people: dict[int, Int64Column] = {}
        self._next = TRACERS - 1

    def person_of(self, people: Int64Column) -> int:
        """Return what stands for these people in an index column: the one person himself where it is one."""
        if people.size == 1:
            return int(people[0])
        number, self._next = self._next, self._next - 1
        if len(self._people) >= _MOST_CROWDS:  # of calls that were cancelled before they were whole
            self._people.pop(next(iter(self._people)))
        self._people[number] = people
        return number

    def spread(self, index: Int64Column) -> Int64Column:
        """Return an index column with everybody in it."""
        if not (index < TRACERS).any():
            return index
        nobody = np.array([FOREIGN], dtype=np.int64)
        return np.concatenate(
            [
                self._people.pop(one, nobody) if one < TRACERS else np.array([one], dtype=np.int64)
                for one in index.tolist()
            ]
        )
