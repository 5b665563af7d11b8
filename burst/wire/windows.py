"""The half of a connection that sends bodies: the peer's windows, and what waits for them (RFC 9113, section 5.2)."""

from __future__ import annotations

from burst.wire.frames import (
    DEFAULT_WINDOW,
    END_STREAM,
    LARGEST_WINDOW,
    ErrorCode,
    FrameType,
    H2Error,
    StreamFault,
    frame,
)
from burst.wire.settings import Settings
from burst.wire.streams import Streams


class SendSide:
    """Bodies go out as far as both windows let them; the rest waits, stream by stream.

    ``send_window`` is the connection's. Whoever writes whole bodies himself takes them off it, and asks ``fits`` first.
    """

    def __init__(self, streams: Streams) -> None:
        self.streams = streams
        self.peer = Settings()
        self.output: list[bytes] = []
        self.send_window = DEFAULT_WINDOW
        self._waiting: dict[int, bytearray] = {}  # bodies, or what is left of them, by stream
        self._starved: dict[int, None] = {}  # of these, the ones that only the connection's window holds back
        self._extra: dict[int, int] = {}  # what WINDOW_UPDATEs and sent bytes add to the initial window of a stream

    @property
    def blocked(self) -> int:
        """How many bodies wait for a window."""
        return len(self._waiting)

    def fits(self, body_bytes: int) -> bool:
        """Whether the body of a new stream leaves whole, in one frame, not cut by a window."""
        return body_bytes <= min(self.send_window, self.peer.initial_window_size, self.peer.max_frame_size)

    def send_body(self, stream_id: int, body: bytes) -> None:
        """Write a body that ends its stream, as far as the windows let it; the rest follows when they open."""
        self._waiting[stream_id] = bytearray(body)
        self._push(stream_id)

    def _push(self, stream_id: int) -> None:
        """Write what the windows allow of one body."""
        body = self._waiting[stream_id]
        while True:
            window = self.peer.initial_window_size + self._extra.get(stream_id, 0)
            size = max(0, min(len(body), window, self.send_window, self.peer.max_frame_size))
            if body and not size:
                if window > 0:
                    self._starved[stream_id] = None
                else:
                    self._starved.pop(stream_id, None)
                return
            ended = size == len(body)
            self.output.append(frame(FrameType.DATA, END_STREAM if ended else 0, stream_id, bytes(body[:size])))
            self.send_window -= size
            if ended:
                self._forget_body(stream_id)
                self._body_sent(stream_id)
                return
            self._extra[stream_id] = self._extra.get(stream_id, 0) - size
            del body[:size]

    def _widen_connection(self, increment: int) -> None:
        """Take in a WINDOW_UPDATE of the connection."""
        if not increment:
            raise H2Error(ErrorCode.PROTOCOL_ERROR, "WINDOW_UPDATE by 0")
        self.send_window += increment
        if self.send_window > LARGEST_WINDOW:
            raise H2Error(ErrorCode.FLOW_CONTROL_ERROR, "the connection's window exceeds 2^31-1")
        # Only the starved are asked: with a thousand bodies waiting, a flood of small updates must not ask them all.
        while self._starved and self.send_window > 0:
            self._push(next(iter(self._starved)))

    def _widen_stream(self, stream_id: int, increment: int) -> None:
        """Take in a WINDOW_UPDATE of an open stream."""
        if not increment:
            raise StreamFault(stream_id, ErrorCode.PROTOCOL_ERROR, "WINDOW_UPDATE by 0")
        extra = self._extra.get(stream_id, 0) + increment
        if self.peer.initial_window_size + extra > LARGEST_WINDOW:
            raise StreamFault(stream_id, ErrorCode.FLOW_CONTROL_ERROR, "the stream's window exceeds 2^31-1")
        if len(self._extra) > 2 * self.streams.open + 64:
            self._forget_closed()
        self._extra[stream_id] = extra
        if stream_id in self._waiting:
            self._push(stream_id)

    def _initial_window_changed(self) -> None:
        """Take in another INITIAL_WINDOW_SIZE: it moves the window of every stream there is (section 6.9.2)."""
        self._forget_closed()
        if self._extra and self.peer.initial_window_size + max(self._extra.values()) > LARGEST_WINDOW:
            raise H2Error(ErrorCode.FLOW_CONTROL_ERROR, "INITIAL_WINDOW_SIZE lifts a stream's window too far")
        for stream_id in list(self._waiting):
            if stream_id in self._waiting:
                self._push(stream_id)

    def _forget_closed(self) -> None:
        """Forget the windows of streams that rows of answers have closed: nobody has told them here."""
        self._extra = {held: value for held, value in self._extra.items() if self.streams.row_of(held) >= 0}

    def _forget_body(self, stream_id: int) -> None:
        self._waiting.pop(stream_id, None)
        self._starved.pop(stream_id, None)
        self._extra.pop(stream_id, None)

    def _body_sent(self, stream_id: int) -> None:
        """Learn that a body is out."""
