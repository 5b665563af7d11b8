"""What a queue is sent: entries by column are what a person would write one by one, whatever the tokens' widths."""

import hashlib
import json
import time

import numpy as np
import pytest

from burst.model.batch import Batch, Platform, TokenEncoding
from burst.model.identity import id_prefix, write_ids
from burst.model.ports import SinkContext
from burst.sinks.sqs_digest import hexes
from burst.sinks.sqs_packs import PackMaker
from burst.sinks.sqs_settings import SqsSettings
from burst.sinks.sqs_singles import SingleMaker

RUN = "messages"
PREFIX = id_prefix(RUN).decode()
TENANT = 'a "b" \\ ü'


class Clock:
    now_ns = staticmethod(time.monotonic_ns)


CONTEXT = SinkContext(RUN, 'ev"ent', 1000, 1, 0, 1, Clock())


def batch_of(tokens: list[str], platform: Platform = Platform.ANDROID) -> Batch:
    joined, widths = "".join(tokens).encode(), [len(token) for token in tokens]
    if len(set(widths)) == 1:
        return Batch(0, 0, len(tokens), platform, TokenEncoding.ASCII, joined, widths[0], tenant=TENANT)
    offsets = np.concatenate(([0], np.cumsum(widths))).astype(np.uint32)
    return Batch(0, 0, len(tokens), platform, TokenEncoding.ASCII, joined, 0, offsets, tenant=TENANT)


EQUAL = [f"token:{number:03d}" for number in range(25)]
VARIED = ["t" * (1 + 7 * number % 5) + f"-{number}" for number in range(25)]
SPREAD = np.array([*range(8), 20, *range(30, 40), 99, 101, 102, 103, 500, 999], dtype=np.int64)


def entries_of(messages, lo: int, hi: int) -> list[dict]:
    return json.loads(b"[" + bytes(messages.entries(lo, hi)) + b"]")


def md5(text: bytes) -> str:
    return hashlib.md5(text, usedforsecurity=False).hexdigest()


def digested(attributes: dict[str, str]) -> str:
    """MD5OfMessageAttributes, as AWS's developer guide tells how to compute it."""
    text = b""
    for name in sorted(attributes):
        for part in (name, "String"):
            text += len(part.encode()).to_bytes(4, "big") + part.encode()
        text += b"\x01" + len(attributes[name].encode()).to_bytes(4, "big") + attributes[name].encode()
    return md5(text) if attributes else ""


@pytest.mark.parametrize("tokens", [EQUAL, VARIED], ids=["equal", "varied"])
@pytest.mark.parametrize("fifo", [False, True])
def test_each_person_has_a_message_with_all_that_the_templates_say(tokens, fifo):
    settings = SqsSettings(
        queue="q.fifo" if fifo else "q",
        body={"text": 'say "${tenant}" \\ $$ ü', "to": "${token}", "event": "${event}"},
        attributes={"who": "${tenant}/${index}", "also": "${lane}", "lane": "${lane}"},
        group_id="g-${index}",
    )
    messages = SingleMaker(settings, CONTEXT).of(batch_of(tokens), SPREAD)
    for lo, hi in ((0, 10), (3, 13), (17, 25), (24, 25)):
        entries = entries_of(messages, lo, hi)
        assert [entry["Id"] for entry in entries] == [*messages.ids(lo, hi).decode()]
        assert len(set(messages.ids(lo, hi))) == hi - lo
        for entry, at, body_md5, attributes_md5 in zip(
            entries,
            range(lo, hi),
            hexes(messages.body_digests(lo, hi)),
            messages.attribute_digests(lo, hi),
            strict=True,
        ):
            index = int(SPREAD[at])
            wanted = {"text": f'say "{TENANT}" \\ $ ü', "to": tokens[at], "event": 'ev"ent'}
            assert json.loads(entry["MessageBody"]) == wanted
            values = {
                "who": f"{TENANT}/{index:03d}",
                "lane": "main",
                "also": "main",
                "burst-id": f"{PREFIX}{index:012x}",
            }
            assert entry["MessageAttributes"] == {
                name: {"DataType": "String", "StringValue": value} for name, value in values.items()
            }
            assert body_md5 == md5(entry["MessageBody"].encode())
            assert attributes_md5 == digested(values)
            assert entry.get("MessageGroupId") == (f"g-{index:03d}" if fifo else None)
            assert entry.get("MessageDeduplicationId") == (f"{PREFIX}{index:012x}" if fifo else None)


def test_an_attribute_that_comes_out_empty_is_left_out():
    settings = SqsSettings(attributes={"lane": "${lane}", "tenant": "${tenant}"})
    batch = Batch(0, 0, 1, Platform.IOS, TokenEncoding.RAW, b"\x01" * 32, 32)
    messages = SingleMaker(settings, CONTEXT).of(batch, np.array([5]))
    (entry,) = entries_of(messages, 0, 1)
    assert list(entry["MessageAttributes"]) == ["lane"]
    assert json.loads(entry["MessageBody"])["token"] == "01" * 32
    assert messages.attribute_digests(0, 1) == [digested({"lane": "main"})]


@pytest.mark.parametrize("tokens", [EQUAL, VARIED], ids=["equal", "varied"])
@pytest.mark.parametrize("people", [2, 7, 25])
def test_people_share_a_message_with_all_their_ids_and_tokens(tokens, people):
    settings = SqsSettings(tokens_per_message=people, queue="q.fifo", attributes={"t": "${tenant}", "to": "${ids}"})
    messages = PackMaker(settings, CONTEXT).of(batch_of(tokens), SPREAD)
    end = min(24, 1 + 10 * people)  # a call has ten messages
    cuts = messages.cuts(1, end)
    entries = entries_of(messages, 1, end)
    assert [entry["Id"] for entry in entries] == [*messages.ids(1, end).decode()]
    assert len({entry["MessageDeduplicationId"] for entry in entries}) == len(entries) == len(cuts) - 1
    told = zip(hexes(messages.body_digests(1, end)), messages.attribute_digests(1, end), strict=True)
    for entry, lo, hi, (body_md5, attributes_md5) in zip(entries, cuts[:-1], cuts[1:], told, strict=True):
        assert 0 < hi - lo <= people
        body, ids = json.loads(entry["MessageBody"]), write_ids(PREFIX.encode(), SPREAD[lo:hi]).decode()
        assert (body["ids"], body["tokens"], body["tenant"]) == (ids, tokens[lo:hi], TENANT)
        assert body_md5 == md5(entry["MessageBody"].encode())
        assert attributes_md5 == digested({"t": TENANT, "to": ids})
        assert entry["MessageGroupId"] == f"{int(SPREAD[lo]):03d}"


def size_of(entry: dict) -> int:
    """The size of a message as SQS counts it."""
    attributes = entry.get("MessageAttributes", {})
    more = sum(len(name) + len("String") + len(value["StringValue"].encode()) for name, value in attributes.items())
    return len(entry["MessageBody"].encode()) + more


@pytest.mark.parametrize("tokens", [EQUAL, VARIED], ids=["equal", "varied"])
@pytest.mark.parametrize("limit", [1, 700, 1500, 2100, 5000])
def test_a_call_that_would_be_too_long_ends_before_it_is(tokens, limit):
    settings = SqsSettings(body={"id": "${id}", "to": "${token}", "text": "ü" * 100})
    messages = SingleMaker(settings, CONTEXT).of(batch_of(tokens), SPREAD)
    lo = 0
    while lo < len(tokens):
        hi = min(messages.stop(lo, limit), len(tokens))
        total = sum(map(size_of, entries_of(messages, lo, hi)))
        assert total <= limit or hi == lo + 1
        if hi < len(tokens) and hi - lo < 10:
            assert sum(map(size_of, entries_of(messages, lo, hi + 1))) > limit
        lo = hi


@pytest.mark.parametrize("indexes", [np.arange(300), np.arange(0, 900, 3)], ids=["in a row", "each alone"])
def test_a_message_that_would_be_too_long_carries_fewer_people(indexes):
    settings = SqsSettings(tokens_per_message=300, max_message=4096, attributes={"to": "all of ${tenant}"})
    messages = PackMaker(settings, CONTEXT).of(batch_of([f"{number:020d}" for number in range(300)]), indexes)
    lo, seen = 0, 0
    while lo < 300:
        hi = messages.stop(lo, 8192)
        entries = entries_of(messages, lo, hi)
        sizes = list(map(size_of, entries))
        assert max(sizes) <= 4096
        assert sum(sizes) <= 8192
        assert min(sizes[:-1], default=4096) > 3500, "no message is much shorter than it might be"
        seen += sum(len(json.loads(entry["MessageBody"])["tokens"]) for entry in entries)
        lo = hi
    assert seen == 300


def test_the_same_people_again_are_the_same_message_to_a_fifo_queue_and_others_are_not():
    maker = PackMaker(SqsSettings(tokens_per_message=25, queue="q.fifo"), CONTEXT)
    first, again = (maker.of(batch_of(EQUAL), SPREAD) for _ in range(2))

    def twice(messages, lo, hi):
        return entries_of(messages, lo, hi)[0]["MessageDeduplicationId"]

    assert twice(first, 0, 25) == twice(again, 0, 25)
    assert twice(first, 0, 25) != twice(first, 0, 24)
