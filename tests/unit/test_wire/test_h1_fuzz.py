"""Whatever bytes come, on either side: nothing but H1Error, no hang, and no memory without bound."""

import random
import time
import tracemalloc
from collections.abc import Callable, Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from burst.wire import h1
from burst.wire.h1 import H1Error
from burst.wire.h1_client import ClientCodec
from burst.wire.h1_server import ServerCodec
from tests.unit.test_wire.test_h1_faults import INSERTS, mutated
from tests.unit.test_wire.test_h1_oracle import SEEDS, Writer, cut

pytestmark = pytest.mark.slow

ALPHABET = [
    *INSERTS,
    b"GET / HTTP/1.1\r\n",
    b"HTTP/1.1 200 OK\r\n",
    b"HTTP/1.1 100\r\n",
    b"Host: a\r\n",
    b"ffff\r\n",
    b"0\r\n",
]
ALPHABET += [
    b"Transfer-Encoding: chunked\r\n\r\n",
    b"Content-Length: 9\r\n\r\n",
    b"a: b\r\n",
    b"\x16\x03",
    b"PRI * HTTP/2.0",
]
HANG_S = 20.0  # a guard against quadratic work, not a measure of speed
MOST_KEPT = 8_000_000  # bytes
LARGEST = 100_000  # bytes of a body


def serve(pieces: list[bytes], chance: random.Random) -> None:
    codec = ServerCodec(most_body=10_000, one_at_a_time=chance.random() < 0.5)
    for piece in pieces:
        try:
            codec.feed(piece)
            while codec.paused and chance.random() < 0.8:
                codec.resume()
        except H1Error:
            with pytest.raises(H1Error) as again:
                codec.feed(b"")
            assert 400 <= again.value.status < 600
            return


def ask(pieces: list[bytes], chance: random.Random) -> None:
    codec = ClientCodec(most_body=10_000)
    try:
        for piece in pieces:
            if not codec.awaiting:
                codec.expect(head_request=chance.random() < 0.2)
            codec.feed(piece)
        codec.eof()
    except H1Error:
        assert not codec.awaiting
        with pytest.raises(H1Error):
            codec.feed(b"")


@given(seed=SEEDS, count=st.integers(1, 4))
@settings(max_examples=300)
def test_conversations_with_faults_are_survived(seed: int, count: int) -> None:
    writer = Writer(seed)
    chance = writer.chance
    serve(cut(mutated(b"".join(writer.request(last=False) for _ in range(count)), chance), chance), chance)
    ask(
        cut(mutated(b"".join(writer.response(head_request=False, last=False) for _ in range(count)), chance), chance),
        chance,
    )


@given(words=st.lists(st.sampled_from(ALPHABET), max_size=40), seed=SEEDS)
@settings(max_examples=400)
def test_words_of_the_protocol_in_any_order_are_survived(words: list[bytes], seed: int) -> None:
    chance = random.Random(seed)
    for opening in [b"", b"GET / HTTP/1.1\r\nHost: a\r\n", b"HTTP/1.1 200 OK\r\n"]:
        raw = opening + b"".join(words)
        serve(cut(raw, chance), chance)
        ask(cut(raw, chance), chance)


@given(raw=st.binary(max_size=300), seed=SEEDS)
@settings(max_examples=300)
def test_bytes_at_random_are_survived(raw: bytes, seed: int) -> None:
    chance = random.Random(seed)
    for opening in [b"", b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"]:
        serve([opening, *cut(raw, chance)], chance)
    for opening in [b"", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"HTTP/1.1 200 OK\r\n\r\n"]:
        ask([opening, *cut(raw, chance)], chance)


# -- floods: what never ends ------------------------------------------------------------------------------------------

POST = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
OK = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


def endless(opening: bytes, repeated: bytes) -> Callable[[], Iterator[bytes]]:
    def pieces() -> Iterator[bytes]:
        yield opening
        while True:
            yield repeated * max(1, 65_536 // len(repeated))

    return pieces


def distinct(opening: bytes, form: bytes) -> Callable[[], Iterator[bytes]]:
    def pieces() -> Iterator[bytes]:
        yield opening
        number = 0
        while True:
            yield b"".join(form % at for at in range(number, number + 1000))
            number += 1000

    return pieces


FLOODS = {
    "a request line": endless(b"GET /", b"a"),
    "a method": endless(b"", b"A"),
    "fields": distinct(b"GET / HTTP/1.1\r\n", b"x-%d: y\r\n"),
    "one field": endless(b"GET / HTTP/1.1\r\na: ", b"b"),
    "a body in one chunk": endless(POST + b"7fffffff\r\n", b"a"),
    "small chunks": endless(POST, b"1\r\na\r\n"),
    "extensions": endless(POST, b"1;aaaaaaaa\r\na\r\n"),
    "one extension": endless(POST + b"1;", b"a"),
    "a size": endless(POST, b"0"),
    "trailers": distinct(POST + b"0\r\n", b"x-%d: y\r\n"),
    "one trailer": endless(POST + b"0\r\na: ", b"b"),
    "empty lines": endless(b"", b"\r\n"),
}
ANSWER_FLOODS = {
    "a status line": endless(b"HTTP/1.1 200 ", b"a"),
    "fields": distinct(b"HTTP/1.1 200 OK\r\n", b"x-%d: y\r\n"),
    "interim responses": endless(b"", b"HTTP/1.1 103 Early Hints\r\nx: y\r\n\r\n"),
    "a body": endless(b"HTTP/1.1 200 OK\r\n\r\n", b"a"),
    "small chunks": endless(OK, b"1\r\na\r\n"),
    "extensions": endless(OK, b"1;aaaaaaaa\r\na\r\n"),
    "a size": endless(OK, b"0"),
    "trailers": distinct(OK + b"0\r\n", b"x-%d: y\r\n"),
    "responses": endless(b"", b"HTTP/1.1 204 No Content\r\n\r\n"),
}


def kept_until_refused(feed: Callable[[bytes], object], pieces: Iterator[bytes], most: int) -> int:
    """Feed until it is refused, which must be within so many bytes; return the most memory held, in bytes."""
    fed, until_s = 0, time.monotonic() + HANG_S
    tracemalloc.start()
    try:
        with pytest.raises(H1Error):  # noqa: PT012 -- sooner or later
            for piece in pieces:
                feed(piece)
                fed += len(piece)
                assert fed < most
                assert time.monotonic() < until_s
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("what", FLOODS)
def test_a_flood_of_requests_is_refused_before_it_fills_the_memory(what: str) -> None:
    codec = ServerCodec(most_body=LARGEST)
    assert kept_until_refused(codec.feed, FLOODS[what](), most=2_000_000) < MOST_KEPT


@pytest.mark.parametrize("what", ANSWER_FLOODS)
def test_a_flood_of_answers_is_refused_before_it_fills_the_memory(what: str) -> None:
    codec = ClientCodec(most_body=LARGEST)
    codec.expect()
    assert kept_until_refused(codec.feed, ANSWER_FLOODS[what](), most=2_000_000) < MOST_KEPT


def test_heads_that_never_come_again_leave_no_more_than_a_limit() -> None:
    server, client = ServerCodec(), ClientCodec()

    def talk(numbers: range) -> None:
        for number in numbers:
            (request,) = server.feed(b"GET /%d HTTP/1.1\r\nHost: a%d\r\nx-%d: %d\r\n\r\n" % ((number,) * 4))
            assert request.target == b"/%d" % number
            client.expect()
            answer = client.feed(b"HTTP/1.1 200 R%d\r\nContent-Length: 0\r\nx-%d: %d\r\n\r\n" % ((number,) * 3))
            assert answer is not None

    tracemalloc.start()
    try:
        talk(range(8_000))
        settled, _ = tracemalloc.get_traced_memory()
        talk(range(8_000, 24_000))
        left, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert settled
    assert left < MOST_KEPT
    assert peak < MOST_KEPT


@pytest.mark.parametrize(
    "line", [b"a:" + b" " * 16_000 + b"\x01", b"a" * 8000 + b" " * 8000 + b":", b"a: " + b"b " * 8000 + b"\x7f"]
)
def test_no_line_is_slow_to_refuse(line: bytes) -> None:
    until_s = time.monotonic() + HANG_S
    for _ in range(200):
        codec = ServerCodec()
        with pytest.raises(H1Error):
            codec.feed(b"GET / HTTP/1.1\r\nHost: a\r\n" + line[: h1.MOST_HEAD_BYTES - 100] + line[-1:] + b"\r\n\r\n")
    assert time.monotonic() < until_s


def test_a_head_that_comes_byte_by_byte_costs_no_more_than_its_bytes() -> None:
    until_s = time.monotonic() + HANG_S
    for _ in range(10):
        codec = ServerCodec()
        for _ in range(h1.MOST_HEAD_BYTES):
            assert codec.feed(b"a") == []
    assert time.monotonic() < until_s


def test_pipelined_requests_one_at_a_time_cost_no_more_than_their_bytes() -> None:
    until_s, codec = time.monotonic() + HANG_S, ServerCodec(one_at_a_time=True)
    count = 30_000
    requests = codec.feed(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n" * count)
    while codec.paused:
        requests += codec.resume()
    assert len(requests) == count
    assert time.monotonic() < until_s
