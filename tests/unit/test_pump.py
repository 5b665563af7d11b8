"""The pump alone: with a sink that says what it is told to, and time that stands still but for the test's own steps."""

from typing import Any

import numpy as np
import pytest

from burst.engine.pump import Pump, PumpSettings
from burst.engine.settling import decode_deltas, unpacked
from burst.engine.slots import Slots
from burst.model.outcome import Answer, State
from burst.model.ports import NEVER_NS, Answers, Prepared
from burst.model.scenario import RetrySettings, Route, SinkChoice
from burst.model.units import NS_PER_MS, NS_PER_S
from burst.policy.pacing import Pace
from burst.policy.routing import Router
from burst.queues.shard import Held, Settlement
from burst.runs.ledger import Ledger
from tests.conftest import FakeClock, make_batch


class Scripted:
    """A sink that takes ``room`` and answers when the test says so."""

    reasons = ("", "told")
    judge = "sender"

    def __init__(self) -> None:
        self.room = NEVER_NS
        self.sent: list[tuple[np.ndarray, np.ndarray]] = []
        self.taken: list[tuple[np.ndarray, np.ndarray]] = []
        self.waiting: list[Answers] = []
        self.unwritten = np.empty(0, dtype=np.int64)

    def prepare(self, batch: Any, tickets: np.ndarray, indexes: np.ndarray) -> Prepared:
        assert batch.count == tickets.size == indexes.size
        assert (np.diff(indexes) > 0).all()
        # A batch that was gathered still has each person's own token (here: its index).
        assert np.frombuffer(batch.tokens, dtype=">u4").tolist() == indexes.tolist()
        return Prepared(batch, tickets, indexes)

    def credit(self) -> int:
        return self.room

    def send(self, prepared: Prepared, lo: int, hi: int) -> int:
        self.room -= hi - lo
        self.sent.append((prepared.tickets[lo:hi], prepared.indexes[lo:hi]))
        return hi - lo

    def answers(self) -> list[Answers]:
        found, self.waiting = self.waiting, []
        return found

    def next_answer_ns(self) -> int:
        return NEVER_NS

    def revoke(self) -> np.ndarray:
        return self.unwritten

    def indexes(self) -> list[int]:
        return [index for _, indexes in self.sent for index in indexes.tolist()]

    def answer(self, code: Answer, now_ns: int, only: Any = None) -> None:
        """Answer everything sent so far, or those whose index is in ``only``; forget what was sent."""
        self.taken = self.sent
        for tickets, indexes in self.sent:
            mine = np.ones(indexes.size, bool) if only is None else np.isin(indexes, list(only))
            if mine.any():
                codes = np.full(int(mine.sum()), code, dtype=np.uint8)
                self.waiting.append(Answers(tickets[mine], codes, now_ns))
        self.sent = []


class Bench:
    """A pump with all around it."""

    def __init__(self, path: Any, people: int = 12, **options: Any) -> None:
        self.clock = FakeClock(10**12)
        self.sink = Scripted()
        self.ledger = Ledger(path / "ledger.bin", options.pop("ledger", people), create=True)
        self.settled: list[Settlement] = []
        retry = RetrySettings.model_validate({"base": "20ms", "attempts": 3} | options.pop("retry", {}))
        settings = PumpSettings(
            0,
            (0, 1),
            retry,
            options.pop("expire_ns", None),
            Pace(options.pop("rate_per_s", None)),
            (NS_PER_S,),
            shared_ledger=True,
            seed=7,
        )
        routes = (Route(sink=SinkChoice(name="scripted")),)
        self.pump = Pump(
            settings,
            Slots(8, 4),
            [self.sink],
            Router(routes, 1),
            self.ledger,
            self.clock,
            lambda: NEVER_NS,
            lambda shard, settlement: self.settled.append(settlement),
        )
        self.pump.join("me-here")
        self.pump.go_ns = self.clock.now_ns()
        for number in options.pop("order", range(people // 4)):
            batch = make_batch(number, number * 4, 4)
            self.pump.accept(number % 2, [Held(f"1-{number}".encode(), "main", batch, False, "")])

    def step(self, ms: float = 0) -> None:
        self.clock.advance(int(ms * NS_PER_MS))
        self.pump.step()

    def run(self, ms: int) -> None:
        for _ in range(ms):
            self.step(1)

    @property
    def states(self) -> list[State]:
        return [State(state) for state in self.ledger.states.tolist()]


@pytest.fixture
def bench(tmp_path, request):
    made = Bench(tmp_path, **getattr(request, "param", {}))
    yield made
    made.ledger.close()


def with_options(**options):
    return pytest.mark.parametrize("bench", [options], indirect=True)


def test_everybody_is_sent_once_and_settled_with_one_tally(bench):
    bench.step()
    assert bench.sink.indexes() == list(range(12))
    assert set(bench.states) == {State.SENT}
    bench.sink.answer(Answer.ACCEPTED, bench.clock.advance(NS_PER_MS))
    bench.run(60)
    assert set(bench.states) == {State.ACCEPTED}
    assert bench.pump.idle
    told = [delta for settlement in bench.settled for delta in decode_deltas([settlement.delta])]
    assert sorted(batch.number for delta in told for batch in delta.batches) == [0, 1, 2]
    assert {batch.states for delta in told for batch in delta.batches} == {State.ACCEPTED}


def test_nothing_is_sent_beyond_the_credit(bench):
    bench.sink.room = 5
    bench.run(5)
    assert bench.sink.indexes() == [0, 1, 2, 3, 4]
    bench.sink.room = 2
    bench.step(1)
    assert bench.sink.indexes() == [0, 1, 2, 3, 4, 5, 6]


def test_refused_pushes_of_many_batches_leave_together_and_whole(bench):
    bench.step()
    bench.sink.answer(Answer.REFUSED, bench.clock.advance(1), only={0, 3, 5, 8, 11})
    bench.step()
    assert [index for index, state in enumerate(bench.states) if state is State.REFUSED] == [0, 3, 5, 8, 11]
    bench.run(40)
    again = [indexes.tolist() for _, indexes in bench.sink.sent]
    assert sorted(index for one in again for index in one) == [0, 3, 5, 8, 11]  # each once more, none twice
    assert len(again) < 5  # gathered: not a send for each
    bench.sink.answer(Answer.ACCEPTED, bench.clock.advance(1))
    bench.step()
    assert bench.ledger.attempts.tolist() == [2, 1, 1, 2, 1, 2, 1, 1, 2, 1, 1, 2]


@with_options(ledger=16, retry={"base": "1ms"})
def test_retries_ascend_whatever_slots_their_batches_are_in(bench):
    """A sink may take indexes for consecutive when their ends say so: the order is a promise."""
    bench.step()
    bench.sink.answer(Answer.ACCEPTED, bench.clock.advance(1), only=range(4))
    under_way = bench.sink.taken
    bench.run(60)  # batch 0 is settled, and the last one gets its slot: before those of batches 1 and 2
    bench.pump.accept(1, [Held(b"1-3", "main", make_batch(3, 12, 4), taken_over=False)])
    bench.step()
    bench.sink.sent = under_way + bench.sink.sent
    bench.sink.answer(Answer.REFUSED, bench.clock.advance(1), only=[4, 6, 12, 13])
    bench.run(40)
    assert [indexes.tolist() for _, indexes in bench.sink.sent] == [[4, 6, 12, 13]]


def test_attempts_end_and_then_it_has_failed(bench):
    for _ in range(3):
        bench.run(60)
        assert bench.sink.indexes()
        bench.sink.answer(Answer.THROTTLED, bench.clock.advance(1))
    bench.run(60)
    assert set(bench.states) == {State.FAILED}
    assert bench.ledger.attempts.tolist() == [3] * 12
    assert bench.pump.idle


@with_options(retry={"on_unknown": "resend"})
def test_a_last_attempt_in_doubt_is_unknown_and_not_failed(bench):
    for _ in range(3):
        bench.run(60)
        bench.sink.answer(Answer.DOUBTFUL, bench.clock.advance(1))
    bench.run(60)
    assert set(bench.states) == {State.UNKNOWN}
    assert bench.pump.counters["possible_duplicates"] > 0


def test_a_doubtful_push_is_not_sent_again_unless_asked(bench):
    bench.step()
    bench.sink.answer(Answer.DOUBTFUL, bench.clock.advance(1))
    bench.run(200)
    assert bench.sink.indexes() == []
    assert set(bench.states) == {State.UNKNOWN}


@with_options(retry={"answer_within": "100ms"})
def test_an_answer_that_never_comes_is_waited_for_and_no_longer(bench):
    bench.step()
    bench.run(90)
    assert set(bench.states) == {State.SENT}
    bench.run(80)
    assert set(bench.states) == {State.UNKNOWN}
    bench.sink.answer(Answer.ACCEPTED, bench.clock.now_ns())
    bench.step(1)
    assert set(bench.states) == {State.UNKNOWN}
    assert bench.pump.counters["late_answers"] == 12


@pytest.mark.parametrize("few", [0, 100])
def test_an_answer_to_what_was_in_a_slot_before_names_nobody_though_a_shorter_batch_has_it_now(
    tmp_path, monkeypatch, few
):
    monkeypatch.setattr("burst.engine.pump.FEW", few)
    bench = Bench(tmp_path, people=4, ledger=5, retry={"answer_within": "100ms"})
    bench.step()
    old = bench.sink.sent[0][0]
    bench.run(200)
    bench.pump.accept(0, [Held(b"1-9", "main", make_batch(9, 4, 1), False, "")])  # the audience's last person, alone
    bench.step()
    bench.sink.waiting.append(Answers(old, np.zeros(4, dtype=np.uint8), bench.clock.now_ns()))
    bench.step(1)
    assert bench.pump.counters["late_answers"] == 4
    assert bench.states == [State.UNKNOWN] * 4 + [State.SENT]
    bench.ledger.close()


@with_options(expire_ns=100 * NS_PER_MS)
def test_what_is_too_late_expires_fresh_and_refused_alike(bench):
    bench.sink.room = 4
    bench.step()
    bench.sink.answer(Answer.REFUSED, bench.clock.advance(1))
    bench.sink.room = 0
    bench.run(60)  # the four wait for credit now, the eight have never been sent
    bench.run(60)
    bench.sink.room = 100
    bench.run(30)
    assert bench.sink.indexes() == []
    assert set(bench.states) == {State.EXPIRED}
    assert bench.pump.idle


@with_options(rate_per_s=1000.0, order=[0, 2, 1])
def test_a_paced_load_is_sent_in_the_order_it_is_due_whatever_shard_was_read_first(bench):
    bench.run(6)
    assert bench.sink.indexes() == [0, 1, 2, 3, 4, 5, 6]
    bench.run(20)
    assert bench.sink.indexes() == list(range(12))


@with_options(rate_per_s=1000.0, order=[], ledger=12)
def test_a_batch_taken_over_keeps_its_pace(bench):
    bench.ledger.states[8] = State.SENT  # under way when its worker died
    bench.pump.accept(0, [Held(b"1-2", "main", make_batch(2, 8, 4), taken_over=True, holder="dead-here")])
    bench.run(5)
    assert bench.sink.indexes() == []
    assert bench.states[8] is State.UNKNOWN
    bench.run(5)
    assert set(bench.sink.indexes()) <= {9}
    bench.run(20)
    assert bench.sink.indexes() == [9, 10, 11]


def test_what_a_sink_gives_back_counts_as_never_sent(bench):
    bench.sink.room = 4
    bench.step()
    bench.sink.answer(Answer.REFUSED, bench.clock.advance(1), only={0})
    bench.sink.room = 0
    bench.run(40)
    bench.sink.room = 1
    bench.step()  # person 0 is taken once more
    assert bench.ledger.attempts.tolist()[:5] == [2, 1, 1, 1, 0]
    given_back = [tickets for tickets, indexes in bench.sink.sent if indexes.tolist() == [0]]
    stale = given_back[0] + (1 << 40)  # of another life of its slot
    bench.sink.unwritten = np.concatenate([*given_back, stale])
    bench.pump.abort()
    assert bench.ledger.attempts.tolist()[:5] == [1, 1, 1, 1, 0]
    assert bench.states[:5] == [State.FAILED, *[State.UNKNOWN] * 3, State.UNSENT]


def test_abort_leaves_everybody_with_an_outcome(bench):
    bench.sink.room = 6
    bench.step()
    bench.sink.answer(Answer.REFUSED, bench.clock.advance(1), only={0})
    bench.step()
    bench.pump.abort()
    assert bench.states == [State.FAILED] + [State.UNKNOWN] * 5 + [State.UNSENT] * 6
    told = [delta for settlement in bench.settled for delta in decode_deltas([settlement.delta])]
    columns = {batch.number: unpacked(batch.states, 4).tolist() for delta in told for batch in delta.batches}
    assert columns[0] == [State.FAILED, *[State.UNKNOWN] * 3]
