"""Chance is a function of numbers: repeatable anywhere, and still looks like chance."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from burst.policy.chance import uniform

seeds = st.integers(0, 2**63 - 1)
streams = st.integers(0, 1000)
numbers = st.lists(st.integers(0, 2**62), min_size=1, max_size=50)


@given(seeds, streams, numbers, st.randoms())
def test_a_number_draws_the_same_whatever_stands_around_it(seed, stream, column, shuffler):
    draws = dict(zip(column, uniform(seed, stream, np.array(column)).tolist(), strict=True))
    shuffled = list(column)
    shuffler.shuffle(shuffled)
    assert uniform(seed, stream, np.array(shuffled)).tolist() == [draws[number] for number in shuffled]
    assert uniform(seed, stream, np.array(column[:1]))[0] == draws[column[0]]


@given(seeds, streams, numbers)
def test_draws_lie_in_the_half_open_unit_interval(seed, stream, column):
    drawn = uniform(seed, stream, np.array(column))
    assert ((drawn >= 0) & (drawn < 1)).all()


@pytest.mark.parametrize("seed", [0, 1, 2024, 2**63 - 1])
@pytest.mark.parametrize("stream", [0, 1, 2])
def test_draws_are_uniform(seed, stream):
    drawn = np.sort(uniform(seed, stream, np.arange(100_000)))
    # Kolmogorov-Smirnov: 1.95 / sqrt(n) is exceeded once in a thousand by true chance; these seeds are fixed.
    assert np.abs(drawn - (np.arange(100_000) + 0.5) / 100_000).max() < 1.95 / 100_000**0.5


@pytest.mark.parametrize(("left", "right"), [((7, 0), (7, 1)), ((7, 0), (8, 0)), ((2024, 1), (2025, 1))])
def test_seeds_and_streams_are_independent(left, right):
    a, b = (uniform(*key, np.arange(20_000)) for key in (left, right))
    for shift in range(-5, 6):
        assert abs(np.corrcoef(a[10:-10], b[10 + shift : b.size - 10 + shift])[0, 1]) < 0.05


def test_draws_stay_what_they_are_so_that_a_run_can_be_repeated_by_another_version():
    assert uniform(2024, 1, np.array([0, 1, 4_000_000])).tolist() == [
        0.7606420998857834,
        0.08176679719766411,
        0.8031051092894872,
    ]
