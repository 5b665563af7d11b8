"""Requests read by column are read as they are one by one: who they are for, and what is wrong with them."""

import asyncio
import contextlib
import json
import random
import struct
import time
import uuid
from base64 import urlsafe_b64encode
from types import SimpleNamespace

import numpy as np
import pytest
from hpack import Decoder, Encoder, NeverIndexedHeaderTuple

from burst.model.identity import TRACER, id_prefix, index_digits
from burst.model.units import NS_PER_S
from burst.provider import intake
from burst.runs.witness import Counter
from tests.provider_client import PREFACE, frame

HANG_S = 30.0
RUN = "a-run"
GOOD = "5e" * 32
OK = (200, "")


def ident(index: int, run: str = RUN, kind: int = 0) -> str:
    return (id_prefix(run, kind) + index_digits(np.array([index])).tobytes()).decode()


class Raw:
    """A client that writes its frames itself, so that it decides which bytes are alike."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer
        self.encoder, self.decoder = Encoder(), Decoder()
        self.next_stream = 1
        self.partial = b""
        self.heard: dict[int, tuple[int, str]] = {}
        self.ids: dict[int, str] = {}
        writer.write(PREFACE)

    def request(self, device=GOOD, ident=None, body=b'{"aps":{}}', huffman=False, **fields) -> bytes:
        """Return the frames of a request of literals that no table takes up: the next is read by the same columns."""
        more = {"apns-topic": "com.example.burst"} | {name.replace("_", "-"): text for name, text in fields.items()}
        if ident is not None:
            more["apns-id"] = ident
        head = [(":method", "POST"), (":scheme", "https"), (":path", f"/3/device/{device}"), *more.items()]
        block = self.encoder.encode([NeverIndexedHeaderTuple(*pair) for pair in head], huffman=huffman)
        stream, self.next_stream = self.next_stream, self.next_stream + 2
        return frame(1, 4, stream, block) + frame(0, 1, stream, body)

    async def send(self, *requests: bytes) -> list[tuple[int, str]]:
        """Write requests in one go; return their statuses and reasons in order."""
        wanted = [int.from_bytes(one[5:9], "big") for one in requests]
        self.writer.write(b"".join(requests))
        async with asyncio.timeout(HANG_S):
            while not all(self.heard.get(stream, (0, "?"))[1] != "?" for stream in wanted):
                data = await self.reader.read(65536)
                assert data, "the connection has ended"
                self._take(data)
        return [self.heard[stream] for stream in wanted]

    def _take(self, data: bytes) -> None:
        self.partial += data
        while len(self.partial) >= 9:
            size = 9 + int.from_bytes(self.partial[:3], "big")
            if len(self.partial) < size:
                return
            kind, flags, stream = self.partial[3], self.partial[4], int.from_bytes(self.partial[5:9], "big")
            payload, self.partial = self.partial[9:size], self.partial[size:]
            if kind == 1:
                fields = dict(self.decoder.decode(payload))
                self.ids[stream] = fields["apns-id"]
                self.heard[stream] = (int(fields[":status"]), "" if flags & 1 else "?")
            elif kind == 0:
                self.heard[stream] = (self.heard[stream][0], json.loads(payload)["reason"])
            elif kind == 4 and not flags & 1:
                self.writer.write(frame(4, 1, 0, b""))


@contextlib.asynccontextmanager
async def raw(house):
    host, _, port = house.url.removeprefix("http://").rpartition(":")
    client = Raw(*await asyncio.open_connection(host, int(port)))
    try:
        yield client
    finally:
        client.writer.close()
        with contextlib.suppress(OSError):
            await client.writer.wait_closed()


@pytest.fixture
def one_by_one(monkeypatch):
    """Count the requests that are not read by column."""
    read: list[int] = []
    real = intake.Intake.read_loose

    def reading(self, heads, now_ns, caller):
        read.extend([1] * len(heads))
        return real(self, heads, now_ns, caller)

    monkeypatch.setattr(intake.Intake, "read_loose", reading)
    return read


def faulty(rng: random.Random) -> dict[str, str]:
    """Return a request of the same width as every other, with one fault or two or none."""
    fields = {"device": GOOD, "ident": ident(rng.randrange(50)), "apns_priority": "5", "apns_push_type": "alert"}
    faults = [
        {"device": "zz" + GOOD[2:]},
        {"device": GOOD[:40] + "g" + GOOD[41:]},
        {"device": GOOD[:-1] + "/"},
        {"device": GOOD.upper()},
        {"ident": str(uuid.UUID(int=rng.getrandbits(128)))},
        {"ident": "not-a-uuid-but-as-long-as-one-is-is-"},
        {"ident": ident(7)[:-1] + "x"},
        {"ident": ident(3).upper()},
        {"ident": ident(60)},  # nobody of the audience
        {"ident": ident(2, "another-run")},
        {"ident": ident(0, kind=TRACER)},
        {"apns_priority": "7"},
        {"apns_push_type": "voipp"},
        {"apns_push_type": "quack"},
    ]
    for fault in rng.sample(faults, rng.choice([0, 0, 0, 1, 1, 2])):
        fields |= fault
    return fields


@pytest.mark.parametrize("huffman", [False, True])
async def test_faults_in_a_run_of_equal_frames_are_what_they_are_alone(inside, one_by_one, huffman):
    rng = random.Random(5)
    requests = [faulty(rng) for _ in range(400)]
    async with inside(run=RUN, audience=50) as house:
        async with raw(house) as client:
            await client.send(client.request(huffman=huffman, **faulty(random.Random(1))))
            together = await client.send(*(client.request(huffman=huffman, **one) for one in requests))
        by_column = one_by_one.copy()
        alone = []
        before = house.witness.counters.copy(), house.witness.counts.copy()
        for one in requests[:150]:
            async with raw(house) as client:
                alone += await client.send(client.request(huffman=huffman, **one))
    assert together[:150] == alone
    assert {reason for _, reason in together} == {
        "",
        "BadDeviceToken",
        "BadMessageId",
        "BadPriority",
        "InvalidPushType",
    }
    # Huffman code makes many widths, each of which is learned once.
    assert len(by_column) <= (120 if huffman else 1)
    assert before[0][Counter.REQUESTS] == 401


async def test_each_kind_of_id_is_counted_as_what_it_is(inside, one_by_one):
    ids = [ident(4), ident(5), ident(5), ident(50), ident(2**48 - 1), ident(1, "other"), str(uuid.uuid4())]
    ids += [ident(0, kind=TRACER), ident(1, kind=TRACER)]
    async with inside(run=RUN, audience=50) as house, raw(house) as client:
        for _ in range(2):  # once one by one at first, then by column
            answers = await client.send(*(client.request(ident=one) for one in ids))
            assert answers == [OK] * len(ids)
        assert [client.ids[stream] for stream in sorted(client.ids)] == ids * 2  # each is given back
        counters, counts, seen = house.witness.counters, house.witness.counts, house.witness.first_seen_ns
        assert (counters[Counter.STRANGE], counters[Counter.FOREIGN], counters[Counter.TRACERS]) == (4, 4, 4)
        assert (counters[Counter.ACCEPTED], counters[Counter.REQUESTS]) == (6, 18)
        assert counts[[4, 5]].tolist() == [2, 4]
        assert np.flatnonzero(seen).tolist() == [4, 5]
    assert len(one_by_one) == 1


async def test_a_request_without_an_id_is_nobodys(inside):
    async with inside(run=RUN, audience=50) as house, raw(house) as client:
        assert await client.send(*(client.request() for _ in range(9))) == [OK] * 9
        assert house.witness.counter(Counter.FOREIGN) == 9


async def test_refused_people_are_seen_and_counted_as_refused(inside):
    async with inside(run=RUN, audience=50) as house, raw(house) as client:
        await client.send(client.request(ident=ident(49)))
        await client.send(*(client.request("zz" * 32 if index % 2 else GOOD, ident(index)) for index in range(10)))
        counts = house.witness.counts
        assert (counts[:10] & 15).tolist() == [1, 0] * 5
        assert (counts[:10] >> 4).tolist() == [0, 1] * 5


@pytest.mark.parametrize("ident_text", ["short", "", "x" * 36, "x" * 37, "x" * 300])
async def test_ids_that_are_none_are_refused_and_not_given_back(inside, ident_text):
    async with inside(run=RUN, audience=5) as house, raw(house) as client:
        for _ in range(2):
            answers = await client.send(*(client.request(ident=ident_text) for _ in range(6)))
            assert answers == [(400, "BadMessageId")] * 6
        assert all(str(uuid.UUID(given)) == given != ident_text for given in client.ids.values())


@pytest.mark.parametrize("device", ["", "ab", "ab" * 31 + "a", "ab" * 101, "a" * 65])
async def test_tokens_of_a_wrong_width_are_refused(inside, device):
    async with inside() as house, raw(house) as client:
        for _ in range(2):
            answers = await client.send(*(client.request(device) for _ in range(6)))
            assert answers == [(400, "BadDeviceToken" if device else "MissingDeviceToken")] * 6


async def test_tokens_of_many_widths_share_a_run(inside):
    devices = ["ab" * width for width in range(32, 101)]
    async with inside() as house, raw(house) as client:
        for huffman in (False, True):
            await client.send(*(client.request(device, huffman=huffman) for device in devices))
            answers = await client.send(*(client.request(device, huffman=huffman) for device in devices * 3))
            assert answers == [OK] * len(devices) * 3


async def test_a_path_that_stands_in_the_table_is_read_as_well(inside):
    """A client may let :path into its table: then it is a constant of the shape."""
    async with inside(dead_tokens=["cd" * 32]) as house, raw(house) as client:
        for device, expected in ((GOOD, OK), ("cd" * 32, (410, "Unregistered")), ("xy" * 32, (400, "BadDeviceToken"))):
            head = [(":method", "POST"), (":scheme", "https"), (":path", f"/3/device/{device}"), ("apns-topic", "a.b")]
            requests = []
            for _ in range(8):
                block = client.encoder.encode(head)  # a byte from the second time on
                requests.append(frame(1, 4, client.next_stream, block) + frame(0, 1, client.next_stream, b"{}"))
                client.next_stream += 2
            assert await client.send(*requests) == [expected] * 8


async def test_values_that_vary_beside_token_and_id_are_judged_each(inside, one_by_one):
    async with inside(topics=["a.b"]) as house, raw(house) as client:
        wanted = []
        requests = []
        for number in range(60):
            expiration = str(1_700_000_000 + number % 7) if number % 5 else "17000000x0"
            topic = "a.b" if number % 3 else "a.c"
            requests.append(client.request(apns_expiration=expiration, apns_topic=topic))
            wanted.append("BadExpirationDate" if not number % 5 else "" if number % 3 else "TopicDisallowed")
        assert [reason for _, reason in await client.send(*requests)] == wanted
    assert len(one_by_one) == 1


async def test_collapse_ids_may_differ_and_only_their_length_counts(inside, one_by_one):
    async with inside() as house, raw(house) as client:
        for width, expected in ((20, OK), (64, OK), (65, (400, "BadCollapseId"))):
            requests = [client.request(apns_collapse_id=f"{number:0{width}d}") for number in range(40)]
            assert await client.send(*requests) == [expected] * 40
    assert len(one_by_one) == 3


async def test_the_largest_payload_is_that_of_the_push_type_of_each(inside):
    def both(client, size):
        # Of one width, so that they stand in one run.
        voip = client.request(body=b"x" * size, apns_push_type="voip", apns_topic="a.b.voip")
        other = client.request(body=b"x" * size, apns_push_type="quak", apns_topic="a.bb.voip"[:8])
        return voip, other

    async with inside(max_payload=1000) as house, raw(house) as client:
        await client.send(*both(client, 10))
        for size, expected in ((1000, OK), (1001, OK), (2024, OK), (2025, (413, "PayloadTooLarge"))):
            answers = await client.send(*(one for _ in range(5) for one in both(client, size)))
            assert answers == [expected, (400, "InvalidPushType")] * 5
        for size, expected in ((1000, OK), (1001, (413, "PayloadTooLarge"))):
            requests = [client.request(body=b"x" * size, apns_push_type="alert") for _ in range(5)]
            assert await client.send(*requests) == [expected] * 5


async def test_a_limit_above_64_kib_is_a_limit(inside):
    async with inside(max_payload=100_000, initial_window=200_000) as house, house.client() as client:
        for size, expected in ((100_000, 200), (100_001, 413)):
            parts = [b"x" * 16_000] * (size // 16_000) + [b"x" * (size % 16_000)]
            assert (await client.push(body=parts)).status == expected


async def test_a_payload_is_measured_over_all_its_frames(inside):
    async with inside() as house, house.client() as client:
        for parts, expected in (([b"x"] * 4096, 200), ([b"x"] * 4097, 413), ([b"x" * 4096, b"x"], 413)):
            assert (await client.push(body=parts)).status == expected
        assert (await client.push(body=b"")).reason == "PayloadEmpty"
        push = client.post(body=b"", ended=False)
        client.h2.end_stream(push.stream_id)
        client.flush()
        assert (await client.answer(push)).reason == "PayloadEmpty"


async def test_a_field_given_twice_is_refused_each_time(inside):
    async with inside() as house, raw(house) as client:
        requests = []
        for _ in range(6):
            head = [(":method", "POST"), (":scheme", "https"), (":path", f"/3/device/{GOOD}"), ("apns-topic", "a.b")]
            head += [("apns-priority", "5")] * 2
            block = client.encoder.encode([NeverIndexedHeaderTuple(*pair) for pair in head], huffman=False)
            requests.append(frame(1, 4, client.next_stream, block) + frame(0, 1, client.next_stream, b"{}"))
            client.next_stream += 2
        assert await client.send(*requests) == [(400, "DuplicateHeaders")] * 6


async def test_a_value_that_is_no_huffman_code_ends_the_connection(inside):
    async with inside() as house, raw(house) as client:
        good = client.request(huffman=True)
        await client.send(good, client.request(huffman=True))
        block_size = int.from_bytes(good[:3], "big")
        spoiled = bytearray(client.request(huffman=True))
        at = spoiled.index(client.encoder.huffman_coder.encode(b"/3/device/" + GOOD.encode())[:20])
        spoiled[at : at + 4] = b"\xff\xff\xff\xff"  # the end-of-string symbol
        assert int.from_bytes(spoiled[:3], "big") == block_size
        client.writer.write(bytes(spoiled) * 1)
        async with asyncio.timeout(HANG_S):
            rest = await client.reader.read(-1)
        assert frame(7, 0, 0, b"")[3:4] in rest
        assert b"Huffman" in rest or struct.pack(">I", 9) in rest  # COMPRESSION_ERROR


def bearer(issued_s: float, key_id: str = "KEY") -> str:
    """Return a provider token in form: without keys, no signature is compared with anything."""
    parts = ({"alg": "ES256", "kid": key_id}, {"iss": "TEAM", "iat": int(issued_s)})
    coded = [urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode() for part in parts]
    return f"bearer {coded[0]}.{coded[1]}.{urlsafe_b64encode(b's' * 64).rstrip(b'=').decode()}"


async def test_a_provider_token_expires_while_its_shape_is_known(inside, one_by_one):
    ahead_s = 0.0
    async with inside(auth="token") as house, raw(house) as client:
        serving = house.serving
        serving._wall_s = lambda: time.time() + ahead_s
        serving.desks["apns"].front._clock = SimpleNamespace(
            now_ns=lambda: time.monotonic_ns() + int(ahead_s * NS_PER_S)
        )
        authorization = bearer(time.time())

        async def send():
            return set(await client.send(*(client.request(authorization=authorization) for _ in range(6))))

        assert await send() == {OK}
        assert await send() == {OK}
        ahead_s = 3599 - 60
        assert await send() == {OK}
        ahead_s = 3601.0
        assert await send() == {(403, "ExpiredProviderToken")}
    assert len(one_by_one) == 1


async def test_a_provider_token_that_changes_too_soon_is_refused_and_the_one_before_is_good(inside):
    async with inside(auth="token") as house, raw(house) as client:
        first, second, other = bearer(time.time()), bearer(time.time() - 1), bearer(time.time() - 2, "KEZ")
        requests = [client.request(authorization=one) for one in (first, second, other) * 4]
        answers = await client.send(*requests)
    assert answers == [OK, (429, "TooManyProviderTokenUpdates"), (429, "TooManyProviderTokenUpdates")] * 4


@pytest.mark.parametrize(("scope", "expected"), [("connection", OK), ("key", (429, "TooManyProviderTokenUpdates"))])
async def test_connections_with_a_token_each_are_refused_only_where_a_key_has_one(inside, scope, expected):
    async with inside(auth="token", token_updates=scope) as house, raw(house) as one, raw(house) as other:
        assert await one.send(one.request(authorization=bearer(time.time()))) == [OK]
        assert await other.send(other.request(authorization=bearer(time.time() - 1))) == [expected]
    async with inside(auth="token", token_updates="key") as house, raw(house) as client:
        for key_id in ("ONE", "TWO"):  # keys do not know of each other
            assert await client.send(client.request(authorization=bearer(time.time(), key_id))) == [OK]


async def test_a_token_that_was_adopted_is_remembered_over_a_change_of_behaviour(inside):
    async with inside(auth="token") as house, raw(house) as client:
        assert await client.send(client.request(authorization=bearer(time.time()))) == [OK]
        house.order("behaviour", behaviour={"auth": "token", "dead": 0.0})
        answers = await client.send(client.request(authorization=bearer(time.time() - 1)))
    assert answers == [(429, "TooManyProviderTokenUpdates")]


async def test_verdicts_on_known_shapes_end_with_the_behaviour_that_gave_them(inside, one_by_one):
    async with inside(topics=["com.example.other"]) as house, raw(house) as client:
        for _ in range(2):
            answers = await client.send(*(client.request() for _ in range(6)))
            assert answers == [(400, "TopicDisallowed")] * 6
        assert len(one_by_one) == 1
        house.order("behaviour", behaviour={"auth": "none"})
        assert await client.send(*(client.request() for _ in range(6))) == [OK] * 6
