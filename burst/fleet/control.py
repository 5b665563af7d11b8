"""What crosses between coordinator and workers: the run's spec, orders to all, and each worker's report."""

from __future__ import annotations

from typing import Any

import msgspec

from burst.model.errors import QueueError
from burst.queues.keys import ControlKeys
from burst.queues.link import Link


class RunSpec(msgspec.Struct, frozen=True, kw_only=True):
    """What a worker must know of the run. ``shards`` are URLs, passwords included: it never leaves Redis."""

    run: str
    event: str
    scenario: dict[str, Any]
    audience: int
    batches: int
    workers: int
    shards: list[str]
    lanes: list[str]
    boot_id: str
    ledger: str
    received: str | None
    stand_in: dict[str, Any] | None = None  # fields of ports.StandIn
    permit_hosts: list[str] = []
    permit_live: bool = False


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """One order: go, abort, finish, pause or resume. GO names its instant on both clocks."""

    order: str
    go_ns: int = 0  # CLOCK_MONOTONIC of the machine with ``boot_id``
    go_server_ns: int = 0  # the control shard's TIME
    boot_id: str = ""


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """A worker's latest word of itself."""

    worker: int
    state: str  # joined | armed | released | left | failed
    host: str = ""
    pid: int = 0
    boot_id: str = ""
    consumer: str = ""
    prefetched: int = 0
    release_ns: int = 0  # after the instant of GO
    loop_lag_ms_p99: float = 0.0
    cpu_s: float = 0.0
    wall_s: float = 0.0
    starved_s: float = 0.0  # idle while people were due: a sink had no room for them
    peak_rss_mb: float = 0.0
    clock_uncertainty_ms: float = 0.0
    traced: str = ""  # what its tracers found; empty: it sent none
    no_go: bool = False  # its error forbids GO, whatever the quorum says
    late_answers: int = 0
    possible_duplicates: int = 0
    error: str = ""


class Control:
    """One process's line to the control shard."""

    def __init__(self, url: str, run: str) -> None:
        self.keys = ControlKeys(run)
        self.link = Link(url)
        self._last_order = "0-0"

    async def connect(self) -> Control:
        """Connect. Raises QueueError."""
        await self.link.connect()
        return self

    async def publish(self, spec: RunSpec) -> None:
        """Write the spec, for workers to join."""
        await self.link.call("SET", self.keys.spec, msgspec.json.encode(spec))

    async def spec(self) -> RunSpec:
        """Read the spec. Raises QueueError when there is no such run."""
        raw = await self.link.call("GET", self.keys.spec)
        if raw is None:
            raise QueueError(f"run {self.keys.run!r} is not on Redis at {self.link.server}", hint="has it ended?")
        return msgspec.json.decode(raw, type=RunSpec)

    async def order(self, order: Order) -> None:
        """Give an order to all workers."""
        await self.link.call("XADD", self.keys.orders, "*", "o", msgspec.json.encode(order))

    async def next_orders(self, within_ms: int) -> list[Order]:
        """Wait for orders not seen yet; return them, or [] when none came in time."""
        answer = await self.link.call("XREAD", "BLOCK", within_ms, "STREAMS", self.keys.orders, self._last_order)
        orders = []
        for entry_id, fields in answer[0][1] if answer else ():
            self._last_order = entry_id.decode()
            orders.append(msgspec.json.decode(fields[1], type=Order))
        return orders

    async def report(self, report: Report) -> None:
        """Say how this worker is."""
        await self.link.call("HSET", self.keys.roster, report.worker, msgspec.json.encode(report))

    async def roster(self) -> dict[int, Report]:
        """Read every worker's latest report."""
        flat = await self.link.call("HGETALL", self.keys.roster)
        reports = (msgspec.json.decode(raw, type=Report) for raw in flat[1::2])
        return {report.worker: report for report in reports}

    async def beat(self, lasts_ms: int) -> None:
        """Show that the coordinator lives."""
        await self.link.call("SET", self.keys.coordinator, "1", "PX", lasts_ms)

    async def coordinator_alive(self) -> bool:
        """Whether the coordinator has shown so lately."""
        return bool(await self.link.call("EXISTS", self.keys.coordinator))

    async def next_epoch(self) -> int:
        """Return a number that no other lease of the run has."""
        return int(await self.link.call("INCR", self.keys.epoch))

    async def remove(self) -> None:
        """Remove the run's control keys."""
        keys = self.keys
        every = (keys.spec, keys.orders, keys.roster, keys.epoch, keys.coordinator, keys.shared)
        await self.link.call("UNLINK", *every)

    async def close(self) -> None:
        """Close the connection. Safe to call twice."""
        await self.link.close()
