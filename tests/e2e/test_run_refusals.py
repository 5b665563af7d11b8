"""What a run refuses while nothing is spent yet, and what it says when nobody is left."""

import os
import signal
import time

import pytest

from tests.e2e.conftest import Shop, wait_for

ANDROID_AT_APNS = """\
name: launch
audience: people.csv
sink: apns
workers: 1
criteria: [accepted >= 99%]
"""


def people(ios: int, android: int) -> str:
    rows = [f"{number:064x},ios" for number in range(ios)]
    rows += [f"{number:064x},android" for number in range(ios, ios + android)]
    return "token,platform\n" + "\n".join(rows) + "\n"


def test_people_of_a_file_whom_a_sink_cannot_serve_are_refused_before_go_and_counted(shop: Shop) -> None:
    (shop.path / "people.csv").write_text(people(1200, 700))
    program = shop.burst("run", shop.scenario(ANDROID_AT_APNS), "--event", "launch-2027")
    assert program.process.returncode == 2, program.err
    assert "700 android people would go to apns, which is for ios" in program.err
    assert "match: {platform: android}" in program.err
    assert "armed" not in program.err
    assert not (shop.reports / ".events" / "launch-2027").exists(), "the event's GO is not spent"
    shop.assert_nothing_left()


def test_the_same_people_go_where_a_route_of_their_own_sends_them(shop: Shop) -> None:
    (shop.path / "people.csv").write_text(people(1200, 700))
    routes = "routes:\n  - {match: {platform: android}, sink: blackhole}\n  - {sink: apns}\n"
    program = shop.burst("run", shop.scenario(ANDROID_AT_APNS.replace("sink: apns\n", routes)))
    assert program.process.returncode == 0, program.err
    assert [(route["route"], route["people"]) for route in shop.result()["routes"]] == [
        ("android -> blackhole", 700),
        ("everybody -> apns", 1200),
    ]


def test_nobody_takes_over_when_the_last_worker_dies(shop: Shop) -> None:
    text = "audience: 100_000\nrate: 20000/s\nsink: blackhole\nworkers: 1\ncriteria: [accepted >= 99%]\n"
    program = shop.start("run", shop.scenario(text))
    shop.wait_until("phase", "drain")
    (worker,) = wait_for("the worker", shop.workers)
    time.sleep(0.2)
    os.kill(worker, signal.SIGKILL)
    assert program.wait() == 1
    assert "worker 0 died (status -9)" in program.err
    assert "take over" not in program.err
    assert "every worker died" in program.err


def test_a_misspelt_variable_is_named_when_a_run_begins(shop: Shop) -> None:
    text = "audience: 500\nsink: blackhole\nworkers: 1\ncriteria: [accepted >= 99%]\n"
    program = shop.start("run", shop.scenario(text), BURST_WORKER__COUNT="4")
    assert program.wait() == 0, program.err
    assert "BURST_WORKER__COUNT in the environment sets nothing (did you mean BURST_WORKERS__COUNT?)" in program.err


def test_a_run_that_is_stopped_before_go_is_not_judged(shop: Shop) -> None:
    program = shop.start("run", "smoke", "--go-at", "+60s")
    shop.wait_until("phase", "armed")
    program.signal(signal.SIGINT)
    assert program.wait() == 130
    assert shop.result()["headline"] == "ABORTED: interrupted by Ctrl-C before GO"
    assert "not judged   stopped before GO" in program.out
    assert "FAILED" not in program.out


@pytest.mark.slow
def test_why_it_was_no_go_is_in_the_result_the_journal_the_terminal_and_the_report(shop: Shop) -> None:
    sink = "sink: {apns: {endpoint: 'https://127.0.0.1:9'}}"
    text = f"audience: {{ios: 500}}\n{sink}\nworkers: 1\ncriteria: [accepted >= 99%]\n"
    program = shop.burst("run", shop.scenario(text))
    assert program.process.returncode == 105, program.err
    result = shop.result()
    assert result["headline"].startswith("NO-GO: 0 of 1 workers armed")
    assert "127.0.0.1:9" in result["cause"]
    assert "\n" not in result["cause"]
    assert [entry["cause"] for entry in shop.journal() if entry["kind"] == "verdict"] == [result["cause"]]
    assert "cause" in program.out.splitlines()[2]
    assert "Cause: " in (shop.folder / "report.html").read_text()
    shop.assert_nothing_left()


def test_every_entry_after_go_has_its_own_time(shop: Shop) -> None:
    text = "audience: {ios: 500}\nsink: apns\nworkers: 1\ncriteria: [accepted >= 1%]\n"
    assert shop.burst("run", shop.scenario(text)).process.returncode == 0
    kinds = [entry["kind"] for entry in shop.journal()]
    after = shop.journal()[kinds.index("go") + 1 :]
    assert {"witness", "verdict"} <= {entry["kind"] for entry in after}
    times = [entry["t_s"] for entry in after]
    assert times == sorted(times)
    assert times[-1] >= shop.result()["duration_s"]


def test_an_interrupted_run_says_by_what(shop: Shop) -> None:
    text = "audience: 100_000\nrate: 20000/s\nsink: blackhole\nworkers: 1\ncriteria: [accepted >= 99%]\n"
    program = shop.start("run", shop.scenario(text))
    shop.wait_until("phase", "drain")
    program.signal(signal.SIGINT)
    assert program.wait() == 130
    assert shop.result()["cause"] == "interrupted by Ctrl-C"


@pytest.mark.slow
def test_a_run_that_waits_for_slow_answers_says_for_how_many(shop: Shop) -> None:
    text = (
        "audience: 2000\nsink: {modelled: {silent: 1%}}\nworkers: 1\nretry: {answer_within: 6s}\n"
        "criteria: [accepted >= 90%]\n"
    )
    program = shop.burst("run", shop.scenario(text))
    assert program.process.returncode == 0, program.err
    unknown = shop.result()["outcomes"]["unknown"]
    assert unknown > 0
    # Those of whom nobody has heard, and no one else of their batches.
    assert f": {unknown:,} under way (an answer has 6.00 s)" in program.err
    assert f"{2000 - unknown:,} of 2,000 settled" in program.err
