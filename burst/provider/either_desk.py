"""The desk of a provider that is spoken to over HTTP/2 and HTTP/1.1 alike, on one port.

Over TLS the client has chosen (ALPN); in clear text its first bytes tell (RFC 9113, section 3.3: prior knowledge).
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any, cast

import aiofastnet

from burst.provider.behaviour import Behaviour
from burst.provider.call_desk import CallDesk, MakeDialect
from burst.provider.desk import Means
from burst.provider.fate import Fates
from burst.provider.front import Front
from burst.provider.h2_desk import H2Desk
from burst.provider.intake import Intake
from burst.provider.manners import Behaved
from burst.provider.visit import Sums
from burst.wire.frames import PREFACE

_RECEIVE_BYTES = 64 * 1024
_raw = memoryview(bytearray(_RECEIVE_BYTES))  # one for all: what is read is taken in before the next read


class EitherDesk:
    """A desk for each version of HTTP: they share fates (there is one quota), sums and witness."""

    def __init__(self, behaviour: Behaviour, means: Means, make: MakeDialect) -> None:
        """Open for business."""
        self.means = means
        conduct = self.conduct(behaviour)
        self.calls = CallDesk(behaviour, means, make, fates=self.make_fates(behaviour))
        manners = Behaved(conduct, means.clock, means.seed + means.process)
        front = self.make_front(behaviour, manners)
        front.sums = self.calls.sums
        self.frames = H2Desk(front, manners, means)
        self.undecided: set[EitherLink] = set()

    # -- the dialect's own -----------------------------------------------------------------------------------------

    def make_fates(self, behaviour: Behaviour) -> Fates:
        """Return the fates of a behaviour."""
        raise NotImplementedError

    def make_front(self, behaviour: Behaviour, manners: Behaved) -> Front:
        """Return the front for HTTP/2; the desk for HTTP/1.1 is there already."""
        raise NotImplementedError

    def make_intake(self, behaviour: Behaviour) -> Intake:
        """Return what reads requests of HTTP/2."""
        raise NotImplementedError

    def conduct(self, behaviour: Behaviour) -> Behaviour:
        """Return a behaviour as this dialect has it."""
        return cast("Behaviour", behaviour.conduct(self.means.dialect))

    # -- a desk's life ---------------------------------------------------------------------------------------------

    @property
    def links(self) -> Mapping[int, Any]:
        """Connections by number; those of HTTP/1.1 count downwards."""
        return {**self.frames.links, **{-serial: link for serial, link in self.calls.links.items()}}

    @property
    def sums(self) -> Sums:
        """What has been done."""
        return self.calls.sums

    def make_link(self) -> EitherLink:
        """Make the protocol of a new connection."""
        return EitherLink(self)

    def go(self, go_ns: int) -> None:
        """Learn the instant of GO."""
        self.calls.go(go_ns)
        self.frames.go(go_ns)

    def behave(self, behaviour: Behaviour) -> None:
        """Go on under another behaviour."""
        fates = self.make_fates(behaviour)
        self.calls.behave(behaviour, fates=fates)
        self.frames.change(self.conduct(behaviour), fates, self.make_intake(behaviour))

    def release(self, now_ns: int) -> None:
        """Give the answers whose time has come."""
        self.calls.release(now_ns)
        self.frames.release(now_ns)

    def next_ns(self) -> int:
        """Return when the next answer is due."""
        return min(self.calls.next_ns(), self.frames.next_ns())

    def order(self, name: str, order: Mapping[str, Any]) -> None:
        """Do something to every connection."""
        self.frames.order(name, order)
        self.calls.order(name, order)

    def open_requests(self) -> int:
        """Return how many requests await their answers."""
        return self.calls.open_requests() + self.frames.open_requests()

    def close(self) -> None:
        """Cut every connection off."""
        for link in list(self.undecided):
            link.abort()
        self.calls.close()
        self.frames.close()


class EitherLink(aiofastnet.Protocol):
    """A connection until it is known which version of HTTP it speaks."""

    def __init__(self, desk: EitherDesk) -> None:
        self._desk = desk
        self._transport: Any = None
        self._held = b""

    def is_buffered_protocol(self) -> bool:
        """Say that reads go into a buffer of ours."""
        return True

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Welcome the peer."""
        self._transport = cast("Any", transport)
        tls = transport.get_extra_info("ssl_object")
        if tls is None:
            self._desk.undecided.add(self)
        else:
            self._become(h2=tls.selected_alpn_protocol() == "h2")

    def get_buffer(self, _size_hint: int) -> memoryview:
        """Return where the next bytes belong."""
        return _raw

    def buffer_updated(self, count: int) -> None:
        """Take bytes in until they tell."""
        held = self._held = self._held + bytes(_raw[:count])
        if len(held) >= len(PREFACE) or not PREFACE.startswith(held):
            self._become(h2=held.startswith(PREFACE))

    def eof_received(self) -> bool:
        """Close: who has said so little says nothing."""
        return False

    def connection_lost(self, error: BaseException | None) -> None:  # noqa: ARG002 (why does not matter here)
        """End."""
        self._desk.undecided.discard(self)

    def pause_writing(self) -> None:
        """Nothing was written."""

    def resume_writing(self) -> None:
        """Nothing was written."""

    def abort(self) -> None:
        """Close at once."""
        self._transport.abort()

    def _become(self, *, h2: bool) -> None:
        """Hand the socket over, with what came on it so far."""
        self._desk.undecided.discard(self)
        transport, held, self._held = self._transport, memoryview(self._held), b""
        link: Any = self._desk.frames.make_link() if h2 else self._desk.calls.make_link()
        transport.set_protocol(link)
        link.connection_made(transport)
        while held and not transport.is_closing():
            room = link.get_buffer(len(held))
            size = min(len(room), len(held))
            room[:size] = held[:size]
            link.buffer_updated(size)
            held = held[size:]
