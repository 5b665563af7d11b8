"""Ids of messages and of answers: random UUIDs, made a few thousand at a time."""

from __future__ import annotations

import os
from binascii import hexlify

import numpy as np

_AT_ONCE = 2048
_WIDTH = 36
_DASHES = (8, 13, 18, 23)


class Uuids:
    """Random UUIDs of version 4 (RFC 9562) as text: some 100 ns each, where ``uuid.uuid4`` takes 2 us."""

    __slots__ = ("_block", "_next")

    def __init__(self) -> None:
        self._block: list[bytes] = []
        self._next = 0

    def take(self, count: int) -> list[str]:
        """Return ``count`` ids that were never returned before."""
        return [ident.decode() for ident in self.take_ascii(count)]

    def take_ascii(self, count: int) -> list[bytes]:
        """Return ``count`` ids that were never returned before, as they stand in a message."""
        start = self._next
        if start + count > len(self._block):
            self._block, start = _make(max(count, _AT_ONCE)), 0
        self._next = start + count
        return self._block[start : start + count]

    def one(self) -> str:
        """Return one id."""
        return self.take(1)[0]


def _make(count: int) -> list[bytes]:
    raw = np.frombuffer(os.urandom(16 * count), dtype=np.uint8).reshape(count, 16).copy()
    raw[:, 6] = raw[:, 6] & 0x0F | 0x40
    raw[:, 8] = raw[:, 8] & 0x3F | 0x80
    digits = np.frombuffer(hexlify(raw.tobytes()), dtype=np.uint8).reshape(count, 32)
    text = np.full((count, _WIDTH), ord("-"), dtype=np.uint8)
    text[:, [at for at in range(_WIDTH) if at not in _DASHES]] = digits
    together = text.tobytes()
    return [together[at : at + _WIDTH] for at in range(0, len(together), _WIDTH)]
