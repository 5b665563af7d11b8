"""Calls that one turn of the loop has read are taken together, and each is answered as if it had come alone."""

import asyncio
import contextlib
import hashlib
import json
import re
import time

import numpy as np
import pytest

from burst.model.identity import id_prefix
from burst.provider.behaviour import Behaviour
from burst.provider.cloud_keys import aws_credentials, read_aws_credentials
from burst.provider.serving import Brief, Serving
from burst.runs.witness import Counter
from burst.runs.witness_part import NIBBLE
from tests.provider_client import until
from tests.unit.test_provider.test_sqs_shapes import content, signed

RUN, HANG_S, NOW_S = "turns", 20.0, 1_900_000_000
PREFIX = id_prefix(RUN).decode()


def body_of(person: int, text: str = "hi") -> str:
    return json.dumps({"id": f"{PREFIX}{person:012x}", "token": "%08x" % (person * 77), "text": text})


def three(first: int, text: str = "hi") -> bytes:
    return content([body_of(first + at, text) for at in range(3)])


class Turns:
    """A stand-in in this loop, with connections: ``read`` gives it bytes as the loop does, so that it is known when."""

    def __init__(self, folder, connections: int) -> None:
        path = aws_credentials(folder)
        self.keys = read_aws_credentials(path)
        brief = Brief(
            process=0,
            processes=1,
            listen=["sqs=127.0.0.1:0"],
            run=RUN,
            audience=1000,
            witness=str(folder / "witness"),
            behaviour={},
            seed=1,
            aws_file=str(path),
        )
        self.serving = Serving(brief)
        self.serving._wall_s = lambda: float(NOW_S)
        self.desk = self.serving.desks["sqs"]
        self.connections = connections
        self.links = []
        self.streams = []

    async def __aenter__(self):
        await self.serving.open()
        self.desk.go(time.monotonic_ns())
        port = self.serving.servers[0].sockets[0].getsockname()[1]
        for _ in range(self.connections):
            self.streams.append(await asyncio.open_connection("127.0.0.1", port))
            await until(lambda: len(self.desk.links) == len(self.streams))
        self.links = list(self.desk.links.values())
        return self

    async def __aexit__(self, *_):
        for _, writer in self.streams:
            writer.transport.abort()
        self.serving.close()
        await until(lambda: not self.desk.links)

    def signed(self, body: bytes) -> bytes:
        return signed(self.keys, body, NOW_S)

    def read(self, at: int, data: bytes) -> None:
        """Let a connection read; what it keeps is taken when the loop goes on."""
        link = self.links[at]
        link.get_buffer(-1)[: len(data)] = data
        link.buffer_updated(len(data))

    def kept(self) -> list[int]:
        """Return how many calls of each shape wait for the end of the turn."""
        return [len(calls) for calls in self.desk._kept.values()]

    async def answer(self, at: int) -> tuple[int, dict]:
        """Return the next answer's status and body."""
        reader, _ = self.streams[at]
        async with asyncio.timeout(HANG_S):
            head = await reader.readuntil(b"\r\n\r\n")
            size = int(re.search(rb"content-length: (\d+)", head)[1])
            return int(head.split(b" ")[1]), json.loads(await reader.readexactly(size))

    async def learn(self, first: int, text: str = "hi") -> None:
        """Ask once, so that the shape is known; none is learned sooner than 20 ms after another."""
        await asyncio.sleep(0.03)
        self.read(0, self.signed(three(first, text)))
        assert not self.kept()
        check(await self.answer(0), three(first, text))

    def seen(self) -> list[int]:
        """Return everybody who was accepted; nobody was twice."""
        counts = self.serving.witness.counts & NIBBLE
        assert counts.max() <= 1
        return np.flatnonzero(counts).tolist()


def check(answer: tuple[int, dict], body: bytes) -> list[str]:
    """Check that an answer is to a call with this body, all taken; return the ids of its messages."""
    status, told = answer
    assert status == 200
    entries = json.loads(body)["Entries"]
    rows = told["Successful"]
    assert [row["Id"] for row in rows] == [entry["Id"] for entry in entries]
    digests = [hashlib.md5(entry["MessageBody"].encode()).hexdigest() for entry in entries]
    assert [row["MD5OfMessageBody"] for row in rows] == digests
    return [row["MessageId"] for row in rows]


@pytest.mark.parametrize("calls", [1, 2, 31, 32, 33, 70])
async def test_however_many_calls_a_turn_has_each_gets_its_own_answer(tmp_path, calls):
    async with Turns(tmp_path, calls) as turns:
        await turns.learn(900)
        bodies = [three(3 * at) for at in range(calls)]
        for at, body in enumerate(bodies):
            turns.read(at, turns.signed(body))
        assert turns.kept() == [calls]
        idents = [ident for at, body in enumerate(bodies) for ident in check(await turns.answer(at), body)]
        assert len(set(idents)) == 3 * calls
        assert turns.seen() == [*range(3 * calls), 900, 901, 902]
        assert turns.serving.witness.counters[Counter.ACCEPTED] == 3 * calls + 3
        assert turns.desk.sums.requests == calls + 1


@pytest.mark.parametrize(
    ("one", "another"),
    [(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"), (b" HTTP/1.1\r\n", b" HTTP/1.0\r\n")],
    ids=["close", "1.0"],
)
async def test_a_call_that_is_to_be_its_connections_last_is_so_each_time(tmp_path, one, another):
    async with Turns(tmp_path, 3) as turns:
        await asyncio.sleep(0.03)
        for at in range(3):
            body = three(3 * at)
            turns.read(at, turns.signed(body).replace(one, another, 1))
            check(await turns.answer(at), body)
            async with asyncio.timeout(HANG_S):
                assert await turns.streams[at][0].read() == b""
        assert turns.seen() == list(range(9))


async def test_calls_of_two_shapes_may_come_in_one_turn(tmp_path):
    async with Turns(tmp_path, 6) as turns:
        await turns.learn(900)
        await turns.learn(910, "longer")
        bodies = [three(3 * at, ("hi", "longer")[at % 2]) for at in range(6)]
        for at, body in enumerate(bodies):
            turns.read(at, turns.signed(body))
        assert turns.kept() == [3, 3]
        for at, body in enumerate(bodies):
            check(await turns.answer(at), body)
        assert turns.seen() == [*range(18), 900, 901, 902, 910, 911, 912]


async def test_what_is_wrong_with_one_call_of_a_turn_is_no_matter_to_the_others(tmp_path):
    async with Turns(tmp_path, 6) as turns:
        await turns.learn(900)
        bodies = [three(3 * at) for at in range(6)]
        calls = [turns.signed(body) for body in bodies]
        bodies[4] = bodies[4].replace(b"hi", b"ho", 1)  # as long, but of another shape
        calls[4] = turns.signed(bodies[4])
        calls[2] = calls[2].replace(b"%012x" % 6, b"%012x" % 500)  # not what was signed
        for at, call in enumerate(calls):
            turns.read(at, call)
        assert turns.kept() == [6]
        assert (await turns.answer(2))[0] == 403
        for at in (0, 1, 3, 4, 5):
            check(await turns.answer(at), bodies[at])
        assert turns.seen() == [at for at in range(18) if at not in {6, 7, 8}] + [900, 901, 902]
        assert turns.desk.sums.requests == 7
        turns.read(2, turns.signed(three(6)))  # and that connection lives on
        check(await turns.answer(2), three(6))


async def test_a_call_in_two_reads_is_answered_once(tmp_path):
    async with Turns(tmp_path, 1) as turns:
        await turns.learn(900)
        call = turns.signed(three(0))
        turns.read(0, call[:-5])
        turns.read(0, call[-5:])
        check(await turns.answer(0), three(0))
        turns.read(0, turns.signed(three(3)))
        assert turns.kept() == [1]
        check(await turns.answer(0), three(3))
        assert turns.seen() == [*range(6), 900, 901, 902]


@pytest.mark.parametrize("right", [True, False])
async def test_what_comes_behind_a_call_that_was_kept_is_answered_after_it(tmp_path, right):
    async with Turns(tmp_path, 1) as turns:
        await turns.learn(900)
        bodies = [three(first) for first in range(0, 12, 3)]
        first, second, *others = [turns.signed(body) for body in bodies]
        turns.read(0, first if right else first.replace(b"%012x" % 0, b"%012x" % 500))
        assert turns.kept() == [1]
        turns.read(0, second[:100])
        turns.read(0, second[100:] + b"".join(others))
        if right:
            check(await turns.answer(0), bodies[0])
        else:
            assert (await turns.answer(0))[0] == 403
        for body in bodies[1:]:
            check(await turns.answer(0), body)
        assert turns.seen() == [*range(0 if right else 3, 12), 900, 901, 902]
        turns.streams[0][1].write(turns.signed(three(20)))  # the socket is read again
        check(await turns.answer(0), three(20))


async def test_a_client_that_has_said_all_gets_the_answer_to_a_call_that_was_kept(tmp_path):
    async with Turns(tmp_path, 1) as turns:
        await turns.learn(900)
        turns.read(0, turns.signed(three(0)))
        assert turns.links[0].eof_received()
        check(await turns.answer(0), three(0))
        assert await turns.streams[0][0].read() == b""


@pytest.mark.parametrize("right", [True, False])
async def test_who_leaves_before_the_turn_ends_disturbs_nobody(tmp_path, right):
    async with Turns(tmp_path, 3) as turns:
        await turns.learn(900)
        for at in range(3):
            call = turns.signed(three(3 * at))
            turns.read(at, call if right or at != 1 else call.replace(b"hi", b"ho", 1))
        assert turns.kept() == [3]
        turns.links[1].transport.abort()
        turns.links[1].connection_lost(None)
        for at in (0, 2):
            check(await turns.answer(at), three(3 * at))
        # What was right has been taken, as it may be of a client that does not wait to hear so.
        assert turns.seen() == [at for at in range(9) if right or at not in {3, 4, 5}] + [900, 901, 902]
        assert turns.desk.sums.requests == 3 + right
        assert len(turns.desk.links) == 2


@pytest.mark.parametrize("known", [True, False])
async def test_an_answer_that_fails_costs_its_own_connection_and_no_other_and_is_told(tmp_path, known):
    async with Turns(tmp_path, 4) as turns:
        told = []
        asyncio.get_running_loop().set_exception_handler(lambda _, context: told.append(context["exception"]))
        if known:
            await turns.learn(900)
        failure = RuntimeError("nobody thought of this")

        def fail(*_, **__):
            raise failure

        turns.links[1].dribble.put = fail
        bodies = [three(3 * at, "hi" if known else "hi" * (at + 1)) for at in range(4)]
        for at, body in enumerate(bodies):
            turns.read(at, turns.signed(body))
        assert turns.kept() == ([4] if known else [])
        for at in (0, 2, 3):
            check(await turns.answer(at), bodies[at])
        async with asyncio.timeout(HANG_S):
            with contextlib.suppress(ConnectionResetError):
                assert await turns.streams[1][0].read() == b""
        assert told == [failure]
        turns.read(0, turns.signed(three(600)))  # and the desk goes on
        check(await turns.answer(0), three(600))


async def test_a_shape_that_cannot_be_taken_costs_its_own_connections_and_no_others(tmp_path):
    async with Turns(tmp_path, 5) as turns:
        told = []
        asyncio.get_running_loop().set_exception_handler(lambda _, context: told.append(context["exception"]))
        await turns.learn(900)
        await turns.learn(910, "longer")
        failure, glance = RuntimeError("nobody thought of this"), turns.desk.sqs.glance

        def fail(shape, calls):
            if b"longer" in calls[0]:
                raise failure
            return glance(shape, calls)

        turns.desk.sqs.glance = fail
        texts = ["longer", "hi", "longer", "hi", "in full"]
        bodies = [three(3 * at, text) for at, text in enumerate(texts)]
        for at, body in enumerate(bodies):
            turns.read(at, turns.signed(body))
        assert turns.kept() == [2, 2]
        for at in (1, 3, 4):
            check(await turns.answer(at), bodies[at])
        for at in (0, 2):
            async with asyncio.timeout(HANG_S):
                with contextlib.suppress(ConnectionResetError):
                    assert await turns.streams[at][0].read() == b""
        assert told == [failure, failure]
        assert turns.seen() == [3, 4, 5, *range(9, 15), 900, 901, 902, 910, 911, 912]


async def test_what_was_read_before_an_order_is_answered_as_it_was_before(tmp_path):
    async with Turns(tmp_path, 2) as turns:
        await turns.learn(900)
        turns.read(0, turns.signed(three(0)))
        turns.desk.behave(Behaviour.model_validate({"outages": [{"at": "0s", "lasts": "1h"}]}))
        turns.read(0, turns.signed(three(3)))
        check(await turns.answer(0), three(0))
        assert (await turns.answer(0))[0] == 503
        turns.desk.behave(Behaviour())
        await turns.learn(910)
        turns.read(1, turns.signed(three(6)))
        turns.desk.order("close", {})
        check(await turns.answer(1), three(6))
        assert await turns.streams[1][0].read() == b""
        assert turns.seen() == [0, 1, 2, 6, 7, 8, 900, 901, 902, 910, 911, 912]


async def test_a_queue_that_is_deleted_before_the_turn_ends_has_taken_nothing(tmp_path):
    async with Turns(tmp_path, 1) as turns:
        await turns.learn(900)
        queues = turns.desk.sqs.queues
        queues.made = False
        turns.read(0, turns.signed(three(0)))
        assert turns.kept() == [1]
        queues.delete(queues.by_name["q"])
        status, told = await turns.answer(0)
        assert status == 400
        assert "does not exist" in told["message"]
        assert turns.seen() == [900, 901, 902]
