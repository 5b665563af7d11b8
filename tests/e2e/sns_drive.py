"""An SNS sink alone, driven until everybody has an answer; and a small SNS of a test's own."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from email.utils import formatdate
from typing import Any
from urllib.parse import parse_qsl

import boto3
import numpy as np

from burst.audience.synthetic import SyntheticPeople
from burst.model.batch import Batch
from burst.model.outcome import Answer
from burst.model.ports import Permit, SinkContext, StandIn
from burst.model.scenario import Batching, SyntheticAudience
from burst.sinks.sns import Sns
from burst.sinks.sns_settings import SnsSettings

RUN, REGION = "r", "eu-west-1"
KEY, SECRET = "AKIDEXAMPLE", "sEcReT-never-to-be-told"
TOPIC = f"arn:aws:sns:{REGION}:123456789012:news"
HANG_S = 30.0


class Clock:
    now_ns = staticmethod(time.monotonic_ns)


@dataclass
class Told:
    """What a sink said: person to answer and reason, and what its tracer said."""

    people: dict[int, tuple[Answer, str]] = field(default_factory=dict)
    tracer: str = ""
    tokens: dict[int, str] = field(default_factory=dict)

    def count(self, answer: Answer) -> int:
        return sum(found is answer for found, _ in self.people.values())

    @property
    def reasons(self) -> set[tuple[Answer, str]]:
        return set(self.people.values())


async def drive(
    endpoint: str,
    batches: list[Batch] | int,
    *,
    trace: bool = True,
    again: int = 0,
    stand_in: StandIn | None = None,
    permit: Permit | None = None,
    **settings: Any,
) -> Told:
    """Send to everybody once; to those who were refused or throttled up to ``again`` times more."""
    told, woken = Told(), asyncio.Event()
    if isinstance(batches, int):
        batches = list(SyntheticPeople(SyntheticAudience(ios=batches)).batches(Batching()))
    given = {"endpoint": endpoint} | ({} if "target_arn" in settings else {"topic_arn": TOPIC}) | settings
    sink = Sns(SnsSettings.model_validate(given))
    people = batches[-1].end_index
    context = SinkContext(
        RUN,
        "event",
        people,
        1,
        0,
        1,
        Clock(),
        wake=woken.set,
        answer_within_ns=5_000_000_000,
        stand_in=stand_in,
        permit=permit or Permit(),
    )
    try:
        await sink.open(context)
        if trace:
            told.tracer = await sink.trace()
        for batch in batches:
            told.tokens |= {batch.first_index + at: batch.token_text(at) for at in range(batch.count)}
        for attempt in range(1 + again):
            retried = (Answer.REFUSED, Answer.THROTTLED)
            for batch in batches:
                left = [
                    at for at in range(batch.count) if attempt == 0 or told.people[batch.first_index + at][0] in retried
                ]
                if left:
                    positions = np.array(left, dtype=np.int64)
                    part = batch if attempt == 0 else batch.take(positions)
                    await _send(sink, part, batch.first_index + positions, told, woken)
    finally:
        await sink.close()
    return told


async def _send(sink, batch, indexes, told, woken) -> None:
    for index in indexes.tolist():
        told.people.pop(index, None)
    prepared, lo, left = sink.prepare(batch, indexes, indexes), 0, set(indexes.tolist())
    async with asyncio.timeout(HANG_S):
        while left:
            if lo < indexes.size and (credit := sink.credit()) > 0:
                lo += sink.send(prepared, lo, min(indexes.size, lo + credit))
            for answers in sink.answers():
                reasons = np.zeros(answers.tickets.size, int) if answers.reasons is None else answers.reasons
                for index, code, reason in zip(answers.tickets.tolist(), answers.codes.tolist(), reasons, strict=True):
                    left.remove(index)
                    told.people[index] = (Answer(code), sink.reasons[reason])
            woken.clear()
            try:
                async with asyncio.timeout(0.01):
                    await woken.wait()
            except TimeoutError:
                pass


def client(service: str, url: str):
    return boto3.Session().client(
        service, endpoint_url=url, region_name=REGION, aws_access_key_id=KEY, aws_secret_access_key=SECRET
    )


# -- a small SNS ---------------------------------------------------------------------------------------------------


@dataclass
class Call:
    """One call as it came."""

    fields: dict[str, str]
    form: dict[str, str]
    number: int

    @property
    def ids(self) -> list[str]:
        return [self.form[name] for name in self.form if name.endswith(".Id")]


Reply = tuple[int, dict[str, str], str]


def taken(call: Call, failed: str = "") -> Reply:
    """Take each entry, or those that ``failed`` (XML) does not name."""
    if call.form["Action"] == "Publish":
        inner = f"<PublishResult><MessageId>m{call.number}</MessageId></PublishResult>"
        return 200, {}, f"<PublishResponse>{inner}</PublishResponse>"
    good = "".join(
        f"<member><MessageId>0</MessageId><Id>{ident}</Id></member>"
        for ident in call.ids
        if f"<Id>{ident}</Id>" not in failed
    )
    inner = f"<Successful>{good}</Successful><Failed>{failed}</Failed>"
    return 200, {}, f"<PublishBatchResponse><PublishBatchResult>{inner}</PublishBatchResult></PublishBatchResponse>"


def error(status: int, code: str, **fields: str) -> Reply:
    return status, fields, f"<ErrorResponse><Error><Type>Sender</Type><Code>{code}</Code></Error></ErrorResponse>"


@dataclass
class Served:
    """The server: its URL, and the calls that it has had."""

    url: str = ""
    calls: list[Call] = field(default_factory=list)


@asynccontextmanager
async def served(answer: Callable[[Call], Reply], *, ahead_s: float = 0.0) -> AsyncIterator[Served]:
    """Serve over HTTP/1.1 on a free port; its clock is ahead of ours by so much."""
    it = Served()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
                fields = {name.lower(): value for name, _, value in (line.partition(": ") for line in head[1:] if line)}
                body = await reader.readexactly(int(fields["content-length"]))
                call = Call(fields, dict(parse_qsl(body.decode(), strict_parsing=True)), len(it.calls))
                it.calls.append(call)
                status, more, said = answer(call)
                more = {"Date": formatdate(time.time() + ahead_s, usegmt=True)} | more
                lines = "".join(f"{name}: {value}\r\n" for name, value in more.items())
                writer.write(f"HTTP/1.1 {status} x\r\n{lines}Content-Length: {len(said)}\r\n\r\n{said}".encode())
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, limit=4_000_000)
    it.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield it
    finally:
        server.close()
