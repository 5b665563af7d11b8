"""What a FIFO queue was sent within the last five minutes: whoever sends it again is told of the first."""

from __future__ import annotations

from hashlib import blake2b, sha256
from typing import NamedTuple

from burst.model.units import NS_PER_S

REMEMBERED_NS = 300 * NS_PER_S


class First(NamedTuple):
    """The message that was sent first."""

    ident: str
    sequence: str
    sent_ns: int


def content_id(body: bytes) -> str:
    """Return the deduplication id of a message that has none: a hash of its body."""
    return sha256(body).hexdigest()


def key_of(deduplication: str, group: str) -> bytes:
    """Return what a message is remembered by; ``group`` is empty where ids count for the whole queue."""
    return blake2b(f"{deduplication}\0{group}".encode(), digest_size=16).digest()


class Memory:
    """Two generations of five minutes: the older one is let go as a whole, some 300 bytes a message."""

    __slots__ = ("_began_ns", "_new", "_old")

    def __init__(self) -> None:
        self._old: dict[bytes, First] = {}
        self._new: dict[bytes, First] = {}
        self._began_ns: int | None = None

    def find(self, key: bytes, now_ns: int) -> First | None:
        """Return the first of its kind within five minutes."""
        found = self._new.get(key) or self._old.get(key)
        return found if found is not None and now_ns - found.sent_ns < REMEMBERED_NS else None

    def add(self, key: bytes, first: First) -> None:
        """Remember a message."""
        began = self._began_ns
        if began is None or first.sent_ns - began >= REMEMBERED_NS:
            self._old, self._new, self._began_ns = self._new, {}, first.sent_ns
        self._new[key] = first
