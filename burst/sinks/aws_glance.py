"""Answers that say of all messages of a call that they were taken, known by their looks: read once, then compared.

All answers of one length that came in a turn of the loop are looked at together, by column.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from typing import Generic, TypeVar

import numpy as np

from burst.model.units import NS_PER_MS
from burst.wire.h1_link import H1Link
from burst.wire.layout import Rows

UUID = re.compile(rb"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
Spans = Sequence[tuple[int, int]]
"""Where something stands: first byte, and the one behind the last."""

_FREE = b"0123456789abcdef-"
_IS_FREE = np.isin(np.arange(256), np.frombuffer(_FREE, dtype=np.uint8))
_LEARN_EVERY_NS = 20 * NS_PER_MS  # it takes 0.2 ms: where no answer is like another, a hundredth of the time
_MOST = 64


class Places:
    """Places of one width that stand equally far apart: ``first`` is where the first begins."""

    def __init__(self, spans: Spans) -> None:
        """Check that they are alike. Raises ValueError for places that differ in width or distance."""
        starts = [start for start, _ in spans]
        gaps = {after - before for before, after in pairwise(starts)}
        widths = {stop - start for start, stop in spans}
        if len(gaps) > 1 or len(widths) != 1:
            raise ValueError("the places are not alike")
        self.first, self.count, self.width = starts[0], len(starts), widths.pop()
        self.gap = gaps.pop() if gaps else 0

    def of(self, rows: Rows) -> np.ndarray:
        """Return what stands there: uint8 of shape (rows, places, width)."""
        size = rows.shape[1]
        shape = (rows.shape[0], self.count, self.width)
        return np.ndarray(shape, np.uint8, rows.data, self.first, (size, self.gap, 1))


class Looks:
    """Answers of one length, to calls of ``count`` messages, that differ in the digits of ids alone."""

    def __init__(self, sample: bytes, free: Sequence[Places], varying: Spans, count: int) -> None:
        """``free`` are the places of ids, among what is ``varying``; whoever has more of that looks at it himself."""
        self.count = count
        self._free = free
        self._sample = np.frombuffer(sample, dtype=np.uint8)
        self._varies = np.zeros(len(sample), dtype=np.bool_)
        for start, stop in varying:
            self._varies[start:stop] = True

    def rows(self, answers: bytes) -> Rows:
        """Return answers that stand end to end, a row each."""
        return np.frombuffer(answers, dtype=np.uint8).reshape(-1, self._sample.size)

    def all_fit(self, rows: Rows) -> bool:
        """Say whether all answers look so. Nearly always they do; of texts it takes a third of the time of columns."""
        if any(places.of(rows).tobytes().translate(None, _FREE) for places in self._free):
            return False
        return bool(self._same(rows).all())

    def fits(self, rows: Rows) -> list[bool]:
        """Say of each answer whether it looks so."""
        same = self._same(rows)
        free = [_IS_FREE[places.of(rows)] for places in self._free]
        return [bool(same[at].all()) and all(one[at].all() for one in free) for at in range(len(rows))]

    def _same(self, rows: Rows) -> np.ndarray:
        same: np.ndarray = rows == self._sample
        same |= self._varies
        return same


L = TypeVar("L", bound=Looks)


class Glances(Generic[L]):
    """The looks that are known, by length. In a head ids of requests may differ; a date is learned once a second.

    ``look`` is given an answer that was found good in full, the size of its head, and its call's messages; it returns
    what answers like it look like, or None.
    """

    def __init__(self, look: Callable[[bytes, int, int], L | None], now_ns: Callable[[], int]) -> None:
        self._look = look
        self._now_ns = now_ns
        self._known: dict[int, L] = {}
        self._learn_ns = 0

    def of(self, size: int) -> L | None:
        """Return the looks of answers of a length, head and all, that call all messages taken; None: read them."""
        return self._known.get(size)

    def sorted_by_looks(self, links: Sequence[H1Link]) -> Iterator[tuple[L | None, list[H1Link]]]:
        """Give the connections whose answers may look alike, by length, with these looks; None: they must be read."""
        by_size: dict[int, list[H1Link]] = {}
        for link in links:
            alike = by_size.get(len(link.answer))
            if alike is None:
                by_size[len(link.answer)] = [link]
            else:
                alike.append(link)
        return ((self._known.get(size), alike) for size, alike in by_size.items())

    def learn(self, answer: bytes, body: bytes, count: int) -> None:
        """Learn the looks of an answer to a call of ``count`` messages, that was found good in full."""
        now_ns = self._now_ns()
        head = len(answer) - len(body)
        if now_ns < self._learn_ns or answer[head - 4 :] != b"\r\n\r\n" + body:
            return
        self._learn_ns = now_ns + _LEARN_EVERY_NS
        looks = self._look(answer, head, count)
        if looks is not None:
            if len(self._known) >= _MOST:
                self._known.clear()
            self._known[len(answer)] = looks


def evenly(spans: Spans) -> list[Places]:
    """Return the places that these are, as few as can be; spans of one width that ascend."""
    found: list[list[tuple[int, int]]] = []
    for span in spans:
        last = found[-1] if found else []
        if last and (len(last) == 1 or span[0] - last[-1][0] == last[1][0] - last[0][0]):
            last.append(span)
        else:
            found.append([span])
    return [Places(each) for each in found]


def with_others(answer: bytes, start: int, spans: Spans) -> bytes:
    """Return an answer from ``start`` on with other hex digits in these places: read, it must say the same."""
    other, at = bytearray(), start
    for number, (lo, hi) in enumerate(spans):
        other += answer[at:lo] + b"%0*x" % (hi - lo, number % 16)
        at = hi
    return bytes(other + answer[at:])
