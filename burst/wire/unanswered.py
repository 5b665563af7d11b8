"""What is said of requests that have no answer: the same words for every sink of the network."""

from __future__ import annotations

import numpy as np

from burst.model.batch import Int64Column
from burst.model.outcome import Answer
from burst.model.ports import Answers

LOST = "connection lost"
OVERDUE = "no answer in time: cancelled"
RESET, REFUSED_STREAM, NO_HTTP2 = "stream reset", "stream refused", "answer that is no HTTP/2"
TOLD_TO_GO = "connection told to go (GOAWAY)"
UNSENDABLE, UNFINISHED = "no connection to send it over", "window never opened"

#: A sink that sends through ``H2Sender`` has them all among its own reasons.
UNANSWERED = (LOST, OVERDUE, RESET, REFUSED_STREAM, TOLD_TO_GO, NO_HTTP2, UNSENDABLE, UNFINISHED)


def same_for_all(tickets: Int64Column, answer: Answer, number: int, now_ns: int) -> Answers:
    """Return one answer for several; ``number`` is its reason's."""
    codes = np.full(tickets.size, answer, dtype=np.uint8)
    return Answers(tickets, codes, now_ns, None, np.full(tickets.size, number, dtype=np.uint8))
