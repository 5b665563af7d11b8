"""A client's connections to one endpoint: kept at a number, opened without a storm, replaced as they go.

The pool decides when to dial, not what to send. Dialling backs off with full jitter; no two dials of a pool begin
within ``DIAL_GAP_S``, whatever happens, because opening and closing connections quickly counts as an attack at APNs.
"""

from __future__ import annotations

import asyncio
import random
import ssl
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Protocol, cast

from burst.model.batch import Int64Column
from burst.model.errors import BurstError
from burst.wire.h2_client import ClientConnection
from burst.wire.transport import H2Link

DIAL_GAP_S = 0.02
FIRST_BACKOFF_S = 0.1
LONGEST_BACKOFF_S = 10.0
PROVED_S = 5.0  # a connection that lived so long, or was answered on, clears the backoff
LAST_IDS = 1 << 20  # a connection this close to its last stream id is replaced
PING_AFTER_S = 15.0  # of silence with streams open
DEAD_AFTER_S = 10.0  # without an answer to that


class Taker(Protocol):
    """Whoever uses the pool."""

    def take(self, link: H2Link, events: Sequence[Any]) -> None:
        """Take what a connection said."""
        ...

    def give_up(self, tags: Int64Column, why: str) -> None:
        """Learn that a connection is gone with these requests open: perhaps they were processed."""
        ...


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
        self._leaving: list[H2Link] = []
        self._keepers: list[asyncio.Task[None]] = []
        self._next_dial_s = 0.0
        self._heard_s: dict[int, float] = {}
        self._pinged_s: dict[int, float] = {}
        self.last_error: BaseException | None = None
        self.dialled = 0
        self._closed = False
        self._random = random.Random()  # noqa: S311 (jitter)

    async def open(self, within_s: float) -> None:
        """Open all connections; return when every one is up. Raises BurstError when none is in time."""
        ready = [asyncio.get_running_loop().create_future() for _ in range(self._size)]
        self._keepers = [asyncio.ensure_future(self._keep(future)) for future in ready]
        await asyncio.wait(ready, timeout=within_s)
        for future in ready:
            future.cancel()
        if not self.links:
            reason = _reason(self.last_error) if self.last_error else "no SETTINGS came"
            raise BurstError(f"no connection within {within_s:g} s: {reason}", hint=_advice(self.last_error))

    async def _keep(self, ready: asyncio.Future[None]) -> None:
        """Keep one connection up: dial, wait for its end, dial again."""
        failures = 0
        loop = asyncio.get_running_loop()
        while not self._closed:
            if failures:
                ceiling = min(LONGEST_BACKOFF_S, FIRST_BACKOFF_S * 2 ** min(failures - 1, 10))
                await asyncio.sleep(self._random.uniform(0, ceiling))
            begins_s = max(loop.time(), self._next_dial_s)
            self._next_dial_s = begins_s + DIAL_GAP_S
            await asyncio.sleep(begins_s - loop.time())
            self.dialled += 1
            ended: asyncio.Future[None] = loop.create_future()
            try:
                link = await self._dial(lambda ended=ended, ready=ready: _Kept(self, self._make(), ready, ended))  # type: ignore[misc]
            except OSError as error:
                self.last_error = error
                failures += 1
                continue
            up_s = loop.time()
            await ended
            kept = cast("_Kept", link)
            failures = 0 if kept.answered or loop.time() - up_s > PROVED_S else failures + 1

    # -- what links say --------------------------------------------------------------------------------------------

    def received(self, link: H2Link) -> None:
        """Hand on what a connection said; notice when it comes up, and when it is leaving."""
        kept = cast("_Kept", link)
        connection = cast("ClientConnection", link.connection)
        self._heard_s[id(link)] = asyncio.get_running_loop().time()
        events = connection.events
        if events:
            kept.answered = kept.answered or connection.next_id > 1
            self._taker.take(link, events)
            events.clear()
        if kept.waiting and connection.ready:
            kept.waiting = False
            self.links.append(link)
            if not kept.ready.done():
                kept.ready.set_result(None)
        if connection.closing or connection.failed is not None or connection.next_id > 2**31 - LAST_IDS:
            self._let_go(kept)
        self._wake()

    def _let_go(self, kept: _Kept) -> None:
        """Give a connection no more requests; close it when what it has is answered."""
        cast("ClientConnection", kept.connection).closing = True
        if kept in self.links:
            self.links.remove(kept)
            self._leaving.append(kept)
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
        connection = cast("ClientConnection", link.connection)
        for links in (self.links, self._leaving):
            if kept in links:
                links.remove(kept)
        self._heard_s.pop(id(link), None)
        self._pinged_s.pop(id(link), None)
        failed = connection.failed
        if failed is not None:
            error = ConnectionError(failed.text)
        if error is not None or kept.waiting:
            self.last_error = error or ConnectionError("the server closed the connection before its SETTINGS")
        tags = connection.lose()
        if tags.size:
            self._taker.give_up(tags, "connection lost")
        if not kept.ended.done():
            kept.ended.set_result(None)
        self._wake()

    # -- upkeep ----------------------------------------------------------------------------------------------------

    def cancel_overdue(self, opened_before_ns: int) -> list[Int64Column]:
        """Cancel requests opened before an instant that are not answered; return their tags."""
        found = []
        for link in [*self.links, *self._leaving]:
            connection = cast("ClientConnection", link.connection)
            tags = connection.overdue(opened_before_ns)
            if tags.size:
                found.append(tags)
                link.flush()
        return found

    def look_after(self) -> None:
        """Ping connections that are silent with requests open; drop those that do not answer."""
        now_s = asyncio.get_running_loop().time()
        for link in [*self.links, *self._leaving]:
            heard_s = self._heard_s.get(id(link), now_s)
            pinged_s = self._pinged_s.get(id(link), 0.0)
            if pinged_s > heard_s:
                if now_s - pinged_s > DEAD_AFTER_S:
                    link.abort()
            elif link.connection.streams.open and now_s - heard_s > PING_AFTER_S:
                self._pinged_s[id(link)] = now_s
                link.connection.send_ping(b"burst\0\0\0")
                link.flush()

    async def close(self) -> None:
        """Close everything. Safe to call twice."""
        self._closed = True
        for keeper in self._keepers:
            keeper.cancel()
        await asyncio.gather(*self._keepers, return_exceptions=True)
        self._keepers = []
        for link in [*self.links, *self._leaving]:
            link.close()
        for _ in range(50):
            if not self.links and not self._leaving:
                return
            await asyncio.sleep(0.01)
        for link in [*self.links, *self._leaving]:
            link.abort()


class _Kept(H2Link):
    """A connection of a pool."""

    def __init__(
        self,
        pool: H2Pool,
        connection: ClientConnection,
        ready: asyncio.Future[None],
        ended: asyncio.Future[None],
    ) -> None:
        super().__init__(connection, pool)
        self.ready = ready
        self.ended = ended
        self.waiting = True
        self.answered = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin, unless the server chose another protocol than HTTP/2."""
        tls = transport.get_extra_info("ssl_object")
        if tls is not None and tls.selected_alpn_protocol() not in {"h2", None}:
            transport.close()
            return
        super().connection_made(transport)


def _reason(error: BaseException) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not to be trusted: {error.verify_message}"
    text = getattr(error, "strerror", None) or str(error)
    return str(text) or type(error).__name__


def _advice(error: BaseException | None) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return "name its authority with ca_file, or use the host name that its certificate is for"
    if isinstance(error, ssl.SSLError):
        return "does it speak TLS there? for plain text write http:// in endpoint"
    if isinstance(error, ConnectionRefusedError):
        return "does anything listen there? check endpoint"
    return "does it speak HTTP/2 there? for plain text write http://, for TLS https://"
