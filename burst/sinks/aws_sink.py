"""What the sinks of AWS have in common: signed calls of one worker over HTTP/1.1, and their answers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Generic, Protocol, TypeVar

from burst.model.batch import Batch, Int64Column
from burst.model.errors import BurstError
from burst.model.ports import Answers, Prepared, SinkContext
from burst.sinks.aws_calls import AwsCalls
from burst.sinks.aws_endpoint import naming
from burst.sinks.aws_settings import AwsSettings
from burst.sinks.endpoint import H1, Endpoint
from burst.wire.h1_sender import Caller, Glancer, H1Sender


class Requests(Caller, Glancer, Protocol):
    """A service's calls, as the sender asks for them; they keep by themselves who was accepted."""

    def prepare(self, batch: Batch, tickets: Int64Column, indexes: Int64Column) -> Prepared:
        """Take a batch in."""
        ...

    def accepted(self) -> list[Answers]:
        """Return those who were accepted since the last call."""
        ...


S = TypeVar("S", bound=AwsSettings)
R = TypeVar("R", bound=Requests)


class AwsSink(Generic[S, R]):
    """One worker's connections, calls and answers. Which calls these are, and their tracers, is the service's."""

    def __init__(self, settings: S, fields: Sequence[tuple[str, str]]) -> None:
        """``fields`` are those of ``AwsCalls``."""
        self._settings = settings
        self._fields = fields
        self._sender: H1Sender | None = None
        self._calls: AwsCalls | None = None

    @property
    def judge(self) -> str:
        """Who vouches for an accept: the run's own stand-in keeps a witness; the service itself is only an entrance."""
        return "witness" if self._settings.stand_in else "entrance"

    def division(self, workers: int) -> str | None:
        """Say how a fleet-wide rate is divided among the workers, for the journal."""
        return self._settings.division(self._settings.service, workers)

    @property
    def sender(self) -> H1Sender:
        """Its way over HTTP/1.1, once it is open."""
        assert self._sender is not None
        return self._sender

    @property
    def calls(self) -> AwsCalls:
        """What signs its calls, once it is open."""
        assert self._calls is not None
        return self._calls

    def _make_requests(self, calls: AwsCalls, context: SinkContext) -> R:
        """Return the service's calls. Raises UsageError."""
        raise NotImplementedError

    async def open(self, context: SinkContext) -> None:
        """Find the keys, and connect. Raises BurstError."""
        settings = self._settings
        self._endpoint = Endpoint.of(settings.url(), settings, context, dialect=settings.service, speaks=(H1,))
        self._calls = AwsCalls(settings, self._endpoint, self._fields, context)
        self._requests = self._make_requests(self._calls, context)
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
