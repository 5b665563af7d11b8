"""HTTP/2 (RFC 9113) without a socket: bytes in, events out. What both ends of a connection share.

Everything that changes a connection's state is in this file and in its two roles, ``h2_client`` and ``h2_server``.

Frames are taken in by one of three ways, each exact, the faster the more alike they are: runs of equal frames by
strided columns, plain frames of few shapes by a walk that groups them, and anything else frame by frame.
"""

from __future__ import annotations

import struct
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from burst.model.batch import Int64Column, UInt8Column
from burst.wire.frames import (
    ACK,
    DEFAULT_FRAME,
    DEFAULT_WINDOW,
    END_HEADERS,
    END_STREAM,
    HEAD_BYTES,
    LARGEST_FRAME,
    LARGEST_WINDOW,
    PADDED,
    PRIORITY_FLAG,
    SETTINGS_ACK,
    ErrorCode,
    FrameType,
    H2Error,
    Setting,
    StreamFault,
    frame,
    goaway,
    ping,
    reset_stream,
    settings_frame,
    window_update,
)
from burst.wire.hpack import Decoder, Encoder, Field
from burst.wire.hpack_error import HpackError
from burst.wire.layout import Layout, Layouts, Rows, learn
from burst.wire.plain import Group, find_groups
from burst.wire.streams import Streams

LARGEST_BLOCK = 65_536  # bytes of one header block over all its CONTINUATION frames
IDLE_FRAMES = 10_000  # frames that carry nothing forward, beyond what useful ones earn: then it is a flood
EARNED = 4  # such frames that a useful one earns: some clients send two WINDOW_UPDATEs an answer
REMEMBERED_RESETS = 4096
_HEAD = struct.Struct(">BHBBI")


@dataclass(slots=True)
class Settings:
    """One side's settings, as they are in force."""

    header_table_size: int = 4096
    max_concurrent_streams: int = LARGEST_WINDOW
    initial_window_size: int = DEFAULT_WINDOW
    max_frame_size: int = DEFAULT_FRAME
    max_header_list_size: int = 2**32 - 1


@dataclass(frozen=True, slots=True)
class Failed:
    """The connection is over: ``local`` tells whether we found fault with the peer."""

    code: int
    text: str
    local: bool


@dataclass(frozen=True, slots=True)
class SettingsChanged:
    """The peer's settings are in force."""

    settings: Settings


@dataclass(frozen=True, slots=True)
class Ponged:
    """The peer answered a PING."""

    payload: bytes


class H2Connection(ABC):
    """One end of a connection. ``receive`` takes bytes in; ``events`` and ``output`` fill; nobody waits."""

    is_server: bool

    def __init__(
        self, streams: Streams, settings: Mapping[int, int], *, connection_window: int, replenish: bool = True
    ) -> None:
        self.streams = streams
        self.peer = Settings()
        self.local = Settings()
        self.events: list[Any] = []
        self.output: list[bytes] = []
        self.encoder = Encoder()
        self.decoder = Decoder(max_list_bytes=LARGEST_BLOCK)
        self.layouts = Layouts()
        self.failed: Failed | None = None
        self.pinned: frozenset[bytes] = frozenset()  # fields of which each value makes a shape of its own
        self.send_window = DEFAULT_WINDOW
        self._recv_window = DEFAULT_WINDOW
        self._recv_target = max(connection_window, DEFAULT_WINDOW)
        self.replenish = replenish
        self._pending_settings: deque[Mapping[int, int]] = deque()
        self._heard_settings = False
        self._block: bytearray | None = None
        self._block_stream = 0
        self._block_flags = 0
        self._rest = b""
        self._exact_bytes = 0  # so many bytes to come are taken in frame by frame
        self._idle_left = IDLE_FRAMES
        self._blocked: dict[int, bytearray] = {}  # bodies that wait for a window, by stream
        self._extra: dict[int, int] = {}  # what WINDOW_UPDATEs and sent bytes add to a stream's window
        self._reset_by_us: deque[int] = deque(maxlen=REMEMBERED_RESETS)
        self.output.append(self._opening(settings))

    def _opening(self, settings: Mapping[int, int]) -> bytes:
        self._pending_settings.append(settings)
        out = settings_frame(settings)
        if self._recv_target > DEFAULT_WINDOW and self.replenish:
            out += window_update(0, self._recv_target - DEFAULT_WINDOW)
            self._recv_window = self._recv_target
        return out

    # -- bytes in --------------------------------------------------------------------------------------------------

    def feed(self, data: bytes) -> list[Any]:
        """Take bytes in, cut anywhere; return the events so far. For whoever has no buffer of his own."""
        whole = self._rest + data
        column = np.frombuffer(whole, dtype=np.uint8)
        self._rest = whole[self.receive(column) :]
        events, self.events = self.events, []
        return events

    def receive(self, data: UInt8Column) -> int:
        """Take in whole frames from ``data``; return how many bytes. The rest comes again with more behind it.

        Columns of the events are views into ``data``: they are good until it is overwritten.
        """
        if self.failed is not None:
            return data.size
        position, end = 0, data.size
        try:
            position = self._preface(data)
            while end - position >= HEAD_BYTES and self.failed is None:
                taken = 0
                if self._block is None and self._heard_settings and position >= self._exact_bytes:
                    taken = self._plain_frames(data, position)
                if not taken:
                    taken = self._one_frame(data, position)
                if not taken:
                    break
                position += taken
        except H2Error as error:
            self.fail(error.code, str(error))
            return data.size
        self._exact_bytes = max(0, self._exact_bytes - position)
        self._top_up()
        return position

    def _preface(self, data: UInt8Column) -> int:
        """Return where frames begin; a server first wants the client's preface."""
        return 0

    def _plain_frames(self, data: UInt8Column, position: int) -> int:
        """Take in as many plain frames as stand here; return how many bytes, 0 when the next one is not plain."""
        groups, taken = find_groups(data, position, self.local.max_frame_size, self._known_width)
        if not groups:
            return 0
        heads: list[tuple[Group, Layout]] = []
        cut = position + taken
        for group in groups:
            if group.kind == FrameType.HEADERS:
                cut = min(cut, self._sort_by_layout(group, heads))
        if cut <= position:
            return 0
        if cut < position + taken:
            taken = cut - position
            heads = [(part, layout) for group, layout in heads if (part := group.before(cut)) is not None]
            groups = [part for group in groups if (part := group.before(cut)) is not None]
        bodies = [group for group in groups if group.kind == FrameType.DATA]
        flow = sum(group.ids.size * group.length for group in bodies)
        if flow > self._recv_window or any(group.length > self.local.initial_window_size for group in bodies):
            self._exact_bytes = cut
            return 0
        if heads and not self._take_heads(heads):
            self._exact_bytes = cut
            return 0
        self._recv_window -= flow
        frames = sum(group.ids.size for group, _ in heads)
        for group in bodies:
            frames += group.ids.size
            for at in self._take_bodies(group).tolist():
                payload = group.rows[at].tobytes()
                self._guarded(int(group.ids[at]), payload, len(payload))
        self._idle_left = min(IDLE_FRAMES, self._idle_left + EARNED * frames)
        return taken

    def _known_width(self, width: int) -> bool:
        return bool(self.layouts.of_width(width, self.decoder.generation))

    def _sort_by_layout(self, group: Group, found: list[tuple[Group, Layout]]) -> int:
        """Split a group of HEADERS by shape into ``found``; return where the first block of no known shape stands."""
        rest: Group | None = group
        for layout in self.layouts.of_width(group.length, self.decoder.generation):
            assert rest is not None
            mask = layout.matches(rest.rows)
            if mask is None:
                found.append((rest, layout))
                return 1 << 62
            if mask.any():
                found.append((rest.where(mask), layout))
                rest = rest.where(~mask)
        assert rest is not None
        return int(rest.offsets[0])

    # -- one frame -------------------------------------------------------------------------------------------------

    def _one_frame(self, data: UInt8Column, position: int) -> int:
        high, low, kind, flags, stream_id = _HEAD.unpack_from(data.data, position)
        length: int = high << 16 | low
        stream_id &= 0x7FFFFFFF
        if length > self.local.max_frame_size:
            raise H2Error(ErrorCode.FRAME_SIZE_ERROR, f"a frame of {length:,} bytes")
        stop = position + HEAD_BYTES + length
        if stop > data.size:
            return 0
        payload = data[position + HEAD_BYTES : stop].tobytes()
        if not self._heard_settings and (kind != FrameType.SETTINGS or flags & ACK):
            raise H2Error(ErrorCode.PROTOCOL_ERROR, "the first frame is not SETTINGS")
        if self._block is not None and (kind != FrameType.CONTINUATION or stream_id != self._block_stream):
            raise H2Error(ErrorCode.PROTOCOL_ERROR, "a header block is cut short by another frame")
        handler = _HANDLERS.get(kind)
        if handler is None:
            self._idle()  # unknown frames are to be ignored (section 4.1)
        else:
            try:
                handler(self, flags, stream_id, payload)
            except StreamFault as fault:
                self.reset(fault.stream_id, fault.code)
        return HEAD_BYTES + length

    def _idle(self) -> None:
        """Count a frame that carries nothing forward."""
        self._idle_left -= 1
        if self._idle_left < 0:
            raise H2Error(ErrorCode.ENHANCE_YOUR_CALM, "a flood of frames that carry nothing forward")

    def _earn(self) -> None:
        self._idle_left = min(IDLE_FRAMES, self._idle_left + EARNED)

    @staticmethod
    def _unpadded(flags: int, payload: bytes) -> bytes:
        if not flags & PADDED:
            return payload
        if not payload or payload[0] >= len(payload):
            raise H2Error(ErrorCode.PROTOCOL_ERROR, "padding is longer than its frame")
        return payload[1 : len(payload) - payload[0]]

    def _data(self, flags: int, stream_id: int, payload: bytes) -> None:
        if not stream_id:
            raise H2Error(ErrorCode.PROTOCOL_ERROR, "DATA on stream 0")
        flow = len(payload)
        if flow > self._recv_window:
            raise H2Error(ErrorCode.FLOW_CONTROL_ERROR, "the connection's window is overrun")
        self._recv_window -= flow
        content = self._unpadded(flags, payload)
        if not content and not flags & END_STREAM:
            self._idle()
        else:
            self._earn()
        self._take_data(stream_id, content, flow, ended=bool(flags & END_STREAM))

    def _guarded(self, stream_id: int, content: bytes, flow: int) -> None:
        """Take in one DATA frame that ends its stream; a fault of the stream resets it."""
        try:
            self._take_data(stream_id, content, flow, ended=True)
        except StreamFault as fault:
            self.reset(fault.stream_id, fault.code)

    def _headers(self, flags: int, stream_id: int, payload: bytes) -> None:
        if not stream_id:
            raise H2Error(ErrorCode.PROTOCOL_ERROR, "HEADERS on stream 0")
        content = self._unpadded(flags, payload)
        if flags & PRIORITY_FLAG:
            if len(content) < 5:
                raise H2Error(ErrorCode.FRAME_SIZE_ERROR, "HEADERS too short for its priority")
            depends_on = int.from_bytes(content[:4], "big") & 0x7FFFFFFF
            content = content[5:]
            if depends_on == stream_id:
                self._block_is_void(flags, stream_id, content)
                raise StreamFault(stream_id, ErrorCode.PROTOCOL_ERROR, "a stream depends on itself")
        if flags & END_HEADERS:
            self._head_block(stream_id, content, ended=bool(flags & END_STREAM))
        else:
            self._block, self._block_stream, self._block_flags = bytearray(content), stream_id, flags

    def _block_is_void(self, flags: int, stream_id: int, content: bytes) -> None:
        """Keep the decoder's table in step with a block that nobody wants."""
        if not flags & END_HEADERS:
            raise H2Error(ErrorCode.PROTOCOL_ERROR, f"stream {stream_id} depends on itself")
        self._decode(content)

    def _continuation(self, flags: int, stream_id: int, payload: bytes) -> None:
        if self._block is None:
            raise H2Error(ErrorCode.PROTOCOL_ERROR, "CONTINUATION of nothing")
        if not flags & END_HEADERS and len(payload) < 64:
            self._idle()
        self._block += payload
        if len(self._block) > LARGEST_BLOCK:
            raise H2Error(ErrorCode.ENHANCE_YOUR_CALM, f"a header block of more than {LARGEST_BLOCK:,} bytes")
        if flags & END_HEADERS:
            block, self._block = bytes(self._block), None
            self._head_block(stream_id, block, ended=bool(self._block_flags & END_STREAM))

    def _decode(self, block: bytes) -> list[Field]:
        try:
            return self.decoder.decode_fields(block)
        except HpackError as error:
            raise H2Error(ErrorCode.COMPRESSION_ERROR, str(error)) from None

    def _head_block(self, stream_id: int, block: bytes, *, ended: bool) -> None:
        generation = self.decoder.generation
        fields = self._decode(block)
        self._earn()
        # A field that comes twice has no one place; whoever reads by column must not meet it.
        alone = len({one.name for one in fields}) == len(fields)
        layout = learn(block, fields, self.pinned) if alone and self.decoder.generation == generation else None
        if self._take_head(stream_id, fields, layout, ended=ended) and layout is not None:
            self.layouts.add(layout, generation)

    def _priority(self, _flags: int, stream_id: int, payload: bytes) -> None:
        self._idle()
        if not stream_id:
            raise H2Error(ErrorCode.PROTOCOL_ERROR, "PRIORITY on stream 0")
        if len(payload) != 5:
            raise StreamFault(stream_id, ErrorCode.FRAME_SIZE_ERROR, "PRIORITY is five bytes")
        if int.from_bytes(payload[:4], "big") & 0x7FFFFFFF == stream_id:
            raise StreamFault(stream_id, ErrorCode.PROTOCOL_ERROR, "a stream depends on itself")

    def _rst_stream(self, _flags: int, stream_id: int, payload: bytes) -> None:
        self._idle()
        if len(payload) != 4:
            raise H2Error(ErrorCode.FRAME_SIZE_ERROR, "RST_STREAM is four bytes")
        if not stream_id or self._never_opened(stream_id):
            raise H2Error(ErrorCode.PROTOCOL_ERROR, f"RST_STREAM on idle stream {stream_id}")
        self._forget_body(stream_id)
        self._take_reset(stream_id, int.from_bytes(payload, "big"))

    def _settings(self, flags: int, stream_id: int, payload: bytes) -> None:
        if stream_id:
            raise H2Error(ErrorCode.PROTOCOL_ERROR, "SETTINGS on a stream")
        if flags & ACK:
            if payload:
                raise H2Error(ErrorCode.FRAME_SIZE_ERROR, "an acknowledgement of SETTINGS is empty")
            self._idle()
            if self._pending_settings:
                self._apply_own(self._pending_settings.popleft())
            return
        if len(payload) % 6:
            raise H2Error(ErrorCode.FRAME_SIZE_ERROR, "SETTINGS is six bytes a setting")
        if self._heard_settings:
            self._idle()
        self._heard_settings = True
        for key, value in struct.iter_unpack(">HI", payload):
            self._apply_peers(key, value)
        self.output.append(SETTINGS_ACK)
        self.events.append(SettingsChanged(self.peer))
        self._unblock()

    def _apply_peers(self, key: int, value: int) -> None:
        if key == Setting.HEADER_TABLE_SIZE:
            self.peer.header_table_size = value
            self.encoder.resize(value)
        elif key == Setting.ENABLE_PUSH:
            if value > 1 or (value and not self.is_server):
                raise H2Error(ErrorCode.PROTOCOL_ERROR, f"ENABLE_PUSH = {value}")
        elif key == Setting.MAX_CONCURRENT_STREAMS:
            self.peer.max_concurrent_streams = value
        elif key == Setting.INITIAL_WINDOW_SIZE:
            if value > LARGEST_WINDOW:
                raise H2Error(ErrorCode.FLOW_CONTROL_ERROR, f"INITIAL_WINDOW_SIZE = {value}")
            if self._extra and value + max(self._extra.values()) > LARGEST_WINDOW:
                raise H2Error(ErrorCode.FLOW_CONTROL_ERROR, "INITIAL_WINDOW_SIZE lifts a stream's window too far")
            self.peer.initial_window_size = value
        elif key == Setting.MAX_FRAME_SIZE:
            if not DEFAULT_FRAME <= value <= LARGEST_FRAME:
                raise H2Error(ErrorCode.PROTOCOL_ERROR, f"MAX_FRAME_SIZE = {value}")
            self.peer.max_frame_size = value
        elif key == Setting.MAX_HEADER_LIST_SIZE:
            self.peer.max_header_list_size = value

    def _apply_own(self, settings: Mapping[int, int]) -> None:
        """Put our own settings into force: the peer has acknowledged them."""
        local = self.local
        local.header_table_size = settings.get(Setting.HEADER_TABLE_SIZE, local.header_table_size)
        local.max_concurrent_streams = settings.get(Setting.MAX_CONCURRENT_STREAMS, local.max_concurrent_streams)
        local.initial_window_size = settings.get(Setting.INITIAL_WINDOW_SIZE, local.initial_window_size)
        local.max_frame_size = settings.get(Setting.MAX_FRAME_SIZE, local.max_frame_size)
        if self.decoder.max_table_bytes != local.header_table_size:
            self.decoder.max_table_bytes = local.header_table_size

    def change_settings(self, settings: Mapping[int, int]) -> None:
        """Announce other settings of ours; they are in force when the peer acknowledges them."""
        self._pending_settings.append(settings)
        self.output.append(settings_frame(settings))

    def _push_promise(self, _flags: int, _stream_id: int, _payload: bytes) -> None:
        raise H2Error(ErrorCode.PROTOCOL_ERROR, "PUSH_PROMISE, which is not enabled")

    def _ping(self, flags: int, stream_id: int, payload: bytes) -> None:
        if stream_id:
            raise H2Error(ErrorCode.PROTOCOL_ERROR, "PING on a stream")
        if len(payload) != 8:
            raise H2Error(ErrorCode.FRAME_SIZE_ERROR, "PING is eight bytes")
        self._idle()
        if flags & ACK:
            self.events.append(Ponged(payload))
        else:
            self.output.append(ping(payload, ack=True))

    def _goaway(self, _flags: int, stream_id: int, payload: bytes) -> None:
        self._idle()
        if stream_id:
            raise H2Error(ErrorCode.PROTOCOL_ERROR, "GOAWAY on a stream")
        if len(payload) < 8:
            raise H2Error(ErrorCode.FRAME_SIZE_ERROR, "GOAWAY is eight bytes or more")
        last, code = struct.unpack_from(">II", payload)
        self._take_goaway(last & 0x7FFFFFFF, code, payload[8:])

    # -- windows ---------------------------------------------------------------------------------------------------

    def _window_update(self, _flags: int, stream_id: int, payload: bytes) -> None:
        self._idle()
        if len(payload) != 4:
            raise H2Error(ErrorCode.FRAME_SIZE_ERROR, "WINDOW_UPDATE is four bytes")
        increment = int.from_bytes(payload, "big") & 0x7FFFFFFF
        if not stream_id:
            if not increment:
                raise H2Error(ErrorCode.PROTOCOL_ERROR, "WINDOW_UPDATE by 0")
            self.send_window += increment
            if self.send_window > LARGEST_WINDOW:
                raise H2Error(ErrorCode.FLOW_CONTROL_ERROR, "the connection's window exceeds 2^31-1")
            self._unblock()
            return
        if self._never_opened(stream_id):
            raise H2Error(ErrorCode.PROTOCOL_ERROR, f"WINDOW_UPDATE on idle stream {stream_id}")
        if self.streams.row_of(stream_id) < 0:
            return
        if not increment:
            raise StreamFault(stream_id, ErrorCode.PROTOCOL_ERROR, "WINDOW_UPDATE by 0")
        extra = self._extra.get(stream_id, 0) + increment
        if self.peer.initial_window_size + extra > LARGEST_WINDOW:
            raise StreamFault(stream_id, ErrorCode.FLOW_CONTROL_ERROR, "the stream's window exceeds 2^31-1")
        if len(self._extra) > self.streams.open:
            self._extra = {held: value for held, value in self._extra.items() if self.streams.row_of(held) >= 0}
        self._extra[stream_id] = extra
        if stream_id in self._blocked:
            self._unblock()

    def _top_up(self) -> None:
        if self.replenish and self._recv_window < self._recv_target // 2:
            self.output.append(window_update(0, self._recv_target - self._recv_window))
            self._recv_window = self._recv_target

    def send_body(self, stream_id: int, body: bytes) -> None:
        """Write a body that ends its stream, as far as the windows let it; the rest follows when they open."""
        self._blocked[stream_id] = bytearray(body)
        self._push_body(stream_id)

    def _push_body(self, stream_id: int) -> bool:
        """Write what the windows allow; return whether the body is out."""
        body = self._blocked[stream_id]
        while True:
            window = self.peer.initial_window_size + self._extra.get(stream_id, 0)
            size = min(len(body), window, self.send_window, self.peer.max_frame_size)
            if size <= 0 and body:
                return False
            ended = size == len(body)
            self.output.append(frame(FrameType.DATA, END_STREAM if ended else 0, stream_id, bytes(body[:size])))
            self.send_window -= size
            if ended:
                self._forget_body(stream_id)
                self._body_sent(stream_id)
                return True
            self._extra[stream_id] = self._extra.get(stream_id, 0) - size
            del body[:size]

    def _unblock(self) -> None:
        for stream_id in list(self._blocked):
            if stream_id in self._blocked:
                self._push_body(stream_id)

    def _forget_body(self, stream_id: int) -> None:
        self._blocked.pop(stream_id, None)
        self._extra.pop(stream_id, None)

    @property
    def blocked(self) -> int:
        """How many bodies wait for a window."""
        return len(self._blocked)

    # -- endings ---------------------------------------------------------------------------------------------------

    def reset(self, stream_id: int, code: int) -> None:
        """End one stream by our own decision."""
        self.output.append(reset_stream(stream_id, code))
        self._reset_by_us.append(stream_id)
        self._forget_body(stream_id)
        self._take_own_reset(stream_id, code)

    def fail(self, code: ErrorCode, text: str) -> None:
        """End the connection by our own decision: GOAWAY, and nothing that arrives counts any more."""
        if self.failed is None:
            self.output.append(goaway(self._last_peer_stream(), code, text.encode()[:256]))
            self.failed = Failed(code, text, local=True)
            self.events.append(self.failed)

    def send_ping(self, payload: bytes) -> None:
        """Ask the peer for a sign of life."""
        self.output.append(ping(payload))

    # -- what the roles do -----------------------------------------------------------------------------------------

    @abstractmethod
    def _take_heads(self, heads: Sequence[tuple[Group, Layout]]) -> bool:
        """Take in header blocks of known shapes; return False, nothing done, if any frame breaks a rule."""

    @abstractmethod
    def _take_bodies(self, group: Group) -> Int64Column:
        """Take in bodies of one frame; return the positions of those that are not that simple."""

    @abstractmethod
    def _take_head(self, stream_id: int, fields: list[Field], layout: Layout | None, *, ended: bool) -> bool:
        """Take in one header block; return whether others like it may go the fast way."""

    @abstractmethod
    def _take_data(self, stream_id: int, content: bytes, flow: int, *, ended: bool) -> None:
        """Take in one DATA frame."""

    @abstractmethod
    def _take_reset(self, stream_id: int, code: int) -> None:
        """Learn that the peer has reset a stream."""

    def _take_own_reset(self, stream_id: int, code: int) -> None:
        """Learn that we have reset a stream."""

    @abstractmethod
    def _take_goaway(self, last: int, code: int, debug: bytes) -> None:
        """Learn that the peer takes no more streams."""

    @abstractmethod
    def _never_opened(self, stream_id: int) -> bool:
        """Whether a stream is idle."""

    @abstractmethod
    def _last_peer_stream(self) -> int:
        """Return the last stream of the peer's that was taken in."""

    def _body_sent(self, stream_id: int) -> None:
        """Learn that a body is out."""


_HANDLERS = {
    FrameType.DATA: H2Connection._data,  # noqa: SLF001 (a table of its own methods)
    FrameType.HEADERS: H2Connection._headers,  # noqa: SLF001
    FrameType.PRIORITY: H2Connection._priority,  # noqa: SLF001
    FrameType.RST_STREAM: H2Connection._rst_stream,  # noqa: SLF001
    FrameType.SETTINGS: H2Connection._settings,  # noqa: SLF001
    FrameType.PUSH_PROMISE: H2Connection._push_promise,  # noqa: SLF001
    FrameType.PING: H2Connection._ping,  # noqa: SLF001
    FrameType.GOAWAY: H2Connection._goaway,  # noqa: SLF001
    FrameType.WINDOW_UPDATE: H2Connection._window_update,  # noqa: SLF001
    FrameType.CONTINUATION: H2Connection._continuation,  # noqa: SLF001
}

__all__ = ["Failed", "H2Connection", "Ponged", "Rows", "Settings", "SettingsChanged"]
