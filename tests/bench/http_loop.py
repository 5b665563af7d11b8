"""The HTTP sink in the engine's own pump, as a worker runs it: slots, ledger, retries; all but the queue.

``python -m tests.bench.http_loop`` reads an order on standard input and prints JSON.
"""

from __future__ import annotations

import asyncio
import tempfile
from collections import deque
from pathlib import Path

import msgspec
import numpy as np
import uvloop

from burst.audience.synthetic import SyntheticPeople
from burst.engine.pump import Pump, PumpSettings
from burst.engine.slots import Slots
from burst.fleet.clock import MonotonicClock
from burst.model.outcome import State
from burst.model.ports import NEVER_NS, SinkContext
from burst.model.scenario import Batching, RetrySettings, Route, SinkChoice, SyntheticAudience, WorkerSettings
from burst.policy.pacing import Pace
from burst.policy.routing import Router
from burst.queues.shard import Held
from burst.runs.ledger import Ledger
from burst.sinks.http import Http
from burst.sinks.http_settings import HttpSettings
from tests.bench.order import Order
from tests.bench.servers import RUN
from tests.bench.spent import read_order, stamps

_WINDOW = WorkerSettings().window


class Worker:
    """What a worker is without its queue."""

    def __init__(self, order: Order, folder: Path) -> None:
        self._order = order
        people = order.requests
        self._held = [
            Held(b"1-%d" % batch.number, "main", batch)
            for batch in SyntheticPeople(SyntheticAudience(ios=people)).batches(Batching())
        ]
        self._slots = Slots(len(self._held) + 1, 500)
        self.ledger = Ledger(folder / "ledger.bin", people, create=True)
        self._clock = MonotonicClock()
        self._woken = asyncio.Event()
        self.sink = Http(HttpSettings(endpoint=order.url, connections=order.connections, ca_file=order.ca_file or None))

    async def open(self) -> None:
        """Connect, trace, accept batches: nothing is prepared yet."""
        people, woken = self._order.requests, self._woken
        await self.sink.open(SinkContext(RUN, RUN, people, 1, 0, 1, self._clock, wake=woken.set))
        await self.sink.trace()
        self._pump = Pump(
            PumpSettings(0, (0,), RetrySettings(), None, Pace(None), (), True, 0),
            self._slots,
            [self.sink],
            Router((Route(sink=SinkChoice(name="http")),), 1),
            self.ledger,
            self._clock,
            lambda: NEVER_NS,
            lambda *_: None,
        )
        self._pump.join("w0")

    async def run(self) -> None:
        """Send everything, await every answer."""
        pump, loop = self._pump, asyncio.get_running_loop()
        left = deque(self._held)
        pump.go_ns = self._clock.now_ns()
        while left or not pump.idle:
            while left and pump.people < _WINDOW:
                pump.accept(0, [left.popleft()])
            if pump.step():
                await asyncio.sleep(0)
                continue
            self._woken.clear()
            wait_s = min(max(pump.next_ns() - self._clock.now_ns(), 0), 250_000_000) / 1e9
            handle = loop.call_later(wait_s, self._woken.set)
            await self._woken.wait()
            handle.cancel()

    async def close(self) -> None:
        """Hang up."""
        await self.sink.close()
        self.ledger.close()


async def _client(order: Order) -> dict[str, float]:
    with tempfile.TemporaryDirectory(prefix="burst-bench-") as folder:
        worker = Worker(order, Path(folder))
        await worker.open()
        begun_wall_s, begun_cpu_s = stamps()
        await worker.run()
        wall_s, cpu_s = stamps()
        accepted = int(np.count_nonzero(worker.ledger.states == State.ACCEPTED))
        await worker.close()
    return {"accepted": accepted, "wall_s": wall_s - begun_wall_s, "cpu_s": cpu_s - begun_cpu_s}


if __name__ == "__main__":
    print(msgspec.json.encode(uvloop.run(_client(read_order()))).decode())
