"""The timer wheel: nothing early, nothing lost, nothing twice."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from burst.model.ports import NEVER_NS
from burst.policy.wheel import Wheel

FINE_NS = 1 << 18
HOUR_NS = 3600 * 10**9
START_NS = 10**15

delays = st.one_of(
    st.integers(-FINE_NS, 10),
    st.integers(0, 10 * FINE_NS),
    st.integers(0, 10**9),
    st.integers(0, 5 * HOUR_NS),
    st.integers(0, 200).map(lambda buckets: buckets * FINE_NS),
)
steps = st.one_of(st.integers(0, 3), st.integers(0, FINE_NS), st.integers(0, 10**9), st.integers(0, 2 * HOUR_NS))
actions = st.lists(
    st.one_of(st.tuples(st.just("push"), st.lists(delays, max_size=30)), st.tuples(st.just("step"), steps))
)


def push(wheel: Wheel, release_ns, tickets) -> None:
    wheel.push(np.array(release_ns, dtype=np.int64), np.array(tickets, dtype=np.int64))


@given(actions)
def test_no_ticket_is_early_lost_or_doubled_whatever_the_delays_and_the_cadence(plan):
    wheel, now = Wheel(), START_NS
    release: list[int] = []
    waiting: set[int] = set()

    def pop() -> None:
        popped = wheel.pop(now).tolist()
        assert len(set(popped)) == len(popped)
        for ticket in popped:
            assert release[ticket] <= now
            waiting.remove(ticket)
        # At most one fine bucket late.
        assert all(release[ticket] > now - FINE_NS for ticket in waiting)
        assert wheel.waiting == len(waiting)
        assert (wheel.next_ns() == NEVER_NS) == (not waiting)

    for kind, what in plan:
        if kind == "push":
            tickets = range(len(release), len(release) + len(what))
            release += [now + delay for delay in what]
            waiting.update(tickets)
            push(wheel, release[tickets.start :], list(tickets))
        else:
            now += what
            pop()
    now = max([now, *release]) + FINE_NS
    pop()
    assert not waiting


@given(st.lists(st.lists(delays, min_size=1, max_size=20), min_size=1, max_size=5))
def test_who_sleeps_until_the_next_release_gets_everything_in_the_order_of_its_time(crowds):
    wheel, now, number = Wheel(), START_NS, 0
    release: list[int] = []
    for crowd in crowds:
        release += [now + delay for delay in crowd]
        push(wheel, release[number:], range(number, len(release)))
        number = len(release)
    popped: list[int] = []
    wakes = 0
    while wheel.waiting:
        assert wheel.next_ns() < NEVER_NS
        now = max(now, wheel.next_ns())
        popped += wheel.pop(now).tolist()
        wakes += 1
        assert wakes <= 4 * len(release) + 4, "next_ns does not lead anywhere"
    assert sorted(popped) == list(range(len(release)))
    buckets = [-(-max(release[ticket], START_NS) // FINE_NS) for ticket in popped]
    assert buckets == sorted(buckets)


@given(st.lists(delays, min_size=1, max_size=30))
def test_the_next_release_is_never_announced_later_than_it_is(crowd):
    wheel = Wheel()
    push(wheel, [START_NS + delay for delay in crowd], range(len(crowd)))
    earliest_bucket = -(-(START_NS + min(crowd)) // FINE_NS) * FINE_NS
    assert wheel.next_ns() <= earliest_bucket


def test_tickets_of_one_time_come_back_in_the_order_they_came():
    wheel = Wheel()
    for start in range(0, 1000, 100):
        push(wheel, [START_NS] * 100, range(start, start + 100))
    assert wheel.pop(START_NS + FINE_NS).tolist() == list(range(1000))


def test_an_empty_wheel_has_nothing_and_waits_for_nothing():
    wheel = Wheel()
    push(wheel, [], [])
    assert wheel.pop(START_NS).size == 0
    assert wheel.next_ns() == NEVER_NS
