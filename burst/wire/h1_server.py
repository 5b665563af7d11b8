"""The server's end of HTTP/1.1: bytes in, whole requests out, and responses as bytes."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from http import HTTPStatus

from burst.wire.h1 import (
    CHUNKED,
    FIELDS,
    MOST_FIELDS,
    MOST_LINE_BYTES,
    Body,
    H1Error,
    HeldHead,
    Pair,
    Seen,
    coming_body,
    is_token,
    join,
    length_of,
    read_head,
    refuse_codings,
    stays_open,
    too_many_fields,
)

LARGEST_BODY = 4_194_304  # bytes of one request's body: an SQS batch is at most 1 MiB before it is escaped as JSON
MOST_WAITING = 1_048_576  # bytes that may come while paused
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"

_REQUEST_LINE = re.compile(rb"([!#$%&'*+\-.^_`|~0-9A-Za-z]++) ([\x21-\x7e]++) HTTP/([0-9])\.([0-9])").fullmatch
_ABSOLUTE = re.compile(rb"[A-Za-z][A-Za-z0-9+.\-]*+://[^/?#]++([^#]*+)").fullmatch
_HOST = re.compile(rb"[A-Za-z0-9\-._~%!$&'()*+,;=:\[\]]*+").fullmatch  # RFC 3986, section 3.2.2, and a port
_CR, _LF, _FIRST_VISIBLE, _LAST_VISIBLE = 0x0D, 0x0A, 0x21, 0x7E
_NO_BLANK, _HALF_BLANK, _BLANK = range(3)
_BODILESS = {204, 304}
_REASONS = {status.value: b"HTTP/1.1 %d %b\r\n" % (status.value, status.phrase.encode()) for status in HTTPStatus}


@dataclass(slots=True)
class Request:
    """One request, whole. Names of fields are lower case, values of repeated ones joined by ``b", "``.

    ``target`` is as it came: a path, an absolute URI, ``*`` (OPTIONS alone), or an authority (CONNECT alone).
    ``keep_alive``: another request may follow. Trailers are let go.
    """

    method: bytes
    target: bytes
    fields: dict[bytes, bytes]
    body: bytes
    keep_alive: bool

    @property
    def path(self) -> bytes:
        """The path and query of the target, which may have come as an absolute URI (RFC 9112, section 3.2.2)."""
        absolute = None if self.target.startswith(b"/") else _ABSOLUTE(self.target)
        if absolute is None:
            return self.target
        path: bytes = absolute[1]
        return path if path.startswith(b"/") else b"/" + path


def _read_request_line(line: bytes) -> tuple[bytes, bytes, int]:
    """Return method, target and the minor version (RFC 9112, section 3)."""
    match = _REQUEST_LINE(line)
    if match is None:
        what = "target or version" if is_token(line.partition(b" ")[0]) else "method"
        raise H1Error(f"a request line with a {what} that is none")
    if len(line) > MOST_LINE_BYTES:
        raise H1Error("a target that is too long", 414)
    method, target, major, minor = match.groups()
    if major != b"1":
        raise H1Error("another version of HTTP than 1", 505)
    if method == b"CONNECT":
        sound = _HOST(target) is not None
    elif target == b"*":
        sound = method == b"OPTIONS"
    else:
        sound = target.startswith(b"/") or _ABSOLUTE(target) is not None
    if not sound:
        raise H1Error("a target that does not go with its method")
    return method, target, int(minor)


def _read_host(host: bytes) -> bytes:
    if _HOST(host) is None:
        raise H1Error("a host that is none")
    return host


_LINES = Seen(_read_request_line, most=1024)
_HOSTS = Seen(_read_host, most=256)


class ServerCodec:
    """What a client sends on one connection, read. ``most_body`` is the largest body taken, in bytes.

    ``output`` is what the codec itself has to say (100 Continue): to be written after the answers to the requests that
    were returned, and cleared, by the owner.

    With ``one_at_a_time`` it pauses after each request, for owners that do not answer at once: what is pipelined waits,
    unread, until ``resume``. Such an owner reads no more from the socket while ``paused``.
    """

    __slots__ = (
        "_blank",
        "_body",
        "_failed",
        "_held",
        "_most_body",
        "_one_at_a_time",
        "_over",
        "_request",
        "_waiting",
        "_waiting_from",
        "output",
        "paused",
    )

    def __init__(self, *, most_body: int = LARGEST_BODY, one_at_a_time: bool = False) -> None:
        self.output: list[bytes] = []
        self.paused = False
        self._most_body = most_body
        self._one_at_a_time = one_at_a_time
        self._waiting, self._waiting_from = b"", 0
        self._held = HeldHead()
        self._blank = _NO_BLANK
        self._request: Request | None = None  # its head has come, its body has not
        self._body: Body | None = None
        self._over = False
        self._failed: H1Error | None = None

    @property
    def between(self) -> bool:
        """Whether all that has come was answered and the next byte begins a request."""
        return not (
            self.paused
            or self._request is not None
            or self._blank
            or self._over
            or self._failed is not None
            or len(self._held)
        )

    def feed(self, data: bytes | memoryview) -> list[Request]:
        """Take bytes in; return the requests that became whole, in order.

        Raises H1Error with the status to answer before closing; the requests before the fault are the error's
        ``whole``, to be answered first. What follows a request that was to be the last is not read (RFC 9112, 9.6).
        """
        if type(data) is not bytes:
            data = bytes(data)
        if self._failed is not None:
            raise self._failed.again()
        if self.paused:
            data, self._waiting, self._waiting_from = self._waiting[self._waiting_from :] + data, b"", 0
        return self._read(data, 0)

    def resume(self) -> list[Request]:
        """Read on: the last request was answered. Returns and raises as ``feed`` does."""
        if self._failed is not None:
            raise self._failed.again()
        self.paused = False
        data, self._waiting = self._waiting, b""
        return self._read(data, self._waiting_from)

    def _read(self, data: bytes, at: int) -> list[Request]:
        requests: list[Request] = []
        try:
            self._take(data, at, requests)
        except H1Error as error:
            error.whole.extend(requests)
            self._failed = error
            raise
        return requests

    def _take(self, data: bytes, at: int, requests: list[Request]) -> None:
        if self._held and data and not self.paused:
            data = self._held.add(data)
        while at < len(data) and not self._over and not self.paused:
            if self._request is None:
                at = self._begin(data, at)
            request, body = self._request, self._body
            if body is not None:
                at = body.take(data, at)
            if request is None or (body is not None and not body.done):
                return
            if body is not None:
                request.body = bytes(body.content)
            self._request = self._body = None
            requests.append(request)
            self._over = not request.keep_alive
            self.paused = self._one_at_a_time
        if self.paused and not self._over:
            if len(data) - at > MOST_WAITING:
                raise H1Error("more is pipelined than there is room for", 413)
            self._waiting, self._waiting_from = data, at

    def _begin(self, data: bytes, at: int) -> int:
        """Read a head, and the body if all of it is there; return where the data after them begins."""
        if not _FIRST_VISIBLE <= data[at] <= _LAST_VISIBLE or self._blank == _HALF_BLANK:
            at = self._skip_blank(data, at)
            if at == len(data):
                return at
        found, content = read_head(data, at, _read_request)
        if found is None:
            self._held.add(data[at:])
            return len(data)
        self._blank = _NO_BLANK
        self._request, framing, minor = found
        end = content + framing
        if framing >= 0 and end <= len(data) and framing <= self._most_body:
            self._request.body = data[content:end]
            return end
        self._body = coming_body(framing, self._most_body)
        # Who has begun to send it does not wait to be told (RFC 9110, section 10.1.1).
        if content == len(data) and minor and b"100-continue" in self._request.fields.get(b"expect", b"").lower():
            self.output.append(CONTINUE)
        return content

    def _skip_blank(self, data: bytes, at: int) -> int:
        """Skip one empty line before a request (RFC 9112, section 2.2), in pieces as it may come."""
        if self._blank == _NO_BLANK and data[at] == _CR:
            self._blank = _HALF_BLANK
            at += 1
            if at == len(data):
                return at
        if self._blank != _BLANK and data[at] == _LF:
            self._blank = _BLANK
            at += 1
            if at == len(data):
                return at
        if self._blank == _HALF_BLANK or not _FIRST_VISIBLE <= data[at] <= _LAST_VISIBLE:
            raise H1Error("this is not HTTP/1.1")
        return at


def _read_request(head: bytes) -> tuple[Request, int, int]:
    """Return a request without its body, that body's length or CHUNKED, and the minor version."""
    lines = head.split(b"\r\n")
    method, target, minor = _LINES[lines.pop(0)]
    if len(lines) > MOST_FIELDS:
        raise too_many_fields()
    pairs = list(map(FIELDS.__getitem__, lines))
    fields = dict(pairs)
    if len(fields) < len(pairs):
        if sum(name == b"host" for name, _ in pairs) > 1:
            raise H1Error("more than one host")
        fields = join(pairs)
    host = fields.get(b"host")
    if host is not None:
        _HOSTS[host]
    elif minor:
        raise H1Error("no host")
    framing = 0
    length, codings = fields.get(b"content-length"), fields.get(b"transfer-encoding")
    if length is not None:
        framing = length_of(length)
        if not length.isdigit():
            fields[b"content-length"] = b"%d" % framing
    if codings is not None:
        if length is not None:
            raise H1Error("a content-length beside a transfer-encoding")
        refuse_codings(codings, minor)
        framing = CHUNKED
    # A peer of HTTP/1.0 would have to be told that the connection persists: it is answered and let go.
    return Request(method, target, fields, b"", minor > 0 and stays_open(fields, minor)), framing, minor


def response(
    status: int,
    fields: Sequence[Pair],
    body: bytes = b"",
    *,
    keep_alive: bool = True,
    head_request: bool = False,
) -> bytes:
    """Return one response. What frames it (Content-Length, Connection) is written here and not among ``fields``.

    ``head_request``: the length is said, the body is not sent. Raises ValueError for fields that would not stay
    fields, and for a body where the status has none (1xx, 204, 304).
    """
    lines = [_REASONS.get(status) or b"HTTP/1.1 %d \r\n" % status]
    lines += [b"%b: %b\r\n" % pair for pair in fields]
    if status >= 200 and status not in _BODILESS:
        lines.append(b"content-length: %d\r\n" % len(body))
    elif body:
        raise ValueError(f"a response {status} has no body")
    if not keep_alive:
        lines.append(b"connection: close\r\n")
    head = b"".join(lines)
    if head.count(b"\n") > len(lines) or head.count(b"\r") > len(lines) or b"\0" in head:
        raise ValueError("a field that would not stay one")
    return head + (b"\r\n" if head_request else b"\r\n" + body)
