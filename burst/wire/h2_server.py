"""The server's end of HTTP/2: requests in by column, answers out by row."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from burst.model.batch import Int64Column, UInt8Column
from burst.wire.fields import announced_length, fault_of_request, fault_of_trailers
from burst.wire.frames import PREFACE, ErrorCode, H2Error, Setting, StreamFault, goaway, window_update
from burst.wire.h2 import H2Connection
from burst.wire.hpack_table import Pair
from burst.wire.layout import Layout, Rows
from burst.wire.plain import Group
from burst.wire.streams import LARGEST, Streams

LARGEST_BODY = 16_384  # bytes kept of a request's body unless it is said otherwise, four times what Apple takes
BODY_AWAITED, ANSWER_OWED, ANSWERING, BODY_COMES = 1, 2, 3, 4
# Streams a peer may reset, or make us reset by breaking a rule, beyond those it let us answer: more is an attack
# (CVE-2023-44487 "rapid reset", CVE-2025-8671 "made you reset"). A client
# whose pushes all hang gives up as many as may be open, and again after the next deadline.
_RESETS = 1000
_RESETS_A_STREAM = 16


@dataclass(frozen=True, slots=True)
class Heads:
    """Header blocks of one shape that have come: stream ids, their rows in ``streams``, the blocks (k, width).

    ``layout`` says where the values stand. ``ended`` tells that there is no body: the requests are whole.
    """

    ids: Int64Column
    rows: Int64Column
    layout: Layout
    blocks: Rows
    ended: bool


class Head(NamedTuple):
    """A header block that came by itself: stream id, row in ``streams``, its fields.

    ``ended`` tells that there is no body: the request is whole.
    """

    stream_id: int
    row: int
    fields: list[Pair]
    ended: bool


@dataclass(frozen=True, slots=True)
class Bodies:
    """Bodies that have come whole, all of one length: stream ids, rows in ``streams``, the bodies (k, length).

    ``length`` is the true one: of a body longer than ``most_body`` only so much is kept.
    """

    ids: Int64Column
    rows: Int64Column
    bodies: Rows
    length: int


class Body(NamedTuple):
    """A body that came by itself: stream id, row in ``streams``, content as far as it is kept, true length."""

    stream_id: int
    row: int
    content: bytes
    length: int


@dataclass(frozen=True, slots=True)
class Cancelled:
    """The peer wants no answer to this any more."""

    stream_id: int
    row: int


class ServerConnection(H2Connection):
    """One connection from a client. ``columns`` are what the owner keeps for each open stream."""

    is_server = True

    def __init__(
        self,
        *,
        max_concurrent_streams: int = 1000,
        initial_window: int = 1_048_576,
        connection_window: int = 16 * 1024 * 1024,
        max_frame_size: int = 16_384,
        header_table_size: int = 4096,
        replenish: bool = True,
        columns: dict[str, type] | None = None,
    ) -> None:
        settings: dict[int, int] = {
            Setting.HEADER_TABLE_SIZE: header_table_size,
            Setting.MAX_CONCURRENT_STREAMS: max_concurrent_streams,
            Setting.INITIAL_WINDOW_SIZE: initial_window,
            Setting.MAX_FRAME_SIZE: max_frame_size,
            Setting.MAX_HEADER_LIST_SIZE: 65_536,
        }
        super().__init__(
            Streams(**(columns or {}), announced=np.int64, scratch=np.int64),
            settings,
            connection_window=connection_window,
            replenish=replenish,
        )
        self.pinned = frozenset({b":method", b":scheme", b":authority", b"content-length", b"te"})
        self._preface_left = PREFACE
        self.most_body = LARGEST_BODY  # bytes kept of a body
        self._limit = LARGEST  # of streams at once, as far as the peer knows it
        self._most_resets = self._resets_left = max(_RESETS, _RESETS_A_STREAM * max_concurrent_streams)
        self.last_id = 0
        self._last_before = 0
        self.accepted_until: int | None = None  # after GOAWAY: streams above are ignored

    def _preface(self, data: UInt8Column) -> int:
        if not self._preface_left:
            return 0
        given = data[: len(self._preface_left)].tobytes()
        if not self._preface_left.startswith(given):
            raise H2Error(
                ErrorCode.PROTOCOL_ERROR, "this is not HTTP/2: the connection does not begin with its preface"
            )
        self._preface_left = self._preface_left[len(given) :]
        return len(given)

    # -- requests --------------------------------------------------------------------------------------------------

    def _take_heads(self, heads: Sequence[tuple[Group, Layout]]) -> bool:
        streams = self.streams
        if len(heads) == 1:
            ids = heads[0][0].ids
        else:
            ids = np.concatenate([group.ids for group, _ in heads])
            ids = ids[np.argsort(np.concatenate([group.offsets for group, _ in heads]), kind="stable")]
        if self.accepted_until is not None or int(ids[0]) <= self.last_id or not (np.diff(ids) > 0).all():
            return False
        if not (ids & 1).all() or streams.open + ids.size > self._limit or int(ids[-1] - ids[0]) >= 2 * LARGEST:
            return False
        if any(group.ended and layout.announced > 1 for group, layout in heads):
            return False
        streams.free_for(ids)
        self._last_before, self.last_id = self.last_id, int(ids[-1])
        for group, layout in heads:
            rows = streams.rows_of(group.ids)
            streams.add(rows, group.ids, ANSWER_OWED if group.ended else BODY_AWAITED)
            if self._announces:
                streams["announced"][rows] = layout.announced
            self.events.append(Heads(group.ids, rows, layout, group.rows, group.ended))
        return True

    def _give_back(self, heads: Sequence[tuple[Group, Layout]]) -> None:
        for group, _ in heads:
            self.streams.drop(self.streams.rows_of(group.ids))
        self.last_id = self._last_before

    def _take_bodies(self, bodies: Sequence[Group]) -> bool:
        streams = self.streams
        ids = bodies[0].ids if len(bodies) == 1 else np.concatenate([group.ids for group in bodies])
        rows = streams.rows_of(ids)
        fit = (streams.ids[rows] == ids) & (streams.state[rows] == BODY_AWAITED)
        if not fit.all() or not streams.once(rows, streams["scratch"]):
            return False
        if self._announces:
            lengths = np.repeat([group.length for group in bodies], [group.ids.size for group in bodies])
            announced = streams["announced"][rows]
            if ((announced > 0) & (announced != lengths + 1)).any():
                return False
        streams.state[rows] = ANSWER_OWED
        for group in bodies:
            at = rows if len(bodies) == 1 else streams.rows_of(group.ids)
            self.events.append(Bodies(group.ids, at, group.rows[:, : self.most_body], group.length))
        return True

    def _take_head(self, stream_id: int, fields: list[Pair], layout: Layout | None, *, ended: bool, fault: str) -> bool:
        row = self.streams.row_of(stream_id)
        if row >= 0:
            self._take_trailers(stream_id, row, fields, ended=ended, fault=fault)
            return False
        if stream_id % 2 == 0:
            raise H2Error(ErrorCode.PROTOCOL_ERROR, f"a client opened stream {stream_id}")
        if stream_id <= self.last_id:
            if stream_id in self._reset_by_us or self._above(stream_id):
                return False
            raise H2Error(ErrorCode.STREAM_CLOSED, f"HEADERS on closed stream {stream_id}")
        self.last_id = stream_id
        if self._above(stream_id):
            return False
        length, wrong = announced_length(fields)
        fault = fault or fault_of_request(fields) or wrong
        if ended and length > 0:
            fault = fault or "a body was announced and does not come"
        if fault:
            raise StreamFault(stream_id, ErrorCode.PROTOCOL_ERROR, fault)
        if self.streams.open >= self._limit:
            raise StreamFault(stream_id, ErrorCode.REFUSED_STREAM, "more streams at once than were granted")
        row = self.streams.add_one(stream_id, ANSWER_OWED if ended else BODY_AWAITED)
        self._announces = self._announces or length >= 0
        self.streams["announced"][row] = length + 1
        self.events.append(Head(stream_id, row, fields, ended))
        if layout is None:
            return False
        layout.announced = length + 1
        return True

    def _take_trailers(self, stream_id: int, row: int, fields: list[Pair], *, ended: bool, fault: str) -> None:
        if self.streams.state[row] not in {BODY_AWAITED, BODY_COMES}:
            raise StreamFault(stream_id, ErrorCode.STREAM_CLOSED, "HEADERS after the end of the request")
        fault = fault or fault_of_trailers(fields) or ("" if ended else "trailers that do not end their stream")
        if fault:
            raise StreamFault(stream_id, ErrorCode.PROTOCOL_ERROR, fault)
        self._finish(stream_id, row)

    def _take_data(self, stream_id: int, content: bytes, flow: int, *, ended: bool) -> None:
        row = self.streams.row_of(stream_id)
        if row < 0 and (stream_id in self._reset_by_us or self._above(stream_id)):
            return
        if row < 0 or self.streams.state[row] not in {BODY_AWAITED, BODY_COMES}:
            raise StreamFault(stream_id, ErrorCode.STREAM_CLOSED, "DATA after the end of the request")
        arriving = self._arrive(stream_id, content, flow, self.most_body)
        self.streams.state[row] = BODY_COMES
        if ended:
            self._finish(stream_id, row)
        elif self.replenish and arriving.used > self.local.initial_window_size // 2:
            self.output.append(window_update(stream_id, arriving.used))
            arriving.used = 0

    def _above(self, stream_id: int) -> bool:
        return self.accepted_until is not None and stream_id > self.accepted_until

    def _finish(self, stream_id: int, row: int) -> None:
        """Report a request whose body is whole."""
        arriving = self._arriving.pop(stream_id, None)
        body, length = (b"", 0) if arriving is None else (bytes(arriving.content), arriving.length)
        announced = int(self.streams["announced"][row]) if self._announces else 0
        if announced and announced != length + 1:
            raise StreamFault(stream_id, ErrorCode.PROTOCOL_ERROR, "a body of another length than announced")
        self.streams.state[row] = ANSWER_OWED
        self.events.append(Body(stream_id, row, body, length))

    # -- answers ---------------------------------------------------------------------------------------------------

    def owed(self, ids: Int64Column) -> npt.NDArray[np.bool_]:
        """Return which of these streams still want their answer."""
        rows = self.streams.rows_of(ids)
        owed: npt.NDArray[np.bool_] = (self.streams.ids[rows] == ids) & (self.streams.state[rows] == ANSWER_OWED)
        return owed

    def answered(self, rows: Int64Column) -> None:
        """Close streams whose whole answers the caller writes before anything else."""
        self.streams.drop(rows)
        self._resets_left = min(self._most_resets, self._resets_left + rows.size)

    def answered_one(self, row: int) -> None:
        """Close one such stream."""
        self.streams.drop_one(row)
        self._resets_left = min(self._most_resets, self._resets_left + 1)

    def answer(self, stream_id: int, head: bytes, body: bytes) -> None:
        """Write one answer to ``output``: a HEADERS frame as it stands, then a body as the windows let it."""
        row = self.streams.row_of(stream_id)
        self.output.append(head)
        if body:
            self.streams.state[row] = ANSWERING
            self.send_body(stream_id, body)
        else:
            self._forget_body(stream_id)
            self.answered_one(row)

    def _body_sent(self, stream_id: int) -> None:
        row = self.streams.row_of(stream_id)
        if row >= 0:
            self.answered_one(row)

    # -- endings ---------------------------------------------------------------------------------------------------

    def go_away(self, code: int = 0, debug: bytes = b"", *, last: int | None = None) -> None:
        """Take no more streams; those up to ``last`` (default: all so far) are still answered."""
        last = self.last_id if last is None else last
        # Once said, it can only go down (section 6.8).
        self.accepted_until = last if self.accepted_until is None else min(last, self.accepted_until)
        self.output.append(goaway(self.accepted_until, code, debug))

    def _take_reset(self, stream_id: int, code: int) -> None:  # noqa: ARG002 (why does not matter here)
        self._lose_patience()
        self._end(stream_id)

    def _lose_patience(self) -> None:
        self._resets_left -= 1
        if self._resets_left < 0:
            raise H2Error(ErrorCode.ENHANCE_YOUR_CALM, "streams are opened and reset in quick succession")

    def _take_own_reset(self, stream_id: int, code: int) -> None:  # noqa: ARG002
        self._end(stream_id)

    def _end(self, stream_id: int) -> None:
        row = self.streams.row_of(stream_id)
        if row >= 0:
            self.streams.drop_one(row)
            self.events.append(Cancelled(stream_id, row))

    def _take_goaway(self, last: int, code: int, debug: bytes) -> None:
        """Hear that the client opens no more streams; what it has opened is answered."""

    def _apply_own(self, settings: Mapping[int, int]) -> None:
        super()._apply_own(settings)
        self._limit = min(self.local.max_concurrent_streams, LARGEST)

    def _never_opened(self, stream_id: int) -> bool:
        return stream_id % 2 == 0 or stream_id > self.last_id

    def _last_peer_stream(self) -> int:
        return self.last_id if self.accepted_until is None else min(self.last_id, self.accepted_until)
