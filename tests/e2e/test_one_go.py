"""One event, one GO: whoever presses, however many, however late."""

import subprocess

import pytest

from tests.e2e.conftest import Shop, wait_for


@pytest.mark.parametrize("count", [8, pytest.param(50, marks=pytest.mark.slow)])
def test_of_many_presses_one_wins_and_the_others_learn_who_and_when(shop: Shop, count: int) -> None:
    run = shop.start("run", "smoke", "--go", "prompt", "--event", "the-ad", stdin=subprocess.PIPE)
    wait_for("an armed run", lambda: "press Enter" in run.err)
    presses = [shop.start("go") for _ in range(count)]
    codes = sorted(press.wait() for press in presses)
    assert codes == [0] + [105] * (count - 1)
    (winner,) = (press for press in presses if press.process.returncode == 0)
    for press in presses:
        if press is not winner:
            assert "already pressed by" in press.err
            assert f"(pid {winner.process.pid})" in press.err
    assert run.wait() == 0, run.err
    shop.assert_nothing_left()
    # Later, with every server gone, and by name alone:
    again = shop.burst("run", "smoke", "--event", "the-ad")
    assert again.process.returncode == 105
    assert f"(pid {winner.process.pid})" in again.err
    shop.assert_nothing_left()


def test_enter_is_go(shop: Shop) -> None:
    run = shop.start("run", "smoke", "--go", "prompt", stdin=subprocess.PIPE)
    wait_for("an armed run", lambda: "press Enter" in run.err)
    assert run.process.stdin is not None
    run.process.stdin.write(b"\n")
    run.process.stdin.flush()
    assert run.wait() == 0, run.err


@pytest.mark.slow
def test_rehearsals_are_events_of_their_own(shop: Shop) -> None:
    for _ in range(2):
        assert shop.burst("run", "smoke", "--set", "audience=2000").process.returncode == 0


def test_a_date_that_has_passed_is_refused(shop: Shop) -> None:
    program = shop.burst("run", "smoke", "--go-at", "2024-02-11T23:40:00Z")
    assert program.process.returncode == 2
    assert "s ago" in program.err
