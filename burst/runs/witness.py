"""The witness against the ledger: what came, what was lost on the way, and what cannot be.

A witness is one or more parts, each written by one serving process of the provider (``witness_part``).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from burst.model.batch import Int64Column, UInt8Column
from burst.model.errors import BurstError
from burst.model.outcome import State
from burst.model.units import NS_PER_MS
from burst.runs.witness_part import NIBBLE, Counter, WitnessPart

__all__ = ["ARRIVAL_BIN_NS", "Counter", "Reconciled", "WitnessPart", "reconcile"]

ARRIVAL_BIN_NS = 10 * NS_PER_MS
#: Ten minutes of bins; whoever comes later is counted in the last one.
MAX_ARRIVAL_BINS = 60_000
#: How many indexes of a kind of contradiction are named.
NAMED_INDEXES = 10

_BLOCK = 1 << 18  # people reconciled at a time: what is temporary stays in the cache
_Counts = npt.NDArray[np.integer[Any]]


@dataclass(frozen=True, slots=True, eq=False)
class Reconciled:
    """Ledger and witness held against each other. Counts are of people, unless they say attempts.

    ``duplicates`` and ``retried_after_refusal`` are exact from the header's counters wherever the columns saturate:
    accepted + refused attempts = people they came for + duplicates + retried after refusal. ``arrivals`` is int64, one
    count for each 10 ms from GO on (from the first arrival, where there was no GO) of people seen for the first time;
    who came earlier stands in the first bin. A contradiction is what cannot be if both tell the truth: kind -> (people,
    the indexes of the first of them). ``peak_connections`` adds the peaks of the parts, so it is an upper bound.
    """

    seen: int
    attempts: int
    accepted: int  # attempts
    refused: int  # attempts
    foreign: int  # requests
    strange: int  # requests
    tracers: int  # requests
    requests: int
    lost_indexes: Int64Column  # accepted by the ledger, never by the witness; ascending
    duplicates: int  # attempts
    retried_after_refusal: int  # attempts
    early: int
    unknown_arrived: int
    contradictions: dict[str, tuple[int, tuple[int, ...]]]
    first_arrival_ns: int  # 0 = nobody came
    last_arrival_ns: int
    arrivals: Int64Column
    peak_connections: int
    connections_opened: int
    busy_share: float  # of the busiest part, 0..1

    @property
    def lost(self) -> int:
        """How many people the ledger has as accepted and the witness never accepted."""
        return int(self.lost_indexes.size)

    @property
    def contradicted(self) -> int:
        """How many contradictions there are, of all kinds."""
        return sum(people for people, _ in self.contradictions.values())


_SEEN, _ARRIVED = 1, 2
_ATTEMPTS_KIND = "more attempts seen than sent"
#: Kind of contradiction -> the ledger states it concerns, and what the witness must have for it.
_KINDS: dict[str, tuple[tuple[State, ...], int]] = {
    "unsent by the ledger, seen by the witness": ((State.UNSENT,), _SEEN),
    "rejected by the ledger, accepted by the witness": ((State.REJECTED,), _ARRIVED),
    "expired by the ledger, accepted by the witness": ((State.EXPIRED,), _ARRIVED),
    "failed by the ledger, accepted by the witness": ((State.FAILED, State.REFUSED), _ARRIVED),
}
_NEVER_KIND = "rejected by the ledger, never seen by the witness"
_ACCEPTED_STATES = (State.ACCEPTED, State.LOST)  # LOST too: to reconcile again changes nothing
_UNKNOWN_STATES = (State.UNKNOWN, State.SENT)


class _Block(NamedTuple):
    """Consecutive people from ``start`` on, all parts taken together."""

    start: int
    first_seen_ns: Int64Column
    accepted: _Counts
    refused: _Counts


class _Sums:
    """What grows while the blocks go by."""

    def __init__(self) -> None:
        self.seen = self.early = 0
        self.arrived = self.refused_only = self.unknown_arrived = 0
        self.accepted_floor = self.refused_floor = 0
        self.lost: list[Int64Column] = []
        self.kinds: dict[str, tuple[int, tuple[int, ...]]] = {}
        self.first_ns, self.last_ns = int(np.iinfo(np.int64).max), 0

    def add(self, block: _Block, states: UInt8Column, attempts: UInt8Column, go_ns: int) -> None:
        """Add a block to the sums, with its people's part of the ledger."""
        start, first_seen, accepted, refused = block
        seen, arrived = first_seen > 0, accepted > 0
        self._add_arrivals(first_seen, seen, go_ns)
        self.arrived += int(np.count_nonzero(arrived))
        self.refused_only += int(np.count_nonzero((refused > 0) & ~arrived))
        self.accepted_floor += int(accepted.sum(dtype=np.int64))
        self.refused_floor += int(refused.sum(dtype=np.int64))
        # One pass says which states and sights meet in this block; only what there is, is looked for.
        sights = (states.astype(np.intp) << 2) | (arrived.view(np.uint8) << 1) | seen.view(np.uint8)
        met = np.bincount(sights, minlength=1024).reshape(-1, 2, 2)  # state, arrived, seen
        self.unknown_arrived += int(met[_UNKNOWN_STATES, 1].sum())
        if met[_ACCEPTED_STATES, 0].any():
            self.lost.append(np.flatnonzero(np.isin(states, _ACCEPTED_STATES) & ~arrived) + start)
        for kind, (concerned, sight) in _KINDS.items():
            if (met[concerned, 1] if sight == _ARRIVED else met[concerned, :, 1]).any():
                self._contradict(kind, start, np.isin(states, concerned) & (arrived if sight == _ARRIVED else seen))
        if met[State.REJECTED, 0, 0]:
            self._contradict(_NEVER_KIND, start, (states == State.REJECTED) & ~seen)
        # What saturates in the columns is a floor of what came, so only a saturated ledger says nothing.
        self._contradict(_ATTEMPTS_KIND, start, (accepted + refused > attempts) & (attempts < 255))

    def _add_arrivals(self, first_seen: Int64Column, seen: npt.NDArray[np.bool_], go_ns: int) -> None:
        came = int(np.count_nonzero(seen))
        if not came:
            return
        self.seen += came
        self.early += int(np.count_nonzero(seen & (first_seen < go_ns)))
        self.first_ns = min(self.first_ns, int((first_seen if came == seen.size else first_seen[seen]).min()))
        self.last_ns = max(self.last_ns, int(first_seen.max()))

    def _contradict(self, kind: str, start: int, where: npt.NDArray[np.bool_]) -> None:
        found = np.flatnonzero(where)
        if found.size:
            people, named = self.kinds.get(kind, (0, ()))
            more = (found[: NAMED_INDEXES - len(named)] + start).tolist()
            self.kinds[kind] = (people + int(found.size), (*named, *more))


def reconcile(parts: Sequence[WitnessPart], states: UInt8Column, attempts: UInt8Column, go_ns: int) -> Reconciled:
    """Hold what the parts of one witness saw against the ledger's columns.

    Parameters
    ----------
    parts : at least one; their writers may be dead
    states, attempts : the ledger, uint8 of shape (audience,); nothing is changed
    go_ns : the instant of GO on CLOCK_MONOTONIC; 0 = there was none, and nobody is early

    Raises
    ------
    BurstError
        there are no parts, or they are of different runs or of another audience than the ledger
    """
    _check_same(parts, states.size)
    sums = _Sums()
    for block in _blocks(parts):
        people = slice(block.start, block.start + block.first_seen_ns.size)
        sums.add(block, states[people], attempts[people], go_ns)
    arrivals = _arrivals(parts, go_ns or sums.first_ns, sums.last_ns) if sums.seen else np.zeros(0, dtype=np.int64)
    total = np.sum([part.counters for part in parts], axis=0)
    # A writer that was killed between columns and counters leaves these a call behind: the columns are a floor.
    accepted_total = max(int(total[Counter.ACCEPTED]), sums.accepted_floor)
    refused_total = max(int(total[Counter.REFUSED]), sums.refused_floor)
    return Reconciled(
        seen=sums.seen,
        attempts=max(int(total[Counter.ATTEMPTS]), accepted_total + refused_total),
        accepted=accepted_total,
        refused=refused_total,
        foreign=int(total[Counter.FOREIGN]),
        strange=int(total[Counter.STRANGE]),
        tracers=int(total[Counter.TRACERS]),
        requests=int(total[Counter.REQUESTS]),
        lost_indexes=np.concatenate([np.empty(0, dtype=np.int64), *sums.lost]),
        duplicates=accepted_total - sums.arrived,
        retried_after_refusal=refused_total - sums.refused_only,
        early=sums.early,
        unknown_arrived=sums.unknown_arrived,
        contradictions=sums.kinds,
        first_arrival_ns=sums.first_ns if sums.seen else 0,
        last_arrival_ns=sums.last_ns,
        arrivals=arrivals,
        peak_connections=int(total[Counter.PEAK_CONNECTIONS]),
        connections_opened=int(total[Counter.OPENED]),
        busy_share=max(_busy_share(part) for part in parts),
    )


def _check_same(parts: Sequence[WitnessPart], audience: int) -> None:
    if not parts:
        raise BurstError("there is no part of a witness to reconcile", hint="did the provider start?")
    for part in parts:
        if part.run != parts[0].run:
            raise BurstError(f"{part.path} saw run {part.run!r}, {parts[0].path} saw {parts[0].run!r}")
        if part.audience != audience:
            raise BurstError(
                f"{part.path} is for {part.audience:,} people, the ledger for {audience:,}",
                hint="they are of different runs, or one of them is damaged",
            )


def _busy_share(part: WitnessPart) -> float:
    wall_ns = part.counter(Counter.WALL_NS)
    return part.counter(Counter.BUSY_NS) / wall_ns if wall_ns > 0 else 0.0


def _blocks(parts: Sequence[WitnessPart]) -> Iterator[_Block]:
    for start in range(0, parts[0].audience, _BLOCK):
        people = slice(start, start + _BLOCK)
        first_seen, counts = parts[0].first_seen_ns[people], parts[0].counts[people]
        accepted: _Counts = counts & NIBBLE
        refused: _Counts = counts >> 4
        if len(parts) > 1:
            accepted, refused = accepted.astype(np.uint16), refused.astype(np.uint16)
        for part in parts[1:]:
            other, counts = part.first_seen_ns[people], part.counts[people]
            # Never is 0: one less, unsigned, and it is later than all.
            least = np.minimum(first_seen.view(np.uint64) - np.uint64(1), other.view(np.uint64) - np.uint64(1))
            first_seen = (least + np.uint64(1)).view(np.int64)
            np.add(accepted, counts & NIBBLE, out=accepted)
            np.add(refused, counts >> 4, out=refused)
        yield _Block(start, first_seen, accepted, refused)


def _arrivals(parts: Sequence[WitnessPart], origin_ns: int, last_ns: int) -> Int64Column:
    bins = min(max(last_ns - origin_ns, 0) // ARRIVAL_BIN_NS + 1, MAX_ARRIVAL_BINS)
    arrivals = np.zeros(bins, dtype=np.int64)
    for _, first_seen, *_ in _blocks(parts):
        came = first_seen if first_seen.all() else first_seen[first_seen > 0]
        arrivals += np.bincount(np.clip((came - origin_ns) // ARRIVAL_BIN_NS, 0, bins - 1), minlength=bins)
    return arrivals
