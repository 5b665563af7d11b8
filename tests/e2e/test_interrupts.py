"""Ctrl-C and kill -9, in every phase: what was measured is kept, and nothing is left behind."""

import signal
import subprocess
import time

import pytest

from tests.e2e.conftest import Program, Shop, assert_sums, wait_for


def interrupt(program: Program) -> float:
    """Send Ctrl-C to the burst process alone; return how long it took to end."""
    begun = time.monotonic()
    program.signal(signal.SIGINT)
    code = program.wait(20)
    took_s = time.monotonic() - begun
    print(f"ended {took_s:.2f} s after Ctrl-C")
    assert code == 130, program.err
    assert took_s < 10  # the promise is one second; this is a guard against hanging
    return took_s


def assert_aborted(shop: Shop) -> dict:
    result = shop.result()
    assert result["verdict"] == "aborted"
    assert "ABORTED" in result["headline"]
    assert_sums(result)
    folder = shop.folder
    assert (folder / "ledger.bin").stat().st_size == max(1, 2 * result["audience"])
    assert not (folder / "control.json").exists()
    assert any(entry["kind"] == "operator" and "Ctrl-C" in entry["what"] for entry in shop.journal())
    shop.assert_nothing_left()
    return result


def test_ctrl_c_while_staging_ends_in_order(shop: Shop) -> None:
    program = shop.start("run", "smoke", "--set", "audience=20M")
    wait_for("people on the shards", lambda: shop.staged_bytes() > 20_000_000)
    interrupt(program)
    result = assert_aborted(shop)
    assert result["outcomes"]["unsent"] == result["audience"]


def test_ctrl_c_while_armed_ends_in_order(shop: Shop) -> None:
    program = shop.start("run", "smoke", "--go-at", "+60s")
    shop.wait_until("phase", "armed")
    interrupt(program)
    result = assert_aborted(shop)
    assert result["outcomes"]["unsent"] == result["audience"] == 100_000
    assert result["go_at"] is None


def test_ctrl_c_after_go_keeps_what_was_measured(shop: Shop) -> None:
    program = shop.start("run", "smoke", "--json", "--set", "rate=20000/s")
    shop.wait_until("phase", "drain")
    time.sleep(1)  # a second of load
    interrupt(program)
    result = assert_aborted(shop)
    assert program.out == (shop.folder / "result.json").read_text()
    outcomes = result["outcomes"]
    assert 0 < outcomes["accepted"] < 100_000
    assert outcomes["unsent"] > 0
    assert result["duplicates"] == outcomes["lost"] == 0
    ledger = (shop.folder / "ledger.bin").read_bytes()
    assert sum(map(bool, ledger[100_000:])) == 100_000 - outcomes["unsent"]
    received = (shop.folder / "received.bin").read_bytes()
    assert sum(map(bool, received)) <= outcomes["accepted"] + outcomes["unknown"]


def test_a_termination_signal_ends_in_order_too(shop: Shop) -> None:
    program = shop.start("run", "smoke", "--go-at", "+60s")
    shop.wait_until("phase", "armed")
    program.signal(signal.SIGTERM)
    assert program.wait(20) == 130
    assert shop.result()["verdict"] == "aborted"
    shop.assert_nothing_left()


def test_a_second_ctrl_c_while_the_books_are_being_closed_does_not_cost_the_result(shop: Shop) -> None:
    program = shop.start("run", "smoke", "--set", "rate=20000/s", "--set", "workers=2")
    shop.wait_until("phase", "drain")
    frozen = shop.workers()
    for pid in frozen:
        signal_process(pid, signal.SIGSTOP)  # else the books may be closed before the second one comes
    program.signal(signal.SIGINT)
    wait_for("the orderly end", lambda: "aborting" in program.err, 10)
    program.signal(signal.SIGINT)
    assert program.wait(20) == 130, program.err
    assert "closing the books; Ctrl-C once more ends at once" in program.err
    assert_aborted(shop)


def test_ctrl_c_once_more_ends_at_once_says_what_is_kept_and_leaves_nothing(shop: Shop) -> None:
    # Frozen workers do not obey: the orderly end takes as long as it may, and the next Ctrl-C finds it under way.
    program = shop.start("run", "smoke", "--set", "rate=20000/s", "--set", "workers=2")
    shop.wait_until("phase", "drain")
    workers = shop.workers()
    assert len(workers) == 2
    for pid in workers:
        signal_process(pid, signal.SIGSTOP)
    program.signal(signal.SIGINT)
    wait_for("the orderly end", lambda: "aborting" in program.err, 10)
    program.signal(signal.SIGINT)
    wait_for("the answer to the second", lambda: "once more ends at once" in program.err, 10)
    begun = time.monotonic()
    program.signal(signal.SIGINT)
    code = program.wait(10)
    print(f"ended {time.monotonic() - begun:.2f} s after the last Ctrl-C")
    assert code == 130
    last = program.err.splitlines()[-1]
    assert "ended at once: the books were left open" in last
    assert f"{shop.folder.name} holds ledger.bin and journal.ndjson, and no result.json" in last
    assert {"ledger.bin", "journal.ndjson"} <= {path.name for path in shop.folder.iterdir()}
    assert not (shop.folder / "result.json").exists()
    shop.assert_nothing_left()


def signal_process(pid: int, number: int) -> None:
    subprocess.run(["kill", f"-{int(number)}", str(pid)], check=True)


@pytest.mark.parametrize("phase", ["stage", "armed", "drain"])
def test_a_killed_coordinator_takes_workers_keeper_servers_and_sockets_with_it(shop: Shop, phase: str) -> None:
    more = {"stage": ["--set", "audience=20M"], "armed": ["--go-at", "+60s"], "drain": ["--set", "rate=10000/s"]}
    program = shop.start("run", "smoke", *more[phase])
    shop.wait_until("phase", phase)
    if phase == "stage":
        wait_for("people on the shards", lambda: shop.staged_bytes() > 20_000_000)
    assert len(shop.processes()) >= 4  # burst, the keeper, two servers, workers
    program.signal(signal.SIGKILL)
    assert program.wait(10) == -signal.SIGKILL
    shop.assert_nothing_left()
