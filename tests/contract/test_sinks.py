"""What every sink promises, asked of every row of the table; then what the modelled provider promises beyond it.

A new sink needs a case below. For sinks within the process time stands still but for the tests' own steps, so nothing
waits; a sink of the network gets the machine's clock, a loop of its own to be woken on, and a real provider.
"""

import asyncio
import shutil
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import uvloop

from burst.model.batch import Batch, Platform, TokenEncoding
from burst.model.outcome import Answer, State
from burst.model.ports import NEVER_NS, Prepared, Sink, SinkContext, StandIn, Tracing
from burst.model.scenario import SinkChoice
from burst.model.units import NS_PER_MS, NS_PER_S
from burst.provider.supervisor import House, Supervisor
from burst.runs.witness import Reconciled, WitnessPart, reconcile
from burst.wiring.sinks import SINKS, build_sink

SEED = 2024
CASES: list[tuple[str, dict[str, Any]]] = [
    ("blackhole", {}),
    ("modelled", {}),
    ("modelled", {"latency": {"percentiles": {50: "1ms", 99: "50ms"}}}),
    (
        "modelled",
        {
            "quota": {"rate": 5000, "burst": 100, "retry_after": "20ms"},
            "rejected": 0.1,
            "transient": 0.1,
            "silent": 0.1,
            "outage": {"at": "10ms", "lasts": "30ms"},
        },
    ),
    ("modelled", {"silent": 0.5, "outage": {"at": "10ms", "lasts": "30ms", "how": "hang"}}),
    ("apns", {"provider": {"tls": True}}),
    (
        "apns",
        {
            "connections": 2,
            "streams": 300,
            "rate": "100k/s",
            "provider": {
                "dead": 0.05,
                "latency": {"p50": "1ms", "p99": "5ms"},
                "answers": [{"share": 0.05, "reason": "ServiceUnavailable"}],
                "reset_streams": 0.05,
                "goaway": {"after_requests": 3000},
            },
        },
    ),
    ("apns", {"silent": 0.02, "provider": {"silent": 0.02}}),
    ("fcm", {"provider": {"tls": True}}),
    (
        "fcm",
        {
            "connections": 2,
            "streams": 300,
            "rate": "100k/s",
            "provider": {
                "dead": 0.05,
                "latency": {"p50": "1ms", "p99": "5ms"},
                "answers": [{"share": 0.05, "reason": "UNAVAILABLE"}],
                "reset_streams": 0.05,
                "goaway": {"after_requests": 3000},
            },
        },
    ),
    ("fcm", {"silent": 0.02, "provider": {"silent": 0.02}}),
    ("http", {"provider": {"tls": True}}),
    (
        "http",
        {
            "connections": 16,
            "rate": "100k/s",
            "provider": {
                "dead": 0.05,
                "latency": {"p50": "1ms", "p99": "5ms"},
                "answers": [{"share": 0.05, "reason": "ServiceUnavailable"}],
            },
        },
    ),
    ("http", {"http_version": 2, "connections": 4, "provider": {"dead": 0.05}}),
    ("http", {"people_per_request": 100, "connections": 4, "provider": {"dead": 0.05}}),
    ("http", {"connections": 64, "silent": 0.002, "provider": {"silent": 0.002}}),
    ("sns", {"provider": {"tls": True}}),
    (
        "sns",
        {
            "connections": 8,
            "rate": "100k/s",
            "provider": {
                "latency": {"p50": "1ms", "p99": "5ms"},
                "answers": [{"share": 0.05, "reason": "InternalError"}],
                "sns": {"throttles": "entries", "quota": {"rate": "50k/s", "burst": 1000}},
            },
        },
    ),
    (
        "sns",
        {
            "target_arn": "arn:aws:sns:us-east-1:123456789012:endpoint/APNS/app/${token}",
            "connections": 16,
            "provider": {"dead": 0.05, "answers": [{"share": 0.05, "reason": "ServiceUnavailable"}]},
        },
    ),
    ("sns", {"connections": 64, "silent": 0.002, "provider": {"silent": 0.002}}),
    ("sqs", {"provider": {"tls": True}}),
    (
        "sqs",
        {
            "connections": 4,
            "tokens_per_message": 7,
            "rate": "20k/s",
            "provider": {
                "dead": 0.05,
                "latency": {"p50": "1ms", "p99": "5ms"},
                "answers": [{"share": 0.05, "reason": "InternalError"}],
            },
        },
    ),
    ("sqs", {"connections": 64, "silent": 0.002, "provider": {"silent": 0.002}}),
]
NETWORK = {"apns", "fcm", "http", "sns", "sqs"}
ASKED_AT_OPENING = {"fcm": 1}
"""Requests that carry nobody: the access token of FCM."""
EVERYDAY = 1
"""So many cases of each sink of the network run every day; the others, which take seconds each, are proofs."""


def _cases(*, network_alone: bool = False) -> list[Any]:
    seen: Counter[str] = Counter()
    params = []
    for name, settings in CASES:
        if network_alone and name not in NETWORK:
            continue
        seen[name] += 1
        marks = [pytest.mark.slow] if name in NETWORK and seen[name] > EVERYDAY else []
        ident = "-".join([name, *settings, *settings.get("provider", ())])
        params.append(pytest.param(name, settings, marks=marks, id=ident))
    return params


every_sink = pytest.mark.parametrize(("name", "settings"), _cases())
ANSWER_WITHIN_NS = 10 * NS_PER_S  # nobody who answers is taken for silent on a busy machine
SILENT_WITHIN_NS = 400 * NS_PER_MS
HANG_S = 60.0


def test_every_sink_in_the_table_has_a_case():
    assert {name for name, _ in CASES} == set(SINKS)


def built(name: str, settings: dict[str, Any]) -> Sink:
    """Build a case's sink, without what is said of its provider."""
    network = {"provider", "silent"} if name in NETWORK else set()
    own = {key: value for key, value in settings.items() if key not in network}
    return build_sink(SinkChoice(name=name, settings=own))


class RealClock:
    """The machine's."""

    now_ns = staticmethod(time.monotonic_ns)


class Provider:
    """The stand-in that a network sink of the suite sends to. ``provider`` in a case's settings is what it does."""

    def __init__(self, wanted: dict[str, Any], people: int, dialect: str) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="burst-contract-"))
        behaviour = {key: value for key, value in wanted.items() if key != "tls"}
        house = House(
            self.folder / "keys",
            behaviour,
            listen=(f"{dialect}=127.0.0.1:0",),
            tls=wanted.get("tls", False),
            run="run",
            audience=people,
            witness=self.folder,
        )
        self._supervisor = Supervisor(house)

    async def start(self) -> StandIn:
        await self._supervisor.start()
        return self._supervisor.stand_in()

    async def requests(self) -> int:
        return sum(state["requests"] for state in await self._supervisor.order("state"))

    async def hold_against(self, states: np.ndarray) -> Reconciled:
        """End it; hold what its witness saw against a ledger of these states."""
        await self._supervisor.stop()
        parts = [WitnessPart.open(path) for path in self._supervisor.parts()]
        seen = reconcile(parts, states, np.full(states.size, 255, dtype=np.uint8), 0)
        for part in parts:
            part.close()
        return seen

    async def stop(self) -> None:
        await self._supervisor.stop()
        shutil.rmtree(self.folder, ignore_errors=True)


@dataclass
class Rig:
    """A sink with everything around it: tickets, answers, the provider's count, and time.

    ``woken`` is set by a sink of the network; it is None where time stands still.
    """

    sink: Sink
    clock: Any
    make: Any
    people: int
    received: np.ndarray
    go_ns: int = 0
    sent: dict[int, int] = field(default_factory=dict)  # ticket -> when
    answered: dict[int, tuple[int, int, int, int]] = field(default_factory=dict)  # -> when, code, after, reason
    number: int = 0
    woken: asyncio.Event | None = None
    provider: Provider | None = None

    async def pass_time(self, ns: int) -> None:
        """Let time go by; what a network sink would do meanwhile, it does."""
        if self.woken is None:
            self.clock.advance(ns)
        else:
            await asyncio.sleep(min(ns, 500 * NS_PER_MS) / NS_PER_S)

    async def send_all(self, prepared: Prepared, lo: int = 0, hi: int | None = None) -> None:
        """Send as credit comes, taking answers in between."""
        hi = prepared.tickets.size if hi is None else hi
        give_up_s = time.monotonic() + HANG_S
        while lo < hi:
            lo += self.send(prepared, lo, hi)
            if lo < hi:
                self.read()
                if self.woken is not None:
                    await self._until_woken()
                assert time.monotonic() < give_up_s, "credit never comes"

    async def _until_woken(self) -> None:
        """Wait as the engine does: to be woken, or until the sink says that it is worth asking."""
        soonest = self.sink.next_answer_ns()
        wait_s = 0.25 if soonest == NEVER_NS else max(0.0, (soonest - self.clock.now_ns()) / NS_PER_S)
        try:
            async with asyncio.timeout(min(wait_s, 0.25)):
                await self.woken.wait()
        except TimeoutError:
            pass
        self.woken.clear()

    def batch(self, first: int, count: int) -> Prepared:
        batch: Batch = self.make(self.number, first, count)
        self.number += 1
        tickets = np.arange(count, dtype=np.int64) + (self.number << 32)
        return self.sink.prepare(batch, tickets, np.arange(first, first + count, dtype=np.int64))

    def send(self, prepared: Prepared, lo: int = 0, hi: int | None = None) -> int:
        hi = prepared.tickets.size if hi is None else hi
        taken = self.sink.send(prepared, lo, min(hi, lo + self.sink.credit()))
        for ticket in prepared.tickets[lo : lo + taken].tolist():
            assert ticket not in self.sent
            self.sent[ticket] = self.clock.now_ns()
        return taken

    def read(self) -> int:
        """Take answers in, with every promise about their form; return how many there were."""
        found = 0
        for answers in self.sink.answers():
            size = answers.tickets.size
            assert answers.tickets.dtype == np.int64
            assert answers.codes.dtype == np.uint8
            assert answers.codes.shape == (size,)
            assert size > 0
            if answers.retry_after_ns is not None:
                assert answers.retry_after_ns.dtype == np.int64
                assert answers.retry_after_ns.shape == (size,)
                assert (answers.retry_after_ns >= 0).all()
            if answers.reasons is not None:
                assert answers.reasons.dtype == np.uint8
                assert answers.reasons.shape == (size,)
                assert int(answers.reasons.max()) < len(self.sink.reasons)
            assert set(answers.codes.tolist()) <= {int(code) for code in Answer}
            zeros = np.zeros(size, dtype=np.int64)
            columns = (
                answers.tickets,
                answers.codes,
                zeros if answers.retry_after_ns is None else answers.retry_after_ns,
                zeros if answers.reasons is None else answers.reasons,
            )
            for ticket, code, after, reason in zip(*(column.tolist() for column in columns), strict=True):
                assert ticket in self.sent, "an answer for what was never sent"
                assert ticket not in self.answered, "a second answer"
                assert self.sent[ticket] <= answers.answered_ns <= self.clock.now_ns()
                self.answered[ticket] = (answers.answered_ns, code, after, reason)
            found += size
        return found

    async def drain(self) -> None:
        """Read until the sink expects nothing more, going from answer to answer."""
        if self.woken is not None:
            give_up_s = time.monotonic() + HANG_S
            while len(self.answered) < len(self.sent) and time.monotonic() < give_up_s:
                self.read()
                await self._until_woken()
            assert len(self.answered) == len(self.sent), "the sink knows deadlines: every ticket has an answer"
            return
        for _ in range(1_000_000):
            self.read()
            soonest = self.sink.next_answer_ns()
            if soonest == NEVER_NS:
                return
            self.clock.at_ns = max(self.clock.at_ns, soonest)
        raise AssertionError("the sink promises answers that never come")

    def codes(self) -> list[int]:
        return [code for _, code, *_ in self.answered.values()]

    def count(self, code: Answer) -> int:
        return self.codes().count(int(code))


@pytest.fixture
async def rig(clock, batch_of):
    """Build and open a sink: ``await rig(name, settings, people=...)``; every one of them is closed in the end."""
    made: list[Rig] = []

    async def build(name: str, settings: dict[str, Any], people: int = 10_000, worker: int = 0, workers: int = 1):
        received = np.zeros(people, dtype=np.uint8)
        if name not in NETWORK:
            sink = built(name, settings)
            await sink.open(SinkContext("run", "event", people, SEED, worker, workers, clock, received))
            made.append(Rig(sink, clock, batch_of, people, received, clock.now_ns()))
        else:
            made.append(await _over_the_network(name, settings, people, worker, workers))
        made[-1].sink.released(made[-1].clock.now_ns())
        return made[-1]

    yield build
    for one in made:
        await one.sink.close()
        if one.provider is not None:
            await one.provider.stop()


async def _over_the_network(name: str, settings: dict[str, Any], people: int, worker: int, workers: int) -> Rig:
    dialect = SINKS[name].settings_class().dialect
    provider, woken, clock = Provider(settings.get("provider", {}), people, dialect), asyncio.Event(), RealClock()
    stand_in = await provider.start()
    sink = built(name, settings)
    context = SinkContext(
        "run",
        "event",
        people,
        SEED,
        worker,
        workers,
        clock,
        wake=woken.set,
        answer_within_ns=SILENT_WITHIN_NS if "silent" in settings else ANSWER_WITHIN_NS,
        stand_in=stand_in,
    )
    await sink.open(context)
    return Rig(
        sink,
        clock,
        _apple_batch,
        people,
        np.zeros(people, dtype=np.uint8),
        clock.now_ns(),
        woken=woken,
        provider=provider,
    )


def _apple_batch(number: int, first: int, count: int) -> Batch:
    """A batch of device tokens as Apple's are: 32 bytes, the person's index at their end."""
    tokens = np.zeros((count, 32), dtype=np.uint8)
    tokens[:, 28:] = np.arange(first, first + count, dtype=">u4").view(np.uint8).reshape(count, 4)
    return Batch(number, first, count, Platform.IOS, TokenEncoding.RAW, tokens.tobytes(), 32)


# -- every sink ----------------------------------------------------------------------------------------------------


@every_sink
def test_it_is_what_the_port_asks_for(name, settings):
    sink = built(name, settings)
    assert isinstance(sink, Sink)
    assert sink.reasons[0] == ""
    assert len(set(sink.reasons)) == len(sink.reasons) <= 256
    assert sink.judge in {"witness", "provider", "sender", "entrance"}


@every_sink
async def test_opening_and_preparing_send_nothing(rig, name, settings):
    made = await rig(name, settings)
    for start in range(0, 1000, 100):
        made.batch(start, 100)
    await made.pass_time(3600 * NS_PER_S)
    assert made.read() == 0
    assert not made.received.any()
    if made.provider is not None:
        assert await made.provider.requests() == ASKED_AT_OPENING.get(name, 0)
    assert made.sink.next_answer_ns() == NEVER_NS


@every_sink
async def test_preparing_keeps_batch_tickets_and_indexes_as_they_are(rig, name, settings):
    made = await rig(name, settings)
    prepared = made.batch(500, 100)
    assert prepared.batch.first_index == 500
    assert prepared.tickets.size == prepared.indexes.size == 100
    assert prepared.indexes.tolist() == list(range(500, 600))
    assert prepared.valid_until_ns > made.clock.now_ns()


@every_sink
async def test_every_ticket_taken_is_answered_at_most_once_and_no_other(rig, name, settings):
    made = await rig(name, settings)
    for start in range(0, 10_000, 500):
        prepared = made.batch(start, 500)
        # In parts, as credit and pacing cut batches.
        for lo, hi in ((0, 1), (1, 333), (333, 500)):
            await made.send_all(prepared, lo, hi)
            await made.pass_time(NS_PER_MS)
            made.read()
    await made.drain()
    assert len(made.sent) == 10_000
    if "silent" not in settings:
        assert len(made.answered) == 10_000
    await made.pass_time(3600 * NS_PER_S)
    assert made.read() == 0


@every_sink
async def test_what_was_accepted_is_what_the_provider_counted(rig, name, settings):
    made = await rig(name, settings)
    people: dict[int, int] = {}
    for _ in range(3):  # the same people again, as retries would
        prepared = made.batch(100, 2000)
        people |= dict(zip(prepared.tickets.tolist(), prepared.indexes.tolist(), strict=True))
        await made.send_all(prepared)
        await made.pass_time(15 * NS_PER_MS)
    await made.drain()
    if made.sink.judge == "witness":
        seen = await made.provider.hold_against(np.full(made.people, State.UNKNOWN, dtype=np.uint8))
        silent = made.count(Answer.DOUBTFUL)
        assert seen.accepted == made.count(Answer.ACCEPTED) + silent
        assert seen.lost == 0
        assert (silent > 0) == ("silent" in settings)
        return
    if made.sink.judge != "provider":
        assert not made.received.any()
        return
    accepted = np.zeros(made.people, dtype=int)
    for ticket, (_, code, *_) in made.answered.items():
        accepted[people[ticket]] += code == Answer.ACCEPTED
    if "silent" in settings:
        assert (made.received >= accepted).all()
    else:
        assert made.received.tolist() == accepted.tolist()


@every_sink
async def test_it_takes_no_more_than_its_credit_and_all_of_that(rig, name, settings):
    made = await rig(name, settings)
    prepared = made.batch(0, 4096)
    credit = made.sink.credit()
    assert credit > 0
    assert made.send(prepared) == min(credit, 4096)
    assert made.sink.credit() >= 0


@every_sink
async def test_revoking_returns_nothing_that_was_written_or_answered(rig, name, settings):
    made = await rig(name, settings)
    await made.send_all(made.batch(0, 100))
    made.read()
    back = made.sink.revoke()
    assert back.dtype == np.int64
    await made.drain()
    assert set(back.tolist()) <= set(made.sent) - set(made.answered)
    assert not made.received[back & 0xFFFFFFFF].any()
    assert made.sink.revoke().size == 0


@every_sink
async def test_closing_is_safe_at_any_time_and_twice(rig, name, settings):
    await built(name, settings).close()
    made = await rig(name, settings)
    made.send(made.batch(0, 100))
    await made.sink.close()
    await made.sink.close()
    tasks = asyncio.all_tasks() - {asyncio.current_task()}
    assert not [task for task in tasks if "burst/" in str(task.get_coro())]


@every_sink
async def test_refusals_say_certainly_not_processed(rig, name, settings):
    made = await rig(name, settings)
    indexes = {}
    for start in range(0, 10_000, 1000):
        prepared = made.batch(start, 1000)
        indexes |= dict(zip(prepared.tickets.tolist(), prepared.indexes.tolist(), strict=True))
        await made.send_all(prepared)
        await made.pass_time(5 * NS_PER_MS)
    await made.drain()
    if made.provider is not None:
        outcomes = {Answer.ACCEPTED: State.ACCEPTED, Answer.REJECTED: State.REJECTED, Answer.DOUBTFUL: State.UNKNOWN}
        states = np.zeros(made.people, dtype=np.uint8)
        for ticket, (_, code, *_) in made.answered.items():
            states[indexes[ticket]] = outcomes.get(Answer(code), State.FAILED)
        seen = await made.provider.hold_against(states)
        assert seen.contradictions == {}
        assert seen.lost == 0
        assert seen.accepted == made.count(Answer.ACCEPTED) + seen.unknown_arrived
    for ticket, (_, code, *_) in made.answered.items():
        if code in {Answer.THROTTLED, Answer.REFUSED}:
            assert made.received[indexes[ticket]] == 0


def within_the_process(cases):
    return [case for case in cases if case[0] not in NETWORK]


@pytest.mark.parametrize(("name", "settings"), within_the_process(CASES))
def test_it_keeps_its_promises_on_the_real_loop_and_clock(name, settings, batch_of):
    async def main() -> None:
        sink, clock = built(name, settings), RealClock()
        received = np.zeros(500, dtype=np.uint8)
        await sink.open(SinkContext("run", "event", 500, SEED, 0, 1, clock, received))
        sink.released(clock.now_ns() + 3600 * NS_PER_S)
        made = Rig(sink, clock, batch_of, 500, received)
        assert made.send(made.batch(0, 500)) == 500
        deadline = time.monotonic() + 60
        while sink.next_answer_ns() != NEVER_NS:
            assert time.monotonic() < deadline
            made.read()
            await asyncio.sleep(0.001)
        made.read()
        assert len(made.answered) == 500 or "silent" in settings
        await sink.close()

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main())


# -- sinks of the network --------------------------------------------------------------------------------------------

over_the_network = pytest.mark.parametrize(("name", "settings"), _cases(network_alone=True))


@over_the_network
async def test_a_tracer_comes_back_before_anybody_gets_anything(rig, name, settings):
    made = await rig(name, {key: value for key, value in settings.items() if key != "silent"} | {"provider": {}})
    assert isinstance(made.sink, Tracing)
    assert "accepted" in await made.sink.trace()
    assert await made.provider.requests() > 0
    assert made.read() == 0


@over_the_network
async def test_the_engine_is_woken_for_every_answer(rig, name, settings):
    made = await rig(name, settings)
    await made.send_all(made.batch(0, 300))
    made.read()  # whoever was woken while sending has to ask, or nobody wakes it again
    while len(made.answered) < 300:
        async with asyncio.timeout(HANG_S):
            await made.woken.wait()
        made.woken.clear()
        made.read()


@over_the_network
async def test_what_is_sent_again_may_be_answered_again(rig, name, settings):
    made = await rig(name, settings)
    for _ in range(3):  # under new tickets, as the engine's retries have their own
        await made.send_all(made.batch(0, 500))
    await made.drain()
    assert len(made.answered) == 1500


# -- the modelled provider -----------------------------------------------------------------------------------------


DRAWS = 200_000
LATENCIES = [
    ({"p50": "100ms", "p99": "300ms"}, [(50, 100), (99, 300)]),
    ({"p50": "80ms"}, [(50, 80), (99, 240)]),
    ({"percentiles": {10: "20ms", 50: "100ms", 90: "200ms", 99: "500ms"}}, [(10, 20), (50, 100), (90, 200), (99, 500)]),
    ({"empirical": [["100ms", 500], ["200ms", 300], ["1s", 200]]}, [(25, 50), (50, 100), (80, 200), (90, 600)]),
]


@pytest.mark.parametrize(("latency", "quantiles"), LATENCIES, ids=["lognormal", "median", "percentiles", "empirical"])
async def test_latencies_have_the_quantiles_that_were_asked_for(clock, batch_of, latency, quantiles):
    sink = build_sink(SinkChoice(name="modelled", settings={"latency": latency}))
    await sink.open(SinkContext("run", "event", DRAWS, SEED, 0, 1, clock))
    batch, begun = batch_of(0, 0, DRAWS), clock.now_ns()
    column = np.arange(DRAWS, dtype=np.int64)
    sink.send(sink.prepare(batch, column, column), 0, DRAWS)
    latencies = []
    while (soonest := sink.next_answer_ns()) != NEVER_NS:
        clock.at_ns = max(clock.at_ns, soonest)
        latencies += [np.full(answers.tickets.size, answers.answered_ns - begun) for answers in sink.answers()]
    drawn = np.concatenate(latencies)
    assert drawn.size == DRAWS
    for percent, expected_ms in quantiles:
        # A bucket of the wheel is 0.26 ms; four standard errors of these quantiles are below 2 %.
        assert np.percentile(drawn, percent) / NS_PER_MS == pytest.approx(expected_ms, rel=0.02, abs=0.3), percent


async def test_an_answer_is_never_released_before_its_latency_has_passed(rig):
    made = await rig("modelled", {"latency": {"percentiles": {0: "40ms", 100: "60ms"}}})
    for start in range(0, 10_000, 100):
        made.send(made.batch(start, 100))
        made.clock.advance(1_234_567)
        made.read()
    await made.drain()
    waits = [when - made.sent[ticket] for ticket, (when, *_) in made.answered.items()]
    assert len(waits) == 10_000
    assert min(waits) >= 40 * NS_PER_MS
    assert max(waits) <= 60 * NS_PER_MS + 1_234_567 + (1 << 18)


@pytest.mark.parametrize("workers", [1, 3, 4])
async def test_a_fleet_is_granted_no_more_than_burst_and_rate(rig, clock, workers):
    rate, burst = 30_000, 1000
    quota = {"quota": {"rate": rate, "burst": burst, "retry_after": "25ms"}}
    fleet = [await rig("modelled", quota, people=400_000, worker=worker, workers=workers) for worker in range(workers)]
    rng = np.random.default_rng(2)
    begun, granted, first = clock.now_ns(), 0, 0
    for _ in range(150):
        for made in fleet:
            count = int(rng.integers(1, 2000 // workers))
            made.send(made.batch(first % 390_000, count))
            first += count
            made.read()
        granted = sum(int(made.received.sum(dtype=np.int64)) for made in fleet)
        seconds = (clock.now_ns() - begun) / NS_PER_S
        assert granted <= burst + rate * seconds + 1e-6
        clock.advance(int(rng.integers(1, 15 * NS_PER_MS)))
    for made in fleet:
        await made.drain()
        throttled = [entry for entry in made.answered.values() if entry[1] == Answer.THROTTLED]
        assert throttled
        assert all(after == 25 * NS_PER_MS for _, _, after, _ in throttled)
        assert {made.sink.reasons[reason] for *_, reason in throttled} == {"quota exceeded"}
        assert all(after == 0 for _, code, after, _ in made.answered.values() if code != Answer.THROTTLED)
    assert granted == sum(made.count(Answer.ACCEPTED) for made in fleet)
    # Asked for more than twice the rate throughout, it grants the rate; each bucket may hold a broken token back.
    assert granted >= 0.9 * rate * (clock.now_ns() - begun) / NS_PER_S


async def test_a_quota_without_a_wish_names_no_wait(rig):
    made = await rig("modelled", {"quota": {"rate": 10, "burst": 5}})
    made.send(made.batch(0, 100))
    await made.drain()
    assert made.count(Answer.THROTTLED) == 95
    assert {after for _, _, after, _ in made.answered.values()} == {0}


async def rejected_people(made: Rig, order: list[int]) -> set[int]:
    indexes = {}
    for start in order:
        prepared = made.batch(start, 1000)
        indexes |= dict(zip(prepared.tickets.tolist(), prepared.indexes.tolist(), strict=True))
        made.send(prepared)
    await made.drain()
    return {indexes[ticket] for ticket, (_, code, *_) in made.answered.items() if code == Answer.REJECTED}


async def test_the_same_people_are_dead_each_time_whoever_sends_in_whatever_order(rig):
    starts = list(range(0, 50_000, 1000))
    settings = {"rejected": 0.02, "transient": 0.0}
    one = await rejected_people(await rig("modelled", settings, people=50_000), starts)
    two = await rejected_people(await rig("modelled", settings, people=50_000, worker=3, workers=4), starts[::-1])
    assert one == two
    assert len(one) / 50_000 == pytest.approx(0.02, rel=0.15)  # four standard deviations are 12.5 %


async def test_transient_refusals_have_their_share_and_hit_others_the_next_time(rig):
    made = await rig("modelled", {"transient": 0.1}, people=50_000)
    hit: list[set[int]] = []
    for _ in range(2):
        prepared = made.batch(0, 50_000)
        made.send(prepared)
        await made.drain()
        first = int(prepared.tickets[0])
        hit.append(
            {
                ticket - first
                for ticket, (_, code, *_) in made.answered.items()
                if code == Answer.REFUSED and ticket >= first
            }
        )
    for people in hit:
        assert len(people) / 50_000 == pytest.approx(0.1, rel=0.06)
    assert len(hit[0] & hit[1]) / 50_000 == pytest.approx(0.01, rel=0.25)


async def test_the_silent_are_processed_and_never_answered(rig):
    made = await rig("modelled", {"silent": 0.1}, people=50_000)
    made.send(made.batch(0, 50_000))
    await made.drain()
    made.clock.advance(24 * 3600 * NS_PER_S)
    assert made.read() == 0
    assert set(made.codes()) == {Answer.ACCEPTED}
    assert 1 - len(made.answered) / 50_000 == pytest.approx(0.1, rel=0.06)
    assert (made.received == 1).all()


@pytest.mark.parametrize("how", ["refuse", "hang"])
async def test_an_outage_takes_nothing_from_its_beginning_to_its_end(rig, how):
    made = await rig("modelled", {"outage": {"at": "100ms", "lasts": "50ms", "how": how}})
    phases = {}
    for at_ms, phase in ((0, "before"), (99, "before"), (100, "down"), (149, "down"), (150, "after"), (400, "after")):
        made.clock.at_ns = max(made.clock.at_ns, made.go_ns + at_ms * NS_PER_MS)
        prepared = made.batch(10 * at_ms, 10)
        made.send(prepared)
        phases |= dict.fromkeys(prepared.tickets.tolist(), phase)
    await made.drain()
    by_phase: dict[str, list[int]] = {"before": [], "down": [], "after": []}
    for ticket, (_, code, _, reason) in made.answered.items():
        by_phase[phases[ticket]].append(code)
        assert (made.sink.reasons[reason] == "outage") == (phases[ticket] == "down")
    assert by_phase["before"] == by_phase["after"] == [Answer.ACCEPTED] * 20
    assert by_phase["down"] == ([Answer.REFUSED] * 20 if how == "refuse" else [])
    assert int(made.received.sum()) == 40


async def test_without_a_count_to_keep_it_answers_all_the_same(clock, batch_of):
    sink = build_sink(SinkChoice(name="modelled", settings={"rejected": 0.5}))
    await sink.open(SinkContext("run", "event", 100, SEED, 0, 1, clock))
    made = Rig(sink, clock, batch_of, 100, np.zeros(100, np.uint8))
    made.send(made.batch(0, 100))
    await made.drain()
    assert len(made.answered) == 100
