"""What the peer may not do, and what it is told: RFC 9113 as tables, for both roles."""

import struct
import tracemalloc
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from burst.wire.events import Failed
from burst.wire.frames import (
    ACK,
    END_HEADERS,
    END_STREAM,
    LARGEST_WINDOW,
    PADDED,
    PREFACE,
    PRIORITY_FLAG,
    SETTINGS_ACK,
    ErrorCode,
    FrameType,
    Setting,
    frame,
    goaway,
    ping,
    reset_stream,
    settings_frame,
    window_update,
)
from burst.wire.h2 import IDLE_FRAMES, LARGEST_BLOCK, H2Connection
from burst.wire.h2_client import LARGEST_ANSWER, ClientConnection, Resets, Responses, WentAway
from burst.wire.h2_server import LARGEST_BODY, Body, Cancelled, Head, ServerConnection
from burst.wire.hpack import Encoder
from tests.unit.test_wire.heard import frames_of, told

E = ErrorCode
HELLO = PREFACE + settings_frame({}) + SETTINGS_ACK
GREETING = settings_frame({}) + SETTINGS_ACK
REQUEST = [(b":method", b"POST"), (b":scheme", b"https"), (b":path", b"/3/device/ab"), (b":authority", b"localhost")]
RESPONSE = [(b":status", b"200")]
BOTH = END_HEADERS | END_STREAM


def block(fields: list[tuple[bytes, bytes]]) -> bytes:
    """Fields as literals that touch no table."""
    return Encoder().encode(fields, plain={name for name, _ in fields})


def head(stream_id: int, fields: list[tuple[bytes, bytes]] | None = None, flags: int = BOTH) -> bytes:
    return frame(FrameType.HEADERS, flags, stream_id, block(REQUEST if fields is None else fields))


def data(stream_id: int, content: bytes = b"hello", flags: int = END_STREAM) -> bytes:
    return frame(FrameType.DATA, flags, stream_id, content)


def answer(stream_id: int, flags: int = BOTH, fields: list[tuple[bytes, bytes]] | None = None) -> bytes:
    return head(stream_id, RESPONSE if fields is None else fields, flags)


def server(**how: Any) -> ServerConnection:
    made = ServerConnection(**how)
    made.feed(HELLO)
    made.output.clear()
    return made


def client(streams: int = 5, **how: Any) -> ClientConnection:
    """A client with streams 1, 3, 5, ... open; tags are 0, 1, 2, ..."""
    made = ClientConnection(**how)
    made.feed(GREETING)
    made.open(np.arange(streams), 0, 0)
    made.output.clear()
    return made


def out(connection: H2Connection) -> list[bytes]:
    frames = frames_of(b"".join(connection.output).removeprefix(PREFACE))
    connection.output.clear()
    return frames


def code_of(connection: H2Connection) -> ErrorCode | None:
    """Why the connection failed; the peer was told the same by GOAWAY."""
    if connection.failed is None:
        return None
    last = out(connection)[-1]
    assert last[3] == FrameType.GOAWAY
    assert struct.unpack_from(">I", last, 13)[0] == connection.failed.code
    assert connection.feed(b"anything") == []
    return ErrorCode(connection.failed.code)


def resets_of(connection: H2Connection) -> dict[int, ErrorCode]:
    return {
        int.from_bytes(one[5:9], "big"): ErrorCode(int.from_bytes(one[9:], "big"))
        for one in out(connection)
        if one[3] == FrameType.RST_STREAM
    }


# -- both roles -------------------------------------------------------------------------------------------------------

OPENINGS = {
    "server": [
        (b"GET / HTTP/1.1\r\n", E.PROTOCOL_ERROR),
        (PREFACE[:10] + b"X", E.PROTOCOL_ERROR),
        (PREFACE + ping(bytes(8)), E.PROTOCOL_ERROR),
        (PREFACE + SETTINGS_ACK, E.PROTOCOL_ERROR),
        (PREFACE + head(1), E.PROTOCOL_ERROR),
    ],
    "client": [
        (b"HTTP/1.1 400 Bad Request\r\n", E.PROTOCOL_ERROR),
        (ping(bytes(8)), E.PROTOCOL_ERROR),
        (SETTINGS_ACK, E.PROTOCOL_ERROR),
        (goaway(0, 0), E.PROTOCOL_ERROR),
    ],
}


@pytest.mark.parametrize(("role", "raw", "code"), [(role, *case) for role, cases in OPENINGS.items() for case in cases])
def test_a_connection_begins_with_its_preface_and_settings(role: str, raw: bytes, code: ErrorCode) -> None:
    for pieces in ([raw], [raw[at : at + 1] for at in range(len(raw))]):
        connection = ServerConnection() if role == "server" else ClientConnection()
        for piece in pieces:
            connection.feed(piece)
        assert code_of(connection) == code


# Either role ends the connection. Stream 1 is open at both; 99 is idle.
FATAL: list[tuple[str, bytes, ErrorCode]] = [
    ("frame too large", frame(FrameType.DATA, 0, 1, bytes(16_385)), E.FRAME_SIZE_ERROR),
    ("unknown frame too large", frame(0xBB, 0, 0, bytes(16_385)), E.FRAME_SIZE_ERROR),
    ("DATA on stream 0", data(0), E.PROTOCOL_ERROR),
    ("DATA on an idle stream", data(99), E.PROTOCOL_ERROR),
    ("DATA padded by nothing", data(1, b"", PADDED), E.FRAME_SIZE_ERROR),
    ("DATA padded beyond its end", frame(FrameType.DATA, PADDED, 1, b"\x06hello"), E.PROTOCOL_ERROR),
    ("HEADERS on stream 0", head(0), E.PROTOCOL_ERROR),
    ("HEADERS padded beyond its end", frame(FrameType.HEADERS, PADDED | BOTH, 1, b"\x09a"), E.PROTOCOL_ERROR),
    ("HEADERS shorter than a priority", frame(FrameType.HEADERS, PRIORITY_FLAG | BOTH, 1, b"abc"), E.FRAME_SIZE_ERROR),
    ("a block that is no HPACK", frame(FrameType.HEADERS, BOTH, 1, b"\x80"), E.COMPRESSION_ERROR),
    ("a block cut by PING", head(1, flags=0) + ping(bytes(8)), E.PROTOCOL_ERROR),
    ("a block cut by an unknown frame", head(1, flags=0) + frame(0xBB, 0, 1), E.PROTOCOL_ERROR),
    ("a block cut by HEADERS", head(1, flags=0) + head(1), E.PROTOCOL_ERROR),
    ("a block cut by DATA", head(1, flags=0) + data(1), E.PROTOCOL_ERROR),
    ("CONTINUATION of another stream", head(1, flags=0) + frame(FrameType.CONTINUATION, 4, 3), E.PROTOCOL_ERROR),
    ("CONTINUATION of nothing", frame(FrameType.CONTINUATION, END_HEADERS, 1), E.PROTOCOL_ERROR),
    ("CONTINUATION on stream 0", frame(FrameType.CONTINUATION, END_HEADERS, 0), E.PROTOCOL_ERROR),
    ("PRIORITY on stream 0", frame(FrameType.PRIORITY, 0, 0, bytes(5)), E.PROTOCOL_ERROR),
    ("PRIORITY of four bytes, stream idle", frame(FrameType.PRIORITY, 0, 99, bytes(4)), E.FRAME_SIZE_ERROR),
    ("PRIORITY on itself, stream idle", frame(FrameType.PRIORITY, 0, 99, b"\0\0\0\x63\0"), E.PROTOCOL_ERROR),
    ("RST_STREAM on stream 0", reset_stream(0, 8), E.PROTOCOL_ERROR),
    ("RST_STREAM on an idle stream", reset_stream(99, 8), E.PROTOCOL_ERROR),
    ("RST_STREAM of three bytes", frame(FrameType.RST_STREAM, 0, 1, bytes(3)), E.FRAME_SIZE_ERROR),
    ("SETTINGS on a stream", frame(FrameType.SETTINGS, 0, 1), E.PROTOCOL_ERROR),
    ("SETTINGS of five bytes", frame(FrameType.SETTINGS, 0, 0, bytes(5)), E.FRAME_SIZE_ERROR),
    ("SETTINGS acknowledged with content", frame(FrameType.SETTINGS, ACK, 0, bytes(6)), E.FRAME_SIZE_ERROR),
    ("MAX_FRAME_SIZE below 16,384", settings_frame({5: 16_383}), E.PROTOCOL_ERROR),
    ("MAX_FRAME_SIZE beyond 2^24-1", settings_frame({5: 2**24}), E.PROTOCOL_ERROR),
    ("INITIAL_WINDOW_SIZE beyond 2^31-1", settings_frame({4: 2**31}), E.FLOW_CONTROL_ERROR),
    ("ENABLE_PUSH of 2", settings_frame({2: 2}), E.PROTOCOL_ERROR),
    ("PUSH_PROMISE", frame(FrameType.PUSH_PROMISE, END_HEADERS, 1, bytes(4)), E.PROTOCOL_ERROR),
    ("PING on a stream", frame(FrameType.PING, 0, 1, bytes(8)), E.PROTOCOL_ERROR),
    ("PING of seven bytes", frame(FrameType.PING, 0, 0, bytes(7)), E.FRAME_SIZE_ERROR),
    ("GOAWAY on a stream", frame(FrameType.GOAWAY, 0, 1, bytes(8)), E.PROTOCOL_ERROR),
    ("GOAWAY of seven bytes", frame(FrameType.GOAWAY, 0, 0, bytes(7)), E.FRAME_SIZE_ERROR),
    ("WINDOW_UPDATE of three bytes", frame(FrameType.WINDOW_UPDATE, 0, 0, bytes(3)), E.FRAME_SIZE_ERROR),
    ("WINDOW_UPDATE by 0", window_update(0, 0), E.PROTOCOL_ERROR),
    ("WINDOW_UPDATE on an idle stream", window_update(99, 1), E.PROTOCOL_ERROR),
    ("a connection's window beyond 2^31-1", window_update(0, LARGEST_WINDOW), E.FLOW_CONTROL_ERROR),
]


@pytest.mark.parametrize("role", ["server", "client"])
@pytest.mark.parametrize(("raw", "code"), [pytest.param(raw, code, id=name) for name, raw, code in FATAL])
def test_what_ends_the_connection(role: str, raw: bytes, code: ErrorCode) -> None:
    connection: H2Connection = server() if role == "server" else client()
    connection.feed(head(1, flags=END_HEADERS) if role == "server" else answer(1, END_HEADERS))
    out(connection)
    events = connection.feed(raw)
    assert isinstance(events[-1], Failed)
    assert code_of(connection) == code


HARMLESS: list[tuple[str, bytes]] = [
    ("an unknown frame", frame(0xBB, 0xFF, 7, b"what")),
    ("an unknown setting", settings_frame({0xBEEF: 1})),
    ("unknown flags", frame(FrameType.PING, 0xFE, 0, bytes(8))),
    ("the reserved bit", frame(FrameType.WINDOW_UPDATE, 0, 0x80000001, b"\x80\0\0\1")),
    ("PRIORITY of an idle stream", frame(FrameType.PRIORITY, 0, 99, bytes(5))),
    ("an acknowledgement nobody asked for", SETTINGS_ACK),
    ("a PING's answer nobody asked for", ping(bytes(8), ack=True)),
    ("a header table that is emptied and back", settings_frame([(1, 0), (1, 4096)])),
    ("settings at their edges", settings_frame({3: 0, 4: LARGEST_WINDOW, 5: 2**24 - 1, 6: 0})),
]


@pytest.mark.parametrize("role", ["server", "client"])
@pytest.mark.parametrize("raw", [pytest.param(raw, id=name) for name, raw in HARMLESS])
def test_what_is_allowed_though_odd(role: str, raw: bytes) -> None:
    connection: H2Connection = server() if role == "server" else client()
    connection.feed(head(1, flags=END_HEADERS) if role == "server" else answer(1, END_HEADERS))
    out(connection)
    connection.feed(raw)
    assert connection.failed is None
    assert not resets_of(connection)
    assert told(connection.feed(data(1)))


# A stream is reset, the next one goes on as if nothing had happened.
STREAM_FAULTS: dict[str, list[tuple[str, bytes, ErrorCode]]] = {
    "server": [
        ("PRIORITY of four bytes", frame(FrameType.PRIORITY, 0, 1, bytes(4)), E.FRAME_SIZE_ERROR),
        ("PRIORITY on itself", frame(FrameType.PRIORITY, 0, 1, b"\0\0\0\1\0"), E.PROTOCOL_ERROR),
        ("WINDOW_UPDATE by 0", window_update(1, 0), E.PROTOCOL_ERROR),
        ("a window beyond 2^31-1", window_update(1, LARGEST_WINDOW), E.FLOW_CONTROL_ERROR),
        ("trailers that do not end", head(1, [(b"a", b"b")], END_HEADERS), E.PROTOCOL_ERROR),
        ("trailers with a pseudo-header", head(1, [(b":path", b"/")]), E.PROTOCOL_ERROR),
        ("DATA after the end", data(1) + data(1), E.STREAM_CLOSED),
        ("HEADERS after the end", data(1) + head(1), E.STREAM_CLOSED),
    ],
    "client": [
        ("DATA before HEADERS", data(3), E.PROTOCOL_ERROR),
        ("PRIORITY of four bytes", frame(FrameType.PRIORITY, 0, 3, bytes(4)), E.FRAME_SIZE_ERROR),
        ("WINDOW_UPDATE by 0", window_update(3, 0), E.PROTOCOL_ERROR),
        ("a window beyond 2^31-1", window_update(3, LARGEST_WINDOW), E.FLOW_CONTROL_ERROR),
        ("an interim response that ends", answer(3, fields=[(b":status", b"103")]), E.PROTOCOL_ERROR),
        ("status 101", answer(3, END_HEADERS, [(b":status", b"101")]), E.PROTOCOL_ERROR),
        ("trailers that do not end", 2 * answer(3, END_HEADERS), E.PROTOCOL_ERROR),
        (
            "too short a body",
            answer(3, END_HEADERS, [*RESPONSE, (b"content-length", b"6")]) + data(3),
            E.PROTOCOL_ERROR,
        ),
        ("no body", answer(3, BOTH, [*RESPONSE, (b"content-length", b"6")]), E.PROTOCOL_ERROR),
    ],
}


@pytest.mark.parametrize(
    ("role", "raw", "code"),
    [pytest.param(role, *case[1:], id=f"{role} {case[0]}") for role, cases in STREAM_FAULTS.items() for case in cases],
)
def test_what_ends_one_stream(role: str, raw: bytes, code: ErrorCode) -> None:
    if role == "server":
        connection: H2Connection = server()
        connection.feed(head(1, flags=END_HEADERS))
        connection.feed(raw)
        assert resets_of(connection) == {1: code}
        assert told(connection.feed(head(3)))[3]
    else:
        connection = client()
        events = connection.feed(raw)
        assert resets_of(connection) == {3: code}
        assert told(events) == {1: [("reset", code, True)]}
        assert told(connection.feed(answer(5))) == {2: [("response", 200, (), b"")]}
    assert connection.failed is None


# -- what a server refuses --------------------------------------------------------------------------------------------

MALFORMED: list[tuple[str, list[tuple[bytes, bytes]]]] = [
    ("upper case", [*REQUEST, (b"Apns-Topic", b"a")]),
    ("an empty name", [*REQUEST, (b"", b"a")]),
    ("a space in a name", [*REQUEST, (b"a b", b"a")]),
    ("a colon in a name", [*REQUEST, (b"a:b", b"a")]),
    ("NUL", [*REQUEST, (b"a", b"b\0c")]),
    ("LF", [*REQUEST, (b"a", b"b\nc")]),
    ("CR", [*REQUEST, (b"a", b"b\rc")]),
    ("a space first", [*REQUEST, (b"a", b" b")]),
    ("a tab last", [*REQUEST, (b"a", b"b\t")]),
    ("connection", [*REQUEST, (b"connection", b"close")]),
    ("keep-alive", [*REQUEST, (b"keep-alive", b"1")]),
    ("proxy-connection", [*REQUEST, (b"proxy-connection", b"close")]),
    ("transfer-encoding", [*REQUEST, (b"transfer-encoding", b"chunked")]),
    ("upgrade", [*REQUEST, (b"upgrade", b"h2c")]),
    ("te that is not trailers", [*REQUEST, (b"te", b"gzip")]),
    ("a pseudo-header after others", [*REQUEST[1:], (b"a", b"b"), REQUEST[0]]),
    ("a pseudo-header twice", [*REQUEST, REQUEST[2]]),
    ("an unknown pseudo-header", [(b":version", b"2"), *REQUEST]),
    ("a response's pseudo-header", [(b":status", b"200"), *REQUEST]),
    ("no method", REQUEST[1:]),
    ("no scheme", [REQUEST[0], *REQUEST[2:]]),
    ("no path", [*REQUEST[:2], REQUEST[3]]),
    ("an empty path", [*REQUEST[:2], (b":path", b""), REQUEST[3]]),
    ("CONNECT with a path", [(b":method", b"CONNECT"), *REQUEST[1:]]),
    ("a length that is none", [*REQUEST, (b"content-length", b"1x")]),
    ("two lengths", [*REQUEST, (b"content-length", b"1"), (b"content-length", b"2")]),
    ("a length, and no body", [*REQUEST, (b"content-length", b"5")]),
]


@pytest.mark.parametrize("fields", [pytest.param(fields, id=name) for name, fields in MALFORMED])
def test_a_malformed_request_is_reset_and_the_next_is_heard(fields: list[tuple[bytes, bytes]]) -> None:
    connection = server()
    assert connection.feed(head(1, fields)) == []
    assert resets_of(connection) == {1: E.PROTOCOL_ERROR}
    (heads,) = connection.feed(head(3))
    assert heads.stream_id == 3
    assert connection.streams.open == 1


@pytest.mark.parametrize("fields", [pytest.param(fields, id=name) for name, fields in MALFORMED[4:9]])
def test_columns_do_not_let_through_what_a_value_may_not_hold(fields: list[tuple[bytes, bytes]]) -> None:
    """The same lengths as a known shape, and a bad value within a long run of good ones."""
    connection = server()
    width = len(fields[-1][1])
    good = [*REQUEST, (b"a", b"x" * width)]
    raw = b"".join(head(stream_id, good) for stream_id in range(1, 101, 2))
    raw += head(101, fields) + b"".join(head(stream_id, good) for stream_id in range(103, 201, 2))
    heard = told(connection.feed(raw))
    assert resets_of(connection) == {101: E.PROTOCOL_ERROR}
    assert heard.keys() == set(range(1, 201, 2)) - {101}


GOOD: list[tuple[str, list[tuple[bytes, bytes]]]] = [
    ("trailers are welcome", [*REQUEST, (b"te", b"trailers")]),
    ("no authority", REQUEST[:3]),
    ("CONNECT", [(b":method", b"CONNECT"), REQUEST[3]]),
    ("a value within spaces and tabs", [*REQUEST, (b"a", b"b \t c")]),
    ("an empty value", [*REQUEST, (b"a", b"")]),
    ("the same length twice", [*REQUEST, (b"content-length", b"0"), (b"content-length", b"0")]),
    ("any other octet", [*REQUEST, (b"a", b"\x01\x7f\xff")]),
]


@pytest.mark.parametrize("fields", [pytest.param(fields, id=name) for name, fields in GOOD])
def test_what_is_a_request_all_the_same(fields: list[tuple[bytes, bytes]]) -> None:
    heard = told(server().feed(head(1, fields)))
    assert heard[1] == [("head", fields, True)]


@pytest.mark.parametrize(
    ("raw", "code"),
    [
        (head(2), E.PROTOCOL_ERROR),
        (head(5) + head(3), E.STREAM_CLOSED),
        (head(5) + head(3, flags=0) + frame(FrameType.CONTINUATION, END_HEADERS, 3), E.STREAM_CLOSED),
        (head(5) + data(7), E.PROTOCOL_ERROR),
        (head(5) + data(2), E.PROTOCOL_ERROR),
        (settings_frame({2: 1}) + head(2), E.PROTOCOL_ERROR),
    ],
)
def test_stream_ids_are_a_clients_and_ascend(raw: bytes, code: ErrorCode) -> None:
    connection = server()
    connection.feed(raw)
    assert code_of(connection) == code


def test_a_stream_that_depends_on_itself_is_reset_and_its_block_still_teaches_the_table() -> None:
    connection = server()
    encoder = Encoder()
    lesson = encoder.encode([*REQUEST, (b"x-lesson", b"learned")])
    connection.feed(frame(FrameType.HEADERS, BOTH | PRIORITY_FLAG, 1, b"\0\0\0\1\0" + lesson))
    assert resets_of(connection) == {1: E.PROTOCOL_ERROR}
    heard = told(
        connection.feed(
            data(1) + frame(FrameType.HEADERS, BOTH, 3, encoder.encode([*REQUEST, (b"x-lesson", b"learned")]))
        )
    )
    assert heard[3][0][1][-1] == (b"x-lesson", b"learned")
    in_parts = frame(FrameType.HEADERS, PRIORITY_FLAG, 5, b"\0\0\0\5\0" + block(REQUEST))
    connection.feed(in_parts + frame(FrameType.CONTINUATION, END_HEADERS, 5))
    assert resets_of(connection) == {5: E.PROTOCOL_ERROR}


def test_more_streams_than_granted_are_refused_and_the_rest_goes_on() -> None:
    connection = server(max_concurrent_streams=10)
    heard = told(connection.feed(b"".join(head(stream_id) for stream_id in range(1, 41, 2))))
    assert heard.keys() == set(range(1, 21, 2))
    assert resets_of(connection) == dict.fromkeys(range(21, 41, 2), E.REFUSED_STREAM)
    connection.answered(connection.streams.held())
    assert told(connection.feed(head(41))).keys() == {41}


def test_a_limit_holds_from_its_acknowledgement_on() -> None:
    connection = server(max_concurrent_streams=100)
    connection.change_settings({Setting.MAX_CONCURRENT_STREAMS: 2})
    assert len(told(connection.feed(b"".join(head(n) for n in range(1, 11, 2))))) == 5
    assert told(connection.feed(SETTINGS_ACK + head(11))) == {}
    assert resets_of(connection) == {11: E.REFUSED_STREAM}


def test_a_body_is_counted_against_both_windows_padding_and_all() -> None:
    connection = server(initial_window=1000, connection_window=65_535)
    connection.feed(head(1, flags=END_HEADERS))
    padded = bytes([199]) + b"x" + bytes(199)
    for _ in range(2):
        connection.feed(data(1, padded, PADDED))
    assert not resets_of(connection)
    connection = server(initial_window=1000, replenish=False)
    connection.feed(head(1, flags=END_HEADERS) + head(3, flags=END_HEADERS) + 5 * data(1, padded, PADDED))
    assert resets_of(connection) == {1: E.FLOW_CONTROL_ERROR}
    assert told(connection.feed(data(3, bytes(1000)))) == {3: [("body", bytes(1000), 1000)]}


def test_a_connections_window_that_is_overrun_ends_it() -> None:
    connection = server(initial_window=1 << 20, replenish=False)
    connection.feed(head(1, flags=END_HEADERS))
    for _ in range(3):
        connection.feed(data(1, bytes(16_384), 0))
    connection.feed(data(1, bytes(16_383), 0))
    assert connection.failed is None
    connection.feed(data(1, b"x", 0))
    assert code_of(connection) == E.FLOW_CONTROL_ERROR


@pytest.mark.parametrize("count", [1, 40])
def test_overrun_windows_are_noticed_in_columns_too(count: int) -> None:
    connection = server(initial_window=100, connection_window=65_535, replenish=False)
    good = b"".join(head(n, flags=END_HEADERS) + data(n, bytes(100)) for n in range(1, 2 * count, 2))
    bad = 2 * count + 1
    connection.feed(good + head(bad, flags=END_HEADERS) + data(bad, bytes(101)))
    assert resets_of(connection) == {bad: E.FLOW_CONTROL_ERROR}


def test_windows_follow_our_own_settings_from_their_acknowledgement_on() -> None:
    connection = server(initial_window=70_000, replenish=False)
    connection.feed(head(1, flags=END_HEADERS) + data(1, bytes(16_000), 0))
    connection.change_settings({Setting.INITIAL_WINDOW_SIZE: 17_000})
    connection.feed(data(1, bytes(16_000), 0) + SETTINGS_ACK)
    assert not resets_of(connection)
    connection.feed(data(1, b"x", 0))
    assert resets_of(connection) == {1: E.FLOW_CONTROL_ERROR}


def test_of_a_long_body_some_is_kept_and_all_is_counted() -> None:
    connection = server(initial_window=1 << 20)
    raw = head(1, flags=END_HEADERS) + 5 * data(1, b"x" * 10_000, 0) + data(1, b"x")
    ((_, kept, length),) = told(connection.feed(raw))[1][1:]
    assert (len(kept), length) == (LARGEST_BODY, 50_001)


@pytest.mark.parametrize(("announced", "sent"), [(5, 4), (5, 6), (0, 1)])
@pytest.mark.parametrize("count", [0, 50])
def test_a_body_of_another_length_than_announced_is_malformed(announced: int, sent: int, count: int) -> None:
    connection = server()
    fields = [*REQUEST, (b"content-length", b"%d" % announced)]
    pairs = [head(n, fields, END_HEADERS) + data(n, bytes(announced)) for n in range(1, 2 * count, 2)]
    bad = 2 * count + 1
    pairs.append(head(bad, fields, END_HEADERS) + data(bad, bytes(sent)))
    heard = told(connection.feed(b"".join(pairs)))
    assert resets_of(connection) == {bad: E.PROTOCOL_ERROR}
    assert [what for what, *_ in heard[bad]] == ["head", "cancelled"]
    assert len(heard) == count + 1


def test_after_goaway_new_streams_are_ignored_and_old_ones_answered() -> None:
    connection = server()
    connection.feed(head(1, flags=END_HEADERS) + head(3))
    connection.go_away()
    connection.go_away(last=1)
    connection.go_away(last=7)
    lasts = [int.from_bytes(one[9:13], "big") for one in out(connection)]
    assert lasts == [3, 1, 1]
    late = head(5, flags=END_HEADERS) + data(5) + window_update(5, 9) + head(7) + reset_stream(7, 8)
    assert connection.feed(late) == []
    assert told(connection.feed(data(1)))[1] == [("body", b"hello", 5)]
    assert connection.failed is None
    connection.answer(1, answer(1), b"")
    assert connection.streams.open == 1
    connection.feed(data(0))
    assert connection.failed is not None
    assert int.from_bytes(out(connection)[-1][9:13], "big") == 1


def test_a_peers_goaway_does_not_keep_its_requests_from_being_answered() -> None:
    connection = server()
    assert told(connection.feed(head(1, flags=END_HEADERS) + goaway(0, 0, b"bye") + data(1)))[1][1][0] == "body"
    assert connection.failed is None


def test_a_request_that_its_client_resets_is_cancelled_once() -> None:
    connection = server()
    events = connection.feed(head(1) + reset_stream(1, 8) + reset_stream(1, 8))
    assert [type(event) for event in events] == [Head, Cancelled]
    assert connection.streams.open == 0


# -- what a client refuses --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "fields",
    [
        [],
        [(b"a", b"b")],
        [(b":status", b"20")],
        [(b":status", b"2000")],
        [(b":status", b"abc")],
        [(b":status", b"099")],
        [*RESPONSE, *RESPONSE],
        [(b"a", b"b"), *RESPONSE],
        [*RESPONSE, (b":path", b"/")],
        [*RESPONSE, (b"Upper", b"a")],
        [*RESPONSE, (b"connection", b"close")],
        [*RESPONSE, (b"a", b"b\r\nc: d")],
    ],
)
def test_a_malformed_answer_is_reset_and_the_next_is_heard(fields: list[tuple[bytes, bytes]]) -> None:
    connection = client()
    events = connection.feed(answer(1, fields=fields))
    assert told(events) == {0: [("reset", E.PROTOCOL_ERROR, True)]}
    assert resets_of(connection) == {1: E.PROTOCOL_ERROR}
    assert told(connection.feed(answer(3))) == {1: [("response", 200, (), b"")]}


@pytest.mark.parametrize(
    ("raw", "code"),
    [
        (answer(2), E.PROTOCOL_ERROR),
        (answer(99), E.PROTOCOL_ERROR),
        (answer(1) + answer(1), E.STREAM_CLOSED),
        (answer(1) + data(1), E.STREAM_CLOSED),
        (reset_stream(1, 8) + answer(1), E.STREAM_CLOSED),
        (settings_frame({2: 1}), E.PROTOCOL_ERROR),
    ],
)
def test_a_server_may_not(raw: bytes, code: ErrorCode) -> None:
    connection = client()
    connection.feed(raw)
    assert code_of(connection) == code


def test_interim_answers_and_trailers_belong_to_one_answer() -> None:
    connection = client()
    raw = answer(1, END_HEADERS, [(b":status", b"103"), (b"link", b"a")]) * 3 + answer(1, END_HEADERS)
    raw += data(1, b"bo", 0) + data(1, b"dy", 0) + head(1, [(b"checksum", b"1")])
    assert told(connection.feed(raw)) == {0: [("response", 200, (), b"body")]}


def test_an_answer_that_came_before_the_body_was_sent_ends_the_body() -> None:
    connection = client(0)
    connection.request(block(REQUEST), bytes(100_000), 7, 0)
    assert connection.blocked == 1
    out(connection)
    assert told(connection.feed(answer(1, fields=[(b":status", b"413")]))) == {7: [("response", 413, (), b"")]}
    assert resets_of(connection) == {1: E.NO_ERROR}
    assert connection.blocked == 0
    connection.feed(window_update(0, 100_000) + window_update(1, 100_000))
    assert out(connection) == []


def test_refused_streams_were_not_processed_and_others_perhaps() -> None:
    connection = client()
    events = connection.feed(reset_stream(1, E.REFUSED_STREAM) + reset_stream(3, E.INTERNAL_ERROR) + reset_stream(1, 7))
    assert [(event.tags.tolist(), event.code, event.processed) for event in events if isinstance(event, Resets)] == [
        ([0], E.REFUSED_STREAM, False),
        ([1], E.INTERNAL_ERROR, True),
    ]


def test_goaway_tells_apart_what_was_not_processed_and_the_rest_is_still_answered() -> None:
    connection = client(5)
    (event,) = connection.feed(goaway(5, 0, b'{"reason":"Shutdown"}'))
    assert isinstance(event, WentAway)
    assert (event.tags.tolist(), event.code, event.debug) == ([3, 4], 0, b'{"reason":"Shutdown"}')
    assert connection.room(0) == 0
    assert connection.open(np.arange(3), 0, 0).size == 0
    late = answer(7, END_HEADERS) + data(7) + reset_stream(9, 8)  # of streams that it said it would not look at
    assert told(connection.feed(late + answer(1) + answer(3))) == {
        0: [("response", 200, (), b"")],
        1: [("response", 200, (), b"")],
    }
    (again,) = connection.feed(goaway(1, 0))
    assert again.tags.tolist() == [2]
    assert connection.lose().tolist() == []
    assert connection.failed is None


def test_what_a_graceful_shutdown_says_first_takes_nothing_back() -> None:
    connection = client(5)
    (first,) = connection.feed(goaway(LARGEST_WINDOW, 0))
    assert first.tags.size == 0
    (second,) = connection.feed(goaway(3, 0))
    assert second.tags.tolist() == [2, 3, 4]


def test_answers_to_what_was_cancelled_are_ignored_however_many() -> None:
    connection = ClientConnection()
    connection.feed(settings_frame({3: 60_000}) + SETTINGS_ACK)
    ids = connection.open(np.arange(60_000), 0, 5)
    assert connection.overdue(6).size == 60_000
    assert connection.streams.open == 0
    raw = b"".join(answer(int(stream_id)) for stream_id in ids[:30_000])
    assert connection.feed(raw) == []
    assert connection.failed is None


def test_an_answer_longer_than_the_window_granted_is_reset() -> None:
    connection = client()
    pieces = LARGEST_ANSWER // 16_384
    connection.feed(answer(1, END_HEADERS) + pieces * data(1, bytes(16_384), 0))
    assert not resets_of(connection)
    connection.feed(data(1, b"x", 0))
    assert resets_of(connection) == {1: E.FLOW_CONTROL_ERROR}


def test_a_window_is_lifted_too_far_by_a_setting() -> None:
    connection = client(0)
    connection.request(block(REQUEST), bytes(100_000), 0, 0)
    connection.feed(window_update(1, LARGEST_WINDOW - 65_535))
    assert connection.failed is None
    connection.feed(settings_frame({4: 200_000}))
    assert code_of(connection) == E.FLOW_CONTROL_ERROR


# -- bombs and floods -------------------------------------------------------------------------------------------------

FLOODS: dict[str, Callable[[int], bytes]] = {
    "SETTINGS": lambda _: settings_frame({3: 100}),
    "SETTINGS that move windows": lambda n: settings_frame({4: n % 2}),
    "acknowledgements": lambda _: SETTINGS_ACK,
    "PING": lambda _: ping(bytes(8)),
    "empty DATA": lambda _: data(1, b"", 0),
    "DATA that is padding": lambda _: data(1, b"\0", PADDED),
    "PRIORITY": lambda _: frame(FrameType.PRIORITY, 0, 1, bytes(5)),
    "WINDOW_UPDATE": lambda _: window_update(0, 1),
    "WINDOW_UPDATE of a stream": lambda _: window_update(1, 1),
    "unknown frames": lambda _: frame(0xBB, 0, 0),
    "RST_STREAM": lambda _: reset_stream(1, 8),
    "faults": lambda _: frame(FrameType.PRIORITY, 0, 1, bytes(4)),
}


@pytest.mark.parametrize("role", ["server", "client"])
@pytest.mark.parametrize("name", FLOODS)
def test_a_flood_is_cut_off_in_bounded_memory(role: str, name: str) -> None:
    connection: H2Connection = server() if role == "server" else client()
    connection.feed(head(1, flags=END_HEADERS) if role == "server" else answer(1, END_HEADERS))
    tracemalloc.start()
    try:
        flood = FLOODS[name]
        for turn in range(4 * IDLE_FRAMES // 100):
            connection.feed(b"".join(flood(n) for n in range(100)))
            if connection.failed is not None:
                break
            if turn % 10 == 0:
                connection.output.clear()
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert code_of(connection) == E.ENHANCE_YOUR_CALM
    assert peak < 4_000_000


def test_interim_answers_without_end_are_a_flood() -> None:
    connection = client()
    interim = answer(1, END_HEADERS, [(b":status", b"103")])
    while connection.failed is None:
        connection.feed(100 * interim)
    assert code_of(connection) == E.ENHANCE_YOUR_CALM


def test_what_clients_do_beside_requests_is_no_flood() -> None:
    connection = server()
    for stream_id in range(1, 40_001, 2):
        connection.feed(head(stream_id) + window_update(0, 1) + ping(bytes(8)))
        connection.answered(connection.streams.held())
        connection.output.clear()
    assert connection.failed is None


def test_streams_opened_and_reset_in_quick_succession_are_cut_off() -> None:
    connection = server(max_concurrent_streams=100)
    opened = 0
    tracemalloc.start()
    try:
        for stream_id in range(1, 100_001, 2):
            connection.feed(head(stream_id) + reset_stream(stream_id, 8))
            opened += 1
            if connection.failed is not None:
                break
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert code_of(connection) == E.ENHANCE_YOUR_CALM
    assert opened < 2000
    assert peak < 4_000_000


def test_a_server_made_to_reset_its_own_streams_cuts_that_off_too() -> None:
    """CVE-2025-8671: the peer breaks a rule of each stream's, and the resets are ours."""
    connection = server(max_concurrent_streams=100)
    for stream_id in range(1, 100_001, 2):
        connection.feed(head(stream_id, flags=END_HEADERS) + window_update(stream_id, 0))
        if connection.failed is not None:
            break
        connection.output.clear()
    assert code_of(connection) == E.ENHANCE_YOUR_CALM


@pytest.mark.parametrize("role", ["server", "client"])
@pytest.mark.parametrize("part", [0, 1, 100, 16_384])
def test_a_header_block_without_end_is_cut_off(role: str, part: int) -> None:
    connection: H2Connection = server() if role == "server" else client()
    tracemalloc.start()
    try:
        connection.feed(frame(FrameType.HEADERS, 0, 1, b"\0\1a"))
        fed = 0
        while connection.failed is None and fed < 4 * IDLE_FRAMES:
            connection.feed(frame(FrameType.CONTINUATION, 0, 1, bytes(part)))
            fed += 1
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert code_of(connection) == E.ENHANCE_YOUR_CALM
    assert fed <= IDLE_FRAMES + 1
    assert peak < 4 * LARGEST_BLOCK + 500_000


def test_a_header_bomb_is_not_unpacked() -> None:
    """One field of 4,000 bytes in the table, then indexes of it: a byte each."""
    connection = server()
    connection.feed(frame(FrameType.HEADERS, BOTH, 1, Encoder().encode([*REQUEST, (b"x", b"y" * 4000)])))
    tracemalloc.start()
    try:
        connection.feed(frame(FrameType.HEADERS, BOTH, 3, b"\xbe" * 16_000))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert code_of(connection) == E.ENHANCE_YOUR_CALM
    assert peak < 1_000_000


def test_many_small_updates_with_many_bodies_waiting_take_bounded_work() -> None:
    connection = server(max_concurrent_streams=1000)
    connection.feed(settings_frame({4: 0}))
    for stream_id in range(1, 2001, 2):
        connection.feed(head(stream_id))
        connection.answer(stream_id, b"", bytes(100))
    assert connection.blocked == 1000
    pushes = 0
    push = connection._push

    def counted(stream_id: int) -> None:
        nonlocal pushes
        pushes += 1
        push(stream_id)

    connection._push = counted  # type: ignore[method-assign]
    while connection.failed is None:
        connection.output.clear()
        connection.feed(window_update(0, 1) + window_update(1, 1) + settings_frame({4: 1}) + settings_frame({4: 0}))
    assert pushes < 2_000_000
    assert code_of(connection) == E.ENHANCE_YOUR_CALM


def test_bodies_that_never_end_are_kept_within_bounds() -> None:
    connection = server(max_concurrent_streams=50)
    tracemalloc.start()
    try:
        for stream_id in range(1, 101, 2):
            connection.feed(head(stream_id, flags=END_HEADERS))
        for _ in range(20):
            for stream_id in range(1, 101, 2):
                connection.feed(data(stream_id, bytes(16_000), 0))
            connection.output.clear()
        current, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert current < 50 * LARGEST_BODY * 1.5 + 500_000
    assert not any(isinstance(event, (Body, Responses)) for event in connection.events)
