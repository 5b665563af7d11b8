"""Apple's push service: one HTTP/2 request for every notification, hundreds to a write."""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Sequence
from typing import Any, cast

import numpy as np

from burst.model.batch import Batch, Int64Column
from burst.model.errors import BurstError
from burst.model.outcome import Answer
from burst.model.ports import NEVER_NS, Answers, Prepared, SinkContext
from burst.model.units import NS_PER_MS, NS_PER_S, format_rate
from burst.policy.bucket import TokenBucket
from burst.sinks import apns_answers as said
from burst.sinks.apns_credentials import Credentials
from burst.sinks.apns_endpoint import Endpoint
from burst.sinks.apns_requests import Rendered, Requests
from burst.sinks.apns_settings import ApnsSettings
from burst.sinks.apns_tracers import Tracers
from burst.wire.frame_rows import ROWS
from burst.wire.frames import ErrorCode
from burst.wire.h2_client import ClientConnection, Resets, Responses, WentAway
from burst.wire.h2_pool import H2Pool
from burst.wire.transport import H2Link

UPKEEP_NS = 100 * NS_PER_MS
STUCK_AFTER_NS = 2 * NS_PER_S
"""A connection that so long has no room and nothing to wait for (a window that is never opened) is replaced."""
_RENEW_WITHIN_S = 5.0
_RESERVE_NS = 5 * NS_PER_MS  # a limited sender waits for tokens of so long a time: not for each one
_EARLY_NS = 10 * NS_PER_MS  # what is overdue is cancelled so much before the engine gives it up by itself
_REFUSED_AT_ONCE = 8192


class Apns:
    """The sink. One worker's connections, requests and answers."""

    reasons: Sequence[str] = said.REASONS

    def __init__(self, settings: ApnsSettings) -> None:
        self._settings = settings
        self._pool: H2Pool | None = None
        self._bucket: TokenBucket | None = None
        self._short_until_ns = NEVER_NS
        self._found: list[Answers] = []
        self._unwritten: deque[tuple[Prepared, int, int, int]] = deque()  # from, to, since when
        self._held_back = 0
        self._unsendable: list[Int64Column] = []
        self._next = 0
        self._body_bytes = 0
        self._upkeep: asyncio.Task[None] | None = None
        self._renewal: asyncio.Task[None] | None = None
        self._stuck_since_ns: dict[int, int] = {}
        self._stalled_since_ns = NEVER_NS
        self._heard_ns = 0
        self._refusing = False

    @property
    def judge(self) -> str:
        """Who vouches for an accept: the run's own stand-in keeps a witness, anybody else keeps his counsel."""
        return "witness" if self._settings.stand_in else "sender"

    def division(self, workers: int) -> str | None:
        """Say how a fleet-wide rate is divided among the workers, for the journal."""
        rate = self._settings.rate_per_s
        if rate is None:
            return None
        burst = self._settings.effective_burst
        return (
            f"apns: at most {format_rate(rate)} and {burst:,.0f} at once, divided over {workers} worker(s): "
            f"{format_rate(rate / workers)} each"
        )

    # -- before GO -------------------------------------------------------------------------------------------------

    async def open(self, context: SinkContext) -> None:
        """Connect, mint or fetch the provider token. Raises BurstError."""
        settings = self._settings
        self._context = context
        self._endpoint = Endpoint.of(settings, context)
        self._credentials = Credentials.of(settings, context, stand_in=self._endpoint.stand_in)
        self._requests = Requests(settings, self._endpoint, context)
        self._body_bytes = self._requests.body_bytes
        self._tracers = Tracers(self._endpoint, self._requests, context.clock, settings.tracer_tokens)
        if settings.rate_per_s is not None:
            self._bucket = TokenBucket(
                settings.rate_per_s / context.workers, max(1.0, settings.effective_burst / context.workers)
            )
        self._requests.authorize(await self._credentials.authorization())
        self._pool = H2Pool(
            settings.connections,
            self._endpoint.dial,
            lambda: ClientConnection(keep=frozenset({b"retry-after"})),
            self,
            context.wake,
        )
        try:
            await self._pool.open(settings.connect_within_ns / NS_PER_S)
        except BurstError as error:
            raise type(error)(f"{self._endpoint.shown}: {error.what}", hint=error.hint) from None
        self._upkeep = asyncio.ensure_future(self._look_after())

    async def trace(self) -> str:
        """Send a few pushes that must be accepted before the rest may follow; return what was seen.

        Raises TracerError.
        """
        assert self._pool is not None
        return await self._tracers.send(self._pool)

    def released(self, go_ns: int) -> None:  # noqa: ARG002 (the provider keeps pushes by the calendar, not by our clock)
        """Count the pushes' expiration from GO."""
        self._requests.released()

    def prepare(self, batch: Batch, tickets: Int64Column, indexes: Int64Column) -> Prepared:
        """Render tokens, ids and the payload's columns. Raises UsageError for devices that are not Apple's."""
        return self._requests.prepare(batch, tickets, indexes)

    # -- sending ---------------------------------------------------------------------------------------------------

    def credit(self) -> int:
        """Return how many requests may be written now: streams, windows, sockets, limits."""
        if self._unwritten:
            self._write_rest()
        if self._renewal is not None:
            return 0  # with the token that has expired it would be refused
        room = self._room()
        if not room:
            return _REFUSED_AT_ONCE if self._refusing else 0
        self._refusing = False
        if self._bucket is not None:
            now_ns = self._context.clock.now_ns()
            tokens = self._bucket.available(now_ns)
            if tokens < room:
                room = tokens
                self._short_until_ns = now_ns + self._bucket.wait_ns(self._reserve())
        return max(0, room - self._held_back)

    def _reserve(self) -> int:
        """Return for how many tokens at once it is worth waiting."""
        assert self._bucket is not None
        wanted = min(self._bucket.burst / 2, self._bucket.rate_per_s * _RESERVE_NS / NS_PER_S)
        return max(1, int(wanted))

    def _room(self) -> int:
        assert self._pool is not None
        room = under_way = 0
        for link in self._pool.links:
            under_way += link.connection.streams.open
            if not link.full:
                room += self._room_of(cast("ClientConnection", link.connection))
        if self._settings.in_flight is not None:
            room = min(room, self._settings.in_flight - under_way)
        return max(0, room)

    def _room_of(self, connection: ClientConnection) -> int:
        room = connection.room(self._body_bytes)
        if self._settings.streams is not None:
            room = min(room, self._settings.streams - connection.streams.open)
        return max(0, room)

    def send(self, prepared: Prepared, lo: int, hi: int) -> int:
        """Write requests lo..hi over the connections, as each has room."""
        if self._refusing:
            self._unsendable.append(prepared.tickets[lo:hi])
            return hi - lo
        now_ns = self._context.clock.now_ns()
        if self._bucket is not None:
            self._bucket.take(hi - lo, now_ns)
        written = self._write(prepared, lo, hi)
        if written < hi:  # a socket was full before its connection was
            self._unwritten.append((prepared, written, hi, now_ns))
            self._held_back += hi - written
        return hi - lo

    def _write_rest(self) -> None:
        """Write what was taken when there was less room than it seemed."""
        while self._unwritten:
            prepared, lo, hi, since_ns = self._unwritten.popleft()
            written = self._write(prepared, lo, hi)
            self._held_back -= written - lo
            if written < hi:
                self._unwritten.appendleft((prepared, written, hi, since_ns))
                return

    def _write(self, prepared: Prepared, lo: int, hi: int) -> int:
        """Write as many of lo..hi as there is room for; return where it stopped."""
        assert self._pool is not None
        rendered = prepared.body
        if isinstance(rendered, Rendered):
            self._body_bytes = len(rendered.text.raw)
        links = self._pool.links
        idle = 0
        while lo < hi and idle < len(links):
            self._next = (self._next + 1) % len(links)
            link = links[self._next]
            connection = cast("ClientConnection", link.connection)
            count = 0 if link.full else min(hi - lo, ROWS, self._room_of(connection))
            taken = 0
            if count:
                if isinstance(rendered, Rendered):
                    taken = self._write_rows(link, connection, prepared, rendered, lo, lo + count)
                else:
                    taken = self._write_one(link, connection, prepared, lo)
            idle = 0 if taken else idle + 1
            lo += taken
        return lo

    def _write_rows(
        self,
        link: H2Link,
        connection: ClientConnection,
        prepared: Prepared,
        rendered: Rendered,
        lo: int,
        hi: int,
    ) -> int:
        size = len(rendered.text.raw)
        if not connection.fits(size):
            return self._write_one(link, connection, prepared, lo)
        shape = self._requests.shape(connection, prepared, rendered, lo)
        if isinstance(shape, bytes):
            return self._write_one(link, connection, prepared, lo, shape)
        ids = connection.open(prepared.tickets[lo:hi], size, self._context.clock.now_ns())
        part = slice(lo, lo + ids.size)
        columns = [rendered.digits[part], rendered.ids[part], *(column[part] for column in rendered.columns)]
        if connection.output:
            link.flush()
        link.write(shape.render(ids, columns))
        return int(ids.size)

    def _write_one(
        self, link: H2Link, connection: ClientConnection, prepared: Prepared, at: int, block: bytes | None = None
    ) -> int:
        """Write one request as it comes, through whatever windows there are."""
        if block is None:
            block, body = self._requests.one(connection, prepared, at)
        else:
            body = self._requests.body(
                prepared.batch, prepared.batch.token_text(at).encode(), int(prepared.indexes[at])
            )
        connection.request(block, body, int(prepared.tickets[at]), self._context.clock.now_ns())
        link.flush()
        return 1

    def revoke(self) -> Int64Column:
        """Take back what was taken but not written."""
        tickets = [prepared.tickets[lo:hi] for prepared, lo, hi, _ in self._unwritten] + self._unsendable
        self._unwritten.clear()
        self._unsendable = []
        self._held_back = 0
        return np.concatenate(tickets) if tickets else np.empty(0, dtype=np.int64)

    # -- answers ---------------------------------------------------------------------------------------------------

    def take(self, link: H2Link, events: Sequence[Any]) -> None:  # noqa: ARG002 (a port's method)
        """Take what a connection said."""
        now_ns = self._context.clock.now_ns()
        for event in events:
            if isinstance(event, Responses):
                self._take_responses(event, now_ns)
            elif isinstance(event, Resets):
                answer = Answer.DOUBTFUL if event.processed else Answer.REFUSED
                reason = said.RESET if event.processed else said.REFUSED_STREAM
                if event.code == ErrorCode.PROTOCOL_ERROR:
                    reason = said.NO_HTTP2
                self._add(event.tags, answer, reason, now_ns)
            elif isinstance(event, WentAway):
                self._take_goaway(event, now_ns)

    def _take_responses(self, responses: Responses, now_ns: int) -> None:
        self._heard_ns = now_ns
        if responses.tags[0] < 0:  # no push is sent before every tracer is answered
            self._tracers.take(responses)
            return
        answers = said.read_responses(responses, now_ns)
        self._found.append(answers)
        if answers.reasons is not None and (answers.reasons == said.NUMBERS["ExpiredProviderToken"]).any():
            self._token_expired()

    def _take_goaway(self, event: WentAway, now_ns: int) -> None:
        reason = said.reason_of(event.debug)
        if reason == "ExpiredProviderToken":
            self._token_expired()
        self._add(event.tags, Answer.REFUSED, said.TOLD_TO_GO if reason == said.NONE_GIVEN else reason, now_ns)

    def give_up(self, tags: Int64Column, why: str) -> None:
        """Learn that a connection is gone with these requests open."""
        self._add(tags, Answer.DOUBTFUL, why, self._context.clock.now_ns())

    def _add(self, tags: Int64Column, answer: Answer, reason: str, now_ns: int) -> None:
        self._tracers.give_up(tags[tags < 0].tolist(), reason)
        tags = tags[tags >= 0]
        if tags.size:
            self._found.append(said.same_for_all(tags, answer, reason, now_ns))

    def answers(self) -> list[Answers]:
        """Return what has been answered since the last call. Raises what has ended the upkeep, if anything has."""
        if self._upkeep is not None and self._upkeep.done() and not self._upkeep.cancelled():
            self._upkeep.result()
        if self._unsendable:
            tickets, self._unsendable = np.concatenate(self._unsendable), []
            self._add(tickets, Answer.REFUSED, said.UNSENDABLE, self._context.clock.now_ns())
        found, self._found = self._found, []
        return found

    def next_answer_ns(self) -> int:
        """Return when the rate lets more leave, if it is what holds them; else the connections wake the engine."""
        if self._found or self._unsendable:
            return 0
        until_ns = self._short_until_ns
        if until_ns <= self._context.clock.now_ns():
            self._short_until_ns = NEVER_NS  # told once: who has nothing to send does not ask for credit again
        return until_ns

    # -- upkeep ----------------------------------------------------------------------------------------------------

    async def _look_after(self) -> None:
        """Cancel what has no answer in time, ping the silent, replace the stuck, keep the provider token young."""
        assert self._pool is not None
        while True:
            await asyncio.sleep(self._until_next_look_ns() / NS_PER_S)
            now_ns = self._context.clock.now_ns()
            self._look_for_stuck(now_ns)  # before room is made by cancelling
            self._cancel_overdue(now_ns)
            self._pool.look_after()
            self._give_back(now_ns)
            if self._credentials.due():
                self._renew_soon()
            if self._unwritten or self._found or self._refusing:
                self._context.wake()

    def _until_next_look_ns(self) -> int:
        assert self._pool is not None
        within_ns, oldest_ns = self._context.answer_within_ns, NEVER_NS
        if within_ns == NEVER_NS:
            return UPKEEP_NS
        for link in self._pool.links:
            streams = link.connection.streams
            held = streams.held()
            if held.size:
                oldest_ns = min(oldest_ns, int(streams["opened_ns"][held].min()))
        due_ns = oldest_ns - self._context.clock.now_ns() + within_ns - _EARLY_NS if oldest_ns < NEVER_NS else UPKEEP_NS
        return min(UPKEEP_NS, max(due_ns, NS_PER_MS))

    def _cancel_overdue(self, now_ns: int) -> None:
        """Cancel requests without an answer; just before the engine gives them up, so that each is told once."""
        assert self._pool is not None
        if self._context.answer_within_ns == NEVER_NS:
            return
        before_ns = now_ns + _EARLY_NS - self._context.answer_within_ns
        for link in self._pool.links:
            self._withdraw(link, before_ns, now_ns)
        for tags in self._pool.cancel_overdue(before_ns):
            self._add(tags, Answer.DOUBTFUL, said.OVERDUE, now_ns)

    def _withdraw(self, link: H2Link, before_ns: int, now_ns: int) -> None:
        """Take back requests whose payload is not out: nobody can have acted upon them."""
        connection = cast("ClientConnection", link.connection)
        if connection.blocked:
            self._add(connection.withdraw(before_ns), Answer.REFUSED, said.UNFINISHED, now_ns)
            link.flush()

    def _look_for_stuck(self, now_ns: int) -> None:
        """Replace connections that have no room and nothing to wait for; refuse when that has lasted too long.

        Such are a window that is never opened again, a limit of no streams; and no connection at all.
        """
        assert self._pool is not None
        stuck: dict[int, int] = {}
        looked_at = len(self._pool.links)
        for link in list(self._pool.links):
            connection = cast("ClientConnection", link.connection)
            waiting = connection.streams.open > connection.blocked
            if not waiting and (link.full or not connection.room(self._body_bytes)):
                since_ns = stuck[id(link)] = self._stuck_since_ns.get(id(link), now_ns)
                if now_ns - since_ns > STUCK_AFTER_NS:
                    self._withdraw(link, NEVER_NS, now_ns)
                    self._pool.let_go(link)  # at once: its window closed, it seems to have room for one request more
        self._stuck_since_ns = stuck
        if len(stuck) < looked_at:
            self._stalled_since_ns, self._refusing = NEVER_NS, False
        else:
            self._stalled_since_ns = max(min(self._stalled_since_ns, now_ns), self._heard_ns)
            self._refusing = now_ns - self._stalled_since_ns > self._settings.reconnect_within_ns

    def _give_back(self, now_ns: int) -> None:
        """Refuse what was taken and cannot be written, before the engine must take it for sent."""
        patience_ns = min(self._settings.reconnect_within_ns, self._context.answer_within_ns // 2)
        while self._unwritten and now_ns - self._unwritten[0][3] > patience_ns:
            prepared, lo, hi, _ = self._unwritten.popleft()
            self._held_back -= hi - lo
            self._unsendable.append(prepared.tickets[lo:hi])
            self._context.wake()

    # -- the provider token ----------------------------------------------------------------------------------------

    def _token_expired(self) -> None:
        """Learn that Apple calls the provider token expired: nothing more goes out with it, if it can be renewed."""
        self._credentials.expire()
        if self._credentials.due():
            self._renew_soon()

    def _renew_soon(self) -> None:
        if self._renewal is None:
            self._renewal = asyncio.ensure_future(self._renew())

    async def _renew(self) -> None:
        """Take the fleet's provider token, made anew by one of its workers."""
        try:
            with contextlib.suppress(BurstError, TimeoutError):  # the old one may still be good; this is tried again
                async with asyncio.timeout(_RENEW_WITHIN_S):
                    self._requests.authorize(await self._credentials.authorization())
        finally:
            self._renewal = None
            self._context.wake()

    async def close(self) -> None:
        """Let go of everything."""
        tasks = [task for task in (self._upkeep, self._renewal) if task is not None]
        self._upkeep = self._renewal = None
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if self._pool is not None:
            await self._pool.close()
