"""Answers as rows: each thing the stand-in says is one shape, the same bytes on every connection but for stream and id.

No answer touches a connection's dynamic table, so a shape is good for all of them, and its rows are kept once.
"""

from __future__ import annotations

import binascii
from collections import OrderedDict

import numpy as np

from burst.model.batch import Int64Column
from burst.model.identity import ID_WIDTH
from burst.provider.refusal import Refusal
from burst.wire.frame_rows import ROWS, FrameRows, Part
from burst.wire.frames import DEFAULT_FRAME, END_HEADERS, END_STREAM, FrameType, frame
from burst.wire.h2_server import ServerConnection
from burst.wire.hpack import Encoder
from burst.wire.layout import Rows
from burst.wire.transport import H2Link

_MOST_SHAPES = 128
_SPARE_IDS = 256
_STATIC = {200, 204, 206, 304, 400, 404, 500}  # RFC 7541, appendix A: these statuses are one byte
_DIGITS = np.array([at for at, char in enumerate("xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx") if char == "x"])


class Answers:
    """Writes answers of one process: ``say`` gives one answer to many streams of a connection."""

    def __init__(self) -> None:
        self._shapes: OrderedDict[tuple[Refusal | None, bool], FrameRows] = OrderedDict()
        self._spare_ids: list[bytes] = []
        self._rng = np.random.Generator(np.random.SFC64())

    def say(
        self, link: H2Link, connection: ServerConnection, ids: Int64Column, told: Refusal | None, texts: Rows | None
    ) -> None:
        """Answer open streams with 200, or with a refusal; their rows become free.

        ``texts`` are their apns-ids, uint8 of shape (k, 36), None where answers carry none.
        """
        body = b"" if told is None else told.body
        # A table size that we must acknowledge stands before one block only (RFC 7541, 4.2).
        announced = connection.encoder.encode(())
        if announced or (body and not room_for(connection, ids.size * len(body), len(body))):
            self._say_one_by_one(link, connection, ids, told, texts, announced)
            return
        shape = self._shape(told, echo=texts is not None)
        for lo in range(0, ids.size, ROWS):
            part = slice(lo, lo + ROWS)
            link.write(shape.render(ids[part], () if texts is None else (texts[part],)))
        connection.send_window -= ids.size * len(body)
        connection.answered(connection.streams.rows_of(ids))

    def accept_one(
        self, link: H2Link, connection: ServerConnection, stream_id: int, row: int, text: bytes | None
    ) -> None:
        """Answer one open stream with 200; its row becomes free. ``text`` is its apns-id, None where it has none."""
        block = connection.encoder.encode(()) + (_ACCEPTED if text is None else _ACCEPTED_ECHO + text)
        link.write(frame(FrameType.HEADERS, END_HEADERS | END_STREAM, stream_id, block))
        connection.answered_one(row)

    def fresh_id(self) -> bytes:
        """Return one of ``fresh_ids``; many are made at a time."""
        if not self._spare_ids:
            self._spare_ids = [row.tobytes() for row in self.fresh_ids(_SPARE_IDS)]
        return self._spare_ids.pop()

    def fresh_ids(self, count: int) -> Rows:
        """Return apns-ids for requests that gave none: random UUIDs (RFC 9562, version 4), shape (count, 36)."""
        raw = np.frombuffer(self._rng.bytes(16 * count), dtype=np.uint8).reshape(count, 16).copy()
        raw[:, 6] = (raw[:, 6] & 0x0F) | 0x40
        raw[:, 8] = (raw[:, 8] & 0x3F) | 0x80
        rows = np.full((count, ID_WIDTH), ord("-"), dtype=np.uint8)
        rows[:, _DIGITS] = np.frombuffer(binascii.hexlify(raw.tobytes()), dtype=np.uint8).reshape(count, 32)
        return rows

    @staticmethod
    def _say_one_by_one(
        link: H2Link,
        connection: ServerConnection,
        ids: Int64Column,
        told: Refusal | None,
        texts: Rows | None,
        announced: bytes,
    ) -> None:
        """Answer through the windows of a client that keeps them small."""
        body = b"" if told is None else told.body
        flags = END_HEADERS | (0 if body else END_STREAM)
        for at, stream_id in enumerate(ids.tolist()):
            block = announced + block_of(told, b"" if texts is None else texts[at].tobytes())
            announced = b""
            connection.answer(stream_id, frame(FrameType.HEADERS, flags, stream_id, block), body)
        link.flush()

    def _shape(self, told: Refusal | None, *, echo: bool) -> FrameRows:
        known = self._shapes.get((told, echo))
        if known is not None:
            return known
        block, body = block_of(told, b"0" * ID_WIDTH if echo else b""), b"" if told is None else told.body
        columns = [(len(block) - ID_WIDTH, len(block))] if echo else []
        parts = [Part(FrameType.HEADERS, END_HEADERS | (0 if body else END_STREAM), block, columns)]
        if body:
            parts.append(Part(FrameType.DATA, END_STREAM, body))
        if len(self._shapes) >= _MOST_SHAPES:
            self._shapes.popitem(last=False)
        rows = self._shapes[told, echo] = FrameRows(parts)
        return rows


def block_of(told: Refusal | None, ident: bytes) -> bytes:
    """Return the header block of an answer, good on any connection; ``ident`` stands last in it, as it is."""
    status = 200 if told is None else told.status
    fields = [(b":status", str(status).encode())]
    if told is not None and told.retry_after_s is not None:
        fields.append((b"retry-after", str(told.retry_after_s).encode()))
    if ident:
        fields.append((b"apns-id", ident))
    plain = (b"retry-after", b"apns-id") if status in _STATIC else (b":status", b"retry-after", b"apns-id")
    return Encoder().encode(fields, plain=plain)


def room_for(connection: ServerConnection, total: int, one: int) -> bool:
    """Say whether so many bytes of bodies, each of ``one``, may go at once."""
    fits = one <= min(connection.peer.initial_window_size, DEFAULT_FRAME)
    return fits and not connection.blocked and connection.send_window >= total


_ACCEPTED = block_of(None, b"")
_ACCEPTED_ECHO = block_of(None, b"0" * ID_WIDTH)[:-ID_WIDTH]
