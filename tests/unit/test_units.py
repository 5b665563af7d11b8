"""Quantities read as people write them, and what is written can be read back."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from burst.model.units import (
    exact_duration,
    format_count,
    format_duration,
    format_rate,
    parse_count,
    parse_duration_ns,
    parse_rate_per_s,
    parse_share,
    parse_size,
)


@pytest.mark.parametrize(
    ("text", "ns"),
    [
        ("5s", 5_000_000_000),
        ("250ms", 250_000_000),
        ("1m30s", 90_000_000_000),
        ("1.5 s", 1_500_000_000),
        ("20us", 20_000),
        ("20µs", 20_000),
        ("3", 3_000_000_000),
        (0.25, 250_000_000),
        ("0s", 0),
        ("2min", 120_000_000_000),
    ],
)
def test_durations_read_as_people_write_them(text, ns):
    assert parse_duration_ns(text) == ns


@pytest.mark.parametrize("text", ["", "5x", "s", "-5s", "5s!", "1:30", -1, math.nan, math.inf])
def test_what_is_no_duration_is_refused(text):
    with pytest.raises(ValueError, match=r"is not a duration|no known unit"):
        parse_duration_ns(text)


@given(st.integers(0, 10**15))
def test_an_exact_duration_reads_back_exactly(ns):
    assert parse_duration_ns(exact_duration(ns)) == ns


@pytest.mark.parametrize(
    ("text", "count"),
    [("4_000_000", 4_000_000), ("4M", 4_000_000), ("2.4M", 2_400_000), ("7", 7), (7, 7), ("10k", 10_000)],
)
def test_counts_read_as_people_write_them(text, count):
    assert parse_count(text) == count


@pytest.mark.parametrize("text", ["4.5", "M", "-4", "4 people", "", -1, 1.5, math.inf, math.nan])
def test_what_is_no_count_is_refused(text):
    with pytest.raises(ValueError, match="is not"):
        parse_count(text)


@given(st.integers(0, 10**12))
def test_counts_survive_underscores(count):
    assert parse_count(f"{count:_}") == count


@pytest.mark.parametrize(("text", "size"), [("16KiB", 16384), ("64MB", 64_000_000), ("1.5KiB", 1536), (10, 10)])
def test_sizes_read_as_people_write_them(text, size):
    assert parse_size(text) == size


@pytest.mark.parametrize(
    ("text", "rate"),
    [("30000/s", 30_000), ("600k/min", 10_000), ("1.5M/s", 1.5e6), ("30", 30), (30, 30), ("3600/h", 1)],
)
def test_rates_read_as_people_write_them(text, rate):
    assert parse_rate_per_s(text) == rate


@pytest.mark.parametrize("text", ["0/s", "3/fortnight", "-1", 0, "x", math.inf, math.nan])
def test_what_is_no_rate_is_refused(text):
    with pytest.raises(ValueError, match="is not a rate"):
        parse_rate_per_s(text)


@pytest.mark.parametrize(("text", "share"), [("5%", 0.05), ("0.1 %", 0.001), (0.05, 0.05), ("1", 1.0), ("100%", 1.0)])
def test_shares_read_as_people_write_them(text, share):
    assert parse_share(text) == share


@pytest.mark.parametrize("text", ["101%", "-1%", 2, "x", math.nan])
def test_what_is_no_share_is_refused(text):
    with pytest.raises(ValueError, match="is not"):
        parse_share(text)


def test_what_is_told_has_a_unit():
    assert format_duration(1_234_000_000) == "1.23 s"
    assert format_duration(845_000_000) == "845 ms"
    assert format_count(4_000_000) == "4,000,000"
    assert format_rate(3.42e6) == "3.42 M/s"
