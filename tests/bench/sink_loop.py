"""The APNs sink alone, driven as the engine drives it: no queue, no ledger; every request and answer is stamped.

``python -m tests.bench.sink_loop`` reads an order on standard input and prints JSON. Rendering is part of what is
measured; making device tokens, which come from the queue, is not.
"""

from __future__ import annotations

import asyncio
import resource
import time
from collections import Counter
from collections.abc import Callable

import msgspec
import numpy as np
import uvloop

from burst.audience.synthetic import SyntheticPeople
from burst.model.batch import Batch
from burst.model.outcome import Answer
from burst.model.ports import Prepared, SinkContext, StandIn
from burst.model.scenario import Batching, SyntheticAudience
from burst.sinks.apns import Apns
from burst.sinks.apns_settings import ApnsSettings
from tests.bench.order import PAYLOAD, TOPIC, Order
from tests.bench.servers import RUN
from tests.bench.spent import Spent, read_order, run_module, stamps

_TURN = 8192  # sends before the event loop has its turn
_HANGS_S = 5.0
_UNANSWERED = 255


def measure(order: Order, *, all_accepted: bool = True) -> Spent:
    """Send ``order`` in a process of its own; every request must have one answer, and stamps in the right order."""
    told = run_module("tests.bench.sink_loop", order)
    if sum(told["codes"].values()) != order.requests or str(_UNANSWERED) in told["codes"] or told["earliest_ms"] <= 0:
        raise SystemExit(f"not every push was answered once: {told}")
    if all_accepted and told["codes"] != {str(int(Answer.ACCEPTED)): order.requests}:
        raise SystemExit(f"not every push was accepted: {told}")
    return Spent(order.requests, told["wall_s"], told["cpu_s"], peak_rss_mb=told["peak_rss_mb"])


class _Clock:
    """The time of this machine."""

    now_ns = staticmethod(time.monotonic_ns)


class _Minted:
    """The fleet's share: the provider token that every client of this bench sends, minted already."""

    def __init__(self, token: str) -> None:
        self._token = token

    async def value(self, name: str, make: Callable[[], str], older_than_s: float) -> tuple[str, float]:
        """Return it as if it were new."""
        return self._token, 0.0


class Loop:
    """One go at ``order.requests`` people."""

    def __init__(self, order: Order) -> None:
        self._order = order
        self._woken = asyncio.Event()
        self.sink = Apns(ApnsSettings(topic=TOPIC, connections=order.connections, payload=PAYLOAD))
        people = order.requests
        self._batches = iter(list(SyntheticPeople(SyntheticAudience(ios=people)).batches(Batching())))
        self.sent_ns = np.zeros(people, dtype=np.int64)
        self.answered_ns = np.zeros(people, dtype=np.int64)
        self.codes = np.full(people, _UNANSWERED, dtype=np.uint8)
        self.done = 0
        self._now: Prepared | None = None
        self._lo = 0
        self.turns = 0

    async def open(self) -> None:
        """Connect and send tracers."""
        order = self._order
        stand_in = StandIn(order.url, order.ca_file, order.key_file, order.key_id, order.team_id)
        share = _Minted(order.authorization.removeprefix("bearer "))
        context = SinkContext(
            RUN, RUN, order.requests, 1, 0, 1, _Clock(), wake=self._woken.set, stand_in=stand_in, share=share
        )
        await self.sink.open(context)
        await self.sink.trace()

    async def run(self) -> None:
        """Send everything, await every answer."""
        while self.done < self._order.requests:
            self.turns += 1
            if self._take_answers() + self._send():
                await asyncio.sleep(0)
                continue
            self._woken.clear()
            async with asyncio.timeout(_HANGS_S):
                await self._woken.wait()

    def _take_answers(self) -> int:
        before = self.done
        for answers in self.sink.answers():
            self.codes[answers.tickets] = answers.codes
            self.answered_ns[answers.tickets] = answers.answered_ns
            self.done += answers.tickets.size
        return self.done - before

    def _send(self) -> int:
        taken = 0
        while taken < _TURN:
            if self._now is None:
                batch = next(self._batches, None)
                if batch is None:
                    break
                self._now, self._lo = self._prepare(batch), 0
            prepared, lo = self._now, self._lo
            count = min(self.sink.credit(), prepared.tickets.size - lo)
            if count <= 0:
                break
            hi = lo + self.sink.send(prepared, lo, lo + count)
            self.sent_ns[prepared.indexes[lo:hi]] = time.monotonic_ns()
            taken += hi - lo
            self._lo = hi
            if hi == prepared.tickets.size:
                self._now = None
        return taken

    def _prepare(self, batch: Batch) -> Prepared:
        indexes = np.arange(batch.first_index, batch.end_index)
        return self.sink.prepare(batch, indexes, indexes)


async def _measure(order: Order) -> dict[str, object]:
    loop = Loop(order)
    await loop.open()
    wall_s, cpu_s = stamps()
    await loop.run()
    end_wall_s, end_cpu_s = stamps()
    await loop.sink.close()
    taken_ns = loop.answered_ns - loop.sent_ns
    return {
        "requests": order.requests,
        "wall_s": end_wall_s - wall_s,
        "cpu_s": end_cpu_s - cpu_s,
        "codes": {str(code): count for code, count in Counter(loop.codes.tolist()).items()},
        "turns": loop.turns,
        "p50_ms": float(np.median(taken_ns)) / 1e6,
        "earliest_ms": float(taken_ns.min()) / 1e6,
        "peak_rss_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }


if __name__ == "__main__":
    print(msgspec.json.encode(uvloop.run(_measure(read_order()))).decode())
