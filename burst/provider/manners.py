"""How the stand-in treats connections as such: limits that move, GOAWAY, closing, resetting, dribbling."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Iterable
from typing import Any, Protocol, cast

import numpy as np

from burst.model.ports import Clock
from burst.model.units import NS_PER_S
from burst.provider.behaviour import Behaviour
from burst.provider.link import ServedLink
from burst.provider.provider_token import TokenCheck
from burst.provider.refusal import refusal
from burst.provider.visit import Visit
from burst.wire.frames import ErrorCode, Setting
from burst.wire.h2_server import ServerConnection

LINGER_S = 0.5  # for the peer to close first, as it does when it has all its answers
GOAWAY_WITHIN_S = 5.0  # what is open when a connection is told to go has this long to be answered
_LOOK_AGAIN_S = 0.01
_CHANCE_STREAM = 11


class Behaved:
    """The manners of one serving process, after its behaviour. The loop's timers are a handful a connection."""

    def __init__(self, behaviour: Behaviour, clock: Clock, seed: int) -> None:
        self.behaviour = behaviour
        self.tokens = TokenCheck()
        self.streams = behaviour.max_concurrent_streams
        self._clock = clock
        self._rng = np.random.Generator(np.random.SFC64([seed, _CHANCE_STREAM]))

    def connection(self, columns: dict[str, type]) -> ServerConnection:
        """Make the server's end of a new connection."""
        behaviour = self.behaviour
        closed = behaviour.closed_windows and self._rng.random() < behaviour.closed_windows
        return ServerConnection(
            max_concurrent_streams=behaviour.streams_until_accept or self.streams,
            initial_window=behaviour.initial_window,
            connection_window=behaviour.connection_window,
            max_frame_size=behaviour.max_frame_size,
            header_table_size=behaviour.header_table_size,
            replenish=not closed,
            columns=columns,
        )

    def behave(self, behaviour: Behaviour, links: Iterable[ServedLink]) -> None:
        """Go on under another behaviour. Windows and table sizes are those of connections to come."""
        before, self.behaviour = self.behaviour, behaviour
        links = list(links)
        if behaviour.max_concurrent_streams != before.max_concurrent_streams:
            self.limit_streams(links, behaviour.max_concurrent_streams)
        goaway = behaviour.goaway
        for link in links:
            link.dribble(behaviour.slow_bytes)
            if goaway is not None and goaway != before.goaway:
                self._number_days(link, link.note)
            if before.streams_until_accept is not None and behaviour.streams_until_accept is None:
                self._limit(link, self.streams)

    # -- the front tells -------------------------------------------------------------------------------------------

    def opened(self, link: ServedLink, visit: Visit) -> None:
        """Let a connection's days be numbered, if they are."""
        behaviour = self.behaviour
        link.dribble(behaviour.slow_bytes)
        self._number_days(link, visit)
        if visit.caller.certificate and behaviour.auth != "token" and behaviour.streams_until_accept is not None:
            self._limit(link, self.streams)  # Apple waits for a push with a provider token; a certificate has no need

    def _number_days(self, link: ServedLink, visit: Visit) -> None:
        goaway = self.behaviour.goaway
        if goaway is not None and goaway.every_ns:
            wait_ns = visit.opened_ns + goaway.every_ns - self._clock.now_ns()
            asyncio.get_running_loop().call_later(max(0, wait_ns) / NS_PER_S, self._day_comes, link, goaway.every_ns)

    def _day_comes(self, link: ServedLink, every_ns: int) -> None:
        goaway = self.behaviour.goaway
        if goaway is not None and goaway.every_ns == every_ns:  # else it was said under another behaviour
            self.send_away(link)

    def after_requests(self, link: ServedLink, visit: Visit, count: int) -> None:
        """End a connection that has had its requests."""
        behaviour, before, now = self.behaviour, visit.requests - count, visit.requests
        goaway = behaviour.goaway
        if goaway is not None and goaway.after_requests and before < goaway.after_requests <= now:
            self.send_away(link)
        if behaviour.close_after_requests and before < behaviour.close_after_requests <= now:
            asyncio.get_running_loop().call_soon(link.close)
        if behaviour.reset_after_requests and before < behaviour.reset_after_requests <= now:
            asyncio.get_running_loop().call_soon(reset_connection, link)

    def after_accept(self, link: ServedLink) -> None:
        """Lift the limit of a connection that has shown itself good."""
        if self.behaviour.streams_until_accept is not None:
            self._limit(link, self.streams)

    def lost(self, visit: Visit) -> None:
        """Forget which provider tokens a connection has used."""
        self.tokens.forget(_scope(visit.serial))

    def token_reason(self, authorization: bytes, serial: int, now_s: float) -> str | None:
        """Return why a connection's provider token is refused, or None."""
        reason = self.tokens.check(authorization, now_s)
        if reason is not None:
            return reason
        scope = _scope(serial)
        if self.behaviour.token_updates == "key":  # noqa: S105 (no password)
            # The first part of a token names its key.
            scope = authorization.partition(b".")[0].decode("ascii", "replace")
        return "TooManyProviderTokenUpdates" if self.tokens.updates_too_fast(authorization, now_s, scope) else None

    def turn_away(self, link: ServedLink, last: int, body: bytes) -> None:
        """GOAWAY for streams above ``last``; the others are answered, then the connection closes."""
        connection = cast("ServerConnection", link.connection)
        if link.gone:
            return
        told = connection.accepted_until
        if told is None or last < told:  # a second GOAWAY may take back more (RFC 9113, 6.8)
            connection.go_away(0, body, last=last)
            link.flush()
        if told is None:
            self._close_when_empty(link, self._clock.now_ns() + int(GOAWAY_WITHIN_S * NS_PER_S))

    # -- on demand -------------------------------------------------------------------------------------------------

    def send_away(self, link: ServedLink, reason: str = "", code: str = "") -> None:
        """GOAWAY, by default as the behaviour says: open streams are answered, then the connection closes."""
        connection = cast("ServerConnection", link.connection)
        goaway = self.behaviour.goaway
        if link.gone or connection.accepted_until is not None:
            return
        reason = reason or (goaway.reason if goaway else "")
        code = code or (goaway.code if goaway else "NO_ERROR")
        connection.go_away(ErrorCode[code], refusal(reason).body if reason else b"")
        link.flush()
        self._close_when_empty(link, self._clock.now_ns() + int(GOAWAY_WITHIN_S * NS_PER_S))

    def _close_when_empty(self, link: ServedLink, until_ns: int) -> None:
        if link.gone:
            return
        if not link.connection.streams.open or self._clock.now_ns() > until_ns:
            # A socket that is closed with bytes unread is reset, and the peer loses answers that are on their way.
            asyncio.get_running_loop().call_later(LINGER_S, link.close)
        else:
            asyncio.get_running_loop().call_later(_LOOK_AGAIN_S, self._close_when_empty, link, until_ns)

    def limit_streams(self, links: Iterable[ServedLink], streams: int) -> None:
        """Announce another MAX_CONCURRENT_STREAMS, to connections there are and to come."""
        self.streams = streams
        for link in links:
            if self.behaviour.streams_until_accept is None or link.note.accepted:
                self._limit(link, streams)

    @staticmethod
    def _limit(link: ServedLink, streams: int) -> None:
        if not link.gone:
            link.connection.change_settings({Setting.MAX_CONCURRENT_STREAMS: streams})
            link.flush()


def _scope(serial: int) -> str:
    return f"connection {serial}"


class Resettable(Protocol):
    """A connection on a socket."""

    gone: bool
    transport: Any

    def abort(self) -> None:
        """Close at once."""
        ...


def reset_connection(link: Resettable) -> None:
    """Reset a connection: the peer sees ECONNRESET, and what was under way is lost."""
    if link.gone:
        return
    connection = link.transport.get_extra_info("socket")
    if connection is not None and connection.family != socket.AF_UNIX:
        # A linger of zero makes close() send RST.
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    link.abort()
