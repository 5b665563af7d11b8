"""Another implementation (the h11 package) reads the same bytes: both find the same messages."""

import random
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import h11
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from burst.wire.h1 import H1Error
from burst.wire.h1_client import ClientCodec, Response
from burst.wire.h1_server import CONTINUE, Request, ServerCodec, response

pytestmark = pytest.mark.slow

Message = tuple[Any, ...]
SEEDS = st.integers(0, 2**48)
CRLF = b"\r\n"


@dataclass
class Heard:
    """What somebody made of bytes: whole messages, whether one is cut short, and what was refused."""

    messages: list[Message] = field(default_factory=list)
    fault: str = ""
    cut: bool = False
    continues: int = 0
    head: Any = field(default=None, compare=False)  # of the message that is coming
    body: bytes = field(default=b"", compare=False)


def cut(raw: bytes, chance: random.Random) -> list[bytes]:
    """Cut bytes somewhere, or everywhere."""
    if chance.random() < 0.3:
        return [raw[at : at + 1] for at in range(len(raw))]
    cuts = sorted(chance.randrange(len(raw) + 1) for _ in range(chance.choice([1, 2, 5, 20])))
    return [raw[start:end] for start, end in pairwise([0, *cuts, len(raw)])]


# -- what each makes of a client's bytes -------------------------------------------------------------------------------


def fields_of(fields: list[tuple[bytes, bytes]]) -> dict[bytes, bytes]:
    joined: dict[bytes, bytes] = {}
    for name, value in fields:
        joined[name] = joined[name] + b", " + value if name in joined else value
    if b"transfer-encoding" in joined:
        joined[b"transfer-encoding"] = joined[b"transfer-encoding"].lower()
    return joined


def told_request(request: Request) -> Message:
    return request.method, request.target, fields_of(list(request.fields.items())), request.body, request.keep_alive


def our_requests(pieces: list[bytes], *, one_at_a_time: bool = False) -> Heard:
    heard, codec = Heard(), ServerCodec(one_at_a_time=one_at_a_time)
    try:
        for piece in pieces:
            requests = codec.feed(piece)
            heard.messages += map(told_request, requests)
            while codec.paused:
                assert len(requests) == 1
                requests = codec.resume()
                heard.messages += map(told_request, requests)
    except H1Error as error:
        heard.messages += map(told_request, error.whole)
        heard.fault = str(error)
    assert set(codec.output) <= {CONTINUE}
    heard.continues = len(codec.output)
    return heard


def their_requests(pieces: list[bytes]) -> Heard:
    heard, theirs = Heard(), h11.Connection(h11.SERVER)
    try:
        for piece in pieces:
            theirs.receive_data(piece)
            _answer(theirs, heard)
        if theirs.their_state is not h11.IDLE or theirs.trailing_data[0]:
            heard.cut = theirs.their_state in {h11.IDLE, h11.SEND_BODY}
    except h11.RemoteProtocolError as error:
        heard.fault = str(error)
    return heard


def _answer(theirs: h11.Connection, heard: Heard) -> None:
    """Take events as they come, and answer each request that is whole."""
    while True:
        match event := theirs.next_event():
            case h11.Request():
                heard.head, heard.body = event, b""
            case h11.Data():
                heard.body += bytes(event.data)
            case h11.EndOfMessage():
                head = heard.head
                alive = theirs.their_state is h11.DONE
                heard.messages.append((head.method, head.target, fields_of(list(head.headers)), heard.body, alive))
                theirs.send(h11.Response(status_code=200, headers=[(b"content-length", b"0")]))
                theirs.send(h11.EndOfMessage())
                if alive:
                    theirs.start_next_cycle()
            case _:
                assert event in {h11.NEED_DATA, h11.PAUSED} or isinstance(event, h11.ConnectionClosed)
                if theirs.they_are_waiting_for_100_continue:
                    theirs.send(h11.InformationalResponse(status_code=100, headers=[]))
                    heard.continues += 1
                return


# -- what each makes of a server's bytes -------------------------------------------------------------------------------


def told_response(answer: Response) -> Message:
    return answer.head.status, normal(list(answer.head.fields)), answer.body, answer.head.keep_alive


def normal(fields: list[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    """Fields as h11 tells them: one content-length, codings in lower case."""
    seen: list[tuple[bytes, bytes]] = []
    for name, value in fields:
        if name == b"content-length":
            if not any(said == name for said, _ in seen):
                seen.append((name, value.split(b",")[0].strip()))
        else:
            seen.append((name, value.lower() if name == b"transfer-encoding" else value))
    return seen


def our_responses(parts: list[tuple[bool, list[bytes]]], *, ended: bool) -> Heard:
    """Read responses: to each, whether its request was HEAD, and the pieces it came in."""
    heard, codec = Heard(), ClientCodec()
    try:
        for head_request, pieces in parts:
            codec.expect(head_request=head_request)
            for piece in pieces:
                assert codec.awaiting or not piece or codec.feed(piece) is None
                answer = codec.feed(piece) if codec.awaiting else None
                if answer is not None:
                    heard.messages.append(told_response(answer))
            if codec.awaiting and not ended:
                heard.cut = True
                return heard
        if codec.awaiting:
            answer = codec.eof()
            assert answer is not None
            heard.messages.append(told_response(answer))
        else:
            assert codec.eof() is None
    except H1Error as error:
        heard.messages += map(told_response, error.whole)
        heard.fault = str(error)
    return heard


def their_responses(parts: list[tuple[bool, list[bytes]]], *, ended: bool) -> Heard:
    heard, theirs = Heard(), h11.Connection(h11.CLIENT)
    try:
        for number, (head_request, pieces) in enumerate(parts):
            if number:
                if theirs.their_state is not h11.DONE or theirs.our_state is not h11.DONE:
                    heard.cut = True
                    return heard
                theirs.start_next_cycle()
            theirs.send(h11.Request(method="HEAD" if head_request else "GET", target="/", headers=[("host", "a")]))
            theirs.send(h11.EndOfMessage())
            for piece in pieces:
                if piece:
                    theirs.receive_data(piece)
                    _hear(theirs, heard)
        if (ended and theirs.their_state is h11.SEND_BODY) or theirs.their_state is h11.SEND_RESPONSE:
            theirs.receive_data(b"")
            _hear(theirs, heard)
        if theirs.trailing_data[0]:
            heard.fault = "bytes that no request asked for"
    except h11.RemoteProtocolError as error:
        heard.fault = str(error)
    return heard


def _hear(theirs: h11.Connection, heard: Heard) -> None:
    while True:
        match event := theirs.next_event():
            case h11.Response():
                heard.head, heard.body = event, b""
            case h11.InformationalResponse():
                pass
            case h11.Data():
                heard.body += bytes(event.data)
            case h11.EndOfMessage():
                head = heard.head
                alive = theirs.their_state is h11.DONE and not theirs.trailing_data[1]
                heard.messages.append((head.status_code, normal(list(head.headers)), heard.body, alive))
            case _:
                return


# -- messages as they should be ----------------------------------------------------------------------------------------

TOKEN_BYTES = b"!#$%&'*+-.^_`|~0123456789abcxyzABCXYZ"
TEXT_BYTES = bytes([*range(0x21, 0x7F), *range(0x80, 0x100)])


class Writer:
    """Writes messages that are well formed, in every way that they can be."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)
        self.end = self.chance.choice([CRLF, CRLF, CRLF, b"\n"])  # of a line: h11 and we take a bare LF, too

    def token(self) -> bytes:
        return b"x" + bytes(self.chance.choices(TOKEN_BYTES, k=self.chance.randint(0, 12)))

    def value(self) -> bytes:
        words = [
            bytes(self.chance.choices(TEXT_BYTES, k=self.chance.randint(1, 20)))
            for _ in range(self.chance.randrange(4))
        ]
        return self.chance.choice([b" ", b"\t", b"  \t"]).join(words)

    def field(self, name: bytes, value: bytes) -> bytes:
        blank = [b"", b" ", b"\t", b"   "]
        name = self.chance.choice([name, name.lower(), name.upper(), name.title()])
        return name + b":" + self.chance.choice(blank) + value + self.chance.choice(blank) + self.end

    def some_fields(self) -> list[bytes]:
        names = [self.token() for _ in range(3)]
        return [self.field(self.chance.choice(names), self.value()) for _ in range(self.chance.randrange(5))]

    def body(self) -> bytes:
        return self.chance.randbytes(self.chance.choice([0, 1, 10, 100, 1000, 30_000]))

    def chunked(self, body: bytes) -> bytes:
        out = []
        while body:
            size = self.chance.choice([1, 7, 100, 20_000])
            chunk, body = body[:size], body[size:]
            digits = self.chance.choice([b"%x", b"%X", b"0000%x"]) % len(chunk)
            extension = self.chance.choice([b"", b"", b";a", b';a="b;c"', b" ", b"; a = b \t"])
            out.append(digits + extension + CRLF + chunk + CRLF)
        trailers = self.some_fields() if self.chance.random() < 0.3 else []
        return b"".join([*out, self.chance.choice([b"0", b"000", b"0;last"]) + CRLF, *trailers, self.end])

    def framed(self, body: bytes) -> tuple[list[bytes], bytes]:
        """Fields that frame a body, and it."""
        length = b"%d" % len(body)
        match self.chance.randrange(4):
            case 0:
                return [self.field(b"Transfer-Encoding", self.chance.choice([b"chunked", b"Chunked"]))], self.chunked(
                    body
                )
            case 1:
                said = [self.field(b"Content-Length", length)]
                return said * 2 if self.chance.random() < 0.5 else [
                    self.field(b"Content-Length", length + b" , " + length)
                ], body
            case _:
                return [self.field(b"Content-Length", length)], body

    def head(self, first: bytes, fields: list[bytes]) -> bytes:
        self.chance.shuffle(fields)
        return first + self.end + b"".join(fields) + self.end

    def request(self, *, last: bool) -> bytes:
        body = self.body()
        framing, content = self.framed(body) if self.chance.random() < 0.7 else ([], b"")
        version = b"HTTP/1.1"
        fields = [
            *self.some_fields(),
            *framing,
            self.field(b"Host", self.chance.choice([b"a.example:80", b"[::1]", b""])),
        ]
        options = [b"keep-alive", b"x, keep-alive"]
        if last:
            options = [b"close", b"Keep-Alive, Close"]
        if last and not any(b"coding" in line.lower() for line in framing) and self.chance.random() < 0.3:
            version, options = b"HTTP/1.0", [b"x"]
        if last or self.chance.random() < 0.3:
            fields.append(self.field(b"Connection", self.chance.choice(options)))
        if self.chance.random() < 0.2:
            fields.append(self.field(b"Expect", self.chance.choice([b"100-continue", b"100-Continue", b"x"])))
        method, target = self.chance.choice(
            [
                (b"GET", b"/"),
                (b"POST", b"/a/b?c=d&e"),
                (b"OPTIONS", b"*"),
                (self.token(), b"http://a.example/x"),
                (b"HEAD", b"/"),
            ]
        )
        return self.head(b"%b %b %b" % (method, target, version), fields) + content

    def response(self, *, head_request: bool, last: bool) -> bytes:
        chance, interim = self.chance, b""
        while chance.random() < 0.2:
            interim += self.head(
                chance.choice([b"HTTP/1.1 100 Continue", b"HTTP/1.1 103 Early Hints"]), self.some_fields()
            )
        status = chance.choice([200, 200, 200, 201, 204, 304, 400, 503, 999])
        framing, content = self.framed(self.body())
        bodiless = status in {204, 304} or head_request
        version, fields = b"1.1", self.some_fields()
        if last:
            match chance.randrange(3):
                case 0:
                    fields.append(self.field(b"Connection", b"close"))
                case 1:
                    framing, content = [], self.body()
                case _:
                    version, framing, content = b"1.0", [], self.body()
        first = b"HTTP/%b %d" % (version, status) + chance.choice([b"", b" ", b" OK", b" No\tsuch \xe9thing"])
        return interim + self.head(first, fields + framing) + (b"" if bodiless else content)


# -- and what both make of them ----------------------------------------------------------------------------------------


@given(seed=SEEDS, count=st.integers(1, 4))
@settings(max_examples=300)
def test_requests_however_they_are_cut_are_what_h11_reads(seed: int, count: int) -> None:
    writer = Writer(seed)
    raw = b"".join(writer.request(last=number == count - 1 and seed % 2 == 0) for number in range(count))
    theirs = their_requests([raw])
    assert not theirs.fault
    assert len(theirs.messages) == count
    for pieces in [[raw], cut(raw, writer.chance), cut(raw, writer.chance)]:
        assert our_requests(pieces) == Heard(theirs.messages, continues=our_requests(pieces).continues)
        assert our_requests(pieces, one_at_a_time=True).messages == theirs.messages


@given(seed=SEEDS)
@settings(max_examples=150)
def test_continue_is_said_to_whom_h11_would_say_it(seed: int) -> None:
    raw = Writer(seed).request(last=False)
    pieces = [raw[at : at + 1] for at in range(len(raw))]
    assert our_requests(pieces).continues == their_requests(pieces).continues
    assert our_requests([raw]).continues == 0


@given(seed=SEEDS, count=st.integers(1, 4))
@settings(max_examples=300)
def test_responses_however_they_are_cut_are_what_h11_reads(seed: int, count: int) -> None:
    writer = Writer(seed)
    asked = [writer.chance.random() < 0.2 for _ in range(count)]
    raws = [
        writer.response(head_request=head, last=number == count - 1 and seed % 2 == 0)
        for number, head in enumerate(asked)
    ]
    theirs = their_responses([(head, [raw]) for head, raw in zip(asked, raws, strict=True)], ended=True)
    assert not theirs.fault
    assert len(theirs.messages) == count
    for _ in range(3):
        ours = our_responses(
            [(head, cut(raw, writer.chance)) for head, raw in zip(asked, raws, strict=True)], ended=True
        )
        assert ours == theirs
    assert our_responses([(head, [raw]) for head, raw in zip(asked, raws, strict=True)], ended=True) == theirs


@given(
    seed=SEEDS, status=st.sampled_from([200, 204, 304, 404, 503, 599]), head_request=st.booleans(), alive=st.booleans()
)
@settings(max_examples=150)
def test_responses_that_we_write_are_read_by_h11_and_by_us(
    seed: int, status: int, head_request: bool, alive: bool
) -> None:
    writer = Writer(seed)
    body = b"" if status in {204, 304} else writer.body()
    raw = response(status, [(writer.token(), writer.value())], body, keep_alive=alive, head_request=head_request)
    parts = [(head_request, cut(raw, writer.chance))]
    theirs = their_responses(parts, ended=False)
    assert our_responses(parts, ended=False) == theirs
    ((told, _, content, stays),) = theirs.messages
    assert (told, content, stays) == (status, b"" if head_request else body, alive)
