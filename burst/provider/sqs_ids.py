"""Ids of messages and of answers: random UUIDs, made a few thousand at a time."""

from __future__ import annotations

from binascii import hexlify

import numpy as np
import numpy.typing as npt

_AT_ONCE = 2048
_BYTES, _WIDTH = 16, 36
#: Where groups of digits stand in the text, and where they are taken from.
_GROUPS = ((0, 0, 8), (9, 8, 4), (14, 12, 4), (19, 16, 4), (24, 20, 12))


class Uuids:
    """UUIDs of version 4 (RFC 9562) as text: some 30 ns each, where ``uuid.uuid4`` takes 2 us.

    They come from a generator that the system's randomness has seeded: nobody has them twice, but they are no secret.
    """

    __slots__ = ("_block", "_next", "_random")

    def __init__(self) -> None:
        self._random = np.random.Generator(np.random.SFC64())
        self._block: npt.NDArray[np.void] = np.empty(0, dtype=f"V{_WIDTH}")
        self._next = 0

    def rows(self, count: int) -> npt.NDArray[np.void]:
        """Return ``count`` ids that were never returned before, as they stand in a message, one an element."""
        start = self._next
        if start + count > self._block.size:
            self._block, start = self._make(max(count, _AT_ONCE)), 0
        self._next = start + count
        return self._block[start : start + count]

    def take(self, count: int) -> list[str]:
        """Return ``count`` ids that were never returned before."""
        text = self.rows(count).tobytes().decode()
        return [text[at : at + _WIDTH] for at in range(0, len(text), _WIDTH)]

    def one(self) -> str:
        """Return one id."""
        return self.rows(1).tobytes().decode()

    def _make(self, count: int) -> npt.NDArray[np.void]:
        raw = np.frombuffer(bytearray(self._random.bytes(_BYTES * count)), dtype=np.uint8).reshape(count, _BYTES)
        raw[:, 6] = raw[:, 6] & 0x0F | 0x40
        raw[:, 8] = raw[:, 8] & 0x3F | 0x80
        digits = hexlify(raw.data)
        text = np.full((count, _WIDTH), ord("-"), dtype=np.uint8)
        for at, start, width in _GROUPS:  # as texts, not digits: each is moved as one
            texts: npt.NDArray[np.void] = np.ndarray(count, f"V{width}", digits, start, 2 * _BYTES)
            np.ndarray(count, f"V{width}", text, at, _WIDTH)[:] = texts
        return text.view(f"V{_WIDTH}").reshape(count)
