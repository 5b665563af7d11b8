"""Few by few or by column: what is entered is the same, to the last byte."""

import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from burst.engine import pump as engine
from burst.engine.settling import decode_deltas
from burst.engine.singly import Singly
from burst.engine.slots import Slots
from burst.model.outcome import Answer, State
from burst.model.ports import Answers
from burst.model.units import NS_PER_MS
from burst.runs.ledger import Ledger
from tests.unit.test_pump import Bench

CODES = (*[Answer.ACCEPTED] * 8, *Answer)


def lived(path, few, seed):
    """Return all that a pump has left behind after a life that a seed tells, as it looked at every step of it."""
    random_ = random.Random(seed)
    left = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(engine, "FEW", few)
        patch.setattr(engine, "FEW_SENT", few)
        bench = Bench(path, people=20, retry={"base": "3ms", "on_unknown": random_.choice(["settle", "resend"])})
        said = []
        for _ in range(60):
            bench.sink.room = random_.choice([0, 1, 3, 20])
            out = [ticket for tickets, _ in bench.sink.sent for ticket in tickets.tolist()]
            bench.sink.sent = []
            random_.shuffle(out)
            while out:
                some, out = out[: random_.randint(1, 7)], out[7:]
                # An answer that was given before comes again, perhaps to a slot that is another's by now.
                tickets = list(dict.fromkeys(some + random_.sample(said, min(len(said), random_.randint(0, 2)))))
                codes = [random_.choice(CODES)] * len(tickets)
                if not random_.randrange(4):
                    codes = random_.choices(CODES, k=len(tickets))
                reasons = np.array([code != Answer.ACCEPTED for code in codes], dtype=np.uint8)
                said += tickets
                bench.sink.waiting.append(
                    Answers(np.array(tickets), np.array(codes, dtype=np.uint8), bench.clock.now_ns(), None, reasons)
                )
            bench.step(random_.choice([0, 1, 5]))
            slots = bench.pump._slots
            columns = (slots.pending, slots.first_sent_ns, slots.last_sent_ns, slots.answered_ns, slots.reasons)
            left.append(
                [
                    *(column.tobytes() for column in (bench.ledger.states, bench.ledger.attempts, *columns)),
                    dict(bench.pump.counters),
                    [indexes.tolist() for _, indexes in bench.sink.sent],
                    [list(decode_deltas([settlement.delta])) for settlement in bench.settled],
                    (bench.pump.people, bench.pump.idle, bench.pump.next_ns()),
                ]
            )
        bench.ledger.close()
    return left


@given(seed=st.integers(0, 2**32))
@settings(max_examples=40, deadline=None)
def test_a_life_of_sends_and_answers_leaves_the_same_whichever_way_they_are_entered(tmp_path_factory, seed):
    one_by_one, by_column, mixed = (lived(tmp_path_factory.mktemp("pump"), few, seed) for few in (10**6, 0, 3))
    assert one_by_one == by_column
    assert mixed == by_column


def test_the_way_is_told_by_how_many_there_are(tmp_path, monkeypatch):
    """Else the test above would compare one way with itself."""
    taken = []
    monkeypatch.setattr(engine, "FEW", 3)
    monkeypatch.setattr(
        engine.Singly, "accept", lambda _, tickets, answered_ns: taken.append((tickets, answered_ns)) or (0, False)
    )
    bench = Bench(tmp_path)
    bench.step()
    bench.sink.answer(Answer.ACCEPTED, 7, only=[0, 4, 5, 6, 7])  # one of the first batch, all four of the second
    bench.step()
    assert [(len(tickets), answered_ns) for tickets, answered_ns in taken] == [(1, 7)]
    assert bench.states[4:8] == [State.ACCEPTED] * 4
    bench.ledger.close()


def test_sends_are_counted_as_the_ledger_counts_them_up_to_255(tmp_path):
    ledger, slots = Ledger(tmp_path / "ledger.bin", 8, create=True), Slots(1, 8)
    singly = Singly(slots, ledger)
    ledger.attempts[:] = [0, 1, 253, 254, 255, 7, 254, 255]
    singly.mark_sent(1, 6)
    assert ledger.attempts.tolist() == [0, 2, 254, 255, 255, 8, 254, 255]
    assert ledger.states.tolist() == [0, *[State.SENT] * 5, 0, 0]
    ledger.close()


def test_the_batch_that_ends_is_told_with_its_last_answer_and_not_before(tmp_path):
    ledger, slots = Ledger(tmp_path / "ledger.bin", 4, create=True), Slots(1, 4)
    singly = Singly(slots, ledger)
    _, tickets = slots.take(0, 4)
    singly.mark_sent(0, 3)
    assert singly.accept(tickets.tolist(), NS_PER_MS) == (1, False)  # the fourth was never sent
    assert singly.accept(tickets[:1].tolist(), NS_PER_MS) == (1, False)  # and the first has been answered
    singly.mark_sent(3, 4)
    assert singly.accept(tickets[3:].tolist(), NS_PER_MS) == (0, True)
    slots.release(0)
    slots.take(0, 4)
    ledger.states[:] = State.SENT
    assert singly.accept(tickets.tolist(), NS_PER_MS) == (4, False)  # of another life of the slot
    assert ledger.states.tolist() == [State.SENT] * 4
    ledger.close()
