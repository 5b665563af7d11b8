"""The thin layer between a sans-IO connection and a socket: one shared receive buffer, writes that leave at once.

Plain text and TLS alike go through aiofastnet's transports, which write to the socket within ``write`` itself: the
stamp taken after it is the stamp of the send.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable
from typing import Any, Protocol, cast

import aiofastnet
import numpy as np

from burst.model.batch import UInt8Column
from burst.wire.h2 import H2Connection

RECEIVE_BYTES = 512 * 1024
BACKLOG_BYTES = 64 * 1024  # beyond this much unsent, the socket is full: no more requests until it drains
BACKLOG_LIMIT = 8 * 1024 * 1024  # a peer that reads nothing but makes us write more than this is cut off
LINGER_S = 5.0  # a peer that reads nothing has so long to take what was written before the close


def hush() -> None:
    """Let a peer that hangs up or fails its handshake be no news: whoever it concerns is told by ``lost``.

    For a process of our own to call in its running loop. What is no matter of sockets is still told.
    """

    def tell(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        error = context.get("exception")
        # Of a handshake that was broken off the transport gives the class alone.
        kind = error if isinstance(error, type) else type(error)
        if not issubclass(kind, OSError):
            loop.default_exception_handler(context)

    asyncio.get_running_loop().set_exception_handler(tell)


class Owner(Protocol):
    """Whoever uses a connection: told after each read, and at its end."""

    def received(self, link: H2Link) -> None:
        """Bytes were taken in: ``link.connection.events`` holds what they said."""
        ...

    def writable(self, link: H2Link) -> None:
        """Hear that the socket has drained after ``link.full``."""
        ...

    def lost(self, link: H2Link, error: BaseException | None) -> None:
        """Hear that the connection is gone."""
        ...


class _Buffer:
    """One receive buffer for all connections of a process: reads are taken in before the next one begins."""

    def __init__(self) -> None:
        self.raw = bytearray(RECEIVE_BYTES)
        self.view = memoryview(self.raw)
        self.column: UInt8Column = np.frombuffer(self.raw, dtype=np.uint8)


_buffer = _Buffer()


class H2Link(aiofastnet.Protocol):
    """One connection on one socket. ``note`` is the owner's."""

    def __init__(self, connection: H2Connection, owner: Owner) -> None:
        self.connection = connection
        self._owner = owner
        self._kept = b""
        self.transport: Any = None
        self.full = False
        self.gone = False
        self.note: Any = None
        self._linger: asyncio.TimerHandle | None = None

    def is_buffered_protocol(self) -> bool:
        """Say that reads go into a buffer of ours."""
        return True

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin: what opens the connection goes out."""
        self.transport = cast("Any", transport)
        self.transport.set_write_buffer_limits(high=BACKLOG_BYTES)
        self.flush()

    def get_buffer(self, _size_hint: int) -> memoryview:
        """Return where the next bytes belong: behind those of the last read that were no whole frame."""
        kept = self._kept
        if len(kept) > RECEIVE_BYTES // 2:
            _grow(len(kept) * 4)
        _buffer.view[: len(kept)] = kept
        return _buffer.view[len(kept) :]

    def buffer_updated(self, count: int) -> None:
        """Take bytes in."""
        size = len(self._kept) + count
        column = _buffer.column[:size]
        taken = self.connection.receive(column)
        self._owner.received(self)
        self._kept = column[taken:].tobytes() if taken < size else b""
        self.flush()

    def eof_received(self) -> bool:
        """Close when the peer writes no more."""
        return False

    def connection_lost(self, error: BaseException | None) -> None:
        """End."""
        self.gone = True
        if self._linger is not None:
            self._linger.cancel()
        self._owner.lost(self, error)

    def pause_writing(self) -> None:
        """Hear that the socket is full."""
        self.full = True

    def resume_writing(self) -> None:
        """Hear that the socket has drained."""
        self.full = False
        self._owner.writable(self)

    def flush(self) -> None:
        """Write the connection's own frames; close once it has failed."""
        output = self.connection.output
        if self.gone or self.transport is None:
            output.clear()
            return
        if output:
            self.transport.write(output[0] if len(output) == 1 else b"".join(output))
            output.clear()
            self._cut_off_if_behind()
        if self.connection.failed is not None:
            self.close()

    def write(self, data: memoryview | bytes | bytearray) -> None:
        """Write rows; what the socket does not take is copied."""
        if not self.gone:
            self.transport.write(data)
            self._cut_off_if_behind()

    def _cut_off_if_behind(self) -> None:
        if self.full and self.transport.get_write_buffer_size() > BACKLOG_LIMIT:
            self.transport.abort()

    def close(self) -> None:
        """Close after what is written has left, at the latest after ``LINGER_S``."""
        if self.transport is not None and not self.gone:
            self.transport.close()
            if self._linger is None:
                self._linger = asyncio.get_running_loop().call_later(LINGER_S, self.abort)

    def abort(self) -> None:
        """Close at once."""
        if self.transport is not None and not self.gone:
            self.transport.abort()


def _grow(size: int) -> None:
    """Give frames of an unusual size room."""
    if size > len(_buffer.raw):
        _buffer.raw = bytearray(size)
        _buffer.view = memoryview(_buffer.raw)
        _buffer.column = np.frombuffer(_buffer.raw, dtype=np.uint8)


async def connect(
    make: Callable[[], H2Link], host: str, port: int, *, tls: ssl.SSLContext | None, server_name: str | None = None
) -> H2Link:
    """Connect by TCP. Raises OSError (ssl.SSLError and ssl.SSLCertVerificationError among them)."""
    loop = asyncio.get_running_loop()
    _, protocol = await aiofastnet.create_connection(
        loop, make, host, port, ssl=tls, server_hostname=(server_name or host) if tls else None
    )
    return protocol


async def connect_unix(make: Callable[[], H2Link], path: str, *, tls: ssl.SSLContext | None) -> H2Link:
    """Connect by a unix socket. Raises OSError."""
    loop = asyncio.get_running_loop()
    _, protocol = await aiofastnet.create_unix_connection(
        loop, make, path, ssl=tls, server_hostname="localhost" if tls else None
    )
    return protocol
