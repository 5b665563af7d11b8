"""One serving process of the stand-in: sockets, its part of the witness, and orders from its supervisor.

    python -m burst.provider.serving

reads one JSON line on standard input, its ``Brief``, answers one line when it listens, then obeys one order a line.
End of file on standard input means: stop.
"""

from __future__ import annotations

import asyncio
import os
import resource
import shutil
import ssl
import sys
import time
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import aiofastnet
import msgspec
import uvloop

from burst.model.errors import BurstError
from burst.model.ports import NEVER_NS
from burst.model.units import NS_PER_MS, NS_PER_S
from burst.provider.apple import check_head, duplicated
from burst.provider.behaviour import Behaviour
from burst.provider.busy import BusyTime
from burst.provider.fate import Fates
from burst.provider.front import STREAM_COLUMNS, Front
from burst.provider.intake import Intake
from burst.provider.link import ServedLink
from burst.provider.loose import Caller
from burst.provider.manners import Behaved, reset_connection
from burst.provider.provider_token import TokenCheck, read_keys
from burst.provider.refusal import Refusal
from burst.runs.witness import Counter, WitnessPart
from burst.wire.frames import ErrorCode
from burst.wire.tls import server_context
from burst.wire.transport import hush

BACKLOG = 4096
HANDSHAKE_WITHIN_S = 20.0  # whoever begins TLS and says no more is let go
LONGEST_ORDER = 256 * 2**20  # bytes; a behaviour may name a million dead tokens
_SOONEST_NS, _LATEST_NS = NS_PER_MS // 4, 20 * NS_PER_MS  # between two looks at what waits


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
    ephemeral: str = ""  # a private folder that shall not outlive the stand-in, however its supervisor ends


class _MonotonicClock:
    """The time of this machine."""

    now_ns = staticmethod(time.monotonic_ns)


class Serving:
    """The process's life."""

    def __init__(self, brief: Brief) -> None:
        self.brief = brief
        self._clock = _MonotonicClock()
        self._wall_s = time.time  # what provider tokens are dated by
        behaviour = Behaviour.model_validate(brief.behaviour)
        keys = read_keys(behaviour.keys, Path(brief.folder))
        self.witness = WitnessPart.create(Path(brief.witness), brief.run, brief.audience) if brief.witness else None
        self.manners = Behaved(behaviour, self._clock, brief.seed + brief.process)
        self.manners.tokens = TokenCheck(keys, behaviour.team)
        self.front = Front(self._fates(behaviour), self._intake(behaviour), self.witness, self._clock, self.manners)
        if brief.run:
            self.front.go_ns = NEVER_NS  # a run's outages count from its GO
        self.busy = BusyTime(None if self.witness is None else self.witness.counters)
        self.servers: list[Any] = []
        self._served = 0
        self._timer: asyncio.TimerHandle | None = None
        self._due_ns = 0
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
        def check(fields: Mapping[bytes, bytes], caller: Caller) -> Refusal | None:
            def token_reason(authorization: bytes) -> str | None:
                return self.manners.token_reason(authorization, caller.serial, self._wall_s())

            return check_head(fields, behaviour, token_reason, certificate=caller.certificate)

        return Intake(self.brief.run, check, duplicated, behaviour.max_payload)

    # -- life ------------------------------------------------------------------------------------------------------

    async def run(self, read_already: bytes) -> None:
        """Listen, obey, stop at the end of standard input, of which something may have been read already."""
        hush()
        orders = asyncio.StreamReader(limit=LONGEST_ORDER)
        orders.feed_data(read_already)
        await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(orders), sys.stdin)
        await self.open()
        _say({"ready": True, "pid": os.getpid()})
        try:
            while line := await orders.readline():
                _say(self.obey(line))
        except BrokenPipeError:
            pass  # nobody reads our answers: the supervisor is dead
        self.close()
        if self.brief.ephemeral:
            shutil.rmtree(self.brief.ephemeral, ignore_errors=True)

    async def open(self) -> None:
        """Listen, and begin to keep time. Raises OSError."""
        tls = None
        if self.brief.certificate:
            tls = server_context(self.brief.certificate, self.brief.key, self.brief.client_ca)
        for address in self.brief.listen:
            self.servers.append(await self._listen(address, tls))
        self._plan_limits(self.front.fates.behaviour)
        self._tick()

    def close(self) -> None:
        """Listen no more, and cut every connection off."""
        for server in self.servers:
            server.close()
        for link in list(self.front.links.values()):
            link.abort()
        for handle in (self._timer, *self._limits):
            if handle is not None:
                handle.cancel()
        remove_unix_sockets(self.brief.listen)

    async def _listen(self, address: str, tls: ssl.SSLContext | None) -> Any:
        loop = asyncio.get_running_loop()
        more: dict[str, Any] = {"ssl": tls, "backlog": BACKLOG}
        if tls is not None:
            more["ssl_handshake_timeout"] = HANDSHAKE_WITHIN_S
        if address.startswith("unix:"):
            return await aiofastnet.create_unix_server(loop, self._make_link, address.removeprefix("unix:"), **more)
        host, _, port = address.rpartition(":")
        return await aiofastnet.create_server(
            loop, self._make_link, host.strip("[]"), int(port), reuse_port=self.brief.processes > 1, **more
        )

    def _make_link(self) -> ServedLink:
        return _Link(self.manners.connection(STREAM_COLUMNS), self)

    # -- time ------------------------------------------------------------------------------------------------------

    def _tick(self) -> None:
        """Release what waits, and look again when the next is due."""
        now_ns = self._clock.now_ns()
        self.front.release(now_ns)
        wait_ns = min(max(self.front.next_ns() - now_ns, _SOONEST_NS), _LATEST_NS)
        self._due_ns = now_ns + wait_ns
        self._timer = asyncio.get_running_loop().call_later(wait_ns / NS_PER_S, self._tick)

    def noticed(self) -> None:
        """Bytes came: if they were requests, the time they took was busy time, and an answer may be due soon."""
        front = self.front
        if front.sums.requests == self._served:
            return
        self._served = front.sums.requests
        self.busy.served(self._clock.now_ns())
        if self._timer is not None and front.next_ns() < self._due_ns - _SOONEST_NS:
            self._timer.cancel()
            self._tick()

    # -- orders ----------------------------------------------------------------------------------------------------

    def obey(self, line: bytes) -> dict[str, Any]:
        """Carry out an order, a JSON object; return the answer, which says what is wrong with one that cannot be."""
        order: dict[str, Any] = {}
        try:
            order = msgspec.json.decode(line, type=dict[str, Any])
            more = self._carry_out(order["order"], order)
        except (BurstError, ValueError, KeyError, TypeError) as error:
            more = {"error": str(error) if isinstance(error, (BurstError, ValueError)) else repr(error)}
        return {"id": order.get("id", 0), **more}

    def _carry_out(self, name: str, order: dict[str, Any]) -> dict[str, Any]:
        links = list(self.front.links.values())
        if name == "go":
            self.go(int(order["go_ns"]))
        elif name == "behaviour":
            self._behave(order["behaviour"])
        elif name == "goaway":
            code = str(order.get("code", ""))
            if code and code not in ErrorCode.__members__:
                raise ValueError(f"{code} is no error code of HTTP/2")
            for link in links:
                self.manners.send_away(link, str(order.get("reason", "")), code)
        elif name == "close":
            for link in links:
                link.close()
        elif name == "reset":
            for link in links:
                reset_connection(link)
        elif name == "streams":
            self.manners.limit_streams(links, int(order["streams"]))
        elif name == "state":
            return self.state()
        else:
            raise ValueError(f"no such order: {name}")
        return {"connections": len(links)}

    def go(self, go_ns: int) -> None:
        """Learn the instant of GO: outages and changes of limits count from it, and busy time begins anew."""
        self.front.go_ns = go_ns
        self.busy.begin_at(go_ns)
        self._plan_limits(self.front.fates.behaviour)

    def _plan_limits(self, behaviour: Behaviour) -> None:
        for handle in self._limits:
            handle.cancel()
        self._limits.clear()
        if self.front.go_ns == NEVER_NS:
            return
        loop, now_ns = asyncio.get_running_loop(), self._clock.now_ns()
        for change in behaviour.stream_limits:
            wait_ns = self.front.go_ns + change.at_ns - now_ns
            # What was due before a change of behaviour was due under the one before.
            self._limits.append(loop.call_later(max(0, wait_ns) / NS_PER_S, self._limit, change.streams))

    def _limit(self, streams: int) -> None:
        self.manners.limit_streams(list(self.front.links.values()), streams)

    def _behave(self, mapping: dict[str, Any]) -> None:
        behaviour, before = Behaviour.model_validate(mapping), self.manners.behaviour
        keys = read_keys(behaviour.keys, Path(self.brief.folder))
        if (behaviour.keys, behaviour.team) != (before.keys, before.team):
            self.manners.tokens = TokenCheck(keys, behaviour.team)
        self.front.behave(self._fates(behaviour), self._intake(behaviour))
        self.manners.behave(behaviour, self.front.links.values())
        if behaviour.stream_limits != before.stream_limits:
            self._plan_limits(behaviour)

    def state(self) -> dict[str, Any]:
        """Return what is to be known from outside."""
        counters = {}
        if self.witness is not None:
            counters = {counter.name.lower(): int(self.witness.counters[counter]) for counter in Counter}
        usage = resource.getrusage(resource.RUSAGE_SELF)
        return asdict(self.front.sums) | {
            "pid": os.getpid(),
            "connections": len(self.front.links),
            "streams": sum(link.connection.streams.open for link in self.front.links.values()),
            "witness": counters,
            "busy_ns": self.busy.busy_ns,
            "wall_ns": self.busy.wall_ns,
            "cpu_s": usage.ru_utime + usage.ru_stime,
            "peak_kib": usage.ru_maxrss,
        }


class _Link(ServedLink):
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


def remove_unix_sockets(addresses: Iterable[str]) -> None:
    """Remove what is left in the file system of ``unix:/path`` addresses."""
    for address in addresses:
        if address.startswith("unix:"):
            Path(address.removeprefix("unix:")).unlink(missing_ok=True)


def _read_brief() -> tuple[Brief, bytes]:
    """Read the brief; return it, and what of the orders came with it."""
    read = b""
    while b"\n" not in read:
        more = os.read(0, 1 << 20)
        if not more:
            raise BurstError("nobody says what to serve", hint="burst provider starts this process")
        read += more
    line, _, rest = read.partition(b"\n")
    return msgspec.json.decode(line, type=Brief), rest


def _open_many_files() -> None:
    """Allow as many connections as the system does: the soft limit is often 1,024."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def main() -> int:
    """Serve until standard input ends; return the exit status."""
    # Ctrl-C is the supervisor's to handle; it ends this process by closing its pipe.
    try:
        brief, rest = _read_brief()
        _open_many_files()
        serving = Serving(brief)
        uvloop.run(serving.run(rest))
    except (BurstError, OSError, ValueError) as error:
        _say({"error": str(error)})
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
