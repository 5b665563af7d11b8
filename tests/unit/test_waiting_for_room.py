"""What a worker that only waits for streams says of it: measured in the pump, told first, and nobody's verdict."""

import io

import numpy as np
import pytest
from rich.console import Console

from burst.engine.closing import _starved_share
from burst.engine.pump import Pump, PumpSettings
from burst.engine.slots import Slots
from burst.fleet.control import Report
from burst.model.outcome import Answer
from burst.model.ports import NEVER_NS, Answers, Prepared
from burst.model.scenario import RetrySettings, Route, SinkChoice
from burst.model.units import NS_PER_MS, NS_PER_S
from burst.policy.pacing import Pace
from burst.policy.routing import Router
from burst.queues.shard import Held
from burst.report.folder import read_run
from burst.report.html import render
from burst.report.terminal import print_summary
from burst.report.words import generator_line
from burst.runs.ledger import Ledger
from burst.runs.result import Generator, Outcomes, Result, WitnessResult
from tests.conftest import FakeClock, make_batch


class Narrow:
    """A sink with room for a few at once, and perhaps a rate of its own."""

    reasons = ("",)
    judge = "sender"

    def __init__(self, room: int, rate: str | None = None) -> None:
        self.room = room
        self.rate = rate
        self.sent: list[np.ndarray] = []
        self.waiting: list[Answers] = []

    def division(self, workers: int) -> str | None:
        return self.rate

    def prepare(self, batch, tickets, indexes):
        return Prepared(batch, tickets, indexes)

    def credit(self) -> int:
        return self.room

    def send(self, prepared, lo: int, hi: int) -> int:
        self.room -= hi - lo
        self.sent.append(prepared.tickets[lo:hi])
        return hi - lo

    def answer(self, now_ns: int) -> None:
        for tickets in self.sent:
            self.room += tickets.size
            self.waiting.append(Answers(tickets, np.full(tickets.size, Answer.ACCEPTED, np.uint8), now_ns))
        self.sent = []

    def answers(self) -> list[Answers]:
        found, self.waiting = self.waiting, []
        return found

    def next_answer_ns(self) -> int:
        return NEVER_NS


@pytest.fixture
def pump_of(tmp_path):
    ledgers = []

    def make(sink: Narrow, *, rate_per_s: float | None = None) -> tuple[Pump, FakeClock]:
        clock = FakeClock(10**12)
        ledgers.append(Ledger(tmp_path / f"ledger-{len(ledgers)}.bin", 4, create=True))
        retry = RetrySettings.model_validate({})
        settings = PumpSettings(0, (0,), retry, None, Pace(rate_per_s), (NS_PER_S,), True, 7)
        router = Router((Route(sink=SinkChoice(name="narrow")),), 1)
        pump = Pump(
            settings, Slots(4, 4), [sink], router, ledgers[-1], clock, lambda: NEVER_NS, lambda shard, settlement: None
        )
        pump.join("me-here")
        pump.go_ns = clock.now_ns()
        pump.accept(0, [Held(b"1-0", "main", make_batch(0, 0, 4), False, "")])
        return pump, clock

    yield make
    for ledger in ledgers:
        ledger.close()


def steps(pump: Pump, clock: FakeClock, count: int) -> None:
    for _ in range(count):
        clock.advance(NS_PER_MS)
        pump.step()


def test_idle_time_with_people_due_and_no_room_is_counted_and_nothing_else(pump_of):
    sink = Narrow(2)
    pump, clock = pump_of(sink)
    steps(pump, clock, 10)  # the first sends two; from the second on it can only wait
    assert pump.starved_ns == 8 * NS_PER_MS
    sink.answer(clock.now_ns())
    steps(pump, clock, 5)  # the other two leave at once: what follows is waiting for their answers, not for room
    assert pump.starved_ns == 9 * NS_PER_MS


def test_a_pause_and_a_rate_that_was_asked_for_are_no_shortage(pump_of):
    pump, clock = pump_of(Narrow(0, rate="scripted: at most 10/s"))
    steps(pump, clock, 10)
    assert pump.starved_ns == 0
    pump, clock = pump_of(Narrow(0))
    pump.paused = True
    steps(pump, clock, 10)
    assert pump.starved_ns == 0


def test_whoever_is_not_due_yet_waits_for_no_room(pump_of):
    pump, clock = pump_of(Narrow(0), rate_per_s=1)
    pump.go_ns += NS_PER_S
    steps(pump, clock, 10)
    assert pump.starved_ns == 0


def test_a_worker_that_computes_does_not_wait_and_the_share_is_the_fleets():
    busy = Report(worker=0, state="left", wall_s=2.0, cpu_s=1.9, starved_s=2.0)
    waiting = Report(worker=1, state="left", wall_s=2.0, cpu_s=0.1, starved_s=1.5)
    assert _starved_share([busy, waiting]) == pytest.approx((0.1 + 1.5) / 4)
    assert _starved_share([]) == 0.0


def result(more=None, **generator) -> Result:
    counted = {"audience": 10, "outcomes": Outcomes(accepted=10)} | (more or {})
    return Result(
        event="e", run="r", scenario="s", verdict="fail", headline="NO-GO: late", judge="witness",
        generator=Generator(**generator), **counted,
    )  # fmt: skip


def test_a_shortage_of_streams_is_told_before_the_numbers_and_instead_of_an_all_clear(tmp_path):
    out = io.StringIO()
    print_summary(result(credit_starved_share=0.63), tmp_path, Console(file=out, width=200))
    first = out.getvalue().splitlines()[2]
    assert "every connection and stream was in use 63 % of the time: more `connections` would go faster" in first
    assert "unless the provider is what is slow" in first
    assert "was not the limit" not in out.getvalue()


def test_a_shortage_is_told_beside_a_limit_and_a_short_one_not_at_all():
    both = generator_line(result(limited=True, reason="busy", credit_starved_share=0.5))
    assert both.startswith("was the limit: busy; every connection and stream was in use 50 %")
    assert generator_line(result(credit_starved_share=0.2)) == "was not the limit"


def test_more_connections_are_no_advice_where_the_stand_in_had_no_time_to_spare():
    line = generator_line(result({"witness": WitnessResult(busy_share=0.95)}, credit_starved_share=0.63))
    assert "in use 63 % of the time, and more `connections` would not help" in line
    assert "the stand-in is what was slow, its busiest process used 95 % of a core" in line
    assert "go faster" not in line
    spared = generator_line(result({"witness": WitnessResult(busy_share=0.7)}, credit_starved_share=0.63))
    assert "more `connections` would go faster" in spared


@pytest.mark.parametrize(
    ("more", "told"),
    [
        ({"retries": 45_000}, "45,000 of 145,000 attempts (31 %)"),
        ({"retries": 3000, "outcomes": Outcomes(accepted=90_000, failed=10_000)}, "13,000 of 103,000 attempts (13 %)"),
    ],
    ids=["made again", "and given up"],
)
def test_where_the_provider_refuses_much_a_rate_is_the_advice(more, told):
    crowd = {"audience": 100_000, "outcomes": Outcomes(accepted=100_000)} | more
    line = generator_line(result(crowd, credit_starved_share=0.5))
    assert f"the provider throttled or refused {told}" in line
    assert "`rate` (of the sink or the scenario)" in line
    assert "more `connections` would not help" in line
    assert "go faster" not in line


@pytest.mark.parametrize(
    "more",
    [{"retries": 5000}, {"retries": 45_000, "possible_duplicates": 45_000}],
    ids=["few", "sent again for want of an answer"],
)
def test_what_the_provider_did_not_refuse_is_not_laid_at_its_door(more):
    crowd = {"audience": 100_000, "outcomes": Outcomes(accepted=100_000)} | more
    assert "more `connections` would go faster" in generator_line(result(crowd, credit_starved_share=0.5))


def test_a_provider_that_refuses_and_a_busy_stand_in_are_both_told_on_terminal_and_page(tmp_path):
    both = result({"retries": 5, "witness": WitnessResult(busy_share=0.9)}, credit_starved_share=0.5)
    out = io.StringIO()
    print_summary(both, tmp_path, Console(file=out, width=400))
    (tmp_path / "result.json").write_bytes(both.to_json())
    page = render(read_run(tmp_path))
    line = generator_line(both)
    assert "throttled or refused 5 of 15 attempts (33 %)" in line
    assert "the stand-in is what was slow" in line
    assert line in out.getvalue()
    assert page.count(line) == 2  # the notice above the fold, and the table that it is about
    assert "would go faster" not in out.getvalue() + page
