"""Any webhook: requests from templates over HTTP/1.1 or HTTP/2, and what comes of each by its status."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from burst.model.batch import Batch, Int64Column
from burst.model.errors import BurstError, TracerError
from burst.model.outcome import Answer
from burst.model.ports import Answers, Prepared, SinkContext
from burst.model.units import NS_PER_S
from burst.sinks.endpoint import H1, H2, Endpoint
from burst.sinks.http_calls import SharedCalls, SingleCalls
from burst.sinks.http_settings import HttpSettings
from burst.sinks.http_statuses import REASONS, Statuses
from burst.sinks.http_streams import StreamRequests, WebhookReader
from burst.sinks.http_wording import Wording
from burst.wire.h1 import H1Error
from burst.wire.h1_sender import H1Sender
from burst.wire.h2_client import ClientConnection
from burst.wire.h2_sender import H2Sender
from burst.wire.h2_tracers import NOBODY_ELSE, WITHIN_S
from burst.wire.redial import advice_on, reason_of

_MADE_UP = ("0" * 64,)
_HINT = f"{NOBODY_ELSE}; check endpoint, method, headers, body, and what statuses says of such an answer"


class Http:
    """The sink. One worker's connections, requests and answers."""

    reasons: Sequence[str] = REASONS

    def __init__(self, settings: HttpSettings) -> None:
        self._settings = settings
        self._way: H1Sender | H2Sender | None = None
        self._requests: SingleCalls | SharedCalls | StreamRequests | None = None

    @property
    def judge(self) -> str:
        """Who vouches for an accept: the stand-in's witness; else the sender alone, or who let it into a pipeline."""
        if self._settings.stand_in:
            return "witness"
        return "entrance" if self._settings.entrance else "sender"

    def division(self, workers: int) -> str | None:
        """Say how a fleet-wide rate is divided among the workers, for the journal."""
        return self._settings.division("http", workers)

    @property
    def sender(self) -> H1Sender | H2Sender:
        """Its way, once it is open."""
        assert self._way is not None
        return self._way

    async def open(self, context: SinkContext) -> None:
        """Read the secrets, find out which HTTP is spoken, connect. Raises BurstError."""
        settings = self._settings
        endpoint = Endpoint.of(settings.endpoint, settings, context, dialect="http", speaks=_spoken(settings))
        self._endpoint = endpoint
        wording = Wording(settings, context)
        limits = settings.limits(context.workers)
        if await self._version(endpoint) == H2:
            streams = self._requests = StreamRequests(settings, wording, endpoint)
            reader = WebhookReader(Statuses(settings.statuses))
            self._way = H2Sender(endpoint.shown, endpoint.dial, limits, context, streams, reader)
        else:
            kind = SharedCalls if settings.people_per_request > 1 else SingleCalls
            calls = self._requests = kind(settings, wording, endpoint.authority, context)
            self._way = H1Sender(endpoint.shown, endpoint.dial, limits, context, calls)
        await self._way.open()

    async def _version(self, endpoint: Endpoint) -> str:
        spoken = _spoken(self._settings)
        if len(spoken) == 1:
            return spoken[0]
        try:
            async with asyncio.timeout(self._settings.connect_within_ns / NS_PER_S):
                return await endpoint.settle()
        except OSError as error:  # TimeoutError among them
            raise BurstError(f"{endpoint.shown}: {reason_of(error)}", hint=advice_on(error, "HTTP")) from None

    async def trace(self) -> str:
        """Send a request that must be accepted before the rest may follow; return what was seen. Raises TracerError."""
        tokens = self._settings.tracer_tokens
        if not tokens and not self._endpoint.near:
            raise TracerError(
                f"no tracer may go to {self._endpoint.shown}: no token of yours is named",
                hint="give tracer_tokens: tokens that get a request before everybody else does",
            )
        statuses = Statuses(self._settings.statuses)
        if isinstance(self._way, H2Sender):
            assert isinstance(self._requests, StreamRequests)
            tracers = _StreamTracers(self._requests, tokens or _MADE_UP, statuses)
            return await self._way.trace(tracers, len(tokens or _MADE_UP))
        return await self._trace_calls(tokens or _MADE_UP, statuses)

    async def _trace_calls(self, tokens: Sequence[str], statuses: Statuses) -> str:
        assert isinstance(self._way, H1Sender)
        assert isinstance(self._requests, (SingleCalls, SharedCalls))
        shown, loop = self._endpoint.shown, asyncio.get_running_loop()
        begun_s = loop.time()
        for number, token in enumerate(tokens):
            try:
                response = await self._way.ask(self._requests.tracer(token, number), WITHIN_S)
            except TimeoutError:
                raise TracerError(f"{shown} did not answer a tracer within {WITHIN_S:.0f} s", hint=_HINT) from None
            except (OSError, H1Error) as error:
                raise TracerError(f"{shown} did not answer a tracer: {error}", hint=_HINT) from None
            fault = _fault(statuses, response.head.status)
            if fault:
                raise TracerError(f"{shown} refused a tracer: {fault}", hint=_HINT)
        return f"{len(tokens)} tracer(s) accepted by {shown} in {(loop.time() - begun_s) * 1e3:.1f} ms"

    def released(self, go_ns: int) -> None:
        """Learn the instant of GO; no request knows of it."""

    def prepare(self, batch: Batch, tickets: Int64Column, indexes: Int64Column) -> Prepared:
        """Render the requests as far as can be."""
        assert self._requests is not None
        return self._requests.prepare(batch, tickets, indexes)

    def credit(self) -> int:
        """Return how many people may be sent to now: connections, streams, limits."""
        return self.sender.credit()

    def send(self, prepared: Prepared, lo: int, hi: int) -> int:
        """Send to people lo..hi."""
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
        if self._way is not None:
            await self._way.close()


def _spoken(settings: HttpSettings) -> tuple[str, ...]:
    if settings.people_per_request > 1 or settings.http_version == "1.1":
        return (H1,)
    return (H2,) if settings.http_version == "2" else (H2, H1)


def _fault(statuses: Statuses, status: int) -> str:
    """Return what a tracer's answer says; empty when it accepts the tracer."""
    answer, reason, _ = statuses.verdict(status, None, None)
    return "" if answer is Answer.ACCEPTED else f"{REASONS[reason]} ({status}, taken as {answer.name.lower()})"


class _StreamTracers:
    """Tracers over HTTP/2."""

    def __init__(self, requests: StreamRequests, tokens: Sequence[str], statuses: Statuses) -> None:
        self._requests, self._tokens, self._statuses = requests, tokens, statuses
        self.body_bytes = requests.body_bytes

    def tracer(self, connection: ClientConnection, number: int) -> tuple[bytes, bytes]:
        """Return a tracer's header block and body."""
        return self._requests.tracer(connection, number, self._tokens[number])

    def fault(self, status: int, body: bytes) -> tuple[str, str] | None:  # noqa: ARG002 (a port's method)
        """Return what an answer says and what to do about it; None when it accepts the tracer."""
        fault = _fault(self._statuses, status)
        return (fault, "check endpoint, method, headers, body, statuses") if fault else None
