"""An SQS sink alone, driven until everybody has an answer; and the queues of others that it sends to."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import boto3
import numpy as np
from moto.server import ThreadedMotoServer

from burst.audience.synthetic import SyntheticPeople
from burst.model.outcome import Answer
from burst.model.ports import SinkContext
from burst.model.scenario import Batching, SyntheticAudience
from burst.sinks.sqs import Sqs
from burst.sinks.sqs_settings import SqsSettings

RUN, REGION = "drive", "eu-west-1"
KEY, SECRET = "AKIDEXAMPLE", "sEcReT-never-to-be-told"
HANG_S = 30.0


class Clock:
    now_ns = staticmethod(time.monotonic_ns)


@dataclass
class Told:
    """What a sink said: person to answer and reason, and what its tracer said."""

    people: dict[int, tuple[Answer, str]] = field(default_factory=dict)
    tracer: str = ""
    tokens: dict[int, str] = field(default_factory=dict)
    platforms: dict[int, str] = field(default_factory=dict)

    def count(self, answer: Answer) -> int:
        return sum(found is answer for found, _ in self.people.values())


async def drive(
    endpoint: str,
    *,
    ios: int = 0,
    android: int = 0,
    trace: bool = True,
    again: int = 0,
    before: Callable[[Sqs], None] = lambda _: None,
    **settings: Any,
) -> Told:
    """Send to everybody once; to those who were refused or throttled up to ``again`` times more."""
    told, woken = Told(), asyncio.Event()
    sink = Sqs(SqsSettings.model_validate({"endpoint": endpoint, "region": REGION} | settings))
    context = SinkContext(RUN, "event", ios + android, 1, 0, 1, Clock(), wake=woken.set, answer_within_ns=5_000_000_000)
    try:
        await sink.open(context)
        if trace:
            told.tracer = await sink.trace()
        before(sink)
        batches = list(SyntheticPeople(SyntheticAudience(ios=ios, android=android)).batches(Batching()))
        for batch in batches:
            for at in range(batch.count):
                told.tokens[batch.first_index + at] = batch.token_text(at)
                told.platforms[batch.first_index + at] = batch.platform.name.lower()
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


def client(url: str):
    return boto3.client(
        "sqs", endpoint_url=url, region_name=REGION, aws_access_key_id=KEY, aws_secret_access_key=SECRET
    )


def received(queues, url: str) -> list[dict[str, Any]]:
    """Receive and delete all that a queue holds; boto3 checks each body's MD5."""
    found = []
    while True:
        got = queues.receive_message(
            QueueUrl=url,
            MaxNumberOfMessages=10,
            MessageAttributeNames=["All"],
            AttributeNames=["All"],
            WaitTimeSeconds=0,
        ).get("Messages", [])
        if not got:
            return found
        found += got
        queues.delete_message_batch(
            QueueUrl=url,
            Entries=[{"Id": str(at), "ReceiptHandle": one["ReceiptHandle"]} for at, one in enumerate(got)],
        )


@contextmanager
def moto():
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        host, port = server.get_host_and_port()
        yield f"http://{host}:{port}"
    finally:
        server.stop()


@contextmanager
def ministack():
    """Start one on a free port, in a group of its own: it ends with all that it has started."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with tempfile.TemporaryDirectory(prefix="burst-ministack-") as folder:
        process = subprocess.Popen(
            [sys.executable, "-m", "ministack"],
            env=os.environ | {"GATEWAY_PORT": str(port), "HOME": folder, "GATEWAY_LISTEN": "127.0.0.1"},
            cwd=folder,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        url, deadline_s = f"http://127.0.0.1:{port}", time.monotonic() + HANG_S
        try:
            while True:
                try:
                    urllib.request.urlopen(f"{url}/_ministack/health", timeout=2).close()
                    break
                except OSError:
                    assert process.poll() is None, "ministack does not start"
                    assert time.monotonic() < deadline_s, "ministack does not answer"
                    time.sleep(0.1)
            yield url
        finally:
            os.killpg(process.pid, signal.SIGTERM)
            process.wait(10)


def body_of(message: dict[str, Any]) -> dict[str, Any]:
    found = json.loads(message["Body"])
    assert isinstance(found, dict)
    return found
