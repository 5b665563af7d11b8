"""The books close on the audience exactly, or the run fails."""

from dataclasses import dataclass

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from burst.engine.books import Books
from burst.engine.settling import Delta, SettledBatch, packed
from burst.measure.tally import Settled, Tally
from burst.model.errors import AccountingError
from burst.model.outcome import State
from burst.runs.ledger import Ledger

GO_NS = 10**12
FINAL = (State.ACCEPTED, State.REJECTED, State.EXPIRED, State.FAILED, State.UNKNOWN, State.UNSENT)
DEADLINES = (10**9,)


@dataclass
class People:
    """Consecutive people of one batch and what became of them."""

    number: int
    first: int
    states: np.ndarray
    worker: int = 0
    shard: int = 0
    reasons: np.ndarray | None = None

    @property
    def span(self) -> slice:
        return slice(self.first, self.first + self.states.size)


def delta_of(people: People, *, shared: bool = True, names: tuple[str, ...] = ("",)) -> Delta:
    tally, size = Tally(DEADLINES), people.states.size
    sent = np.full(size, GO_NS + 1000, dtype=np.int64)
    answered = sent + 1000 * (1 + np.arange(people.first, people.first + size))
    tally.fold(Settled(GO_NS, sent, sent, answered, people.states), GO_NS)
    reasons = np.zeros(size, np.uint8) if people.reasons is None else people.reasons
    batch = SettledBatch(
        people.number,
        people.first,
        size,
        packed(people.states),
        packed(np.ones(size, np.uint8)),
        packed(reasons),
        False,
        False,
    )
    return Delta(people.worker, f"c{people.worker}", shared, list(names), [batch], tally.to_delta())


def states(*values: int) -> np.ndarray:
    return np.array(values, dtype=np.uint8)


@pytest.fixture
def ledger(tmp_path):
    ledger = Ledger(tmp_path / "ledger.bin", 10, create=True)
    yield ledger
    ledger.close()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("books")


crowds = st.lists(
    st.tuples(
        st.booleans(),  # whether the batch was settled before the end
        st.integers(0, 3),  # by whom
        st.lists(st.tuples(st.sampled_from(FINAL), st.integers(0, 3)), min_size=1, max_size=12),
        st.lists(st.sampled_from((State.UNSENT, State.SENT, State.REFUSED)), min_size=12, max_size=12),
    ),
    min_size=1,
    max_size=12,
)
numbers = iter(range(10**9))


@given(crowds, st.booleans(), st.booleans())
def test_outcomes_sum_to_the_audience_whatever_became_of_each(folder, crowd, shared, counted):
    size = sum(len(people) for *_, people, _ in crowd)
    ledger = Ledger(folder / f"{next(numbers)}.bin", size, create=True)
    books, at, received = Books(ledger, DEADLINES, shards=2), 0, np.zeros(size, np.uint8)
    expected = dict.fromkeys([state.name.lower() for state in State], 0)
    for number, (settled, worker, people, unsettled) in enumerate(crowd):
        column = states(*(state for state, _ in people))
        batch = People(number, at, column, worker)
        received[batch.span] = [seen for _, seen in people]
        if settled:
            if shared:
                ledger.states[batch.span] = column
            books.enter(number % 2, delta_of(batch, shared=shared))
            final = column.tolist()
        else:
            ledger.states[batch.span] = unsettled[: column.size]
            ends = {State.SENT: State.UNKNOWN, State.REFUSED: State.FAILED, State.UNSENT: State.UNSENT}
            final = [ends[state] for state in unsettled[: column.size]]
        for index, state in enumerate(final, at):
            lost = counted and state == State.ACCEPTED and not received[index]
            expected["lost" if lost else State(state).name.lower()] += 1
        at += column.size
    untimed, duplicates = books.finish(received if counted else None)
    outcomes = books.outcomes()
    assert outcomes.total() == size
    for name, count in msgspec.structs.asdict(outcomes).items():
        assert count == expected[name], name
    assert untimed == 0
    assert duplicates == (int(np.maximum(received.astype(int) - 1, 0).sum()) if counted else None)
    assert books.settled_people == sum(len(people) for settled, _, people, _ in crowd if settled)
    assert sum(books.worker_batches.values()) == sum(settled for settled, *_ in crowd)
    assert sum(tally.counters["accepted"] for tally in books.shards) == books.total.counters["accepted"]
    ledger.close()


@pytest.mark.parametrize("shared", [True, False])
def test_a_batch_settled_twice_is_a_contradiction(ledger, shared):
    people = People(4, 0, states(*[State.ACCEPTED] * 3))
    ledger.states[people.span] = people.states
    books = Books(ledger, DEADLINES, shards=1)
    books.enter(0, delta_of(people, shared=shared))
    with pytest.raises(AccountingError, match="batch 4 was settled twice"):
        books.enter(0, delta_of(people, shared=shared))


def test_a_ledger_that_says_otherwise_than_the_worker_is_a_contradiction(ledger):
    people = People(4, 0, states(State.ACCEPTED, State.ACCEPTED))
    ledger.states[:2] = states(State.ACCEPTED, State.REJECTED)
    with pytest.raises(AccountingError, match="worker 0"):
        Books(ledger, DEADLINES, shards=1).enter(0, delta_of(people))


@pytest.mark.parametrize("late", FINAL)
def test_a_ledger_changed_after_settling_is_a_contradiction(ledger, late):
    people = People(0, 0, states(*FINAL))
    ledger.states[people.span] = people.states
    books = Books(ledger, DEADLINES, shards=1)
    books.enter(0, delta_of(people))
    others = [state for state in FINAL if state != late]
    ledger.states[: len(FINAL)][ledger.states[: len(FINAL)] == others[0]] = late
    with pytest.raises(AccountingError, match="tallies say"):
        books.finish(None)


def test_a_tally_that_lacks_people_is_a_contradiction(ledger):
    people = People(0, 0, states(State.ACCEPTED, State.FAILED))
    ledger.states[:2] = people.states
    books = Books(ledger, DEADLINES, shards=1)
    books.enter(0, msgspec.structs.replace(delta_of(people), tally=Tally(DEADLINES).to_delta()))
    with pytest.raises(AccountingError, match="accepted: the workers' tallies say 0, the ledger 1"):
        books.finish(None)


def test_people_settled_under_two_numbers_are_a_contradiction(ledger):
    ledger.states[:3] = State.ACCEPTED
    books = Books(ledger, DEADLINES, shards=1)
    for number in (0, 1):
        books.enter(0, delta_of(People(number, 0, states(*[State.ACCEPTED] * 3))))
    with pytest.raises(AccountingError, match="tallies say 6, the ledger 3"):
        books.finish(None)


def test_a_histogram_that_lost_somebody_is_a_contradiction(ledger):
    people = People(0, 0, states(*[State.ACCEPTED] * 5))
    ledger.states[:5] = people.states
    books = Books(ledger, DEADLINES, shards=1)
    books.enter(0, delta_of(people))
    books.total.histograms["service"].total -= 1
    with pytest.raises(AccountingError, match="service holds 4 of 5"):
        books.finish(None)


def test_a_worker_whose_sum_differs_from_the_total_is_a_contradiction(ledger):
    people = People(0, 0, states(*[State.ACCEPTED] * 5))
    ledger.states[:5] = people.states
    books = Books(ledger, DEADLINES, shards=1)
    books.enter(0, delta_of(people))
    books.workers[0].counters["accepted"] -= 1
    with pytest.raises(AccountingError, match="sum over workers is 4"):
        books.finish(None)


def test_a_state_that_does_not_exist_does_not_vanish_from_the_sum(ledger):
    ledger.states[0] = 77
    books = Books(ledger, DEADLINES, shards=1)
    with pytest.raises(AccountingError, match="outcomes sum to 9, the audience is 10"):
        books.outcomes()


def test_completion_is_the_receipt_of_the_person_who_completes_the_share(ledger):
    people = People(0, 0, states(*[State.ACCEPTED] * 9, State.REJECTED))
    ledger.states[:] = people.states
    books = Books(ledger, DEADLINES, shards=1)
    books.enter(0, delta_of(people))
    # Person i is answered (2 + i) us after GO; a tenth is never accepted.
    found = books.completion_ns(9)
    assert found == {"p50": 6000, "p90": 10_000, "p95": None, "p99": None, "p99.9": None, "all": None}


@pytest.mark.parametrize("audience", [11, 22, 38, 100, 1000])
def test_completion_asks_for_no_person_more_than_its_share(tmp_path, audience):
    ledger = Ledger(tmp_path / "ledger.bin", audience, create=True)
    ledger.states[:] = State.ACCEPTED
    books = Books(ledger, DEADLINES, shards=1)
    books.enter(0, delta_of(People(0, 0, ledger.states.copy())))
    for name, percent in (("p50", 500), ("p90", 900), ("p95", 950), ("p99", 990), ("p99.9", 999)):
        rank = -(-audience * percent // 1000)
        assert books.completion_ns(audience)[name] == (1 + rank) * 1000, name
    ledger.close()


def test_reasons_of_workers_with_different_tables_come_together_by_name(ledger):
    one = People(0, 0, states(State.REJECTED, State.FAILED), 0, reasons=states(1, 2))
    two = People(1, 2, states(State.REJECTED, State.ACCEPTED), 1, reasons=states(2, 1))
    ledger.states[:4] = np.concatenate((one.states, two.states))
    books = Books(ledger, DEADLINES, shards=1)
    books.enter(0, delta_of(one, names=("", "dead", "used up")))
    books.enter(0, delta_of(two, names=("", "used up", "dead")))
    told = [(reason.outcome, reason.reason, reason.count) for reason in books.told_reasons()]
    assert told == [("rejected", "dead", 2), ("failed", "used up", 1)]
