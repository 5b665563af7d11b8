"""What synthetic people promise."""

import hashlib
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from burst.audience.synthetic import SyntheticPeople
from burst.model.batch import Platform, TokenEncoding
from burst.model.scenario import Batching, SyntheticAudience


def people_of(ios: int = 700, android: int = 300, seed: int = 7) -> SyntheticPeople:
    return SyntheticPeople(SyntheticAudience(ios=ios, android=android, seed=seed))


def texts(people: SyntheticPeople, batching: Batching) -> list[str]:
    return [batch.token_text(i) for batch in people.batches(batching) for i in range(batch.count)]


@given(
    ios=st.integers(0, 3000),
    android=st.integers(0, 3000),
    size_ios=st.integers(1, 600),
    size_android=st.integers(1, 600),
)
def test_any_batch_made_alone_equals_the_one_in_the_sequence(ios, android, size_ios, size_android):
    people = people_of(ios, android + 1)
    batching = Batching(ios=size_ios, android=size_android)
    batches = list(people.batches(batching))
    assert len(batches) == people.batch_count(batching)
    for number in {0, len(batches) // 2, len(batches) - 1}:
        alone = people.batch(batching, number)
        assert alone == batches[number]
        assert bytes(alone.tokens) == bytes(batches[number].tokens)


@given(ios=st.integers(0, 2000), android=st.integers(0, 2000), size=st.integers(1, 4096))
def test_numbers_and_indices_have_no_gaps(ios, android, size):
    people = people_of(ios, android + 1)
    index = 0
    for number, batch in enumerate(people.batches(Batching(ios=size, android=size))):
        assert batch.number == number
        assert batch.first_index == index
        assert 0 < batch.count <= size
        assert len(batch.tokens) == batch.count * batch.token_width
        index = batch.end_index
    assert index == people.size_hint


def test_a_person_has_the_same_token_however_the_batches_are_cut():
    people = people_of()
    assert texts(people, Batching(ios=500, android=250)) == texts(people, Batching(ios=7, android=11))


def test_tokens_stay_what_they_were_when_this_version_was_written():
    told = "\n".join(texts(people_of(ios=20, android=20, seed=2024), Batching()))
    assert (
        hashlib.sha256(told.encode()).hexdigest() == "a26d246df769c23382567b1776f62bb5a3f4034fa75a588a7361c6d95811d7e8"
    )


def test_ios_comes_first_with_raw_32_byte_tokens_then_android_with_tokens_that_look_like_fcm():
    batches = list(people_of(3, 2).batches(Batching()))
    assert [(batch.platform, batch.encoding, batch.token_width) for batch in batches] == [
        (Platform.IOS, TokenEncoding.RAW, 32),
        (Platform.ANDROID, TokenEncoding.ASCII, 152),
    ]
    for position in range(2):
        assert re.fullmatch(r"[A-Za-z0-9_-]{22}:APA91b[A-Za-z0-9_-]{123}", batches[1].token_text(position))


def test_everybody_has_a_token_of_their_own_and_another_seed_gives_other_people():
    one, other = texts(people_of(seed=1), Batching()), texts(people_of(seed=2**64 - 1), Batching())
    assert len(set(one + other)) == 2000


def test_the_fingerprint_tells_seeds_and_counts_apart():
    prints = {people_of(*counts).fingerprint for counts in [(1, 2), (2, 1), (12, 0), (1, 20)]}
    assert len(prints) == 4
    assert people_of(seed=1).fingerprint != people_of(seed=2).fingerprint


def test_nobody_is_set_aside():
    assert (list(people_of().set_aside), people_of().set_aside_count) == ([], 0)


def test_a_batch_that_does_not_exist_is_refused():
    with pytest.raises(IndexError, match="batch 4 of 4"):
        people_of().batch(Batching(), 4)
