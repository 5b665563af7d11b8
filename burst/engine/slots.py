"""The batches that a worker holds, as rows of columns: an answer finds its notification by arithmetic.

A held batch occupies a slot of ``stride`` rows. A ticket is generation, slot and position packed into one int64; the
generation changes when a slot is reused, so that an answer that comes too late cannot be taken for another's.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from burst.model.batch import Batch, Int64Column, UInt8Column
from burst.model.ports import Prepared

_GENERATION_BITS = 24


@dataclass(slots=True)
class HeldBatch:
    """One batch in its slot. ``cursor`` is the first position that has not been sent."""

    slot: int
    shard: int
    lane: str
    entry_id: bytes
    batch: Batch
    sink: int
    prepared: Prepared
    taken_over: bool
    cursor: int = 0
    skip: UInt8Column | None = field(default=None)  # taken over: 1 where the ledger forbids another send


class Slots:
    """``count`` slots of ``stride`` rows (a power of two)."""

    def __init__(self, count: int, largest_batch: int) -> None:
        self.shift = max(4, (largest_batch - 1).bit_length())
        self.stride = 1 << self.shift
        self.count = count
        self._slot_bits = max(1, (count - 1).bit_length())
        self.row_mask = (1 << (self.shift + self._slot_bits)) - 1  # of a ticket: its row
        self.ticket_shift = self.shift + self._slot_bits  # of a ticket: its generation is above that
        self._positions = np.arange(self.stride, dtype=np.int64)
        self._free = list(range(count - 1, -1, -1))
        self.held: list[HeldBatch | None] = [None] * count
        self.generation = np.zeros(count, dtype=np.int64)
        self.first_index = np.zeros(count, dtype=np.int64)
        self.pending = np.zeros(count, dtype=np.int64)
        self.occupied = np.zeros(count, dtype=np.bool_)
        rows = count << self.shift
        self.first_sent_ns = np.zeros(rows, dtype=np.int64)
        self.last_sent_ns = np.zeros(rows, dtype=np.int64)
        self.answered_ns = np.zeros(rows, dtype=np.int64)
        self.reasons = np.zeros(rows, dtype=np.uint8)

    @property
    def free(self) -> int:
        """How many slots hold nothing."""
        return len(self._free)

    def take(self, first_index: int, count: int) -> tuple[int, Int64Column]:
        """Occupy a slot for ``count`` people; return it and their tickets."""
        slot = self._free.pop()
        self.first_index[slot] = first_index
        self.pending[slot] = count
        self.occupied[slot] = True
        row = slot << self.shift
        self.first_sent_ns[row : row + count] = 0
        self.last_sent_ns[row : row + count] = 0
        self.answered_ns[row : row + count] = 0
        self.reasons[row : row + count] = 0
        base = (int(self.generation[slot]) << self.ticket_shift) | row
        return slot, self._positions[:count] + base

    def release(self, slot: int) -> None:
        """Empty a slot; tickets of what it held are void from now on."""
        self.held[slot] = None
        self.occupied[slot] = False
        self.pending[slot] = 0
        self.generation[slot] = (self.generation[slot] + 1) & ((1 << _GENERATION_BITS) - 1)
        self._free.append(slot)

    def locate(self, tickets: Int64Column) -> tuple[Int64Column, Int64Column, np.ndarray | None]:
        """Return (rows, slots, mask): ``mask`` tells which tickets are still valid, None when all are."""
        rows = tickets & self.row_mask
        slots = rows >> self.shift
        fresh = (tickets >> self.ticket_shift) == self.generation[slots]
        fresh &= self.occupied[slots]
        return rows, slots, None if fresh.all() else fresh

    def tickets_of(self, rows: Int64Column) -> Int64Column:
        """Return the valid tickets of rows."""
        tickets: Int64Column = (self.generation[rows >> self.shift] << self.ticket_shift) | rows
        return tickets

    def indexes_of(self, rows: Int64Column, slots: Int64Column) -> Int64Column:
        """Return the people's indexes of rows."""
        return self.first_index[slots] + (rows & (self.stride - 1))

    def rows_of(self, held: HeldBatch) -> slice:
        """Return the rows of a held batch."""
        row = held.slot << self.shift
        return slice(row, row + held.batch.count)

    def batches(self) -> list[HeldBatch]:
        """Return everything held."""
        return [held for held in self.held if held is not None]
