"""The ledger survives whoever writes it, and its counts are the audience."""

import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from burst.model.errors import BurstError
from burst.model.outcome import OUTCOMES, State
from burst.runs.ledger import Ledger, MappedBytes

columns = st.lists(st.sampled_from(list(State)), max_size=200)


@pytest.fixture(scope="module")
def ledger_of(tmp_path_factory):
    """Make a ledger that holds given states."""
    folder, made = tmp_path_factory.mktemp("ledgers"), []

    def make(states, attempts=None) -> Ledger:
        ledger = Ledger(folder / f"{len(made)}.bin", len(states), create=True)
        made.append(ledger)
        ledger.states[:] = states
        ledger.attempts[:] = 0 if attempts is None else attempts
        return ledger

    yield make
    for ledger in made:
        ledger.close()


@given(columns)
def test_the_outcomes_sum_to_the_audience_whatever_the_states(ledger_of, states):
    ledger = ledger_of(states)
    before = ledger.counts()
    assert sum(before.values()) == len(states)
    assert list(before) == [name for name, _ in OUTCOMES]
    assert before["unknown"] == states.count(State.UNKNOWN) + states.count(State.SENT)
    assert before["failed"] == states.count(State.FAILED) + states.count(State.REFUSED)
    ledger.finish()
    assert ledger.counts() == before
    assert not np.isin(ledger.states, (State.SENT, State.REFUSED)).any()
    ledger.close()


@given(st.integers(1, 300), st.lists(st.tuples(st.integers(0, 300), st.integers(0, 300)), max_size=20))
def test_marking_sent_counts_every_attempt_of_just_those_people(ledger_of, size, spans):
    ledger, sends = ledger_of([State.UNSENT] * size), np.zeros(size, dtype=int)
    for lo, hi in spans:
        ledger.mark_sent(lo, hi)
        sends[lo:hi] += 1
    assert ledger.attempts.tolist() == sends.tolist()
    assert ((ledger.states == State.SENT) == (sends > 0)).all()
    assert ledger.retries() == int(np.maximum(sends - 1, 0).sum())
    ledger.close()


def test_attempts_stop_at_255_and_do_not_begin_anew(ledger_of):
    ledger = ledger_of([State.UNSENT] * 3)
    for _ in range(300):
        ledger.mark_sent(0, 2)
    assert ledger.attempts.tolist() == [255, 255, 0]
    assert ledger.retries() == 508


def test_it_reads_back_what_was_written_and_tells_its_own_size(tmp_path):
    path = tmp_path / "ledger.bin"
    written = Ledger(path, 5, create=True)
    assert written.counts()["unsent"] == 5
    written.mark_sent(1, 4)
    written.states[2] = State.ACCEPTED
    written.close()
    read = Ledger.open(path)
    assert read.size == 5
    assert read.states.tolist() == [State.UNSENT, State.SENT, State.ACCEPTED, State.SENT, State.UNSENT]
    assert read.attempts.tolist() == [0, 1, 1, 1, 0]
    assert path.stat().st_size == 10
    read.close()


def test_every_process_that_opens_it_shares_it(tmp_path):
    path = tmp_path / "ledger.bin"
    mine = Ledger(path, 4, create=True)
    theirs = Ledger(path, 4)
    theirs.mark_sent(0, 2)
    assert mine.states.tolist() == [State.SENT, State.SENT, State.UNSENT, State.UNSENT]
    mine.close()
    theirs.close()


def test_it_survives_kill_9_of_its_writer(tmp_path):
    path = tmp_path / "ledger.bin"
    Ledger(path, 1000, create=True).close()
    script = (
        "import os, signal, sys; from pathlib import Path; from burst.runs.ledger import Ledger\n"
        "ledger = Ledger(Path(sys.argv[1]), 1000); ledger.mark_sent(100, 200); ledger.states[150] = 3\n"
        "os.kill(os.getpid(), signal.SIGKILL)"
    )
    ended = subprocess.run([sys.executable, "-c", script, str(path)], timeout=60, check=False)
    assert ended.returncode == -9
    ledger = Ledger.open(path)
    counts = ledger.counts()
    assert (counts["accepted"], counts["unknown"], counts["unsent"]) == (1, 99, 900)
    assert int(ledger.attempts.sum()) == 100
    ledger.close()


def test_a_ledger_that_exists_is_not_begun_anew(tmp_path):
    path = tmp_path / "ledger.bin"
    Ledger(path, 4, create=True).close()
    with pytest.raises(BurstError, match=r"ledger\.bin"):
        Ledger(path, 4, create=True)


def test_a_ledger_that_is_too_short_is_refused(tmp_path):
    path = tmp_path / "ledger.bin"
    Ledger(path, 4, create=True).close()
    with pytest.raises(BurstError, match="8 bytes where 10 are expected"):
        Ledger(path, 5)


def test_a_missing_file_is_explained(tmp_path):
    with pytest.raises(BurstError, match="No such file"):
        MappedBytes(tmp_path / "nowhere.bin", 4, create=False)


def test_closing_while_a_column_is_held_is_safe_also_twice(tmp_path):
    ledger = Ledger(tmp_path / "ledger.bin", 4, create=True)
    column = ledger.states
    ledger.close()
    ledger.close()
    assert column.tolist() == [0, 0, 0, 0]
