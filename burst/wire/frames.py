"""HTTP/2 frames as bytes: names, numbers and the few that are written one at a time (RFC 9113, sections 4 to 7)."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Mapping
from enum import IntEnum

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
HEAD_BYTES = 9
DEFAULT_WINDOW = 65_535
DEFAULT_FRAME = 16_384
LARGEST_FRAME = 2**24 - 1
LARGEST_WINDOW = 2**31 - 1
LAST_STREAM = 2**31 - 1


class FrameType(IntEnum):
    """What a frame is."""

    DATA = 0
    HEADERS = 1
    PRIORITY = 2
    RST_STREAM = 3
    SETTINGS = 4
    PUSH_PROMISE = 5
    PING = 6
    GOAWAY = 7
    WINDOW_UPDATE = 8
    CONTINUATION = 9


END_STREAM = 0x1
ACK = 0x1
END_HEADERS = 0x4
PADDED = 0x8
PRIORITY_FLAG = 0x20


class Setting(IntEnum):
    """What a peer may set."""

    HEADER_TABLE_SIZE = 1
    ENABLE_PUSH = 2
    MAX_CONCURRENT_STREAMS = 3
    INITIAL_WINDOW_SIZE = 4
    MAX_FRAME_SIZE = 5
    MAX_HEADER_LIST_SIZE = 6


class ErrorCode(IntEnum):
    """Why a stream or a connection ended."""

    NO_ERROR = 0
    PROTOCOL_ERROR = 1
    INTERNAL_ERROR = 2
    FLOW_CONTROL_ERROR = 3
    SETTINGS_TIMEOUT = 4
    STREAM_CLOSED = 5
    FRAME_SIZE_ERROR = 6
    REFUSED_STREAM = 7
    CANCEL = 8
    COMPRESSION_ERROR = 9
    CONNECT_ERROR = 10
    ENHANCE_YOUR_CALM = 11
    INADEQUATE_SECURITY = 12
    HTTP_1_1_REQUIRED = 13


def error_name(code: int) -> str:
    """Return an error code's name; an unknown one is told by its number."""
    return ErrorCode(code).name if code in ErrorCode._value2member_map_ else f"error {code:#x}"


class H2Error(Exception):
    """The peer broke the protocol: the whole connection ends with ``code``."""

    def __init__(self, code: ErrorCode, text: str) -> None:
        super().__init__(text)
        self.code = code


class StreamFault(Exception):  # noqa: N818 -- a stream's fault, told apart from the connection's H2Error
    """The peer broke the protocol on one stream: it is reset with ``code``, the others live on."""

    def __init__(self, stream_id: int, code: ErrorCode, text: str) -> None:
        super().__init__(text)
        self.stream_id = stream_id
        self.code = code


def frame_head(length: int, kind: int, flags: int, stream_id: int = 0) -> bytes:
    """Return the nine bytes before a payload."""
    return struct.pack(">BHBBI", length >> 16, length & 0xFFFF, kind, flags, stream_id)


def frame(kind: int, flags: int, stream_id: int, payload: bytes = b"") -> bytes:
    """Return a whole frame."""
    return frame_head(len(payload), kind, flags, stream_id) + payload


def settings_frame(values: Mapping[int, int] | Iterable[tuple[int, int]]) -> bytes:
    """Return a SETTINGS frame."""
    pairs = values.items() if isinstance(values, Mapping) else values
    return frame(FrameType.SETTINGS, 0, 0, b"".join(struct.pack(">HI", key, value) for key, value in pairs))


SETTINGS_ACK = frame(FrameType.SETTINGS, ACK, 0)


def window_update(stream_id: int, increment: int) -> bytes:
    """Return a WINDOW_UPDATE frame."""
    return frame(FrameType.WINDOW_UPDATE, 0, stream_id, struct.pack(">I", increment))


def reset_stream(stream_id: int, code: int) -> bytes:
    """Return a RST_STREAM frame."""
    return frame(FrameType.RST_STREAM, 0, stream_id, struct.pack(">I", code))


def goaway(last_stream_id: int, code: int, debug: bytes = b"") -> bytes:
    """Return a GOAWAY frame."""
    return frame(FrameType.GOAWAY, 0, 0, struct.pack(">II", last_stream_id, code) + debug)


def ping(payload: bytes, *, ack: bool = False) -> bytes:
    """Return a PING frame; ``payload`` is eight bytes."""
    return frame(FrameType.PING, ACK if ack else 0, 0, payload)


def headers(stream_id: int, block: bytes, *, end: bool, largest_frame: int = DEFAULT_FRAME) -> bytes:
    """Return a HEADERS frame, with CONTINUATION frames after it where the block is too long for one."""
    flags = END_STREAM if end else 0
    if len(block) <= largest_frame:
        return frame(FrameType.HEADERS, flags | END_HEADERS, stream_id, block)
    parts = [block[at : at + largest_frame] for at in range(0, len(block), largest_frame)]
    out = [frame(FrameType.HEADERS, flags, stream_id, parts[0])]
    out += [frame(FrameType.CONTINUATION, 0, stream_id, part) for part in parts[1:-1]]
    out.append(frame(FrameType.CONTINUATION, END_HEADERS, stream_id, parts[-1]))
    return b"".join(out)
