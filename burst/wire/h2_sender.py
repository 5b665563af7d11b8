"""A sink's way over HTTP/2: one request for every notification, hundreds to a write, and what comes of each.

A sink says what its requests are (``Requests``), what answers mean (``Reader``), and who it is (``Authorization``,
where that runs out and is renewed); connections, limits, deadlines and what cannot be sent are the sender's business.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Protocol

import numpy as np

from burst.model.batch import Int64Column
from burst.model.errors import BurstError
from burst.model.outcome import Answer
from burst.model.ports import NEVER_NS, Answers, Prepared, SinkContext
from burst.model.units import NS_PER_S
from burst.wire.frames import ErrorCode
from burst.wire.h2_client import ClientConnection, Resets, Responses, WentAway
from burst.wire.h2_pool import H2Pool
from burst.wire.h2_tracers import TracerRequests, Tracers
from burst.wire.h2_upkeep import Upkeep
from burst.wire.h2_writer import Requests, Writer
from burst.wire.limits import Limits
from burst.wire.transport import H2Link
from burst.wire.unanswered import NO_HTTP2, REFUSED_STREAM, RESET, TOLD_TO_GO, UNANSWERED, UNSENDABLE, same_for_all

KEPT = frozenset({b"retry-after"})
"""The response fields that a ``Reader`` finds in ``responses.head.kept``, unless it asks for others."""
_RENEW_WITHIN_S = 5.0
_REFUSED_AT_ONCE = 8192


class Reader(Protocol):
    """What a provider's answers mean."""

    @property
    def reasons(self) -> Sequence[str]:
        """The sink's reasons, those of ``burst.wire.unanswered`` among them."""
        ...

    @property
    def expired(self) -> str:
        """The reason that says that the authorization has expired; empty where none does."""
        ...

    def read(self, responses: Responses, now_ns: int) -> Answers:
        """Return responses with one head as answers; their tags are tickets."""
        ...

    def reason_to_go(self, debug: bytes) -> str:
        """Return the reason that a GOAWAY's debug data gives, one of ``reasons``; empty where it gives none."""
        ...


class Authorization(Protocol):
    """Who the sender is, for as long as that is good."""

    def due(self) -> bool:
        """Whether it is time to renew it."""
        ...

    def expire(self) -> None:
        """Learn that the provider calls it expired; perhaps it said so of the one before."""
        ...

    async def renew(self) -> None:
        """Get it, or get it anew, and show it from now on. Raises BurstError."""
        ...


class H2Sender:
    """One worker's connections to one endpoint, its requests and their answers.

    ``open`` before all else; then it has a sink's methods from ``credit`` on, with the same promises.
    """

    def __init__(
        self,
        shown: str,
        dial: Callable[[Callable[[], H2Link]], Awaitable[H2Link]],
        limits: Limits,
        context: SinkContext,
        requests: Requests,
        reader: Reader,
        authorization: Authorization | None = None,
        keep: frozenset[bytes] = KEPT,
    ) -> None:
        """``shown`` is the endpoint's name in errors, ``keep`` the response fields that ``reader`` looks at."""
        self._shown = shown
        self._limits = limits
        self._context = context
        self._clock = context.clock
        self._reader = reader
        self._numbers = {reason: number for number, reason in enumerate(reader.reasons)}
        if missing := set(UNANSWERED) - set(self._numbers):
            raise ValueError(f"a sink's reasons lack {', '.join(sorted(missing))}: add UNANSWERED to them")
        self._expired = self._numbers[reader.expired] if reader.expired else -1
        self._authorization = authorization
        self._ration = limits.ration()
        self.pool = H2Pool(limits.connections, dial, lambda: ClientConnection(keep=keep), self, context.wake)
        self._writer = Writer(self.pool, requests, limits, context.clock)
        self._upkeep = Upkeep(self.pool, self._writer, limits, context, self._add)
        self._tracers = Tracers(shown, context.clock)
        self._found: list[Answers] = []
        self._unwritten: deque[tuple[Prepared, int, int, int]] = deque()  # from, to, since when
        self._held_back = 0
        self._unsendable: list[Int64Column] = []
        self._looking: asyncio.Task[None] | None = None
        self._renewal: asyncio.Task[None] | None = None

    async def open(self) -> None:
        """Get the authorization and connect. Raises BurstError."""
        if self._authorization is not None:
            await self._authorization.renew()
        try:
            await self.pool.open(self._limits.connect_within_ns / NS_PER_S)
        except BurstError as error:
            raise type(error)(f"{self._shown}: {error.what}", hint=error.hint) from None
        self._looking = asyncio.ensure_future(self._look_after())

    async def trace(self, requests: TracerRequests, count: int) -> str:
        """Send a few requests that must be accepted before the rest may follow; return what was seen.

        Raises TracerError.
        """
        return await self._tracers.send(self.pool, requests, count)

    # -- sending ---------------------------------------------------------------------------------------------------

    def credit(self) -> int:
        """Return how many requests may be written now: streams, windows, sockets, limits."""
        if self._unwritten:
            self._write_rest()
        if self._renewal is not None:
            return 0  # with the authorization that has expired it would be refused
        room = self._writer.room()
        if not room:
            return _REFUSED_AT_ONCE if self._upkeep.refusing else 0
        self._upkeep.refusing = False
        if self._ration is not None:
            room = self._ration.grant(room, self._clock.now_ns())
        return max(0, room - self._held_back)

    def send(self, prepared: Prepared, lo: int, hi: int) -> int:
        """Write requests lo..hi over the connections, as each has room."""
        if self._upkeep.refusing:
            self._unsendable.append(prepared.tickets[lo:hi])
            return hi - lo
        now_ns = self._clock.now_ns()
        if self._ration is not None:
            self._ration.take(hi - lo, now_ns)
        written = self._writer.write(prepared, lo, hi)
        if written < hi:  # a socket was full before its connection was
            self._unwritten.append((prepared, written, hi, now_ns))
            self._held_back += hi - written
        return hi - lo

    def _write_rest(self) -> None:
        """Write what was taken when there was less room than it seemed."""
        while self._unwritten:
            prepared, lo, hi, since_ns = self._unwritten.popleft()
            written = self._writer.write(prepared, lo, hi)
            self._held_back -= written - lo
            if written < hi:
                self._unwritten.appendleft((prepared, written, hi, since_ns))
                return

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
        now_ns = self._clock.now_ns()
        for event in events:
            if isinstance(event, Responses):
                self._take_responses(event, now_ns)
            elif isinstance(event, Resets):
                answer = Answer.DOUBTFUL if event.processed else Answer.REFUSED
                reason = RESET if event.processed else REFUSED_STREAM
                if event.code == ErrorCode.PROTOCOL_ERROR:
                    reason = NO_HTTP2
                self._add(event.tags, answer, reason, now_ns)
            elif isinstance(event, WentAway):
                reason = self._reader.reason_to_go(event.debug)
                if reason and reason == self._reader.expired:
                    self._authorization_expired()
                told = reason if reason and reason in self._numbers else TOLD_TO_GO
                self._add(event.tags, Answer.REFUSED, told, now_ns)

    def _take_responses(self, responses: Responses, now_ns: int) -> None:
        self._upkeep.heard_ns = now_ns
        if responses.tags[0] < 0:  # no push is sent before every tracer is answered
            self._tracers.take(responses)
            return
        answers = self._reader.read(responses, now_ns)
        self._found.append(answers)
        if answers.reasons is not None and (answers.reasons == self._expired).any():
            self._authorization_expired()

    def give_up(self, tags: Int64Column, why: str) -> None:
        """Learn that a connection is gone with these requests open."""
        self._add(tags, Answer.DOUBTFUL, why, self._clock.now_ns())

    def _add(self, tags: Int64Column, answer: Answer, reason: str, now_ns: int) -> None:
        self._tracers.give_up(tags[tags < 0].tolist(), reason)
        tags = tags[tags >= 0]
        if tags.size:
            self._found.append(same_for_all(tags, answer, self._numbers[reason], now_ns))

    def answers(self) -> list[Answers]:
        """Return what has been answered since the last call. Raises what has ended the upkeep, if anything has."""
        if self._looking is not None and self._looking.done() and not self._looking.cancelled():
            self._looking.result()
        if self._unwritten:
            self._write_rest()  # who has nothing more to send does not ask for credit
        if self._unsendable:
            tickets, self._unsendable = np.concatenate(self._unsendable), []
            self._add(tickets, Answer.REFUSED, UNSENDABLE, self._clock.now_ns())
        found, self._found = self._found, []
        return found

    def next_answer_ns(self) -> int:
        """Return when the rate lets more leave, if it is what holds them; else the connections wake the engine."""
        if self._found or self._unsendable:
            return 0
        return NEVER_NS if self._ration is None else self._ration.next_ns(self._clock.now_ns())

    # -- upkeep ----------------------------------------------------------------------------------------------------

    async def _look_after(self) -> None:
        """Cancel what has no answer in time, ping the silent, replace the stuck, keep the authorization young."""
        while True:
            await asyncio.sleep(self._upkeep.until_next_look_ns() / NS_PER_S)
            now_ns = self._clock.now_ns()
            self._upkeep.look(now_ns)
            self._give_back(now_ns)
            if self._authorization is not None and self._authorization.due():
                self._renew_soon()
            if self._unwritten or self._found or self._upkeep.refusing:
                self._context.wake()

    def _give_back(self, now_ns: int) -> None:
        """Refuse what was taken and cannot be written, before the engine must take it for sent."""
        patience_ns = min(self._limits.reconnect_within_ns, self._context.answer_within_ns // 2)
        while self._unwritten and now_ns - self._unwritten[0][3] > patience_ns:
            prepared, lo, hi, _ = self._unwritten.popleft()
            self._held_back -= hi - lo
            self._unsendable.append(prepared.tickets[lo:hi])
            self._context.wake()

    # -- the authorization -----------------------------------------------------------------------------------------

    def _authorization_expired(self) -> None:
        """Learn that the authorization has expired: nothing more goes out with it, if it can be renewed."""
        if self._authorization is None:
            return
        self._authorization.expire()
        if self._authorization.due():
            self._renew_soon()

    def _renew_soon(self) -> None:
        if self._renewal is None:
            self._renewal = asyncio.ensure_future(self._renew())

    async def _renew(self) -> None:
        assert self._authorization is not None
        try:
            with contextlib.suppress(BurstError, TimeoutError):  # the old one may still be good; this is tried again
                async with asyncio.timeout(_RENEW_WITHIN_S):
                    await self._authorization.renew()
        finally:
            self._renewal = None
            self._context.wake()

    async def close(self) -> None:
        """Let go of everything. Safe to call twice."""
        tasks = [task for task in (self._looking, self._renewal) if task is not None]
        self._looking = self._renewal = None
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self.pool.close()
