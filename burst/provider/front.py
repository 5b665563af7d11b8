"""The stand-in's counter: requests come in by column, are judged, witnessed, and answered by row."""

from __future__ import annotations

import uuid
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Protocol, cast

import numpy as np

from burst.model.batch import Int64Column
from burst.model.identity import FOREIGN, ID_WIDTH
from burst.model.ports import Clock
from burst.policy.wheel import Wheel
from burst.provider.fate import RESET, Act, Fates, Sight
from burst.provider.intake import COLUMNS, TRACERS, Intake
from burst.provider.refusal import Refusal, refusal
from burst.runs.witness import Counter, WitnessPart
from burst.wire.frame_rows import ROWS, FrameRows, Part
from burst.wire.frames import END_HEADERS, END_STREAM, ErrorCode, FrameType, frame
from burst.wire.h2 import Failed
from burst.wire.h2_server import Bodies, Cancelled, Heads, ServerConnection
from burst.wire.hpack_error import HpackError
from burst.wire.layout import Rows
from burst.wire.transport import H2Link

_REFUSED = 256  # an answer code from here on is a refusal of the intake, below it a fate
_ID_COLUMN = f"V{ID_WIDTH}"
_SERIAL_BITS = 31
_MOST_SHAPES = 64
_STATIC = {200, 204, 206, 304, 400, 404, 500}  # RFC 7541, appendix A
_GARBAGE = b"\x80\x80\x80"  # a header block that refers to entry 0 of a table: there is none

STREAM_COLUMNS: dict[str, type] = COLUMNS | {"id": cast("type", _ID_COLUMN), "has_id": np.bool_}


@dataclass(slots=True)
class Visit:
    """What the provider keeps of a connection."""

    serial: int
    opened_ns: int
    requests: int = 0
    accepted: bool = False
    certificate: bool = False  # the client showed one
    gone: bool = False
    shapes: OrderedDict[tuple[int, bytes, bool], tuple[int, FrameRows]] = field(default_factory=OrderedDict)


class Manners(Protocol):
    """How connections as such behave: told what happens on one, does to it what its behaviour says."""

    def opened(self, link: H2Link) -> None:
        """A connection was made."""
        ...

    def after_requests(self, link: H2Link, visit: Visit, count: int) -> None:
        """``count`` requests more have come whole on it."""
        ...

    def after_accept(self, link: H2Link, visit: Visit) -> None:
        """Its first push was accepted."""
        ...

    def write(self, link: H2Link, data: memoryview | bytes) -> None:
        """Write answers."""
        ...


class Front:
    """Owner of all connections of one serving process."""

    def __init__(
        self, fates: Fates, intake: Intake, witness: WitnessPart | None, clock: Clock, manners: Manners
    ) -> None:
        self.fates = fates
        self.intake = intake
        self.witness = witness
        self.manners = manners
        self.go_ns = clock.now_ns()  # or the start, where there is no run
        self._clock = clock
        self.links: dict[int, H2Link] = {}
        self._serial = 0
        self._wheel = Wheel()
        self._empty = intake.number_of(refusal("PayloadEmpty"))
        self._too_large = intake.number_of(refusal("PayloadTooLarge"))
        self.requests = 0

    def behave(self, fates: Fates, intake: Intake) -> None:
        """Go on under another behaviour; connections stay."""
        intake.inherit(self.intake)
        self.fates, self.intake = fates, intake
        for link in self.links.values():
            link.connection.layouts.forget()

    # -- what connections say --------------------------------------------------------------------------------------

    def opened(self, link: H2Link) -> None:
        """Welcome a connection."""
        self._serial += 1
        tls = link.transport.get_extra_info("ssl_object")
        shown = tls is not None and bool(tls.getpeercert())
        link.note = Visit(self._serial, self._clock.now_ns(), certificate=shown)
        self.links[self._serial] = link
        if self.witness is not None:
            self.witness.connect()
        self.manners.opened(link)

    def received(self, link: H2Link) -> None:
        """Take in what a connection brought."""
        now_ns = self._clock.now_ns()
        events = link.connection.events
        try:
            for event in events:
                if isinstance(event, Heads):
                    self._take_heads(link, event, now_ns)
                elif isinstance(event, Bodies):
                    self._take_bodies(link, event.ids, event.rows, event.length, now_ns)
                elif isinstance(event, (Failed, Cancelled)):
                    continue
        except HpackError as error:
            link.connection.fail(ErrorCode.COMPRESSION_ERROR, str(error))
        events.clear()

    def writable(self, link: H2Link) -> None:
        """Nothing waits for the socket: the transport holds what it has not taken."""

    def lost(self, link: H2Link, error: BaseException | None) -> None:  # noqa: ARG002 (why does not matter here)
        """Forget a connection; answers still owed to it go nowhere."""
        visit: Visit | None = link.note
        if visit is not None and self.links.pop(visit.serial, None) is not None and self.witness is not None:
            self.witness.disconnect()

    # -- requests --------------------------------------------------------------------------------------------------

    def _take_heads(self, link: H2Link, heads: Heads, now_ns: int) -> None:
        facts = self.intake.read(heads, now_ns, certificate=link.note.certificate)
        streams, rows = link.connection.streams, heads.rows
        streams["index"][rows] = facts.index
        streams["key"][rows] = facts.key
        streams["refused"][rows] = facts.refused
        streams["largest"][rows] = facts.largest
        if facts.ids is None:
            streams["has_id"][rows] = False
        else:
            streams["has_id"][rows] = True
            streams["id"][rows] = np.ascontiguousarray(facts.ids).view(_ID_COLUMN).reshape(-1)
        if heads.ended:
            self._take_bodies(link, heads.ids, rows, 0, now_ns)

    def _take_bodies(self, link: H2Link, ids: Int64Column, rows: Int64Column, length: int, now_ns: int) -> None:
        """Requests are whole: decide, witness, answer."""
        streams, visit = link.connection.streams, link.note
        self.requests += ids.size
        visit.requests += ids.size
        refused = streams["refused"][rows]
        if not length:
            refused[refused == 0] = self._empty
        else:
            large = length > streams["largest"][rows]
            if large.any():
                refused[large & (refused == 0)] = self._too_large
        index = streams["index"][rows]
        codes = self._codes(streams["key"][rows], index, refused, now_ns)
        if codes is None:
            self._witness(Sight.ACCEPT, index, now_ns)
        else:
            sights = np.where(codes < _REFUSED, self.fates.sights[codes & 255], Sight.REFUSE)
            for sight in np.unique(sights).tolist():
                self._witness(sight, index[sights == sight], now_ns)
        if self.fates.plain or self.fates.behaviour.latency is None:
            self._answer_all(link, ids, rows, codes)
        else:
            streams["code"][rows] = 0 if codes is None else codes
            release_ns = now_ns + self.fates.delays_ns(ids.size)
            self._wheel.push(release_ns, ids | (visit.serial << _SERIAL_BITS))
        self.manners.after_requests(link, visit, ids.size)

    def _codes(self, keys: np.ndarray, index: Int64Column, refused: np.ndarray, now_ns: int) -> np.ndarray | None:
        """Return what each is answered, None when all are accepted."""
        codes: np.ndarray | None = None
        if self.fates.judged:
            # A tracer must come back as from a healthy provider: it says whether the run may begin at all.
            fates = np.where(index == TRACERS, 0, self.fates.judge(keys, now_ns, now_ns - self.go_ns))
            codes = fates.astype(np.uint16)
        if refused.any():
            codes = np.zeros(refused.size, dtype=np.uint16) if codes is None else codes
            codes = np.where(refused > 0, refused.astype(np.uint16) + _REFUSED, codes)
        return codes if codes is not None and codes.any() else None

    def _witness(self, sight: int, index: Int64Column, now_ns: int) -> None:
        witness = self.witness
        if witness is None:
            return
        witness.counters[Counter.REQUESTS] += index.size
        first, count = int(index[0]), index.size
        if first >= 0 and int(index[-1]) - first == count - 1 and sight == Sight.ACCEPT and _consecutive(index):
            witness.accept_span(first, first + count, now_ns)
            return
        if (index < 0).any():
            witness.counters[Counter.FOREIGN] += np.count_nonzero(index == FOREIGN)
            witness.counters[Counter.TRACERS] += np.count_nonzero(index == TRACERS)
            index = index[index >= 0]
        if not index.size:
            return
        if sight == Sight.ACCEPT:
            witness.accept(index, now_ns)
        elif sight == Sight.REFUSE:
            witness.refuse(index, now_ns)
        else:
            witness.leave_hanging(index, now_ns)

    # -- answers ---------------------------------------------------------------------------------------------------

    def release(self, now_ns: int) -> None:
        """Give the answers whose time has come."""
        tickets = self._wheel.pop(now_ns)
        if not tickets.size:
            return
        serials = tickets >> _SERIAL_BITS
        for serial in np.unique(serials).tolist():
            link = self.links.get(serial)
            if link is None:
                continue
            connection = cast("ServerConnection", link.connection)
            ids = tickets[serials == serial] & ((1 << _SERIAL_BITS) - 1)
            ids = ids[connection.owed(ids)]
            if ids.size:
                rows = connection.streams.rows_of(ids)
                codes = connection.streams["code"][rows]
                self._answer_all(link, ids, rows, codes if codes.any() else None)
                link.flush()

    def next_ns(self) -> int:
        """Return when the next answer is due."""
        return self._wheel.next_ns()

    def _answer_all(self, link: H2Link, ids: Int64Column, rows: Int64Column, codes: np.ndarray | None) -> None:
        if codes is None:
            self._say(link, ids, rows, None)
            return
        for code in np.unique(codes).tolist():
            mine = codes == code
            if code >= _REFUSED:
                self._say(link, ids[mine], rows[mine], self.intake.refusals[code - _REFUSED])
            else:
                self._act(link, ids[mine], rows[mine], code)

    def _act(self, link: H2Link, ids: Int64Column, rows: Int64Column, fate: int) -> None:
        act = self.fates.acts[fate]
        connection = cast("ServerConnection", link.connection)
        if act == Act.ANSWER:
            self._say(link, ids, rows, None)
        elif act == Act.REFUSE:
            self._say(link, ids, rows, self.fates.refusals[fate])
        elif act == Act.RESET:
            reset = self.fates.behaviour.reset_streams
            code = ErrorCode[reset.code] if fate == RESET and reset is not None else ErrorCode.REFUSED_STREAM
            for stream_id in ids.tolist():
                connection.reset(stream_id, code)
        elif act == Act.GARBLE:
            garbage = frame(FrameType.HEADERS, END_HEADERS | END_STREAM, int(ids[0]), _GARBAGE)
            self.manners.write(link, garbage)
        elif act == Act.CLOSE:
            link.close()
        elif act == Act.GOAWAY:
            told = self.fates.refusals[fate]
            if connection.accepted_until is None:
                connection.go_away(0, told.body if told else b"", last=int(ids.min()) - 2)
            link.flush()
            link.close()

    def _say(self, link: H2Link, ids: Int64Column, rows: Int64Column, told: Refusal | None) -> None:
        """Answer with 200, or with a refusal."""
        connection = cast("ServerConnection", link.connection)
        status, body = (200, b"") if told is None else (told.status, told.body)
        if body and not self._room_for(connection, ids.size * len(body), len(body)):
            self._say_one_by_one(link, connection, ids, rows, status, body)
            return
        streams = connection.streams
        echo = self.fates.behaviour.echo_id
        texts: Rows | None = None
        if echo:
            texts = streams["id"][rows].view(np.uint8).reshape(-1, ID_WIDTH)
            has = streams["has_id"][rows]
            if not has.all():
                texts = texts.copy()
                for at in np.flatnonzero(~has).tolist():
                    texts[at] = np.frombuffer(str(uuid.uuid4()).encode(), dtype=np.uint8)
        shape = self._shape(link, status, body, echo=echo)
        for lo in range(0, ids.size, ROWS):
            part = slice(lo, lo + ROWS)
            data = shape.render(ids[part], () if texts is None else (texts[part],))
            self.manners.write(link, data)
        connection.send_window -= ids.size * len(body)
        connection.answered(rows)
        visit: Visit = link.note
        if told is None and not visit.accepted:
            visit.accepted = True
            self.manners.after_accept(link, visit)

    @staticmethod
    def _room_for(connection: ServerConnection, total: int, one: int) -> bool:
        return not connection.blocked and connection.send_window >= total and connection.peer.initial_window_size >= one

    def _say_one_by_one(
        self,
        link: H2Link,
        connection: ServerConnection,
        ids: Int64Column,
        rows: Int64Column,
        status: int,
        body: bytes,
    ) -> None:
        """Answer through the windows of a client that keeps them small."""
        fields = [(b":status", str(status).encode())]
        for stream_id, row in zip(ids.tolist(), rows.tolist(), strict=True):
            block = connection.encoder.encode(
                [*fields, (b"apns-id", connection.streams["id"][row].tobytes())], plain=(b"apns-id",)
            )
            head = frame(FrameType.HEADERS, END_HEADERS, stream_id, block)
            connection.answer(stream_id, head, body)
        link.flush()

    def _shape(self, link: H2Link, status: int, body: bytes, *, echo: bool) -> FrameRows:
        """Return the rows that say this on this connection; they are void when the encoder's table changes."""
        shapes, encoder = link.note.shapes, link.connection.encoder
        key = (status, body, echo)
        known = shapes.get(key)
        if known is not None and known[0] == encoder.generation:
            return cast("FrameRows", known[1])
        fields = [(b":status", str(status).encode())]
        if echo:
            fields.append((b"apns-id", b"0" * ID_WIDTH))
        # A status that no table has stays out of ours too: shapes are void when that changes.
        block = encoder.encode(fields, plain=(b"apns-id",) if status in _STATIC else (b":status", b"apns-id"))
        columns = [(len(block) - ID_WIDTH, len(block))] if echo else []
        parts = [Part(FrameType.HEADERS, END_HEADERS | (0 if body else END_STREAM), block, columns)]
        if body:
            parts.append(Part(FrameType.DATA, END_STREAM, body))
        if len(shapes) >= _MOST_SHAPES:
            shapes.popitem(last=False)
        rows = FrameRows(parts)
        shapes[key] = (encoder.generation, rows)
        return rows


def _consecutive(index: Int64Column) -> bool:
    return bool((index[1:] - index[:-1] == 1).all())
