"""Answers to calls over HTTP/2 as rows: any status, with fields and a body, of which a part may differ."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import NamedTuple

from burst.model.batch import Int64Column
from burst.provider.answers import room_for
from burst.provider.refusal import Refusal
from burst.wire.frame_rows import ROWS, FrameRows, Part
from burst.wire.frames import END_HEADERS, END_STREAM, FrameType, frame
from burst.wire.h2_server import ServerConnection
from burst.wire.hpack import Encoder
from burst.wire.hpack_table import Pair
from burst.wire.layout import Rows
from burst.wire.transport import H2Link

_MOST_SHAPES = 256
_STATIC = {200, 204, 206, 304, 400, 404, 500}  # RFC 7541, appendix A: these statuses are one byte

#: The fields of an answer beside its status.
FieldsOf = Callable[[Refusal], tuple[Pair, ...]]


class Answer(NamedTuple):
    """An answer, and where in its body the part stands that differs from answer to answer; None where nothing does."""

    told: Refusal
    place: tuple[int, int] | None = None


class CallAnswers:
    """Writes answers of one process: ``say`` gives one answer to many streams of a connection."""

    def __init__(self, fields_of: FieldsOf) -> None:
        self._fields_of = fields_of
        self._shapes: OrderedDict[Answer, FrameRows] = OrderedDict()

    def say(
        self, link: H2Link, connection: ServerConnection, ids: Int64Column, answer: Answer, column: Rows | None = None
    ) -> None:
        """Answer open streams; their rows become free. ``column`` (k, width) is what differs in the bodies."""
        size = len(answer.told.body)
        # A table size that we must acknowledge stands before one block only (RFC 7541, 4.2).
        announced = connection.encoder.encode(())
        if announced or (size and not room_for(connection, ids.size * size, size)):
            self._say_one_by_one(link, connection, ids, answer, column, announced)
            return
        shape = self._shape(answer)
        for lo in range(0, ids.size, ROWS):
            part = slice(lo, lo + ROWS)
            link.write(shape.render(ids[part], () if column is None else (column[part],)))
        connection.send_window -= ids.size * size
        connection.answered(connection.streams.rows_of(ids))

    def say_aside(self, link: H2Link, stream_id: int, status: int, fields: tuple[Pair, ...], body: bytes) -> None:
        """Give one stream an answer of its own."""
        connection = link.connection
        assert isinstance(connection, ServerConnection)
        block = connection.encoder.encode(()) + _block(status, fields)
        flags = END_HEADERS | (0 if body else END_STREAM)
        connection.answer(stream_id, frame(FrameType.HEADERS, flags, stream_id, block), body)
        link.flush()

    def _say_one_by_one(
        self,
        link: H2Link,
        connection: ServerConnection,
        ids: Int64Column,
        answer: Answer,
        column: Rows | None,
        announced: bytes,
    ) -> None:
        """Answer through the windows of a client that keeps them small."""
        told, place = answer
        flags = END_HEADERS | (0 if told.body else END_STREAM)
        block = _block(told.status, self._fields_of(told))
        for at, stream_id in enumerate(ids.tolist()):
            body = told.body
            if place is not None and column is not None:
                body = body[: place[0]] + column[at].tobytes() + body[place[1] :]
            connection.answer(stream_id, frame(FrameType.HEADERS, flags, stream_id, announced + block), body)
            announced = b""
        link.flush()

    def _shape(self, answer: Answer) -> FrameRows:
        known = self._shapes.get(answer)
        if known is not None:
            return known
        told, place = answer
        block = _block(told.status, self._fields_of(told))
        parts = [Part(FrameType.HEADERS, END_HEADERS | (0 if told.body else END_STREAM), block)]
        if told.body:
            parts.append(Part(FrameType.DATA, END_STREAM, told.body, [] if place is None else [place]))
        if len(self._shapes) >= _MOST_SHAPES:
            self._shapes.popitem(last=False)
        rows = self._shapes[answer] = FrameRows(parts)
        return rows


def _block(status: int, fields: tuple[Pair, ...]) -> bytes:
    """Return the header block of an answer, good on any connection: it touches no table."""
    everything = [(b":status", b"%d" % status), *fields]
    plain = [name for name, _ in fields]
    return Encoder().encode(everything, plain=plain if status in _STATIC else [b":status", *plain])
