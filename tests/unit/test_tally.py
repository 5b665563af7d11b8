"""A tally adds up: counts are the columns' sums, and deltas merge to what one tally would hold."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from burst.measure.tally import INTERVALS, Settled, Tally
from burst.measure.timeline import KINDS
from burst.model.outcome import State

GO_NS = 10**12
DEADLINES = (10**9, 5 * 10**9)
OUTCOMES = (State.ACCEPTED, State.REJECTED, State.EXPIRED, State.FAILED, State.UNKNOWN, State.UNSENT)


@st.composite
def people(draw):
    """One person's due, first sent, last sent, answered instant and outcome."""
    due = GO_NS + draw(st.integers(0, 10**10))
    first = due + draw(st.integers(-(10**6), 10**9))
    last = first + draw(st.sampled_from([0, 10**6, 10**9]))
    answered = draw(st.one_of(st.just(0), st.integers(0, 4 * 10**12).map(last.__add__)))
    return due, first, last, answered, int(draw(st.sampled_from(OUTCOMES)))


crowds = st.lists(people(), min_size=1, max_size=60)


def settled(crowd, *, burst: bool) -> Settled:
    due, first, last, answered, states = (np.array(values, dtype=np.int64) for values in zip(*crowd, strict=True))
    return Settled(GO_NS if burst else due, first, last, answered, states.astype(np.uint8))


def folded(*crowds, burst: bool = False) -> Tally:
    tally = Tally(DEADLINES)
    for crowd in crowds:
        tally.fold(settled(crowd, burst=burst), GO_NS)
    return tally


def assert_same(left: Tally, right: Tally) -> None:
    for name in INTERVALS:
        a, b = left.histograms[name], right.histograms[name]
        assert np.array_equal(a.counts, b.counts), name
        assert (a.total, a.clamped, a.min_us, a.max_us) == (b.total, b.clamped, b.min_us, b.max_us), name
    assert np.array_equal(left.timeline.table(), right.timeline.table())
    assert left.heat.cells.keys() == right.heat.cells.keys()
    for column, counts in left.heat.cells.items():
        assert np.array_equal(counts, right.heat.cells[column])
    assert +left.counters == +right.counters
    assert left.within == right.within
    assert left.last_receipt_ns == right.last_receipt_ns


@given(crowds, st.booleans())
def test_counts_are_the_sums_of_the_columns(crowd, burst):
    tally = folded(crowd, burst=burst)
    accepted = [person for person in crowd if person[4] == State.ACCEPTED]
    timed = [person for person in accepted if person[3] > 0]
    for state in OUTCOMES:
        assert tally.counters[state.name.lower()] == sum(person[4] == state for person in crowd)
    assert sum(tally.counters[state.name.lower()] for state in OUTCOMES) == len(crowd)
    assert tally.counters["untimed"] == len(accepted) - len(timed)
    assert tally.counters["early"] == sum(first < GO_NS for _, first, *_ in timed)
    for name in INTERVALS:
        assert tally.interval(name).total == len(timed)
    for deadline in DEADLINES:
        assert tally.within[deadline] == sum(person[3] - GO_NS <= deadline for person in timed)
    assert tally.last_receipt_ns == max((max(0, person[3] - GO_NS) for person in timed), default=0)
    assert int(tally.timeline.table()[:, KINDS.index("accepted")].sum()) == len(timed)
    assert sum(int(counts.sum()) for counts in tally.heat.cells.values()) == len(timed)


@given(crowds, crowds, st.booleans())
def test_folding_by_parts_and_merging_their_deltas_equals_folding_at_once(left, right, burst):
    together = folded(left + right, burst=burst)
    assert_same(folded(left, right, burst=burst), together)
    merged = Tally(DEADLINES)
    for part in (left, right):
        merged.merge_delta(folded(part, burst=burst).to_delta())
    assert_same(merged, together)
    turned = folded(right, burst=burst)
    turned.merge(folded(left, burst=burst))
    assert_same(turned, together)


@given(crowds)
def test_a_delta_reads_back_as_the_tally_it_came_from(crowd):
    tally, copy = folded(crowd), Tally()
    copy.merge_delta(tally.to_delta())
    assert_same(copy, tally)


def test_an_empty_tally_adds_nothing():
    tally = folded([(GO_NS, GO_NS, GO_NS, GO_NS + 5000, int(State.ACCEPTED))])
    tally.merge_delta(Tally(DEADLINES).to_delta())
    assert_same(tally, folded([(GO_NS, GO_NS, GO_NS, GO_NS + 5000, int(State.ACCEPTED))]))
    assert Tally().empty
    assert not tally.empty


def test_latency_counts_from_the_instant_it_was_due_not_from_the_send():
    due, sent = GO_NS, GO_NS + 3 * 10**9
    tally = folded([(due, sent, sent, sent + 10**6, int(State.ACCEPTED))])
    assert tally.interval("end_to_end").max_us == 3_001_000
    assert tally.interval("queue_wait").max_us == 3_000_000
    assert tally.interval("service").max_us == 1_000
