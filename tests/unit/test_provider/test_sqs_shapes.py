"""A call that looks like one before it is answered without being read, and just as if it were."""

import asyncio
import hashlib
import json
import re
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from burst.model.identity import id_prefix, read_digits
from burst.model.secret import Secret
from burst.provider.behaviour import Behaviour
from burst.provider.cloud_keys import aws_credentials, read_aws_credentials
from burst.provider.desk import Means
from burst.provider.dialect import Ask
from burst.provider.loose import Caller
from burst.provider.sqs import Sqs
from burst.runs.witness import Counter, WitnessPart
from burst.wire.h1_server import ServerCodec
from burst.wire.sigv4 import Signer
from tests.sqs_cloud import Cloud

RUN, HOST, NOW_S = "shapes", "127.0.0.1:9", 1_700_000_000
PREFIX = id_prefix(RUN).decode()
FIELDS = [("Host", HOST), ("X-Amz-Target", "AmazonSQS.SendMessageBatch")]


def body_of(person: int, token: str = "t", text: str = "hi") -> str:
    return json.dumps({"id": f"{PREFIX}{person:012x}", "token": token * 8, "text": text})


def content(bodies: list[str]) -> bytes:
    entries = [{"Id": str(at), "MessageBody": body} for at, body in enumerate(bodies)]
    return json.dumps({"QueueUrl": f"http://{HOST}/000000000000/q", "Entries": entries}).replace('": "', '":"').encode()


def signed(keys: tuple[str, str], body: bytes, now_s: float = NOW_S) -> bytes:
    signer = Signer(keys[0], Secret(keys[1]), None, "us-east-1", "sqs")
    lines = signer.prepare("POST", "/", "", FIELDS).lines(body, now_s)
    head = "".join(f"{name}: {value}\r\n" for name, value in FIELDS).encode()
    return b"POST / HTTP/1.1\r\n%b%bContent-Length: %d\r\n\r\n%b" % (head, lines, len(body), body)


class Known:
    """A dialect that has learned one call of three messages."""

    def __init__(self, folder) -> None:
        class Clock:
            now_ns = staticmethod(time.monotonic_ns)

        path = aws_credentials(folder)
        self.keys = read_aws_credentials(path)
        witness = WitnessPart.create(folder / "witness", RUN, 10)
        means = Means("sqs", Clock(), lambda: NOW_S, RUN, witness, 1, lambda: None, aws_file=str(path), of_run=True)
        self.sqs = Sqs(Behaviour().sqs, means, None)
        self.sample = content([body_of(at, "abc"[at]) for at in range(3)])
        data = signed(self.keys, self.sample)
        request = ServerCodec().feed(data)[0]
        ask = self.sqs.read(request, Caller(1), 5)
        assert isinstance(ask, Ask)
        self.sqs.learn(data, request, ask.note, 5)

    def glance(self, data: bytes) -> tuple[bytes, bytes] | None:
        """Return the people of a call and its answer, None where it is to be read."""
        shape = self.sqs.shapes.of(len(data))
        people, (answer,) = (b"", [None]) if shape is None else self.sqs.glance(shape, [data])
        assert bool(people) == (answer is not None)
        return None if answer is None else (people, answer)

    def read(self, data: bytes) -> tuple[list[int], dict[str, object]]:
        ask = self.sqs.read(ServerCodec().feed(data)[0], Caller(1), 5)
        assert isinstance(ask, Ask)
        assert ask.whole is None
        assert not ask.faults
        assert ask.edges is None
        return ask.people.tolist(), plain(self.sqs.reply(ask, {}, None).body)


def plain(body: bytes) -> dict[str, object]:
    """Return an answer without what is random in it."""
    answer = json.loads(body)
    ids = [row.pop("MessageId") for row in answer["Successful"]]
    assert len(set(ids)) == len(ids)
    assert all(re.fullmatch(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}", one) for one in ids)
    return answer


def same(known: Known, data: bytes, found: tuple[bytes, bytes]) -> bool:
    head, _, body = found[1].partition(b"\r\n\r\n")
    assert b"\r\ncontent-length: %d" % len(body) in head
    return (read_digits(found[0]).tolist(), plain(body)) == known.read(data)


def test_a_call_that_looks_the_same_is_answered_as_if_it_were_read(tmp_path):
    known = Known(tmp_path)
    data = signed(known.keys, content([body_of(0xABCDEF + at, "xyz"[at]) for at in range(3)]))
    found = known.glance(data)
    assert found is not None
    assert read_digits(found[0]).tolist() == [0xABCDEF, 0xABCDF0, 0xABCDF1]
    assert same(known, data, found)


def test_what_looks_otherwise_is_read(tmp_path):
    known = Known(tmp_path)
    good = signed(known.keys, known.sample)
    assert known.glance(good) is not None
    others = {
        "another text": content([body_of(1, text="ho"), body_of(2), body_of(3)]),
        "quotes in a token": content([body_of(1), body_of(2), body_of(3)]).replace(b"tttttttt", b'tttttt\\"', 1),
        "an id in capitals": known.sample.replace(b"000000000001", b"00000000000A"),
        "another's id": known.sample.replace(PREFIX.encode(), b"0" + PREFIX[1:].encode(), 1),
    }
    for what, other in others.items():
        assert len(other) == len(known.sample), what
        assert known.glance(signed(known.keys, other)) is None, what
    assert known.glance(signed(known.keys, known.sample, NOW_S + 1)) is None
    assert known.glance(signed((known.keys[0], "not the secret"), known.sample)) is None
    assert known.glance(good[:-1]) is None


def test_a_queue_that_was_deleted_is_asked_for_in_vain(tmp_path):
    known = Known(tmp_path)
    data = signed(known.keys, known.sample)
    known.sqs.queues.delete(known.sqs.queues.by_name["q"])
    assert known.glance(data) is None


@pytest.fixture(scope="module")
def once_known(tmp_path_factory):
    return Known(tmp_path_factory.mktemp("keys"))


@settings(max_examples=400, deadline=None)
@given(st.data())
def test_whatever_is_changed_what_is_glanced_is_what_would_be_read(once_known, data):
    known = once_known
    changed = bytearray(known.sample)
    for _ in range(data.draw(st.integers(1, 3))):
        changed[data.draw(st.integers(0, len(changed) - 1))] = data.draw(
            st.sampled_from(b'09afAFzZ_:-+%"\\,{}\x00\x1f\x7f\x80\xff ') | st.integers(0, 255)
        )
    call = signed(known.keys, bytes(changed))
    found = known.glance(call)
    assert found is None or same(known, call, found)


async def test_over_a_connection_every_call_is_answered_and_everybody_seen_once(tmp_path):
    async with Cloud(tmp_path, run=RUN) as cloud:
        port = int(cloud.url().split(":")[2].split("/")[0])
        keys = read_aws_credentials(Path(cloud.aws_file))
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        bodies = [[body_of(first + at, "abc"[at]) for at in range(3)] for first in range(0, 90, 3)]
        calls = [signed(keys, content(three), int(time.time())) for three in bodies]
        whole = b"".join(calls[4:])
        for piece in (*calls[:4], whole[:200], whole[200:5000], whole[5000:]):
            writer.write(piece)  # the first four at once, one in each read or together; then in pieces
            await asyncio.sleep(0.02)
        for call in calls:
            head = await reader.readuntil(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 200 ")
            answer = json.loads(await reader.readexactly(int(re.search(rb"content-length: (\d+)", head)[1])))
            entries = json.loads(call.partition(b"\r\n\r\n")[2])["Entries"]
            digests = [hashlib.md5(entry["MessageBody"].encode()).hexdigest() for entry in entries]
            assert [row["MD5OfMessageBody"] for row in answer["Successful"]] == digests
        writer.close()
        witness = cloud.witness()
        assert np.flatnonzero(witness.counts).tolist() == list(range(90))
        assert witness.counters[Counter.REQUESTS] == 90
