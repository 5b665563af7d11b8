"""A ration lets go what a rate allows, and whole calls at that."""

from burst.model.ports import NEVER_NS
from burst.wire.limits import Ration

MS = 1_000_000


def test_a_few_leave_as_they_may():
    ration = Ration(1000.0, 10.0)
    assert ration.grant(8, 0) == 8
    ration.take(8, 0)
    assert ration.grant(8, 0) == 2


def test_calls_wait_until_one_can_be_full():
    ration = Ration(1000.0, 20.0)
    assert ration.grant(100, 0, at_least=10) == 20
    ration.take(15, 0)
    assert ration.grant(100, 0, at_least=10) == 0
    assert ration.next_ns(0) == 5 * MS + 1
    assert ration.grant(100, 5 * MS + 1, at_least=10) == 10


def test_a_call_larger_than_the_burst_is_never_full_and_leaves_all_the_same():
    ration = Ration(1000.0, 4.0)
    assert ration.grant(100, 0, at_least=10) == 4


def test_the_last_few_need_not_wait_for_others():
    ration = Ration(1000.0, 20.0)
    ration.take(17, 0)
    assert ration.grant(3, 0, at_least=10) == 3
    assert ration.next_ns(0) == NEVER_NS
