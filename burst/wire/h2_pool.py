"""A client's connections to one endpoint: kept at a number, opened without a storm, replaced as they go.

The pool decides when to dial, not what to send. Dialling backs off with full jitter; no two dials of a pool begin
within ``DIAL_GAP_S``, whatever happens, because opening and closing connections quickly counts as an attack at APNs.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Protocol, cast

from burst.model.batch import Int64Column
from burst.model.errors import BurstError
from burst.wire.h2_client import ClientConnection, Responses
from burst.wire.redial import DIAL_WITHIN_S, LASTING, Redial, WrongProtocolError, advice_on, reason_of
from burst.wire.transport import H2Link

DIAL_GAP_S = 0.02
SETTINGS_WITHIN_S = 10.0  # from a connection that was made
PROVED_S = 5.0  # a connection that lived so long, or answered a request, clears the backoff
LAST_IDS = 1 << 20  # a connection this close to its last stream id is replaced
PING_IDLE_AFTER_S = 60.0  # of silence without any: what stands between may forget a connection that says nothing
PING_AFTER_S = 15.0  # of silence with streams open
DEAD_AFTER_S = 10.0  # without an answer to that
CLOSE_WITHIN_S = 0.5


class Taker(Protocol):
    """Whoever uses the pool."""

    def take(self, link: H2Link, events: Sequence[Any]) -> None:
        """Take what a connection said."""
        ...

    def give_up(self, tags: Int64Column, why: str) -> None:
        """Learn that a connection is gone with these requests open: perhaps they were processed."""
        ...


class ClosedEarlyError(ConnectionError):
    """The server closed a connection before it had said anything."""

    tls = False


class H2Pool:
    """``size`` connections, each dialled by ``dial``; ``links`` are those that can carry requests now."""

    def __init__(
        self,
        size: int,
        dial: Callable[[Callable[[], H2Link]], Awaitable[H2Link]],
        make: Callable[[], ClientConnection],
        taker: Taker,
        wake: Callable[[], None],
    ) -> None:
        self._size = size
        self._dial = dial
        self._make = make
        self._taker = taker
        self._wake = wake
        self.links: list[H2Link] = []
        self._connected: dict[_Kept, None] = {}  # in the order of their making: also those not ready, or leaving
        self._hopeless: set[int] = set()  # places whose last attempt met what another will not mend
        self._news = asyncio.Event()
        self._all_lost = asyncio.Event()
        self._keepers: list[asyncio.Task[None]] = []
        self._redial = Redial(DIAL_GAP_S)
        self.last_error: BaseException | None = None
        self.dialled = 0
        self._closed = False

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
            reason = reason_of(self.last_error) if self.last_error else "no SETTINGS came"
            raise BurstError(f"no connection within {within_s:g} s: {reason}", hint=_advice(self.last_error))

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
        while not self._closed:
            await self._redial.back_off(failures)
            await self._redial.turn()
            self.dialled += 1
            failures += 1
            try:
                async with asyncio.timeout(DIAL_WITHIN_S):
                    kept = cast("_Kept", await self._dial(lambda: _Kept(self, self._make(), number)))
            except (OSError, ValueError) as error:  # a host name that is none is a UnicodeError
                self._failed(error, number)
                continue
            up_s = loop.time()
            await kept.ended
            if kept.answered or loop.time() - up_s > PROVED_S:
                failures = 0

    def _failed(self, error: BaseException, number: int) -> None:
        self.last_error = error
        if isinstance(error, LASTING):
            self._hopeless.add(number)
            self._news.set()

    # -- what links say --------------------------------------------------------------------------------------------

    def made(self, link: _Kept) -> None:
        """Hear of a connection that stands."""
        link.heard_s = asyncio.get_running_loop().time()
        self._connected[link] = None

    def received(self, link: H2Link) -> None:
        """Hand on what a connection said; notice when it comes up, and when it is leaving."""
        kept = cast("_Kept", link)
        connection = kept.client
        kept.heard_s = asyncio.get_running_loop().time()
        events = connection.events
        if events:
            kept.answered = kept.answered or any(isinstance(event, Responses) for event in events)
            self._taker.take(link, events)
            events.clear()
        if kept.waiting and connection.ready:
            kept.waiting = False
            self.links.append(link)
            self._hopeless.discard(kept.number)
            self._news.set()
        if connection.closing or connection.failed is not None or connection.next_id > 2**31 - LAST_IDS:
            self.let_go(kept)
        self._wake()

    def let_go(self, link: H2Link) -> None:
        """Give a connection no more requests; close it when what it has is answered."""
        kept = cast("_Kept", link)
        kept.client.closing = True
        if kept in self.links:
            self.links.remove(kept)
        if not kept.ended.done():
            kept.ended.set_result(None)
        if not kept.connection.streams.open:
            kept.flush()
            kept.close()

    def writable(self, link: H2Link) -> None:  # noqa: ARG002 (credit is asked for anew)
        """Hear that a socket has drained."""
        self._wake()

    def lost(self, link: H2Link, error: BaseException | None) -> None:
        """Forget a connection; what was open on it is in doubt."""
        kept = cast("_Kept", link)
        if kept in self.links:
            self.links.remove(kept)
        self._connected.pop(kept, None)
        if not self._connected:
            self._all_lost.set()
        failed = kept.connection.failed
        error = kept.fault or (ConnectionError(failed.text) if failed is not None else error)
        if error is None and kept.waiting and not self._closed:
            error = ClosedEarlyError("the server closed the connection before its SETTINGS")
            error.tls = kept.transport.get_extra_info("ssl_object") is not None
        if error is not None:
            self._failed(error, kept.number)
        tags = kept.client.lose()
        if tags.size:
            self._taker.give_up(tags, "connection lost")
        if not kept.ended.done():
            kept.ended.set_result(None)
        self._wake()

    # -- upkeep ----------------------------------------------------------------------------------------------------

    def cancel_overdue(self, opened_before_ns: int) -> list[Int64Column]:
        """Cancel requests opened before an instant that are not answered; return their tags."""
        found = []
        for kept in list(self._connected):
            tags = kept.client.overdue(opened_before_ns)
            if tags.size:
                found.append(tags)
                kept.flush()
                if kept.client.closing:
                    self.let_go(kept)
        return found

    def look_after(self, now_s: float | None = None) -> None:
        """Ping connections that are silent, sooner with requests open; drop those that do not answer, or never began.

        ``now_s`` is the loop's time, if it is to be another than that.
        """
        now_s = asyncio.get_running_loop().time() if now_s is None else now_s
        for kept in list(self._connected):
            silent_s = now_s - kept.heard_s
            if kept.waiting:
                if silent_s > SETTINGS_WITHIN_S:
                    kept.fault = ConnectionError(f"no SETTINGS within {SETTINGS_WITHIN_S:.0f} s")
                    kept.abort()
            elif kept.pinged_s > kept.heard_s:
                if now_s - kept.pinged_s > DEAD_AFTER_S:
                    kept.fault = ConnectionError(f"silent for {silent_s:.0f} s, and no answer to a PING")
                    kept.abort()
            elif silent_s > (PING_AFTER_S if kept.connection.streams.open else PING_IDLE_AFTER_S):
                kept.pinged_s = now_s
                kept.connection.send_ping(b"burst\0\0\0")
                kept.flush()

    async def close(self) -> None:
        """Close everything. Safe to call twice."""
        self._closed = True
        for keeper in self._keepers:
            keeper.cancel()
        await asyncio.gather(*self._keepers, return_exceptions=True)
        self._keepers = []
        for end in (H2Link.close, H2Link.abort):
            if not self._connected:
                return
            self._all_lost.clear()
            for kept in list(self._connected):
                end(kept)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(CLOSE_WITHIN_S):
                    await self._all_lost.wait()


class _Kept(H2Link):
    """A connection of a pool. ``ended`` is done when it takes no more requests; it is worth replacing then."""

    def __init__(self, pool: H2Pool, connection: ClientConnection, number: int) -> None:
        super().__init__(connection, pool)
        self.client = connection
        self._pool = pool
        self.number = number  # of its place in the pool
        self.ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.waiting = True  # for its SETTINGS
        self.answered = False
        self.heard_s = 0.0
        self.pinged_s = 0.0
        self.fault: Exception | None = None  # what we found wrong with it

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin, unless the server chose another protocol than HTTP/2 (RFC 9113, section 3.2)."""
        tls = transport.get_extra_info("ssl_object")
        chosen = "h2" if tls is None else tls.selected_alpn_protocol()
        if chosen == "h2":
            self._pool.made(self)
            super().connection_made(transport)
            return
        self.fault = WrongProtocolError(
            f"the server speaks {chosen or 'no protocol of ours'} over TLS, not HTTP/2 (ALPN)"
        )
        cast("asyncio.Transport", transport).abort()


def _advice(error: BaseException | None) -> str:
    hint = advice_on(error, "HTTP/2")
    if isinstance(error, ClosedEarlyError) and error.tls:
        # With TLS 1.3 the client is through before the server looks at its certificate, and not all say what they miss.
        hint += "; or does it ask for a client certificate? see certificate and certificate_key"
    return hint
