"""One connection of HTTP/1.1 to the stand-in: calls in one by one, each answered before the next is read."""

from __future__ import annotations

import asyncio
from typing import Any, Protocol, cast

import aiofastnet

from burst.provider.dribble import Dribble
from burst.provider.visit import Visit
from burst.wire.h1 import H1Error
from burst.wire.h1_server import Request, ServerCodec
from burst.wire.landing import Landing

RECEIVE_BYTES = 256 * 1024
BACKLOG_BYTES = 64 * 1024

_landing = Landing(RECEIVE_BYTES)
_view = _landing.view


class CallOwner(Protocol):
    """Whoever answers."""

    def opened(self, link: CallLink) -> None:
        """Welcome a connection."""
        ...

    def called(self, link: CallLink, request: Request) -> None:
        """Take a call; ``link.answer`` is owed once for it, now or later."""
        ...

    def garbled(self, link: CallLink, error: H1Error) -> None:
        """Hear that what came is no HTTP/1.1."""
        ...

    def lost(self, link: CallLink) -> None:
        """Forget a connection."""
        ...

    def noticed(self) -> None:
        """Hear that bytes were dealt with."""
        ...


class CallLink(aiofastnet.Protocol):
    """One connection. ``calls`` counts what was asked on it, so that a late answer finds the call it is for."""

    def __init__(self, owner: CallOwner, most_body: int) -> None:
        self._owner = owner
        self._codec = ServerCodec(most_body=most_body, one_at_a_time=True)
        self.transport: Any = None
        self.visit: Visit | None = None
        self.gone = False
        self.closing = False
        self.calls = 0
        self.owed: bytes | None = None  # an answer that waits for its time
        self.owed_last = False  # whether the connection ends with it
        self.dribble = Dribble(self._write, self._emptied)
        self._asking = self._answered = False
        self._ended = False  # the peer writes no more
        self._full = False  # the socket takes no more of our answers
        self._behind = False  # calls wait behind the one under way
        self._kept: bytes | None = None  # ``glance`` kept a call: what came behind it
        self._unfed = False  # the codec was between two calls then, and has heard of nothing since

    def is_buffered_protocol(self) -> bool:
        """Say that reads go into a buffer of ours."""
        return True

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Welcome the peer."""
        self.transport = cast("Any", transport)
        self.transport.set_write_buffer_limits(high=BACKLOG_BYTES)
        self._owner.opened(self)

    get_buffer = _landing.__getitem__  # type: ignore[assignment]  # where the next bytes belong

    def buffer_updated(self, count: int) -> None:
        """Take bytes in."""
        if self.closing:
            return
        codec, data = self._codec, bytes(_view[:count])
        waited = codec.paused
        if self._kept is not None:
            self._kept += data
            waited = True
        elif (self._unfed or codec.between) and self.glance(data):
            self._kept, self._unfed = b"", True
            return
        else:
            self._feed(data)
        if waited and (codec.paused or self._kept is not None) and not self.closing:
            self._behind = True  # it has asked much already: the rest may wait in the socket
            self.transport.pause_reading()
        self._owner.noticed()

    def glance(self, data: bytes) -> bool:  # noqa: ARG002 (for those who know what their calls look like)
        """Keep what may be a whole call that needs no reading, and say so.

        ``pass_on`` is owed for it, later, and ``noticed`` to the owner.
        """
        return False

    def pass_on(self, data: bytes, answer: bytes | None) -> None:
        """Write the answer to the call that was kept, or (None) read it after all; then what came behind it."""
        behind, self._kept = self._kept, None
        if self.gone or self.closing:
            return
        if answer is None:
            self._feed(data + behind if behind else data)
        else:
            self.calls += 1
            self.dribble.put(answer)
            if behind:
                self._feed(behind)
        if self._behind or self._ended:
            self._go_on()

    def _feed(self, data: bytes | None) -> None:
        """Take bytes in, or (None) those that waited while a call was answered; go on while calls are answered."""
        codec, self._unfed = self._codec, False
        while True:
            try:
                requests = codec.resume() if data is None else codec.feed(data)
            except H1Error as error:
                requests = error.whole
                if not requests:
                    self._owner.garbled(self, error)
                    return
            if not requests:
                if codec.output:
                    self.write(b"".join(codec.output))
                    codec.output.clear()
                return
            self.calls += 1
            self._answered, self._asking = False, True
            self._owner.called(self, requests[0])
            self._asking = False
            if not self._answered or self.closing:
                return
            data = None

    def answer(self, data: bytes, *, last: bool) -> None:
        """Write the answer to the call under way, and read on; ``last``: close after it."""
        if self.gone or self.closing:
            return
        self.write(data)
        self._answered = True
        if last:
            self.close()
        elif not self._asking:
            self._feed(None)
            self._go_on()

    def _go_on(self) -> None:
        """Read again when nothing waits any more; close when the peer has said all and has all its answers."""
        if self.gone or self.closing or self._codec.paused:
            return
        if self._ended:
            self.close()
        elif self._behind:
            self._behind = False
            self._read_on()

    def _read_on(self) -> None:
        if not self._full and not self._behind and not self.gone:
            self.transport.resume_reading()

    def write(self, data: bytes) -> None:
        """Write, or let it dribble."""
        if not self.gone:
            self.dribble.put(data)

    def _write(self, data: bytes) -> None:
        if not self.gone:
            self.transport.write_nocheck(data)

    def _emptied(self) -> None:
        if self.closing and not self.gone:
            self.transport.close()
        else:
            self._go_on()

    def pause_writing(self) -> None:
        """Read no more from a socket that is full: whoever does not take his answers asks no more."""
        self._full = True
        self.transport.pause_reading()

    def resume_writing(self) -> None:
        """Read again from a socket that has drained."""
        self._full = False
        self._read_on()

    def eof_received(self) -> bool:
        """Keep the way back open while a call is answered: a client may say all he has to say, and then listen."""
        self._ended = True
        tls = self.transport.get_extra_info("ssl_object") is not None
        owing = self.dribble.waiting > 0 or ((self._codec.paused or self._kept is not None) and not self.closing)
        return owing and not tls

    def connection_lost(self, error: BaseException | None) -> None:  # noqa: ARG002 (why does not matter here)
        """End."""
        self.gone = True
        self.dribble.stop()
        self._owner.lost(self)

    def close(self) -> None:
        """Close after what is written has left."""
        self.closing = True
        if self.transport is not None and not self.gone and not self.dribble.waiting:
            self.transport.close()

    def abort(self) -> None:
        """Close at once."""
        self.closing = True
        if self.transport is not None and not self.gone:
            self.transport.abort()
