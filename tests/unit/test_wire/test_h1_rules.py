"""Requests of HTTP/1.1, rule by rule: what is refused and with which status, what is taken, and what is let go."""

import pytest

from burst.wire import h1_server
from burst.wire.h1 import H1Error
from burst.wire.h1_server import CONTINUE, Request, ServerCodec

HOST = b"Host: a\r\n"
GET = b"GET / HTTP/1.1\r\n" + HOST + b"\r\n"
CHUNKED = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"


def pieces(raw: bytes, step: int) -> list[bytes]:
    """These bytes in steps; 0 is all at once."""
    return [raw[at : at + step] for at in range(0, len(raw), step)] if step else [raw]


def read_all(raw: bytes, step: int = 0, most_body: int = h1_server.LARGEST_BODY) -> list[Request]:
    codec = ServerCodec(most_body=most_body)
    requests = []
    for piece in pieces(raw, step):
        requests += codec.feed(piece)
    return requests


def status_of(raw: bytes, step: int = 0, most_body: int = h1_server.LARGEST_BODY) -> int:
    """The status that a server refuses these bytes with."""
    with pytest.raises(H1Error) as refused:
        read_all(raw, step, most_body)
    return refused.value.status


STEPS = [0, 1, 7]

REFUSED = {
    "a TLS client hello": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", 400),
    "two empty lines": (b"\r\n\r\n" + GET, 400),
    "half an empty line": (b"\r" + GET, 400),
    "a method that is no token": (b"G@T / HTTP/1.1\r\n" + HOST + b"\r\n", 400),
    "no method": (b" / HTTP/1.1\r\n" + HOST + b"\r\n", 400),
    "two blanks": (b"GET  / HTTP/1.1\r\n" + HOST + b"\r\n", 400),
    "a blank behind": (b"GET / HTTP/1.1 \r\n" + HOST + b"\r\n", 400),
    "HTTP/0.9": (b"GET /\r\n\r\n", 400),
    "a version in lower case": (b"GET / http/1.1\r\n" + HOST + b"\r\n", 400),
    "HTTP/2": (b"GET / HTTP/2.0\r\n" + HOST + b"\r\n", 505),
    "the preface of HTTP/2": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505),
    "a target that is no path": (b"GET a HTTP/1.1\r\n" + HOST + b"\r\n", 400),
    "an asterisk that is no OPTIONS": (b"GET * HTTP/1.1\r\n" + HOST + b"\r\n", 400),
    "a target beyond ASCII": (b"GET /\xc3\xa9 HTTP/1.1\r\n" + HOST + b"\r\n", 400),
    "no host": (b"GET / HTTP/1.1\r\n\r\n", 400),
    "two hosts": (b"GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", 400),
    "a host with a blank": (b"GET / HTTP/1.1\r\nHost: a b\r\n\r\n", 400),
    "a blank before the colon": (b"GET / HTTP/1.1\r\nHost : a\r\n\r\n", 400),
    "no colon": (b"GET / HTTP/1.1\r\nHost: a\r\nb\r\n\r\n", 400),
    "no name": (b"GET / HTTP/1.1\r\nHost: a\r\n: b\r\n\r\n", 400),
    "a folded line": (b"GET / HTTP/1.1\r\nHost: a\r\nb: c\r\n d: e\r\n\r\n", 400),
    "a folded line without a colon": (b"GET / HTTP/1.1\r\nHost: a\r\nb: c\r\n\td\r\n\r\n", 400),
    "a NUL": (b"GET / HTTP/1.1\r\nHost: a\r\nb: \x00\r\n\r\n", 400),
    "a CR alone": (b"GET / HTTP/1.1\r\nHost: a\r\nb: c\rd: e\r\n\r\n", 400),
    "two lengths": (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab", 400),
    "two lengths in one": (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1, 2\r\n\r\nab", 400),
    "a negative length": (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n", 400),
    "a signed length": (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: +1\r\n\r\n", 400),
    "an empty length": (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length:\r\n\r\n", 400),
    "a length of 5,000 digits": (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: " + b"1" * 5000 + b"\r\n\r\n", 400),
    "a length beyond all room": (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: " + b"9" * 20 + b"\r\n\r\n", 413),
    "a length beside chunks": (CHUNKED[:-2] + b"Content-Length: 3\r\n\r\n0\r\n\r\n", 400),
    "another coding": (b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", 501),
    "chunked twice": (CHUNKED[:-2] + b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 501),
    "chunks in HTTP/1.0": (CHUNKED.replace(b"HTTP/1.1", b"HTTP/1.0") + b"0\r\n\r\n", 400),
    "a chunk without a size": (CHUNKED + b";a\r\n", 400),
    "a chunk of negative size": (CHUNKED + b"-1\r\n", 400),
    "a chunk's size with a prefix": (CHUNKED + b"0x1\r\na\r\n", 400),
    "a chunk's size behind a blank": (CHUNKED + b" 1\r\na\r\n", 400),
    "a chunk's size of 21 digits": (CHUNKED + b"0" * 20 + b"1\r\na\r\n", 400),
    "a chunk's size that overflows": (CHUNKED + b"f" * 20 + b"\r\n", 413),
    "a chunk's size that wraps 64 bits": (CHUNKED + b"10000000000000001\r\na\r\n", 413),
    "a bare LF after a size": (CHUNKED + b"1\na\r\n0\r\n\r\n", 400),
    "a bare LF in an extension": (CHUNKED + b"1;a\nb\r\na\r\n0\r\n\r\n", 400),
    "a chunk longer than its size": (CHUNKED + b"1\r\nab\r\n0\r\n\r\n", 400),
    "a bare LF after a chunk": (CHUNKED + b"1\r\na\n0\r\n\r\n", 400),
    "a trailer that is no field": (CHUNKED + b"0\r\na b\r\n\r\n", 400),
    "a trailer that frames": (CHUNKED + b"0\r\nContent-Length: 0\r\n\r\n", 400),
}


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("what", REFUSED)
def test_a_request_that_breaks_a_rule_is_refused_with_its_status(what: str, step: int) -> None:
    raw, status = REFUSED[what]
    assert status_of(raw, step) == status


@pytest.mark.parametrize("step", STEPS)
def test_requests_before_a_fault_stand(step: int) -> None:
    codec, heard = ServerCodec(), []
    with pytest.raises(H1Error) as refused:  # noqa: PT012 -- in whichever piece it is noticed
        for piece in pieces(GET + GET + b"\x16\x03\x01", step):
            heard += codec.feed(piece)
    assert len(heard + refused.value.whole) == 2
    with pytest.raises(H1Error) as again:
        codec.feed(GET)
    assert again.value.status == 400
    assert again.value.whole == []


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("last", [b"GET / HTTP/1.0\r\n\r\n", GET[:-2] + b"Connection: foo, Close\r\n\r\n"])
def test_what_follows_the_last_request_is_not_read(last: bytes, step: int) -> None:
    alive = [request.keep_alive for request in read_all(GET + last + b"\x16garbage" + GET, step)]
    assert alive == [True, False]


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize(
    ("target", "path"),
    [
        (b"/a?b=c", b"/a?b=c"),
        (b"http://a.example/b?c", b"/b?c"),
        (b"https://a.example", b"/"),
        (b"http://a.example?b", b"/?b"),
        (b"http://[::1]:80/", b"/"),
    ],
)
def test_a_target_may_be_an_absolute_uri(target: bytes, path: bytes, step: int) -> None:
    (request,) = read_all(b"GET " + target + b" HTTP/1.1\r\nHost: a\r\n\r\n", step)
    assert (request.target, request.path) == (target, path)


def test_options_may_ask_of_the_server_itself() -> None:
    (request,) = read_all(b"OPTIONS * HTTP/1.1\r\nHost:\r\n\r\n")
    assert (request.method, request.target, request.path) == (b"OPTIONS", b"*", b"*")


@pytest.mark.parametrize("step", STEPS)
def test_repeated_fields_are_joined_and_one_length_said_twice_is_one(step: int) -> None:
    raw = b"POST / HTTP/1.1\r\nHost: a\r\nA:  1\t\r\na: 2\r\nContent-Length: 2\r\nCONTENT-LENGTH: 2\r\n\r\nok"
    (request,) = read_all(raw, step)
    assert request.fields == {b"host": b"a", b"a": b"1, 2", b"content-length": b"2"}
    assert request.body == b"ok"


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("end", [b"\r\n", b"\n"])
def test_one_empty_line_before_a_request_is_skipped(end: bytes, step: int) -> None:
    assert len(read_all(end + GET + end + GET, step)) == 2


@pytest.mark.parametrize("step", STEPS)
def test_a_bare_lf_ends_a_line_of_a_head(step: int) -> None:
    mixed = b"GET /1 HTTP/1.1\nHost: a\n\nGET /2 HTTP/1.1\r\nHost: a\n\r\nGET /3 HTTP/1.1\nHost: a\r\n\n" + GET
    assert [request.target for request in read_all(mixed, step)] == [b"/1", b"/2", b"/3", b"/"]


def test_continue_is_said_to_whom_waits_and_to_nobody_else() -> None:
    head = b"POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n"
    codec = ServerCodec()
    assert codec.feed(head) == []
    assert codec.output == [CONTINUE]
    assert [request.body for request in codec.feed(b"ok")] == [b"ok"]
    assert codec.output == [CONTINUE]
    for unheard in [head + b"o", head.replace(b"HTTP/1.1", b"HTTP/1.0"), head.replace(b"100-", b"200-")]:
        codec = ServerCodec()
        assert codec.feed(unheard) == []
        assert codec.output == []
    codec = ServerCodec(most_body=1)
    with pytest.raises(H1Error) as refused:
        codec.feed(head)
    assert refused.value.status == 413
    assert codec.output == []


def test_one_at_a_time_what_is_pipelined_waits_unread() -> None:
    codec = ServerCodec(one_at_a_time=True)
    assert len(codec.feed(GET + b"PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n")) == 1
    assert codec.paused
    assert codec.feed(b"") == []
    assert codec.output == []
    assert codec.resume() == []
    assert codec.output == [CONTINUE]
    assert not codec.paused
    (request,) = codec.feed(b"ok" + b"\x16")
    assert request.body == b"ok"
    with pytest.raises(H1Error):
        codec.resume()
    with pytest.raises(H1Error):
        codec.resume()


def test_what_waits_is_bounded() -> None:
    codec = ServerCodec(one_at_a_time=True)
    codec.feed(GET)
    with pytest.raises(H1Error) as refused:  # noqa: PT012 -- before so much has come
        for _ in range(h1_server.MOST_WAITING // 1000):
            codec.feed(GET * 1000)
    assert refused.value.status == 413
