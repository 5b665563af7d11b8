"""A paced schedule: who is due when, asked from either side, gives one answer."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from burst.model.units import NS_PER_S
from burst.policy.pacing import Pace

rates = st.one_of(st.floats(0.01, 5e6), st.integers(1, 5_000_000).map(float))
indexes = st.integers(0, 10**8)
elapsed = st.integers(0, 24 * 3600 * NS_PER_S)


@given(rates, elapsed)
def test_nobody_counts_as_due_before_his_offset(rate, elapsed_ns):
    pace = Pace(rate)
    due = pace.due_by(elapsed_ns)
    assert due >= 1
    assert pace.due_offset_ns(due - 1) <= elapsed_ns


@given(rates, indexes)
def test_everybody_is_due_once_his_offset_has_passed(rate, index):
    pace = Pace(rate)
    # Offsets are cut to whole nanoseconds; over days a double holds them to 16 ns.
    assert pace.due_by(pace.due_offset_ns(index) + 16) > index


@given(rates, elapsed, elapsed)
def test_later_there_are_never_fewer_due(rate, one, other):
    pace = Pace(rate)
    assert pace.due_by(min(one, other)) <= pace.due_by(max(one, other))


@given(rates, st.lists(indexes, max_size=50))
def test_a_column_of_offsets_equals_the_offsets_one_by_one(rate, column):
    pace = Pace(rate)
    offsets = pace.due_offsets_ns(np.array(column, dtype=np.int64))
    assert offsets.dtype == np.int64
    assert offsets.tolist() == [pace.due_offset_ns(index) for index in column]


@given(st.integers(1, 10**6), st.integers(1, 3600))
def test_a_rate_is_kept_over_any_number_of_seconds(rate, seconds):
    # Index 0 is due at GO itself.
    assert Pace(float(rate)).due_by(seconds * NS_PER_S) == rate * seconds + 1


@given(st.integers(0, 2**62), st.integers(0, 2**62))
def test_without_a_rate_all_are_due_at_go(index, elapsed_ns):
    burst = Pace()
    assert burst.due_offset_ns(index) == 0
    assert burst.due_offsets_ns(np.array([index]))[0] == 0
    assert burst.due_by(elapsed_ns) > index


@given(st.one_of(st.none(), rates), st.integers(1, 2**62))
def test_before_go_nobody_is_due(rate, before):
    assert Pace(rate).due_by(-before) == 0


def test_a_column_of_offsets_is_exact_where_the_spacing_is_no_whole_number():
    pace = Pace(3.0)
    assert pace.due_offsets_ns(np.arange(20_000)).tolist() == [pace.due_offset_ns(index) for index in range(20_000)]
