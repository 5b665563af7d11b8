"""One serving process of the stand-in: sockets, its part of the witness, and orders from its supervisor.

    python -m burst.provider.serving

reads one JSON line on standard input, its ``Brief``, answers one line when it listens, then obeys one order a line.
End of file on standard input means: stop.
"""

from __future__ import annotations

import asyncio
import os
import resource
import socket
import ssl
import sys
import time
from pathlib import Path
from typing import Any

import aiofastnet
import msgspec
import uvloop

from burst.model.errors import BurstError
from burst.model.units import NS_PER_MS, NS_PER_S
from burst.provider.apple import check_head, duplicated
from burst.provider.behaviour import Behaviour
from burst.provider.fate import Fates
from burst.provider.front import STREAM_COLUMNS, Front
from burst.provider.intake import Intake
from burst.provider.manners import Behaved, reset_connection
from burst.provider.provider_token import TokenCheck, read_keys
from burst.runs.witness import Counter, WitnessPart
from burst.wire.tls import server_context
from burst.wire.transport import H2Link

BACKLOG = 4096
_TICK_NS = NS_PER_MS


class Brief(msgspec.Struct, frozen=True, kw_only=True):
    """What a serving process must know. ``listen`` are ``host:port`` or ``unix:/path``."""

    process: int
    processes: int
    listen: list[str]
    run: str
    audience: int
    witness: str
    behaviour: dict[str, Any]
    seed: int
    certificate: str = ""
    key: str = ""
    client_ca: str = ""
    dead_since_ms: int = 0
    folder: str = "."  # that paths of keys are relative to


class _MonotonicClock:
    """The time of this machine."""

    now_ns = staticmethod(time.monotonic_ns)


class Serving:
    """The process's life."""

    def __init__(self, brief: Brief) -> None:
        self.brief = brief
        self._clock = _MonotonicClock()
        behaviour = Behaviour.model_validate(brief.behaviour)
        self.witness = WitnessPart.create(Path(brief.witness), brief.run, brief.audience) if brief.witness else None
        self.manners = Behaved(behaviour, self._clock, brief.seed + brief.process)
        self.front = Front(self._fates(behaviour), self._intake(behaviour), self.witness, self._clock, self.manners)
        self._servers: list[Any] = []
        self._first_ns = self._last_cpu_ns = self._last_ns = self._first_cpu_ns = 0
        self._timer: asyncio.TimerHandle | None = None
        self._limits: list[asyncio.TimerHandle] = []

    def _fates(self, behaviour: Behaviour) -> Fates:
        brief = self.brief
        return Fates(
            behaviour,
            brief.seed,
            process=brief.process,
            processes=brief.processes,
            dead_since_ms=brief.dead_since_ms,
        )

    def _intake(self, behaviour: Behaviour) -> Intake:
        tokens = TokenCheck(read_keys(behaviour.keys, Path(self.brief.folder)), behaviour.team)

        def token_reason(authorization: bytes) -> str | None:
            now_s = time.time()
            reason = tokens.check(authorization, now_s)
            # Of one key: the first part of a token names it. Other senders have other keys.
            scope = authorization.partition(b".")[0].decode("ascii", "replace")
            if reason is None and tokens.updates_too_fast(authorization, now_s, scope):
                return "TooManyProviderTokenUpdates"
            return reason

        return Intake(
            self.brief.run,
            lambda fields, shown: check_head(fields, behaviour, token_reason, certificate=shown),
            duplicated,
            behaviour.max_payload,
        )

    # -- life ------------------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Listen, obey, stop at the end of standard input."""
        orders = asyncio.StreamReader()
        await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(orders), sys.stdin)
        tls = None
        if self.brief.certificate:
            tls = server_context(self.brief.certificate, self.brief.key, self.brief.client_ca)
        for address in self.brief.listen:
            self._servers.append(await self._listen(address, tls))
        _say({"ready": True})
        self._tick()
        while line := await orders.readline():
            self._obey(msgspec.json.decode(line))
        for server in self._servers:
            server.close()
        for link in list(self.front.links.values()):
            link.abort()
        self._count_time()

    async def _listen(self, address: str, tls: ssl.SSLContext | None) -> Any:
        loop = asyncio.get_running_loop()
        if address.startswith("unix:"):
            path = address.removeprefix("unix:")
            return await aiofastnet.create_unix_server(loop, self._make_link, path, ssl=tls, backlog=BACKLOG)
        host, _, port = address.rpartition(":")
        return await aiofastnet.create_server(
            loop,
            self._make_link,
            host.strip("[]"),
            int(port),
            ssl=tls,
            backlog=BACKLOG,
            reuse_port=self.brief.processes > 1,
        )

    def _make_link(self) -> H2Link:
        return _Link(self.manners.connection(STREAM_COLUMNS), self)

    # -- time ------------------------------------------------------------------------------------------------------

    def _tick(self) -> None:
        """Release what waits, account for time. A timer a millisecond while answers wait, else ten a second."""
        now_ns = self._clock.now_ns()
        self.front.release(now_ns)
        self._count_time()
        wait_ns = min(max(self.front.next_ns() - now_ns, NS_PER_MS // 4), 20 * NS_PER_MS)
        self._timer = asyncio.get_running_loop().call_later(wait_ns / NS_PER_S, self._tick)

    def noticed(self) -> None:
        """Requests came: the time they take is busy time, from the first of them to the last."""
        now_ns = self._clock.now_ns()
        if not self._first_ns:
            self._first_ns, self._first_cpu_ns = now_ns, time.process_time_ns()
        if now_ns - self._last_ns > _TICK_NS:
            self._last_ns, self._last_cpu_ns = now_ns, time.process_time_ns()
            if self._timer is not None and self.front.next_ns() < now_ns + 2 * NS_PER_MS:
                self._timer.cancel()
                self._tick()

    def _count_time(self) -> None:
        if self.witness is not None and self._last_ns > self._first_ns:
            counters = self.witness.counters
            counters[Counter.BUSY_NS] = self._last_cpu_ns - self._first_cpu_ns
            counters[Counter.WALL_NS] = self._last_ns - self._first_ns

    # -- orders ----------------------------------------------------------------------------------------------------

    def _obey(self, order: dict[str, Any]) -> None:
        links = list(self.front.links.values())
        name = order["order"]
        answer: dict[str, Any] = {"id": order.get("id", 0)}
        if name == "go":
            self.go(int(order["go_ns"]))
        elif name == "behaviour":
            self._behave(order["behaviour"])
        elif name == "goaway":
            for link in links:
                self.manners.send_away(link, order.get("reason", ""), order.get("code", "NO_ERROR"))
        elif name == "close":
            for link in links:
                link.close()
        elif name == "reset":
            for link in links:
                reset_connection(link)
        elif name == "streams":
            self.manners.limit_streams(links, int(order["streams"]))
        elif name == "state":
            answer |= self.state()
        else:
            answer["error"] = f"no such order: {name}"
        _say(answer)

    def go(self, go_ns: int) -> None:
        """Learn the instant of GO: outages and changes of limits count from it, and busy time begins anew."""
        self.front.go_ns = go_ns
        self._first_ns = self._last_ns = 0
        self._plan_limits(self.front.fates.behaviour)

    def _plan_limits(self, behaviour: Behaviour) -> None:
        for handle in self._limits:
            handle.cancel()
        loop, now_ns = asyncio.get_running_loop(), self._clock.now_ns()
        self._limits = [
            loop.call_later(max(0, self.front.go_ns + change.at_ns - now_ns) / NS_PER_S, self._limit, change.streams)
            for change in behaviour.stream_limits
        ]

    def _limit(self, streams: int) -> None:
        self.manners.limit_streams(list(self.front.links.values()), streams)

    def _behave(self, mapping: dict[str, Any]) -> None:
        behaviour = Behaviour.model_validate(mapping)
        before = self.manners.behaviour
        self.manners.behaviour = behaviour
        self.front.behave(self._fates(behaviour), self._intake(behaviour))
        if behaviour.max_concurrent_streams != before.max_concurrent_streams:
            self._limit(behaviour.max_concurrent_streams)
        self._plan_limits(behaviour)

    def state(self) -> dict[str, Any]:
        """Return what is to be known from outside."""
        counters = {}
        if self.witness is not None:
            counters = {counter.name.lower(): int(self.witness.counters[counter]) for counter in Counter}
        usage = resource.getrusage(resource.RUSAGE_SELF)
        return {
            "pid": os.getpid(),
            "requests": self.front.requests,
            "connections": len(self.front.links),
            "streams": sum(link.connection.streams.open for link in self.front.links.values()),
            "witness": counters,
            "cpu_s": usage.ru_utime + usage.ru_stime,
        }


class _Link(H2Link):
    """A connection that its process notices."""

    def __init__(self, connection: Any, serving: Serving) -> None:
        super().__init__(connection, serving.front)
        self._serving = serving

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Welcome the peer."""
        super().connection_made(transport)
        self._serving.front.opened(self)

    def buffer_updated(self, count: int) -> None:
        """Take bytes in."""
        super().buffer_updated(count)
        self._serving.noticed()


def _say(answer: dict[str, Any]) -> None:
    sys.stdout.buffer.write(msgspec.json.encode(answer) + b"\n")
    sys.stdout.buffer.flush()


def main() -> int:
    """Serve until standard input ends; return the exit status."""
    # Ctrl-C is the supervisor's to handle; it ends this process by closing its pipe.
    brief = msgspec.json.decode(sys.stdin.buffer.readline(), type=Brief)
    try:
        serving = Serving(brief)
        uvloop.run(serving.run())
    except (BurstError, OSError) as error:
        _say({"error": str(error)})
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
