"""SendMessageBatch: what the calls of one run are on the wire, and what is said of the people in them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Protocol

import numpy as np

from burst.model.batch import Batch, Int64Column
from burst.model.errors import UsageError
from burst.model.outcome import Answer
from burst.model.ports import Answers, Prepared, SinkContext
from burst.sinks import sqs_answers as answered
from burst.sinks.aws_calls import AwsCalls
from burst.sinks.aws_errors import retry_after_ns
from burst.sinks.aws_glance import Glances
from burst.sinks.aws_taken import Taken
from burst.sinks.rendering import batch_of_one
from burst.sinks.sqs_digest import hexes
from burst.sinks.sqs_glance import SqsLooks, sqs_looks
from burst.sinks.sqs_packs import PackMaker
from burst.sinks.sqs_settings import SqsSettings
from burst.sinks.sqs_singles import SingleMaker
from burst.wire.h1_client import Head, Response
from burst.wire.h1_link import H1Link
from burst.wire.h1_sender import Verdict


class Messages(Protocol):
    """A batch's messages, made as they are asked for."""

    def cuts(self, lo: int, hi: int) -> Sequence[int]:
        """Return where the messages for people lo..hi begin, and the end of the last."""
        ...

    def stop(self, lo: int, limit: int) -> int:
        """Return where a call that begins with ``lo`` ends if its messages have ``limit`` bytes together at most."""
        ...

    def size(self, lo: int, hi: int) -> int:
        """Return how many bytes the messages for people lo..hi have together, or a little more."""
        ...

    def entries(self, lo: int, hi: int) -> bytes | memoryview:
        """Return the entries for people lo..hi as they stand in a call, parted by commas."""
        ...

    def ids(self, lo: int, hi: int) -> bytes:
        """Return the Ids of those entries, a digit each."""
        ...

    def body_digests(self, lo: int, hi: int) -> bytes:
        """Return the MD5 of each message's body, end to end."""
        ...

    def attribute_digests(self, lo: int, hi: int) -> list[str]:
        """Return the MD5 of each message's attributes, in hex; empty texts where there are none."""
        ...


class SqsCalls:
    """The calls of one worker. ``to`` names the queue before the first of them.

    Who was accepted is not among what ``read`` returns but kept, and given in one piece by ``accepted``.
    """

    reasons: Sequence[str] = answered.REASONS

    def __init__(self, settings: SqsSettings, calls: AwsCalls, context: SinkContext) -> None:
        """Check the messages' size with this run's own names. Raises UsageError."""
        self._settings = settings
        self._calls = calls
        self.singles = SingleMaker(settings, context)
        self.packs = PackMaker(settings, context)
        packing = settings.tokens_per_message
        self.weight = max(packing.ios, packing.android)
        self.per_call = settings.messages_per_call * self.weight
        self.largest_call = settings.max_message
        self._start = b""
        self._taken = Taken()
        self._now_ns = context.clock.now_ns
        self._glances = Glances(sqs_looks, self._now_ns)
        self._check_size()

    def _check_size(self) -> None:
        limit = self._settings.max_message
        for platform in self._settings.platforms:
            sample = batch_of_one("0", platform)
            if self._settings.packed(platform):
                size = self.packs.form(sample).base
            else:
                size = self.singles.forms.form(sample, 1).size
            if size > limit:
                raise UsageError(
                    f"a message of this run has {size:,} bytes at least; max_message is {limit:,}",
                    hint="its columns are filled in: shorten the text around them",
                )

    def to(self, queue_url: str) -> None:
        """Send to this queue."""
        self._start = b'{"QueueUrl":%b,"Entries":[' % json.dumps(queue_url).encode()

    def prepare(self, batch: Batch, tickets: Int64Column, indexes: Int64Column) -> Prepared:
        """Take a batch in."""
        maker = self.packs if self._settings.packed(batch.platform) else self.singles
        return Prepared(batch, tickets, indexes, body=maker.of(batch, indexes))

    # -- what the sender asks --------------------------------------------------------------------------------------

    def cost(self, prepared: Prepared, lo: int, hi: int) -> int:
        """Return how many messages people lo..hi are: the rate is of messages."""
        return len(_messages(prepared).cuts(lo, hi)) - 1

    def stops(self, prepared: Prepared, lo: int) -> int:
        """Return where a call must end: so many messages, so many bytes."""
        return prepared.body.stop(lo, self.largest_call)  # type: ignore[attr-defined,no-any-return]  # Messages

    def request(self, prepared: Prepared, lo: int, hi: int) -> bytes | list[bytes]:
        """Return the call for people lo..hi, signed now."""
        messages: Messages = prepared.body  # type: ignore[assignment]
        return self._calls.request(b"".join((self._start, messages.entries(lo, hi), b"]}")))

    def body(self, entries: bytes) -> bytes:
        """Return a call's body for entries parted by commas."""
        return b"%b%b]}" % (self._start, entries)

    def plain(self, head: Head) -> Verdict | None:  # noqa: ARG002 (a port's method)
        """Every answer must be read."""
        return None

    # -- answers ---------------------------------------------------------------------------------------------------

    def read(self, prepared: Prepared, lo: int, hi: int, response: Response, now_ns: int) -> list[Answers]:
        """Return what an answer says of those who were not accepted."""
        if response.head.status != 200:
            return [self._of_all(prepared, lo, hi, *self._whole(prepared, lo, hi, response), now_ns)]
        said = answered.said(response.body)
        if said is None:
            verdict = Answer.DOUBTFUL, answered.NUMBERS[answered.NO_SQS], 0
            return [self._of_all(prepared, lo, hi, *verdict, now_ns)]
        messages = _messages(prepared)
        numbers, bodies = _numbers(messages, lo, hi), hexes(messages.body_digests(lo, hi))
        taken = said.Successful or ()
        if (
            not said.Failed
            and [one.Id for one in taken] == numbers
            and [one.MD5OfMessageBody for one in taken] == bodies
        ):
            digests = [one.MD5OfMessageAttributes for one in taken]
            if not any(digests) or digests == messages.attribute_digests(lo, hi):
                self._taken.add(prepared.tickets[lo:hi], now_ns)
                return []
        return [self._one_by_one(prepared, lo, hi, said, now_ns)]

    def glance(self, links: Sequence[H1Link]) -> Sequence[H1Link]:
        """Take answers that are known by their looks to call all messages of a call taken, with the right MD5s."""
        others: list[H1Link] = []
        for looks, alike in self._glances.sorted_by_looks(links):
            others += alike if looks is None else self._take_alike(looks, alike)
        return others

    def _take_alike(self, looks: SqsLooks, links: Sequence[H1Link]) -> list[H1Link]:
        """Take answers of one length; return the links of those that do not say that all messages were taken."""
        calls: list[tuple[Messages, int, int]]
        calls = [(link.prepared.body, link.lo, link.hi) for link in links]  # type: ignore[union-attr,misc]
        ids = [messages.ids(lo, hi) for messages, lo, hi in calls]
        if {*map(len, ids)} != {looks.count}:
            return [*links]
        digests = b"".join([messages.body_digests(lo, hi) for messages, lo, hi in calls])
        taken = looks.say(b"".join([link.answer for link in links]), b"".join(ids), digests)
        return self._taken.add_all(links, taken, self._now_ns())

    def learn(self, prepared: Prepared, lo: int, hi: int, answer: bytes, body: bytes) -> None:
        """Learn the looks of an answer that called all messages of a call taken."""
        self._glances.learn(answer, body, len(_messages(prepared).ids(lo, hi)))

    def _one_by_one(self, prepared: Prepared, lo: int, hi: int, said: answered.Said, now_ns: int) -> Answers:
        messages = _messages(prepared)
        found = answered.of_messages(
            said,
            _numbers(messages, lo, hi),
            hexes(messages.body_digests(lo, hi)),
            messages.attribute_digests(lo, hi),
        )
        people = np.diff(np.array(messages.cuts(lo, hi)))
        codes = np.repeat(np.array([int(answer) for answer, _ in found], dtype=np.uint8), people)
        reasons = np.repeat(np.array([reason for _, reason in found], dtype=np.uint8), people)
        return Answers(prepared.tickets[lo:hi], codes, now_ns, None, reasons)

    def _whole(self, prepared: Prepared, lo: int, hi: int, response: Response) -> Verdict:
        """Return what an error says of everybody in a call."""
        code = answered.error_code(response)
        if not code and response.head.status == 413:
            code = "RequestEntityTooLarge"
        number = answered.number_of(code)
        if code in answered.TOO_LONG and self._shorten(prepared, lo, hi):
            return Answer.REFUSED, number, 0
        answer = self._calls.meaning(response.head.status, code, response.head)
        return answer, number, retry_after_ns(response.head)

    def _shorten(self, prepared: Prepared, lo: int, hi: int) -> bool:
        """Make shorter calls from now on; say whether the messages of this one can go apart from each other.

        Many calls of one length may be under way: each of them says the same, and none makes those to come shorter
        than half of itself.
        """
        messages = _messages(prepared)
        if len(messages.cuts(lo, hi)) <= 2:
            return False
        self.largest_call = min(self.largest_call, messages.size(lo, hi) // 2)
        return True

    def _of_all(
        self, prepared: Prepared, lo: int, hi: int, answer: Answer, reason: int, after_ns: int, now_ns: int
    ) -> Answers:
        count = hi - lo
        codes, reasons = np.full(count, answer, dtype=np.uint8), np.full(count, reason, dtype=np.uint8)
        waits = np.full(count, after_ns, dtype=np.int64) if after_ns else None
        return Answers(prepared.tickets[lo:hi], codes, now_ns, waits, reasons)

    def accepted(self) -> list[Answers]:
        """Return those who were accepted since the last call, under the stamp of the last read that said so."""
        return self._taken.answers()


def _messages(prepared: Prepared | None) -> Messages:
    assert prepared is not None
    return prepared.body  # type: ignore[return-value]  # what ``prepare`` has put there


def _numbers(messages: Messages, lo: int, hi: int) -> list[str]:
    return [*messages.ids(lo, hi).decode()]
