"""One serving process of the stand-in: sockets, its part of the witness, and orders from its supervisor.

    python -m burst.provider.serving

reads one JSON line on standard input, its ``Brief``, answers one line when it listens, then obeys one order a line.
End of file on standard input means: stop.
"""

from __future__ import annotations

import asyncio
import gc
import os
import resource
import shutil
import sys
import time
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import aiofastnet
import msgspec
import uvloop

from burst.model.errors import BurstError
from burst.model.ports import NEVER_NS
from burst.model.units import NS_PER_MS, NS_PER_S
from burst.provider.behaviour import Behaviour
from burst.provider.busy import BusyTime
from burst.provider.desk import Means
from burst.provider.desks import PROTOCOLS, make_desk, split_listen
from burst.provider.visit import Sums
from burst.runs.witness import Counter, WitnessPart
from burst.wire.tls import server_context
from burst.wire.transport import hush

BACKLOG = 4096
HANDSHAKE_WITHIN_S = 20.0  # whoever begins TLS and says no more is let go
LONGEST_ORDER = 256 * 2**20  # bytes; a behaviour may name a million dead tokens
_SOONEST_NS, _LATEST_NS = NS_PER_MS // 4, 20 * NS_PER_MS  # between two looks at what waits
_PAUSE_FOR_COST = 4  # after a look that took a while, four times that: a fifth of the time goes into looking
_PAUSE_AT_MOST_NS = 2 * NS_PER_MS


class Brief(msgspec.Struct, frozen=True, kw_only=True):
    """What a serving process must know. ``listen`` are ``dialect=host:port`` or ``dialect=unix:/path``."""

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
    aws_file: str = ""
    google_file: str = ""
    ephemeral: str = ""  # a private folder that shall not outlive the stand-in, however its supervisor ends


class _MonotonicClock:
    """The time of this machine."""

    now_ns = staticmethod(time.monotonic_ns)


class Serving:
    """The process's life: a desk for each dialect it listens for, one witness, one timer."""

    def __init__(self, brief: Brief) -> None:
        self.brief = brief
        self._clock = _MonotonicClock()
        self._wall_s = time.time
        behaviour = Behaviour.model_validate(brief.behaviour)
        self.witness = WitnessPart.create(Path(brief.witness), brief.run, brief.audience) if brief.witness else None
        self._listens = [split_listen(text) for text in brief.listen]
        self.desks = {dialect: make_desk(behaviour, self._means(dialect)) for dialect, _ in self._listens}
        if brief.run:
            for desk in self.desks.values():
                desk.go(NEVER_NS)  # a run's outages count from its GO
        self.busy = BusyTime(None if self.witness is None else self.witness.counters)
        self.servers: list[Any] = []
        self._served = 0
        self._looks = False  # at what was served in this turn of the loop, when it ends
        self._timer: asyncio.TimerHandle | None = None
        self._due_ns = 0
        self._pause_ns = _SOONEST_NS

    def _means(self, dialect: str) -> Means:
        brief = self.brief
        return Means(
            dialect,
            self._clock,
            self._now_s,
            brief.run,
            self.witness,
            brief.seed,
            self.noticed,
            process=brief.process,
            processes=brief.processes,
            dead_since_ms=brief.dead_since_ms,
            folder=Path(brief.folder),
            aws_file=brief.aws_file,
            google_file=brief.google_file,
            of_run=bool(brief.run),
        )

    def _now_s(self) -> float:
        return self._wall_s()

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
        for dialect, address in self._listens:
            self.servers.append(await self._listen(dialect, address))
        if not self.brief.run:
            for desk in self.desks.values():
                desk.go(self._clock.now_ns())
        self._tick()

    def close(self) -> None:
        """Listen no more, and cut every connection off."""
        for server in self.servers:
            server.close()
        for desk in self.desks.values():
            desk.close()
        if self._timer is not None:
            self._timer.cancel()
        remove_unix_sockets([address for _, address in self._listens])

    async def _listen(self, dialect: str, address: str) -> Any:
        loop, brief, make = asyncio.get_running_loop(), self.brief, self.desks[dialect].make_link
        more: dict[str, Any] = {"ssl": None, "backlog": BACKLOG}
        if brief.certificate:
            more["ssl"] = server_context(brief.certificate, brief.key, brief.client_ca, protocols=PROTOCOLS[dialect])
            more["ssl_handshake_timeout"] = HANDSHAKE_WITHIN_S
        if address.startswith("unix:"):
            return await aiofastnet.create_unix_server(loop, make, address.removeprefix("unix:"), **more)
        host, _, port = address.rpartition(":")
        return await aiofastnet.create_server(
            loop, make, host.strip("[]"), int(port), reuse_port=brief.processes > 1, **more
        )

    # -- time ------------------------------------------------------------------------------------------------------

    def _next_ns(self) -> int:
        return min(desk.next_ns() for desk in self.desks.values())

    def _tick(self) -> None:
        """Release what waits, and look again when the next is due."""
        begun_ns = self._clock.now_ns()
        for desk in self.desks.values():
            desk.release(begun_ns)
        now_ns = self._clock.now_ns()
        # What waits in large numbers is due at every instant: released too often, it would cost more than it is.
        self._pause_ns = min(max(_PAUSE_FOR_COST * (now_ns - begun_ns), _SOONEST_NS), _PAUSE_AT_MOST_NS)
        self._plan_tick(now_ns)

    def _plan_tick(self, now_ns: int) -> None:
        wait_ns = min(max(self._next_ns() - now_ns, self._pause_ns), _LATEST_NS)
        self._due_ns = now_ns + wait_ns
        self._timer = asyncio.get_running_loop().call_later(wait_ns / NS_PER_S, self._tick)

    def noticed(self) -> None:
        """Bytes came: when the loop has read every connection, look what they were."""
        if not self._looks:
            self._looks = True
            asyncio.get_running_loop().call_soon(self._look)

    def _look(self) -> None:
        """If requests came, the time they took was busy time, and an answer may be due soon."""
        self._looks = False
        served = self._requests()
        if served == self._served:
            return
        self._served = served
        now_ns = self._clock.now_ns()
        self.busy.served(now_ns)
        if self._timer is not None and self._next_ns() < self._due_ns - self._pause_ns:
            self._timer.cancel()
            self._plan_tick(now_ns)

    def _requests(self) -> int:
        requests = 0
        for desk in self.desks.values():
            requests += desk.sums.requests
        return requests

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
        connections = sum(len(desk.links) for desk in self.desks.values())
        if name == "go":
            self.go(int(order["go_ns"]))
        elif name == "behaviour":
            behaviour = Behaviour.model_validate(order["behaviour"])
            for desk in self.desks.values():
                desk.behave(behaviour)
        elif name in {"goaway", "close", "reset", "streams"}:
            for desk in self.desks.values():
                desk.order(name, order)
        elif name == "state":
            return self.state()
        else:
            raise ValueError(f"no such order: {name}")
        return {"connections": connections}

    def go(self, go_ns: int) -> None:
        """Learn the instant of GO: outages and changes of limits count from it, and busy time begins anew."""
        for desk in self.desks.values():
            desk.go(go_ns)
        self.busy.begin_at(go_ns)

    def state(self) -> dict[str, Any]:
        """Return what is to be known from outside."""
        counters = {}
        if self.witness is not None:
            counters = {counter.name.lower(): int(self.witness.counters[counter]) for counter in Counter}
        usage = resource.getrusage(resource.RUSAGE_SELF)
        desks = self.desks.values()
        sums = {name: sum(getattr(desk.sums, name) for desk in desks) for name in Sums.__slots__}
        return sums | {
            "pid": os.getpid(),
            "connections": sum(len(desk.links) for desk in desks),
            "streams": sum(desk.open_requests() for desk in desks),
            "dialects": {dialect: asdict(desk.sums) for dialect, desk in self.desks.items()},
            "witness": counters,
            "busy_ns": self.busy.busy_ns,
            "wall_ns": self.busy.wall_ns,
            "cpu_s": usage.ru_utime + usage.ru_stime,
            "peak_kib": usage.ru_maxrss,
        }


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
        gc.collect()
        gc.freeze()  # the program stays: a collection of all generations would stop it for 25 ms to look through it
        uvloop.run(serving.run(rest))
    except BurstError as error:
        _say({"error": error.what, "hint": error.hint})
        return 1
    except OSError as error:
        _say({"error": str(error), "hint": "is its address taken?"})
        return 1
    except ValueError as error:
        _say({"error": str(error)})
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
