"""What became of a notification: the states of the ledger and the answers of a sink."""

from __future__ import annotations

from enum import IntEnum


class State(IntEnum):
    """One byte a person in the ledger. The first three are on the way; the rest are outcomes."""

    UNSENT = 0
    SENT = 1  # written, or about to be: marked before the write, so a crash can only over-count doubt
    REFUSED = 2  # certainly not processed by the provider; waits for its next attempt
    ACCEPTED = 3
    REJECTED = 4
    EXPIRED = 5
    FAILED = 6
    UNKNOWN = 7
    LOST = 8  # the sender says accepted, the witness never saw it

    @property
    def final(self) -> bool:
        """Whether this state is an outcome."""
        return self >= State.ACCEPTED


class Answer(IntEnum):
    """What a sink says of one notification.

    ``THROTTLED`` and ``REFUSED`` mean *certainly not processed*, so another attempt cannot duplicate;
    ``DOUBTFUL`` means *maybe processed*. The sink decides nothing beyond that: retries are the engine's.
    """

    ACCEPTED = 0
    REJECTED = 1
    THROTTLED = 2
    REFUSED = 3
    DOUBTFUL = 4


#: Names of ``result.json``'s ``outcomes``, in its order, with the ledger state each is counted from.
OUTCOMES: tuple[tuple[str, State], ...] = (
    ("accepted", State.ACCEPTED),
    ("rejected", State.REJECTED),
    ("expired", State.EXPIRED),
    ("failed", State.FAILED),
    ("unknown", State.UNKNOWN),
    ("unsent", State.UNSENT),
    ("lost", State.LOST),
)
