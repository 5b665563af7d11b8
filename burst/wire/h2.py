"""HTTP/2 (RFC 9113) without a socket: bytes in, events out. What both ends of a connection share.

What changes a connection's state is here, frame by frame in ``frame_intake``, for what is sent in ``windows``, and in
the two roles, ``h2_client`` and ``h2_server``.

Frames are taken in by one of three ways, each exact, the faster the more alike they are: runs of equal frames by
strided columns, plain frames of few shapes by a walk that groups them, and anything else frame by frame.
"""

from __future__ import annotations

import struct
from abc import abstractmethod
from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from burst.model.batch import UInt8Column
from burst.wire.events import Failed, Ponged, SettingsChanged
from burst.wire.frame_intake import IDLE_FRAMES, LARGEST_BLOCK, FrameIntake
from burst.wire.frames import (
    DEFAULT_WINDOW,
    HEAD_BYTES,
    ErrorCode,
    FrameType,
    H2Error,
    StreamFault,
    goaway,
    ping,
    reset_stream,
    settings_frame,
    window_update,
)
from burst.wire.layout import Layout, Rows
from burst.wire.plain import Group, find_groups
from burst.wire.settings import Settings
from burst.wire.streams import LARGEST, Streams

_HEAD = struct.Struct(">BHBBI")
_NOWHERE = 1 << 62


class H2Connection(FrameIntake):
    """One end of a connection. ``receive`` takes bytes in; ``events`` and ``output`` fill; nobody waits."""

    def __init__(
        self, streams: Streams, settings: Mapping[int, int], *, connection_window: int, replenish: bool = True
    ) -> None:
        super().__init__(streams)
        self.failed: Failed | None = None
        self.replenish = replenish
        self._recv_target = max(connection_window, DEFAULT_WINDOW)
        self._rest = b""
        self._exact_bytes = 0  # so many bytes to come are taken in frame by frame
        self._reset_by_us: set[int] = set()
        self._reset_order: deque[int] = deque()
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

    def _preface(self, data: UInt8Column) -> int:  # noqa: ARG002 (a server's)
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
            heads = [(part, layout) for group, layout in heads if (part := group.before(cut)) is not None]
            groups = [part for group in groups if (part := group.before(cut)) is not None]
        if not self._take_plain(heads, [group for group in groups if group.kind == FrameType.DATA]):
            self._exact_bytes = cut  # something there is not that simple: in order, then, and one by one
            return 0
        return cut - position

    def _take_plain(self, heads: Sequence[tuple[Group, Layout]], bodies: Sequence[Group]) -> bool:
        """Take in heads and bodies that stand together: all of them, or none and return False."""
        flow = sum(group.ids.size * group.length for group in bodies)
        if flow > self._recv_window or any(group.length > self.local.initial_window_size for group in bodies):
            return False
        if not all(layout.sound(group.rows) for group, layout in heads):
            return False
        before = len(self.events)
        if len(heads) == len(bodies) == 1 and self._take_pairs(*heads[0], bodies[0]):
            self._recv_window -= flow
            self._earn(bodies[0].ids.size * (2 if bodies[0].length else 1))
            return True
        if heads and not self._take_heads(heads):
            return False
        if bodies and not (self._in_order(heads, bodies) and self._take_bodies(bodies)):
            if heads:
                self._give_back(heads)
                del self.events[before:]
            return False
        self._recv_window -= flow
        useful = sum(group.ids.size for group, _ in heads)
        self._earn(useful + sum(group.ids.size for group in bodies if group.length))
        return True

    def _in_order(self, heads: Sequence[tuple[Group, Layout]], bodies: Sequence[Group]) -> bool:
        """Whether no body stands before the head of its stream."""
        if not heads:
            return True
        if len(heads) == len(bodies) == 1 and np.array_equal(heads[0][0].ids, bodies[0].ids):
            return bool((heads[0][0].offsets < bodies[0].offsets).all())
        streams = self.streams
        stands = streams["scratch"]
        for group in bodies:
            stands[streams.rows_of(group.ids)] = -1
        for group, _ in heads:
            stands[streams.rows_of(group.ids)] = group.offsets
        return all(bool((stands[streams.rows_of(group.ids)] < group.offsets).all()) for group in bodies)

    def _known_width(self, width: int) -> bool:
        return bool(self.layouts.of_width(width, self.decoder.generation))

    def _sort_by_layout(self, group: Group, found: list[tuple[Group, Layout]]) -> int:
        """Split a group of HEADERS by shape into ``found``; return where the first block of no known shape stands."""
        rest: Group = group
        for layout in self.layouts.of_width(group.length, self.decoder.generation):
            mask = layout.matches(rest.rows)
            if mask is None:
                found.append((rest, layout))
                return _NOWHERE
            if mask.any():
                found.append((rest.where(mask), layout))
                rest = rest.where(~mask)
        return int(rest.offsets[0])

    def _one_frame(self, data: UInt8Column, position: int) -> int:
        """Take in one frame; return its bytes, 0 when it is not whole yet."""
        high, low, kind, flags, stream_id = _HEAD.unpack_from(data.data, position)
        length: int = high << 16 | low
        stream_id &= 0x7FFFFFFF
        if length > self.local.max_frame_size:
            raise H2Error(ErrorCode.FRAME_SIZE_ERROR, f"a frame of {length:,} bytes")
        stop = position + HEAD_BYTES + length
        if stop > data.size:
            return 0
        try:
            self._take(kind, flags, stream_id, data[position + HEAD_BYTES : stop].tobytes())
        except StreamFault as fault:
            if self._never_opened(fault.stream_id):  # an idle stream cannot be reset (section 5.1)
                raise H2Error(fault.code, str(fault)) from None
            self._idle()
            self._lose_patience()
            self.reset(fault.stream_id, fault.code)
        return HEAD_BYTES + length

    def _top_up(self) -> None:
        if self.replenish and self._recv_window < self._recv_target // 2:
            self.output.append(window_update(0, self._recv_target - self._recv_window))
            self._recv_window = self._recv_target

    # -- endings ---------------------------------------------------------------------------------------------------

    def reset(self, stream_id: int, code: int) -> None:
        """End one stream by our own decision."""
        self.output.append(reset_stream(stream_id, code))
        if stream_id not in self._reset_by_us:
            # What the peer sent before it heard of the reset is ignored; so many streams may be on their way at most.
            if len(self._reset_order) >= LARGEST:
                self._reset_by_us.discard(self._reset_order.popleft())
            self._reset_by_us.add(stream_id)
            self._reset_order.append(stream_id)
        self._forget_body(stream_id)
        self._arriving.pop(stream_id, None)
        self._take_own_reset(stream_id, code)

    def fail(self, code: ErrorCode, text: str) -> None:
        """End the connection by our own decision: GOAWAY, and nothing that arrives counts any more."""
        if self.failed is None:
            self.output.append(goaway(self._last_peer_stream(), code, text.encode()[:256]))
            self.failed = Failed(code, text, local=True)
            self.events.append(self.failed)

    def send_ping(self, payload: bytes) -> None:
        """Ask the peer for a sign of life; ``payload`` is eight bytes."""
        self.output.append(ping(payload))

    # -- what the roles do -----------------------------------------------------------------------------------------

    @abstractmethod
    def _take_heads(self, heads: Sequence[tuple[Group, Layout]]) -> bool:
        """Take in header blocks of known shapes; return False, nothing done, if any is not simple."""

    def _take_pairs(self, head: Group, layout: Layout, body: Group) -> bool:  # noqa: ARG002 (a client's)
        """Take in heads with their whole bodies at once; return False, nothing done, where that does not fit."""
        return False

    @abstractmethod
    def _give_back(self, heads: Sequence[tuple[Group, Layout]]) -> None:
        """Undo what ``_take_heads`` has just done, but for its events."""

    @abstractmethod
    def _take_bodies(self, bodies: Sequence[Group]) -> bool:
        """Take in bodies of one frame each; return False, nothing done, if any is not simple."""

    @abstractmethod
    def _take_own_reset(self, stream_id: int, code: int) -> None:
        """Learn that we have reset a stream."""

    def _lose_patience(self) -> None:
        """Count a stream that the peer has ended itself, or has made us end. Raises H2Error when it is too many."""

    @abstractmethod
    def _last_peer_stream(self) -> int:
        """Return the last stream of the peer's that was taken in."""


__all__ = [
    "IDLE_FRAMES",
    "LARGEST_BLOCK",
    "Failed",
    "H2Connection",
    "Ponged",
    "Rows",
    "Settings",
    "SettingsChanged",
]
