"""Responses of HTTP/1.1: where they end, what is none, what is let go, and how ours are written."""

import pytest

from burst.wire import h1_client
from burst.wire.h1 import H1Error
from burst.wire.h1_client import ClientCodec, Response
from burst.wire.h1_server import response
from tests.unit.test_wire.test_h1_rules import STEPS, pieces

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
OF_CHUNKS = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


def read_one(
    raw: bytes, *, head_request: bool = False, step: int = 0, most_body: int = h1_client.LARGEST_ANSWER
) -> Response:
    """The response that these bytes are, at once or in steps; the end of the connection is heard."""
    codec = ClientCodec(most_body=most_body)
    codec.expect(head_request=head_request)
    found = [codec.feed(piece) for piece in pieces(raw, step)]
    found.append(codec.eof())
    (answer,) = [answer for answer in found if answer is not None]
    return answer


NO_RESPONSE = {
    "HTTP/2": b"\x00\x00\x12\x04\x00\x00\x00\x00\x00",
    "TLS": b"\x15\x03\x01\x00\x02",
    "another version": b"HTTP/2.0 200\r\n\r\n",
    "an empty line before": b"\r\n" + OK,
    "a status of two digits": b"HTTP/1.1 20 OK\r\n\r\n",
    "a status of four digits": b"HTTP/1.1 2000 OK\r\n\r\n",
    "a status below 100": b"HTTP/1.1 099 OK\r\n\r\n",
    "no status": b"HTTP/1.1 OK\r\n\r\n",
    "another protocol": b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: a\r\n\r\n",
    "two lengths": b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nok",
    "a length that is none": b"HTTP/1.1 200 OK\r\nContent-Length: 2x\r\n\r\nok",
    "another coding": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\nok",
    "chunks in HTTP/1.0": OF_CHUNKS.replace(b"1.1", b"1.0") + b"0\r\n\r\n",
    "a folded line": b"HTTP/1.1 200 OK\r\na: b\r\n c\r\n\r\n",
    "a head that is cut short": OK[:20],
    "an interim response alone": b"HTTP/1.1 100 Continue\r\n\r\n",
    "a body that is cut short": OK[:-1],
    "chunks that are cut short": OF_CHUNKS + b"2\r\nok\r\n0\r\n",
    "nothing": b"",
}


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("what", NO_RESPONSE)
def test_what_is_no_response_is_refused(what: str, step: int) -> None:
    codec = ClientCodec()
    codec.expect()
    with pytest.raises(H1Error) as refused:  # noqa: PT012 -- wherever it is noticed
        for piece in pieces(NO_RESPONSE[what], step):
            assert codec.feed(piece) is None
        codec.eof()
    assert refused.value.whole == []
    assert not codec.awaiting
    for go_on in [codec.expect, codec.eof, lambda: codec.feed(OK)]:
        with pytest.raises(H1Error):
            go_on()


@pytest.mark.parametrize("head_request", [False, True])
def test_bytes_that_nobody_asked_for_are_refused_and_the_response_before_them_stands(*, head_request: bool) -> None:
    codec = ClientCodec()
    with pytest.raises(H1Error):
        codec.feed(b"H")
    asked = OK[: -2 if head_request else None]
    for raw, step in [(asked + b"x", 0), (asked + OK, 0), (asked + b"\r\n", 0), (asked + b"x", 1)]:
        codec, heard = ClientCodec(), []
        codec.expect(head_request=head_request)
        with pytest.raises(H1Error) as refused:  # noqa: PT012 -- in the last piece
            for piece in pieces(raw, step):
                heard += [codec.feed(piece)]
        whole = [answer for answer in heard if answer is not None] + refused.value.whole
        assert [answer.head.status for answer in whole] == [200]
        with pytest.raises(H1Error) as again:
            codec.feed(b"x")
        assert again.value.whole == []


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize(
    ("raw", "head_request", "body", "alive"),
    [
        (OK, False, b"ok", True),
        (OK[:-2], True, b"", True),
        (b"HTTP/1.1 200\r\n\r\n", True, b"", True),
        (OF_CHUNKS, True, b"", True),
        (b"HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\n", False, b"", True),
        (b"HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n", False, b"", True),
        (OF_CHUNKS + b"2 ;a=b\r\nok\r\n0\r\nDate: now\r\n\r\n", False, b"ok", True),
        (OF_CHUNKS[:-2] + b"Content-Length: 9\r\n\r\n2\r\nok\r\n0\r\n\r\n", False, b"ok", False),
        (b"HTTP/1.1 200 OK\r\n\r\nok", False, b"ok", False),
        (b"HTTP/1.1 200 OK\r\n\r\n", False, b"", False),
        (OK.replace(b"Content", b"Connection: x,CLOSE\r\nContent"), False, b"ok", False),
        (OK.replace(b"1.1", b"1.0"), False, b"ok", False),
        (OK.replace(b"1.1 200 OK", b"1.0 200 OK\r\nConnection: Keep-Alive"), False, b"ok", True),
        (OK.replace(b"1.1", b"1.9"), False, b"ok", True),
        (b"HTTP/1.0 200 OK\r\n\r\nok", False, b"ok", False),
        (b"HTTP/1.1 999 \r\nContent-Length: 0\r\n\r\n", False, b"", True),
        (b"HTTP/1.1 200 OK\nContent-Length: 2\n\nok", False, b"ok", True),
    ],
)
def test_a_response_ends_where_it_says(raw: bytes, head_request: bool, body: bytes, alive: bool, step: int) -> None:
    answer = read_one(raw, head_request=head_request, step=step)
    assert (answer.body, answer.head.keep_alive) == (body, alive)


def test_a_head_seen_before_reads_as_it_did() -> None:
    codec = ClientCodec()
    for body in [b"ok", b"no", b"ok"]:
        codec.expect()
        assert codec.feed(OK[:-2] + body) == Response(read_one(OK).head, body)
    codec.expect(head_request=True)
    answer = codec.feed(OK[:-2])
    assert answer is not None
    assert answer.body == b""
    small = ClientCodec(most_body=1)
    small.expect()
    with pytest.raises(H1Error):
        small.feed(OK)


def test_begun_tells_whether_a_byte_has_come() -> None:
    codec = ClientCodec()
    for raw in [OK, OF_CHUNKS + b"2\r\nok\r\n0\r\n\r\n"]:
        codec.expect()
        assert (codec.awaiting, codec.begun) == (True, False)
        assert codec.feed(b"") is None
        assert not codec.begun
        assert codec.feed(raw[:1]) is None
        assert (codec.awaiting, codec.begun) == (True, True)
        assert codec.feed(memoryview(raw)[1:]) is not None
        assert (codec.awaiting, codec.begun) == (False, False)
    assert codec.eof() is None
    codec.expect()
    with pytest.raises(RuntimeError):
        codec.expect()


def test_a_field_is_found_by_its_name() -> None:
    head = read_one(b"HTTP/1.1 204\r\nA: 1\r\nRetry-After: 7\r\na: 2\r\n\r\n").head
    assert (head.get(b"a"), head.get(b"retry-after"), head.get(b"b")) == (b"1", b"7", None)
    assert head.fields == ((b"a", b"1"), (b"retry-after", b"7"), (b"a", b"2"))


def test_a_response_is_written_whole() -> None:
    assert response(200, [(b"a", b"b")], b"ok") == b"HTTP/1.1 200 OK\r\na: b\r\ncontent-length: 2\r\n\r\nok"
    assert response(204, [], keep_alive=False) == b"HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n"
    assert response(299, [], b"ok", head_request=True) == b"HTTP/1.1 299 \r\ncontent-length: 2\r\n\r\n"


@pytest.mark.parametrize("bad", [(b"a", b"b\r\nc: d"), (b"a\n", b"b"), (b"a", b"b\x00"), (b"a", b"\r")])
def test_a_field_cannot_become_two(bad: tuple[bytes, bytes]) -> None:
    with pytest.raises(ValueError, match="would not stay one"):
        response(200, [bad])


@pytest.mark.parametrize("status", [100, 204, 304])
def test_a_status_without_a_body_is_written_without(status: int) -> None:
    with pytest.raises(ValueError, match="no body"):
        response(status, [], b"body")
