"""Streams in columns stand where a plain table has them, also those that hang while the ring goes round."""

import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from burst.wire import streams as streams_module
from burst.wire.streams import Streams


def assert_alike(streams: Streams, model: dict[int, int]) -> None:
    assert streams.open == len(model)
    held = streams.held()
    assert dict(zip(streams.ids[held].tolist(), streams["tag"][held].tolist(), strict=True)) == model
    ids = np.array(sorted(model), dtype=np.int64)
    rows = streams.rows_of(ids)
    assert streams["tag"][rows].tolist() == [model[stream_id] for stream_id in ids.tolist()]
    assert [streams.row_of(stream_id) for stream_id in ids.tolist()] == rows.tolist()


@given(seed=st.integers(0, 2**32), steps=st.integers(1, 60))
@settings(max_examples=80)
def test_streams_are_found_while_old_ones_hang_and_the_ring_goes_round(seed: int, steps: int) -> None:
    chance = random.Random(seed)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(streams_module, "SMALLEST", 8)
        patch.setattr(streams_module, "LARGEST", 32)
        streams = Streams(tag=np.int64, scratch=np.int64)
        model: dict[int, int] = {}
        next_id = 1
        for _ in range(steps):
            count = chance.randint(1, 8)
            if chance.random() < 0.5 and streams.open + count <= 32:
                step = chance.choice([2, 2, 4])
                ids = np.arange(next_id, next_id + step * count, step)
                next_id = int(ids[-1]) + 2 * chance.randint(1, 40)
                rows = streams.free_for(ids)
                streams.add(rows, ids, chance.randint(1, 3))
                streams["tag"][rows] = ids * 7
                model |= {int(stream_id): int(stream_id) * 7 for stream_id in ids}
            elif model:
                gone = chance.sample(sorted(model), chance.randint(1, len(model)))
                if chance.random() < 0.5:
                    streams.drop(streams.rows_of(np.array(gone)))
                else:
                    for stream_id in gone:
                        streams.drop_one(streams.row_of(stream_id))
                for stream_id in gone:
                    del model[stream_id]
                    assert streams.row_of(stream_id) == -1
            assert streams.capacity <= 32
            assert_alike(streams, model)


def test_one_that_hangs_does_not_hold_up_a_million_others() -> None:
    streams = Streams(tag=np.int64)
    streams.add(streams.free_for(np.array([1])), np.array([1]), 1)
    for first in range(3, 2_000_000, 2000):
        ids = np.arange(first, first + 2000, 2)
        rows = streams.free_for(ids)
        streams.add(rows, ids, 1)
        streams.drop(rows)
    assert streams.row_of(1) >= 0
    assert streams.open == 1
    assert streams.ids.size < 70_000
