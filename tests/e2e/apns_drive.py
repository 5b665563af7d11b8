"""The engine's pump and the APNs sink against a real stand-in, all but the queue: a run in half a second."""

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from burst.audience.synthetic import SyntheticPeople
from burst.engine.pump import Pump, PumpSettings
from burst.engine.slots import Slots
from burst.fleet.clock import MonotonicClock
from burst.model.outcome import State
from burst.model.ports import NEVER_NS, Share, SinkContext, StandIn
from burst.model.scenario import Batching, RetrySettings, Route, SinkChoice, SyntheticAudience
from burst.policy.pacing import Pace
from burst.policy.routing import Router
from burst.provider.supervisor import House, Supervisor
from burst.queues.shard import Held
from burst.runs.ledger import Ledger
from burst.runs.witness import Reconciled, WitnessPart, reconcile
from burst.sinks.apns import Apns
from burst.sinks.apns_settings import ApnsSettings

RUN = "run"
HANG_S = 40.0
During = Callable[["Drive"], Awaitable[None]]


class RecordingSlots(Slots):
    """Slots that keep what they held."""

    def __init__(self, count: int, largest: int, people: int) -> None:
        super().__init__(count, largest)
        self.reason = np.zeros(people, dtype=np.uint8)
        self.sent_ns = np.zeros(people, dtype=np.int64)
        self.heard_ns = np.zeros(people, dtype=np.int64)

    def release(self, slot: int) -> None:
        held = self.held[slot]
        span, rows = slice(held.batch.first_index, held.batch.end_index), self.rows_of(held)
        self.reason[span] = self.reasons[rows]
        self.sent_ns[span] = self.last_sent_ns[rows]
        self.heard_ns[span] = self.answered_ns[rows]
        super().release(slot)


@dataclass
class Told:
    """What a drive left: the ledger's columns and what the witness says of them (None without a stand-in)."""

    states: np.ndarray
    attempts: np.ndarray
    reasons: Counter[tuple[str, str]]  # (outcome, reason)
    sent_ns: np.ndarray
    heard_ns: np.ndarray
    counters: Counter[str]
    took_s: float
    witness: Reconciled | None = None
    connections: int = 0

    @property
    def outcomes(self) -> dict[str, int]:
        numbers, counts = np.unique(self.states, return_counts=True)
        return {State(number).name: count for number, count in zip(numbers.tolist(), counts.tolist(), strict=True)}

    @property
    def retries(self) -> int:
        return int(self.attempts.sum(dtype=np.int64)) - int(np.count_nonzero(self.attempts))

    def assert_books_agree(self, *, duplicates: int = 0) -> None:
        """Ledger and witness tell the same: nobody lost, nobody twice, nobody early, no contradiction."""
        assert self.witness is not None
        assert self.witness.contradictions == {}
        assert self.witness.lost == 0
        assert self.witness.early == 0
        assert self.witness.duplicates == duplicates
        assert self.witness.foreign == self.witness.strange == 0


@dataclass
class Drive:
    """A stand-in (where there is one) and a fleet's part that sends to it."""

    people: int
    pumps: list[Pump] = field(default_factory=list)
    sinks: list[Apns] = field(default_factory=list)
    house: Supervisor | None = None
    ledger: Ledger | None = None
    go_ns: int = 0

    @property
    def done(self) -> int:
        """How many people are settled."""
        return int(np.count_nonzero(self.ledger.states >= State.ACCEPTED))

    async def until(self, share: float) -> None:
        """Wait until so many of all people have an outcome."""
        while self.done < share * self.people:  # noqa: ASYNC110 (a file's content, not an event)
            await asyncio.sleep(0.002)


def stand_in_of(house: Supervisor) -> StandIn:
    """Return what lets a sink in."""
    authority = house.authority
    ca = str(authority.ca) if house.house.tls else ""
    return StandIn(house.url, ca, str(authority.p8), authority.key_id, authority.team_id)


async def drive(
    folder: Path,
    people: int,
    behaviour: dict[str, Any] | None = None,
    settings: dict[str, Any] | None = None,
    *,
    tls: bool = False,
    processes: int = 1,
    workers: int = 1,
    retry: dict[str, Any] | None = None,
    during: During | None = None,
    shares: list[Share] | None = None,
    client_certificates: bool = False,
    settle_from: Callable[[Supervisor], dict[str, Any]] | None = None,
    pace_per_s: float | None = None,
    trace: bool = True,
) -> Told:
    """Send to ``people`` people over a stand-in with this behaviour (None: wherever the settings say)."""
    made = Drive(people)
    witness = None
    folder.mkdir(exist_ok=True)  # noqa: ASYNC240 (before anything runs)
    if behaviour is not None:
        made.house = Supervisor(
            House(
                folder / "keys",
                behaviour,
                processes=processes,
                tls=tls,
                client_certificates=client_certificates,
                run=RUN,
                audience=people,
                witness=folder,
            )
        )
        await made.house.start()
    try:
        given = dict(settings or {}) | (settle_from(made.house) if settle_from else {})
        told = await _send(
            made, folder, given, workers, RetrySettings(**(retry or {})), during, shares, pace_per_s, trace
        )
    finally:
        if made.house is not None:
            await made.house.stop()
    if made.house is not None:
        parts = [WitnessPart.open(path) for path in made.house.parts()]
        witness = reconcile(parts, told.states, told.attempts, made.go_ns)
        for part in parts:
            part.close()
        told.witness = witness
    return told


async def _send(made, folder, given, workers, retry, during, shares, pace_per_s, trace) -> Told:
    people = made.people
    ledger = made.ledger = Ledger(folder / "ledger.bin", people, create=True)
    held = [
        Held(b"1-%d" % batch.number, "main", batch)
        for batch in SyntheticPeople(SyntheticAudience(ios=people)).batches(Batching())
    ]
    slots = RecordingSlots(len(held) + 1, 500, people)
    clock = MonotonicClock()
    woken = [asyncio.Event() for _ in range(workers)]
    router = Router((Route(sink=SinkChoice(name="apns")),), 1)
    try:
        for worker in range(workers):
            sink = Apns(ApnsSettings(**given))
            made.sinks.append(sink)
            await sink.open(
                SinkContext(
                    RUN,
                    "event",
                    people,
                    1,
                    worker,
                    workers,
                    clock,
                    wake=woken[worker].set,
                    answer_within_ns=retry.answer_within_ns,
                    stand_in=None if made.house is None else stand_in_of(made.house),
                    share=shares[worker] if shares else None,
                )
            )
            pace = Pace(pace_per_s)
            made.pumps.append(
                Pump(
                    PumpSettings(worker, (0,), retry, None, pace, (), True, worker),
                    slots,
                    [sink],
                    router,
                    ledger,
                    clock,
                    lambda: NEVER_NS,
                    lambda *_: None,
                )
            )
        if trace:
            await made.sinks[0].trace()
        for number, pump in enumerate(made.pumps):
            pump.join(f"w{number}")
            pump.accept(0, held[number::workers])
        made.go_ns = clock.now_ns()
        if made.house is not None:
            await made.house.go(made.go_ns)
        for pump, sink in zip(made.pumps, made.sinks, strict=True):
            pump.go_ns = made.go_ns
            sink.released(made.go_ns)
        begun_s = time.monotonic()
        async with asyncio.timeout(HANG_S), asyncio.TaskGroup() as tasks:
            other = tasks.create_task(during(made)) if during else None
            pumping = [
                tasks.create_task(_pump(pump, event, clock)) for pump, event in zip(made.pumps, woken, strict=True)
            ]
            await asyncio.gather(*pumping)
            if other is not None:
                other.cancel()
        took_s = time.monotonic() - begun_s
        connections = sum(sink.sender.pool.dialled for sink in made.sinks)
    finally:
        for sink in made.sinks:
            await sink.close()
    names = made.pumps[0].reason_names
    reasons = Counter(
        (State(state).name, names[reason])
        for state, reason in zip(ledger.states.tolist(), slots.reason.tolist(), strict=True)
        if reason
    )
    counters = sum((pump.counters for pump in made.pumps), Counter())
    told = Told(
        ledger.states.copy(),
        ledger.attempts.copy(),
        reasons,
        slots.sent_ns,
        slots.heard_ns,
        counters,
        took_s,
        connections=connections,
    )
    ledger.close()
    return told


async def _pump(pump: Pump, woken: asyncio.Event, clock: MonotonicClock) -> None:
    """Step and nap as a worker does."""
    while not pump.idle:
        if pump.step():
            await asyncio.sleep(0)
            continue
        woken.clear()
        wait_s = min(max(pump.next_ns() - clock.now_ns(), 0), 250_000_000) / 1e9
        handle = asyncio.get_running_loop().call_later(wait_s, woken.set)
        await woken.wait()
        handle.cancel()
