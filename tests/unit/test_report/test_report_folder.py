"""The run folder as the readers see it."""

import os

import numpy as np
import pytest

from burst.model.errors import UsageError
from burst.report.folder import find_run, read_result, read_run
from burst.report.words import milliseconds, percent, plain, reached, seconds


def test_everything_a_run_left_is_read(sample):
    run = read_run(sample("fail"))
    assert run.absent == ()
    assert run.timeline.bin_ms == 10
    assert run.heatmap.count.sum() == run.timeline.counts["accepted"].sum()
    assert set(run.latency) == {"end_to_end", "queue_wait", "service", "completion"}
    assert run.undelivered.people == 32_380 == sum(count for _, _, count in run.undelivered.by_reason)
    assert [moment.kind for moment in run.journal][2] == "go"


def test_a_curve_passes_through_the_percentiles_of_the_result(sample):
    run = read_run(sample("pass"))
    for tag, one in (("end_to_end", run.result.latency_ms.end_to_end), ("service", run.result.latency_ms.service)):
        curve = dict(run.latency[tag].curve)
        assert curve[1.0] == pytest.approx(one.p90, rel=5e-3)
        assert curve[2.0] == pytest.approx(one.p99, rel=5e-3)
        assert run.latency[tag].max_ms == pytest.approx(one.max, rel=5e-3)
        assert np.all(np.diff([ms for _, ms in run.latency[tag].curve]) >= 0)


def test_a_torn_last_line_is_left_out(sample):
    folder = sample("one")
    whole = read_run(folder)
    for name in ("timeline.csv", "journal.ndjson"):
        path = folder / name
        path.write_bytes(
            path.read_bytes() + b'{"at": "20' if name.endswith("ndjson") else path.read_bytes() + b"99999,1"
        )
    torn = read_run(folder)
    assert torn.timeline.t_ms.tolist() == whole.timeline.t_ms.tolist()
    assert torn.journal == whole.journal
    assert torn.absent == ()


def test_a_run_is_found_by_path_by_name_and_as_the_newest(sample, tmp_path):
    old, new = sample("one", folder="b-old"), sample("one", folder="a-new")
    os.utime(old / "result.json", ns=(1, 1))
    root = tmp_path / "reports"
    assert find_run(None, root) == new
    assert find_run("b-old", root) == old
    assert find_run(str(old), tmp_path / "elsewhere") == old
    assert find_run(str(old / "result.json"), root) == old


def test_what_is_no_run_is_explained(sample, tmp_path):
    root = tmp_path / "reports"
    with pytest.raises(UsageError, match="there is no run in"):
        find_run(None, root)
    sample("one", folder="smoke-20260208")
    with pytest.raises(UsageError, match="did you mean 'smoke-20260208'"):
        find_run("smoke-2026020", root)
    (root / "empty").mkdir()
    with pytest.raises(UsageError, match="killed before it could be judged"):
        find_run("empty", root)
    with pytest.raises(UsageError, match="result"):
        read_result(root / "empty")
    (root / "empty" / "result.json").write_text("[]")
    with pytest.raises(UsageError, match="cannot be read as a result"):
        read_result(root / "empty")


def test_a_result_of_a_newer_burst_is_refused(sample):
    with pytest.raises(UsageError, match="schema version 2"):
        read_result(sample("one", schema_version=2))


@pytest.mark.parametrize(
    ("count", "total", "text"),
    [(1, 3, "33.33 %"), (3_999_999, 4_000_000, "99.99 %"), (4, 4, "100.00 %"), (0, 0, "\N{EN DASH}"), (0, 9, "0.00 %")],
)
def test_shares_are_rounded_down(count, total, text):
    assert percent(count, total) == text


def test_numbers_are_said_as_people_say_them():
    assert [seconds(value) for value in (None, 0.0, 0.0147, 3.456, 250.0)] == [
        "never",
        "0.00 s",
        "14.7 ms",
        "3.46 s",
        "250 s",
    ]
    assert [milliseconds(value) for value in (0.0421, 4.256, 42.56, 425.6, 4256.0)] == [
        "42 µs",
        "4.26 ms",
        "42.6 ms",
        "426 ms",
        "4.26 s",
    ]
    assert reached("99 %", None) == "99 % never"
    assert "\x1b" not in plain("\x1b[31mred\x07")
