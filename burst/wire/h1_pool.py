"""A client's keep-alive connections to one endpoint: kept at a number, opened without a storm, replaced as they go.

HTTP/1.1 lets a server close a connection whenever it is idle (RFC 9112, section 9.5), and some close after each answer.
A connection that has answered is replaced at once and for nothing; only one that ended without an answer, or could not
be made, waits for its turn.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import Protocol, cast

from burst.model.errors import BurstError
from burst.model.ports import Clock
from burst.model.units import NS_PER_S
from burst.wire.h1 import H1Error
from burst.wire.h1_client import Head, Response
from burst.wire.h1_link import FAMILIAR, Familiar, H1Link
from burst.wire.redial import DIAL_WITHIN_S, LASTING, Redial, advice_on, reason_of

DIAL_GAP_S = 0.005  # between dials after failures
DIALS_AT_ONCE = 32  # of connections that never stood before: a listening queue may be as short as a hundred
PROVED_S = 1.0  # a connection that lived so long, or answered a call, clears the backoff
IDLE_FOR_NS = 4 * NS_PER_S
"""A connection that has answered and was idle for so long is renewed, unless the server names another time: some close
after 5 s (Node.js http.Server.keepAliveTimeout, uvicorn --timeout-keep-alive, Apache KeepAliveTimeout), and a call that
crosses the close is in doubt."""
UNUSED_FOR_NS = 30 * NS_PER_S
"""A connection that was never used is renewed after so long: servers wait longer for a first request (60 s: nginx
client_header_timeout, Node.js headersTimeout)."""
CLOSE_WITHIN_S = 0.5


class Taker(Protocol):
    """Whoever uses the pool."""

    def look(self) -> None:
        """Look at the answers that are held, where any are."""
        ...

    def take(self, link: H1Link, response: Response, whole: bytes) -> None:
        """Take the answer to a call; ``whole`` are its bytes if they came in one read, else empty."""
        ...

    def refuse(self, link: H1Link, error: H1Error) -> None:
        """Learn that what answered a call is no HTTP/1.1."""
        ...

    def give_up(self, link: H1Link) -> None:
        """Learn that a connection is gone with a call under way: perhaps it was processed."""
        ...


class H1Pool:
    """``size`` connections, each dialled by ``dial``.

    ``links`` are those that stand, ``idle`` those of them that can take a call, the one last used at the end.
    ``woken`` says that the engine was woken and has not asked yet; whoever is asked sets it back.
    """

    def __init__(
        self,
        size: int,
        dial: Callable[[Callable[[], H1Link]], Awaitable[H1Link]],
        taker: Taker,
        wake: Callable[[], None],
        clock: Clock,
        *,
        idle_for_ns: int | None = None,
        unused_for_ns: int = UNUSED_FOR_NS,
    ) -> None:
        """``idle_for_ns`` is ``IDLE_FOR_NS`` or what the server names; where given, what is shorter of it and that."""
        self._size = size
        self._dial = dial
        self._taker = taker
        self._wake = wake
        self._now_ns = clock.now_ns
        self._idle_for_ns = idle_for_ns
        self._unused_for_ns = unused_for_ns
        self.links: dict[H1Link, None] = {}
        self.idle: list[H1Link] = []
        self.familiar = Familiar()
        self.held: list[H1Link] | None = None
        self.woken = False
        self._connected: dict[H1Link, None] = {}  # also those that are leaving
        self._hopeless: set[int] = set()  # places whose last attempt met what another will not mend
        self._news = asyncio.Event()
        self._all_lost = asyncio.Event()
        self._keepers: list[asyncio.Task[None]] = []
        self._redial = Redial(DIAL_GAP_S)
        self._firsts = asyncio.Semaphore(DIALS_AT_ONCE)
        self._hints: dict[int, int | None] = {}  # by Head: how long it lets a connection be idle
        self._heads: list[Head] = []
        self.last_error: BaseException | None = None
        self.dialled = 0
        self._closed = False

    @property
    def busy(self) -> int:
        """How many calls are under way."""
        return len(self.links) - len(self.idle)

    async def open(self, within_s: float) -> None:
        """Open all connections; return when every one is up, or the time is over and one is.

        Raises BurstError when none is, at once where waiting would not help; the pool is closed then.
        """
        self._keepers = [asyncio.ensure_future(self._keep(number)) for number in range(self._size)]
        for keeper in self._keepers:
            keeper.add_done_callback(lambda _: self._news.set())
        try:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(within_s):
                    await self._all_up()
        finally:
            if not self.links:
                await self.close()
        if not self.links:
            reason = reason_of(self.last_error) if self.last_error else "no answer in time"
            raise BurstError(
                f"no connection within {within_s:g} s: {reason}", hint=advice_on(self.last_error, "HTTP/1.1")
            )

    async def _all_up(self) -> None:
        """Wait until every connection is up, or has met what another attempt will not mend."""
        while len(self.links) + len(self._hopeless) < self._size:
            self._news.clear()
            await self._news.wait()
            for keeper in self._keepers:
                if keeper.done():
                    keeper.result()  # it ends by a fault of ours only

    async def _keep(self, number: int) -> None:
        """Keep one connection up: dial, wait for its end, dial again."""
        failures = 0
        loop = asyncio.get_running_loop()
        kept = None
        while not self._closed:
            if failures:
                await self._redial.back_off(failures)
                await self._redial.turn()
            failures += 1
            try:
                async with self._firsts if kept is None else contextlib.nullcontext():
                    self.dialled += 1
                    async with asyncio.timeout(DIAL_WITHIN_S):
                        kept = cast("_Kept", await self._dial(lambda: _Kept(self, number)))
            except (OSError, ValueError) as error:  # a host name that is none is a UnicodeError
                self._failed(error, number)
                continue
            up_s = loop.time()
            self._take_in(kept)
            await kept.ended
            if kept.answered or loop.time() - up_s > PROVED_S:
                failures = 0

    def _failed(self, error: BaseException, number: int) -> None:
        self.last_error = error
        if isinstance(error, LASTING):
            self._hopeless.add(number)
            self._news.set()

    # -- what links say --------------------------------------------------------------------------------------------

    def look(self) -> None:
        """Have the answers looked at that are held."""
        self._taker.look()

    def tell(self) -> None:
        """Wake the engine, once until it asks."""
        if not self.woken:
            self.woken = True
            self._wake()

    def made(self, link: H1Link) -> None:
        """Hear of a connection that stands; its dial is about to return."""
        kept = cast("_Kept", link)
        self._connected[kept] = None
        if self._closed:
            kept.abort()

    def _take_in(self, kept: _Kept) -> None:
        """Let a connection be used, its dial having returned.

        Not before: a dial that is cancelled closes its socket, and uvloop ends the process if the socket still has
        something to write then.
        """
        if kept.leaving or kept.gone:
            return
        self.links[kept] = None
        self._hopeless.discard(kept.number)
        self._news.set()
        kept.sent_ns = self._now_ns()
        self.idle.insert(0, kept)  # unused ones may wait longest
        self.tell()

    def answered(self, link: H1Link, response: Response, whole: bytes) -> None:
        """Hand on an answer; keep the connection if it may be kept."""
        kept = cast("_Kept", link)
        kept.answered = True
        head = response.head
        kept.idle_for_ns = self._idle_for(head)
        keep = head.keep_alive and not kept.full and not kept.leaving
        self._taker.take(kept, response, whole if keep else b"")
        if keep:
            self.idle.append(kept)
        else:
            self.retire(kept)
        self.tell()

    def garbled(self, link: H1Link, error: H1Error) -> None:
        """Hang up on a server that speaks no HTTP/1.1, or speaks when it is not asked (a 408 to an idle connection)."""
        if link.busy and link.asked is None:
            link.end_call()
            self._taker.refuse(link, error)
        link.fault = link.fault or ConnectionError(f"answer that is no HTTP/1.1: {error}")
        self.retire(cast("_Kept", link), now=True)
        self.tell()

    def lost(self, link: H1Link, error: BaseException | None) -> None:
        """Forget a connection; what was under way on it is in doubt."""
        kept = cast("_Kept", link)
        self._connected.pop(kept, None)
        self._let_go(kept)
        if not self._connected:
            self._all_lost.set()
        error = kept.fault or error
        if error is not None:
            self._failed(error, kept.number)
        if kept.busy:
            kept.end_call()
            if kept.asked is None:
                self._taker.give_up(kept)
        self.tell()

    def _let_go(self, kept: _Kept) -> None:
        """Give a connection no more calls, and let it be replaced."""
        kept.leaving = True
        if self.links.pop(kept, self) is None and not kept.busy:
            with contextlib.suppress(ValueError):
                self.idle.remove(kept)
        if not kept.ended.done():
            kept.ended.set_result(None)

    def retire(self, link: H1Link, *, now: bool = False) -> None:
        """Close a connection and replace it."""
        self._let_go(cast("_Kept", link))
        if now:
            link.abort()
        else:
            link.close()

    # -- upkeep ----------------------------------------------------------------------------------------------------

    def _idle_for(self, head: Head) -> int | None:
        """Return how long a connection with this answer may be idle, by ``Keep-Alive: timeout=``; heads recur."""
        key = id(head)
        if key in self._hints:
            return self._hints[key]
        if len(self._heads) >= FAMILIAR:
            self._hints.clear()
            self._heads.clear()
        self._heads.append(head)  # as long as it is kept, nobody else has its id
        self._hints[key] = hint = _shorter(self._idle_for_ns, keep_alive_ns(head.get(b"keep-alive") or b""))
        return hint

    def renew_stale(self, now_ns: int) -> None:
        """Renew connections that have been idle for so long that the server may be about to close them.

        They are taken to be idle since their last call was sent, which is sooner than since its answer.

        It would be no help to send a call again whose connection was lost: the server may have read it, acted, and only
        then gone. RFC 9110, section 9.2.2, forbids it for what is not idempotent, and a push is not. So the crossing of
        a call and a close is avoided, and where it happens all the same, it is told as doubtful.
        """
        stale = []
        for link in sorted(self.idle, key=lambda link: link.sent_ns):
            kept = cast("_Kept", link)
            if kept.answered:
                for_ns = IDLE_FOR_NS if kept.idle_for_ns is None else kept.idle_for_ns
            else:
                for_ns = self._unused_for_ns
            if now_ns - kept.sent_ns > for_ns:
                stale.append(kept)
        for kept in stale[: self._size // 4 + 1]:  # never all at once: a GO may come
            self.retire(kept)

    async def close(self) -> None:
        """Close everything. Safe to call twice."""
        self._closed = True
        for keeper in self._keepers:
            keeper.cancel()
        await asyncio.gather(*self._keepers, return_exceptions=True)
        self._keepers = []
        self.idle.clear()
        for end in (H1Link.close, H1Link.abort):
            if not self._connected:
                return
            self._all_lost.clear()
            for kept in list(self._connected):
                end(kept)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(CLOSE_WITHIN_S):
                    await self._all_lost.wait()


class _Kept(H1Link):
    """A connection of a pool. ``ended`` is done when it takes no more calls; it is worth replacing then."""

    def __init__(self, pool: H1Pool, number: int) -> None:
        super().__init__(pool)
        self.number = number  # of its place in the pool
        self.ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.answered = False
        self.idle_for_ns: int | None = None


def keep_alive_ns(field: bytes) -> int | None:
    """Return how long an idle connection is safe by a ``Keep-Alive`` field: a second less than it says, at least half.

    None where it says nothing (draft-thomson-hybi-http-timeout names the parameter ``timeout``, in seconds).
    """
    for part in field.split(b","):
        name, _, value = part.strip().partition(b"=")
        value = value.strip().strip(b'"')
        if name.strip().lower() == b"timeout" and value.isdigit() and len(value) < 8:
            says_ns = int(value) * NS_PER_S
            return max(says_ns - NS_PER_S, says_ns // 2)
    return None


def _shorter(one: int | None, other: int | None) -> int | None:
    if one is None or other is None:
        return other if one is None else one
    return min(one, other)
