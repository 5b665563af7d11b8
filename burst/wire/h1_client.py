"""The client's end of HTTP/1.1: one request outstanding on a connection, never pipelined; bytes in, responses out."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from burst.wire.h1 import (
    CHUNKED,
    FIELDS,
    MOST_FIELDS,
    MOST_HEAD_BYTES,
    UNTIL_END,
    Body,
    H1Error,
    HeldHead,
    Pair,
    Seen,
    coming_body,
    is_text,
    join,
    length_of,
    read_head,
    refuse_codings,
    stays_open,
    too_many_fields,
)

LARGEST_ANSWER = 1_048_576  # bytes of one response body
MOST_INTERIM = 32  # responses of 1xx before the one that was asked for
_INTERIM = -3  # no length either: another head follows
_EMPTY = {204, 304}  # whatever their fields say (RFC 9112, section 6.3)
_STATUS_LINE = re.compile(rb"HTTP/([0-9])\.([0-9]) ([1-9][0-9]{2})(?: (.*+))?", re.DOTALL).fullmatch
_FIRST = b"HTTP/"
_UNASKED = "bytes that no request asked for"
_SWITCHING_PROTOCOLS = 101  # burst never asks for another protocol


@dataclass(frozen=True, slots=True)
class Head:
    """Status and fields of a response; names are lower case. ``keep_alive``: another request may follow."""

    status: int
    fields: tuple[Pair, ...]
    keep_alive: bool

    def get(self, name: bytes) -> bytes | None:
        """Return the first value of a field, by its name in lower case."""
        for said, value in self.fields:
            if said == name:
                return value
        return None


@dataclass(slots=True)
class Response:
    """One response, whole. What a body was framed by is taken off it; trailers are let go."""

    head: Head
    body: bytes


def _read_status(line: bytes) -> tuple[int, int]:
    """Return the minor version and the status. A reason may be missing altogether, as h11 has it."""
    match = _STATUS_LINE(line)
    if match is None or not is_text(match[4] or b""):
        raise H1Error("a status line that is none" if line.startswith(_FIRST) else "this is not HTTP/1.1")
    if match[1] != b"1":
        raise H1Error("another version of HTTP than 1", 505)
    return int(match[2]), int(match[3])


def _read_head(raw: bytes) -> tuple[Head, int]:
    """Return a head and its framing: the body's length, CHUNKED, UNTIL_END, or that it is an interim response's."""
    lines = raw.split(b"\r\n")
    minor, status = _STATUSES[lines.pop(0)]
    if len(lines) > MOST_FIELDS:
        raise too_many_fields()
    pairs = tuple(map(FIELDS.__getitem__, lines))
    fields = join(pairs)
    keep_alive, framing = stays_open(fields, minor), UNTIL_END
    length, codings = fields.get(b"content-length"), fields.get(b"transfer-encoding")
    if length is not None:
        framing = length_of(length)
    if codings is not None:
        refuse_codings(codings, minor)
        # It overrides a length; but two who read such a message may part company, so it is the last (section 6.3).
        keep_alive = keep_alive and length is None
        framing = CHUNKED
    if status < 200:
        framing = _INTERIM
    elif status in _EMPTY:
        framing = 0
    return Head(status, pairs, keep_alive), framing


_STATUSES = Seen(_read_status, most=256)
#: Whole heads, of which a server has few: the Date in it changes once a second.
_HEADS = Seen(_read_head, most=1024, longest=1024)


class ClientCodec:
    """What a server sends on one connection, read. ``most_body`` is the largest body taken, in bytes.

    ``awaiting``: a request was written, its response is not whole. ``begun``: some byte has come since it was.
    """

    __slots__ = (
        "_bodiless",
        "_body",
        "_failed",
        "_framing",
        "_head",
        "_held",
        "_interim",
        "_most_body",
        "awaiting",
        "begun",
    )

    def __init__(self, *, most_body: int = LARGEST_ANSWER) -> None:
        self.awaiting = False
        self.begun = False
        self._most_body = most_body
        self._bodiless = False
        self._held = HeldHead()
        self._head: Head | None = None
        self._framing = 0
        self._body: Body | None = None
        self._interim = 0
        self._failed: H1Error | None = None

    def expect(self, *, head_request: bool = False) -> None:
        """Await a response: the owner has written a request, ``head_request`` when its method was HEAD."""
        if self._failed is not None:
            raise self._failed.again()
        if self.awaiting:
            raise RuntimeError("a request before the last one's response")
        self.awaiting = True
        self._bodiless = head_request

    def feed(self, data: bytes | memoryview) -> Response | None:
        """Take bytes in; return the response once it is whole.

        Raises H1Error for what is no response, for more than there is room for, and for bytes that no request asked
        for; where those follow a response it is the error's ``whole``.
        """
        if type(data) is not bytes:
            data = bytes(data)
        if self.awaiting and not self.begun and not self._bodiless:
            # The common case at once: one whole response in one read. A head that was seen before is not read again.
            end = data.find(b"\r\n\r\n")
            if 0 < end <= MOST_HEAD_BYTES:
                try:
                    head, length = _HEADS[data[:end]]
                except H1Error:
                    length = -1  # the long way says what is wrong, if anything is
                end += 4
                if len(data) == end + length and 0 <= length <= self._most_body:
                    self.awaiting = False
                    return Response(head, data[end:])
        if self._failed is not None:
            raise self._failed.again()
        try:
            return self._take(data) if data else None
        except H1Error as error:
            self._failed = error
            self.awaiting = False
            raise

    def eof(self) -> Response | None:
        """Hear that the server writes no more: that may end a body. Raises H1Error for a response cut short."""
        if self._failed is not None:
            raise self._failed.again()
        if not self.awaiting:
            return None
        if self._head is None or self._framing != UNTIL_END:
            self._failed = H1Error("the connection ended before the response did")
            self.awaiting = False
            raise self._failed
        return self._finish(b"" if self._body is None else bytes(self._body.content))

    def _take(self, data: bytes) -> Response | None:
        if not self.awaiting:
            raise H1Error(_UNASKED)
        self.begun = True
        at = 0
        if self._head is None:
            data, at = self._take_heads(data)
        if self._head is None:
            return None
        if self._body is None:
            whole = len(data) - at >= self._framing >= 0
            if whole and self._framing <= self._most_body:
                return self._finish(data[at : at + self._framing], data[at + self._framing :])
            self._body = coming_body(self._framing, self._most_body)
        at = self._body.take(data, at)
        return self._finish(bytes(self._body.content), data[at:]) if self._body.done else None

    def _take_heads(self, data: bytes) -> tuple[bytes, int]:
        """Read heads, interim ones too, up to that of the response; return the data and where its content begins."""
        if not _FIRST.startswith(self._held.opening(data, len(_FIRST))):
            raise H1Error("this is not HTTP/1.1")
        if self._held:
            data = self._held.add(data)
        at = 0
        while at < len(data):
            if not _FIRST.startswith(data[at : at + len(_FIRST)]):
                raise H1Error("this is not HTTP/1.1")
            found, content = read_head(data, at, _HEADS.__getitem__)
            if found is None:
                self._held.add(data[at:])
                break
            head, framing = found
            at = content
            if framing != _INTERIM:
                self._framing = 0 if self._bodiless else framing
                self._head = replace(head, keep_alive=False) if self._framing == UNTIL_END else head
                break
            self._interim += 1
            if head.status == _SWITCHING_PROTOCOLS or self._interim > MOST_INTERIM:
                raise H1Error(f"an interim response {head.status} that nobody asked for")
        return data, at

    def _finish(self, body: bytes, rest: bytes = b"") -> Response:
        assert self._head is not None
        response = Response(self._head, body)
        self._head = self._body = None
        self._interim = 0
        self.awaiting = self.begun = False
        if rest:
            error = H1Error(_UNASKED)
            error.whole.append(response)
            raise error
        return response
