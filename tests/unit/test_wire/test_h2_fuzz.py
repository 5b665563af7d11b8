"""Whatever bytes come: no exception, no hang, no memory without bound, and nothing after the end."""

import gc
import itertools
import random
import time
import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from burst.wire import fields, huffman
from burst.wire.events import Failed
from burst.wire.frames import PREFACE, headers, settings_frame
from burst.wire.h2 import H2Connection
from burst.wire.h2_client import ClientConnection
from burst.wire.h2_server import ServerConnection
from burst.wire.hpack_error import HpackError
from burst.wire.huffman import huffman_decode, huffman_encode
from tests.unit.test_wire.heard import frames_of, told
from tests.unit.test_wire.talks import ODD, REGULAR, Talk, cut, mutated
from tests.unit.test_wire.test_h2_rules import GREETING, HELLO, REQUEST

ROLES = ["server", "client"]
SEEDS = st.integers(0, 2**48)
LONG_S = 60.0
STREAMS = 60


def connection_of(role: str) -> H2Connection:
    if role == "server":
        return ServerConnection(max_concurrent_streams=100)
    made = ClientConnection(keep=frozenset({b"retry-after"}))
    made.feed(settings_frame({}))
    made.open(np.arange(1, 2 * STREAMS, 2), 0, 0)
    return made


def live(connection: H2Connection, pieces: list[bytes], chance: random.Random) -> None:
    """Feed pieces, and do in between what owners do."""
    fed = 0
    for piece in pieces:
        before = connection.failed
        events = connection.feed(piece)
        fed += len(piece)
        if before is not None:
            assert events == []
        assert sum(isinstance(event, Failed) for event in events) == (connection.failed is not before)
        try:
            told(events)
        except HpackError:
            connection.fail(9, "as whoever reads a column does")  # type: ignore[arg-type]
            connection.events.clear()
        assert connection.failed is not None or len(connection._rest) <= connection.local.max_frame_size + 9
        act_as_owner(connection, chance)
    # The most that a byte can make us write is a header's nine bytes on each of few it came with, and a body due.
    assert sum(map(len, connection.output)) < 8 * fed + 2_000_000
    assert connection.streams.open == np.count_nonzero(connection.streams.state)
    assert connection.streams.open >= 0
    assert connection.streams.open or not connection._arriving


def act_as_owner(connection: H2Connection, chance: random.Random) -> None:
    if isinstance(connection, ServerConnection):
        for row in connection.streams.held().tolist():
            stream_id = int(connection.streams.ids[row])
            if connection.owed(np.array([stream_id])).all() and chance.random() < 0.5:
                body = bytes(chance.choice([0, 0, 30, 30, 70_000]))
                block = connection.encoder.encode([(b":status", b"200"), (b"x", b"%d" % chance.randrange(9))])
                connection.answer(stream_id, headers(stream_id, block, end=not body), body)
        if chance.random() < 0.02:
            connection.go_away()
    else:
        assert isinstance(connection, ClientConnection)
        body = bytes(chance.choice([0, 10, 10, 70_000]))
        if chance.random() < 0.3 and connection.room(len(body)):
            connection.request(connection.encoder.encode(REQUEST), body, 0, chance.randrange(100))
        if chance.random() < 0.05:
            connection.overdue(chance.randrange(100))
        assert connection.room(10) >= 0


def a_mutated_talk(role: str, seed: int) -> list[bytes]:
    chance = random.Random(seed)
    talk = Talk(seed, answers_to=range(1, 2 * STREAMS, 2) if role == "client" else (), largest_run=12)
    for name in chance.choices(REGULAR + ODD, k=chance.randint(1, 8)):
        talk.act(name)
    wrong = mutated(talk.raw, frames_of(talk.raw.removeprefix(PREFACE)), chance)
    if chance.random() < 0.2:
        at = chance.randrange(len(wrong) + 1)
        wrong = wrong[:at] + chance.randbytes(chance.randrange(200)) + wrong[at:]
    return cut(wrong, chance, chance.choice([0, 3, 30]))


def a_frame(chance: random.Random) -> bytes:
    length = chance.choice([0, 1, 4, 5, 6, 8, 8, 12, 40, 300])
    flags = chance.choice([0, 1, 4, 5, 8, 9, 0xD, 0x20, 0x25, 0x2D, chance.randrange(256)])
    stream_id = chance.choice([0, 0, 1, 1, 3, 3, 5, 7, 2, 119, 121, 2**31 - 1, 2**32 - 1])
    payload = chance.choice([chance.randbytes(length), bytes(length), b"\x83\x87\x84\x86"[:length], b"\x88"])
    claimed = len(payload) if chance.random() < 0.98 else chance.randrange(2**24)
    kind = chance.choice([*range(10), 0, 1, chance.randrange(256)])
    return claimed.to_bytes(3, "big") + bytes([kind, flags]) + stream_id.to_bytes(4, "big") + payload


@pytest.mark.parametrize("role", ROLES)
@given(seed=SEEDS)
@settings(max_examples=250)
def test_conversations_with_something_wrong_in_them_are_survived(role: str, seed: int) -> None:
    live(connection_of(role), a_mutated_talk(role, seed), random.Random(seed))


@pytest.mark.parametrize("role", ROLES)
@given(seed=SEEDS, count=st.integers(1, 60))
@settings(max_examples=250)
def test_frames_at_random_are_survived(role: str, seed: int, count: int) -> None:
    chance = random.Random(seed)
    opening = HELLO if role == "server" else GREETING
    live(connection_of(role), [opening, *(a_frame(chance) for _ in range(count))], chance)


@pytest.mark.parametrize("role", ROLES)
@given(raw=st.binary(max_size=300), greeted=st.booleans())
@settings(max_examples=250)
def test_bytes_at_random_are_survived(role: str, raw: bytes, greeted: bool) -> None:
    opening = (HELLO if role == "server" else GREETING) if greeted else b""
    live(connection_of(role), [opening, raw], random.Random(0))


@pytest.mark.slow
@pytest.mark.timeout(4 * LONG_S)
@pytest.mark.parametrize("role", ROLES)
def test_a_minute_of_it_leaves_nothing_behind(role: str) -> None:
    # What the process learns once, in tables of a bounded size, is no leak: the steps of Huffman's code are learned
    # here, and what is remembered of strings and fields is forgotten before each count.
    huffman_decode(huffman_encode(random.Random(0).randbytes(300_000)))
    until_s = time.monotonic() + LONG_S / len(ROLES)
    settled = 0
    tracemalloc.start()
    try:
        settled = 0
        for seed in itertools.count(20_240_211):
            chance = random.Random(seed)
            pieces = a_mutated_talk(role, seed)
            if seed % 2:
                pieces = [HELLO if role == "server" else GREETING, *(a_frame(chance) for _ in range(60))]
            live(connection_of(role), pieces, chance)
            if seed == 20_240_211 + 300:
                settled = left_bytes()
            if settled and time.monotonic() > until_s:
                break
        _, peak = tracemalloc.get_traced_memory()
        left = left_bytes()
    finally:
        tracemalloc.stop()
    assert settled
    assert left < settled + 200_000
    assert peak < 100_000_000


def left_bytes() -> int:
    huffman._decode_memo.cache_clear()
    fields._SOUND.clear()
    gc.collect()
    left, _ = tracemalloc.get_traced_memory()
    return left
