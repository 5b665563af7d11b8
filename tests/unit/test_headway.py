"""How far a burst is, person by person, and what it waits for."""

import numpy as np

from burst.measure.headway import STILL_NS, Headway
from burst.model.outcome import State
from burst.model.units import NS_PER_S
from tests.conftest import FakeClock

GO_NS = 10**15
PEOPLE = 150_000  # more than one chunk


def under_way(clock: FakeClock, *, by_batch: bool = False) -> tuple[np.ndarray, Headway]:
    states = np.zeros(PEOPLE, dtype=np.uint8)
    return states, Headway(states, clock, GO_NS, 30 * NS_PER_S, by_batch=by_batch)


def test_one_slow_answer_hides_nobody_else_of_its_batch():
    clock = FakeClock(GO_NS)
    states, headway = under_way(clock)
    states[:] = State.ACCEPTED
    states[:100] = State.REJECTED
    states[-1] = State.SENT
    clock.advance(NS_PER_S)
    seen = headway.look(0, 0)  # no batch is finished yet
    assert (seen.settled, seen.accepted, seen.waiting) == (PEOPLE - 1, PEOPLE - 101, "")


def test_when_nothing_moves_it_says_since_when_and_for_what():
    clock = FakeClock(GO_NS)
    states, headway = under_way(clock)
    states[:] = State.ACCEPTED
    states[:3], states[3:5], states[5] = State.SENT, State.REFUSED, State.UNSENT
    clock.advance(NS_PER_S)
    assert headway.look(0, 0).waiting == ""
    clock.advance(STILL_NS)
    assert headway.look(0, 0).waiting == (
        "no outcome since T+1.0 s: 3 under way (an answer has 30.0 s), 2 waiting for another attempt, 1 not sent yet"
    )
    states[0] = State.ACCEPTED
    clock.advance(NS_PER_S)
    assert headway.look(0, 0).waiting == ""


def test_who_has_everybody_waits_for_nobody():
    clock = FakeClock(GO_NS)
    states, headway = under_way(clock)
    states[:] = State.UNKNOWN
    headway.look(0, 0)
    clock.advance(10 * STILL_NS)
    assert headway.look(0, 0).waiting == ""


def test_workers_elsewhere_are_counted_by_their_finished_batches():
    clock = FakeClock(GO_NS)
    _, headway = under_way(clock, by_batch=True)
    assert headway.look(1000, 900).settled == 1000
    clock.advance(STILL_NS)
    seen = headway.look(1000, 900)
    assert (seen.settled, seen.accepted, seen.by_batch) == (1000, 900, True)
    assert seen.waiting == "no outcome since T+0.0 s: 149,000 in batches that are not finished"


def test_before_go_nothing_stands_still():
    clock = FakeClock(GO_NS - 30_000_000)
    _, headway = under_way(clock)
    headway.look(0, 0)
    clock.advance(30_000_000 + STILL_NS - 1)
    assert headway.look(0, 0).waiting == ""
