"""Folding finished batches: what is settled says of everybody what the ledger says."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from burst.engine.settling import Folder, decode_deltas, packed, unpacked
from burst.engine.slots import HeldBatch, Slots
from burst.measure.histogram import bucket_indexes
from burst.measure.tally import Tally
from burst.model.outcome import State
from burst.model.ports import Prepared
from burst.policy.pacing import Pace
from burst.runs.ledger import Ledger

GO_NS = 10**12


@given(st.lists(st.integers(0, 255), min_size=1, max_size=600))
def test_a_packed_column_reads_back(values):
    column = np.array(values, dtype=np.uint8)
    assert unpacked(packed(column), column.size).tolist() == values


@given(st.integers(0, 255), st.integers(1, 4096))
def test_a_column_of_one_value_travels_as_that_value(value, count):
    form = packed(np.full(count, value, dtype=np.uint8))
    assert form == value
    assert isinstance(form, int)
    assert unpacked(form, count).tolist() == [value] * count


@pytest.fixture
def ledger(tmp_path):
    ledger = Ledger(tmp_path / "ledger.bin", 100, create=True)
    yield ledger
    ledger.close()


def finished(slots, ledger, batch, states, *, answered=GO_NS + 5_000_000, taken_over=False, reason=0) -> HeldBatch:
    slot, tickets = slots.take(batch.first_index, batch.count)
    ledger.mark_sent(batch.first_index, batch.end_index)
    ledger.states[batch.first_index : batch.end_index] = states
    held = HeldBatch(
        slot,
        0,
        batch.lane,
        b"1-%d" % batch.number,
        batch,
        0,
        Prepared(batch, tickets, np.arange(batch.first_index, batch.end_index)),
        taken_over,
    )
    rows = slots.rows_of(held)
    slots.first_sent_ns[rows] = slots.last_sent_ns[rows] = GO_NS + 1_000_000
    slots.answered_ns[rows] = answered
    slots.reasons[rows] = reason
    return held


def test_a_settlement_names_every_batch_its_people_and_the_accepted(ledger, batch_of):
    slots, folder = Slots(4, 16), Folder(Tally((10**9,)))
    first = finished(slots, ledger, batch_of(0, 0, 10), [State.ACCEPTED] * 9 + [State.REJECTED])
    second = finished(slots, ledger, batch_of(7, 40, 5, lane="vip"), State.UNKNOWN, taken_over=True, reason=1)
    folder.add(first, slots, ledger, stolen=False)
    folder.add(second, slots, ledger, stolen=True)
    assert (folder.waiting, folder.people) == (2, 15)
    settlement = folder.fold(3, "c3", ["", "no answer"], GO_NS, Pace(), shared=True)
    assert settlement.ids == {"main": [b"1-0"], "vip": [b"1-7"]}
    assert (settlement.batches, settlement.people, settlement.accepted) == (2, 15, 9)
    (delta,) = decode_deltas([settlement.delta])
    assert (delta.worker, delta.consumer, delta.shared_ledger, delta.reasons) == (3, "c3", True, ["", "no answer"])
    told = {batch.number: batch for batch in delta.batches}
    assert unpacked(told[0].states, 10).tolist() == ledger.states[:10].tolist()
    assert (told[7].states, told[7].attempts, told[7].reasons) == (State.UNKNOWN, 1, 1)
    assert [(batch.stolen, batch.taken_over) for batch in delta.batches] == [(False, False), (True, True)]


def test_what_is_folded_is_a_copy_slots_may_be_used_again_at_once(ledger, batch_of):
    slots, folder = Slots(1, 16), Folder(Tally())
    held = finished(slots, ledger, batch_of(0, 0, 10), State.ACCEPTED)
    folder.add(held, slots, ledger, stolen=False)
    slots.release(held.slot)
    other = finished(slots, ledger, batch_of(1, 10, 10), State.ACCEPTED, answered=GO_NS + 9 * 10**9)
    tally = Tally()
    (delta,) = decode_deltas([folder.fold(0, "c", [""], GO_NS, Pace(), shared=True).delta])
    tally.merge_delta(delta.tally)
    assert tally.interval("completion").max_us == 5_000
    assert other.batch.number == 1


def test_after_a_fold_it_begins_anew(ledger, batch_of):
    slots, folder = Slots(4, 16), Folder(Tally((10**9,)))
    tallies = []
    for number in range(2):
        folder.add(
            finished(slots, ledger, batch_of(number, 10 * number, 10), State.ACCEPTED), slots, ledger, stolen=False
        )
        settlement = folder.fold(0, "c", [""], GO_NS, Pace(), shared=True)
        assert (folder.waiting, folder.people) == (0, 0)
        tally = Tally()
        (delta,) = decode_deltas([settlement.delta])
        tally.merge_delta(delta.tally)
        assert [batch.number for batch in delta.batches] == [number]
        tallies.append(tally)
    assert [tally.counters["accepted"] for tally in tallies] == [10, 10]
    assert [tally.within for tally in tallies] == [{10**9: 10}] * 2


def test_paced_people_are_measured_from_their_own_place_in_the_schedule(ledger, batch_of):
    slots, folder = Slots(4, 16), Folder(Tally())
    folder.add(finished(slots, ledger, batch_of(0, 0, 5), State.ACCEPTED), slots, ledger, stolen=False)
    (delta,) = decode_deltas([folder.fold(0, "c", [""], GO_NS, Pace(1000.0), shared=True).delta])
    tally = Tally()
    tally.merge_delta(delta.tally)
    latencies = np.array([1_000, 2_000, 3_000, 4_000, 5_000], dtype=np.int64)
    assert tally.interval("end_to_end").nonzero()[0].tolist() == bucket_indexes(latencies).tolist()
