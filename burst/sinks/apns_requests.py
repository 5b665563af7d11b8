"""What a push looks like on the wire: head fields, payload, and hundreds of requests as rows of one shape."""

from __future__ import annotations

import time
from collections.abc import Container
from dataclasses import dataclass

from burst.model.batch import Batch, Int64Column, Platform
from burst.model.errors import UsageError
from burst.model.identity import NOTIFICATION, TRACER, id_prefix, index_digits
from burst.model.ports import Prepared, SinkContext
from burst.model.secret import Secret
from burst.model.units import NS_PER_S
from burst.policy.template import Text
from burst.sinks.apns_settings import ApnsSettings, largest_payload
from burst.sinks.endpoint import Endpoint
from burst.sinks.rendering import Rendering, batch_of_one, token_rows
from burst.wire.frame_rows import FrameRows, Part
from burst.wire.frames import END_HEADERS, END_STREAM, FrameType
from burst.wire.h2_client import ClientConnection
from burst.wire.h2_writer import Alike

TOKEN_WIDTH = 64  # hex digits of a device token, as all of Apple's have been so far
_MOST_SHAPES = 64
_PATH = b"/3/device/"
_PLAIN = (b":path", b"apns-id")
DEFAULT_TABLE_BYTES = 4096  # RFC 9113, 6.5.2; the encoder uses no more
_FIELD_OVERHEAD_BYTES = 32  # of an entry in a table (RFC 7541, 4.1)


@dataclass(frozen=True, slots=True)
class Rendered(Alike):
    """A batch's columns (device tokens in hex, the indexes' digits, the payload's places) and the payload."""

    text: Text


class Requests:
    """Makes the requests of one run. ``authorization`` may be replaced at any time."""

    def __init__(self, settings: ApnsSettings, endpoint: Endpoint, context: SinkContext) -> None:
        """Check the payload's size with this run's own names. Raises UsageError."""
        self._context = context
        self._rendering = Rendering(settings.payload_text, context)
        self._prefix = id_prefix(context.run, NOTIFICATION)
        self._authorization: Secret[bytes] | None = None
        self._version = 0
        self._shapes: dict[tuple[bytes, Text], FrameRows] = {}
        self._settings = settings
        self._fixed = self._fixed_fields()
        self._first = [(b":method", b"POST"), (b":scheme", endpoint.scheme), (b":authority", endpoint.authority)]
        self.body_bytes = len(self._rendering.text(batch_of_one("0" * TOKEN_WIDTH, Platform.IOS), TOKEN_WIDTH).raw)
        limit = largest_payload(settings.push_type)
        if self.body_bytes > limit:
            raise UsageError(
                f"a payload of this run has {self.body_bytes:,} bytes; Apple takes {limit:,}",
                hint="its columns are filled in: shorten the text around them",
            )

    def _fixed_fields(self) -> list[tuple[bytes, bytes]]:
        settings = self._settings
        keep_ns = settings.expiration_ns
        fields = {
            "apns-topic": settings.topic,
            "apns-push-type": settings.push_type,
            "apns-priority": str(settings.effective_priority),
            "apns-expiration": str(int(time.time() + keep_ns / NS_PER_S)) if keep_ns else "0",
            "apns-collapse-id": settings.collapse_id,
        }
        return [(name.encode(), value.encode()) for name, value in fields.items() if value is not None]

    def released(self) -> None:
        """Let pushes be kept from GO on: the fleet may have been armed for long."""
        if self._settings.expiration_ns:
            self._fixed = self._fixed_fields()
            self._version += 1

    def authorize(self, token: Secret[bytes] | None) -> None:
        """Show this provider token from now on."""
        if token == self._authorization and self._version:
            return
        self._authorization = token
        self._version += 1
        fields = [*self._first, *self._fixed, (b"authorization", b"" if token is None else token.reveal())]
        self._names = frozenset({*_PLAIN, *(name for name, _ in fields)})
        self._table_bytes = sum(len(name) + len(value) + _FIELD_OVERHEAD_BYTES for name, value in fields)

    def _plain(self, connection: ClientConnection) -> Container[bytes]:
        """Return what no table shall take up: in one too small for all the rest, they would drive each other out."""
        small = connection.peer.header_table_size < min(self._table_bytes, DEFAULT_TABLE_BYTES)
        return self._names if small else _PLAIN

    # -- many ------------------------------------------------------------------------------------------------------

    def prepare(self, batch: Batch, tickets: Int64Column, indexes: Int64Column) -> Prepared:
        """Render tokens, ids and the payload's columns. Tokens of several widths are rendered one by one, later."""
        if batch.platform is not Platform.IOS:
            raise UsageError(
                f"batch {batch.number} is for {batch.platform.name.lower()} devices, and apns is for ios",
                hint="route them to another sink: routes: [{match: {platform: ios}, sink: apns}, ...]",
            )
        digits = token_rows(batch)
        if digits is None:
            return Prepared(batch, tickets, indexes)
        text = self._rendering.text(batch, digits.shape[1])
        places = self._rendering.columns(text, digits, indexes)
        rendered = Rendered(len(text.raw), (digits, index_digits(indexes), *places), text)
        return Prepared(batch, tickets, indexes, body=rendered)

    def shape(self, connection: ClientConnection, prepared: Prepared, alike: Alike, at: int) -> FrameRows | bytes:
        """Return the rows that a batch's requests are on a connection; the head of ``at`` where that must go alone."""
        assert isinstance(alike, Rendered)
        digits = alike.columns[0]
        encoder, width = connection.encoder, digits.shape[1]
        block = connection.note.get((encoder.generation, self._version, width))
        if block is None:
            generation = encoder.generation
            token, ident = digits[at].tobytes(), self._rendering.ident(int(prepared.indexes[at]))
            block = encoder.encode(self._fields(token, ident), plain=self._plain(connection))
            if encoder.generation != generation:
                return block
            block = self._learn(connection, block, token)
        known = self._shapes.get((block, alike.text))
        return known if known is not None else self._make_shape(block, alike.text, width)

    def _learn(self, connection: ClientConnection, block: bytes, digits: bytes) -> bytes:
        """Keep a block that touched no table, with its places emptied."""
        width = len(digits)
        path, index = self._places(block, digits)
        alike = bytearray(block)
        alike[path : path + width] = b"0" * width
        alike[index : index + 12] = b"0" * 12
        if len(connection.note) >= _MOST_SHAPES:
            connection.note.clear()
        learnt = connection.note[connection.encoder.generation, self._version, width] = bytes(alike)
        return learnt

    def _places(self, block: bytes, digits: bytes) -> tuple[int, int]:
        """Return where the device token and the index stand in a block: plain text, as it was asked of the encoder."""
        path = block.index(_PATH + digits) + len(_PATH)
        return path, block.index(self._prefix, path + len(digits)) + len(self._prefix)

    def _make_shape(self, block: bytes, text: Text, width: int) -> FrameRows:
        path, index = self._places(block, b"0" * width)
        if len(self._shapes) >= _MOST_SHAPES:
            self._shapes.clear()
        head = Part(FrameType.HEADERS, END_HEADERS, block, [(path, path + width), (index, index + 12)])
        body = Part(FrameType.DATA, END_STREAM, text.raw, [(start, stop) for _, start, stop in text.columns])
        shape = self._shapes[block, text] = FrameRows([head, body])
        return shape

    # -- one -------------------------------------------------------------------------------------------------------

    def head(self, connection: ClientConnection, prepared: Prepared, at: int) -> bytes:
        """Return one request's head block."""
        ident = self._rendering.ident(int(prepared.indexes[at]))
        return self._block(connection, prepared.batch.token_text(at).encode(), ident)

    def body(self, prepared: Prepared, at: int) -> bytes:
        """Return one request's payload."""
        batch = prepared.batch
        return self._rendering.one(batch, batch.token_text(at).encode(), int(prepared.indexes[at]))

    def tracer(self, connection: ClientConnection, number: int, token: str) -> tuple[bytes, bytes]:
        """Return a tracer's head block and body: a push like the others, under an id that is nobody's."""
        ident = id_prefix(self._context.run, TRACER) + f"{number:012x}".encode()
        body = self._rendering.one(batch_of_one(token, Platform.IOS), token.encode(), number, ident)
        return self._block(connection, token.encode(), ident), body

    def _block(self, connection: ClientConnection, digits: bytes, ident: bytes) -> bytes:
        return connection.encoder.encode(self._fields(digits, ident), plain=self._plain(connection))

    def _fields(self, digits: bytes, ident: bytes) -> list[tuple[bytes, bytes]]:
        fields = [*self._first, (b":path", _PATH + digits), (b"apns-id", ident), *self._fixed]
        if self._authorization is not None:
            fields.append((b"authorization", self._authorization.reveal()))
        return fields
