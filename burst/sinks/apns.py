"""Apple's push service: one HTTP/2 request for every notification, hundreds to a write."""

from __future__ import annotations

from collections.abc import Sequence

from burst.model.batch import Batch, Int64Column
from burst.model.ports import Answers, Prepared, SinkContext
from burst.sinks import apns_answers as said
from burst.sinks.apns_credentials import Credentials
from burst.sinks.apns_requests import Requests
from burst.sinks.apns_settings import ApnsSettings
from burst.sinks.apns_tracers import Tracers
from burst.sinks.endpoint import H2, Endpoint
from burst.wire.h2_sender import H2Sender


class Apns:
    """The sink. One worker's connections, requests and answers."""

    reasons: Sequence[str] = said.REASONS

    def __init__(self, settings: ApnsSettings) -> None:
        self._settings = settings
        self._sender: H2Sender | None = None

    @property
    def judge(self) -> str:
        """Who vouches for an accept: the run's own stand-in keeps a witness, anybody else keeps his counsel."""
        return "witness" if self._settings.stand_in else "sender"

    def division(self, workers: int) -> str | None:
        """Say how a fleet-wide rate is divided among the workers, for the journal."""
        return self._settings.division("apns", workers)

    @property
    def sender(self) -> H2Sender:
        """Its way over HTTP/2, once it is open."""
        assert self._sender is not None
        return self._sender

    async def open(self, context: SinkContext) -> None:
        """Connect, mint or fetch the provider token. Raises BurstError."""
        settings = self._settings
        self._endpoint = Endpoint.of(settings.endpoint, settings, context, dialect="apns", speaks=(H2,))
        self._requests = Requests(settings, self._endpoint, context)
        self._sender = H2Sender(
            self._endpoint.shown,
            self._endpoint.dial,
            settings.limits(context.workers),
            context,
            self._requests,
            said.AppleReader(),
            Credentials.of(settings, context, self._requests.authorize, stand_in=self._endpoint.stand_in),
        )
        await self._sender.open()

    async def trace(self) -> str:
        """Send a few pushes that must be accepted before the rest may follow; return what was seen.

        Raises TracerError.
        """
        tracers = Tracers.of(self._endpoint, self._requests, self._settings.tracer_tokens)
        return await self.sender.trace(tracers, tracers.count)

    def released(self, go_ns: int) -> None:  # noqa: ARG002 (the provider keeps pushes by the calendar, not by our clock)
        """Count the pushes' expiration from GO."""
        self._requests.released()

    def prepare(self, batch: Batch, tickets: Int64Column, indexes: Int64Column) -> Prepared:
        """Render tokens, ids and the payload's columns. Raises UsageError for devices that are not Apple's."""
        return self._requests.prepare(batch, tickets, indexes)

    def credit(self) -> int:
        """Return how many requests may be written now: streams, windows, sockets, limits."""
        return self.sender.credit()

    def send(self, prepared: Prepared, lo: int, hi: int) -> int:
        """Write requests lo..hi over the connections, as each has room."""
        return self.sender.send(prepared, lo, hi)

    def revoke(self) -> Int64Column:
        """Take back what was taken but not written."""
        return self.sender.revoke()

    def answers(self) -> list[Answers]:
        """Return what has been answered since the last call. Raises what has ended the upkeep, if anything has."""
        return self.sender.answers()

    def next_answer_ns(self) -> int:
        """Return when the rate lets more leave, if it is what holds them; else the connections wake the engine."""
        return self.sender.next_answer_ns()

    async def close(self) -> None:
        """Let go of everything."""
        if self._sender is not None:
            await self._sender.close()
