"""What one worker measured on one shard: mergeable histograms, counters and a timeline.

Only whole settled batches are folded in, so that a tally and the outcomes it belongs to are made durable together.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np

from burst.measure.histogram import Histogram
from burst.measure.timeline import Heat, Timeline
from burst.model.batch import Int64Column, UInt8Column
from burst.model.outcome import State

INTERVALS = ("end_to_end", "queue_wait", "service", "completion")


@dataclass(frozen=True, slots=True)
class Settled:
    """Columns of notifications whose outcome is final, all of one length.

    ``due_ns`` may be one instant for all. ``answered_ns`` is 0 where no stamp survived (a takeover) or none came.
    """

    due_ns: Int64Column | int
    first_sent_ns: Int64Column
    last_sent_ns: Int64Column
    answered_ns: Int64Column
    states: UInt8Column


class Tally:
    """Histograms of the accepted (microseconds), counters, 10 ms timeline and heat map, relative to one GO."""

    def __init__(self, deadlines_ns: tuple[int, ...] = ()) -> None:
        self.histograms = {name: Histogram() for name in INTERVALS}
        self.timeline = Timeline()
        self.heat = Heat()
        self.within = dict.fromkeys(deadlines_ns, 0)
        self.counters: Counter[str] = Counter()
        self.last_receipt_ns = 0  # after GO

    @property
    def empty(self) -> bool:
        """Whether nothing has been counted."""
        return not self.counters and not self.timeline.counts

    def fold(self, settled: Settled, go_ns: int) -> None:
        """Count settled notifications in."""
        states = settled.states
        accepted = states == State.ACCEPTED
        timed = accepted & (settled.answered_ns > 0)
        all_timed = bool(timed.all())
        if not all_timed:
            self._count_others(settled, accepted, timed, go_ns)
            if not timed.any():
                return
        first, last, answered = (
            column if all_timed else column[timed]
            for column in (settled.first_sent_ns, settled.last_sent_ns, settled.answered_ns)
        )
        self.counters["accepted"] += answered.size
        self.counters["early"] += int(np.count_nonzero(first < go_ns))
        after_go = answered - go_ns
        self._record(settled.due_ns, timed if not all_timed else None, first, last, answered, after_go, go_ns)
        self.timeline.add_column("accepted", after_go)
        for deadline in self.within:
            self.within[deadline] += int(np.count_nonzero(after_go <= deadline))
        self.last_receipt_ns = max(self.last_receipt_ns, int(after_go.max()))

    def _record(
        self,
        due_ns: Int64Column | int,
        chosen: np.ndarray[Any, np.dtype[np.bool_]] | None,
        first: Int64Column,
        last: Int64Column,
        answered: Int64Column,
        after_go: Int64Column,
        go_ns: int,
    ) -> None:
        service_us = (answered - last) // 1000
        self.histograms["service"].record_us(service_us)
        self.heat.add_column(after_go, service_us)
        self.histograms["completion"].record_ns(after_go)
        if isinstance(due_ns, int):
            self.histograms["queue_wait"].record_ns(first - due_ns)
            if due_ns == go_ns:
                return  # due at GO: end to end is completion, and is copied from it where tallies are read
            self.histograms["end_to_end"].record_ns(answered - due_ns)
            return
        due = due_ns if chosen is None else due_ns[chosen]
        self.histograms["queue_wait"].record_ns(first - due)
        self.histograms["end_to_end"].record_ns(answered - due)

    def _count_others(
        self,
        settled: Settled,
        accepted: np.ndarray[Any, np.dtype[np.bool_]],
        timed: np.ndarray[Any, np.dtype[np.bool_]],
        go_ns: int,
    ) -> None:
        untimed = int(np.count_nonzero(accepted)) - int(np.count_nonzero(timed))
        if untimed:
            self.counters["accepted"] += untimed
            self.counters["untimed"] += untimed
        for state in (State.REJECTED, State.EXPIRED, State.FAILED, State.UNKNOWN, State.UNSENT):
            mask = settled.states == state
            count = int(np.count_nonzero(mask))
            if not count:
                continue
            kind = state.name.lower()
            self.counters[kind] += count
            if kind != "unsent":
                stamps = settled.answered_ns[mask]
                self.timeline.add_column(kind, stamps[stamps > 0] - go_ns)

    def to_delta(self) -> bytes:
        """Return this tally in the form in which it crosses to the coordinator."""
        sparse = {}
        for name, histogram in self.histograms.items():
            if histogram.total:
                indexes, counts = histogram.nonzero()
                sparse[name] = (
                    indexes.astype("<i4").tobytes(),
                    counts.astype("<i8").tobytes(),
                    histogram.clamped,
                    histogram.min_us,
                    histogram.max_us,
                )
        lines = {
            kind: (first, counts.astype("<i8").tobytes())
            for kind in self.timeline.counts
            for first, counts in [self.timeline.trimmed(kind)]
        }
        cells = {column: counts.astype("<i8").tobytes() for column, counts in self.heat.cells.items()}
        return msgspec.msgpack.encode(
            (sparse, lines, cells, list(self.within.items()), dict(self.counters), self.last_receipt_ns)
        )

    def merge_delta(self, delta: bytes) -> None:
        """Add what another tally's ``to_delta`` returned."""
        sparse, lines, cells, within, counters, last_receipt_ns = msgspec.msgpack.decode(delta, strict=False)
        for name, (indexes, counts, clamped, min_us, max_us) in sparse.items():
            self.histograms[name].add_sparse(
                np.frombuffer(indexes, "<i4").astype(np.int64),
                np.frombuffer(counts, "<i8"),
                clamped=clamped,
                min_us=min_us,
                max_us=max_us,
            )
        for kind, (first, counts) in lines.items():
            self.timeline.merge(kind, first, np.frombuffer(counts, "<i8"))
        for column, counts in cells.items():
            self.heat.merge(int(column), np.frombuffer(counts, "<i8"))
        for deadline, count in within:
            self.within[deadline] = self.within.get(deadline, 0) + count
        self.counters.update(counters)
        self.last_receipt_ns = max(self.last_receipt_ns, last_receipt_ns)

    def merge(self, other: Tally) -> None:
        """Add another tally to this one."""
        self.merge_delta(other.to_delta())

    def interval(self, name: str) -> Histogram:
        """Return one interval's histogram; of a burst, end to end is completion."""
        histogram = self.histograms[name]
        if name == "end_to_end" and not histogram.total:
            return self.histograms["completion"]
        return histogram
