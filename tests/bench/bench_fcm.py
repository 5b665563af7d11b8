"""The FCM sink beside the APNs sink: CPU of a request in turn, against one process that stands in for both.

``python -m tests.bench.bench_fcm`` prints both and their ratio; with ``apns`` or ``fcm`` it reads an order on standard
input, sends it and prints JSON. Both have four connections, payloads of some 200 bytes, a witness, and credentials that
are checked; the bodies of the answers are what each provider's are.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any, Self

import msgspec
import uvloop

from burst.audience.synthetic import SyntheticPeople
from burst.model.outcome import Answer
from burst.model.ports import SinkContext, StandIn
from burst.model.scenario import Batching, SyntheticAudience
from burst.provider.cloud_keys import google_account
from burst.sinks.fcm import Fcm
from burst.sinks.fcm_settings import FcmSettings
from tests.bench import servers, sink_loop
from tests.bench.order import Order
from tests.bench.spent import CLIENT_CORE, SERVER_CORE, WITHIN_S, Spent, pinned, read_order
from tests.bench.standings import load

_ROUNDS = 9
_PEOPLE = 300_000
_BATCH = 500  # of both: a batch has a price of its own
_MESSAGE = {
    "notification": {"title": "burst rehearsal", "body": "One of the launch, sent at GO, of some two hundred bytes."}
}


class Both(servers.StandIn):
    """One serving process that is Apple at one port and Google at another."""

    def __init__(self, audience: int) -> None:
        self.google_port = servers.free_port()
        super().__init__(audience)

    def __enter__(self) -> Self:
        return self

    def _ask(self, line: dict[str, Any]) -> dict[str, Any]:
        if "listen" in line:
            account = google_account(self.folder, f"{self.google}/token")
            line = line | {
                "listen": [*line["listen"], f"fcm=127.0.0.1:{self.google_port}"],
                "google_file": str(account),
            }
        return super()._ask(line)

    @property
    def google(self) -> str:
        return f"http://127.0.0.1:{self.google_port}"


class FcmLoop(sink_loop.Loop):
    """One go at ``order.requests`` Android people. The order's ``key_file`` is the service account."""

    def __init__(self, order: Order) -> None:
        super().__init__(order)
        self.sink: Any = Fcm(FcmSettings.model_validate({"connections": order.connections, "message": _MESSAGE}))
        people = SyntheticPeople(SyntheticAudience(android=order.requests))
        self._batches = iter(list(people.batches(Batching(ios=_BATCH, android=_BATCH))))

    async def open(self) -> None:
        order = self._order
        stand_in = StandIn(order.url, "", "", "", "", {"fcm": order.url}, "", order.key_file)
        clock = sink_loop._Clock()
        context = SinkContext(
            servers.RUN, servers.RUN, order.requests, 1, 0, 1, clock, wake=self._woken.set, stand_in=stand_in
        )
        await self.sink.open(context)
        await self.sink.trace()


async def _client(kind: str) -> dict[str, object]:
    if kind == "fcm":
        sink_loop.Loop = FcmLoop  # type: ignore[misc]
    return await sink_loop._measure(read_order())


def _measure(kind: str, order: Order) -> Spent:
    done = subprocess.run(
        pinned([sys.executable, "-m", "tests.bench.bench_fcm", kind], CLIENT_CORE),
        input=msgspec.json.encode(order),
        capture_output=True,
        timeout=WITHIN_S,
        check=False,
    )
    if done.returncode:
        raise SystemExit(f"{kind} ended with {done.returncode}:\n{done.stderr.decode()[-2000:]}")
    told = json.loads(done.stdout.splitlines()[-1])
    if told["codes"] != {str(int(Answer.ACCEPTED)): order.requests}:
        raise SystemExit(f"not every push was accepted: {told}")
    return Spent(order.requests, told["wall_s"], told["cpu_s"])


def main(rounds: int = _ROUNDS, people: int = _PEOPLE) -> None:
    """Print both, and how much more a request of FCM's takes."""
    spent: dict[str, list[Spent]] = {"apns": [], "fcm": []}
    before = load()
    for _ in range(rounds):
        with Both(people) as server:
            apns = server.order(people, 4)
            fcm = msgspec.structs.replace(
                apns, url=server.google, key_file=str(Path(server.folder) / "service-account.json")
            )
            for kind, order in (("apns", apns), ("fcm", fcm)):
                spent[kind].append(_measure(kind, order))
    for kind, found in spent.items():
        rate = statistics.median(one.rate_per_s for one in found)
        us = statistics.median(one.client_us for one in found)
        print(f"{kind:<6} {rate:>12,.0f} requests/s   client {us:6.2f} us CPU a request")
    ratios = [fcm.client_us / apns.client_us for apns, fcm in zip(spent["apns"], spent["fcm"], strict=True)]
    told = ", ".join(f"{ratio:.2f}" for ratio in ratios)
    print(f"fcm takes {statistics.median(ratios):.2f} x the CPU of apns (aim: 1.3); by round {told}")
    print(f"medians of {rounds} rounds, in turn, server on core {SERVER_CORE}; {before} before, {load()} after")


if __name__ == "__main__":
    if len(sys.argv) > 1:
        print(msgspec.json.encode(uvloop.run(_client(sys.argv[1]))).decode())
    else:
        main()
