"""Frames taken in one by one: what each may say, and what is wrong with it (RFC 9113, section 6)."""

from __future__ import annotations

import struct
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from burst.wire.events import Ponged, SettingsChanged
from burst.wire.frames import (
    ACK,
    DEFAULT_WINDOW,
    END_HEADERS,
    END_STREAM,
    PADDED,
    PRIORITY_FLAG,
    SETTINGS_ACK,
    ErrorCode,
    FrameType,
    H2Error,
    Setting,
    StreamFault,
    ping,
    settings_frame,
)
from burst.wire.hpack import Decoder, Encoder, HeaderListTooLarge, placed
from burst.wire.hpack_error import HpackError
from burst.wire.hpack_table import Pair
from burst.wire.layout import Layout, Layouts, learn
from burst.wire.settings import Settings
from burst.wire.streams import Streams
from burst.wire.windows import SendSide

LARGEST_BLOCK = 65_536  # bytes of one header block over all its CONTINUATION frames
IDLE_FRAMES = 10_000  # frames that carry nothing forward, beyond what useful ones earn: then it is a flood
EARNED = 4  # such frames that a useful one earns: some clients send two WINDOW_UPDATEs an answer
_WAITING_A_FRAME = 64  # bodies that wait for a window: so many make a change of all windows as dear as one more frame


@dataclass(slots=True)
class Arriving:
    """A body that comes in more than one frame: what is kept of it, its true length, and how its window stands."""

    content: bytearray = field(default_factory=bytearray)
    length: int = 0
    used: int = 0  # of the stream's window, less what was granted anew


class FrameIntake(SendSide, ABC):
    """What every kind of frame does to a connection. Faults are raised: H2Error ends it, StreamFault one stream."""

    is_server: bool

    def __init__(self, streams: Streams) -> None:
        super().__init__(streams)
        self.local = Settings()
        self.events: list[Any] = []
        self.encoder = Encoder()
        self.decoder = Decoder(max_list_bytes=LARGEST_BLOCK)
        self.layouts = Layouts()
        self.pinned: frozenset[bytes] = frozenset()  # fields of which each value makes a shape of its own
        self._recv_window = DEFAULT_WINDOW
        self._pending_settings: deque[Mapping[int, int]] = deque()
        self._heard_settings = False
        self._block: bytearray | None = None
        self._block_stream = 0
        self._block_flags = 0
        self._block_fault = ""
        self._idle_left = IDLE_FRAMES
        self._arriving: dict[int, Arriving] = {}
        self._announces = False  # whether any head has said how long its body is

    def _idle(self, cost: int = 1) -> None:
        """Count a frame that carries nothing forward."""
        self._idle_left -= cost
        if self._idle_left < 0:
            raise H2Error(ErrorCode.ENHANCE_YOUR_CALM, "a flood of frames that carry nothing forward")

    def _earn(self, frames: int = 1) -> None:
        self._idle_left = min(IDLE_FRAMES, self._idle_left + EARNED * frames)

    def _take(self, kind: int, flags: int, stream_id: int, payload: bytes) -> None:
        """Take in one frame."""
        if not self._heard_settings and (kind != FrameType.SETTINGS or flags & ACK):
            raise H2Error(ErrorCode.PROTOCOL_ERROR, "the first frame is not SETTINGS")
        if self._block is not None and (kind != FrameType.CONTINUATION or stream_id != self._block_stream):
            raise H2Error(ErrorCode.PROTOCOL_ERROR, "a header block is cut short by another frame")
        handler = _HANDLERS.get(kind)
        if handler is None:
            self._idle()  # unknown frames are to be ignored (section 4.1)
        else:
            handler(self, flags, stream_id, payload)

    # -- bodies and heads ------------------------------------------------------------------------------------------

    @staticmethod
    def _unpadded(flags: int, payload: bytes) -> bytes:
        if not flags & PADDED:
            return payload
        if not payload:
            raise H2Error(ErrorCode.FRAME_SIZE_ERROR, "a padded frame without its padding's length")
        if payload[0] >= len(payload):
            raise H2Error(ErrorCode.PROTOCOL_ERROR, "padding is longer than its frame")
        return payload[1 : len(payload) - payload[0]]

    def _data(self, flags: int, stream_id: int, payload: bytes) -> None:
        if not stream_id:
            raise H2Error(ErrorCode.PROTOCOL_ERROR, "DATA on stream 0")
        if self._never_opened(stream_id):
            raise H2Error(ErrorCode.PROTOCOL_ERROR, f"DATA on idle stream {stream_id}")
        flow = len(payload)
        if flow > self._recv_window:
            raise H2Error(ErrorCode.FLOW_CONTROL_ERROR, "the connection's window is overrun")
        self._recv_window -= flow
        content = self._unpadded(flags, payload)
        if not content and not flags & END_STREAM:
            self._idle()
        self._take_data(stream_id, content, flow, ended=bool(flags & END_STREAM))
        if content:
            self._earn()

    def _arrive(self, stream_id: int, content: bytes, flow: int, most: int) -> Arriving:
        """Add a frame to its stream's body, of which ``most`` bytes are kept."""
        arriving = self._arriving.get(stream_id)
        if arriving is None:
            arriving = self._arriving[stream_id] = Arriving()
        arriving.used += flow
        if arriving.used > self.local.initial_window_size:
            raise StreamFault(stream_id, ErrorCode.FLOW_CONTROL_ERROR, "the stream's window is overrun")
        arriving.length += len(content)
        arriving.content += content[: most - len(arriving.content)]
        return arriving

    def _headers(self, flags: int, stream_id: int, payload: bytes) -> None:
        if not stream_id:
            raise H2Error(ErrorCode.PROTOCOL_ERROR, "HEADERS on stream 0")
        content = self._unpadded(flags, payload)
        fault = ""
        if flags & PRIORITY_FLAG:
            if len(content) < 5:
                raise H2Error(ErrorCode.FRAME_SIZE_ERROR, "HEADERS too short for its priority")
            if int.from_bytes(content[:4], "big") & 0x7FFFFFFF == stream_id:
                fault = "a stream depends on itself"
            content = content[5:]
        self._block_fault = fault
        if flags & END_HEADERS and len(content) <= LARGEST_BLOCK:
            self._head_block(stream_id, content, ended=bool(flags & END_STREAM))
            return
        self._block, self._block_stream, self._block_flags = bytearray(content), stream_id, flags
        self._block_grew(whole=bool(flags & END_HEADERS))

    def _continuation(self, flags: int, _stream_id: int, payload: bytes) -> None:
        if self._block is None:
            raise H2Error(ErrorCode.PROTOCOL_ERROR, "CONTINUATION of nothing")
        if not flags & END_HEADERS and len(payload) < 64:
            self._idle()
        self._block += payload
        self._block_grew(whole=bool(flags & END_HEADERS))

    def _block_grew(self, *, whole: bool) -> None:
        """Take in a header block that is whole, and refuse to keep one that is too long."""
        assert self._block is not None
        if len(self._block) > LARGEST_BLOCK:
            raise H2Error(ErrorCode.ENHANCE_YOUR_CALM, f"a header block of more than {LARGEST_BLOCK:,} bytes")
        if whole:
            block, self._block = bytes(self._block), None
            self._head_block(self._block_stream, block, ended=bool(self._block_flags & END_STREAM))

    def _head_block(self, stream_id: int, block: bytes, *, ended: bool) -> None:
        generation = self.decoder.generation
        known = self.layouts.find(block, generation)
        # The decoder first, whatever becomes of the stream: its table must stay in step with the peer's.
        try:
            pairs, places = self.decoder.decode_places(block)
        except HeaderListTooLarge as error:
            raise H2Error(ErrorCode.ENHANCE_YOUR_CALM, str(error)) from None
        except HpackError as error:
            raise H2Error(ErrorCode.COMPRESSION_ERROR, str(error)) from None
        layout = known
        # A field that comes twice has no one place; whoever reads by column must not meet it.
        if known is None and self.decoder.generation == generation and len(dict(pairs)) == len(pairs):
            layout = learn(block, placed(pairs, places), self.pinned)
        alike = self._take_head(stream_id, pairs, layout, ended=ended, fault=self._block_fault)
        self._earn()
        if alike and layout is not None and known is None:
            self.layouts.add(layout, generation)

    # -- the other frames of streams -------------------------------------------------------------------------------

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
        self._arriving.pop(stream_id, None)
        self._take_reset(stream_id, int.from_bytes(payload, "big"))

    def _push_promise(self, _flags: int, _stream_id: int, _payload: bytes) -> None:
        raise H2Error(ErrorCode.PROTOCOL_ERROR, "PUSH_PROMISE, which is not enabled")

    def _window_update(self, _flags: int, stream_id: int, payload: bytes) -> None:
        self._idle()
        if len(payload) != 4:
            raise H2Error(ErrorCode.FRAME_SIZE_ERROR, "WINDOW_UPDATE is four bytes")
        increment = int.from_bytes(payload, "big") & 0x7FFFFFFF
        if not stream_id:
            self._widen_connection(increment)
        elif self._never_opened(stream_id):
            raise H2Error(ErrorCode.PROTOCOL_ERROR, f"WINDOW_UPDATE on idle stream {stream_id}")
        elif self.streams.row_of(stream_id) >= 0:
            self._widen_stream(stream_id, increment)

    # -- the frames of the connection ------------------------------------------------------------------------------

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
            self._idle(1 + self.blocked // _WAITING_A_FRAME)
        self._heard_settings = True
        before = self.peer.initial_window_size
        for key, value in struct.iter_unpack(">HI", payload):
            if key == Setting.ENABLE_PUSH and (value > 1 or (value and not self.is_server)):
                raise H2Error(ErrorCode.PROTOCOL_ERROR, f"ENABLE_PUSH = {value}")
            self.peer.put(key, value)
            if key == Setting.HEADER_TABLE_SIZE:
                self.encoder.resize(value)
        self.output.append(SETTINGS_ACK)
        self.events.append(SettingsChanged(replace(self.peer)))
        if self.peer.initial_window_size != before:
            self._initial_window_changed()

    def _apply_own(self, settings: Mapping[int, int]) -> None:
        """Put our own settings into force: the peer has acknowledged them."""
        for key, value in settings.items():
            self.local.put(key, value)
        if self.decoder.max_table_bytes != self.local.header_table_size:
            self.decoder.max_table_bytes = self.local.header_table_size

    def change_settings(self, settings: Mapping[int, int]) -> None:
        """Announce other settings of ours; they are in force when the peer acknowledges them."""
        self._pending_settings.append(settings)
        self.output.append(settings_frame(settings))

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

    # -- what the roles do -----------------------------------------------------------------------------------------

    @abstractmethod
    def _take_head(self, stream_id: int, fields: list[Pair], layout: Layout | None, *, ended: bool, fault: str) -> bool:
        """Take in one header block, which may have a fault; return whether others like it may go the fast way."""

    @abstractmethod
    def _take_data(self, stream_id: int, content: bytes, flow: int, *, ended: bool) -> None:
        """Take in one DATA frame of a stream that was opened."""

    @abstractmethod
    def _take_reset(self, stream_id: int, code: int) -> None:
        """Learn that the peer has reset a stream."""

    @abstractmethod
    def _take_goaway(self, last: int, code: int, debug: bytes) -> None:
        """Learn that the peer takes no more streams."""

    @abstractmethod
    def _never_opened(self, stream_id: int) -> bool:
        """Whether a stream is idle."""


_HANDLERS: dict[int, Callable[[Any, int, int, bytes], None]] = {
    FrameType.DATA: FrameIntake._data,  # noqa: SLF001 (a table of its own methods)
    FrameType.HEADERS: FrameIntake._headers,  # noqa: SLF001
    FrameType.PRIORITY: FrameIntake._priority,  # noqa: SLF001
    FrameType.RST_STREAM: FrameIntake._rst_stream,  # noqa: SLF001
    FrameType.SETTINGS: FrameIntake._settings,  # noqa: SLF001
    FrameType.PUSH_PROMISE: FrameIntake._push_promise,  # noqa: SLF001
    FrameType.PING: FrameIntake._ping,  # noqa: SLF001
    FrameType.GOAWAY: FrameIntake._goaway,  # noqa: SLF001
    FrameType.WINDOW_UPDATE: FrameIntake._window_update,  # noqa: SLF001
    FrameType.CONTINUATION: FrameIntake._continuation,  # noqa: SLF001
}
