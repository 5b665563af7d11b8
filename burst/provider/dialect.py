"""What it takes to speak as a provider over HTTP/1.1: read a call, and say what became of each of its entries."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from burst.model.batch import Int64Column
from burst.provider.fate import UInt64Column
from burst.provider.loose import Caller
from burst.provider.refusal import Refusal, Words
from burst.wire.h1_server import Request


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer of HTTP: status, fields without those that frame the body, body."""

    status: int
    fields: tuple[tuple[bytes, bytes], ...]
    body: bytes = b""


@dataclass(slots=True)
class Ask:
    """A call that sends notifications: one entry or several, of one person or several each.

    Attributes
    ----------
    keys : uint64 of shape (entries,), a number for each entry's device or destination, for what is dead and for quotas
    people : int64, everybody named, entry by entry: indexes, ``TRACERS`` or ``FOREIGN``
    edges : int64 of shape (entries + 1,): the people of entry ``k`` are ``people[edges[k]:edges[k + 1]]``; None where
        every entry has one
    faults : entries that are refused whatever fate has for them, by their number
    whole : why none of them is taken, where that is so
    note : the dialect's own
    """

    keys: UInt64Column
    people: Int64Column
    edges: Int64Column | None = None
    faults: dict[int, Refusal] = field(default_factory=dict)
    whole: Refusal | None = None
    note: Any = None


class Dialect(Protocol):
    """A provider's way to be spoken to. One of each for a serving process."""

    @property
    def words(self) -> Words:
        """How it says what it will not do."""
        ...

    @property
    def whole_quota(self) -> bool:
        """Whether a call that finds too little quota left for all its entries is refused as a whole."""
        ...

    def read(self, request: Request, caller: Caller, now_ns: int) -> Ask | Reply | asyncio.Future[Reply]:
        """Read a call: notifications, or something else that is answered at once, or later (a poll that waits)."""
        ...

    def reply(self, ask: Ask, refused: Mapping[int, Refusal], whole: Refusal | None) -> Reply:
        """Answer a call: entries ``refused`` by number, all others taken; or ``whole``, and then none is."""
        ...

    def broken(self, status: int, what: str) -> Reply:
        """Answer what is no HTTP/1.1, or too much of it."""
        ...
