"""Amazon SQS: ten messages a signed call over HTTP/1.1, one person or many people a message."""

from __future__ import annotations

from collections.abc import Sequence

from burst.model.batch import Batch, Int64Column
from burst.model.errors import BurstError
from burst.model.ports import Answers, Prepared, SinkContext
from burst.sinks.aws_calls import AwsCalls
from burst.sinks.aws_endpoint import naming
from burst.sinks.endpoint import H1, Endpoint
from burst.sinks.sqs_answers import REASONS
from burst.sinks.sqs_calls import SqsCalls
from burst.sinks.sqs_queue import fields, queue_url
from burst.sinks.sqs_settings import SqsSettings
from burst.sinks.sqs_tracers import Tracers
from burst.wire.h1_sender import H1Sender


class Sqs:
    """The sink. One worker's connections, calls and answers."""

    reasons: Sequence[str] = REASONS

    def __init__(self, settings: SqsSettings) -> None:
        self._settings = settings
        self._sender: H1Sender | None = None
        self._calls: AwsCalls | None = None

    @property
    def judge(self) -> str:
        """Who vouches for an accept: the run's own stand-in keeps a witness; any other queue is only an entrance."""
        return "witness" if self._settings.stand_in else "entrance"

    def division(self, workers: int) -> str | None:
        """Say how a fleet-wide rate is divided among the workers, for the journal."""
        return self._settings.division("sqs", workers)

    @property
    def sender(self) -> H1Sender:
        """Its way over HTTP/1.1, once it is open."""
        assert self._sender is not None
        return self._sender

    async def open(self, context: SinkContext) -> None:
        """Find keys and queue, and connect. Raises BurstError."""
        settings = self._settings
        self._endpoint = Endpoint.of(settings.url(), settings, context, dialect="sqs", speaks=(H1,))
        self._calls = AwsCalls(settings, self._endpoint, fields("SendMessageBatch"), context)
        self._requests = SqsCalls(settings, self._calls, context)
        self._context = context
        await self._calls.open()
        limits = settings.limits(context.workers)
        self._sender = H1Sender(
            self._endpoint.shown, self._endpoint.dial, limits, context, self._requests, glancer=self._requests
        )
        try:
            await self._sender.open()
        except BurstError as error:
            raise naming(error, self._calls.named_by) from None
        self._requests.to(await queue_url(settings, self._endpoint, self._sender, self._calls))

    async def trace(self) -> str:
        """Send a marked message of each kind that must be taken before the rest may follow; return what was seen.

        Raises TracerError.
        """
        assert self._calls is not None
        tracers = Tracers(self._settings, self._endpoint, self._requests, self._context)
        return await tracers.send(self.sender, self._calls)

    def released(self, go_ns: int) -> None:
        """Nothing waits for GO."""

    def prepare(self, batch: Batch, tickets: Int64Column, indexes: Int64Column) -> Prepared:
        """Take a batch in; its tokens become text."""
        return self._requests.prepare(batch, tickets, indexes)

    def credit(self) -> int:
        """Return how many people may be sent to now: idle connections, limits."""
        return self.sender.credit()

    def send(self, prepared: Prepared, lo: int, hi: int) -> int:
        """Call for people lo..hi over idle connections."""
        return self.sender.send(prepared, lo, hi)

    def revoke(self) -> Int64Column:
        """Take back what was taken but not written."""
        return self.sender.revoke()

    def answers(self) -> list[Answers]:
        """Return what has been answered since the last call. Raises what has ended the upkeep, if anything has."""
        return [*self.sender.answers(), *self._requests.accepted()]

    def next_answer_ns(self) -> int:
        """Return when the rate lets more leave, if it is what holds them; else the connections wake the engine."""
        return self.sender.next_answer_ns()

    async def close(self) -> None:
        """Let go of everything."""
        if self._sender is not None:
            await self._sender.close()
        if self._calls is not None:
            await self._calls.close()
