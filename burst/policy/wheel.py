"""A timer wheel of columns: millions of waiting tickets, and not a timer or an object for any of them.

Tickets wait in fine buckets of 262 us. Those more than about 64 buckets away wait in coarse buckets of 17 ms until
these come near, so that pushing thousands touches tens of buckets whatever the delays are. A ticket is released
when its time has passed: never early, at most one fine bucket late.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

import numpy as np

from burst.model.batch import Int64Column
from burst.model.ports import NEVER_NS

_FINE_BITS = 18  # 2**18 ns = 262 us
_COARSE_BITS = 6  # 64 fine buckets = 17 ms
_NONE: Int64Column = np.empty(0, dtype=np.int64)


def _groups(keys: Int64Column, tickets: Int64Column) -> Iterator[tuple[int, Int64Column, Int64Column]]:
    """Split ``tickets`` by key: yield (key, the keys of the group, its tickets), keys ascending."""
    lowest, highest = int(keys.min()), int(keys.max())
    if lowest == highest:
        yield lowest, keys, tickets
        return
    narrow = keys - lowest
    # A stable sort of 16-bit integers is a radix sort: some 6 ns an element.
    order = np.argsort(narrow.astype(np.uint16) if highest - lowest < 65_536 else narrow, kind="stable")
    keys, tickets = keys[order], tickets[order]
    edges = np.flatnonzero(np.diff(keys)) + 1
    starts = [0, *edges.tolist()]
    for start, stop in zip(starts, [*starts[1:], keys.size], strict=True):
        yield int(keys[start]), keys[start:stop], tickets[start:stop]


class Wheel:
    """Tickets (int64) waiting for their times (nanoseconds, int64)."""

    __slots__ = ("_coarse", "_fine", "_limit", "_next", "waiting")

    def __init__(self) -> None:
        self._fine: defaultdict[int, list[Int64Column]] = defaultdict(list)
        self._coarse: defaultdict[int, list[tuple[Int64Column, Int64Column]]] = defaultdict(list)
        self._limit = 0  # fine buckets from here on are still to come out of a coarse one
        self._next = NEVER_NS >> _FINE_BITS  # the first bucket that holds anything
        self.waiting = 0

    def push(self, release_ns: Int64Column, tickets: Int64Column) -> None:
        """Let ``tickets[i]`` wait until ``release_ns[i]``."""
        if not tickets.size:
            return
        self.waiting += tickets.size
        buckets = -(-release_ns >> _FINE_BITS)
        self._next = min(self._next, int(buckets.min()))
        if int(buckets.max()) >= self._limit:
            far = buckets >= self._limit
            for bucket, _, held in _groups(buckets[far] >> _COARSE_BITS, np.flatnonzero(far)):
                self._coarse[bucket].append((buckets[held], tickets[held]))
            near = ~far
            buckets, tickets = buckets[near], tickets[near]
        self._place(buckets, tickets)

    def _place(self, buckets: Int64Column, tickets: Int64Column) -> None:
        if buckets.size:
            for bucket, _, held in _groups(buckets, tickets):
                self._fine[bucket].append(held)

    def pop(self, now_ns: int) -> Int64Column:
        """Release and return the tickets whose time has passed, bucket by bucket."""
        now = now_ns >> _FINE_BITS
        if now < self._next:
            return _NONE
        self._limit = ((now >> _COARSE_BITS) + 2) << _COARSE_BITS
        for coarse in [key for key in self._coarse if key << _COARSE_BITS < self._limit]:
            waiting = self._coarse.pop(coarse)
            self._place(np.concatenate([pair[0] for pair in waiting]), np.concatenate([pair[1] for pair in waiting]))
        due = sorted(key for key in self._fine if key <= now)
        released = [tickets for key in due for tickets in self._fine.pop(key)]
        coarse_next = min(self._coarse, default=NEVER_NS >> (_FINE_BITS + _COARSE_BITS)) << _COARSE_BITS
        self._next = min(min(self._fine, default=NEVER_NS >> _FINE_BITS), coarse_next)
        if not released:
            return _NONE
        column = released[0] if len(released) == 1 else np.concatenate(released)
        self.waiting -= column.size
        return column

    def next_ns(self) -> int:
        """Return a time not later than the next release, or NEVER_NS when nothing waits."""
        return self._next << _FINE_BITS if self.waiting else NEVER_NS
