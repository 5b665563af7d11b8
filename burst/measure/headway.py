"""How far a burst is while it goes: person by person from the ledger, and what it waits for when nothing moves."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from burst.model.batch import UInt8Column
from burst.model.outcome import State
from burst.model.ports import Clock
from burst.model.units import NS_PER_MS, NS_PER_S, format_count, format_duration

STILL_NS = 2 * NS_PER_S  # without a new outcome for this long a reader wants to know why
_LOOK_EVERY_NS = 200 * NS_PER_MS
_COST = 100  # counting may take a hundredth of one core, however many people there are
_CHUNK = 1 << 16  # bytes: a temporary that stays in the cache


@dataclass(frozen=True, slots=True)
class Seen:
    """One look: how many have their outcome, how many of them accepted, and what is waited for (empty: it moves).

    ``by_batch``: a worker on another machine is counted by its finished batches alone.
    """

    settled: int
    accepted: int
    waiting: str = ""
    by_batch: bool = False


class Headway:
    """Counts outcomes in the ledger, which the workers of this machine write as answers come.

    A batch is settled when its last answer is there: counting batches alone would let one slow answer hide hundreds
    of people. Workers elsewhere write a ledger of their own; of them only finished batches are known (``by_batch``).
    """

    def __init__(self, states: UInt8Column, clock: Clock, go_ns: int, answer_within_ns: int, *, by_batch: bool) -> None:
        self._states = states
        self._clock = clock
        self._go_ns = go_ns
        self._answer_within_ns = answer_within_ns
        self._by_batch = by_batch
        self._in_ledger = (0, 0)  # settled, accepted
        self._look_again_ns = 0
        self._settled = 0
        self._moved_ns = go_ns

    def look(self, settled: int, accepted: int) -> Seen:
        """Return how far it is, given the people and accepts in finished batches."""
        now_ns = self._clock.now_ns()
        if now_ns >= self._look_again_ns:
            self._in_ledger = self._count()
            took_ns = self._clock.now_ns() - now_ns
            self._look_again_ns = now_ns + max(_LOOK_EVERY_NS, _COST * took_ns)
        settled, accepted = max(settled, self._in_ledger[0]), max(accepted, self._in_ledger[1])
        if settled != self._settled:
            self._settled, self._moved_ns = settled, max(now_ns, self._go_ns)
        still = now_ns - self._moved_ns >= STILL_NS and settled < self._states.size
        return Seen(settled, accepted, self._waited_for() if still else "", self._by_batch)

    def _count(self) -> tuple[int, int]:
        settled = accepted = 0
        for at in range(0, self._states.size, _CHUNK):
            states = self._states[at : at + _CHUNK]
            settled += int(np.count_nonzero(states >= State.ACCEPTED))
            accepted += int(np.count_nonzero(states == State.ACCEPTED))
        return settled, accepted

    def _waited_for(self) -> str:
        since = f"no outcome since T+{(self._moved_ns - self._go_ns) / NS_PER_S:.1f} s"
        if self._by_batch:
            left = self._states.size - self._settled
            return f"{since}: {format_count(left)} in batches that are not finished"
        counts = (
            (State.SENT, f"under way (an answer has {format_duration(self._answer_within_ns)})"),
            (State.REFUSED, "waiting for another attempt"),
            (State.UNSENT, "not sent yet"),
        )
        told = [
            f"{format_count(count)} {words}"
            for state, words in counts
            if (count := int(np.count_nonzero(self._states == state)))
        ]
        return f"{since}: {', '.join(told)}" if told else since
