"""What a run folder holds says what was measured, to programs that are not ours as well."""

import csv
import re
from contextlib import closing
from itertools import pairwise

import numpy as np
import pytest
from hdrh.histogram import HdrHistogram
from hdrh.log import HistogramLogReader
from hypothesis import given
from hypothesis import strategies as st

from burst.measure.histogram import HIGHEST_US, LOWEST_US, SIGNIFICANT_DIGITS
from burst.measure.tally import INTERVALS, Settled, Tally
from burst.measure.timeline import KINDS
from burst.model.outcome import State
from burst.runs.files import (
    Undelivered,
    read_undelivered,
    to_hdr,
    undelivered_ranges,
    write_histograms,
    write_timeline,
    write_undelivered,
)

GO_NS = 10**12


def tally_of(people: int, *, paced: bool = True) -> Tally:
    rng = np.random.default_rng(11)
    due = GO_NS + rng.integers(0, 10**9, people) if paced else GO_NS
    first = due + rng.integers(0, 10**8, people)
    answered = first + np.exp(rng.normal(14, 2.5, people)).astype(np.int64)
    states = np.where(rng.random(people) < 0.9, State.ACCEPTED, State.REJECTED).astype(np.uint8)
    tally = Tally((10**9,))
    tally.fold(Settled(due, first, first, answered, states), GO_NS)
    return tally


def read_hlog(path) -> dict[str, HdrHistogram]:
    reference = HdrHistogram(LOWEST_US, HIGHEST_US, SIGNIFICANT_DIGITS)
    found = {}
    with closing(HistogramLogReader(str(path), reference)) as log:
        while (histogram := log.get_next_interval_histogram()) is not None:
            found[histogram.get_tag()] = histogram
        assert log.get_start_time_sec() == pytest.approx(1_700_000_000.5)
    return found


@pytest.mark.parametrize("paced", [True, False], ids=["paced", "burst"])
@pytest.mark.parametrize("people", [1, 30_000])
def test_the_package_reads_the_hlog_back_to_the_same_counts(tmp_path, people, paced):
    tally = tally_of(people, paced=paced)
    write_histograms(tmp_path, tally, 1_700_000_000.5, 12.5)
    found = read_hlog(tmp_path / "latency.hlog")
    assert set(found) == set(INTERVALS)
    for name in INTERVALS:
        ours = tally.interval(name)
        assert list(found[name].counts) == ours.counts.tolist(), name
        assert found[name].get_total_count() == ours.total


def test_the_total_of_the_hgrm_is_the_number_of_the_timed(tmp_path):
    tally = tally_of(30_000)
    write_histograms(tmp_path, tally, 1_700_000_000.5, 12.5)
    text = (tmp_path / "latency.hgrm").read_text()
    total = re.search(r"TotalCount\s*=\s*(\d+)", text)
    assert total is not None
    assert int(total[1]) == tally.interval("end_to_end").total
    rows = [line.split() for line in text.splitlines() if re.match(r"\s*[\d.]+\s+[\d.]+\s+\d+", line)]
    assert int(rows[-1][2]) == tally.interval("end_to_end").total
    assert float(rows[-1][1]) == 1.0


def test_a_run_without_a_single_answer_has_readable_files_too(tmp_path):
    write_histograms(tmp_path, Tally(), 1_700_000_000.5, 0.0)
    write_timeline(tmp_path, Tally())
    assert all(histogram.get_total_count() == 0 for histogram in read_hlog(tmp_path / "latency.hlog").values())
    assert (tmp_path / "timeline.csv").read_text().splitlines() == [",".join(("t_ms", *KINDS))]


@given(st.lists(st.integers(0, HIGHEST_US), max_size=50))
def test_our_histogram_handed_to_the_package_keeps_every_count(values):
    tally = Tally()
    tally.histograms["service"].record_us(np.array(values, dtype=np.int64))
    assert list(to_hdr(tally.interval("service")).counts) == tally.interval("service").counts.tolist()


def test_the_timeline_file_sums_to_the_tally(tmp_path):
    tally = tally_of(5000)
    write_timeline(tmp_path, tally)
    with (tmp_path / "timeline.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    for kind in ("accepted", "rejected"):
        assert sum(int(row[kind]) for row in rows) == tally.counters[kind]
    times = [int(row["t_ms"]) for row in rows]
    assert times == list(range(times[0], times[0] + 10 * len(times), 10))
    with (tmp_path / "heatmap.csv").open(newline="") as file:
        assert sum(int(row["count"]) for row in csv.DictReader(file)) == tally.counters["accepted"]


NAMES = ["", "token is dead", 'odd, "quoted"']
crowds = st.lists(st.tuples(st.sampled_from([*State]), st.integers(0, len(NAMES) - 1), st.integers(1, 5)), max_size=40)


def expand(crowd) -> tuple[np.ndarray, np.ndarray]:
    counts = [count for *_, count in crowd]
    return tuple(np.repeat(np.array([row[field] for row in crowd], np.uint8), counts) for field in (0, 1))


@given(crowds, st.booleans())
def test_undelivered_ranges_cover_exactly_those_who_were_not_accepted(crowd, told):
    states, reasons = expand(crowd)
    ranges = list(undelivered_ranges(states, reasons if told else None, NAMES))
    seen = {}
    for entry in ranges:
        for index in range(entry.first_index, entry.last_index + 1):
            assert index not in seen
            seen[index] = (entry.outcome, entry.reason)
    assert seen == {
        index: (State(state).name.lower(), NAMES[reason] if told else "")
        for index, (state, reason) in enumerate(zip(states.tolist(), reasons.tolist(), strict=True))
        if state != State.ACCEPTED
    }
    for sooner, later in pairwise(ranges):
        alike = (sooner.outcome, sooner.reason) == (later.outcome, later.reason)
        assert not (alike and sooner.last_index + 1 == later.first_index), "neighbours that ended alike are one range"


def test_undelivered_reads_back_as_written(tmp_path):
    entries = [Undelivered(0, 9, "rejected", "token is dead"), Undelivered(12, 12, "unknown", NAMES[2])]
    write_undelivered(tmp_path, entries)
    assert read_undelivered(tmp_path) == entries
