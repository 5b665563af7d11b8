"""Publish and PublishBatch: what the calls of one run are on the wire, and what is said of the people in them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import numpy as np

from burst.model.batch import Batch, Int64Column
from burst.model.outcome import Answer
from burst.model.ports import Answers, Prepared, SinkContext
from burst.sinks import sns_answers as said
from burst.sinks.aws_calls import AwsCalls
from burst.sinks.aws_errors import retry_after_ns
from burst.sinks.aws_glance import Glances
from burst.sinks.aws_taken import Taken
from burst.sinks.sns_forms import Columns, Forms
from burst.sinks.sns_glance import sns_looks
from burst.sinks.sns_settings import SnsSettings
from burst.wire.h1_client import Head, Response
from burst.wire.h1_link import H1Link
from burst.wire.h1_sender import Verdict


class SnsCalls:
    """The calls of one worker.

    Who was accepted is not among what ``read`` returns but kept, and given in one piece by ``accepted``.
    """

    reasons: Sequence[str] = said.REASONS
    weight = 1

    def __init__(self, settings: SnsSettings, calls: AwsCalls, context: SinkContext) -> None:
        """Check the messages' size with this run's own names. Raises UsageError."""
        self._calls = calls
        self.forms = Forms(settings, context)
        self._single = settings.target_arn is not None
        self.per_call = 1 if self._single else settings.messages_per_call
        self._answered = said.Answered()
        self._taken = Taken()
        self._now_ns = context.clock.now_ns
        self._glances = Glances(sns_looks, self._now_ns)

    def prepare(self, batch: Batch, tickets: Int64Column, indexes: Int64Column) -> Prepared:
        """Take a batch in. Raises UsageError for a message that is too long."""
        return Prepared(batch, tickets, indexes, body=self.forms.columns(batch, indexes))

    # -- what the sender asks --------------------------------------------------------------------------------------

    def cost(self, prepared: Prepared, lo: int, hi: int) -> int:  # noqa: ARG002 (a port's method)
        """Return how many messages people lo..hi are."""
        return hi - lo

    def stops(self, prepared: Prepared, lo: int) -> int:
        """Return where a call must end: so many messages, so many bytes."""
        return lo + cast("Columns", prepared.body).per_call

    def request(self, prepared: Prepared, lo: int, hi: int) -> bytes | list[bytes]:
        """Return the call for people lo..hi, signed now."""
        return self._calls.request(self.forms.call(cast("Columns", prepared.body), lo, hi))

    def plain(self, head: Head) -> Verdict | None:  # noqa: ARG002 (a port's method)
        """Every answer must be read."""
        return None

    def _count(self, lo: int, hi: int) -> int:
        """Return how many entries the answer to a call for people lo..hi names."""
        return said.ONE if self._single else hi - lo

    # -- answers ---------------------------------------------------------------------------------------------------

    def read(self, prepared: Prepared, lo: int, hi: int, response: Response, now_ns: int) -> list[Answers]:
        """Return what an answer says of those who were not accepted."""
        body = response.body
        count = self._count(lo, hi)
        if response.head.status != 200:
            code = said.error_code(body)
            answer = self._calls.meaning(response.head.status, code, response.head)
            return [_of_all(prepared, lo, hi, (answer, said.number_of(code), retry_after_ns(response.head)), now_ns)]
        if self._answered.all_taken(body, count):
            self._taken.add(prepared.tickets[lo:hi], now_ns)
            return []
        if self._single:
            return [_of_all(prepared, lo, hi, (*self._answered.of_one(body), 0), now_ns)]
        found = self._answered.of_batch(body, count)
        if found is None:
            return [_of_all(prepared, lo, hi, (Answer.DOUBTFUL, said.NUMBERS[said.NO_SNS], 0), now_ns)]
        codes = np.array([int(answer) for answer, _ in found], dtype=np.uint8)
        reasons = np.array([reason for _, reason in found], dtype=np.uint8)
        return [Answers(prepared.tickets[lo:hi], codes, now_ns, None, reasons)]

    def glance(self, links: Sequence[H1Link]) -> Sequence[H1Link]:
        """Take answers that are known by their looks to call all messages of a call taken."""
        others: list[H1Link] = []
        for looks, alike in self._glances.sorted_by_looks(links):
            if looks is None or any(self._count(link.lo, link.hi) != looks.count for link in alike):
                others += alike
            else:
                good = looks.say(b"".join([link.answer for link in alike]))
                others += self._taken.add_all(alike, good, self._now_ns())
        return others

    def learn(self, prepared: Prepared, lo: int, hi: int, answer: bytes, body: bytes) -> None:  # noqa: ARG002 (a port's)
        """Learn the looks of an answer that called all messages of a call taken."""
        self._glances.learn(answer, body, self._count(lo, hi))

    def accepted(self) -> list[Answers]:
        """Return those who were accepted since the last call, under the stamp of the last read that said so."""
        return self._taken.answers()


def _of_all(prepared: Prepared, lo: int, hi: int, verdict: Verdict, now_ns: int) -> Answers:
    answer, reason, after_ns = verdict
    codes, reasons = np.full(hi - lo, answer, dtype=np.uint8), np.full(hi - lo, reason, dtype=np.uint8)
    waits = np.full(hi - lo, after_ns, dtype=np.int64) if after_ns else None
    return Answers(prepared.tickets[lo:hi], codes, now_ns, waits, reasons)
