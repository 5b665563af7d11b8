"""Accepts everything at once: what is left is the cost of the engine itself."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from burst.model.batch import Batch, Int64Column
from burst.model.outcome import Answer
from burst.model.ports import NEVER_NS, Answers, Prepared, SinkContext
from burst.model.scenario import Settings


class BlackholeSettings(Settings):
    """Nothing to set."""


class Blackhole:
    """A sink that answers in the very moment of sending."""

    reasons: Sequence[str] = ("",)
    judge = "sender"

    def __init__(self, settings: BlackholeSettings) -> None:
        self._settings = settings
        self._taken: list[Int64Column] = []
        self._context: SinkContext | None = None

    async def open(self, context: SinkContext) -> None:
        """Nothing to connect to."""
        self._context = context

    def released(self, go_ns: int) -> None:
        """Nothing depends on GO."""

    def prepare(self, batch: Batch, tickets: Int64Column, indexes: Int64Column) -> Prepared:
        """Render nothing."""
        return Prepared(batch, tickets, indexes)

    def credit(self) -> int:
        """Return the largest number there is: it takes all."""
        return NEVER_NS

    def send(self, prepared: Prepared, lo: int, hi: int) -> int:
        """Take all of them."""
        self._taken.append(prepared.tickets[lo:hi])
        return hi - lo

    def answers(self) -> list[Answers]:
        """Accept what was taken."""
        if not self._taken or self._context is None:
            return []
        tickets = np.concatenate(self._taken)
        self._taken.clear()
        codes = np.full(tickets.size, Answer.ACCEPTED, dtype=np.uint8)
        return [Answers(tickets, codes, self._context.clock.now_ns())]

    def next_answer_ns(self) -> int:
        """Return 0 while anything waits to be answered."""
        return 0 if self._taken else NEVER_NS

    def revoke(self) -> Int64Column:
        """Nothing is ever buffered."""
        return np.empty(0, dtype=np.int64)

    async def close(self) -> None:
        """Nothing to let go of."""
