"""Where a queue's messages lie: in columns, so that a million are little more than their bodies."""

from __future__ import annotations

from array import array
from binascii import hexlify, unhexlify
from enum import IntEnum

import msgspec

from burst.provider.sqs_message import Attributes

SLOT_BITS = 32
SLOT_MASK = (1 << SLOT_BITS) - 1
OVERHEAD = 128  # bytes that a message takes beside its body


class State(IntEnum):
    """What may happen to a message next."""

    GONE = 0
    LATER = 1  # sent with a delay
    READY = 2
    FLYING = 3  # received, and neither deleted nor visible again


class Extra(msgspec.Struct, gc=False):
    """What few messages have."""

    attributes: Attributes | None = None
    trace: str = ""  # AWSTraceHeader
    group: str = ""
    deduplication: str = ""
    sequence: str = ""
    source: str = ""  # the queue it was taken out of as a dead letter


_NOTHING = Extra()


class Shelf:
    """Columns by slot. ``serials`` number messages, so that a handle of one that is gone does not meet the next."""

    __slots__ = (
        "_free",
        "_ids",
        "_serial",
        "bodies",
        "due_ns",
        "extras",
        "first_ms",
        "receives",
        "sent_ms",
        "serials",
        "size",
        "states",
        "taken_ns",
    )

    def __init__(self) -> None:
        self.bodies: list[bytes] = []
        self.extras: dict[int, Extra] = {}
        self._ids = bytearray()
        self.sent_ms, self.first_ms, self.due_ns = array("q"), array("q"), array("q")
        self.taken_ns, self.serials, self.receives = array("q"), array("q"), array("i")
        self.states = bytearray()
        self._free = array("q")
        self._serial = 0
        self.size = 0  # bytes, about

    def add(self, ident: str, body: bytes, extra: Extra | None, sent_ms: int) -> int:
        """Put a message down; return its slot. It is GONE until somebody says what it is."""
        raw = unhexlify(ident.replace("-", ""))
        self._serial += 1
        self.size += len(body) + OVERHEAD
        if self._free:
            slot = self._free.pop()
            self.bodies[slot], self._ids[16 * slot : 16 * slot + 16] = body, raw
            self.sent_ms[slot], self.serials[slot] = sent_ms, self._serial
            self.first_ms[slot] = self.due_ns[slot] = self.taken_ns[slot] = self.receives[slot] = 0
        else:
            slot = len(self.bodies)
            self.bodies.append(body)
            self._ids += raw
            self.sent_ms.append(sent_ms)
            self.serials.append(self._serial)
            for column in (self.first_ms, self.due_ns, self.taken_ns, self.receives):
                column.append(0)
            self.states.append(State.GONE)
        if extra is not None:
            self.extras[slot] = extra
        return slot

    def empty(self, slot: int) -> None:
        """Let a message go; its slot is not used again before ``free``."""
        self.size -= len(self.bodies[slot]) + OVERHEAD
        self.bodies[slot] = b""
        self.extras.pop(slot, None)
        self.states[slot] = State.GONE

    def free(self, slot: int) -> None:
        """Let a slot be used again."""
        self._free.append(slot)

    def more(self, slot: int) -> Extra:
        """Return what few messages have."""
        return self.extras.get(slot, _NOTHING)

    def ident(self, slot: int) -> str:
        """Return a message's id."""
        text = hexlify(self._ids[16 * slot : 16 * slot + 16]).decode()
        return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"
