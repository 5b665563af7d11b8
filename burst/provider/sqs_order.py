"""Which message is next: any, roughly the oldest, or the oldest of a group of which none is in flight."""

from __future__ import annotations

from array import array
from collections import deque
from heapq import heappop, heappush
from typing import Protocol

from burst.provider.sqs_shelf import SLOT_BITS, SLOT_MASK, Shelf

_COMPACT_FROM = 4096


class Order(Protocol):
    """The messages that are ready, in their order."""

    def push(self, slot: int) -> None:
        """Hear that a message is ready."""
        ...

    def pop(self) -> int | None:
        """Take the next one out; None where there is none."""
        ...

    def landed(self, slot: int) -> None:
        """Hear that what was taken out is in flight no more: deleted, moved, or about to be pushed."""
        ...

    def next_call(self) -> None:
        """Let what was taken out until now be in flight for whoever comes next."""
        ...


class Line:
    """First in, first out; the order of a standard queue promises nothing."""

    __slots__ = ("_first", "_slots")

    def __init__(self) -> None:
        self._slots = array("q")
        self._first = 0

    def push(self, slot: int) -> None:
        """Stand at the end."""
        self._slots.append(slot)

    def pop(self) -> int | None:
        """Take the first."""
        if self._first == len(self._slots):
            return None
        slot = self._slots[self._first]
        self._first += 1
        if self._first >= _COMPACT_FROM and 2 * self._first > len(self._slots):
            del self._slots[: self._first]
            self._first = 0
        return slot

    def landed(self, slot: int) -> None:
        """Nothing waits for it."""

    def next_call(self) -> None:
        """Nothing is barred."""


class _Group:
    """A message group: what waits, by its number, and how many are in flight."""

    __slots__ = ("flying", "listed", "waiting")

    def __init__(self) -> None:
        self.waiting: list[int] = []  # a heap of serial << SLOT_BITS | slot
        self.flying = 0
        self.listed = False  # whether it stands in line already


class Groups:
    """FIFO: in the order of sending within a group, and nothing of a group of which a message is in flight.

    One receive may take several messages of one group: they are barred to the next receive only.
    """

    __slots__ = ("_groups", "_line", "_shelf", "_taking")

    def __init__(self, shelf: Shelf) -> None:
        self._shelf = shelf
        self._groups: dict[str, _Group] = {}
        self._line: deque[str] = deque()  # groups that may have something to give
        self._taking: set[str] = set()  # groups that this receive took from

    def push(self, slot: int) -> None:
        """Wait in its group, before what was sent later."""
        name = self._shelf.more(slot).group
        group = self._groups.get(name)
        if group is None:
            group = self._groups[name] = _Group()
        heappush(group.waiting, self._shelf.serials[slot] << SLOT_BITS | slot)
        self._list(name, group)

    def _list(self, name: str, group: _Group) -> None:
        if group.waiting and not group.listed and (not group.flying or name in self._taking):
            group.listed = True
            self._line.append(name)

    def pop(self) -> int | None:
        """Take the next of the first group that is free."""
        while self._line:
            name = self._line[0]
            group = self._groups[name]
            if group.waiting and (not group.flying or name in self._taking):
                group.flying += 1
                self._taking.add(name)
                return heappop(group.waiting) & SLOT_MASK
            self._line.popleft()
            group.listed = False
            self._forget(name, group)
        return None

    def landed(self, slot: int) -> None:
        """Its group has one less in flight."""
        name = self._shelf.more(slot).group
        group = self._groups[name]
        group.flying -= 1
        self._list(name, group)
        self._forget(name, group)

    def next_call(self) -> None:
        """Bar the groups that were taken from."""
        self._taking.clear()

    def _forget(self, name: str, group: _Group) -> None:
        if not group.waiting and not group.flying and not group.listed:
            del self._groups[name]
