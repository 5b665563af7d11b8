"""A sink's way over HTTP/1.1: many calls over many keep-alive connections, one at a time on each, never pipelined.

A sink says what its calls are and what their answers mean (``Caller``); connections, limits, deadlines and what cannot
be sent are the sender's business. A call that was lost is told as doubtful and never sent again here: see
``H1Pool.renew_stale``.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol

import numpy as np

from burst.model.batch import Int64Column
from burst.model.errors import BurstError
from burst.model.outcome import Answer
from burst.model.ports import NEVER_NS, Answers, Prepared, SinkContext
from burst.model.units import NS_PER_MS, NS_PER_S
from burst.wire.h1 import H1Error
from burst.wire.h1_client import Head, Response
from burst.wire.h1_link import FAMILIAR, H1Link
from burst.wire.h1_pool import H1Pool
from burst.wire.limits import Limits
from burst.wire.unanswered import LOST, UNSENDABLE

OVERDUE, NO_HTTP1 = "no answer in time: connection closed", "answer that is no HTTP/1.1"
UNANSWERED = (LOST, OVERDUE, NO_HTTP1, UNSENDABLE)
"""A sink that sends through ``H1Sender`` has them all among its own reasons."""

UPKEEP_NS = 100 * NS_PER_MS
_EARLY_NS = 10 * NS_PER_MS  # what is overdue is given up so much before the engine does it by itself
_REFUSED_AT_ONCE = 8192
_LONGEST_FAMILIAR = 2048  # bytes of an answer that is kept in mind
_ASK_AGAIN_S = 0.005

Verdict = tuple[Answer, int, int]
"""What is said of all people of a call: the answer, its reason's number, how long to wait (ns; 0 = not said)."""


class Caller(Protocol):
    """A sink's calls: what they are on the wire, and what their answers mean."""

    @property
    def reasons(self) -> Sequence[str]:
        """The sink's reasons, those of ``UNANSWERED`` among them."""
        ...

    @property
    def per_call(self) -> int:
        """How many people a call carries at most. Where it is 1, ``stops`` is not asked."""
        ...

    @property
    def weight(self) -> int:
        """How many people make up one of what the rate counts, at most: 1 where it counts people."""
        ...

    def cost(self, prepared: Prepared, lo: int, hi: int) -> int:
        """Return how much of the rate the call for people lo..hi takes. Where ``per_call`` is 1, it is 1."""
        ...

    def stops(self, prepared: Prepared, lo: int) -> int:
        """Return where the call that begins with person ``lo`` must end at the latest, more than ``lo``."""
        ...

    def request(self, prepared: Prepared, lo: int, hi: int) -> bytes | list[bytes]:
        """Return the call for people lo..hi, a complete HTTP/1.1 request; it is written now."""
        ...

    def plain(self, head: Head) -> Verdict | None:
        """Return what an answer with this head says of everybody in its call; None if its body must be read.

        It is asked once for a head that comes again.
        """
        ...

    def read(self, prepared: Prepared, lo: int, hi: int, response: Response, now_ns: int) -> Answers | list[Answers]:
        """Return what an answer says of people lo..hi: each of them once."""
        ...


class Glancer(Protocol):
    """Knows by their looks answers that say no more than that everybody was accepted; keeps who was, by itself."""

    def glance(self, links: Sequence[H1Link]) -> Sequence[H1Link]:
        """Look at answers, head and all, that came in the loop's same turn; each link has its own, and its call.

        Keep who was accepted by those that say so, and return the links of all others.
        """
        ...

    def learn(self, prepared: Prepared, lo: int, hi: int, answer: bytes, body: bytes) -> None:
        """Learn what an answer looks like that said so when it was read; ``body`` is its own."""
        ...


class H1Sender:
    """One worker's connections to one endpoint, its calls and their answers.

    ``open`` before all else; then it has a sink's methods from ``credit`` on, with the same promises.
    """

    def __init__(
        self,
        shown: str,
        dial: Callable[[Callable[[], H1Link]], Awaitable[H1Link]],
        limits: Limits,
        context: SinkContext,
        caller: Caller,
        *,
        idle_for_ns: int | None = None,
        glancer: Glancer | None = None,
    ) -> None:
        """``shown`` is the endpoint's name in errors; ``idle_for_ns`` is the pool's; ``in_flight`` counts calls.

        ``glancer`` is shown every answer that came in one read, all those of a turn of the loop together, and learns
        those of which ``read`` had nothing to say.
        """
        self._shown = shown
        self._limits = limits
        self._context = context
        self._clock = context.clock
        self._caller = caller
        self._numbers = {reason: number for number, reason in enumerate(caller.reasons)}
        if missing := set(UNANSWERED) - set(self._numbers):
            raise ValueError(f"a sink's reasons lack {', '.join(sorted(missing))}: add UNANSWERED to them")
        self._ration = limits.ration()
        self.pool = H1Pool(limits.connections, dial, self, context.wake, context.clock, idle_for_ns=idle_for_ns)
        self._glancer = glancer
        if glancer is not None:
            self.pool.held = []
        self._verdicts: dict[Verdict, list[int]] = {}  # with the people of whom they were said since the engine asked
        self._plain: dict[int, tuple[Head, Verdict | None]] = {}  # by Head, which is kept so that nobody has its id
        self._found: list[Answers] = []
        self._usual = caller.per_call  # people in a call, as the last batch had it
        self._unwritten: deque[tuple[Prepared, int, int, int]] = deque()  # from, to, since when
        self._held_back = 0
        self._unsendable: list[Int64Column] = []
        self._stalled_since_ns = NEVER_NS
        self._refusing = False
        self._looking: asyncio.Task[None] | None = None

    async def open(self) -> None:
        """Connect. Raises BurstError."""
        try:
            await self.pool.open(self._limits.connect_within_ns / NS_PER_S)
        except BurstError as error:
            raise type(error)(f"{self._shown}: {error.what}", hint=error.hint) from None
        self._looking = asyncio.ensure_future(self._look_after())

    async def ask(self, request: bytes, within_s: float) -> Response:
        """Send one request that carries nobody (a tracer), outside the limits, and return its answer.

        Raises OSError (TimeoutError among them), and H1Error for what is none.
        """
        async with asyncio.timeout(within_s):
            while not self.pool.idle:  # noqa: ASYNC110 (a server may close after each answer)
                await asyncio.sleep(_ASK_AGAIN_S)
            link = self.pool.idle.pop()
            try:
                return await link.ask(request, self._clock.now_ns())
            finally:
                if link.busy:
                    self.pool.retire(link, now=True)

    # -- sending ---------------------------------------------------------------------------------------------------

    def credit(self) -> int:
        """Return how many people may be sent to now: connections, limits."""
        if self._unwritten:
            self._write_rest()
        room = self._calls() * self._usual
        if not room:
            return _REFUSED_AT_ONCE if self._refusing else 0
        self._refusing = False
        if self._ration is not None:
            weight = self._caller.weight
            whole = self._usual // weight  # of the rate, what a call takes that is full
            room = min(room, weight * self._ration.grant(-(-room // weight), self._clock.now_ns(), at_least=whole))
        return max(0, room - self._held_back)

    def _calls(self) -> int:
        """Return how many calls may be made now."""
        calls, in_flight = len(self.pool.idle), self._limits.in_flight
        if in_flight is not None:
            calls = min(calls, in_flight - self.pool.busy)
        return max(0, calls)

    def send(self, prepared: Prepared, lo: int, hi: int) -> int:
        """Call for people lo..hi over idle connections."""
        if self._refusing:
            self._unsendable.append(prepared.tickets[lo:hi])
            return hi - lo
        written = self._write(prepared, lo, hi)
        if written < hi:  # calls were shorter than those before
            self._unwritten.append((prepared, written, hi, self._clock.now_ns()))
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
        """Make as many of the calls for people lo..hi as there is room for; return where it stopped."""
        now_ns = self._clock.now_ns()
        calls = self._calls()
        if self._caller.per_call == 1:
            hi = min(hi, lo + calls)
            self._write_single(prepared, lo, hi, now_ns)
            if self._ration is not None:
                self._ration.take(hi - lo, now_ns)
            return hi
        return self._write_several(prepared, lo, hi, calls, now_ns)

    def _write_single(self, prepared: Prepared, lo: int, hi: int, now_ns: int) -> None:
        request, take_link, at = self._caller.request, self.pool.idle.pop, lo
        for ticket in prepared.tickets[lo:hi].tolist():
            after = at + 1
            take_link().call(request(prepared, at, after), prepared, at, after, [ticket], now_ns)
            at = after

    def _write_several(self, prepared: Prepared, lo: int, hi: int, calls: int, now_ns: int) -> int:
        caller, idle, ration = self._caller, self.pool.idle, self._ration
        left = hi - lo if ration is None else ration.grant(hi - lo, now_ns)
        granted = left
        while lo < hi and calls:
            end = min(lo + caller.per_call, caller.stops(prepared, lo))
            if end < hi:
                self._usual = end - lo
            end = min(end, hi)
            if ration is not None:
                left -= caller.cost(prepared, lo, end)
                if left < 0:
                    left += caller.cost(prepared, lo, end)
                    break
            request = caller.request(prepared, lo, end)
            idle.pop().call(request, prepared, lo, end, None, now_ns)
            calls -= 1
            lo = end
        if ration is not None:
            ration.take(granted - left, now_ns)
        return lo

    def revoke(self) -> Int64Column:
        """Take back what was taken but not written."""
        tickets = [prepared.tickets[lo:hi] for prepared, lo, hi, _ in self._unwritten] + self._unsendable
        self._unwritten.clear()
        self._unsendable = []
        self._held_back = 0
        return np.concatenate(tickets) if tickets else np.empty(0, dtype=np.int64)

    # -- answers ---------------------------------------------------------------------------------------------------

    def look(self) -> None:
        """Look at the answers that are held: their connections are free after this, or read."""
        held = self.pool.held
        if not held or self._glancer is None:
            return
        links = held.copy()
        held.clear()
        others = self._glancer.glance(links)
        if len(others) < len(links):
            apart = set(others)
            for link in links:
                if link not in apart:
                    link.accept_held()
        for link in others:
            link.read_held()

    def take(self, link: H1Link, response: Response, whole: bytes) -> None:
        """Take the answer to a call."""
        if link.prepared is None:
            return  # somebody asked, and has it
        head = response.head
        known = self._plain.get(id(head))
        if known is None:
            known = self._learn(head)
        verdict = known[1]
        if verdict is None:
            answers = self._caller.read(link.prepared, link.lo, link.hi, response, self._clock.now_ns())
            self._found += answers if isinstance(answers, list) else [answers]
            if self._glancer is not None and answers == [] and whole:
                self._glancer.learn(link.prepared, link.lo, link.hi, whole, response.body)
            return
        people = self._people(verdict)
        people += link.tickets
        if whole and len(whole) <= _LONGEST_FAMILIAR:
            self.pool.familiar.learn(whole, people)

    def _learn(self, head: Head) -> tuple[Head, Verdict | None]:
        if len(self._plain) >= FAMILIAR:
            self._plain.clear()
        known = self._plain[id(head)] = head, self._caller.plain(head)
        return known

    def _people(self, verdict: Verdict) -> list[int]:
        people = self._verdicts.get(verdict)
        if people is None:
            people = self._verdicts[verdict] = []
        return people

    def refuse(self, link: H1Link, error: H1Error) -> None:  # noqa: ARG002 (a port's method)
        """Learn that what answered a call is no HTTP/1.1."""
        self._people((Answer.DOUBTFUL, self._numbers[NO_HTTP1], 0)).extend(link.tickets)

    def give_up(self, link: H1Link) -> None:
        """Learn that a connection is gone with a call under way."""
        answer = Answer.REFUSED if link.unsent else Answer.DOUBTFUL
        self._people((answer, self._numbers[LOST], 0)).extend(link.tickets)

    def answers(self) -> list[Answers]:
        """Return what has been answered since the last call. Raises what has ended the upkeep, if anything has.

        They are stamped now, which is in the loop's same turn as the reads that brought them: the first of these wakes
        the engine, and while it is at work nothing is read.
        """
        if self._looking is not None and self._looking.done() and not self._looking.cancelled():
            self._looking.result()
        self.pool.woken = False
        self.look()
        if self._unwritten:  # perhaps nobody asks for credit any more
            self._give_back(self._clock.now_ns())
            self._write_rest()
        found, self._found = self._found, []
        now_ns = self._clock.now_ns()
        for verdict, people in self._verdicts.items():
            if people:
                found.append(_same_for_all(np.array(people, dtype=np.int64), verdict, now_ns))
                people.clear()  # ``familiar`` knows this very list
        if len(self._verdicts) > FAMILIAR:  # a server that names another Retry-After each time
            self.pool.familiar.forget()
            self._verdicts.clear()
        if self._unsendable:
            tickets, self._unsendable = np.concatenate(self._unsendable), []
            verdict = Answer.REFUSED, self._numbers[UNSENDABLE], 0
            found.append(_same_for_all(tickets, verdict, now_ns))
        return found

    def next_answer_ns(self) -> int:
        """Return when the rate lets more leave, if it is what holds them; else the connections wake the engine."""
        if self.pool.woken or self._unsendable:
            return 0
        return NEVER_NS if self._ration is None else self._ration.next_ns(self._clock.now_ns())

    # -- upkeep ----------------------------------------------------------------------------------------------------

    async def _look_after(self) -> None:
        """Give up what has no answer in time, renew what was idle for long, notice that nothing can be sent."""
        while True:
            await asyncio.sleep(self._until_next_look_ns() / NS_PER_S)
            self.look()
            now_ns = self._clock.now_ns()
            self._look_for_stall(now_ns)
            self._give_up_overdue(now_ns)
            self.pool.renew_stale(now_ns)
            self._give_back(now_ns)
            if self._unwritten or self._refusing:
                self.pool.tell()

    def _until_next_look_ns(self) -> int:
        within_ns = self._context.answer_within_ns
        under_way = (link.sent_ns for link in self.pool.links if link.busy and link.asked is None)
        oldest_ns = min(under_way, default=NEVER_NS)
        if within_ns == NEVER_NS or oldest_ns == NEVER_NS:
            return UPKEEP_NS
        due_ns = oldest_ns - self._clock.now_ns() + within_ns - _EARLY_NS
        return min(UPKEEP_NS, max(due_ns, NS_PER_MS))

    def _give_up_overdue(self, now_ns: int) -> None:
        """Close connections whose call has no answer; just before the engine gives it up, so that it is told once.

        HTTP/1.1 has no other way to cancel, and the answer that may yet come must not be taken for the next call's.
        """
        if self._context.answer_within_ns == NEVER_NS:
            return
        before_ns = now_ns + _EARLY_NS - self._context.answer_within_ns
        overdue = [link for link in self.pool.links if link.busy and link.sent_ns < before_ns and link.asked is None]
        for link in overdue:
            link.end_call()
            self._people((Answer.DOUBTFUL, self._numbers[OVERDUE], 0)).extend(link.tickets)
            self.pool.retire(link, now=True)
        if overdue:
            self.pool.tell()

    def _look_for_stall(self, now_ns: int) -> None:
        """Refuse when there has been no connection for too long."""
        if self.pool.links:
            self._stalled_since_ns, self._refusing = NEVER_NS, False
        else:
            self._stalled_since_ns = min(self._stalled_since_ns, now_ns)
            self._refusing = now_ns - self._stalled_since_ns > self._limits.reconnect_within_ns

    def _give_back(self, now_ns: int) -> None:
        """Refuse what was taken and cannot be written, before the engine must take it for sent."""
        patience_ns = min(self._limits.reconnect_within_ns, self._context.answer_within_ns // 2)
        while self._unwritten and now_ns - self._unwritten[0][3] > patience_ns:
            prepared, lo, hi, _ = self._unwritten.popleft()
            self._held_back -= hi - lo
            self._unsendable.append(prepared.tickets[lo:hi])
            self.pool.tell()

    async def close(self) -> None:
        """Let go of everything. Safe to call twice."""
        looking, self._looking = self._looking, None
        if looking is not None:
            looking.cancel()
            await asyncio.gather(looking, return_exceptions=True)
        await self.pool.close()


def _same_for_all(tickets: Int64Column, verdict: Verdict, now_ns: int) -> Answers:
    """Return one answer for several."""
    answer, reason, after_ns = verdict
    codes = np.full(tickets.size, answer, dtype=np.uint8) if answer else np.zeros(tickets.size, dtype=np.uint8)
    waits = np.full(tickets.size, after_ns, dtype=np.int64) if after_ns else None
    return Answers(tickets, codes, now_ns, waits, np.full(tickets.size, reason, dtype=np.uint8) if reason else None)
