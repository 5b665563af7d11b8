"""How the stand-in treats connections as such: limits that move, GOAWAY, closing, resetting, dribbling."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections import deque
from typing import cast

import numpy as np

from burst.model.ports import Clock
from burst.model.units import NS_PER_S
from burst.provider.behaviour import Behaviour
from burst.provider.front import Visit
from burst.provider.refusal import refusal
from burst.wire.frames import ErrorCode, Setting
from burst.wire.h2_server import ServerConnection
from burst.wire.transport import H2Link

GOAWAY_WITHIN_S = 5.0  # what is open when a connection is told to go has this long to be answered


class Behaved:
    """The manners of one serving process, after its behaviour. The loop's timers are a handful a connection."""

    def __init__(self, behaviour: Behaviour, clock: Clock, seed: int) -> None:
        self.behaviour = behaviour
        self._clock = clock
        self._rng = np.random.Generator(np.random.SFC64([seed, 11]))
        self.streams = behaviour.max_concurrent_streams
        self._dribbles: dict[int, deque[bytes]] = {}

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

    # -- the front tells -------------------------------------------------------------------------------------------

    def opened(self, link: H2Link) -> None:
        """Let a connection's days be numbered, if they are."""
        goaway = self.behaviour.goaway
        if goaway is not None and goaway.every_ns:
            asyncio.get_running_loop().call_later(goaway.every_ns / NS_PER_S, self.send_away, link)

    def after_requests(self, link: H2Link, visit: Visit, count: int) -> None:
        """End a connection that has had its requests."""
        behaviour, before, now = self.behaviour, visit.requests - count, visit.requests
        goaway = behaviour.goaway
        if goaway is not None and goaway.after_requests and before < goaway.after_requests <= now:
            self.send_away(link)
        if behaviour.close_after_requests and before < behaviour.close_after_requests <= now:
            asyncio.get_running_loop().call_soon(link.close)
        if behaviour.reset_after_requests and before < behaviour.reset_after_requests <= now:
            asyncio.get_running_loop().call_soon(reset_connection, link)

    def after_accept(self, link: H2Link, visit: Visit) -> None:  # noqa: ARG002 (a port's method)
        """Lift the limit of a connection that has shown itself good."""
        if self.behaviour.streams_until_accept is not None:
            self._limit(link, self.streams)

    def write(self, link: H2Link, data: memoryview | bytes) -> None:
        """Write, or let it dribble."""
        slow = self.behaviour.slow_bytes
        if slow is None:
            link.write(data)
            return
        waiting = self._dribbles.setdefault(id(link), deque())
        begun = bool(waiting)
        raw = bytes(data)
        waiting.extend(raw[at : at + slow.bytes] for at in range(0, len(raw), slow.bytes))
        if not begun:
            self._dribble(link)

    def _dribble(self, link: H2Link) -> None:
        waiting = self._dribbles.get(id(link))
        slow = self.behaviour.slow_bytes
        if not waiting or link.gone:
            self._dribbles.pop(id(link), None)
            return
        if slow is None:
            link.write(b"".join(waiting))
            self._dribbles.pop(id(link), None)
            return
        link.write(waiting.popleft())
        asyncio.get_running_loop().call_later(slow.every_ns / NS_PER_S, self._dribble, link)

    # -- on demand -------------------------------------------------------------------------------------------------

    def send_away(self, link: H2Link, reason: str = "", code: str = "NO_ERROR") -> None:
        """GOAWAY: streams that are open are answered, then the connection closes."""
        connection = cast("ServerConnection", link.connection)
        goaway = self.behaviour.goaway
        if link.gone or connection.accepted_until is not None:
            return
        reason = reason or (goaway.reason if goaway else "")
        name = goaway.code if goaway and code == "NO_ERROR" else code
        connection.go_away(ErrorCode[name], refusal(reason).body if reason else b"")
        link.flush()
        self._close_when_empty(link, self._clock.now_ns() + int(GOAWAY_WITHIN_S * NS_PER_S))

    def _close_when_empty(self, link: H2Link, until_ns: int) -> None:
        if link.gone:
            return
        if not link.connection.streams.open or self._clock.now_ns() > until_ns:
            link.close()
        else:
            asyncio.get_running_loop().call_later(0.01, self._close_when_empty, link, until_ns)

    def limit_streams(self, links: list[H2Link], streams: int) -> None:
        """Announce another MAX_CONCURRENT_STREAMS, to connections there are and to come."""
        self.streams = streams
        for link in links:
            self._limit(link, streams)

    @staticmethod
    def _limit(link: H2Link, streams: int) -> None:
        link.connection.change_settings({Setting.MAX_CONCURRENT_STREAMS: streams})
        link.flush()


def reset_connection(link: H2Link) -> None:
    """Reset a connection: the peer sees ECONNRESET, and what was under way is lost."""
    if link.gone:
        return
    connection = link.transport.get_extra_info("socket")
    if connection is not None and connection.family != socket.AF_UNIX:
        # A linger of zero makes close() send RST.
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    link.abort()
