"""HTTP/1.1 as bytes, what both ends share: heads, fields, framing, and the three ways a body ends (RFC 9112).

Strict where two readers could disagree about where a message ends, as h11 is. As h11 does, a bare LF is taken for a
line's end in heads and trailers (RFC 9112, section 2.2), never around chunks; a line that is folded (section 5.2) is
refused, and so is every control character but the tab.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

MOST_HEAD_BYTES = 16_384  # of a head, and of trailers or chunk extensions together: what h11 takes by default
MOST_LINE_BYTES = 8192  # of a request line; RFC 9112, section 3, asks for at least 8,000
MOST_FIELDS = 100  # as Apache's LimitRequestFields
MOST_LENGTH_DIGITS = 20  # of a length in decimal, and of a chunk's size in hexadecimal, as h11
CHUNKED, UNTIL_END = -1, -2  # instead of a length

Pair = tuple[bytes, bytes]

_TOKEN = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]++").fullmatch
_BLANKS = {b" ", b"\t"}
_CONTROLS = bytes(code for code in (*range(0x20), 0x7F) if code != ord("\t"))
# Possessive: whatever the line, it is read once.
_CHUNK = re.compile(rb"([0-9A-Fa-f]{1,%d}+)[ \t]*+(;[^\x00-\x08\x0a-\x1f\x7f]*+)?\r\n" % MOST_LENGTH_DIGITS).fullmatch
_HEAD_END = re.compile(rb"\n\r?\n").search
_BARE_LF = re.compile(rb"(?<!\r)\n").search
_FRAMING = {b"content-length", b"transfer-encoding"}

Read = TypeVar("Read")


class H1Error(Exception):
    """The peer broke the protocol, or asked for more than there is room for: the connection ends.

    ``status`` is what a server answers before it closes. ``whole`` are the messages (requests or responses) that the
    same bytes had brought before the fault, in order: they stand.
    """

    def __init__(self, what: str, status: int = 400) -> None:
        super().__init__(what)
        self.status = status
        self.whole: list[Any] = []

    def again(self) -> H1Error:
        """Return the same fault for whoever goes on regardless, without what was told with it the first time."""
        return H1Error(str(self), self.status)


class Seen(dict[bytes, Read]):
    """What was read of byte strings that come again and again. At most ``most`` of at most ``longest`` bytes each."""

    __slots__ = ("_longest", "_most", "_read")

    def __init__(self, read: Callable[[bytes], Read], *, most: int = 4096, longest: int = 160) -> None:
        super().__init__()
        self._read = read
        self._most = most
        self._longest = longest

    def __missing__(self, raw: bytes) -> Read:
        found = self._read(raw)
        if len(raw) <= self._longest:
            if len(self) >= self._most:
                self.clear()
            self[raw] = found
        return found


def is_token(raw: bytes) -> bool:
    """Return whether this is a token (RFC 9110, section 5.6.2)."""
    return _TOKEN(raw) is not None


def is_text(raw: bytes) -> bool:
    """Return whether this has no control character but tabs."""
    return len(raw.translate(None, _CONTROLS)) == len(raw)


def _read_name(raw: bytes) -> bytes:
    if not is_token(raw):
        raise H1Error("a folded line" if raw[:1] in _BLANKS else "a field name with characters not allowed")
    return raw.lower()


def read_field(line: bytes) -> Pair:
    """Return a field's name in lower case, and its value without the blanks around it (RFC 9112, section 5)."""
    name, colon, value = line.partition(b":")
    if not colon:
        raise H1Error("a folded line" if line[:1] in _BLANKS else "a field line without a colon")
    if len(value.translate(None, _CONTROLS)) < len(value):
        raise H1Error("a field value with characters not allowed")
    return _NAMES[name], value.strip(b" \t")


_NAMES = Seen(_read_name, most=1024, longest=64)
FIELDS = Seen(read_field)


def read_head(data: bytes, at: int, read: Callable[[bytes], Read]) -> tuple[Read | None, int]:
    """Return what ``read`` makes of the head at ``at``, its lines parted by CRLF, and where its content begins.

    Where data ends before the head does, that is (None, -1). ``read`` must refuse lines with an LF in them. Raises
    H1Error (414, 431) for a head that is too long.
    """
    end = data.find(b"\r\n\r\n", at)
    if 0 <= end <= at + MOST_HEAD_BYTES:
        try:
            return read(data[at:end]), end + 4
        except H1Error:
            if not _BARE_LF(data, at, end):
                raise
    match = _HEAD_END(data, at)
    if match is None:
        refuse_long(data, at)
        return None, -1
    # The LF that ends the head's last line is the match's first byte, one behind where a CRLF begins.
    if match.start() > at + MOST_HEAD_BYTES + 1:
        raise _too_long(data, at)
    lines = [line.removesuffix(b"\r") for line in data[at : match.start()].split(b"\n")]
    return read(b"\r\n".join(lines)), match.end()


def refuse_long(data: bytes | bytearray, at: int) -> None:
    """Raise H1Error where so many bytes of a head, and no end among them, are too many."""
    if len(data) - at > MOST_HEAD_BYTES + len(b"\r\n\r\n"):
        raise _too_long(data, at)


def _too_long(data: bytes | bytearray, at: int) -> H1Error:
    if data.find(b"\n", at, at + MOST_LINE_BYTES + len(b"\r\n")) < 0:
        return H1Error("a first line that is too long", 414)
    return H1Error("a head that is too long", 431)


class HeldHead:
    """The bytes of a head that is not whole. However they come, each is looked at once."""

    __slots__ = ("_held",)

    def __init__(self) -> None:
        self._held = bytearray()

    def __len__(self) -> int:
        return len(self._held)

    def opening(self, data: bytes, size: int) -> bytes:
        """Return the first bytes of the head, of which ``data`` is the next part."""
        return bytes(self._held[:size] + data[:size])[:size]

    def add(self, data: bytes) -> bytes:
        """Return all that was held with ``data`` behind it once the head's end is there; until then nothing."""
        searched = max(0, len(self._held) - 2)
        self._held += data
        if _HEAD_END(self._held, searched) is None:
            refuse_long(self._held, 0)
            return b""
        whole = bytes(self._held)
        self._held.clear()
        return whole


def too_many_fields() -> H1Error:
    """Return what more than ``MOST_FIELDS`` fields are refused with."""
    return H1Error(f"more than {MOST_FIELDS} fields", 431)


def join(pairs: Sequence[Pair]) -> dict[bytes, bytes]:
    """Return fields by name, the values of repeated ones joined by commas (RFC 9110, section 5.3)."""
    fields = dict(pairs)
    if len(fields) < len(pairs):
        fields = {}
        for name, value in pairs:
            fields[name] = fields[name] + b", " + value if name in fields else value
    return fields


def length_of(value: bytes) -> int:
    """Return a Content-Length; one that was said several times must be the same each time (RFC 9110, 8.6)."""
    if not value.isdigit():
        said = {part.strip(b" \t") for part in value.split(b",")}
        value = said.pop()
        if said:
            raise H1Error("different content-lengths")
    if not value.isdigit() or len(value) > MOST_LENGTH_DIGITS:
        raise H1Error("a content-length that is no length")
    return int(value)


def refuse_codings(value: bytes, minor: int) -> None:
    """Raise H1Error for a Transfer-Encoding that is not ``chunked`` alone, and for any in HTTP/1.0 (RFC 9112, 6.1)."""
    if not minor:
        raise H1Error("a transfer-encoding in HTTP/1.0")
    if value.lower() != b"chunked":
        raise H1Error("a transfer-encoding other than chunked", 501)


def _read_options(value: bytes) -> frozenset[bytes]:
    return frozenset(option.strip(b" \t") for option in value.lower().split(b","))


_OPTIONS = Seen(_read_options, most=256)


def stays_open(fields: Mapping[bytes, bytes], minor: int) -> bool:
    """Return whether the connection persists after this message (RFC 9112, section 9.3)."""
    connection = fields.get(b"connection")
    if connection is None:
        return minor > 0
    options = _OPTIONS[connection]
    return b"close" not in options and (minor > 0 or b"keep-alive" in options)


class Body:
    """A body that is coming. ``take`` is told where in the data to go on, and says how far it went."""

    __slots__ = ("_most", "content", "done")

    def __init__(self, most: int) -> None:
        self.content = bytearray()
        self.done = False
        self._most = most

    def take(self, data: bytes, at: int) -> int:
        """Take bytes from ``at`` on, all of them unless the body is ``done``; return where it stopped."""
        raise NotImplementedError

    def _refuse_beyond(self, length: int) -> None:
        if length > self._most:
            raise H1Error(f"a body of more than {self._most} bytes", 413)


class CountedBody(Body):
    """A body whose length was announced."""

    __slots__ = ("_length",)

    def __init__(self, length: int, most: int) -> None:
        super().__init__(most)
        self._refuse_beyond(length)
        self._length = length
        self.done = not length

    def take(self, data: bytes, at: int) -> int:
        """Take bytes."""
        end = min(len(data), at + self._length - len(self.content))
        self.content += data[at:end]
        self.done = len(self.content) == self._length
        return end


class EndlessBody(Body):
    """A body that ends with the connection: it is never ``done`` of itself."""

    __slots__ = ()

    def take(self, data: bytes, at: int) -> int:
        """Take bytes."""
        self._refuse_beyond(len(self.content) + len(data) - at)
        self.content += data[at:]
        return len(data)


_SIZE, _CONTENT, _AFTER, _TRAILERS = range(4)


class ChunkedBody(Body):
    """A body in chunks (RFC 9112, section 7.1). Extensions and trailers are read, checked and let go."""

    __slots__ = ("_awaits", "_fields", "_held", "_left", "_room")

    def __init__(self, most: int) -> None:
        super().__init__(most)
        self._awaits = _SIZE
        self._left = 0  # bytes of this chunk, or of the line's end after it
        self._held = b""  # a line that is not whole
        self._room = MOST_HEAD_BYTES  # for extensions and trailers
        self._fields: list[bytes] = []

    def take(self, data: bytes, at: int) -> int:
        """Take bytes."""
        while at < len(data) and not self.done:
            if self._awaits == _CONTENT:
                end = min(len(data), at + self._left)
                self.content += data[at:end]
                self._left -= end - at
                at = end
                if not self._left:
                    self._awaits, self._left = _AFTER, 2
            elif self._awaits == _AFTER:
                end = at + self._left
                if not b"\r\n"[-self._left :].startswith(data[at:end]):
                    raise H1Error("a chunk that is longer than its size")
                self._left -= len(data[at:end])
                at = min(end, len(data))
                if not self._left:
                    self._awaits = _SIZE
            else:
                at = self._take_line(data, at)
        return at

    def _take_line(self, data: bytes, at: int) -> int:
        end = data.find(b"\n", at) + 1
        line = self._held + data[at : end or len(data)]
        # A line that is not whole counts too: what is held stays small.
        if len(line) > self._room + MOST_LENGTH_DIGITS + 2:
            raise H1Error("chunk extensions or trailers that are too long", 431)
        self._held = b"" if end else line
        if not end:
            return len(data)
        if self._awaits == _SIZE:
            self._take_size(line)
        else:
            self._take_trailer(line.removesuffix(b"\n").removesuffix(b"\r"))
        return end

    def _take_size(self, line: bytes) -> None:
        match = _CHUNK(line)
        if match is None:
            raise H1Error("a chunk's size that is no size")
        size = int(match[1], 16)
        self._refuse_beyond(len(self.content) + size)
        self._room -= len(line) - len(match[1]) - 2
        if self._room < 0:
            raise H1Error("chunk extensions that are too long", 431)
        self._left = size
        self._awaits = _CONTENT if size else _TRAILERS

    def _take_trailer(self, line: bytes) -> None:
        if not line:
            self.done = True
            return
        self._room -= len(line)
        self._fields.append(line)
        if self._room < 0:
            raise H1Error("trailers that are too long", 431)
        if len(self._fields) > MOST_FIELDS:
            raise too_many_fields()
        if FIELDS[line][0] in _FRAMING:
            raise H1Error("a trailer that would frame its message")


def coming_body(framing: int, most: int) -> Body:
    """Return what takes a body of this length, CHUNKED, or UNTIL_END; of at most ``most`` bytes (else 413)."""
    if framing >= 0:
        return CountedBody(framing, most)
    return ChunkedBody(most) if framing == CHUNKED else EndlessBody(most)
