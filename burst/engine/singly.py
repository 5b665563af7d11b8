"""Sends and answers of a few notifications, one by one: what numpy's fixed price would make dear.

The pump works by column. A column of one costs it as much as one of fifty, and connections that carry one call at a
time make steps of a few. So few are entered here, into the same memory: to the letter what the columns would do.
"""

from __future__ import annotations

from burst.engine.slots import Slots
from burst.model.outcome import State
from burst.runs.ledger import Ledger

FEW = 40  # answers: 0.2 us each one by one; by column 12 us and next to nothing each
FEW_SENT = 32  # sends: 0.1 us each one by one, 4 us by column
_MOST_ATTEMPTS = 255  # the ledger counts in bytes


class Singly:
    """Slots and ledger, seen one notification at a time.

    Reading and writing one place of a memoryview takes a third of what it takes in a numpy array.
    """

    __slots__ = (
        "_answered_ns",
        "_attempts",
        "_first_index",
        "_first_sent_ns",
        "_generation",
        "_last_sent_ns",
        "_occupied",
        "_pending",
        "_slots",
        "_states",
    )

    def __init__(self, slots: Slots, ledger: Ledger) -> None:
        self._slots = slots
        self._generation = slots.generation.data
        self._first_index = slots.first_index.data
        self._occupied = slots.occupied.data
        self._pending = slots.pending.data
        self._first_sent_ns = slots.first_sent_ns.data
        self._last_sent_ns = slots.last_sent_ns.data
        self._answered_ns = slots.answered_ns.data
        self._states = ledger.states.data
        self._attempts = ledger.attempts.data

    def accept(self, tickets: list[int], answered_ns: int) -> tuple[int, bool]:
        """Enter that these were accepted; return how many came too late, and whether a batch has ended with them."""
        slots = self._slots
        shift, row_mask, ticket_shift, position_mask = slots.shift, slots.row_mask, slots.ticket_shift, slots.stride - 1
        generation, occupied, pending = self._generation, self._occupied, self._pending
        first_index, states, answered = self._first_index, self._states, self._answered_ns
        sent, accepted = int(State.SENT), int(State.ACCEPTED)
        late, ended = 0, False
        for ticket in tickets:
            row = ticket & row_mask
            slot = row >> shift
            if generation[slot] != ticket >> ticket_shift or not occupied[slot]:
                late += 1
                continue
            index = first_index[slot] + (row & position_mask)
            if states[index] != sent:
                late += 1
                continue
            states[index] = accepted
            answered[row] = answered_ns
            left = pending[slot] - 1
            pending[slot] = left
            if not left:
                ended = True
        return late, ended

    def mark_sent(self, lo: int, hi: int) -> None:
        """Do ``Ledger.mark_sent``."""
        states, attempts, sent = self._states, self._attempts, int(State.SENT)
        for index in range(lo, hi):
            states[index] = sent
            made = attempts[index]
            if made < _MOST_ATTEMPTS:
                attempts[index] = made + 1

    def stamp_sent(self, lo: int, hi: int, sent_ns: int) -> None:
        """Enter the instant of the first send into rows lo..hi."""
        first, last = self._first_sent_ns, self._last_sent_ns
        for row in range(lo, hi):
            first[row] = last[row] = sent_ns
