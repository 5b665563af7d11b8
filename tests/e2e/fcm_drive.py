"""The engine's pump and the FCM sink against a server, all but the queue: a run in half a second."""

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from burst.audience.synthetic import SyntheticPeople
from burst.engine.pump import Pump, PumpSettings
from burst.fleet.clock import MonotonicClock
from burst.model.batch import Batch
from burst.model.outcome import State
from burst.model.ports import NEVER_NS, Permit, Share, SinkContext, StandIn
from burst.model.scenario import Batching, RetrySettings, Route, SinkChoice, SyntheticAudience
from burst.policy.pacing import Pace
from burst.policy.routing import Router
from burst.queues.shard import Held
from burst.runs.ledger import Ledger
from burst.sinks.fcm import Fcm
from burst.sinks.fcm_settings import FcmSettings
from tests.e2e.apns_drive import RecordingSlots, _pump

RUN = "run"
HANG_S = 40.0
QUICK = {"answer_within": "2s", "base": "20ms"}


class LocalShare:
    """One fleet's share within a process, as the law of ``burst.fleet.share`` has it: one maker at a time."""

    def __init__(self) -> None:
        self.held: dict[str, tuple[str, float]] = {}
        self.made: Counter[str] = Counter()

    async def value(self, name: str, make, older_than_s: float) -> tuple[str, float]:
        await asyncio.sleep(0.001)
        now_s = asyncio.get_running_loop().time()
        if name in self.held and now_s - self.held[name][1] <= older_than_s:
            text, made_s = self.held[name]
            return text, now_s - made_s
        text = make()
        self.made[name] += 1
        self.held[name] = text, now_s
        return text, 0.0


def people(ios: int = 0, android: int = 0) -> list[Batch]:
    return list(SyntheticPeople(SyntheticAudience(ios=ios, android=android)).batches(Batching()))


def context(
    audience: int = 1000,
    *,
    stand_in: StandIn | None = None,
    share: Share | None = None,
    permit: Permit | None = None,
    **more: Any,
) -> SinkContext:
    return SinkContext(
        RUN,
        "event",
        audience,
        1,
        0,
        1,
        MonotonicClock(),
        stand_in=stand_in,
        share=share,
        permit=permit or Permit(),
        **more,
    )


@dataclass
class Told:
    """What a drive left."""

    states: np.ndarray
    attempts: np.ndarray
    reasons: Counter[tuple[str, str]]
    waited_ns: np.ndarray = field(default_factory=lambda: np.zeros(0))

    @property
    def outcomes(self) -> dict[str, int]:
        numbers, counts = np.unique(self.states, return_counts=True)
        return {State(number).name: count for number, count in zip(numbers.tolist(), counts.tolist(), strict=True)}


@contextlib.asynccontextmanager
async def opened(settings: dict[str, Any], **more: Any) -> AsyncIterator[Fcm]:
    """Open a sink, close it in the end."""
    sink = Fcm(FcmSettings.model_validate(settings))
    try:
        await sink.open(context(**more))
        yield sink
    finally:
        await sink.close()


async def drive(
    folder: Path,
    batches: list[Batch],
    settings: dict[str, Any],
    *,
    workers: int = 1,
    retry: dict[str, Any] | None = None,
    shares: list[Share] | None = None,
    stand_in: StandIn | None = None,
    pace_per_s: float | None = None,
    trace: bool = False,
    during=None,
) -> Told:
    """Send batches as a fleet does; return what became of everybody."""
    audience = batches[-1].end_index
    ledger = Ledger(folder / "ledger.bin", audience, create=True)
    held = [Held(b"1-%d" % batch.number, "main", batch) for batch in batches]
    slots = RecordingSlots(len(held) + 1, 500, audience)
    clock, retries = MonotonicClock(), RetrySettings(**(QUICK | (retry or {})))
    router = Router((Route(sink=SinkChoice(name="fcm")),), 1)
    woken = [asyncio.Event() for _ in range(workers)]
    sinks, pumps = [], []
    try:
        for worker in range(workers):
            sink = Fcm(FcmSettings.model_validate(settings))
            sinks.append(sink)
            await sink.open(
                SinkContext(
                    RUN,
                    "event",
                    audience,
                    1,
                    worker,
                    workers,
                    clock,
                    wake=woken[worker].set,
                    answer_within_ns=retries.answer_within_ns,
                    stand_in=stand_in,
                    share=shares[worker] if shares else None,
                )
            )
            pump_settings = PumpSettings(worker, (0,), retries, None, Pace(pace_per_s), (), True, worker)
            pump = Pump(pump_settings, slots, [sink], router, ledger, clock, lambda: NEVER_NS, lambda *_: None)
            pumps.append(pump)
        if trace:
            await sinks[0].trace()
        go_ns = clock.now_ns()
        for number, pump in enumerate(pumps):
            pump.join(f"w{number}")
            pump.accept(0, held[number::workers])
            pump.go_ns = go_ns
            sinks[number].released(go_ns)
        async with asyncio.timeout(HANG_S):
            other = asyncio.ensure_future(during(sinks)) if during else None
            await asyncio.gather(*(_pump(pump, event, clock) for pump, event in zip(pumps, woken, strict=True)))
            if other is not None:
                other.cancel()
    finally:
        for sink in sinks:
            await sink.close()
    names = pumps[0].reason_names
    reasons = Counter(
        (State(state).name, names[reason])
        for state, reason in zip(ledger.states.tolist(), slots.reason.tolist(), strict=True)
        if reason
    )
    told = Told(ledger.states.copy(), ledger.attempts.copy(), reasons, slots.heard_ns - slots.sent_ns)
    ledger.close()
    return told
