"""Slots: an answer finds its notification by arithmetic, and a late one finds nobody."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from burst.engine.slots import Slots

SLOTS, LARGEST = 5, 20
moves = st.lists(
    st.one_of(
        st.tuples(st.just("take"), st.integers(0, 10**9), st.integers(1, LARGEST)),
        st.tuples(st.just("release"), st.integers(0, SLOTS - 1), st.just(0)),
    ),
    max_size=60,
)


@given(moves)
def test_tickets_find_their_person_while_held_and_nobody_after(plan):
    slots = Slots(SLOTS, LARGEST)
    held: dict[int, tuple[int, np.ndarray]] = {}
    void: list[np.ndarray] = []
    for move, what, count in plan:
        if move == "take" and slots.free:
            slot, tickets = slots.take(what, count)
            assert slot not in held
            held[slot] = (what, tickets)
        elif move == "release" and what in held:
            void.append(held.pop(what)[1])
            slots.release(what)
        assert slots.free == SLOTS - len(held)
    for first, tickets in held.values():
        rows, where, mask = slots.locate(tickets)
        assert mask is None
        assert slots.indexes_of(rows, where).tolist() == list(range(first, first + tickets.size))
    everything = [tickets for _, tickets in held.values()] + void
    if everything:
        column = np.concatenate(everything)
        assert np.unique(column).size == column.size
        _, _, mask = slots.locate(column)
        valid = sum(tickets.size for _, tickets in held.values())
        expected = np.arange(column.size) < valid
        assert (mask is None and expected.all()) or np.array_equal(mask, expected)


def test_a_ticket_of_before_a_reuse_is_void_though_the_slot_is_occupied_again():
    slots = Slots(1, 16)
    slot, old = slots.take(0, 16)
    slots.release(slot)
    _, new = slots.take(100, 16)
    assert slots.locate(old)[2].tolist() == [False] * 16
    assert slots.locate(new)[2] is None
    assert slots.locate(np.concatenate((old[:1], new[:1])))[2].tolist() == [False, True]


def test_a_slot_comes_back_empty():
    slots = Slots(1, 16)
    slot, _ = slots.take(0, 16)
    for column in (slots.first_sent_ns, slots.last_sent_ns, slots.answered_ns, slots.reasons):
        column[:] = 7
    slots.release(slot)
    assert slots.pending[slot] == 0
    slots.take(0, 16)
    for column in (slots.first_sent_ns, slots.last_sent_ns, slots.answered_ns, slots.reasons):
        assert not column[:16].any()
    assert slots.pending[slot] == 16


@pytest.mark.parametrize(("count", "largest"), [(1, 1), (64, 500), (4096, 4096), (65_536, 64)])
def test_tickets_leave_the_upper_bits_to_the_sink(count, largest):
    slots = Slots(count, largest)
    slots.generation[:] = 2**24 - 1
    for _ in range(min(count, 100)):
        slot, tickets = slots.take(0, largest)
        assert 0 <= int(tickets.min()) <= int(tickets.max()) < 2**60
        assert slots.locate(tickets)[2] is None
    slots.release(slot)
    assert slots.generation[slot] == 0


def test_more_batches_than_slots_cannot_be_held():
    slots = Slots(2, 16)
    slots.take(0, 1)
    slots.take(1, 1)
    assert slots.free == 0
    with pytest.raises(IndexError):
        slots.take(2, 1)
