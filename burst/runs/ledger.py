"""The ledger: a state byte and an attempts byte for each person, in a memory-mapped file.

``ledger.bin`` is N state bytes followed by N attempts bytes (attempts stop at 255). It survives ``kill -9``
of every writer, is the checkpoint inside a batch, and is what outcomes are counted from.
"""

from __future__ import annotations

import contextlib
import mmap
from pathlib import Path

import numpy as np

from burst.model.batch import UInt8Column
from burst.model.errors import BurstError
from burst.model.outcome import OUTCOMES, State

_SENT = int(State.SENT)  # numpy takes 0.5 us to read an enum's value, each time


class MappedBytes:
    """A file of bytes, mapped for reading and writing, as a numpy column."""

    def __init__(self, path: Path, size: int, *, create: bool) -> None:
        flags = "x+b" if create else "r+b"
        try:
            with path.open(flags) as file:
                if create:
                    file.truncate(max(size, 1))
                elif path.stat().st_size < size:
                    raise BurstError(f"{path} holds {path.stat().st_size:,} bytes where {size:,} are expected")
                self._map = mmap.mmap(file.fileno(), max(size, 1))
        except OSError as error:
            raise BurstError(
                f"{path}: {error.strerror}", hint="is there room, and may this user write there?"
            ) from error
        self.column: UInt8Column = np.frombuffer(self._map, dtype=np.uint8, count=size)

    def close(self) -> None:
        """Let go of the mapping; columns that others still hold keep it alive."""
        self.column = np.empty(0, dtype=np.uint8)
        with contextlib.suppress(BufferError):  # a column made from it is still held, and keeps it
            self._map.close()


class Ledger:
    """States and attempts of people 0..size-1. Every process of a machine that opens the file shares it."""

    def __init__(self, path: Path, size: int, *, create: bool = False) -> None:
        self.path = path
        self.size = size
        self._bytes = MappedBytes(path, 2 * size, create=create)
        self.states: UInt8Column = self._bytes.column[:size]
        self.attempts: UInt8Column = self._bytes.column[size:]

    @classmethod
    def open(cls, path: Path) -> Ledger:
        """Open a ledger whose size is told by its file."""
        return cls(path, path.stat().st_size // 2)

    def mark_sent(self, lo: int, hi: int) -> None:
        """Mark people lo..hi-1 as sent once more; call it *before* the write."""
        self.states[lo:hi] = _SENT
        attempts = self.attempts[lo:hi]
        np.add(attempts, 1, out=attempts, where=attempts < 255)

    def counts(self) -> dict[str, int]:
        """Count every outcome; of what is on the way, sent counts as unknown, refused as failed."""
        by_state = np.bincount(self.states, minlength=len(State)) if self.size else np.zeros(len(State), int)
        counts = {name: int(by_state[state]) for name, state in OUTCOMES}
        counts["unknown"] += int(by_state[State.SENT])
        counts["failed"] += int(by_state[State.REFUSED])
        return counts

    def finish(self) -> None:
        """Give everything that is still on the way its outcome: nobody will answer any more."""
        self.states[self.states == State.SENT] = State.UNKNOWN
        self.states[self.states == State.REFUSED] = State.FAILED

    def retries(self) -> int:
        """Count the sends beyond each person's first."""
        total = int(self.attempts.sum(dtype=np.int64))
        return total - int(np.count_nonzero(self.attempts))

    def close(self) -> None:
        """Let go of the file."""
        empty = np.empty(0, dtype=np.uint8)
        self.states = self.attempts = empty
        self._bytes.close()
