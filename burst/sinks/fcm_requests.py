"""What a push looks like on the wire to FCM: a head that is the same for all, a body whose token and id differ."""

from __future__ import annotations

import json
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
from burst.sinks.endpoint import Endpoint
from burst.sinks.fcm_message import EXPIRES, LARGEST_PAYLOAD, payload_bytes
from burst.sinks.fcm_settings import FcmSettings
from burst.sinks.rendering import Rendering, batch_of_one, token_rows
from burst.wire.frame_rows import FrameRows, Part
from burst.wire.frames import END_HEADERS, END_STREAM, FrameType
from burst.wire.h2_client import ClientConnection
from burst.wire.h2_writer import Alike
from burst.wire.layout import Rows

TOKEN_WIDTH = 152  # characters of a registration token, as most have; only a first guess at a request's size
_MOST_SHAPES = 64
_TABLE_BYTES = 4096  # RFC 9113, 6.5.2; the encoder uses no more
_FIELD_OVERHEAD_BYTES = 32  # of an entry in a table (RFC 7541, 4.1)
_EXPIRES = EXPIRES.encode()
_DIGITS = "digits"  # an id's place without what all ids of the run begin with


@dataclass(frozen=True, slots=True)
class Rendered(Alike):
    """A batch's columns (tokens, the ids' digits, other places) and the body that they belong in."""

    text: Text


class Requests:
    """Makes the requests of one run. ``authorization`` may be replaced at any time."""

    def __init__(self, settings: FcmSettings, project: str, endpoint: Endpoint, context: SinkContext) -> None:
        """Check the payload's size with this run's own names. Raises UsageError."""
        self._context = context
        self._prefix = id_prefix(context.run, NOTIFICATION)
        self._renderings = {
            platform: Rendering(settings.built(platform).template(validate_only=settings.validate_only), context)
            for platform in settings.platforms
        }
        self._keep_ns = settings.ttl_ns or 0
        self._first = [
            (b":method", b"POST"),
            (b":scheme", endpoint.scheme),
            (b":authority", endpoint.authority),
            (b":path", f"/v1/projects/{project}/messages:send".encode()),
            (b"content-type", b"application/json"),
        ]
        self._shapes: dict[tuple[bytes, Text], FrameRows] = {}
        self._texts: dict[tuple[Platform, str, str, int], Text] = {}
        self._version = 0
        self.authorize(None)
        self.released()
        self.body_bytes = max(self._checked(platform) for platform in settings.platforms)

    def _checked(self, platform: Platform) -> int:
        """Return the size of a body for devices of a platform. Raises UsageError for one that Google would refuse."""
        body = self._stamped(
            self._renderings[platform].one(batch_of_one("0" * TOKEN_WIDTH, platform), b"0" * TOKEN_WIDTH, 0)
        )
        for what, size in payload_bytes(json.loads(body)["message"]).items():
            if size > LARGEST_PAYLOAD:
                raise UsageError(
                    f"this run's message: {what}: {size:,} bytes; Google takes {LARGEST_PAYLOAD:,}",
                    hint="its columns are filled in: shorten the text around them",
                )
        return len(body)

    def released(self) -> None:
        """Let messages be kept from GO on: the fleet may have been armed for long."""
        self._expires = b"%010d" % int(time.time() + self._keep_ns / NS_PER_S)
        self._shapes.clear()

    def _stamped(self, body: bytes) -> bytes:
        return body.replace(_EXPIRES, self._expires) if self._keep_ns else body

    def authorize(self, value: Secret[bytes] | None) -> None:
        """Show this from now on: the whole value of ``authorization``."""
        self._authorization = value
        self._version += 1
        self._field_bytes = {name: len(name) + len(text) + _FIELD_OVERHEAD_BYTES for name, text in self._fields()}

    def _fields(self) -> list[tuple[bytes, bytes]]:
        if self._authorization is None:
            return self._first
        return [*self._first, (b"authorization", self._authorization.reveal())]

    def _plain(self, connection: ClientConnection) -> Container[bytes]:
        """Return what no table shall take up: in one too small for all, fields would drive each other out."""
        room = min(connection.peer.header_table_size, _TABLE_BYTES)
        sizes = self._field_bytes
        if sum(sizes.values()) <= room:
            return ()
        if sum(sizes.values()) - sizes.get(b"authorization", 0) <= room:
            return (b"authorization",)
        return frozenset(sizes)

    # -- many ------------------------------------------------------------------------------------------------------

    def prepare(self, batch: Batch, tickets: Int64Column, indexes: Int64Column) -> Prepared:
        """Render tokens, ids and other places. Tokens of several widths are rendered one by one, later."""
        tokens = token_rows(batch)
        if tokens is None:
            return Prepared(batch, tickets, indexes)
        width = tokens.shape[1]
        likeness = batch.platform, batch.tenant, batch.lane, width
        open_text = self._texts.get(likeness)
        if open_text is None:
            if len(self._texts) >= _MOST_SHAPES:
                self._texts.clear()
            open_text = self._texts[likeness] = self._narrowed(self._renderings[batch.platform].text(batch, width))
        columns = self._columns(self._renderings[batch.platform], open_text, tokens, indexes)
        return Prepared(batch, tickets, indexes, body=Rendered(len(open_text.raw), columns, open_text))

    def _narrowed(self, text: Text) -> Text:
        """Write what all ids of a run begin with into the text; only their digits stay open."""
        raw, width = bytearray(text.raw), len(self._prefix)
        columns = []
        for name, start, stop in text.columns:
            if name == "id":
                raw[start : start + width] = self._prefix
                columns.append((_DIGITS, start + width, stop))
            else:
                columns.append((name, start, stop))
        return Text(bytes(raw), tuple(columns))

    def _columns(self, rendering: Rendering, text: Text, tokens: Rows, indexes: Int64Column) -> tuple[Rows, ...]:
        digits = index_digits(indexes)
        known = {_DIGITS: digits, "token": tokens}
        others = tuple(column for column in text.columns if column[0] not in known)
        rest = iter(rendering.columns(Text(text.raw, others), tokens, indexes) if others else ())
        return tuple(known[name] if name in known else next(rest) for name, *_ in text.columns)

    def shape(self, connection: ClientConnection, prepared: Prepared, alike: Alike, at: int) -> FrameRows | bytes:  # noqa: ARG002
        """Return the rows that a batch's requests are on a connection; a head that taught the table goes alone."""
        assert isinstance(alike, Rendered)
        encoder = connection.encoder
        block = connection.note.get((encoder.generation, self._version))
        if block is None:
            generation = encoder.generation
            block = self._block(connection)
            if encoder.generation != generation:
                return block
            connection.note.clear()
            connection.note[generation, self._version] = block
        known = self._shapes.get((block, alike.text))
        return known if known is not None else self._make_shape(block, alike.text)

    def _make_shape(self, block: bytes, text: Text) -> FrameRows:
        if len(self._shapes) >= _MOST_SHAPES:
            self._shapes.clear()
        places = [(start, stop) for _, start, stop in text.columns]
        shape = self._shapes[block, text] = FrameRows(
            [
                Part(FrameType.HEADERS, END_HEADERS, block),
                Part(FrameType.DATA, END_STREAM, self._stamped(text.raw), places),
            ]
        )
        return shape

    # -- one -------------------------------------------------------------------------------------------------------

    def head(self, connection: ClientConnection, prepared: Prepared, at: int) -> bytes:  # noqa: ARG002 (all are alike)
        """Return one request's head block."""
        return self._block(connection)

    def body(self, prepared: Prepared, at: int) -> bytes:
        """Return one request's body."""
        batch = prepared.batch
        rendering, token = self._renderings[batch.platform], batch.token_text(at).encode()
        return self._stamped(rendering.one(batch, token, int(prepared.indexes[at])))

    def tracer(self, connection: ClientConnection, number: int, token: str) -> tuple[bytes, bytes]:
        """Return a tracer's head block and body: a push like the others, under an id that is nobody's."""
        ident = id_prefix(self._context.run, TRACER) + b"%012x" % number
        platform = Platform.ANDROID
        body = self._renderings[platform].one(batch_of_one(token, platform), token.encode(), number, ident)
        return self._block(connection), self._stamped(body)

    def _block(self, connection: ClientConnection) -> bytes:
        return connection.encoder.encode(self._fields(), plain=self._plain(connection))
