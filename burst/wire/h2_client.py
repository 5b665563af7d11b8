"""The client's end of HTTP/2: streams opened by the hundred, answers given back by the tags they were opened with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.ma  # np.unique imports it at its first call: 30 ms that no burst has

from burst.model.batch import Int64Column, UInt8Column
from burst.wire.fields import announced_length, fault_of_response, fault_of_trailers
from burst.wire.frame_intake import EARNED
from burst.wire.frames import (
    END_HEADERS,
    END_STREAM,
    LAST_STREAM,
    PREFACE,
    ErrorCode,
    FrameType,
    H2Error,
    Setting,
    StreamFault,
    frame,
)
from burst.wire.h2 import H2Connection
from burst.wire.hpack_table import Pair
from burst.wire.layout import Layout, Rows
from burst.wire.plain import Group
from burst.wire.streams import LARGEST, Streams

LARGEST_ANSWER = 65_536  # bytes of one response body; push providers answer in tens
_HEAD_AWAITED, _BODY_AWAITED, _BODY_COMES = 1, 2, 3
_EMPTY_STATUSES = {204, 304}  # whose content-length is that of another response (RFC 9110, section 8.6)
_MOST_HEADS = 4096
_RECV_WINDOW = 16 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Head:
    """Of a response, what the client was asked to keep: its status and the kept fields that it had."""

    status: int
    kept: tuple[tuple[bytes, bytes], ...] = ()


@dataclass(frozen=True, slots=True)
class Responses:
    """Whole responses with one head: the tags of their requests (int64), and their bodies by row, or None."""

    tags: Int64Column
    head: Head
    bodies: Rows | None = None


@dataclass(frozen=True, slots=True)
class Resets:
    """Streams that the peer ended without a response. ``processed`` is False when it certainly did not act."""

    tags: Int64Column
    code: int
    processed: bool = True


@dataclass(frozen=True, slots=True)
class WentAway:
    """The peer takes no more streams; ``tags`` are those it certainly did not process."""

    tags: Int64Column
    code: int
    debug: bytes


class ClientConnection(H2Connection):
    """One connection to a server. ``keep`` names the response fields that its ``Head`` shall hold."""

    is_server = False

    def __init__(
        self,
        *,
        keep: frozenset[bytes] = frozenset(),
        header_table_size: int = 4096,
        initial_window: int = LARGEST_ANSWER,
    ) -> None:
        settings: dict[int, int] = {
            Setting.HEADER_TABLE_SIZE: header_table_size,
            Setting.ENABLE_PUSH: 0,
            Setting.INITIAL_WINDOW_SIZE: initial_window,
        }
        streams = Streams(tag=np.int64, head=np.uint16, announced=np.int64, opened_ns=np.int64, scratch=np.int64)
        super().__init__(streams, settings, connection_window=_RECV_WINDOW)
        self.output.insert(0, PREFACE)
        self._keep = keep
        self.pinned = keep | {b":status", b"content-length"}
        self._heads: list[Head] = []
        self._head_numbers: dict[Head, int] = {}
        self.next_id = 1
        self.closing = False
        self._processed_until = LAST_STREAM  # by the server's GOAWAY: what it says of later streams is of no account
        self.note: dict[Any, Any] = {}  # the owner's

    def _preface(self, data: UInt8Column) -> int:
        if not self._heard_settings and data[:5].tobytes() == b"HTTP/":
            raise H2Error(ErrorCode.PROTOCOL_ERROR, "this is not HTTP/2: the server answers in HTTP/1")
        return 0

    # -- sending ---------------------------------------------------------------------------------------------------

    @property
    def ready(self) -> bool:
        """Whether the server has said its settings."""
        return self._heard_settings and self.failed is None

    def room(self, body_bytes: int) -> int:
        """Return how many requests with bodies of this size may be opened now.

        It is 1 where a window or the largest frame will cut the body: such a request is for ``request``, not ``open``.
        """
        if self.closing or self.failed is not None or not self._heard_settings:
            return 0
        room = min(self.peer.max_concurrent_streams, LARGEST) - self.streams.open
        if body_bytes:
            if self.blocked:
                return 0
            room = min(room, self.send_window // body_bytes if self.fits(body_bytes) else 1)
        return max(0, min(room, (LAST_STREAM - self.next_id) // 2))

    def open(self, tags: Int64Column, body_bytes: int, now_ns: int) -> Int64Column:
        """Open streams for the first of ``tags`` that there is room for; return their ids (int64).

        The caller writes their frames, in this order and before any other's: HEADERS, and bodies of ``body_bytes``,
        each a frame. There is no room for bodies that do not fit one (``fits``).
        """
        if body_bytes and not self.fits(body_bytes):
            return np.empty(0, dtype=np.int64)
        count = min(tags.size, self.room(body_bytes))
        ids = np.arange(self.next_id, self.next_id + 2 * count, 2)
        if not count:
            return ids
        streams = self.streams
        rows = streams.free_for(ids)
        streams.add(rows, ids, _HEAD_AWAITED)
        streams["tag"][rows] = tags[:count]
        streams["opened_ns"][rows] = now_ns
        self.next_id += 2 * count
        self.send_window -= count * body_bytes
        return ids

    def request(self, block: bytes, body: bytes, tag: int, now_ns: int) -> None:
        """Open one stream and write it to ``output``, its body as the windows let it. There must be room."""
        (stream_id,) = self.open(np.array([tag]), 0, now_ns).tolist()
        self.output.append(frame(FrameType.HEADERS, END_HEADERS | (0 if body else END_STREAM), stream_id, block))
        if body:
            self.send_body(stream_id, body)

    def overdue(self, opened_before_ns: int) -> Int64Column:
        """Cancel streams opened before an instant that still have no whole answer; return their tags."""
        held = self.streams.held()
        late = held[self.streams["opened_ns"][held] < opened_before_ns]
        tags: Int64Column = self.streams["tag"][late]
        for stream_id in self.streams.ids[late].tolist():
            self.reset(stream_id, ErrorCode.CANCEL)
        return tags

    def withdraw(self, opened_before_ns: int) -> Int64Column:
        """Cancel streams opened before an instant whose bodies still wait for a window; return their tags.

        A request that was never whole was not acted upon.
        """
        rows = self.streams.rows_of(np.fromiter(self._waiting, np.int64, self.blocked))
        rows = rows[self.streams["opened_ns"][rows] < opened_before_ns]
        tags: Int64Column = self.streams["tag"][rows]
        for stream_id in self.streams.ids[rows].tolist():
            self.reset(stream_id, ErrorCode.CANCEL)
        return tags

    def lose(self) -> Int64Column:
        """Give up every open stream, the connection being gone; return their tags: perhaps they were processed."""
        held = self.streams.held()
        tags: Int64Column = self.streams["tag"][held]
        self.streams.drop(held)
        self._arriving.clear()
        self.closing = True
        return tags

    # -- answers ---------------------------------------------------------------------------------------------------

    def _take_heads(self, heads: Sequence[tuple[Group, Layout]]) -> bool:
        streams = self.streams
        ids = heads[0][0].ids if len(heads) == 1 else np.concatenate([group.ids for group, _ in heads])
        rows = streams.rows_of(ids)
        fit = (streams.ids[rows] == ids) & (streams.state[rows] == _HEAD_AWAITED)
        if not fit.all() or streams.any_parked(rows) or not streams.once(rows, streams["scratch"]):
            return False
        ended = [group for group, _ in heads if group.ended]
        if self._waiting and any(np.isin(group.ids, list(self._waiting)).any() for group in ended):
            return False
        if any(group.ended and layout.announced > 1 for group, layout in heads):
            return False
        for group, layout in heads:
            rows = streams.rows_of(group.ids)
            number: int = layout.note
            if group.ended:
                self.events.append(Responses(streams["tag"][rows], self._heads[number]))
                streams.drop(rows)
            else:
                streams["head"][rows] = number
                streams.state[rows] = _BODY_AWAITED
                if self._announces:
                    streams["announced"][rows] = layout.announced
        return True

    def _take_pairs(self, head: Group, layout: Layout, body: Group) -> bool:
        """Take in answers that are one head and one body each: as both ways would, without what lies between."""
        streams, ids = self.streams, head.ids
        if head.ended or not np.array_equal(ids, body.ids) or not (head.offsets < body.offsets).all():
            return False
        if layout.announced and layout.announced != body.length + 1:
            return False
        rows = streams.rows_of(ids)
        fit = (streams.ids[rows] == ids) & (streams.state[rows] == _HEAD_AWAITED)
        if not fit.all() or streams.any_parked(rows) or not streams.once(rows, streams["scratch"]):
            return False
        if self._waiting and np.isin(ids, list(self._waiting)).any():
            return False
        content = body.rows if body.length else None
        self.events.append(Responses(streams["tag"][rows], self._heads[layout.note], content))
        streams.drop(rows)
        return True

    def _give_back(self, heads: Sequence[tuple[Group, Layout]]) -> None:
        for group, _ in heads:
            self.streams.state[self.streams.rows_of(group.ids)] = _HEAD_AWAITED
            if group.ended:
                self.streams.open += group.ids.size

    def _take_bodies(self, bodies: Sequence[Group]) -> bool:
        streams = self.streams
        ids = bodies[0].ids if len(bodies) == 1 else np.concatenate([group.ids for group in bodies])
        rows = streams.rows_of(ids)
        fit = (streams.ids[rows] == ids) & (streams.state[rows] == _BODY_AWAITED)
        if not fit.all() or not streams.once(rows, streams["scratch"]):
            return False
        if self._waiting and np.isin(ids, list(self._waiting)).any():
            return False
        if self._announces:
            lengths = np.repeat([group.length for group in bodies], [group.ids.size for group in bodies])
            announced = streams["announced"][rows]
            if ((announced > 0) & (announced != lengths + 1)).any():
                return False
        for group in bodies:
            rows = streams.rows_of(group.ids)
            numbers = streams["head"][rows]
            for number in np.unique(numbers).tolist():
                mine = numbers == number
                content = group.rows[mine] if group.length else None
                self.events.append(Responses(streams["tag"][rows[mine]], self._heads[number], content))
            streams.drop(rows)
        return True

    def _take_head(self, stream_id: int, fields: list[Pair], layout: Layout | None, *, ended: bool, fault: str) -> bool:
        row = self._row_of(stream_id, "HEADERS")
        if row < 0:
            return False
        if self.streams.state[row] != _HEAD_AWAITED:
            fault = fault or fault_of_trailers(fields) or ("" if ended else "trailers that do not end their stream")
            if fault:
                raise StreamFault(stream_id, ErrorCode.PROTOCOL_ERROR, fault)
            self._finish(stream_id, row)
            return False
        length, wrong = announced_length(fields)
        fault = fault or fault_of_response(fields) or wrong
        status = 0 if fault else int(dict(fields)[b":status"])
        if not fault and status < 200:
            if not ended:
                self._idle(1 + EARNED)
                return False
            fault = "an interim response that ends its stream"
        if fault:
            raise StreamFault(stream_id, ErrorCode.PROTOCOL_ERROR, fault)
        number = self._number_of(Head(status, tuple(pair for pair in fields if pair[0] in self._keep)))
        self.streams["head"][row] = number
        self._announces = self._announces or length >= 0
        self.streams["announced"][row] = 0 if status in _EMPTY_STATUSES else length + 1
        self.streams.state[row] = _BODY_AWAITED
        if ended:
            self._finish(stream_id, row)
        if layout is None:
            return False
        layout.note, layout.announced = number, 0 if status in _EMPTY_STATUSES else length + 1
        return True

    def _number_of(self, head: Head) -> int:
        number = self._head_numbers.get(head)
        if number is None:
            if len(self._heads) >= _MOST_HEADS:
                raise H2Error(ErrorCode.ENHANCE_YOUR_CALM, f"more than {_MOST_HEADS:,} different response heads")
            number = self._head_numbers[head] = len(self._heads)
            self._heads.append(head)
        return number

    def _take_data(self, stream_id: int, content: bytes, flow: int, *, ended: bool) -> None:
        row = self._row_of(stream_id, "DATA")
        if row < 0:
            return
        if self.streams.state[row] == _HEAD_AWAITED:
            raise StreamFault(stream_id, ErrorCode.PROTOCOL_ERROR, "DATA before HEADERS")
        # A window is granted once, and no more: a longer answer than that is nobody's.
        arriving = self._arrive(stream_id, content, flow, LARGEST_ANSWER)
        if arriving.length > LARGEST_ANSWER:
            raise StreamFault(stream_id, ErrorCode.FLOW_CONTROL_ERROR, "an answer longer than any window granted")
        self.streams.state[row] = _BODY_COMES
        if ended:
            self._finish(stream_id, row)

    def _finish(self, stream_id: int, row: int) -> None:
        """Report a response that is whole, and close its stream."""
        arriving = self._arriving.pop(stream_id, None)
        body = b"" if arriving is None else bytes(arriving.content)
        announced = int(self.streams["announced"][row]) if self._announces else 0
        if announced and announced != len(body) + 1:
            raise StreamFault(stream_id, ErrorCode.PROTOCOL_ERROR, "a body of another length than announced")
        tags, head = self.streams["tag"][row : row + 1].copy(), self._heads[int(self.streams["head"][row])]
        bodies = np.frombuffer(body, dtype=np.uint8).reshape(1, -1) if body else None
        self.events.append(Responses(tags, head, bodies))
        self.streams.drop_one(row)
        if stream_id in self._waiting:
            # The server has answered without our whole body. Unless told, it would keep the stream for the rest.
            self.reset(stream_id, ErrorCode.NO_ERROR)

    def _row_of(self, stream_id: int, what: str) -> int:
        """Return the row of a stream of ours; -1 when it ended in a way that the peer could not know yet."""
        if self._never_opened(stream_id):
            raise H2Error(ErrorCode.PROTOCOL_ERROR, f"{what} on idle stream {stream_id}")
        row = self.streams.row_of(stream_id)
        if row < 0 and stream_id not in self._reset_by_us and stream_id <= self._processed_until:
            raise H2Error(ErrorCode.STREAM_CLOSED, f"{what} on closed stream {stream_id}")
        return row

    # -- endings ---------------------------------------------------------------------------------------------------

    def _take_reset(self, stream_id: int, code: int) -> None:
        row = self.streams.row_of(stream_id)
        if row >= 0:
            self.events.append(
                Resets(self.streams["tag"][row : row + 1].copy(), code, code != ErrorCode.REFUSED_STREAM)
            )
            self.streams.drop_one(row)

    def _take_own_reset(self, stream_id: int, code: int) -> None:
        row = self.streams.row_of(stream_id)
        if row >= 0:
            if code != ErrorCode.CANCEL:
                self.events.append(Resets(self.streams["tag"][row : row + 1].copy(), code))
            self.streams.drop_one(row)

    def _take_goaway(self, last: int, code: int, debug: bytes) -> None:
        self.closing = True
        self._processed_until = min(self._processed_until, last)
        held = self.streams.held()
        above = held[self.streams.ids[held] > last]
        for stream_id in self.streams.ids[above].tolist():
            self._forget_body(stream_id)
            self._arriving.pop(stream_id, None)
        tags: Int64Column = self.streams["tag"][above]
        self.streams.drop(above)
        self.events.append(WentAway(tags, code, debug))

    def _never_opened(self, stream_id: int) -> bool:
        return stream_id % 2 == 0 or stream_id >= self.next_id

    def _last_peer_stream(self) -> int:
        return 0


__all__ = ["ClientConnection", "Head", "Resets", "Responses", "WentAway"]
