"""The token bucket grants what its rate allows: no more, and nothing is lost."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from burst.model.units import NS_PER_S
from burst.policy.bucket import TokenBucket

rates = st.floats(0.5, 2e6)
bursts = st.integers(1, 10_000)
calls = st.lists(st.tuples(st.integers(0, 10**10), st.integers(0, 20_000)), min_size=1, max_size=60)


@given(rates, bursts, calls)
def test_it_never_grants_more_than_burst_and_rate_allow(rate, burst, plan):
    bucket, now, granted, began = TokenBucket(rate, burst), 10**15, 0, None
    for step, wanted in plan:
        now += step
        began = now if began is None else began
        taken = bucket.take(wanted, now)
        assert 0 <= taken <= min(wanted, burst)
        granted += taken
        assert granted <= burst + rate * (now - began) / NS_PER_S + 1e-3


@given(rates, bursts, st.lists(st.integers(0, 10**10), min_size=1, max_size=60))
def test_in_any_window_it_grants_at_most_a_burst_beyond_its_rate(rate, burst, steps):
    bucket, now = TokenBucket(rate, burst), 10**15
    grants = []
    for step in steps:
        now += step
        grants.append((now, bucket.take(10**9, now)))
    for start in range(len(grants)):
        total = 0
        for at, taken in grants[start:]:
            total += taken
            assert total <= burst + rate * (at - grants[start][0]) / NS_PER_S + 1e-3


@given(st.integers(1, 10**6), st.integers(2, 10_000), st.integers(1, 2000))
def test_a_thirsty_caller_gets_all_of_it(rate, burst, calls_a_second):
    bucket, now = TokenBucket(rate, burst), 10**15
    # Asked so often that the bucket never overflows, it gives the whole rate but for the last broken token.
    step = max(1, min(NS_PER_S // calls_a_second, int((burst - 1) * NS_PER_S / rate)))
    granted = bucket.take(10**9, now)
    assert granted == burst
    for _ in range(200):
        now += step
        granted += bucket.take(10**9, now)
    assert granted > burst + rate * 200 * step / NS_PER_S - 1 - 1e-3


@given(rates, bursts, st.integers(1, 10_000))
def test_after_the_wait_it_names_there_are_the_tokens_it_named(rate, burst, wanted):
    wanted = min(wanted, burst)
    bucket, now = TokenBucket(rate, burst), 10**15
    bucket.take(burst, now)
    wait = bucket.wait_ns(wanted)
    assert wait <= wanted * NS_PER_S / rate + 2
    now += wait + 1
    assert bucket.take(wanted, now) == wanted


@given(rates, bursts, st.integers(1, 10**12))
def test_a_clock_that_steps_back_grants_nothing_extra(rate, burst, back):
    bucket = TokenBucket(rate, burst)
    bucket.take(burst, 10**15)
    assert bucket.take(burst, 10**15 - back) == 0
    assert bucket.take(burst, 10**15) == 0


def test_it_starts_full_and_a_long_rest_fills_it_no_higher_than_its_burst():
    bucket = TokenBucket(1000.0, 50)
    assert bucket.take(10**6, 0) == 50
    assert bucket.take(10**6, 3600 * NS_PER_S) == 50


@pytest.mark.parametrize("wanted", [1, 50])
def test_a_full_bucket_asks_nobody_to_wait(wanted):
    assert TokenBucket(1000.0, 50).wait_ns(wanted) == 0
