"""One keep-alive connection of HTTP/1.1, one call at a time on it: written at once, its answer read whole."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol, cast

import aiofastnet

from burst.wire.h1 import H1Error
from burst.wire.h1_client import ClientCodec, Response
from burst.wire.landing import Landing
from burst.wire.redial import WrongProtocolError

if TYPE_CHECKING:
    from burst.model.ports import Prepared

RECEIVE_BYTES = 256 * 1024
FAMILIAR = 256  # answers that are kept in mind
LINGER_S = 5.0  # a peer that reads nothing has so long to take what was written before the close
_ONE_RECORD = 16 * 1024  # TLS: more than this is written in several pieces (RFC 8446, section 5.1)

_landing = Landing(RECEIVE_BYTES)
_raw, _view = _landing.raw, _landing.view


class Familiar:
    """Answers that have come before, whole in one read, each with the list for the people who are so answered.

    ``last`` is the one that came last, ``size`` its length, ``people`` its list. Most answers of a server are the same
    bytes until the second is over: they need not be read, and not even be copied.
    """

    __slots__ = ("known", "last", "people", "size")

    def __init__(self) -> None:
        self.known: dict[bytes, list[int]] = {}
        self.last, self.size = b"", 0
        self.people: list[int] = []

    def learn(self, answer: bytes, people: list[int]) -> None:
        """Keep an answer in mind. Where there is no end of new ones, begin anew."""
        if len(self.known) >= FAMILIAR:
            self.forget()
        self.known[answer] = people
        self._put_first(answer, people)

    def recall(self, answer: bytes) -> list[int] | None:
        """Return the list of an answer, if it is familiar."""
        people = self.known.get(answer)
        if people is not None:
            self._put_first(answer, people)
        return people

    def _put_first(self, answer: bytes, people: list[int]) -> None:
        self.last, self.size, self.people = answer, len(answer), people

    def forget(self) -> None:
        """Know nothing."""
        self.known.clear()
        self.last, self.size, self.people = b"", 0, []


_NOTHING = Familiar()


class Owner(Protocol):
    """Whoever keeps the connection.

    ``idle`` are the connections that can take a call; ``woken`` says that ``tell`` is not needed. ``held`` are those
    whose answers wait to be looked at together with others that came in the loop's same turn; None: each is read.
    """

    familiar: Familiar
    held: list[H1Link] | None
    idle: list[H1Link]
    woken: bool

    def tell(self) -> None:
        """Wake whoever sends."""
        ...

    def look(self) -> None:
        """Look at what is ``held`` now."""
        ...

    def made(self, link: H1Link) -> None:
        """Hear of a connection that stands."""
        ...

    def answered(self, link: H1Link, response: Response, whole: bytes) -> None:
        """Take an answer; ``whole`` are its bytes if they came in one read, else empty. The call is over."""
        ...

    def retire(self, link: H1Link) -> None:
        """Close a connection that can take no more calls."""
        ...

    def garbled(self, link: H1Link, error: H1Error) -> None:
        """Hear that what came is no HTTP/1.1, or that nobody had asked."""
        ...

    def lost(self, link: H1Link, error: BaseException | None) -> None:
        """Hear that the connection is gone."""
        ...


class H1Link(aiofastnet.Protocol):
    """One connection on one socket.

    A call under way is ``prepared``, ``lo``, ``hi`` (the people it carries) and ``sent_ns``.
    """

    def __init__(self, owner: Owner) -> None:
        self._owner = owner
        self._familiar = _NOTHING  # the owner's, once it has heard of this connection's first answer
        self._idle = owner.idle
        self._write: Callable[[bytes], None] = _write_nothing
        self._is_closing: Callable[[], bool] = bool
        self._codec = ClientCodec()
        self.transport: Any = None
        self.full = False  # something of the request waits for room in the socket
        self.gone = False
        self.leaving = False  # takes no more calls
        self._fresh = False  # with a call under way of whose answer nothing was read
        self._reading = False  # with one of whose answer something was
        self.answer = b""  # what has come for it in one read, while it is held
        self.unsent = False  # nothing of that call can have left: the first write failed
        self.prepared: Prepared | None = None
        self.lo = self.hi = 0
        self._tickets: list[int] | None = []  # None: not taken out of ``prepared`` yet
        self.sent_ns = 0  # of the last call; before the first, when the connection was made
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
        self._write = self.transport.write_nocheck
        self._is_closing = self.transport.is_closing
        self._owner.made(self)

    @property
    def busy(self) -> bool:
        """Whether a call is under way."""
        return self._fresh or self._reading

    @property
    def tickets(self) -> list[int]:
        """Of the people that the call under way carries."""
        if self._tickets is None:
            assert self.prepared is not None
            self._tickets = self.prepared.tickets[self.lo : self.hi].tolist()
        return self._tickets

    # -- a call ----------------------------------------------------------------------------------------------------

    def call(
        self,
        request: bytes | list[bytes],
        prepared: Prepared,
        lo: int,
        hi: int,
        tickets: list[int] | None,
        now_ns: int,
    ) -> None:
        """Write a request; the connection must be free. ``tickets`` are those of lo..hi, where they are at hand."""
        self.prepared = prepared
        self.lo = lo
        self.hi = hi
        self._tickets = tickets
        self.sent_ns = now_ns
        self._fresh = True
        if type(request) is bytes:
            self._write(request)
        else:
            self.transport.writelines(request)
        if self._is_closing():
            self._note_unsent(request)

    def ask(self, request: bytes, now_ns: int) -> asyncio.Future[Response]:
        """Write a request that carries nobody; return what its answer will be. The connection must be free."""
        self.prepared, self._tickets, self.sent_ns = None, [], now_ns
        self._reading = True
        self._codec.expect()
        self.asked = asyncio.get_running_loop().create_future()
        self.transport.write(request)
        return self.asked

    def _note_unsent(self, request: bytes | list[bytes]) -> None:
        """Find out whether a write that failed at once can have sent anything: one system call sends all or fails."""
        size = len(request) if isinstance(request, bytes) else sum(len(part) for part in request)
        self.unsent = size <= _ONE_RECORD

    # -- what comes ------------------------------------------------------------------------------------------------

    get_buffer = _landing.__getitem__  # type: ignore[assignment]  # where the next bytes belong

    def buffer_updated(self, count: int) -> None:
        """Take bytes in."""
        if self.answer:
            self._owner.look()  # more comes behind what may have been a whole answer
        if not self._fresh or self.full:
            self._read(bytes(_view[:count]))
            return
        familiar = self._familiar
        if count == familiar.size and _raw.startswith(familiar.last):
            familiar.people.extend(self._tickets or self.tickets)
        else:
            data, held = bytes(_view[:count]), self._owner.held
            # A connection's first answer is read: that it answers, and how long it may be idle, is known from there on.
            if held is not None and familiar is not _NOTHING:
                self.answer = data
                held.append(self)
                if not self._owner.woken:
                    self._owner.tell()
                return
            people = familiar.recall(data)
            if people is None:
                self._read(data)
                return
            people.extend(self._tickets or self.tickets)
        self._fresh = False
        self._idle.append(self)
        if not self._owner.woken:
            self._owner.tell()

    def accept_held(self) -> None:
        """Take what is held for the whole answer: the connection is free."""
        self.answer = b""
        self._fresh = False
        if not self.leaving:
            self._idle.append(self)

    def read_held(self) -> None:
        """Read what is held."""
        data, self.answer = self.answer, b""
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
            self._fresh, self._reading = False, True
            self._codec.expect()

    def end_call(self) -> None:
        """Forget the call under way; its answer is known, or will not come."""
        self._fresh = self._reading = False

    def _answered(self, response: Response, whole: bytes) -> None:
        self.end_call()
        self._familiar = self._owner.familiar
        asked, self.asked = self.asked, None
        if asked is not None and not asked.done():
            asked.set_result(response)
        self._owner.answered(self, response, whole)

    def eof_received(self) -> bool:
        """Close when the peer writes no more, which may be how its answer ends."""
        if self.answer:
            self._owner.look()
        if self.busy:
            self._expect()
            try:
                response = self._codec.eof()
            except H1Error:
                response = None  # cut short: the end of the connection will be told
            if response is not None:
                self._answered(response, b"")
        else:
            self._owner.retire(self)  # at once: before the end of the connection is told, a call may come
        return False

    def connection_lost(self, error: BaseException | None) -> None:
        """End."""
        if self.answer:
            self._owner.look()
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


def _write_nothing(data: bytes) -> None:  # noqa: ARG001 (a transport's method)
    raise RuntimeError("a call before its connection stands")
