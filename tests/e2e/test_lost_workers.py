"""Workers that are killed, frozen, or on another machine: the books still agree."""

import json
import os
import signal
import subprocess
import time

import pytest

from tests.e2e.conftest import Program, Shop, assert_sums, wait_for

PACED = """\
name: paced
audience: 150_000
rate: 50000/s
sink: {modelled: {latency: {p50: 20ms, p99: 60ms}}}
workers: 2
criteria: [accepted within 10s >= 99%]
"""


def start(shop: Shop, *more: str) -> tuple[Program, dict[int, int]]:
    """Start the paced run and wait until it is a second under way; return it and its workers' pids by index."""
    program = shop.start("run", shop.scenario(PACED), "--json", *more)
    shop.wait_until("phase", "drain")
    commands = {pid: command for pid, command in shop.processes().items() if " burst worker " in command}
    workers = {int(command.split("--index ")[1].split()[0]): pid for pid, command in commands.items()}
    assert set(workers) == {0, 1}
    time.sleep(1)  # a second of load
    return program, workers


def finish(shop: Shop, program: Program) -> dict:
    code = program.wait()
    assert program.out, program.err
    result = json.loads(program.out)
    assert (code, result["verdict"]) in {(0, "pass"), (99, "fail"), (3, "inconclusive")}, program.err
    assert_sums(result)
    outcomes = result["outcomes"]
    assert outcomes["unsent"] == outcomes["lost"] == outcomes["failed"] == outcomes["expired"] == 0
    received = (shop.folder / "received.bin").read_bytes()
    assert sum(count > 1 for count in received) == 0 or result["duplicates"] > 0
    shop.assert_nothing_left()
    return result


def states(result: dict) -> dict[int, str]:
    return {worker["worker"]: worker["state"] for worker in result["workers"]}


def test_a_killed_worker_is_taken_over_and_nobody_gets_it_twice(shop: Shop) -> None:
    program, workers = start(shop)
    os.kill(workers[0], signal.SIGKILL)
    result = finish(shop, program)
    assert states(result) == {0: "killed", 1: "left"}
    assert result["duplicates"] == 0
    # At 25,000/s a worker has some 500 on the way for 20 ms, and what it had not settled yet.
    assert 0 <= result["outcomes"]["unknown"] <= 15_000
    assert result["outcomes"]["accepted"] >= 135_000
    assert any(entry["kind"] == "worker" and "worker 0 died" in entry["what"] for entry in shop.journal())


@pytest.mark.slow
def test_the_last_words_of_a_worker_that_dies_in_mid_run_are_kept_and_are_the_cause_of_a_no_go(shop: Shop) -> None:
    program, workers = start(shop, "--set", "criteria.0=rejected >= 1")
    shard = shop.shards()[0]
    roster = f"{{burst:{shop.folder.name}:ctl}}:roster"
    # What a worker does that fails: it says why, and ends. Its last report has nothing else in it.
    words = {"worker": 0, "state": "failed", "pid": workers[0], "error": "the sink broke\n  look at it"}
    shard.hset(roster, "0", json.dumps(words))
    os.kill(workers[0], signal.SIGKILL)
    result = finish(shop, program)
    told = "worker 0 died (status -9): the sink broke (look at it)"
    assert result["cause"] == told
    assert told in result["notes"]
    assert [entry["what"] for entry in shop.journal() if entry["kind"] == "worker"] == [told]
    assert f"{told}; the others take over its batches" in program.err


@pytest.mark.slow
def test_a_killed_workers_doubtful_pushes_are_sent_again_when_asked_and_counted(shop: Shop) -> None:
    program, workers = start(shop, "--set", "retry.on_unknown=resend")
    os.kill(workers[1], signal.SIGKILL)
    result = finish(shop, program)
    assert states(result) == {0: "left", 1: "killed"}
    assert result["outcomes"]["unknown"] == 0
    assert result["outcomes"]["accepted"] == 150_000
    assert result["possible_duplicates"] >= result["duplicates"] >= 0


@pytest.mark.slow
def test_a_frozen_worker_fences_itself_and_joins_again(shop: Shop) -> None:
    program, workers = start(shop, "--set", "audience=250000")
    os.kill(workers[0], signal.SIGSTOP)
    try:
        time.sleep(3)  # its lease of 1.2 s is over, and worker 1 has its batches
    finally:
        os.kill(workers[0], signal.SIGCONT)
    result = finish(shop, program)
    assert result["duplicates"] == 0
    assert result["outcomes"]["unknown"] <= 15_000
    assert states(result) == {0: "left", 1: "left"}


def test_when_every_worker_is_killed_burst_says_so_and_leaves_nothing(shop: Shop) -> None:
    program, workers = start(shop)
    for pid in workers.values():
        os.kill(pid, signal.SIGKILL)
    assert program.wait() == 1
    assert "every worker died" in program.err
    assert "Traceback" not in program.err
    shop.assert_nothing_left()


@pytest.mark.slow
def start_with_one_far_away(shop: Shop, *more: str) -> tuple[Program, Program]:
    """Start a run that waits for Enter; worker 1 leaves, and comes back from "another machine" without the ledger."""
    program = shop.start(
        *("run", "smoke", "--go", "prompt", "--json", "--set", "workers=2", "--set", "arm.quorum=0.5"),
        *("--set", "rate=50000/s", *more),
        stdin=subprocess.PIPE,
    )
    shop.wait_until("phase", "armed")
    (local,) = [
        pid for pid, command in shop.processes().items() if command.endswith(f"--run {shop.folder.name} --index 1")
    ]
    os.kill(local, signal.SIGKILL)
    control = json.loads((shop.folder / "control.json").read_text())
    far = shop.start(
        *("worker", "--join", control["server"], "--run", control["run"], "--index", "1"),
        BURST_BOOT_ID="far-away",
    )
    shard = shop.shards()[0]
    roster = f"{{burst:{control['run']}:ctl}}:roster"

    def armed() -> bool:
        report = json.loads(shard.hget(roster, "1"))
        return report["boot_id"] == "far-away" and report["state"] == "armed"

    wait_for("the far worker", armed)
    return program, far


def test_what_a_far_workers_provider_counts_cannot_be_judged_here_and_go_is_not_given(shop: Shop) -> None:
    program, far = start_with_one_far_away(shop)
    assert program.process.stdin is not None
    program.process.stdin.write(b"\n")
    program.process.stdin.flush()
    assert program.wait() == 105
    result = shop.result()
    assert result["headline"].startswith(
        "NO-GO: criterion `lost == 0` could never hold: worker 1 is on another machine"
    )
    assert result["hint"] == "leave the criterion out, or keep all workers on this machine"
    assert result["outcomes"]["unsent"] == 100_000
    assert result["go_at"] is None
    far.wait(10)
    shop.assert_nothing_left()


@pytest.mark.slow
def test_a_worker_on_another_machine_is_counted_from_what_it_ships(shop: Shop) -> None:
    program, far = start_with_one_far_away(shop, "--set", "criteria=[accepted within 10s >= 99%]")
    assert program.process.stdin is not None
    program.process.stdin.write(b"\n")
    program.process.stdin.flush()
    code = program.wait()
    assert far.wait(10) == 0, far.err
    result = json.loads(program.out)
    assert_sums(result)
    outcomes, accepted = result["outcomes"], {worker["worker"]: worker["accepted"] for worker in result["workers"]}
    assert outcomes["lost"] == 0  # nobody counted at the far worker's provider: that is not a loss
    assert result["judge"] == "sender"
    assert accepted[1] > 0
    assert outcomes["accepted"] == accepted[0] + accepted[1]
    assert outcomes["accepted"] + outcomes["unknown"] == 100_000
    ledger = (shop.folder / "ledger.bin").read_bytes()
    assert all(ledger[:100_000])
    # On a machine that is busy with other things the generator is to blame, and says so.
    assert code in ({0} if outcomes["accepted"] >= 99_000 else {99, 3})
    shop.assert_nothing_left()
