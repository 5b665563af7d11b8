"""Calls over HTTP/1.1 to a real stand-in: decided, witnessed and answered one after another."""

import asyncio

import numpy as np
import pytest

from burst.model.identity import TRACER, id_prefix, write_ids
from burst.provider.supervisor import House, Supervisor
from burst.runs.witness import Counter, WitnessPart

RUN = "calls"
HANG_S = 20.0
PREFIX = id_prefix(RUN)


class Web:
    """A stand-in webhook with a witness of a hundred people."""

    def __init__(self, folder, behaviour=None) -> None:
        self.writers = []
        self.house = Supervisor(
            House(folder / "keys", behaviour or {}, listen=("http=127.0.0.1:0",), run=RUN, audience=100, witness=folder)
        )

    async def __aenter__(self):
        await self.house.start()
        await self.house.go(1)
        return self

    async def __aexit__(self, *_):
        for writer in self.writers:
            writer.transport.abort()
        await self.house.stop()

    async def connect(self):
        host, _, port = self.house.addresses[0].rpartition(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        self.writers.append(writer)
        return reader, writer

    def witness(self) -> WitnessPart:
        return WitnessPart.open(self.house.parts()[0])


def call(*people: int, more: str = "", body: bytes = b"{}") -> bytes:
    ids = write_ids(PREFIX, np.array(people)).decode()
    return (
        f"POST /hook HTTP/1.1\r\nhost: x\r\nburst-id: {ids}\r\n{more}content-length: {len(body)}\r\n\r\n".encode()
        + body
    )


async def answer(reader) -> tuple[int, dict[str, str], bytes]:
    async with asyncio.timeout(HANG_S):
        head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        fields = dict(line.lower().split(": ", 1) for line in head[1:] if line)
        return int(head[0].split()[1]), fields, await reader.readexactly(int(fields.get("content-length", 0)))


async def test_a_call_counts_for_everybody_it_names(tmp_path):
    async with Web(tmp_path) as web:
        reader, writer = await web.connect()
        for people in ((5,), (7, 8, 9), (20, 30, 31)):
            writer.write(call(*people))
            assert (await answer(reader))[0] == 200
        counts = web.witness().counts
        assert np.flatnonzero(counts).tolist() == [5, 7, 8, 9, 20, 30, 31]
        assert set(counts[counts > 0].tolist()) == {1}


async def test_people_may_be_named_in_the_body(tmp_path):
    async with Web(tmp_path) as web:
        reader, writer = await web.connect()
        body = b'{"id":"' + PREFIX + b'%012x+3"}' % 40
        writer.write(b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\n\r\n" % len(body) + body)
        assert (await answer(reader))[0] == 200
        assert np.flatnonzero(web.witness().counts).tolist() == [40, 41, 42]


async def test_a_tracer_comes_back_from_a_provider_that_refuses_everybody(tmp_path):
    tracer = id_prefix(RUN, TRACER) + b"000000000000"
    async with Web(tmp_path, {"answers": [{"share": 1, "reason": "ServiceUnavailable"}]}) as web:
        reader, writer = await web.connect()
        writer.write(b"POST / HTTP/1.1\r\nhost: x\r\nburst-id: " + tracer + b"\r\ncontent-length: 0\r\n\r\n")
        assert (await answer(reader))[0] == 200
        writer.write(call(1))
        assert (await answer(reader))[0] == 503
        witness = web.witness()
        assert witness.counters[Counter.TRACERS] == 1
        assert witness.counts[1] == 0x10


async def test_pipelined_calls_are_answered_in_their_order_however_many(tmp_path):
    async with Web(tmp_path) as web:
        reader, writer = await web.connect()
        writer.write(b"".join(call(at % 100) for at in range(3000)))
        for _ in range(3000):
            assert (await answer(reader))[0] == 200
        assert web.witness().counters[Counter.ACCEPTED] == 3000


async def test_answers_that_take_their_time_come_in_their_order(tmp_path):
    async with Web(tmp_path, {"latency": {"p50": "5ms", "p99": "30ms"}}) as web:
        reader, writer = await web.connect()
        writer.write(call(1) + call(2) + call(3))
        for _ in range(3):
            assert (await answer(reader))[0] == 200


async def test_a_quota_refuses_whole_calls_and_says_when_to_come_again(tmp_path):
    async with Web(tmp_path, {"http": {"quota": {"rate": "1/s", "burst": 1, "retry_after": "2s"}}}) as web:
        reader, writer = await web.connect()
        writer.write(call(1) + call(2))
        assert (await answer(reader))[0] == 200
        status, fields, _ = await answer(reader)
        assert (status, fields["retry-after"]) == (429, "2")
        assert web.witness().counts[:4].tolist() == [0, 1, 0x10, 0]


@pytest.mark.parametrize(
    ("behaviour", "accepted"),
    [
        ({"malformed": 1}, 1),
        ({"reset_streams": {"share": 1, "code": "CANCEL"}}, 0),
        ({"outages": [{"at": 0, "lasts": "99999h", "how": "close"}]}, 0),
        ({"reset_after_requests": 1}, 1),
        ({"close_after_requests": 1}, 1),
    ],
)
async def test_a_connection_can_end_in_many_ways_and_each_is_witnessed(tmp_path, behaviour, accepted):
    async with Web(tmp_path, behaviour) as web:
        reader, writer = await web.connect()
        writer.write(call(1))
        async with asyncio.timeout(HANG_S):
            try:
                while await reader.read(65_536):
                    pass
            except ConnectionResetError:
                pass
        assert web.witness().counters[Counter.ACCEPTED] == accepted


@pytest.mark.parametrize("behaviour", [{"silent": 1}, {"hang": 1}])
async def test_silence_is_kept(tmp_path, behaviour):
    async with Web(tmp_path, behaviour) as web:
        reader, writer = await web.connect()
        writer.write(call(1))
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.3):
                await reader.read(1)
        assert web.witness().counters[Counter.ATTEMPTS] == 1
        assert web.witness().counters[Counter.ACCEPTED] == ("silent" in behaviour)


async def test_an_answer_dribbles(tmp_path):
    async with Web(tmp_path, {"slow_bytes": {"bytes": 7, "every": "5ms"}}) as web:
        reader, writer = await web.connect()
        writer.write(call(1))
        first = await reader.read(65_536)
        assert len(first) % 7 == 0  # a drop, or a few where the reader was slow
        assert not first.endswith(b"{}")
        assert (await answer_rest(reader)).endswith(b"{}")


async def answer_rest(reader) -> bytes:
    found = b""
    async with asyncio.timeout(HANG_S):
        while not found.endswith(b"\r\n\r\n{}"):
            found += await reader.read(100)
    return found


async def test_whoever_writes_no_more_still_gets_his_answer(tmp_path):
    async with Web(tmp_path, {"latency": {"p50": "20ms"}}) as web:
        reader, writer = await web.connect()
        writer.write(call(1))
        writer.write_eof()
        assert (await answer(reader))[0] == 200
        assert await reader.read(1) == b""


async def test_whoever_writes_no_more_gets_the_answers_to_all_he_asked(tmp_path):
    async with Web(tmp_path, {"latency": {"p50": "20ms"}}) as web:
        reader, writer = await web.connect()
        writer.write(call(1) + call(2) + call(3))
        writer.write_eof()
        for _ in range(3):
            assert (await answer(reader))[0] == 200
        assert await reader.read(1) == b""
        assert np.flatnonzero(web.witness().counts).tolist() == [1, 2, 3]


@pytest.mark.parametrize("more", ["", "connection: close\r\n"])
async def test_an_answer_that_dribbles_is_whole_for_whoever_writes_no_more(tmp_path, more):
    async with Web(tmp_path, {"slow_bytes": {"bytes": 7, "every": "5ms"}}) as web:
        reader, writer = await web.connect()
        writer.write(call(1, more=more))
        first = await reader.read(65_536)
        assert len(first) % 7 == 0  # a drop, or a few where the reader was slow
        assert not first.endswith(b"{}")
        writer.write_eof()
        async with asyncio.timeout(HANG_S):
            assert (await reader.read()).endswith(b"{}")


async def test_whoever_asks_much_before_his_answers_gets_them_all(tmp_path):
    """More than is kept of calls that wait: the rest waits in the socket."""
    calls, body = 120, b"x" * 30_000
    async with Web(tmp_path, {"latency": {"p50": "5ms"}}) as web:
        reader, writer = await web.connect()
        for number in range(calls):
            writer.write(call(number % 100, body=body))
        for _ in range(calls):
            assert (await answer(reader))[0] == 200
        assert web.witness().counters[Counter.ACCEPTED] == calls


async def test_what_is_no_http_is_answered_400_and_let_go(tmp_path):
    async with Web(tmp_path) as web:
        reader, writer = await web.connect()
        writer.write(call(1) + b"\x00\x01\x02\r\n\r\n")
        assert (await answer(reader))[0] == 200
        status, fields, _ = await answer(reader)
        assert (status, fields["connection"]) == (400, "close")
        assert await reader.read(1) == b""


async def test_a_webhook_wants_what_its_behaviour_says(tmp_path):
    async with Web(tmp_path, {"http": {"auth": "bearer", "status": 202, "max_payload": 10}}) as web:
        reader, writer = await web.connect()
        writer.write(call(1))
        status, fields, _ = await answer(reader)
        assert (status, fields["www-authenticate"]) == (401, "bearer")
        writer.write(call(2, more="authorization: Bearer abc\r\n"))
        assert (await answer(reader))[0] == 202
        writer.write(call(3, more="authorization: Bearer abc\r\n", body=b"x" * 11))
        assert (await answer(reader))[0] == 413
        assert web.witness().counts[1:4].tolist() == [0x10, 1, 0x10]
