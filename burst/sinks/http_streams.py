"""A webhook's requests over HTTP/2: hundreds to a write, as rows of one shape."""

from __future__ import annotations

from collections.abc import Container, Sequence
from dataclasses import dataclass, field

import numpy as np

from burst.model.batch import Batch, Int64Column, Platform
from burst.model.ports import Answers, Prepared
from burst.policy.template import Text
from burst.sinks.endpoint import Endpoint
from burst.sinks.http_settings import HttpSettings
from burst.sinks.http_statuses import REASONS, Statuses
from burst.sinks.http_wording import Columns, Form, Wording, filled
from burst.sinks.rendering import batch_of_one, token_rows
from burst.wire.frame_rows import FrameRows, Part
from burst.wire.frames import END_HEADERS, END_STREAM, FrameType
from burst.wire.h2_client import ClientConnection, Responses
from burst.wire.h2_writer import Alike

TABLE_BYTES = 4096  # RFC 9113, 6.5.2; the encoder uses no more
_FIELD_OVERHEAD_BYTES = 32  # of an entry in a table (RFC 7541, 4.1)
_MOST_SHAPES = 64
_USUAL_TOKEN = "0" * 64


@dataclass(frozen=True, slots=True)
class Rendered(Alike):
    """A batch whose tokens have one width."""

    form: Form


@dataclass(frozen=True, slots=True)
class _Head:
    """The fields of a form's requests, in their order; those with places stand in ``plain``."""

    fields: tuple[tuple[bytes, Text], ...] = field(repr=False)
    plain: frozenset[bytes]
    table_bytes: int

    @property
    def places(self) -> list[tuple[str, int]]:
        """Names and widths of all places, in their order."""
        return [(name, stop - start) for _, text in self.fields for name, start, stop in text.columns]


class StreamRequests:
    """The requests of one run."""

    def __init__(self, settings: HttpSettings, wording: Wording, endpoint: Endpoint) -> None:
        self._wording = wording
        self._pseudo = [
            (b":method", Text(settings.method.encode(), ())),
            (b":scheme", Text(endpoint.scheme, ())),
            (b":authority", Text(endpoint.authority, ())),
        ]
        self._heads: dict[int, tuple[Form, _Head]] = {}
        self._shapes: dict[tuple[bytes, Text | None], FrameRows] = {}
        form = wording.form(batch_of_one(_USUAL_TOKEN, Platform.IOS), len(_USUAL_TOKEN))
        self.body_bytes = 0 if form.body is None else len(form.body.raw)

    def prepare(self, batch: Batch, tickets: Int64Column, indexes: Int64Column) -> Prepared:
        """Render what differs from person to person. Tokens of several widths are rendered one by one, later."""
        tokens = token_rows(batch)
        if tokens is None:
            return Prepared(batch, tickets, indexes)
        form = self._wording.form(batch, tokens.shape[1])
        names = [name for name, _ in self._head(form).places]
        body = form.body or Text(b"", ())
        names += [name for name, *_ in body.columns]
        columns = self._wording.columns(Text(b"", tuple((name, 0, 0) for name in names)), tokens, indexes)
        rendered = Rendered(len(body.raw), tuple(columns[name] for name in names), form)
        return Prepared(batch, tickets, indexes, body=rendered)

    def _head(self, form: Form) -> _Head:
        known = self._heads.get(id(form))
        if known is not None:
            return known[1]
        if len(self._heads) >= _MOST_SHAPES:
            self._heads.clear()
        fields = (*self._pseudo, (b":path", form.target), *form.fields)
        plain = frozenset(name for name, text in fields if text.columns)
        size = sum(len(name) + len(text.raw) + _FIELD_OVERHEAD_BYTES for name, text in fields if not text.columns)
        head = _Head(fields, plain, size)
        self._heads[id(form)] = form, head  # with the form, so that nobody else has its id
        return head

    def shape(self, connection: ClientConnection, prepared: Prepared, alike: Alike, at: int) -> FrameRows | bytes:
        """Return the rows that a batch's requests are on a connection; the head of ``at`` where that must go alone."""
        assert isinstance(alike, Rendered)
        encoder, form = connection.encoder, alike.form
        key = encoder.generation, form
        shape: FrameRows | None = connection.note.get(key)
        if shape is not None:
            return shape
        generation = encoder.generation
        block = self.head(connection, prepared, at)
        if encoder.generation != generation:
            return block
        head = self._head(form)
        if len(connection.note) >= _MOST_SHAPES:
            connection.note.clear()
        shape = connection.note[key] = self._make_shape(connection, head, form.body)
        return shape

    def _make_shape(self, connection: ClientConnection, head: _Head, body: Text | None) -> FrameRows:
        """Find the places in a header block by what differs between two that differ in them alone."""
        blocks = [
            self._encode(connection, head, [(name, text, _filled_with(text, octet)) for name, text in head.fields])
            for octet in b"01"
        ]
        zeros, ones = (np.frombuffer(block, dtype=np.uint8) for block in blocks)
        places = np.flatnonzero(zeros != ones).tolist()
        spans, taken = [], 0
        for _, width in head.places:
            spans.append((places[taken], places[taken] + width))
            taken += width
        assert taken == len(places)
        key = blocks[0], body
        shape = self._shapes.get(key)
        if shape is None:
            if len(self._shapes) >= _MOST_SHAPES:
                self._shapes.clear()
            flags = END_HEADERS | (0 if body else END_STREAM)
            parts = [Part(FrameType.HEADERS, flags, blocks[0], spans)]
            if body:
                columns = [(start, stop) for _, start, stop in body.columns]
                parts.append(Part(FrameType.DATA, END_STREAM, body.raw, columns))
            shape = self._shapes[key] = FrameRows(parts)
        return shape

    def _encode(self, connection: ClientConnection, head: _Head, fields: Sequence[tuple[bytes, Text, bytes]]) -> bytes:
        return connection.encoder.encode(
            [(name, value) for name, _, value in fields], plain=self._plain(connection, head)
        )

    def _plain(self, connection: ClientConnection, head: _Head) -> Container[bytes]:
        """Return what no table shall take up: in one too small for all the rest, they would drive each other out."""
        small = min(connection.peer.header_table_size, TABLE_BYTES) < head.table_bytes
        return frozenset(name for name, _ in head.fields) if small else head.plain

    # -- one -------------------------------------------------------------------------------------------------------

    def head(self, connection: ClientConnection, prepared: Prepared, at: int) -> bytes:
        """Return one request's head block."""
        form, columns = self._one(prepared, at)
        return self._block(connection, form, columns)

    def body(self, prepared: Prepared, at: int) -> bytes:
        """Return one request's body."""
        form, columns = self._one(prepared, at)
        return b"" if form.body is None else filled(form.body, columns, 1)[0]

    def _one(self, prepared: Prepared, at: int) -> tuple[Form, Columns]:
        token = prepared.batch.token_text(at).encode()
        form = self._wording.form(prepared.batch, len(token))
        row = np.frombuffer(token, dtype=np.uint8)[None]
        names = Text(b"", (("token", 0, 0), ("index", 0, 0), ("id", 0, 0)))
        return form, self._wording.columns(names, row, prepared.indexes[at : at + 1])

    def _block(self, connection: ClientConnection, form: Form, columns: Columns) -> bytes:
        head = self._head(form)
        fields = [(name, text, filled(text, columns, 1)[0] if text.columns else text.raw) for name, text in head.fields]
        return self._encode(connection, head, fields)

    def tracer(self, connection: ClientConnection, number: int, token: str) -> tuple[bytes, bytes]:
        """Return a tracer's head block and body: a request like the others, under an id that is nobody's."""
        form = self._wording.form(batch_of_one(token, Platform.IOS), len(token))
        columns = self._wording.tracer_columns(token.encode(), number)
        body = b"" if form.body is None else filled(form.body, columns, 1)[0]
        return self._block(connection, form, columns), body


def _filled_with(text: Text, octet: int) -> bytes:
    made = bytearray(text.raw)
    for _, start, stop in text.columns:
        made[start:stop] = bytes([octet]) * (stop - start)
    return bytes(made)


class WebhookReader:
    """Reads answers by their status."""

    reasons: Sequence[str] = REASONS
    expired = ""

    def __init__(self, statuses: Statuses) -> None:
        self._statuses = statuses

    def read(self, responses: Responses, now_ns: int) -> Answers:
        """Return responses as answers."""
        tags, head = responses.tags, responses.head
        retry_after = next((value for name, value in head.kept if name == b"retry-after"), None)
        answer, reason, after_ns = self._statuses.verdict(head.status, retry_after, None)
        return Answers(
            tags,
            np.full(tags.size, answer, dtype=np.uint8),
            now_ns,
            np.full(tags.size, after_ns, dtype=np.int64) if after_ns else None,
            np.full(tags.size, reason, dtype=np.uint8) if reason else None,
        )

    def reason_to_go(self, debug: bytes) -> str:  # noqa: ARG002 (a webhook's GOAWAY has no words of ours)
        """Return nothing."""
        return ""
