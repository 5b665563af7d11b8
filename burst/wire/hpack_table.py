"""The tables of HPACK: 61 fields that everyone knows, then those of this connection, newest first (RFC 7541, 2.3)."""

from __future__ import annotations

from typing import Final

Pair = tuple[bytes, bytes]

STATIC_TABLE: Final[tuple[Pair, ...]] = (
    (b":authority", b""),
    (b":method", b"GET"),
    (b":method", b"POST"),
    (b":path", b"/"),
    (b":path", b"/index.html"),
    (b":scheme", b"http"),
    (b":scheme", b"https"),
    (b":status", b"200"),
    (b":status", b"204"),
    (b":status", b"206"),
    (b":status", b"304"),
    (b":status", b"400"),
    (b":status", b"404"),
    (b":status", b"500"),
    (b"accept-charset", b""),
    (b"accept-encoding", b"gzip, deflate"),
    (b"accept-language", b""),
    (b"accept-ranges", b""),
    (b"accept", b""),
    (b"access-control-allow-origin", b""),
    (b"age", b""),
    (b"allow", b""),
    (b"authorization", b""),
    (b"cache-control", b""),
    (b"content-disposition", b""),
    (b"content-encoding", b""),
    (b"content-language", b""),
    (b"content-length", b""),
    (b"content-location", b""),
    (b"content-range", b""),
    (b"content-type", b""),
    (b"cookie", b""),
    (b"date", b""),
    (b"etag", b""),
    (b"expect", b""),
    (b"expires", b""),
    (b"from", b""),
    (b"host", b""),
    (b"if-match", b""),
    (b"if-modified-since", b""),
    (b"if-none-match", b""),
    (b"if-range", b""),
    (b"if-unmodified-since", b""),
    (b"last-modified", b""),
    (b"link", b""),
    (b"location", b""),
    (b"max-forwards", b""),
    (b"proxy-authenticate", b""),
    (b"proxy-authorization", b""),
    (b"range", b""),
    (b"referer", b""),
    (b"refresh", b""),
    (b"retry-after", b""),
    (b"server", b""),
    (b"set-cookie", b""),
    (b"strict-transport-security", b""),
    (b"transfer-encoding", b""),
    (b"user-agent", b""),
    (b"vary", b""),
    (b"via", b""),
    (b"www-authenticate", b""),
)
"""Appendix A. Index 1 is the first: ``STATIC_TABLE[index - 1]``."""

FIRST_DYNAMIC: Final = len(STATIC_TABLE) + 1
"""The index of the newest field of the connection's own."""

DEFAULT_TABLE_BYTES: Final = 4096
"""SETTINGS_HEADER_TABLE_SIZE until someone says otherwise (RFC 9113, 6.5.2)."""

FIELD_OVERHEAD_BYTES: Final = 32
"""What a field counts beside its name and value, in a table (RFC 7541, 4.1) and in a list (RFC 9113, 6.5.2)."""


def field_bytes(name: bytes, value: bytes) -> int:
    """Return what a field counts in a table and in a list."""
    return len(name) + len(value) + FIELD_OVERHEAD_BYTES


_KNOWN: Final = [(pair, field_bytes(*pair)) for pair in ((b"", b""), *STATIC_TABLE)]


class FieldTable:
    """Both tables under one index.

    ``entries[index]`` is a field and what it counts. Index 0 is nobody's: it holds a place and must not be looked up.
    Adding costs a shift of the fields there are, 128 at most in a table of ``DEFAULT_TABLE_BYTES``.
    """

    __slots__ = ("capacity_bytes", "entries", "used_bytes")

    def __init__(self, capacity_bytes: int) -> None:
        self.capacity_bytes = capacity_bytes
        self.used_bytes = 0
        self.entries: list[tuple[Pair, int]] = _KNOWN.copy()

    def __len__(self) -> int:
        return len(self.entries) - FIRST_DYNAMIC

    def add(self, name: bytes, value: bytes) -> bool:
        """Put a field first and drop what no longer fits; one beyond the capacity only empties the table (4.4).

        Returns whether anything changed.
        """
        size = field_bytes(name, value)
        if size > self.capacity_bytes:
            return self._shrink(0)
        self._shrink(self.capacity_bytes - size)
        self.entries.insert(FIRST_DYNAMIC, ((name, value), size))
        self.used_bytes += size
        return True

    def resize(self, capacity_bytes: int) -> bool:
        """Set the capacity and drop what no longer fits (4.3). Returns whether the capacity changed."""
        changed = capacity_bytes != self.capacity_bytes
        self.capacity_bytes = capacity_bytes
        self._shrink(capacity_bytes)
        return changed

    def _shrink(self, to_bytes: int) -> bool:
        """Drop the oldest until what is left counts at most ``to_bytes``. Returns whether any went."""
        before = self.used_bytes
        while self.used_bytes > to_bytes:
            pair, size = self.entries.pop()
            self.used_bytes -= size
            self._dropped(pair)
        return self.used_bytes != before

    def _dropped(self, pair: Pair) -> None:
        """Hear of a field that was dropped; it was the oldest."""


_STATIC_INDEX: Final = {pair: index for index, pair in enumerate(STATIC_TABLE, 1)}
_STATIC_NAME_INDEX: Final = {name: index for index, (name, _) in reversed(list(enumerate(STATIC_TABLE, 1)))}


class SearchTable(FieldTable):
    """The tables as an encoder needs them: by field and by name.

    Fields are remembered by their number, counted from the connection's start, because an index moves with every
    field that is added.
    """

    __slots__ = ("_added", "_names", "_pairs")

    def __init__(self, capacity_bytes: int) -> None:
        super().__init__(capacity_bytes)
        self._added = 0
        self._pairs: dict[Pair, int] = {}
        self._names: dict[bytes, int] = {}

    def index(self, pair: Pair) -> int:
        """Return the index of a field, 0 where it stands in neither table."""
        found = _STATIC_INDEX.get(pair)
        if found is not None:
            return found
        number = self._pairs.get(pair)
        return 0 if number is None else FIRST_DYNAMIC + self._added - number

    def name_index(self, name: bytes) -> int:
        """Return the index of a field of that name, 0 where there is none."""
        found = _STATIC_NAME_INDEX.get(name)
        if found is not None:
            return found
        number = self._names.get(name)
        return 0 if number is None else FIRST_DYNAMIC + self._added - number

    def add(self, name: bytes, value: bytes) -> bool:
        """Put a field first, as ``FieldTable.add``."""
        changed = super().add(name, value)
        if field_bytes(name, value) <= self.capacity_bytes:
            self._added += 1
            self._pairs[name, value] = self._added
            self._names[name] = self._added
        return changed

    def _dropped(self, pair: Pair) -> None:
        number = self._added - len(self)
        if self._pairs[pair] == number:
            del self._pairs[pair]
        if self._names[pair[0]] == number:
            del self._names[pair[0]]
