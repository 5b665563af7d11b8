"""Each limit of HTTP/1.1's two ends: what just fits is taken, one byte or field more is refused, however it comes."""

import pytest

from burst.wire import h1, h1_client
from burst.wire.h1 import H1Error
from tests.unit.test_wire.test_h1_answers import OF_CHUNKS, OK, read_one
from tests.unit.test_wire.test_h1_rules import CHUNKED, HOST, STEPS, read_all, status_of


def head_of(size: int, first: bytes = b"GET / HTTP/1.1\r\nHost: a") -> bytes:
    """A head of so many bytes, in lines that no rule but its whole length is against; its end is not counted."""
    line = b"\r\nx: " + b"y" * 1000
    while len(first) + len(line) < size - 10:
        first += line
    return first + b"\r\nx: " + b"y" * (size - len(first) - 5) + b"\r\n\r\n"


@pytest.mark.parametrize("step", STEPS)
def test_a_head_has_a_largest_size(step: int) -> None:
    fits = head_of(h1.MOST_HEAD_BYTES)
    assert len(read_all(fits, step)) == 1
    assert len(read_all(b"\r\n" + fits, step)) == 1
    assert status_of(head_of(h1.MOST_HEAD_BYTES + 1), step) == 431
    assert status_of(b"GET / HTTP/1.1\r\nx: " + b"y" * 2 * h1.MOST_HEAD_BYTES, step) == 431
    with pytest.raises(H1Error):
        read_one(head_of(h1.MOST_HEAD_BYTES + 1, b"HTTP/1.1 204"), step=step)
    assert read_one(head_of(h1.MOST_HEAD_BYTES, b"HTTP/1.1 204"), step=step).head.status == 204


@pytest.mark.parametrize("step", STEPS)
def test_a_head_has_a_largest_number_of_fields(step: int) -> None:
    fits = b"GET / HTTP/1.1\r\n" + HOST + b"a:\r\n" * (h1.MOST_FIELDS - 1)
    assert len(read_all(fits + b"\r\n", step)) == 1
    assert status_of(fits + b"a:\r\n\r\n", step) == 431
    with pytest.raises(H1Error):
        read_one(b"HTTP/1.1 204 \r\n" + b"a:\r\n" * (h1.MOST_FIELDS + 1) + b"\r\n", step=step)


@pytest.mark.parametrize("step", STEPS)
def test_a_target_has_a_largest_size(step: int) -> None:
    target = b"/" + b"a" * (h1.MOST_LINE_BYTES - len(b"GET / HTTP/1.1"))
    assert len(read_all(b"GET " + target + b" HTTP/1.1\r\n" + HOST + b"\r\n", step)) == 1
    assert status_of(b"GET " + target + b"a HTTP/1.1\r\n" + HOST + b"\r\n", step) == 414
    assert status_of(b"GET /" + b"a" * 2 * h1.MOST_HEAD_BYTES, step) == 414


@pytest.mark.parametrize("step", STEPS)
def test_a_request_body_has_a_largest_size(step: int) -> None:
    counted = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n"
    assert len(read_all(counted % 10 + b"a" * 10, step, most_body=10)) == 1
    assert status_of(counted % 11 + b"a" * 11, step, most_body=10) == 413
    assert len(read_all(CHUNKED + b"5\r\naaaaa\r\n5\r\naaaaa\r\n0\r\n\r\n", step, most_body=10)) == 1
    assert status_of(CHUNKED + b"5\r\naaaaa\r\n6\r\n", step, most_body=10) == 413


@pytest.mark.parametrize("step", STEPS)
def test_what_stands_around_chunks_has_a_largest_size(step: int) -> None:
    room = h1.MOST_HEAD_BYTES
    assert status_of(CHUNKED + b"1;" + b"a" * 2 * room, step) == 431
    assert status_of(CHUNKED + (b"1;" + b"a" * 999 + b"\r\na\r\n") * (room // 1000 + 1), step) == 431
    assert status_of(CHUNKED + b"0\r\nx: " + b"a" * 2 * room, step) == 431
    assert status_of(CHUNKED + b"0\r\n" + (b"x: " + b"a" * 997 + b"\r\n") * (room // 1000 + 1), step) == 431
    assert status_of(CHUNKED + b"0\r\n" + b"x:\r\n" * (h1.MOST_FIELDS + 1), step) == 431
    assert len(read_all(CHUNKED + b"0\r\n" + b"x:\r\n" * h1.MOST_FIELDS + b"\r\n", step)) == 1


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize(
    "raw",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 11\r\n\r\n" + b"a" * 11,
        OF_CHUNKS + b"5\r\naaaaa\r\n6\r\naaaaaa\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n\r\n" + b"a" * 11,
    ],
)
def test_a_response_body_has_a_largest_size(raw: bytes, step: int) -> None:
    with pytest.raises(H1Error, match="more than 10 bytes"):
        read_one(raw, step=step, most_body=10)
    assert len(read_one(raw, step=step, most_body=11).body) == 11


@pytest.mark.parametrize("step", STEPS)
def test_interim_responses_are_skipped_to_a_limit(step: int) -> None:
    interim = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"
    assert read_one(interim + OK, step=step) == read_one(OK)
    assert read_one(interim * (h1_client.MOST_INTERIM // 2) + OK, step=step) == read_one(OK)
    with pytest.raises(H1Error):
        read_one(interim * h1_client.MOST_INTERIM + OK, step=step)


def test_what_was_seen_is_remembered_to_a_limit() -> None:
    seen = h1.Seen(bytes.upper, most=10, longest=4)
    for number in range(1000):
        assert seen[b"%d" % number] == b"%d" % number
        assert len(seen) <= 10
    assert seen[b"abcde"] == b"ABCDE"
    assert b"abcde" not in seen
