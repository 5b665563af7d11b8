"""The same bytes say the same, however they are cut and whichever way they are taken in."""

import random
from collections import Counter
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from burst.wire.events import Failed
from burst.wire.frames import PREFACE, ErrorCode, FrameType, settings_frame
from burst.wire.h2 import H2Connection
from burst.wire.h2_client import ClientConnection
from burst.wire.h2_server import ServerConnection
from burst.wire.hpack_error import HpackError
from burst.wire.huffman import huffman_encode
from tests.unit.test_wire.heard import frames_of, heard, slowly, told, ways
from tests.unit.test_wire.talks import ODD, REGULAR, Talk, cut, mutated

STREAMS = 400
ACTS = st.lists(st.sampled_from(REGULAR + ODD), min_size=1, max_size=12)
SEEDS = st.integers(0, 2**32)


def server() -> ServerConnection:
    return ServerConnection(max_concurrent_streams=100_000)


def client() -> ClientConnection:
    """A client with requests under way; its tags are stream ids."""
    made = ClientConnection(keep=frozenset({b"retry-after"}))
    made.feed(settings_frame({}))
    made.open(np.arange(1, 2 * STREAMS, 2), 0, 0)
    return made


MAKERS = {"server": server, "client": client}


def talk_to(role: str, acts: list[str], seed: int, **how: Any) -> bytes:
    """What a peer of this role's says, the streams' opening included."""
    answers_to = range(1, 2 * STREAMS, 2) if role == "client" else ()
    talk = Talk(seed, answers_to=answers_to, **how)
    for name in acts:
        talk.act(name)
    return talk.raw


def assert_one_story(make: type[H2Connection], raw: bytes, seed: int) -> None:
    """Whole, byte by byte, cut at random, and all of it the slow way."""
    chance = random.Random(seed)
    whole = heard(make(), [raw])
    assert heard(make(), [raw[at : at + 1] for at in range(len(raw))]) == whole
    assert heard(make(), cut(raw, chance)) == whole
    with slowly():
        assert heard(make(), [raw]) == whole


@pytest.mark.parametrize("role", MAKERS)
@given(acts=ACTS, seed=SEEDS)
@settings(max_examples=60)
def test_cuts_and_ways_change_nothing(role: str, acts: list[str], seed: int) -> None:
    assert_one_story(MAKERS[role], talk_to(role, acts, seed), seed)


@pytest.mark.parametrize("role", MAKERS)
@given(acts=ACTS, seed=SEEDS)
@settings(max_examples=150)
def test_cuts_and_ways_change_nothing_where_something_is_wrong(role: str, acts: list[str], seed: int) -> None:
    raw = talk_to(role, acts, seed, huffman=False)
    wrong = mutated(raw, frames_of(raw.removeprefix(PREFACE)), random.Random(seed))
    assert_one_story(MAKERS[role], wrong, seed)


@pytest.mark.parametrize("role", MAKERS)
@pytest.mark.parametrize(
    ("acts", "way"),
    [
        (["ended"], "run"),
        (["pairs"], "pairs"),
        (["blocks"], "run"),
        (["mixed", "mixed"], "walk"),
        (["shuffled", "shuffled"], "walk"),
    ],
)
def test_each_way_is_taken(role: str, acts: list[str], way: str) -> None:
    raw = talk_to(role, acts, seed=11, largest_run=150, kinds=[0])
    with ways() as counter:
        told(MAKERS[role]().feed(raw))
    frames = sum(counter.values())
    assert counter[way] > frames / 2, counter
    with ways() as counter, slowly():
        MAKERS[role]().feed(raw)
    assert set(counter) == {"single"}


def test_a_value_in_huffman_code_is_judged_by_whoever_reads_it() -> None:
    """The one thing that columns do not look into: the slow way ends the connection, the fast way leaves it to you."""
    raw = talk_to("server", ["ended"] * 2, seed=2, largest_run=150, kinds=[3])
    frames = frames_of(raw.removeprefix(PREFACE))
    lengths = Counter(len(frame) for frame in frames if frame[3] == FrameType.HEADERS)
    at = max(n for n, one in enumerate(frames) if one[3] == FrameType.HEADERS and lengths[len(one)] > 3)
    path = frames[at].index(huffman_encode(b"/3/device/")[:6])
    end_of_string = b"\xff" * 6
    frames[at] = frames[at][: path + 8] + end_of_string + frames[at][path + 8 + len(end_of_string) :]
    wrong = PREFACE + b"".join(frames)
    with slowly():
        (failed,) = [event for event in server().feed(wrong) if isinstance(event, Failed)]
    assert failed.code == ErrorCode.COMPRESSION_ERROR
    with pytest.raises(HpackError):
        told(server().feed(wrong))


@pytest.mark.parametrize("role", MAKERS)
def test_all_ways_are_taken_in_one_conversation(role: str) -> None:
    raw = talk_to(role, [*REGULAR, *ODD, *REGULAR, "ended", "pairs", "taught", "blocks"], seed=3)
    with ways() as counter:
        told(MAKERS[role]().feed(raw))
    assert min(counter[way] for way in ("run", "pairs", "walk", "single")) > 0, counter
    assert_one_story(MAKERS[role], raw, 3)
