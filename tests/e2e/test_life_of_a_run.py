"""A run from one command to its verdict, and all that it leaves: the run folder, and nothing else."""

import csv
import json

import pytest
from hdrh.histogram import HdrHistogram
from hdrh.log import HistogramLogReader

from tests.e2e.conftest import Shop, assert_sums

PROMISED = {
    "": """schema_version event run scenario verdict headline judge audience outcomes duplicates retries early
        prefetched completion_s latency_ms rate_per_s stage_s arm_s go_skew_ms clock_uncertainty_ms criteria
        faults fallbacks
        generator environment""",
    "outcomes": "accepted rejected expired failed unknown unsent lost",
    "completion_s": "p50 p90 p95 p99 p99.9 all",
    "latency_ms": "end_to_end queue_wait service",
    "rate_per_s": "mean peak",
    "generator": "limited reason loop_lag_ms_p99 cpu_share cpu_us_per_notification peak_rss_mb",
    "environment": "cores python queue",
}


def test_a_smoke_run_passes_and_leaves_its_run_folder_and_nothing_else(shop: Shop) -> None:
    run = shop.burst("run", "smoke", "--json")
    assert run.process.returncode == 0, run.err
    folder, result = shop.folder, shop.result()
    assert run.out == (folder / "result.json").read_text()
    for part, names in PROMISED.items():
        assert set(names.split()) <= set(result[part] if part else result)
    for interval in result["latency_ms"].values():
        assert {"p50", "p90", "p99", "p99.9", "max"} <= set(interval)
    assert all({"name", "ok", "measured", "limit"} <= set(criterion) for criterion in result["criteria"])
    assert_sums(result)
    assert (result["verdict"], result["audience"]) == ("pass", 100_000)
    assert result["outcomes"]["accepted"] == 100_000
    assert result["duplicates"] == result["early"] == result["retries"] == 0
    assert result["prefetched"] <= 5000
    assert result["run"] == folder.name

    ledger = (folder / "ledger.bin").read_bytes()
    assert len(ledger) == 2 * 100_000
    assert set(ledger[100_000:]) == {1}  # one attempt each
    assert set((folder / "received.bin").read_bytes()) == {1}
    with (folder / "timeline.csv").open(newline="") as file:
        assert sum(int(row["accepted"]) for row in csv.DictReader(file)) == 100_000
    reader = HistogramLogReader(str(folder / "latency.hlog"), HdrHistogram(1, 3_600_000_000, 3))
    totals = {}
    with reader.input_file:
        while (histogram := reader.get_next_interval_histogram()) is not None:
            totals[histogram.get_tag()] = histogram.get_total_count()
    assert totals
    assert set(totals.values()) == {100_000}
    assert "end_to_end" in totals
    assert (folder / "latency.hgrm").stat().st_size
    assert (folder / "undelivered.csv").read_text() == "first_index,last_index,outcome,reason\n"
    assert (folder / "scenario.yaml").exists()
    journal = shop.journal()
    assert [entry["kind"] for entry in journal].count("go") == 1
    assert [entry["what"] for entry in journal if entry["kind"] == "verdict"] == [result["headline"]]
    assert not (folder / "control.json").exists()
    assert shop.folders == [folder]
    shop.assert_nothing_left()


def test_without_json_the_verdict_comes_first_on_standard_output_and_progress_on_standard_error(shop: Shop) -> None:
    run = shop.burst("run", "smoke", "--set", "audience=2000")
    assert run.process.returncode == 0
    assert run.out.splitlines()[0].startswith("GO: 100.00 % of 2,000 accepted")
    assert "staged" in run.err


BROKEN = """\
name: broken
audience: 1000
sinkk: modelled
workers: {count: 2}
criteria:
  - acepted within 5s >= 99%
"""


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["run", "scenario.yaml"], ["scenario.yaml:3:1", "sink", "scenario.yaml:6", "accepted"]),
        (["run", "smoke", "--set", "wrokers.count=2"], ["wrokers", "workers"]),
        pytest.param(["run", "smoke", "--set", "workers.count"], ["workers.count"], marks=pytest.mark.slow),
        pytest.param(["run", "smokee"], ["smokee", "smoke"], marks=pytest.mark.slow),
        (["run", "smoke", "--go-at", "2020-02-14T23:40:00Z"], ["--go-at 2020-02-14T23:40:00Z", "ago"]),
        pytest.param(
            ["run", "smoke", "--go-at", "tomorrow"], ["tomorrow", "2027-02-14T23:40:00Z"], marks=pytest.mark.slow
        ),
        pytest.param(["run", "smoke", "--event", "../escape"], ["../escape"], marks=pytest.mark.slow),
        pytest.param(["run", "smoke", "--event", ".."], [".."], marks=pytest.mark.slow),
        (["run", "smoke", "--redis", "http://localhost"], ["http://localhost", "redis://"]),
    ],
)
def test_bad_usage_exits_2_naming_the_mistake_and_creates_nothing(
    shop: Shop, arguments: list[str], said: list[str]
) -> None:
    shop.scenario(BROKEN)
    run = shop.burst(*arguments)
    assert run.process.returncode == 2, run.err
    for words in said:
        assert words in run.err
    assert run.out == ""
    assert "Traceback" not in run.err
    assert not shop.reports.exists()
    shop.assert_nothing_left()


def test_people_whom_no_route_wants_are_a_mistake_in_the_scenario(shop: Shop) -> None:
    path = shop.scenario(
        "name: half\naudience: {ios: 600, android: 400}\nroutes:\n  - {match: {platform: ios}, sink: modelled}\n"
    )
    run = shop.burst("run", path)
    assert run.process.returncode == 2
    assert "scenario.yaml:4:3: no route takes all android people" in run.err
    assert run.out == ""
    assert not shop.reports.exists()
    shop.assert_nothing_left()


def outcomes_of(shop: Shop, sink: str, *more: str, audience: int = 20_000) -> tuple[int, dict, dict]:
    path = shop.scenario(f"name: failing\naudience: {audience}\nsink: {{modelled: {{{sink}}}}}\n")
    run = shop.burst("run", path, "--json", *(word for setting in more for word in ("--set", setting)))
    assert run.out, run.err
    result = json.loads(run.out)
    assert_sums(result)
    shop.assert_nothing_left()
    return run.process.returncode, result, result["outcomes"]


def test_dead_tokens_are_rejected_once_and_fail_the_criterion(shop: Shop) -> None:
    code, result, outcomes = outcomes_of(shop, "rejected: 5%")
    assert 800 <= outcomes["rejected"] <= 1200
    assert outcomes["accepted"] + outcomes["rejected"] == 20_000
    assert (code, result["verdict"]) == (99, "fail")  # however busy the machine: no generator makes a token dead
    assert result["headline"].startswith("NO-GO")
    assert result["retries"] == 0
    with (shop.folder / "undelivered.csv").open(newline="") as file:
        ranges = list(csv.DictReader(file))
    people = sum(int(row["last_index"]) - int(row["first_index"]) + 1 for row in ranges)
    assert people == outcomes["rejected"]
    assert {(row["outcome"], row["reason"]) for row in ranges} == {("rejected", "token is dead")}


def test_transient_refusals_are_retried_and_everybody_is_accepted_once(shop: Shop) -> None:
    code, result, outcomes = outcomes_of(shop, "transient: 10%", "retry.attempts=20", "retry.base=5ms")
    assert code == 0
    assert outcomes["accepted"] == 20_000
    assert 1800 <= result["retries"] <= 2700
    assert result["duplicates"] == 0


def test_attempts_used_up_are_failed(shop: Shop) -> None:
    _, result, outcomes = outcomes_of(shop, "transient: 50%", "retry.attempts=2", "retry.base=5ms")
    assert 4500 <= outcomes["failed"] <= 5500
    assert outcomes["accepted"] + outcomes["failed"] == 20_000
    assert result["duplicates"] == 0


def test_silence_is_unknown_and_not_sent_twice(shop: Shop) -> None:
    _, result, outcomes = outcomes_of(shop, "silent: 5%", "retry.answer_within=300ms")
    assert 800 <= outcomes["unknown"] <= 1200
    assert outcomes["accepted"] + outcomes["unknown"] == 20_000
    assert result["duplicates"] == result["retries"] == 0


def test_silence_that_is_sent_again_shows_its_duplicates(shop: Shop) -> None:
    _, result, outcomes = outcomes_of(
        shop, "silent: 5%", "retry.answer_within=300ms", "retry.on_unknown=resend", "retry.attempts=20"
    )
    assert outcomes["accepted"] == 20_000
    assert 800 <= result["duplicates"] <= result["possible_duplicates"] <= 1300


def test_an_outage_delays_but_loses_nobody(shop: Shop) -> None:
    code, result, outcomes = outcomes_of(
        shop, "outage: {at: 0s, lasts: 500ms}", "retry.attempts=50", "retry.base=20ms", "retry.cap=100ms"
    )
    assert outcomes["accepted"] == 20_000
    assert code == 0
    assert result["completion_s"]["p50"] >= 0.5
    assert result["duplicates"] == 0


@pytest.mark.slow
def test_a_quota_is_kept_and_what_it_delays_too_long_expires(shop: Shop) -> None:
    code, _, outcomes = outcomes_of(
        shop,
        "quota: {rate: 5000/s, burst: 1000}",
        *("retry.attempts=200", "retry.base=20ms", "retry.cap=100ms", "expire_after=1s"),
    )
    assert outcomes["expired"] > 0
    assert outcomes["accepted"] + outcomes["expired"] == 20_000
    assert outcomes["accepted"] <= 1000 + 5000 * 1.5
    assert code in {99, 3}


def test_a_paced_load_sends_nobody_early(shop: Shop) -> None:
    code, result, outcomes = outcomes_of(shop, "latency: {p50: 1ms}", "rate=20000/s")
    assert outcomes["accepted"] == 20_000
    assert result["early"] == 0
    assert result["duration_s"] >= 0.99
    assert code == 0
