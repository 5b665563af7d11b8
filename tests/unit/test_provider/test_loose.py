"""Requests of which no shape can be known: read together in one go, or alone, they are answered alike."""

import asyncio
import contextlib
import random
import time
import uuid
from types import SimpleNamespace

import numpy as np
import pytest
from hpack import HeaderTuple

from burst.model.identity import TRACER
from burst.model.units import NS_PER_S
from burst.provider import intake
from burst.runs.witness import Counter
from tests.provider_client import frame
from tests.unit.test_provider.test_intake import GOOD, HANG_S, OK, RUN, Raw, bearer, faulty, ident, raw

JSON = b'{"aps":{}}'


@pytest.fixture(autouse=True)
def by_column(monkeypatch):
    """Count the groups of heads that are read by column: none here."""
    read: list[int] = []
    real = intake.Intake.read
    monkeypatch.setattr(intake.Intake, "read", lambda *arguments: read.append(1) or real(*arguments))
    yield
    assert not read


def is_uuid(text: str) -> bool:
    with contextlib.suppress(ValueError):
        return str(uuid.UUID(text)) == text.lower()
    return False


def head(client: Raw, *twice: tuple[str, str], flags: int = 4, device: str = GOOD, **fields: str) -> tuple[int, bytes]:
    """Return a stream and its HEADERS, of fields that enter the table: a nonce keeps every block from being alike."""
    more = {"apns-topic": "com.example.burst", "nonce": f"{client.next_stream:09}"}
    more |= {name.replace("_", "-").replace("ident", "apns-id"): text for name, text in fields.items()}
    pairs = [(":method", "POST"), (":scheme", "https"), (":path", f"/3/device/{device}"), *more.items(), *twice]
    stream, client.next_stream = client.next_stream, client.next_stream + 2
    return stream, frame(1, flags, stream, client.encoder.encode([HeaderTuple(*pair) for pair in pairs]))


def request(client: Raw, *twice: tuple[str, str], body: bytes = JSON, **fields: str) -> bytes:
    stream, start = head(client, *twice, **fields)
    return start + frame(0, 1, stream, body)


@pytest.mark.parametrize("behaviour", [{}, {"dead": 0.3}, {"latency": {"p50": "1ms"}}])
async def test_together_and_alone_they_are_answered_and_witnessed_alike(inside, behaviour):
    rng = random.Random(6)
    requests = [faulty(rng) | {"body": rng.choice([JSON] * 8 + [b"", b"x" * 4097])} for _ in range(150)]
    requests = [one | {"device": rng.randbytes(32).hex()} if one["device"] == GOOD else one for one in requests]
    answers, counted = [], []
    for together in (True, False):
        async with inside(run=RUN, audience=50, **behaviour) as house, raw(house) as client:
            if together:
                answers.append(await client.send(*(request(client, **one) for one in requests)))
            else:
                answers.append([(await client.send(request(client, **one)))[0] for one in requests])
            counted.append([house.witness.counts.tolist(), house.witness.counters[: Counter.REQUESTS + 1].tolist()])
            for one, given in zip(requests, (client.ids[stream] for stream in sorted(client.ids)), strict=True):
                assert given == one["ident"] if is_uuid(one["ident"]) else uuid.UUID(given).version == 4
            house.witness.path.unlink()
    assert answers[0] == answers[1]
    assert counted[0] == counted[1]
    expected = {"", "BadDeviceToken", "BadMessageId", "BadPriority", "InvalidPushType", "PayloadEmpty"}
    expected |= {"PayloadTooLarge"} | ({"Unregistered"} if "dead" in behaviour else set())
    assert {reason for _, reason in answers[0]} == expected


async def test_each_kind_of_id_is_counted_and_given_back(inside):
    ids = [ident(4), ident(5), ident(5), ident(50), ident(2**48 - 1), ident(1, "other"), str(uuid.uuid4())]
    ids += [ident(0, kind=TRACER), ident(1, kind=TRACER)]
    async with inside(run=RUN, audience=50) as house, raw(house) as client:
        assert await client.send(*(request(client, ident=one) for one in ids)) == [OK] * len(ids)
        for one in ids:
            assert await client.send(request(client, ident=one)) == [OK]
        assert [client.ids[stream] for stream in sorted(client.ids)] == ids * 2
        counters = house.witness.counters
        assert (counters[Counter.STRANGE], counters[Counter.FOREIGN], counters[Counter.TRACERS]) == (4, 4, 4)
        assert (counters[Counter.ACCEPTED], counters[Counter.REQUESTS]) == (6, 18)
        assert np.flatnonzero(house.witness.counts).tolist() == [4, 5]


async def test_who_gives_no_id_is_given_one_of_his_own(inside):
    async with inside() as house, raw(house) as client:
        for _ in range(600):
            assert await client.send(request(client)) == [OK]
        assert await client.send(*(request(client) for _ in range(50))) == [OK] * 50
    assert len({uuid.UUID(one) for one in client.ids.values() if uuid.UUID(one).version == 4}) == 650


async def test_a_field_given_twice_is_refused_whatever_was_good_before(inside):
    async with inside() as house, raw(house) as client:
        for _ in range(2):
            assert await client.send(request(client, ident=ident(1))) == [OK]
            for name, text in (("apns-id", ident(1)), ("apns-topic", "com.example.burst")):
                answer = await client.send(request(client, (name, text), ident=ident(1)))
                assert answer == [(400, "DuplicateHeaders")]
            assert await client.send(request(client, ("cookie", "a"), ("cookie", "b"), ident=ident(1))) == [OK]


@pytest.mark.parametrize("together", [True, False])
async def test_bodies_may_come_in_pieces_and_end_in_an_empty_frame(inside, together):
    async with inside(run=RUN, audience=50) as house, raw(house) as client:
        frames, streams = [], []
        for number in range(20):
            stream, start = head(client, ident=ident(number))
            streams.append(stream)
            frames += [start, frame(0, 0, stream, JSON[:4]), frame(0, 0, stream, JSON[4:]), frame(0, 1, stream, b"")]
        async with asyncio.timeout(HANG_S):
            for one in [b"".join(frames)] if together else frames:
                client.writer.write(one)
                await asyncio.sleep(0.001)
            while len(client.heard) < 20:
                client._take(await client.reader.read(65536))
        assert [client.heard[stream] for stream in streams] == [OK] * 20
        assert house.witness.counts.tolist() == [1] * 20 + [0] * 30


async def test_what_is_cancelled_in_the_read_that_brought_it_is_witnessed_and_not_answered(inside):
    async with inside(run=RUN, audience=2000) as house, raw(house) as client:
        assert await client.send(request(client)) == [OK]
        cancelled = []
        for number in range(300):  # more than the ring of streams has rows: these stand where others stood
            stream, start = head(client, ident=ident(number))
            cancelled.append(start + frame(0, 1, stream, JSON) + frame(3, 0, stream, b"\0\0\0\x08"))
        client.writer.write(b"".join(cancelled))  # 30 KB: one read
        assert await client.send(request(client, ident=ident(1999))) == [OK]
        assert set(client.heard) == {1, client.next_stream - 2}
        (link,) = house.serving.desks["apns"].front.links.values()
        assert link.connection.streams.open == 0
        assert house.witness.counts.sum() == 301


async def test_a_provider_token_expires_between_two_of_them(inside):
    ahead_s = 0.0
    async with inside(auth="token") as house, raw(house) as client:
        house.serving._wall_s = lambda: time.time() + ahead_s
        house.serving.desks["apns"].front._clock = SimpleNamespace(
            now_ns=lambda: time.monotonic_ns() + int(ahead_s * NS_PER_S)
        )
        authorization = bearer(time.time())
        for ahead_s, expected in ((0.0, OK), (0.0, OK), (3540.0, OK), (3601.0, (403, "ExpiredProviderToken"))):  # noqa: B007
            assert await client.send(request(client, authorization=authorization)) == [expected]


async def test_verdicts_end_with_the_behaviour_that_gave_them(inside):
    async with inside(topics=["com.example.other"]) as house, raw(house) as client:
        for _ in range(2):
            assert await client.send(request(client)) == [(400, "TopicDisallowed")]
        house.order("behaviour", behaviour={"auth": "none"})
        assert await client.send(request(client)) == [OK]


async def test_connections_have_verdicts_of_their_own(inside):
    async with inside(auth="token") as house, contextlib.AsyncExitStack() as stack:
        one, other = [await stack.enter_async_context(raw(house)) for _ in range(2)]
        first, second = bearer(time.time()), bearer(time.time() - 1)
        assert await one.send(request(one, authorization=first)) == [OK]
        assert await other.send(request(other, authorization=second)) == [OK]
        assert await one.send(request(one, authorization=second)) == [(429, "TooManyProviderTokenUpdates")]
