"""The HTTP sink driven as the engine drives it, without the engine: batches in, what was said of each person out."""

import asyncio
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from burst.model.batch import Batch, Platform, TokenEncoding
from burst.model.identity import id_prefix
from burst.model.outcome import Answer
from burst.model.ports import SinkContext, StandIn
from burst.sinks.http import Http
from burst.sinks.http_settings import HttpSettings

RUN, EVENT = "run", "launch"
HANG_S = 30.0


class _Clock:
    now_ns = staticmethod(time.monotonic_ns)


@dataclass
class Said:
    """What was said of each person, by index, and of the tracer."""

    answers: dict[int, Answer] = field(default_factory=dict)
    reasons: dict[int, str] = field(default_factory=dict)
    waits_ns: dict[int, int] = field(default_factory=dict)
    tracer: str = ""

    @property
    def counts(self) -> Counter[str]:
        return Counter(answer.name for answer in self.answers.values())


def ident(index: int) -> str:
    return f"{id_prefix(RUN).decode()}{index:012x}"


def batch(
    tokens: Sequence[str], first: int = 0, *, platform: Platform = Platform.IOS, tenant: str = "", lane: str = "main"
) -> Batch:
    """Return a batch of these tokens, of whatever widths."""
    widths = [len(token) for token in tokens]
    equal = len(set(widths)) == 1
    offsets = None if equal else np.concatenate(([0], np.cumsum(widths))).astype(np.uint32)
    data = "".join(tokens).encode()
    width = widths[0] if equal else 0
    return Batch(0, first, len(tokens), platform, TokenEncoding.ASCII, data, width, offsets, tenant, lane)


def people(count: int, first: int = 0) -> list[Batch]:
    """Return batches of 500 made-up people."""
    return [
        batch([f"{index:064x}" for index in range(start, min(start + 500, first + count))], start)
        for start in range(first, first + count, 500)
    ]


async def shoot(
    settings: dict[str, Any],
    batches: Sequence[Batch],
    *,
    stand_in: StandIn | None = None,
    trace: bool = False,
    answer_within_s: float = 10.0,
    take: Sequence[int] | None = None,
) -> Said:
    """Send to everybody in ``batches`` (``take``: to these positions of each) and wait for every answer."""
    woken, said = asyncio.Event(), Said()
    sink = Http(HttpSettings.model_validate(settings))
    audience = max(one.end_index for one in batches)
    context = SinkContext(
        RUN, EVENT, audience, 1, 0, 1, _Clock(), wake=woken.set, answer_within_ns=int(answer_within_s * 1e9),
        stand_in=stand_in,
    )  # fmt: skip
    try:
        await sink.open(context)
        if trace:
            said.tracer = await sink.trace()
        async with asyncio.timeout(HANG_S):
            await _send_all(sink, batches, woken, said, take)
    finally:
        await sink.close()
    return said


async def _send_all(sink, batches, woken, said, take) -> None:
    wanted = 0
    for one in batches:
        indexes = np.arange(one.first_index, one.end_index, dtype=np.int64)
        part = one
        if take is not None:
            positions = np.array(take, dtype=np.int64)
            part, indexes = one.take(positions), indexes[positions]
        prepared = sink.prepare(part, indexes, indexes)
        lo, hi = 0, indexes.size
        wanted += hi
        while lo < hi:
            count = min(sink.credit(), hi - lo)
            lo += sink.send(prepared, lo, lo + count) if count else 0
            await _read(sink, woken, said)
    while len(said.answers) < wanted:
        await _read(sink, woken, said)


async def _read(sink, woken, said) -> None:
    woken.clear()
    found = sink.answers()
    for answers in found:
        size = answers.tickets.size
        reasons = np.zeros(size, np.uint8) if answers.reasons is None else answers.reasons
        waits = np.zeros(size, np.int64) if answers.retry_after_ns is None else answers.retry_after_ns
        columns = (answers.tickets, answers.codes, reasons, waits)
        for index, code, reason, wait in zip(*(column.tolist() for column in columns), strict=True):
            assert index not in said.answers, "a second answer"
            said.answers[index] = Answer(code)
            said.reasons[index] = sink.reasons[reason]
            said.waits_ns[index] = wait
    if not found:
        try:
            async with asyncio.timeout(0.05):
                await woken.wait()
        except TimeoutError:
            pass
