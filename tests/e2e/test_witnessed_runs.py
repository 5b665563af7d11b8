"""A run with its own stand-in: what its witness saw is what the engine says, person by person, or the run fails."""

import csv
import json
import os
import signal
import time
import urllib.request

import numpy as np
import pytest

from burst.model.outcome import State
from burst.runs.ledger import Ledger
from burst.runs.witness import WitnessPart, reconcile
from tests.e2e.conftest import Shop, assert_sums, wait_for
from tests.e2e.test_interrupts import interrupt

QUICK = """
name: quick
audience: {ios: 20_000}
provider: {tls: %s, processes: %d, behaviour: %s}
sink: {apns: {topic: com.example.launch}}
workers: %d
criteria: [lost == 0, duplicates == 0, early == 0, %s]
"""


def quick(tls: bool = False, processes: int = 1, behaviour: str = "{}", workers: int = 1, criterion: str = "") -> str:
    return QUICK % (str(tls).lower(), processes, behaviour, workers, criterion or "accepted within 30s >= 99%")


def seen(shop: Shop) -> int:
    """Return how many pushes the witness of the newest run has counted so far."""
    parts = [WitnessPart.open(path) for path in sorted(shop.folders[-1].glob("witness-*.bin"))]
    counted = sum(int(part.counts.sum()) for part in parts)
    for part in parts:
        part.close()
    return counted


@pytest.mark.parametrize(
    ("tls", "processes", "workers"), [pytest.param(False, 1, 1, marks=pytest.mark.slow), (True, 1, 2), (False, 3, 2)]
)
def test_the_witness_agrees_person_by_person(shop: Shop, tls: bool, processes: int, workers: int) -> None:
    program = shop.burst("run", shop.scenario(quick(tls, processes, workers=workers)))
    assert program.wait() == 0, program.err + program.out
    result = shop.result()
    assert_sums(result)
    assert result["judge"] == "witness"
    assert result["outcomes"]["accepted"] == 20_000
    seen = result["witness"]
    assert (seen["seen"], seen["attempts"], seen["accepted"]) == (20_000, 20_000, 20_000)
    assert (seen["lost"], seen["duplicates"], seen["early"], seen["contradictions"]) == (0, 0, 0, 0)
    assert seen["processes"] == processes
    assert seen["tracers"] > 0
    assert seen["foreign"] == seen["strange"] == 0
    # Index by index, from the files that stay in the run folder.
    ledger = Ledger.open(shop.folder / "ledger.bin")
    parts = [WitnessPart.open(path) for path in sorted(shop.folder.glob("witness-*.bin"))]
    assert len(parts) == processes
    assert (sum(part.counts.astype(int) for part in parts) == 1).all()
    assert (ledger.states == State.ACCEPTED).all()
    with (shop.folder / "timeline.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert sum(int(row["witnessed"]) for row in rows) == 20_000
    told = [entry["what"] for entry in shop.journal()]
    assert any("tracer" in what and "accepted" in what for what in told)
    assert "the witness saw" in program.out or "witness" in program.out
    for held in (ledger, *parts):
        held.close()
    shop.assert_nothing_left()


def test_refusals_retries_and_dead_tokens_are_counted_apart(shop: Shop) -> None:
    behaviour = "{dead: 5%, answers: [{share: 2%, reason: TooManyRequests}]}"
    program = shop.burst("run", shop.scenario(quick(behaviour=behaviour, criterion="accepted >= 18000")))
    assert program.wait() == 0, program.err + program.out
    result, seen = shop.result(), shop.result()["witness"]
    assert 0 < result["outcomes"]["rejected"] < 2000
    assert result["outcomes"]["accepted"] + result["outcomes"]["rejected"] == 20_000
    assert result["retries"] == seen["retried_after_refusal"] > 100
    assert seen["attempts"] == 20_000 + result["retries"]
    assert seen["duplicates"] == 0
    reasons = {(one["outcome"], one["reason"]): one["count"] for one in result["reasons"]}
    assert reasons["rejected", "Unregistered"] == result["outcomes"]["rejected"]


def test_a_ledger_that_says_more_than_was_seen_is_a_failed_run(shop: Shop) -> None:
    """The books of a real run are cooked afterwards: the witness finds every kind of lie."""
    program = shop.burst("run", shop.scenario(quick()))
    assert program.wait() == 0
    ledger = Ledger.open(shop.folder / "ledger.bin")
    part = WitnessPart.open(shop.folder / "witness-0.bin")
    states, attempts = ledger.states.copy(), ledger.attempts.copy()
    honest = reconcile([part], states, attempts, 1)
    assert (honest.lost, honest.contradicted) == (0, 0)
    states[7] = State.REJECTED
    states[9] = State.UNSENT
    attempts[11] = 0
    cooked = reconcile([part], states, attempts, 1)
    assert {indexes for _, indexes in cooked.contradictions.values()} == {(7,), (9,), (11,)}
    late = reconcile([part], states, attempts, int(part.first_seen_ns.max()) + 1)
    assert late.early == 20_000
    ledger.close()
    part.close()


def test_ctrl_c_in_mid_burst_leaves_no_provider(shop: Shop) -> None:
    program = shop.start("run", shop.scenario(quick() + "rate: 5000/s\n"))
    shop.wait_until("phase", "drain")
    wait_for("the first thousands", lambda: seen(shop) > 2000)
    interrupt(program)
    result = shop.result()
    assert result["verdict"] == "aborted"
    assert_sums(result)
    assert result["witness"]["contradictions"] == 0
    assert result["witness"]["lost"] == 0
    shop.assert_nothing_left()


def test_kill_9_of_the_coordinator_leaves_no_provider(shop: Shop) -> None:
    program = shop.start("run", shop.scenario(quick() + "rate: 5000/s\n"))
    shop.wait_until("phase", "drain")
    assert any("burst.provider.serving" in command for command in shop.processes().values())
    program.signal(signal.SIGKILL)
    program.wait()
    wait_for("the end of every process", lambda: not shop.processes())
    shop.assert_nothing_left()


@pytest.mark.slow
def test_a_provider_that_dies_ends_the_run_with_clear_words(shop: Shop) -> None:
    text = quick(criterion="accepted within 2s >= 99%") + "rate: 5000/s\nretry: {answer_within: 1s}\nexpire_after: 3s\n"
    program = shop.start("run", shop.scenario(text))
    shop.wait_until("phase", "drain")
    wait_for("the first thousands", lambda: seen(shop) > 2000)
    serving = [pid for pid, command in shop.processes().items() if "burst.provider.serving" in command]
    os.kill(serving[0], signal.SIGKILL)
    assert program.wait() in {3, 99}, program.err
    result = shop.result()
    assert_sums(result)
    assert 0 < result["outcomes"]["accepted"] < 20_000
    assert any("stand-in" in note and "died" in note for note in result["notes"]), result["notes"]
    shop.assert_nothing_left()


@pytest.mark.slow
def test_a_provider_that_dies_before_go_is_no_go_and_the_event_is_not_spent(shop: Shop) -> None:
    program = shop.start("run", shop.scenario(quick()), "--event", "launch", "--go-at", "+60s")
    shop.wait_until("phase", "armed")
    serving = [pid for pid, command in shop.processes().items() if "burst.provider.serving" in command]
    os.kill(serving[0], signal.SIGKILL)
    assert program.wait() == 105, program.err
    assert "stand-in provider died before GO" in program.out + program.err
    assert shop.result()["outcomes"]["unsent"] == 20_000
    assert not any(entry["kind"] == "go" for entry in shop.journal())
    shop.assert_nothing_left()
    again = shop.burst("run", shop.scenario(quick()), "--event", "launch")
    assert again.wait() == 0, again.err


def test_what_breaks_after_go_leaves_everybody_accounted_for(shop: Shop) -> None:
    program = shop.start("run", shop.scenario(quick() + "rate: 5000/s\n"))
    shop.wait_until("phase", "drain")
    wait_for("the first thousands", lambda: seen(shop) > 2000)
    for pid in shop.workers():
        os.kill(pid, signal.SIGKILL)
    assert program.wait() == 1, program.err
    assert "every worker died" in program.err
    result = shop.result()
    assert result["verdict"] == "aborted"
    assert_sums(result)
    assert result["witness"]["seen"] > 500
    shop.assert_nothing_left()


@pytest.mark.parametrize("after_ms", [0, 15])
def test_ctrl_c_while_the_provider_starts_ends_in_order(shop: Shop, after_ms: int) -> None:
    program = shop.start("run", shop.scenario(quick()))
    shop.wait_until("phase", "arm")
    time.sleep(after_ms / 1000)
    interrupt(program)
    assert shop.result()["verdict"] == "aborted"
    shop.assert_nothing_left()


@pytest.mark.slow
def test_fewer_workers_than_shards_keep_the_pace(shop: Shop) -> None:
    text = quick(criterion="queue_wait p99 <= 500ms") + "rate: 10000/s\nqueue: {shards: 3}\n"
    for _ in range(3):  # the machine is shared: what others take from it is no fault of the pace's
        program = shop.burst("run", shop.scenario(text))
        if program.wait() == 0:
            break
    assert program.wait() == 0, program.out


def test_the_result_says_when_the_witness_was_near_its_limit() -> None:
    from burst.engine.remarks import limit_note

    assert limit_note(0.69) == ""
    assert "near its limit" in limit_note(0.71)
    assert "71%" in limit_note(0.71)


@pytest.mark.slow
def test_the_provider_of_a_run_has_a_control_api_if_asked_for(shop: Shop) -> None:
    text = quick(criterion="accepted >= 10000").replace("processes: 1,", "processes: 1, control: '127.0.0.1:0',")
    program = shop.start("run", shop.scenario(text + "rate: 10000/s\nretry: {attempts: 1}\n"))
    note = shop.wait_until("note", "control http://")["what"]
    url = note.rpartition("control ")[2]
    shop.wait_until("phase", "drain")
    wait_for("the first thousands", lambda: seen(shop) > 2000)
    change = urllib.request.Request(f"{url}/behaviour", b'{"dead": "100%"}', method="PATCH")
    with urllib.request.urlopen(change, timeout=10) as answer:
        assert answer.status == 200
    assert program.wait() in {0, 99}, program.err
    outcomes = shop.result()["outcomes"]
    assert outcomes["accepted"] > 1000
    assert outcomes["rejected"] > 1000
    assert shop.result()["witness"]["contradictions"] == 0
    shop.assert_nothing_left()


def test_the_command_prints_the_witness_in_json(shop: Shop) -> None:
    program = shop.burst("run", shop.scenario(quick()), "--json")
    assert program.wait() == 0
    assert json.loads(program.out)["witness"]["seen"] == 20_000
    assert np.isclose(json.loads(program.out)["witness"]["busy_share"], 0.5, atol=0.5)
