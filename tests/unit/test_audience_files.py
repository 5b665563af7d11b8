"""People from files: nobody dropped, nobody doubled, whatever the order; duplicates found in little memory."""

import tracemalloc

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from burst.audience.lookup import tokens_of
from burst.audience.opening import open_audience
from burst.audience.seen import SeenHashes
from burst.model.errors import AudienceError
from burst.model.scenario import Batching, FileAudience, SyntheticAudience

BATCHING = Batching(ios=3, android=2)
row = st.tuples(
    st.sampled_from(["ios", "android", " iOS ", "ANDROID"]),
    st.sampled_from(["", "acme", "zeta"]),
    st.sampled_from(["", "vip"]),
)


def token(number: int, platform: str) -> str:
    return f"{number:064x}" if platform.strip().lower() == "ios" else f"fcm{number}:APA91b" + "x" * (number % 7)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=st.lists(row, min_size=1, max_size=60), quoted=st.booleans())
def test_everybody_appears_once_in_any_order_of_platforms_tenants_and_lanes(tmp_path, rows, quoted) -> None:
    path = tmp_path / "people.csv"
    mark = '"' if quoted else ""
    lines = [
        f"{tenant},{mark}{token(number, platform)}{mark},{lane},{platform}"
        for number, (platform, tenant, lane) in enumerate(rows)
    ]
    path.write_text("tenant,token,lane,platform\n" + "\n".join(lines) + "\n")
    people = open_audience(FileAudience(file=str(path)), tmp_path)
    batches = list(people.batches(BATCHING))
    assert [batch.number for batch in batches] == list(range(len(batches)))
    at = 0
    found = []
    for batch in batches:
        assert batch.first_index == at
        assert 0 < batch.count <= BATCHING.size(batch.platform)
        at = batch.end_index
        found += [
            (batch.token_text(i), batch.platform.name.lower(), batch.tenant, batch.lane) for i in range(batch.count)
        ]
    wanted = [
        (token(number, platform), platform.strip().lower(), tenant, lane or "main")
        for number, (platform, tenant, lane) in enumerate(rows)
    ]
    assert sorted(found) == sorted(wanted)
    again = [bytes(batch.tokens) for batch in people.batches(BATCHING)]
    assert again == [bytes(batch.tokens) for batch in batches]
    # Indexes lead back to tokens, whole or in part.
    ranges = [(0, 0), (at - 1, at - 1)] if at > 1 else [(0, 0)]
    assert [text for _, _, text in tokens_of(people, BATCHING, ranges)] == [found[first][0] for first, _ in ranges]


def test_indexes_of_synthetic_people_lead_back_to_their_tokens_alone(tmp_path) -> None:
    people = open_audience(SyntheticAudience(ios=10, android=10), tmp_path)
    everybody = [batch.token_text(i) for batch in people.batches(BATCHING) for i in range(batch.count)]
    ranges = [(0, 1), (3, 3), (8, 12), (19, 19)]
    wanted = [everybody[index] for first, last in ranges for index in range(first, last + 1)]
    assert [text for _, _, text in tokens_of(people, BATCHING, ranges)] == wanted


@given(st.lists(st.lists(st.integers(0, 30), max_size=20), max_size=8))
def test_a_hash_is_seen_again_just_when_it_was_there_before(blocks) -> None:
    seen, before = SeenHashes(), set()
    for block in blocks:
        told = seen.add(np.array(block, dtype=np.int64)).tolist()
        for value, again in zip(block, told, strict=True):
            assert again == (value in before)
            before.add(value)


def test_duplicates_are_found_in_at_most_16_bytes_a_row() -> None:
    rows, block = 3_000_000, 16_384
    rng = np.random.default_rng(1)
    seen = SeenHashes()
    tracemalloc.start()
    for _ in range(0, rows, block):
        seen.add(rng.integers(-(2**63), 2**63, block))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert seen.memory_bytes <= 8.1 * rows
    assert peak <= 16 * rows + 32_000_000  # merging the largest two runs takes a fixed sum beside them


def test_every_broken_row_is_counted_and_the_first_ones_named(tmp_path) -> None:
    path = tmp_path / "people.csv"
    path.write_text("token,platform\n" + "bad!,ios\n" * 50 + token(1, "ios") + ",ios\n")
    with pytest.raises(AudienceError) as told:
        list(open_audience(FileAudience(file=str(path)), tmp_path).batches(BATCHING))
    assert told.value.mistakes[0].line == 2
    assert "and 30 more broken rows" in str(told.value)
    aside = open_audience(FileAudience(file=str(path), broken_rows="set_aside"), tmp_path)
    assert sum(batch.count for batch in aside.batches(BATCHING)) == 1
    assert aside.set_aside_count == 50
