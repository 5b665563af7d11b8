"""Waits before another attempt: bounded, jittered, the provider's wish a floor."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from burst.policy.retry import Backoff

bases = st.integers(1, 10**10)
caps = st.integers(1, 3600 * 10**9)
attempts = st.lists(st.integers(1, 255), min_size=1, max_size=50)
draws = st.floats(0, 1, exclude_max=True)


def waits(backoff: Backoff, made: list[int], chance, after=None) -> list[int]:
    return backoff.waits_ns(
        np.array(made, dtype=np.uint8),
        np.full(len(made), chance) if isinstance(chance, float) else np.array(chance),
        None if after is None else np.array(after, dtype=np.int64),
    ).tolist()


@given(bases, caps, attempts, draws)
def test_waits_lie_between_zero_and_the_doubling_ceiling(base, cap, made, chance):
    for wait, number in zip(waits(Backoff(4, base, cap), made, chance), made, strict=True):
        assert 0 <= wait <= min(base * 2 ** (number - 1), cap)


@given(bases, caps, attempts, draws, st.integers(0, 10**12))
def test_what_the_provider_asked_for_is_a_floor_under_the_jitter(base, cap, made, chance, after):
    backoff = Backoff(4, base, cap)
    asked = waits(backoff, made, chance, [after] * len(made))
    unasked = waits(backoff, made, chance)
    assert [wait - after for wait in asked] == unasked


@given(bases, caps, draws)
def test_the_ceiling_never_shrinks_with_more_attempts(base, cap, chance):
    column = waits(Backoff(4, base, cap), list(range(1, 256)), chance)
    assert column == sorted(column)


def test_the_jitter_is_full_a_refused_crowd_spreads_over_the_whole_wait():
    rng = np.random.default_rng(5)
    column = Backoff(4, 10**9, 10**12).waits_ns(np.ones(100_000, dtype=np.uint8), rng.random(100_000))
    shares = np.bincount(column // 10**8, minlength=10) / column.size
    assert shares.size == 10
    assert (abs(shares - 0.1) < 0.01).all()


def test_a_refusal_that_names_no_wait_in_a_column_that_does_is_jittered_alone():
    backoff = Backoff(4, 1000, 10**9)
    assert waits(backoff, [1, 1], 0.5, [0, 10**6]) == [500, 10**6 + 500]
