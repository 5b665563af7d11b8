"""Every batch lives on exactly one shard, and the shards are level."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from burst.policy.placement import Placement

shards = st.integers(1, 256)


@given(shards, st.integers(0, 5000))
def test_every_batch_is_on_exactly_one_shard_and_shards_are_level_within_one(count, batches):
    placement = Placement(count)
    held = Counter(placement.shard_of(number) for number in range(batches))
    assert set(held) <= set(range(count))
    assert held.total() == batches
    loads = [held[shard] for shard in range(count)]
    assert max(loads) - min(loads) <= 1


@given(shards, st.integers(0, 2**62))
def test_placement_is_a_function_of_the_batch_number_alone(count, number):
    assert Placement(count).shard_of(number) == Placement(count).shard_of(number)
    assert 0 <= Placement(count).shard_of(number) < count


@given(shards, st.integers(0, 2000))
def test_a_worker_reads_every_shard_once_its_own_first(count, worker):
    home = Placement(count).home_of(worker)
    assert sorted(home) == list(range(count))
    assert home[0] == worker % count


@given(shards, st.integers(1, 64))
def test_workers_begin_on_different_shards_as_evenly_as_their_number_allows(count, workers):
    begins = Counter(Placement(count).home_of(worker)[0] for worker in range(workers))
    loads = [begins[shard] for shard in range(count)]
    assert max(loads) - min(loads) <= 1
