"""Many requests over many connections: where there is room, and the two ways to write them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, cast

from burst.model.ports import Clock, Prepared
from burst.wire.frame_rows import ROWS, FrameRows
from burst.wire.h2_client import ClientConnection
from burst.wire.h2_pool import H2Pool
from burst.wire.layout import Rows
from burst.wire.limits import Limits
from burst.wire.transport import H2Link


@dataclass(frozen=True, slots=True)
class Alike:
    """A batch whose requests differ by columns only; it stands in ``Prepared.body``.

    ``columns`` are uint8 of shape (count, width of the span), in the order of the shape's spans: head, then body.
    ``body_bytes`` is the size of every body.
    """

    body_bytes: int
    columns: tuple[Rows, ...]


class Requests(Protocol):
    """What a sink's requests are on the wire."""

    @property
    def body_bytes(self) -> int:
        """The size of a body, as far as it is known before the first batch."""
        ...

    def shape(self, connection: ClientConnection, prepared: Prepared, alike: Alike, at: int) -> FrameRows | bytes:
        """Return the rows that the requests of a batch are on a connection.

        Where the head of the request ``at`` has taught the connection's table something, return that head's block: it
        goes alone, and those after it will be alike.
        """
        ...

    def head(self, connection: ClientConnection, prepared: Prepared, at: int) -> bytes:
        """Return the header block of one request, made by ``connection.encoder``: it is written next, and once."""
        ...

    def body(self, prepared: Prepared, at: int) -> bytes:
        """Return the body of one request."""
        ...


class Writer:
    """Writes requests over a pool's connections, in turn, as each has room."""

    def __init__(self, pool: H2Pool, requests: Requests, limits: Limits, clock: Clock) -> None:
        self._pool = pool
        self._requests = requests
        self._streams = limits.streams
        self._in_flight = limits.in_flight
        self._clock = clock
        self._next = 0
        self.body_bytes = requests.body_bytes

    def room(self) -> int:
        """Return how many requests may be written now: streams, windows, sockets, limits."""
        room = under_way = 0
        for link in self._pool.links:
            under_way += link.connection.streams.open
            if not link.full:
                room += self._room_of(cast("ClientConnection", link.connection))
        if self._in_flight is not None:
            room = min(room, self._in_flight - under_way)
        return max(0, room)

    def _room_of(self, connection: ClientConnection) -> int:
        room = connection.room(self.body_bytes)
        if self._streams is not None:
            room = min(room, self._streams - connection.streams.open)
        return max(0, room)

    def write(self, prepared: Prepared, lo: int, hi: int) -> int:
        """Write as many of lo..hi as there is room for; return where it stopped."""
        alike = prepared.body if isinstance(prepared.body, Alike) else None
        if alike is not None:
            self.body_bytes = alike.body_bytes
        links = self._pool.links
        idle = 0
        while lo < hi and idle < len(links):
            self._next = (self._next + 1) % len(links)
            link = links[self._next]
            connection = cast("ClientConnection", link.connection)
            count = 0 if link.full else min(hi - lo, ROWS, self._room_of(connection))
            taken = 0
            if count:
                if alike is not None:
                    taken = self._write_rows(link, connection, prepared, alike, lo, lo + count)
                else:
                    taken = self._write_one(link, connection, prepared, lo)
            idle = 0 if taken else idle + 1
            lo += taken
        return lo

    def _write_rows(
        self, link: H2Link, connection: ClientConnection, prepared: Prepared, alike: Alike, lo: int, hi: int
    ) -> int:
        if not connection.fits(alike.body_bytes):
            return self._write_one(link, connection, prepared, lo)
        shape = self._requests.shape(connection, prepared, alike, lo)
        if isinstance(shape, bytes):
            return self._write_one(link, connection, prepared, lo, shape)
        ids = connection.open(prepared.tickets[lo:hi], alike.body_bytes, self._clock.now_ns())
        part = slice(lo, lo + ids.size)
        columns = [column[part] for column in alike.columns]
        if connection.output:
            link.flush()
        link.write(shape.render(ids, columns))
        return int(ids.size)

    def _write_one(
        self, link: H2Link, connection: ClientConnection, prepared: Prepared, at: int, block: bytes | None = None
    ) -> int:
        """Write one request as it comes, through whatever windows there are."""
        if block is None:
            block = self._requests.head(connection, prepared, at)
        body = self._requests.body(prepared, at)
        connection.request(block, body, int(prepared.tickets[at]), self._clock.now_ns())
        link.flush()
        return 1
