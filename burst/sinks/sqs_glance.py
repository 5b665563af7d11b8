"""What answers of SQS look like that say of all messages of a call that they were taken."""

from __future__ import annotations

import re
from binascii import hexlify
from collections.abc import Sequence

import numpy as np

from burst.sinks.aws_glance import UUID, Looks, Places, Spans, with_others
from burst.sinks.sqs_answers import said

_VALUES = re.compile(rb'"(Id|MessageId|MD5OfMessageBody)":"([0-9A-Za-z\-]{1,80})"')
_ID, _MESSAGE, _DIGEST = b"Id", b"MessageId", b"MD5OfMessageBody"
_NAMES = (_ID, _MESSAGE, _DIGEST)
_DIGEST_WIDTH = 32


class SqsLooks(Looks):
    """Answers of one length that name Ids and MD5s."""

    def __init__(self, sample: bytes, ahead: Spans, values: Sequence[re.Match[bytes]]) -> None:
        """``ahead`` are places in the head. Raises ValueError where the messages' parts are not alike."""
        spans = {name: [found.span(2) for found in values if found[1] == name] for name in _NAMES}
        self._ids, self._digests = Places(spans[_ID]), Places(spans[_DIGEST])
        if self._ids.width != 1 or self._digests.width != _DIGEST_WIDTH:
            raise ValueError("an Id has one digit, an MD5 has 32")
        free = [Places(spans[_MESSAGE]), *(Places([span]) for span in ahead)]
        super().__init__(sample, free, [*ahead, *(found.span(2) for found in values)], self._ids.count)

    def say(self, answers: bytes, ids: bytes, digests: bytes) -> list[bool]:
        """Return which answers look so and name the Ids, one digit each, and the MD5s that they should; all end to end.

        The MD5s are given as they are, and stand in hex in the answers.
        """
        rows = self.rows(answers)
        found_ids, found_digests, hexed = self._ids.of(rows), self._digests.of(rows), hexlify(digests)
        if found_digests.tobytes() == hexed and found_ids.tobytes() == ids and self.all_fit(rows):
            return [True] * len(rows)
        right = [found_ids == _like(ids, found_ids), found_digests == _like(hexed, found_digests)]
        return [fits and all(column[at].all() for column in right) for at, fits in enumerate(self.fits(rows))]


def _like(text: bytes, places: np.ndarray) -> np.ndarray:
    return np.frombuffer(text, dtype=np.uint8).reshape(places.shape)


def sqs_looks(answer: bytes, head: int, count: int) -> SqsLooks | None:
    """Return what answers look like that are like this one."""
    values = list(_VALUES.finditer(answer, head))
    names = [found[1] for found in values]
    if sorted(names[:3]) != sorted(_NAMES) or names != names[:3] * count:
        return None
    try:
        looks = SqsLooks(answer, [found.span() for found in UUID.finditer(answer, 0, head)], values)
    except ValueError:
        return None
    return looks if _proved(answer, head, values) else None


def _proved(answer: bytes, head: int, values: Sequence[re.Match[bytes]]) -> bool:
    """Say whether it is these values that are read: put others there, and read."""
    spans = [found.span(2) for found in values]
    other = with_others(answer, head, spans)
    expected: dict[bytes, list[str]] = {name: [] for name in _NAMES}
    for found, (start, stop) in zip(values, spans, strict=True):
        expected[found[1]].append(other[start - head : stop - head].decode())
    read = said(other)
    if read is None or read.Failed or read.Successful is None:
        return False
    return (
        [one.Id for one in read.Successful] == expected[_ID]
        and [one.MD5OfMessageBody for one in read.Successful] == expected[_DIGEST]
        and not any(one.MD5OfMessageAttributes for one in read.Successful)
    )
