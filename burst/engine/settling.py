"""Folding finished batches into a tally and making both durable in one step."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

import msgspec
import numpy as np

from burst.engine.slots import HeldBatch, Slots
from burst.measure.tally import Settled, Tally
from burst.model.batch import Int64Column, UInt8Column
from burst.model.outcome import State
from burst.policy.pacing import Pace
from burst.queues.shard import Settlement
from burst.runs.ledger import Ledger

FOLD_AT = 8192  # people; folding this many at a time costs a sixth of folding 500


class SettledBatch(msgspec.Struct, frozen=True, array_like=True):
    """One batch's outcomes. A column of equal bytes travels as that byte."""

    number: int
    first_index: int
    count: int
    states: int | bytes
    attempts: int | bytes
    reasons: int | bytes
    stolen: bool
    taken_over: bool


class Delta(msgspec.Struct, frozen=True):
    """What one settle call appends to its shard."""

    worker: int
    consumer: str
    shared_ledger: bool
    reasons: list[str]
    batches: list[SettledBatch]
    tally: bytes
    route: int = 0


def packed(column: UInt8Column) -> int | bytes:
    """Return a column's one value if all are equal, else its bytes."""
    first = int(column[0])
    return first if (column == first).all() else column.tobytes()


def unpacked(packed_column: int | bytes, count: int) -> UInt8Column:
    """Return the column that ``packed`` was given."""
    if isinstance(packed_column, int):
        return np.full(count, packed_column, dtype=np.uint8)
    return np.frombuffer(packed_column, dtype=np.uint8)


@dataclass(slots=True)
class Folder:
    """Collects the finished batches of one shard and one route until a fold is worth its overhead."""

    tally: Tally
    route: int = 0
    people: int = 0
    _batches: list[SettledBatch] = field(default_factory=list)
    _ids: dict[str, list[bytes]] = field(default_factory=dict)
    _columns: list[tuple[Int64Column, Int64Column, Int64Column, UInt8Column, int]] = field(default_factory=list)

    def add(self, held: HeldBatch, slots: Slots, ledger: Ledger, *, stolen: bool) -> None:
        """Copy a finished batch's columns out of its slot."""
        rows = slots.rows_of(held)
        first, count = held.batch.first_index, held.batch.count
        states = ledger.states[first : first + count].copy()
        self._columns.append(
            (
                slots.first_sent_ns[rows].copy(),
                slots.last_sent_ns[rows].copy(),
                slots.answered_ns[rows].copy(),
                states,
                first,
            )
        )
        reasons = slots.reasons[rows]
        self._batches.append(
            SettledBatch(
                held.batch.number,
                first,
                count,
                packed(states),
                packed(ledger.attempts[first : first + count]),
                packed(reasons),
                stolen,
                held.taken_over,
            )
        )
        self._ids.setdefault(held.lane, []).append(held.entry_id)
        self.people += count

    def fold(self, worker: int, consumer: str, names: list[str], go_ns: int, pace: Pace, *, shared: bool) -> Settlement:
        """Fold everything collected; return what is to be settled and begin anew."""
        first_sent, last_sent, answered, states = (
            np.concatenate(column) for column in list(zip(*self._columns, strict=True))[:4]
        )
        due: Int64Column | int = go_ns
        if pace.rate_per_s is not None:
            indexes = np.concatenate([np.arange(first, first + column.size) for *_, column, first in self._columns])
            due = go_ns + pace.due_offsets_ns(indexes)
        self.tally.fold(Settled(due, first_sent, last_sent, answered, states), go_ns)
        self.tally.counters["settled"] += self.people
        delta = Delta(worker, consumer, shared, names, self._batches, self.tally.to_delta(), self.route)
        settlement = Settlement(
            self._ids,
            msgspec.msgpack.encode(delta),
            len(self._batches),
            self.people,
            int(np.count_nonzero(states == State.ACCEPTED)),
        )
        self.tally = Tally(tuple(self.tally.within))
        self.people = 0
        self._batches, self._ids, self._columns = [], {}, []
        return settlement

    @property
    def waiting(self) -> int:
        """How many batches wait to be folded."""
        return len(self._batches)


def decode_deltas(raw: Iterable[bytes]) -> Iterable[Delta]:
    """Read deltas back."""
    decoder = msgspec.msgpack.Decoder(Delta)
    return (decoder.decode(entry) for entry in raw)
