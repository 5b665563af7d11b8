"""What a result remarks on beside its numbers."""

import numpy as np
import pytest

from burst.engine import remarks
from burst.engine.books import Books
from burst.engine.remarks import used_up_note
from burst.model.outcome import State
from burst.model.scenario import RetrySettings
from burst.report import words
from burst.runs.ledger import Ledger


@pytest.fixture
def books(tmp_path):
    ledger = Ledger(tmp_path / "ledger.bin", 6, create=True)
    yield Books(ledger, (10**9,), 1)
    ledger.close()


def test_who_failed_with_attempts_left_had_not_used_them_up(books):
    ledger = books._ledger
    ledger.states[:] = [State.FAILED, State.FAILED, State.FAILED, State.FAILED, State.REJECTED, State.ACCEPTED]
    ledger.attempts[:] = [4, 4, 4, 2, 4, 4]
    assert books.used_up(4) == (3, [])
    books.reason_names += ["Throttling", "Internal", "ended early"]
    books.reasons = np.array([2, 1, 1, 3, 3, 0], dtype=np.uint8)
    assert books.used_up(4) == (3, ["Throttling", "Internal"])
    assert books.used_up(5) == (0, [])


def test_attempts_used_up_are_told_with_how_short_the_waits_were_and_what_would_carry_them():
    told = used_up_note(12_423, ["Throttling"], RetrySettings())
    assert told.startswith("12,423 failed after their 4 attempts (retry.attempts): Throttling; ")
    assert "waited 350 ms at most" in told  # 50 + 100 + 200 ms
    assert "`rate` (of the sink or the scenario)" in told
    assert "more attempts" in told
    assert used_up_note(0, [], RetrySettings()) == ""


def test_an_only_attempt_has_no_waits():
    told = used_up_note(5, ["a", "b", "c", "d", "e"], RetrySettings(attempts=1))
    assert told.startswith("5 failed at their only attempt (retry.attempts is 1): a, b, c and 2 more; ")
    assert "waited" not in told


def test_a_wait_at_its_cap_doubles_no_more():
    retry = RetrySettings.model_validate({"attempts": 4, "base": "1s", "cap": "2s"})
    assert "waited 5.00 s at most" in used_up_note(1, [], retry)


def test_note_and_generator_line_call_the_same_stand_in_slow():
    assert words.NEAR_LIMIT == remarks.NEAR_LIMIT
