"""One keep-alive connection of HTTP/1.1, one call at a time on it: written at once, its answer read whole."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Protocol, cast

import aiofastnet

from burst.wire.h1 import H1Error
from burst.wire.h1_client import ClientCodec, Response
from burst.wire.redial import WrongProtocolError

if TYPE_CHECKING:
    from burst.model.ports import Prepared

RECEIVE_BYTES = 256 * 1024
LINGER_S = 5.0  # a peer that reads nothing has so long to take what was written before the close
_ONE_RECORD = 16 * 1024  # TLS: more than this is written in several pieces (RFC 8446, section 5.1)

_raw = memoryview(bytearray(RECEIVE_BYTES))  # one for all connections: what is read is taken in before the next read


class Owner(Protocol):
    """Whoever keeps the connection."""

    @property
    def familiar(self) -> dict[bytes, list[int]]:
        """Answers that have come before, whole in one read, each with the list for the people so answered."""
        ...

    def made(self, link: H1Link) -> None:
        """Hear of a connection that stands."""
        ...

    def freed(self, link: H1Link) -> None:
        """Hear that a call was answered, its people entered, and that the connection carries the next one."""
        ...

    def answered(self, link: H1Link, response: Response, whole: bytes) -> None:
        """Take an answer; ``whole`` are its bytes if they came in one read, else empty. The call is over."""
        ...

    def garbled(self, link: H1Link, error: H1Error) -> None:
        """Hear that what came is no HTTP/1.1, or that nobody had asked."""
        ...

    def lost(self, link: H1Link, error: BaseException | None) -> None:
        """Hear that the connection is gone."""
        ...


class H1Link(aiofastnet.Protocol):
    """One connection on one socket.

    A call under way is ``prepared``, ``lo``, ``hi`` (the people it carries), their ``tickets``, and ``sent_ns``.
    """

    def __init__(self, owner: Owner) -> None:
        self._owner = owner
        self._familiar: dict[bytes, list[int]] = {}  # the owner's, once it has heard of this connection's first answer
        self._freed = owner.freed
        self._codec = ClientCodec()
        self.transport: Any = None
        self.full = False  # something of the request waits for room in the socket
        self.gone = False
        self.leaving = False  # takes no more calls
        self.busy = False  # with a call under way
        self._fresh = False  # with one of whose answer nothing has come
        self.unsent = False  # nothing of that call can have left: the first write failed
        self.prepared: Prepared | None = None
        self.lo = self.hi = 0
        self.tickets: list[int] = []
        self.sent_ns = 0
        self.free_since_ns = 0
        self.asked: asyncio.Future[Response] | None = None  # a call that carries nobody, and who waits for its answer
        self.fault: Exception | None = None
        self._linger: asyncio.TimerHandle | None = None

    def is_buffered_protocol(self) -> bool:
        """Say that reads go into a buffer of ours."""
        return True

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin, unless the server chose another protocol."""
        self.transport = cast("Any", transport)
        tls = transport.get_extra_info("ssl_object")
        chosen = None if tls is None else tls.selected_alpn_protocol()
        if chosen not in {None, "http/1.1"}:
            self.fault = WrongProtocolError(f"the server speaks {chosen} over TLS, not HTTP/1.1 (ALPN)")
            self.transport.abort()
            return
        self.transport.set_write_buffer_limits(high=0)  # so that ``full`` says whether a request is wholly written
        self._owner.made(self)

    # -- a call ----------------------------------------------------------------------------------------------------

    def call(
        self, request: bytes | list[bytes], prepared: Prepared, lo: int, hi: int, tickets: list[int], now_ns: int
    ) -> None:
        """Write a request; the connection must be free."""
        self.prepared = prepared
        self.lo = lo
        self.hi = hi
        self.tickets = tickets
        self.sent_ns = now_ns
        self.busy = self._fresh = True
        transport = self.transport
        if type(request) is bytes:
            transport.write(request)
        else:
            transport.writelines(request)
        if transport.is_closing():
            self._note_unsent(request)

    def ask(self, request: bytes, now_ns: int) -> asyncio.Future[Response]:
        """Write a request that carries nobody; return what its answer will be. The connection must be free."""
        self.prepared, self.tickets, self.sent_ns = None, [], now_ns
        self.busy = True
        self._codec.expect()
        self.asked = asyncio.get_running_loop().create_future()
        self.transport.write(request)
        return self.asked

    def _note_unsent(self, request: bytes | list[bytes]) -> None:
        """Find out whether a write that failed at once can have sent anything: one system call sends all or fails."""
        size = len(request) if isinstance(request, bytes) else sum(len(part) for part in request)
        self.unsent = size <= _ONE_RECORD

    # -- what comes ------------------------------------------------------------------------------------------------

    def get_buffer(self, _size_hint: int) -> memoryview:
        """Return where the next bytes belong."""
        return _raw

    def buffer_updated(self, count: int) -> None:
        """Take bytes in. An answer that has come before needs no reading."""
        data = bytes(_raw[:count])
        if self._fresh:
            people = self._familiar.get(data)
            if people is not None and not self.full:
                people += self.tickets
                self.busy = self._fresh = False
                self._freed(self)
                return
        self._read(data)

    def _read(self, data: bytes) -> None:
        if self.leaving and not self.busy:
            return  # we have closed it, and what it says on its way is for nobody
        whole = data if self._fresh else b""
        self._expect()
        try:
            response = self._codec.feed(data)
        except H1Error as error:
            if not error.whole:
                if self.asked is not None and not self.asked.done():
                    self.asked.set_exception(error)
                self._owner.garbled(self, error)
                return
            response, whole, self.leaving = error.whole[0], b"", True  # an answer, and then something that is none
        if response is not None:
            self._answered(response, whole)

    def _expect(self) -> None:
        """Let the codec expect the answer that it did not need to know of before."""
        if self._fresh:
            self._fresh = False
            self._codec.expect()

    def _answered(self, response: Response, whole: bytes) -> None:
        self.busy = False
        self._familiar = self._owner.familiar
        asked, self.asked = self.asked, None
        if asked is not None and not asked.done():
            asked.set_result(response)
        self._owner.answered(self, response, whole)

    def eof_received(self) -> bool:
        """Close when the peer writes no more, which may be how its answer ends."""
        if self.busy:
            self._expect()
            try:
                response = self._codec.eof()
            except H1Error:
                response = None  # cut short: the end of the connection will be told
            if response is not None:
                self._answered(response, b"")
        return False

    def connection_lost(self, error: BaseException | None) -> None:
        """End."""
        self.gone = True
        if self._linger is not None:
            self._linger.cancel()
        if self.asked is not None and not self.asked.done():
            self.asked.set_exception(error if isinstance(error, OSError) else ConnectionError("connection lost"))
        self._owner.lost(self, error)

    def pause_writing(self) -> None:
        """Hear that the socket is full."""
        self.full = True

    def resume_writing(self) -> None:
        """Hear that the socket has drained."""
        self.full = False

    def close(self) -> None:
        """Close after what is written has left, at the latest after ``LINGER_S``."""
        self.leaving = True
        if self.transport is not None and not self.gone:
            self.transport.close()
            if self._linger is None:
                self._linger = asyncio.get_running_loop().call_later(LINGER_S, self.abort)

    def abort(self) -> None:
        """Close at once."""
        self.leaving = True
        if self.transport is not None and not self.gone:
            self.transport.abort()
