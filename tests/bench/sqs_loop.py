"""The SQS sink alone, driven as the engine drives it: ``python -m tests.bench.sqs_loop`` reads an order."""

from __future__ import annotations

import asyncio
import sys
import time

import msgspec
import numpy as np
import uvloop

from burst.audience.synthetic import SyntheticPeople
from burst.model.ports import SinkContext, StandIn
from burst.model.scenario import Batching, SyntheticAudience
from burst.sinks.sqs import Sqs
from burst.sinks.sqs_settings import SqsSettings
from tests.bench.servers import RUN
from tests.bench.spent import stamps, tell

_TURN = 8192
_HANGS_S = 5.0


class SqsOrder(msgspec.Struct, frozen=True, kw_only=True):
    """One client's task: so many messages, ten a call. ``body`` is a template, empty for the sink's own."""

    url: str
    requests: int
    connections: int
    body: str = ""
    aws_file: str
    ca_file: str = ""


class _Clock:
    now_ns = staticmethod(time.monotonic_ns)


async def _run(order: SqsOrder) -> None:
    settings: dict[str, object] = {"connections": order.connections, "queue": "000000000000/bench"}
    stand_in = StandIn(order.url, order.ca_file, "", "", "", {"sqs": order.url}, order.aws_file)
    if order.body:
        settings["body"] = order.body
    sink, woken = Sqs(SqsSettings.model_validate(settings)), asyncio.Event()
    await sink.open(SinkContext(RUN, RUN, order.requests, 1, 0, 1, _Clock(), wake=woken.set, stand_in=stand_in))
    batches = iter(list(SyntheticPeople(SyntheticAudience(ios=order.requests)).batches(Batching())))
    begun, done, now, lo = stamps(), 0, None, 0
    while done < order.requests:
        sent = heard = 0
        for answers in sink.answers():
            heard += answers.tickets.size
            if answers.codes.any():
                raise SystemExit(f"not accepted: {sink.reasons[int(answers.reasons.max())]}")  # type: ignore[union-attr]
        while sent < _TURN:
            if now is None:
                batch = next(batches, None)
                if batch is None:
                    break
                indexes = np.arange(batch.first_index, batch.end_index)
                now, lo = sink.prepare(batch, indexes, indexes), 0
            count = min(sink.credit(), now.tickets.size - lo)
            if count <= 0:
                break
            taken = sink.send(now, lo, lo + count)
            lo, sent = lo + taken, sent + taken
            if lo == now.tickets.size:
                now = None
        done += heard
        if heard or sent:
            await asyncio.sleep(0)
            continue
        woken.clear()
        async with asyncio.timeout(_HANGS_S):
            await woken.wait()
    tell(order.requests, begun)
    await sink.close()


if __name__ == "__main__":
    uvloop.run(_run(msgspec.json.decode(sys.stdin.buffer.read(), type=SqsOrder)))
