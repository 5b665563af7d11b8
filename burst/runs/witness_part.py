"""A part of the witness: what one serving process saw of every person, kept where ``kill -9`` does not reach it.

Each process writes a part of its own, so that no two ever write one byte; ``witness.reconcile`` adds them up. A part
is a header of 4,096 bytes, then one int64 a person (when first seen, CLOCK_MONOTONIC nanoseconds, 0 = never), then one
byte a person: accepted attempts in the low four bits, refused ones in the high four, each stopping at 15. What stops
there goes on in the header's counters.
"""

from __future__ import annotations

import os
import struct
from enum import IntEnum
from pathlib import Path

import numpy as np

from burst.model.batch import Int64Column, UInt8Column
from burst.model.errors import BurstError
from burst.runs.ledger import MappedBytes

_HEADER = struct.Struct("<8sIIq128s")  # magic, version, size of the header, audience, run
_MAGIC = b"BURSTWIT"
_VERSION = 1
_HEADER_BYTES = 4096
_COUNTERS_AT = 512
_COUNTERS = 64
#: Where a count of the columns stops.
NIBBLE = 15


class Counter(IntEnum):
    """What the header of a part counts, exactly, where the columns saturate. Times are nanoseconds."""

    ATTEMPTS = 0  # requests for somebody of the audience: accepted, refused, or left hanging
    ACCEPTED = 1
    REFUSED = 2
    FOREIGN = 3  # requests that carry no id of this run
    STRANGE = 4  # an id of this run, but nobody of the audience
    TRACERS = 5
    REQUESTS = 6  # all of them, whatever they carry
    CONNECTIONS = 7  # open now
    PEAK_CONNECTIONS = 8
    OPENED = 9  # connections ever
    BUSY_NS = 10
    WALL_NS = 11
    STARTED_NS = 12


class WitnessPart:
    """What one serving process saw of people 0..audience-1. One process writes it; any may read.

    Attributes
    ----------
    run : the run whose people these are
    counters : int64, indexed by ``Counter``
    first_seen_ns : int64 of shape (audience,), 0 = never
    counts : uint8 of shape (audience,), accepted in the low nibble, refused in the high one
    """

    def __init__(self, path: Path, mapped: MappedBytes, run: str, audience: int) -> None:
        self.path = path
        self.run = run
        self.audience = audience
        self._mapped = mapped
        column = mapped.column
        self.counters: Int64Column = column[_COUNTERS_AT : _COUNTERS_AT + 8 * _COUNTERS].view(np.int64)
        self.first_seen_ns: Int64Column = column[_HEADER_BYTES : _HEADER_BYTES + 8 * audience].view(np.int64)
        self.counts: UInt8Column = column[_HEADER_BYTES + 8 * audience : _HEADER_BYTES + 9 * audience]

    @classmethod
    def create(cls, path: Path, run: str, audience: int) -> WitnessPart:
        """Begin a part of a run; its pages are touched now, so that none is met for the first time in the burst.

        Raises
        ------
        BurstError
            the file exists, there is no room for it, or the name of the run has more than 128 bytes
        """
        name = run.encode()
        if len(name) > 128:
            raise BurstError(f"run {run!r} has a name of {len(name)} bytes", hint="128 are the most")
        size = _HEADER_BYTES + 9 * audience
        try:
            with path.open("xb") as file:
                os.posix_fallocate(file.fileno(), 0, size)  # a full disk says so here, not by SIGBUS in the burst
        except OSError as error:
            raise BurstError(
                f"{path}: {error.strerror}", hint="is there room, and may this user write there?"
            ) from error
        mapped = MappedBytes(path, size, create=False)
        mapped.column.fill(0)
        header = _HEADER.pack(_MAGIC, _VERSION, _HEADER_BYTES, audience, name)
        mapped.column[: len(header)] = np.frombuffer(header, dtype=np.uint8)
        return cls(path, mapped, run, audience)

    @classmethod
    def open(cls, path: Path) -> WitnessPart:
        """Open a part for reading, whether or not its writer lives.

        Raises
        ------
        BurstError
            the file cannot be read, is no part of a witness, or is shorter than its header says
        """
        try:
            with path.open("rb") as file:
                head = file.read(_HEADER.size)
        except OSError as error:
            raise BurstError(f"{path}: {error.strerror}", hint="the witness's part is in the run folder") from error
        if len(head) < _HEADER.size or head[:8] != _MAGIC:
            raise BurstError(f"{path} is no part of a witness", hint="its writer ended before it had begun")
        _, version, header_bytes, audience, name = _HEADER.unpack(head)
        if (version, header_bytes) != (_VERSION, _HEADER_BYTES) or audience < 0:
            raise BurstError(f"{path} is a witness's part of version {version}", hint=f"this burst reads {_VERSION}")
        mapped = MappedBytes(path, _HEADER_BYTES + 9 * audience, create=False)
        mapped.column.flags.writeable = False
        return cls(path, mapped, name.rstrip(b"\0").decode(), audience)

    def accept_span(self, lo: int, hi: int, now_ns: int) -> None:
        """Count people lo..hi-1 as accepted, each once. Shape and order of the calls do not matter; slices only."""
        lo, hi = self._inside(lo, hi)
        counts = self.counts[lo:hi]
        if counts.any() or self.first_seen_ns[lo:hi].any():
            self._see(slice(lo, hi), now_ns)
            np.add(counts, 1, out=counts, where=(counts & NIBBLE) < NIBBLE)
        else:
            self.first_seen_ns[lo:hi] = now_ns
            counts[:] = 1
        self.counters[Counter.ACCEPTED] += hi - lo
        self.counters[Counter.ATTEMPTS] += hi - lo

    def accept(self, indexes: Int64Column, now_ns: int) -> None:
        """Count an accepted attempt for each index, in any order, repeats and all."""
        people, times, attempts = self._people(indexes)
        self._see(people, now_ns)
        held = self.counts[people]
        self.counts[people] = np.minimum((held & NIBBLE) + times, NIBBLE).astype(np.uint8) | (held & 0xF0)
        self.counters[Counter.ACCEPTED] += attempts
        self.counters[Counter.ATTEMPTS] += attempts

    def refuse(self, indexes: Int64Column, now_ns: int) -> None:
        """Count a refused attempt for each index, in any order, repeats and all."""
        people, times, attempts = self._people(indexes)
        self._see(people, now_ns)
        held = self.counts[people]
        self.counts[people] = (np.minimum((held >> 4) + times, NIBBLE).astype(np.uint8) << 4) | (held & NIBBLE)
        self.counters[Counter.REFUSED] += attempts
        self.counters[Counter.ATTEMPTS] += attempts

    def leave_hanging(self, indexes: Int64Column, now_ns: int) -> None:
        """Note that these came and were neither processed nor refused."""
        people, _, attempts = self._people(indexes)
        self._see(people, now_ns)
        self.counters[Counter.ATTEMPTS] += attempts

    def connect(self) -> None:
        """Count a connection as open."""
        self.counters[Counter.OPENED] += 1
        now = int(self.counters[Counter.CONNECTIONS]) + 1
        self.counters[Counter.CONNECTIONS] = now
        if now > self.counters[Counter.PEAK_CONNECTIONS]:
            self.counters[Counter.PEAK_CONNECTIONS] = now

    def disconnect(self) -> None:
        """Count a connection as gone."""
        self.counters[Counter.CONNECTIONS] -= 1

    def counter(self, which: Counter) -> int:
        """Return a counter as a plain number."""
        return int(self.counters[which])

    def close(self) -> None:
        """Let go of the file."""
        self.counters = self.first_seen_ns = np.empty(0, dtype=np.int64)
        self.counts = np.empty(0, dtype=np.uint8)
        self._mapped.close()

    def _inside(self, lo: int, hi: int) -> tuple[int, int]:
        """Cut a span to the audience; what was cut is counted as strange."""
        start = min(max(lo, 0), self.audience)
        stop = max(min(hi, self.audience), start)
        if stop - start < hi - lo:
            self.counters[Counter.STRANGE] += hi - lo - (stop - start)
        return start, stop

    def _people(self, indexes: Int64Column) -> tuple[Int64Column, Int64Column | int, int]:
        """Return those of the audience, ascending, each once; how often each came; and how many came in all."""
        people = np.sort(indexes)
        if people.size and (people[0] < 0 or people[-1] >= self.audience):
            inside = people[np.searchsorted(people, 0) : np.searchsorted(people, self.audience)]
            self.counters[Counter.STRANGE] += people.size - inside.size
            people = inside
        attempts = people.size
        if (people[1:] == people[:-1]).any():
            people, times = np.unique(people, return_counts=True)
            return people, times, attempts
        return people, 1, attempts

    def _see(self, people: Int64Column | slice, now_ns: int) -> None:
        seen = self.first_seen_ns[people]
        # A later call may carry an earlier instant: the clock is the caller's.
        self.first_seen_ns[people] = np.where(seen == 0, now_ns, np.minimum(seen, now_ns))
