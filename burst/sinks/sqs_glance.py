"""Answers that say of all messages of a call that they were taken, known by their looks: read once, then compared."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from burst.model.units import NS_PER_MS
from burst.sinks.sqs_answers import said
from burst.wire.stencil import Stencil

_FREE = b"0123456789abcdef-"
_UUID = re.compile(rb"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_VALUES = re.compile(rb'"(Id|MessageId|MD5OfMessageBody)":"([0-9A-Za-z\-]{1,80})"')
_NAMES = (b"Id", b"MessageId", b"MD5OfMessageBody")
_LEARN_EVERY_NS = 20 * NS_PER_MS  # it takes 0.2 ms: where no answer is like another, a hundredth of the time
_MOST = 64


@dataclass(frozen=True, slots=True)
class _Looks:
    """Answers of one length: ``ahead`` places stand in the head, then three for each message, in this order."""

    stencil: Stencil
    ahead: int
    ident: int
    message: int
    digest: int

    def read(self, answer: bytes) -> tuple[bytes, bytes] | None:
        """Return all Ids and all MD5s, end to end; None for an answer of other looks."""
        found = self.stencil.read(answer)
        if found is None:
            return None
        ahead = self.ahead
        free = b"".join(found[:ahead] + found[ahead + self.message :: 3])
        if free.translate(None, _FREE):
            return None
        return b"".join(found[ahead + self.ident :: 3]), b"".join(found[ahead + self.digest :: 3])


class Glances:
    """The looks that are known, by length. In a head ids of requests may differ; a date is learned once a second."""

    def __init__(self, now_ns: Callable[[], int]) -> None:
        self._now_ns = now_ns
        self._known: dict[int, _Looks] = {}
        self._learn_ns = 0

    def read(self, answer: bytes) -> tuple[bytes, bytes] | None:
        """Return the Ids and MD5s of the messages that an answer, head and all, calls taken; None: read it in full."""
        looks = self._known.get(len(answer))
        return None if looks is None else looks.read(answer)

    def learn(self, answer: bytes, body: bytes, numbers: Sequence[str]) -> None:
        """Learn the looks of an answer that was found good in full: these Ids, in this order."""
        now_ns = self._now_ns()
        head = len(answer) - len(body)
        if now_ns < self._learn_ns or answer[head - 4 :] != b"\r\n\r\n" + body:
            return
        self._learn_ns = now_ns + _LEARN_EVERY_NS
        looks = _looks(answer, head, len(numbers))
        if looks is not None:
            if len(self._known) >= _MOST:
                self._known.clear()
            self._known[len(answer)] = looks


def _looks(answer: bytes, head: int, count: int) -> _Looks | None:
    ahead = [found.span() for found in _UUID.finditer(answer, 0, head)]
    values = list(_VALUES.finditer(answer, head))
    names = [found[1] for found in values]
    if sorted(names[:3]) != sorted(_NAMES) or names != names[:3] * count:
        return None
    looks = _Looks(
        Stencil(answer, ahead + [found.span(2) for found in values]),
        len(ahead),
        *(names.index(name) for name in _NAMES),
    )
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
        [one.Id for one in read.Successful] == expected[b"Id"]
        and [one.MD5OfMessageBody for one in read.Successful] == expected[b"MD5OfMessageBody"]
        and not any(one.MD5OfMessageAttributes for one in read.Successful)
    )
