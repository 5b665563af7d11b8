"""Routes through one pump: whoever waits for room in one sink holds up nobody who goes to another."""

import pytest

from burst.engine.pump import Pump, PumpSettings
from burst.engine.slots import Slots
from burst.model.batch import Platform
from burst.model.outcome import Answer, State
from burst.model.ports import NEVER_NS
from burst.model.scenario import RetrySettings, Route, RouteMatch, SinkChoice
from burst.model.units import NS_PER_MS, NS_PER_S
from burst.policy.pacing import Pace
from burst.policy.routing import Router
from burst.queues.shard import Held
from burst.runs.ledger import Ledger
from tests.conftest import FakeClock, make_batch
from tests.unit.test_pump import Scripted


class Fork:
    """A pump with a sink for iOS and one for Android; batches of four, in turn of each."""

    def __init__(self, path, people=24, **options) -> None:
        self.clock = FakeClock(10**12)
        self.ios, self.android = Scripted(), Scripted()
        self.ledger = Ledger(path / "ledger.bin", people, create=True)
        retry = RetrySettings.model_validate({"base": "1ms", "attempts": 3})
        pace, expire_ns = Pace(options.get("rate_per_s")), options.get("expire_ns")
        settings = PumpSettings(0, (0,), retry, expire_ns, pace, (NS_PER_S,), shared_ledger=True, seed=7)
        routes = tuple(
            Route(match=RouteMatch(platform=name), sink=SinkChoice(name=name)) for name in ("ios", "android")
        )
        self.pump = Pump(
            settings,
            Slots(8, 4),
            [self.ios, self.android],
            Router(routes, 1),
            self.ledger,
            self.clock,
            lambda: NEVER_NS,
            lambda *_: None,
        )
        self.pump.join("me-here")
        self.pump.go_ns = self.clock.now_ns()
        for number in range(people // 4):
            platform = Platform.ANDROID if number % 2 == 0 else Platform.IOS
            batch = make_batch(number, number * 4, 4, platform=platform)
            self.pump.accept(0, [Held(b"1-%d" % number, "main", batch, taken_over=False)])

    def run(self, ms: int) -> None:
        for _ in range(ms):
            self.clock.advance(NS_PER_MS)
            self.pump.step()

    def states(self, odd: bool) -> set[State]:
        return {State(state) for at, state in enumerate(self.ledger.states.tolist()) if (at // 4) % 2 == odd}


IOS = [4, 5, 6, 7, 12, 13, 14, 15, 20, 21, 22, 23]
ANDROID = [0, 1, 2, 3, 8, 9, 10, 11, 16, 17, 18, 19]


@pytest.fixture
def fork(tmp_path, request):
    made = Fork(tmp_path, **getattr(request, "param", {}))
    yield made
    made.ledger.close()


def test_a_sink_without_room_holds_up_its_own_route_alone(fork):
    fork.android.room = 2
    fork.pump.step()
    assert fork.ios.indexes() == IOS
    assert fork.android.indexes() == [0, 1]
    fork.android.room = 100
    fork.pump.step()
    assert fork.android.indexes() == ANDROID


@pytest.mark.parametrize("fork", [{"rate_per_s": 1000.0}], indirect=True)
def test_a_paced_load_keeps_its_pace_on_each_route(fork):
    fork.android.room = 0
    fork.run(9)
    assert fork.ios.indexes() == [4, 5, 6, 7]  # those that are due by now
    assert fork.pump.next_ns() <= fork.pump.go_ns + 12 * NS_PER_MS  # when the next of them are
    fork.run(30)
    assert fork.ios.indexes() == IOS


def test_retries_that_wait_for_room_hold_up_no_others(fork):
    fork.pump.step()
    for sink in (fork.android, fork.ios):
        sink.answer(Answer.REFUSED, fork.clock.advance(1))
    fork.android.room = 0
    fork.run(60)
    assert sorted(fork.ios.indexes()) == IOS
    assert fork.android.indexes() == []
    fork.android.room = 100
    fork.run(60)
    assert sorted(fork.android.indexes()) == ANDROID


@pytest.mark.parametrize("fork", [{"expire_ns": 100 * NS_PER_MS}], indirect=True)
def test_what_waits_for_a_full_sink_expires_on_each_route(fork):
    fork.pump.step()
    fork.android.answer(Answer.REFUSED, fork.clock.advance(1))
    fork.ios.answer(Answer.ACCEPTED, fork.clock.advance(1))
    fork.android.room = 0
    fork.run(200)
    assert fork.states(odd=False) == {State.EXPIRED}
    assert fork.states(odd=True) == {State.ACCEPTED}
    assert fork.pump.people == 0


def test_an_abort_forgets_both_routes(fork):
    fork.android.room = fork.ios.room = 1
    fork.pump.step()
    fork.pump.abort()
    assert fork.pump.people == 0
    fork.android.room = fork.ios.room = 100
    fork.run(100)
    assert len(fork.android.indexes()) == len(fork.ios.indexes()) == 1


def test_what_a_sink_has_taken_and_not_written_does_not_leave_after_the_lease(fork):
    class Unwritten(Scripted):
        def revoke(self):
            self.sent.clear()
            return self.unwritten

    fork.ios.__class__ = fork.android.__class__ = Unwritten
    fork.pump.step()
    assert fork.ios.indexes() == IOS
    assert fork.pump.drop() == 24
    assert fork.ios.indexes() == fork.android.indexes() == []
