"""Answers that say of all messages of a call that they were taken, known by their looks: read once, then compared.

All answers of one length that came in a turn of the loop are looked at together, by column.
"""

from __future__ import annotations

import re
from binascii import hexlify
from collections.abc import Callable, Sequence
from itertools import pairwise

import numpy as np

from burst.model.units import NS_PER_MS
from burst.sinks.sqs_answers import said
from burst.wire.layout import Rows

_UUID = re.compile(rb"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_VALUES = re.compile(rb'"(Id|MessageId|MD5OfMessageBody)":"([0-9A-Za-z\-]{1,80})"')
_ID, _MESSAGE, _DIGEST = b"Id", b"MessageId", b"MD5OfMessageBody"
_NAMES = (_ID, _MESSAGE, _DIGEST)
_DIGEST_WIDTH = 32
_FREE = b"0123456789abcdef-"
_IS_FREE = np.isin(np.arange(256), np.frombuffer(_FREE, dtype=np.uint8))
_LEARN_EVERY_NS = 20 * NS_PER_MS  # it takes 0.2 ms: where no answer is like another, a hundredth of the time
_MOST = 64


class _Places:
    """Places of one width that stand equally far apart: ``first`` is where the first begins."""

    def __init__(self, spans: Sequence[tuple[int, int]]) -> None:
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
    """Answers of one length, to calls of ``count`` messages."""

    def __init__(self, sample: bytes, ahead: Sequence[tuple[int, int]], values: Sequence[re.Match[bytes]]) -> None:
        """``ahead`` are places in the head. Raises ValueError where the messages' parts are not alike."""
        spans = {name: [found.span(2) for found in values if found[1] == name] for name in _NAMES}
        self.count = len(spans[_ID])
        self._ids, self._digests = _Places(spans[_ID]), _Places(spans[_DIGEST])
        if self._ids.width != 1 or self._digests.width != _DIGEST_WIDTH:
            raise ValueError("an Id has one digit, an MD5 has 32")
        self._free = [_Places(spans[_MESSAGE]), *(_Places([span]) for span in ahead)]
        self._sample = np.frombuffer(sample, dtype=np.uint8)
        self._varies = np.zeros(len(sample), dtype=np.bool_)
        for start, stop in [*ahead, *(found.span(2) for found in values)]:
            self._varies[start:stop] = True

    def say(self, answers: bytes, ids: bytes, digests: bytes) -> list[bool]:
        """Return which answers look so and name the Ids, one digit each, and the MD5s that they should; all end to end.

        The MD5s are given as they are, and stand in hex in the answers.
        """
        rows = np.frombuffer(answers, dtype=np.uint8).reshape(-1, self._sample.size)
        same = rows == self._sample
        same |= self._varies
        found_ids, found_digests, hexed = self._ids.of(rows), self._digests.of(rows), hexlify(digests)
        free = [places.of(rows) for places in self._free]
        # Of texts, and in one piece, it takes a third of the time: nearly always all answers are good.
        if (
            found_digests.tobytes() == hexed
            and found_ids.tobytes() == ids
            and not any(one.tobytes().translate(None, _FREE) for one in free)
            and same.all()
        ):
            return [True] * len(rows)
        right = [
            same,
            found_ids == _like(ids, found_ids),
            found_digests == _like(hexed, found_digests),
            *(_IS_FREE[one] for one in free),
        ]
        return [all(column[at].all() for column in right) for at in range(len(rows))]


def _like(text: bytes, places: np.ndarray) -> np.ndarray:
    return np.frombuffer(text, dtype=np.uint8).reshape(places.shape)


class Glances:
    """The looks that are known, by length. In a head ids of requests may differ; a date is learned once a second."""

    def __init__(self, now_ns: Callable[[], int]) -> None:
        self._now_ns = now_ns
        self._known: dict[int, Looks] = {}
        self._learn_ns = 0

    def of(self, size: int) -> Looks | None:
        """Return the looks of answers of a length, head and all, that call all messages taken; None: read them."""
        return self._known.get(size)

    def learn(self, answer: bytes, body: bytes, count: int) -> None:
        """Learn the looks of an answer to a call of ``count`` messages, that was found good in full."""
        now_ns = self._now_ns()
        head = len(answer) - len(body)
        if now_ns < self._learn_ns or answer[head - 4 :] != b"\r\n\r\n" + body:
            return
        self._learn_ns = now_ns + _LEARN_EVERY_NS
        looks = _looks(answer, head, count)
        if looks is not None:
            if len(self._known) >= _MOST:
                self._known.clear()
            self._known[len(answer)] = looks


def _looks(answer: bytes, head: int, count: int) -> Looks | None:
    values = list(_VALUES.finditer(answer, head))
    names = [found[1] for found in values]
    if sorted(names[:3]) != sorted(_NAMES) or names != names[:3] * count:
        return None
    try:
        looks = Looks(answer, [found.span() for found in _UUID.finditer(answer, 0, head)], values)
    except ValueError:
        return None
    return looks if _proved(answer, head, values) else None


def _proved(answer: bytes, head: int, values: Sequence[re.Match[bytes]]) -> bool:
    """Say whether it is these values that are read: put others there, and read."""
    other, at = bytearray(), head
    expected: dict[bytes, list[str]] = {name: [] for name in _NAMES}
    for number, found in enumerate(values):
        text = b"%0*x" % (found.end(2) - found.start(2), number % 16)
        expected[found[1]].append(text.decode())
        other += answer[at : found.start(2)] + text
        at = found.end(2)
    read = said(bytes(other + answer[at:]))
    if read is None or read.Failed or read.Successful is None:
        return False
    return (
        [one.Id for one in read.Successful] == expected[_ID]
        and [one.MD5OfMessageBody for one in read.Successful] == expected[_DIGEST]
        and not any(one.MD5OfMessageAttributes for one in read.Successful)
    )
