"""Apple's push service: one HTTP/2 request for every notification, hundreds to a write."""

from __future__ import annotations

import asyncio
import binascii
import contextlib
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np

from burst.model.batch import Batch, Int64Column, Platform, TokenEncoding, UInt8Column
from burst.model.errors import BurstError, TracerError, UsageError
from burst.model.identity import NOTIFICATION, TRACER, id_prefix, index_digits
from burst.model.outcome import Answer
from burst.model.ports import NEVER_NS, Answers, Prepared, SinkContext
from burst.model.secret import Secret
from burst.model.units import NS_PER_S, format_rate
from burst.policy.bucket import TokenBucket
from burst.policy.template import Template, Text
from burst.sinks.apns_answers import NUMBERS, REASONS, meaning, reason_of
from burst.sinks.apns_endpoint import Endpoint
from burst.sinks.apns_credentials import Credentials
from burst.sinks.apns_settings import ApnsSettings
from burst.wire.frame_rows import ROWS, FrameRows, Part
from burst.wire.frames import END_HEADERS, END_STREAM, ErrorCode, FrameType
from burst.wire.h2_client import ClientConnection, Resets, Responses, WentAway
from burst.wire.h2_pool import H2Pool
from burst.wire.layout import Rows
from burst.wire.transport import H2Link

UPKEEP_S = 0.1
_MOST_SHAPES = 64
_TRACERS = 3
_TRACER_WITHIN_S = 10.0
_PATH = b"/3/device/"
_PLAIN = (b":path", b"apns-id")
_RESERVE_NS = 5_000_000  # a limited sender waits for tokens of so long a time: not for each one


@dataclass(frozen=True, slots=True)
class Rendered:
    """A batch's columns: device tokens in hex, the indexes' digits, the payload with its places."""

    digits: Rows
    ids: Rows
    text: Text
    columns: tuple[Rows, ...]


class Apns:
    """The sink. One worker's connections, requests and answers."""

    reasons: Sequence[str] = REASONS
    platforms = (Platform.IOS,)

    def __init__(self, settings: ApnsSettings) -> None:
        self._settings = settings
        self._template = Template(settings.payload_text)
        self._pool: H2Pool | None = None
        self._bucket: TokenBucket | None = None
        self._short = False
        self._shapes: dict[tuple[bytes, Text], FrameRows] = {}
        self._found: list[Answers] = []
        self._unwritten: deque[tuple[Prepared, int, int]] = deque()
        self._held_back = 0
        self._next = 0
        self._tracers: dict[int, asyncio.Future[tuple[int, str]]] = {}
        self._upkeep: asyncio.Task[None] | None = None
        self._version = 0
        self._authorization: Secret[bytes] | None = None

    @property
    def judge(self) -> str:
        """Who vouches for an accept: the run's own stand-in keeps a witness, anybody else keeps his counsel."""
        return "witness" if self._settings.stand_in else "sender"

    def division(self, workers: int) -> str | None:
        """Say how a fleet-wide rate is divided among the workers, for the journal."""
        rate = self._settings.rate_per_s
        if rate is None:
            return None
        burst = self._settings.effective_burst
        return (
            f"apns: at most {format_rate(rate)} and {burst:,.0f} at once, divided over {workers} worker(s): "
            f"{format_rate(rate / workers)} each"
        )

    # -- before GO -------------------------------------------------------------------------------------------------

    async def open(self, context: SinkContext) -> None:
        """Connect, mint or fetch the provider token. Raises BurstError."""
        settings = self._settings
        self._context = context
        self._endpoint = Endpoint.of(settings, context)
        self._credentials = Credentials.of(settings, context, stand_in=self._endpoint.stand_in)
        self._prefix = id_prefix(context.run, NOTIFICATION)
        self._index_width = len(str(max(context.audience - 1, 0)))
        self._expiration = self._expiration_text()
        if settings.rate_per_s is not None:
            self._bucket = TokenBucket(
                settings.rate_per_s / context.workers, max(1.0, settings.effective_burst / context.workers)
            )
        await self._renew()
        self._pool = H2Pool(
            settings.connections,
            self._endpoint.dial,
            lambda: ClientConnection(keep=frozenset({b"retry-after"})),
            self,
            context.wake,
        )
        try:
            await self._pool.open(settings.connect_within_ns / NS_PER_S)
        except BurstError as error:
            raise type(error)(f"{self._endpoint.shown}: {error.what}", hint=error.hint) from None
        self._upkeep = asyncio.ensure_future(self._look_after())

    def _expiration_text(self) -> bytes:
        keep_ns = self._settings.expiration_ns
        return b"0" if not keep_ns else str(int(time.time() + keep_ns / NS_PER_S)).encode()

    async def _renew(self) -> None:
        """Take the fleet's provider token, made anew by one of its workers when it is old."""
        token = await self._credentials.authorization()
        if token != self._authorization:
            self._authorization = token
            self._version += 1

    async def trace(self) -> str:
        """Send a few pushes that must be accepted before the rest may follow; return what was seen.

        Raises TracerError.
        """
        tokens = [token.lower() for token in self._settings.tracer_tokens]
        if not tokens:
            if not self._endpoint.near:
                raise TracerError(
                    f"no tracer may go to {self._endpoint.shown}: no device of yours is named",
                    hint="give tracer_tokens: devices that get a push before everybody else does",
                )
            tokens = [f"{number:064x}" for number in range(_TRACERS)]
        loop = asyncio.get_running_loop()
        begun_ns = self._context.clock.now_ns()
        for number, token in enumerate(tokens):
            future: asyncio.Future[tuple[int, str]] = loop.create_future()
            self._tracers[-1 - number] = future
            try:
                async with asyncio.timeout(_TRACER_WITHIN_S):
                    await self._send_tracer(number, token)
                    status, reason = await future
            except TimeoutError:
                raise TracerError(
                    f"{self._endpoint.shown} did not answer a tracer within {_TRACER_WITHIN_S:.0f} s",
                    hint="nothing was sent to anybody else",
                ) from None
            finally:
                self._tracers.pop(-1 - number, None)
            if status != 200:
                raise TracerError(
                    f"{self._endpoint.shown} refused a tracer: {status or 'no answer'} {reason}".rstrip(),
                    hint="nothing was sent to anybody else; check key, key_id, team_id, topic and tracer_tokens",
                )
        took_ms = (self._context.clock.now_ns() - begun_ns) / 1e6
        return f"{len(tokens)} tracer(s) accepted by {self._endpoint.shown} in {took_ms:.1f} ms"

    async def _send_tracer(self, number: int, token: str) -> None:
        assert self._pool is not None
        batch = Batch(0, number, 1, Platform.IOS, TokenEncoding.ASCII, token.encode(), len(token))
        text = self._template.for_batch(batch, self._context.run, self._context.event, self._index_width, len(token))
        body = bytearray(text.raw)
        for name, start, stop in text.columns:
            value = token if name == "token" else str(number).zfill(self._index_width)
            body[start:stop] = value.encode()
        ident = id_prefix(self._context.run, TRACER) + f"{number:012x}".encode()
        while not any(cast("ClientConnection", link.connection).room(len(body)) for link in self._pool.links):
            await asyncio.sleep(0.002)
        link = max(self._pool.links, key=lambda one: cast("ClientConnection", one.connection).room(len(body)))
        connection = cast("ClientConnection", link.connection)
        block = connection.encoder.encode(self._fields(token.encode(), ident), plain=_PLAIN)
        connection.request(block, bytes(body), -1 - number, self._context.clock.now_ns())
        link.flush()

    def released(self, go_ns: int) -> None:
        """Nothing depends on GO."""

    # -- rendering -------------------------------------------------------------------------------------------------

    def prepare(self, batch: Batch, tickets: Int64Column, indexes: Int64Column) -> Prepared:
        """Render tokens, ids and the payload's columns."""
        if batch.platform is not Platform.IOS:
            raise UsageError(
                f"batch {batch.number} is for {batch.platform.name.lower()} devices, and apns is for ios",
                hint="route them to another sink: routes: [{match: {platform: ios}, sink: apns}, ...]",
            )
        if batch.offsets is not None:
            return Prepared(batch, tickets, indexes)  # tokens of several widths: rendered one by one
        return Prepared(batch, tickets, indexes, body=self._rendered(batch, indexes))

    def _rendered(self, batch: Batch, indexes: Int64Column) -> Rendered:
        raw = binascii.hexlify(batch.tokens) if batch.encoding is TokenEncoding.RAW else bytes(batch.tokens)
        digits = np.frombuffer(raw, dtype=np.uint8).reshape(batch.count, -1)
        text = self._template.for_batch(
            batch, self._context.run, self._context.event, self._index_width, digits.shape[1]
        )
        columns = tuple(digits if name == "token" else self._decimals(indexes) for name, *_ in text.columns)
        return Rendered(digits, index_digits(indexes), text, columns)

    def _decimals(self, indexes: Int64Column) -> Rows:
        powers = 10 ** np.arange(self._index_width - 1, -1, -1, dtype=np.int64)
        return (indexes[:, None] // powers % 10 + 48).astype(np.uint8)

    def _fields(self, digits: bytes, ident: bytes) -> list[tuple[bytes, bytes]]:
        settings = self._settings
        fields = [
            (b":method", b"POST"),
            (b":scheme", self._endpoint.scheme),
            (b":authority", self._endpoint.authority),
            (b":path", _PATH + digits),
            (b"apns-id", ident),
            (b"apns-topic", settings.topic.encode()),
            (b"apns-push-type", settings.push_type.encode()),
            (b"apns-priority", str(settings.effective_priority).encode()),
            (b"apns-expiration", self._expiration),
        ]
        if settings.collapse_id is not None:
            fields.append((b"apns-collapse-id", settings.collapse_id.encode()))
        if self._authorization is not None:
            fields.append((b"authorization", self._authorization.reveal()))
        return fields

    # -- sending ---------------------------------------------------------------------------------------------------

    def credit(self) -> int:
        """Return how many requests may be written now: streams, windows, sockets, limits."""
        if self._unwritten:
            self._write_rest()
        room = self._room()
        if room and self._bucket is not None:
            tokens = self._bucket.available(self._context.clock.now_ns())
            self._short = tokens < room
            room = min(room, tokens)
        return max(0, room - self._held_back)

    def _room(self) -> int:
        assert self._pool is not None
        size = self._body_size()
        room = under_way = 0
        for link in self._pool.links:
            connection = cast("ClientConnection", link.connection)
            under_way += connection.streams.open
            if not link.full:
                room += self._room_of(connection, size)
        if self._settings.in_flight is not None:
            room = min(room, self._settings.in_flight - under_way)
        return max(0, room)

    def _room_of(self, connection: ClientConnection, size: int) -> int:
        room = connection.room(size)
        if self._settings.streams is not None:
            room = min(room, self._settings.streams - connection.streams.open)
        return max(0, room)

    def _body_size(self) -> int:
        return self._largest_body

    _largest_body = 4096  # until the first batch has told the true size

    def send(self, prepared: Prepared, lo: int, hi: int) -> int:
        """Write requests lo..hi over the connections, as each has room."""
        if self._bucket is not None:
            self._bucket.take(hi - lo, self._context.clock.now_ns())
        written = self._write(prepared, lo, hi)
        if written < hi:
            self._unwritten.append((prepared, written, hi))
            self._held_back += hi - written
        return hi - lo

    def _write_rest(self) -> None:
        """Write what was taken when a connection had less room than it said."""
        while self._unwritten:
            prepared, lo, hi = self._unwritten.popleft()
            written = self._write(prepared, lo, hi)
            self._held_back -= written - lo
            if written < hi:
                self._unwritten.appendleft((prepared, written, hi))
                return

    def _write(self, prepared: Prepared, lo: int, hi: int) -> int:
        """Write as many of lo..hi as there is room for; return where it stopped."""
        assert self._pool is not None
        rendered = prepared.body
        if not isinstance(rendered, Rendered):
            return self._write_singly(prepared, lo, hi)
        size = self._largest_body = len(rendered.text.raw)
        links = self._pool.links
        idle = 0
        while lo < hi and idle < len(links):
            self._next = (self._next + 1) % len(links)
            link = links[self._next]
            connection = cast("ClientConnection", link.connection)
            count = 0 if link.full else min(hi - lo, ROWS, self._room_of(connection, size))
            taken = self._write_rows(link, connection, prepared, rendered, lo, lo + count) if count else 0
            idle = 0 if taken else idle + 1
            lo += taken
        return lo

    def _write_rows(
        self,
        link: H2Link,
        connection: ClientConnection,
        prepared: Prepared,
        rendered: Rendered,
        lo: int,
        hi: int,
    ) -> int:
        size = len(rendered.text.raw)
        if not connection.fits(size):
            return self._write_one(link, connection, prepared, lo)
        shape = self._known_shape(connection, rendered)
        if shape is None:
            block, changed = self._first_block(connection, prepared, rendered, lo)
            if changed:  # it taught the table something, so it goes alone: those after it will be alike
                return self._write_one(link, connection, prepared, lo, block)
            shape = self._learn(connection, block, rendered, lo)
        ids = connection.open(prepared.tickets[lo:hi], size, self._context.clock.now_ns())
        if not ids.size:
            return 0
        part = slice(lo, lo + ids.size)
        columns = [rendered.digits[part], rendered.ids[part], *(column[part] for column in rendered.columns)]
        if connection.output:
            link.flush()
        link.write(shape.render(ids, columns))
        return int(ids.size)

    def _known_shape(self, connection: ClientConnection, rendered: Rendered) -> FrameRows | None:
        """Return the rows for a batch on a connection, None when there are none under its encoder's table."""
        block = connection.note.get((connection.encoder.generation, self._version, rendered.digits.shape[1]))
        return None if block is None else self._shapes.get((block, rendered.text))

    def _first_block(
        self, connection: ClientConnection, prepared: Prepared, rendered: Rendered, at: int
    ) -> tuple[bytes, bool]:
        """Encode one request's head; return it, and whether that changed the encoder's table."""
        encoder = connection.encoder
        generation = encoder.generation
        digits, ident = rendered.digits[at].tobytes(), self._ident(int(prepared.indexes[at]))
        block = encoder.encode(self._fields(digits, ident), plain=_PLAIN)
        return block, encoder.generation != generation

    def _learn(self, connection: ClientConnection, block: bytes, rendered: Rendered, at: int) -> FrameRows:
        """Make rows of a block that touched no table: token and index are the places that differ."""
        width = rendered.digits.shape[1]
        path = block.index(_PATH + rendered.digits[at].tobytes()) + len(_PATH)
        index = block.index(self._prefix, path + width) + len(self._prefix)
        alike = bytearray(block)
        alike[path : path + width] = b"0" * width
        alike[index : index + 12] = b"0" * 12
        block = bytes(alike)
        if len(connection.note) >= _MOST_SHAPES:
            connection.note.clear()
        connection.note[connection.encoder.generation, self._version, width] = block
        shape = self._shapes.get((block, rendered.text))
        if shape is None:
            if len(self._shapes) >= _MOST_SHAPES:
                self._shapes.clear()
            text = rendered.text
            head = Part(FrameType.HEADERS, END_HEADERS, block, [(path, path + width), (index, index + 12)])
            body = Part(FrameType.DATA, END_STREAM, text.raw, [(start, stop) for _, start, stop in text.columns])
            shape = self._shapes[block, text] = FrameRows([head, body])
        return shape

    def _ident(self, index: int) -> bytes:
        return self._prefix + f"{index:012x}".encode()

    def _write_singly(self, prepared: Prepared, lo: int, hi: int) -> int:
        """Write tokens of several widths one by one."""
        assert self._pool is not None
        while lo < hi:
            link = next(
                (
                    one
                    for one in self._pool.links
                    if not one.full and self._room_of(cast("ClientConnection", one.connection), self._largest_body)
                ),
                None,
            )
            if link is None or not self._write_one(link, cast("ClientConnection", link.connection), prepared, lo):
                break
            lo += 1
        return lo

    def _write_one(
        self, link: H2Link, connection: ClientConnection, prepared: Prepared, at: int, block: bytes | None = None
    ) -> int:
        """Write one request as it comes, through whatever windows there are."""
        batch, index = prepared.batch, int(prepared.indexes[at])
        token = batch.token_text(at).encode()
        text = self._template.for_batch(batch, self._context.run, self._context.event, self._index_width, len(token))
        body = bytearray(text.raw)
        for name, start, stop in text.columns:
            body[start:stop] = token if name == "token" else str(index).zfill(self._index_width).encode()
        if block is None:
            block = connection.encoder.encode(self._fields(token, self._ident(index)), plain=_PLAIN)
        connection.request(block, bytes(body), int(prepared.tickets[at]), self._context.clock.now_ns())
        link.flush()
        return 1

    # -- answers ---------------------------------------------------------------------------------------------------

    def take(self, link: H2Link, events: Sequence[Any]) -> None:
        """Take what a connection said."""
        now_ns = self._context.clock.now_ns()
        for event in events:
            if isinstance(event, Responses):
                self._take_responses(event, now_ns)
            elif isinstance(event, Resets):
                refused = not event.processed
                reason = "stream refused" if refused else "stream reset"
                if event.code == ErrorCode.PROTOCOL_ERROR:
                    reason = "answer that is no HTTP/2"
                self._add(event.tags, Answer.REFUSED if refused else Answer.DOUBTFUL, reason, now_ns)
            elif isinstance(event, WentAway):
                self._take_goaway(event, now_ns)

    def _take_responses(self, responses: Responses, now_ns: int) -> None:
        tags, head = responses.tags, responses.head
        if self._tracers and (tags < 0).any():
            self._take_tracers(responses)
            return
        if head.status == 200:
            self._found.append(Answers(tags, np.zeros(tags.size, dtype=np.uint8), now_ns))
            return
        if responses.bodies is None:
            self._add(tags, meaning(head.status, ""), "no reason given", now_ns)
            return
        numbers = _reasons_of(responses.bodies)
        table = np.array([meaning(head.status, reason) for reason in REASONS], dtype=np.uint8)
        after = _retry_after_ns(head.kept)
        waits = np.full(tags.size, after, dtype=np.int64) if after else None
        self._found.append(Answers(tags, table[numbers], now_ns, waits, numbers))
        if (numbers == NUMBERS["ExpiredProviderToken"]).any():
            self._credentials.expire()

    def _take_tracers(self, responses: Responses) -> None:
        for position, tag in enumerate(responses.tags.tolist()):
            future = self._tracers.get(tag)
            if future is not None and not future.done():
                bodies = responses.bodies
                reason = "" if bodies is None else reason_of(bodies[position].tobytes())
                future.set_result((responses.head.status, reason))

    def _take_goaway(self, event: WentAway, now_ns: int) -> None:
        reason = reason_of(event.debug) if event.debug else ""
        if reason in {"", "another reason", "no reason given"}:
            reason = "connection told to go (GOAWAY)"
        if event.tags.size:
            self._add(event.tags, Answer.REFUSED, reason, now_ns)

    def give_up(self, tags: Int64Column, why: str) -> None:
        """Learn that a connection is gone with these requests open."""
        self._add(tags, Answer.DOUBTFUL, why, self._context.clock.now_ns())

    def _add(self, tags: Int64Column, answer: Answer, reason: str, now_ns: int) -> None:
        for tag in tags[tags < 0].tolist():
            future = self._tracers.get(tag)
            if future is not None and not future.done():
                future.set_result((0, reason))
        tags = tags[tags >= 0]
        if tags.size:
            codes = np.full(tags.size, answer, dtype=np.uint8)
            reasons = np.full(tags.size, NUMBERS.get(reason, NUMBERS["another reason"]), dtype=np.uint8)
            self._found.append(Answers(tags, codes, now_ns, None, reasons))

    def answers(self) -> list[Answers]:
        """Return what has been answered since the last call."""
        found, self._found = self._found, []
        return found

    def next_answer_ns(self) -> int:
        """Return when the rate lets more leave, if it is what holds them; else the connections wake the engine."""
        if self._found:
            return 0
        if self._bucket is None or not self._short:
            return NEVER_NS
        wanted = max(1, min(int(self._bucket.burst // 2), int(self._bucket.rate_per_s * _RESERVE_NS / NS_PER_S)))
        return self._context.clock.now_ns() + self._bucket.wait_ns(wanted)

    # -- upkeep ----------------------------------------------------------------------------------------------------

    async def _look_after(self) -> None:
        """Cancel what has no answer in time, ping the silent, keep the provider token young."""
        assert self._pool is not None
        while True:
            await asyncio.sleep(UPKEEP_S)
            if self._context.answer_within_ns < NEVER_NS:
                before_ns = self._context.clock.now_ns() - self._context.answer_within_ns
                for tags in self._pool.cancel_overdue(before_ns):
                    self._add(tags, Answer.DOUBTFUL, "no answer in time: cancelled", self._context.clock.now_ns())
                    self._context.wake()
            self._pool.look_after()
            if self._unwritten:
                self._context.wake()
            if self._credentials.due():
                with contextlib.suppress(BurstError):  # the token there is may still be good; it is asked for again
                    await self._renew()

    def revoke(self) -> Int64Column:
        """Take back what was taken but not written."""
        tickets = [prepared.tickets[lo:hi] for prepared, lo, hi in self._unwritten]
        self._unwritten.clear()
        self._held_back = 0
        return np.concatenate(tickets) if tickets else np.empty(0, dtype=np.int64)

    async def close(self) -> None:
        """Let go of everything."""
        if self._upkeep is not None:
            self._upkeep.cancel()
            await asyncio.gather(self._upkeep, return_exceptions=True)
            self._upkeep = None
        if self._pool is not None:
            await self._pool.close()


def _reasons_of(bodies: Rows) -> UInt8Column:
    """Return the reason's number of each body; bodies that are alike are read once."""
    first = bodies[0]
    if (bodies == first).all():
        return np.full(bodies.shape[0], NUMBERS[reason_of(first.tobytes())], dtype=np.uint8)
    known: dict[bytes, int] = {}
    numbers = np.zeros(bodies.shape[0], dtype=np.uint8)
    for position, row in enumerate(bodies):
        body = row.tobytes()
        number = known.get(body)
        if number is None:
            number = known[body] = NUMBERS[reason_of(body)]
        numbers[position] = number
    return numbers


def _retry_after_ns(kept: tuple[tuple[bytes, bytes], ...]) -> int:
    for name, value in kept:
        if name == b"retry-after" and value.isdigit() and len(value) < 8:
            return int(value) * NS_PER_S
    return 0
