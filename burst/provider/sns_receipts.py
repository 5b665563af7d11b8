"""Answers that take a whole batch, written hundreds at a time: they differ in random ids alone."""

from __future__ import annotations

import os
from binascii import hexlify

import numpy as np
import numpy.typing as npt

from burst.provider.aws_query import Node, listed, result_xml

_AT_ONCE = 256
_WIDTH = 36
_PLACE = "~" * _WIDTH  # where a random id belongs: no XML of ours has such a text
_DIGITS = [at for at in range(_WIDTH) if at not in {8, 13, 18, 23}]


def random_ids(count: int) -> npt.NDArray[np.uint8]:
    """Return UUIDs of version 4 (RFC 9562) as text, shape (count, 36)."""
    raw = np.frombuffer(os.urandom(16 * count), dtype=np.uint8).reshape(count, 16).copy()
    raw[:, 6] = raw[:, 6] & 0x0F | 0x40
    raw[:, 8] = raw[:, 8] & 0x3F | 0x80
    text = np.full((count, _WIDTH), ord("-"), dtype=np.uint8)
    text[:, _DIGITS] = np.frombuffer(hexlify(raw.tobytes()), dtype=np.uint8).reshape(count, 32)
    return text


class Receipts:
    """Answers to PublishBatch calls with entries of the same ids."""

    def __init__(self, ids: list[str], namespace: str) -> None:
        """``ids`` are as they stand in XML."""
        members: list[Node] = [{"MessageId": _PLACE, "Id": ident} for ident in ids]
        body = result_xml("PublishBatch", {"Failed": {}, "Successful": listed(members)}, _PLACE, namespace)
        self._row = np.frombuffer(body, dtype=np.uint8)
        self._places: list[int] = []
        at = body.find(_PLACE.encode())
        while at >= 0:
            self._places.append(at)
            at = body.find(_PLACE.encode(), at + _WIDTH)
        self._left: list[tuple[bytes, bytes]] = []

    def take(self) -> tuple[bytes, bytes]:
        """Return an answer's body and the request's id in it; none comes twice."""
        if not self._left:
            self._left = self._write()
        return self._left.pop()

    def _write(self) -> list[tuple[bytes, bytes]]:
        size = self._row.size
        rows = np.empty((_AT_ONCE, size), dtype=np.uint8)
        rows[:] = self._row
        ids = random_ids(_AT_ONCE * len(self._places)).reshape(_AT_ONCE, len(self._places), _WIDTH)
        for number, place in enumerate(self._places):
            rows[:, place : place + _WIDTH] = ids[:, number]
        text, last = rows.tobytes(), self._places[-1]
        starts = range(0, len(text), size)
        return [(text[at : at + size], text[at + last : at + last + _WIDTH]) for at in starts]
