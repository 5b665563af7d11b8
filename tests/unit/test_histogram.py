"""The histogram is HdrHistogram's, bucket for bucket; nothing is dropped."""

import itertools
import math
from fractions import Fraction

import numpy as np
import pytest
from hdrh.histogram import HdrHistogram
from hypothesis import given
from hypothesis import strategies as st

from burst.measure.histogram import (
    COUNTS,
    HIGHEST_US,
    LOWEST_US,
    SIGNIFICANT_DIGITS,
    Histogram,
    bucket_highest_us,
    bucket_indexes,
    bucket_lowest_us,
)

EDGES = sorted(
    {edge for power in range(32) for step in (-2, -1, 0, 1, 2) if 0 <= (edge := (1 << power) + step) <= HIGHEST_US}
    | {0, 1, 1023, 1024, 2047, 2048, HIGHEST_US - 1, HIGHEST_US}
)
in_range = st.one_of(
    st.integers(0, HIGHEST_US),
    st.integers(0, 4096),
    st.sampled_from(EDGES),
    st.integers(0, 31).flatmap(lambda power: st.integers(0, min(HIGHEST_US, 1 << power))),
)
anything = st.one_of(in_range, st.integers(-(2**62), 2**62), st.sampled_from([-1, HIGHEST_US + 1]))


def package() -> HdrHistogram:
    return HdrHistogram(LOWEST_US, HIGHEST_US, SIGNIFICANT_DIGITS)


def recorded(values: list[int]) -> Histogram:
    histogram = Histogram()
    histogram.record_us(np.array(values, dtype=np.int64))
    return histogram


def assert_same(left: Histogram, right: Histogram) -> None:
    assert np.array_equal(left.counts, right.counts)
    for field in ("total", "clamped", "min_us", "max_us"):
        assert getattr(left, field) == getattr(right, field), field


def merged(*histograms: Histogram) -> Histogram:
    total = Histogram()
    for histogram in histograms:
        total.merge(histogram)
    return total


def test_there_are_as_many_buckets_as_in_the_package():
    assert package().counts_len == COUNTS


def test_every_bucket_has_the_edges_that_the_package_gives_it():
    hdr = package()
    last = hdr.get_counts_array_index(HIGHEST_US)
    for index in range(last + 1):
        lowest = hdr.get_value_from_index(index)
        assert bucket_lowest_us(index) == lowest
        assert bucket_highest_us(index) == hdr.get_highest_equivalent_value(lowest)


def test_both_edges_of_every_bucket_fall_into_it():
    last = package().get_counts_array_index(HIGHEST_US)
    indexes = np.arange(last + 1)
    lowest = np.array([bucket_lowest_us(index) for index in indexes.tolist()])
    highest = np.minimum([bucket_highest_us(index) for index in indexes.tolist()], HIGHEST_US)
    assert np.array_equal(bucket_indexes(lowest), indexes)
    assert np.array_equal(bucket_indexes(highest), indexes)


@given(st.lists(in_range, max_size=200))
def test_counts_equal_the_packages_bucket_for_bucket(values):
    hdr = package()
    for value in values:
        assert hdr.record_value(value)
    ours = recorded(values)
    assert ours.counts.tolist() == list(hdr.counts)
    assert ours.total == hdr.total_count == len(values)
    assert ours.clamped == 0
    if values:
        assert (ours.min_us, ours.max_us) == (min(values), max(values))


@pytest.mark.parametrize("edge", EDGES)
def test_every_power_of_two_falls_where_the_package_puts_it(edge):
    hdr = package()
    hdr.record_value(edge)
    assert recorded([edge]).counts.tolist() == list(hdr.counts)


def test_a_large_column_equals_the_package():
    values = np.exp(np.random.default_rng(3).uniform(0, math.log(HIGHEST_US), 50_000)).astype(np.int64)
    hdr = package()
    for value in values.tolist():
        hdr.record_value(value)
    ours = Histogram()
    ours.record_us(values)
    assert ours.counts.tolist() == list(hdr.counts)


@given(st.lists(anything, max_size=200))
def test_out_of_range_values_are_clamped_and_counted_never_dropped(values):
    ours = recorded(values)
    clamped = [min(max(value, 0), HIGHEST_US) for value in values]
    expected = recorded(clamped)
    expected.clamped = sum(1 for value in values if not 0 <= value <= HIGHEST_US)
    assert_same(ours, expected)
    assert ours.total == int(ours.counts.sum()) == len(values)


@given(st.lists(st.integers(-(2**40), 2**52), max_size=100))
def test_nanoseconds_are_cut_to_the_microseconds_below(values):
    ours = Histogram()
    ours.record_ns(np.array(values, dtype=np.int64))
    assert_same(ours, recorded([value // 1000 for value in values]))


@given(st.lists(anything, max_size=100), st.lists(st.integers(0, 100), max_size=5))
def test_recording_column_by_column_equals_recording_at_once(values, cuts):
    piecewise = Histogram()
    bounds = [0, *sorted(min(cut, len(values)) for cut in cuts), len(values)]
    for start, stop in itertools.pairwise(bounds):
        piecewise.record_us(np.array(values[start:stop], dtype=np.int64))
    assert_same(piecewise, recorded(values))


@given(*[st.lists(anything, max_size=60)] * 3)
def test_merging_is_associative_commutative_and_equals_recording_everything(a, b, c):
    left = merged(merged(recorded(a), recorded(b)), recorded(c))
    right = merged(recorded(a), merged(recorded(b), recorded(c)))
    turned = merged(recorded(c), recorded(b), recorded(a))
    assert_same(left, right)
    assert_same(left, turned)
    assert_same(left, recorded(a + b + c))


@given(st.lists(anything, max_size=100), st.lists(anything, max_size=100))
def test_a_sparse_histogram_adds_back_to_the_same(values, already):
    source, target = recorded(values), recorded(already)
    indexes, counts = source.nonzero()
    assert (counts > 0).all()
    target.add_sparse(indexes, counts, clamped=source.clamped, min_us=source.min_us, max_us=source.max_us)
    assert_same(target, recorded(values + already))


percents = st.one_of(
    st.sampled_from([50.0, 90.0, 95.0, 99.0, 99.9, 99.99, 100.0]),
    st.integers(1, 10_000).map(lambda hundredths: hundredths / 100),
)


@given(st.lists(in_range, min_size=1, max_size=200), percents)
def test_a_percentile_is_the_bucket_of_the_value_at_its_rank(values, percent):
    rank = max(1, math.ceil(Fraction(str(percent)) * len(values) / 100))
    exact = sorted(values)[rank - 1]
    expected = min(package().get_highest_equivalent_value(exact), max(values))
    assert recorded(values).percentile_us(percent) == expected


@given(st.lists(in_range, min_size=1, max_size=200), percents)
def test_a_percentile_equals_the_packages_wherever_both_mean_the_same_rank(values, percent):
    # The package rounds half up where "percent % do not exceed it" needs the next whole person.
    hdr = package()
    for value in values:
        hdr.record_value(value)
    ours = recorded(values).percentile_us(percent)
    assert ours is not None
    rank = Fraction(str(percent)) * len(values) / 100
    if math.ceil(rank) == hdr.get_target_count_at_percentile(percent):
        assert ours == min(hdr.get_value_at_percentile(percent), max(values))
    else:
        assert ours >= min(hdr.get_value_at_percentile(percent), max(values))


@pytest.mark.parametrize("total", [1_000, 41_000, 82_000, 100_000, 164_000, 1_000_000])
@pytest.mark.parametrize("percent", [50.0, 90.0, 95.0, 99.0, 99.9])
def test_the_rank_of_a_percentile_is_exact_whatever_floats_make_of_it(total, percent):
    rank = math.ceil(Fraction(str(percent)) * total / 100)
    ours = Histogram()
    ours.counts[10], ours.counts[20] = rank, total - rank
    ours.total, ours.max_us = total, 20
    assert ours.percentile_us(percent) == 10


def test_an_empty_histogram_has_no_percentile():
    assert Histogram().percentile_us(99.0) is None


@given(st.lists(in_range, min_size=1, max_size=100))
def test_the_hundredth_percentile_is_the_maximum(values):
    assert recorded(values).percentile_us(100.0) == max(values)
