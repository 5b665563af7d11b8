"""A worker: joins a run, arms, waits for GO, pumps until the coordinator says finish."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import resource
import socket
import tempfile
from collections.abc import Callable
from pathlib import Path

from burst.engine.loop_lag import LoopLag
from burst.engine.pump import SHARED_LEDGER, Pump, PumpSettings
from burst.engine.slots import Slots
from burst.fleet.clock import MonotonicClock, Offset, boot_id, measure_offset
from burst.fleet.control import Control, Order, Report, RunSpec
from burst.fleet.heartbeat import Heartbeat
from burst.fleet.share import FleetShare
from burst.model.batch import Platform
from burst.model.errors import BurstError, LeaseLostError, QueueError, TracerError
from burst.model.ports import NEVER_NS, Permit, Sink, SinkContext, StandIn, Tracing
from burst.model.scenario import Scenario, SinkChoice
from burst.model.units import NS_PER_MS, NS_PER_S
from burst.policy.pacing import Pace
from burst.policy.placement import Placement
from burst.policy.projection import deadlines_of, expire_after_ns
from burst.policy.routing import Router
from burst.queues.keys import ShardKeys
from burst.queues.shard import Lease, Settlement, Shard
from burst.runs.ledger import Ledger, MappedBytes

READ_BATCHES = 24  # about a megabyte an answer
LOOK_EVERY_S = 0.2
ABORT_DRAIN_S = 0.25


class Worker:
    """One worker process's life. ``build_sink`` turns a route's sink into the thing itself."""

    def __init__(
        self,
        spec: RunSpec,
        scenario: Scenario,
        index: int,
        control: Control,
        build_sink: Callable[[SinkChoice], Sink],
    ) -> None:
        self.spec = spec
        self.scenario = scenario
        self.index = index
        self.control = control
        self.clock = MonotonicClock()
        self._build_sink = build_sink
        self._pace = Pace(scenario.rate_per_s)
        self._placement = Placement(len(spec.shards))
        self._home = self._placement.home_of(index)
        self._own = self._placement.own_of(index, spec.workers)
        self._local = spec.boot_id == boot_id()
        self._changed = asyncio.Event()
        self._go: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._ending: str | None = None
        self._settlements: asyncio.Queue[tuple[int, int, Settlement]] = asyncio.Queue()  # epoch, shard
        self._settle_no = dict.fromkeys(self._home, 0)
        self._offset = Offset(0, 0)
        self._lag = LoopLag()
        self._prefetched = 0
        self._traced = ""
        self._release_ns = 0
        self._go_cpu = self._go_wall = 0
        self._last_cpu = self._last_wall = 0  # at the last settlement: idling for the order to finish is not work
        self._orders = control

    def listen_on(self, orders: Control) -> None:
        """Wait for orders on a connection of their own: a blocking read would hold up every report."""
        self._orders = orders

    # -- life --------------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Live: open, arm, wait for GO, pump, settle, leave. Raises BurstError."""
        async with contextlib.AsyncExitStack() as stack:
            await self._open(stack)
            await self._report("joined")
            async with asyncio.TaskGroup() as tasks:
                background = [tasks.create_task(self._listen()), tasks.create_task(self._lag.watch())]
                try:
                    await self._arm()
                    go_ns = await self._wait_for_go()
                    if go_ns:
                        background.append(tasks.create_task(self._fetch()))
                        background.append(tasks.create_task(self._settle_all()))
                        await self._pump_until_told(go_ns)
                    await self._report("left")
                finally:
                    for task in background:
                        task.cancel()

    async def _open(self, stack: contextlib.AsyncExitStack) -> None:
        spec = self.spec
        self._offset = await measure_offset(self.control.link)
        folder = None if self._local else Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="burst-worker-")))
        if folder is None:
            self.ledger = Ledger(Path(spec.ledger), spec.audience)
        else:
            self.ledger = Ledger(folder / "ledger.bin", spec.audience, create=True)
        stack.callback(self.ledger.close)
        received = None
        if spec.received is not None and self._local:
            mapped = MappedBytes(Path(spec.received), spec.audience, create=False)
            stack.callback(mapped.close)
            received = mapped.column
        self.shards = [Shard(url, ShardKeys(spec.run, number), spec.lanes) for number, url in enumerate(spec.shards)]
        for shard in self.shards:
            stack.push_async_callback(shard.close)
            await shard.open()
        self.sinks = [self._build_sink(route.sink) for route in self.scenario.routes]
        share = FleetShare(self.control)
        stack.push_async_callback(share.close)
        context = SinkContext(
            spec.run,
            spec.event,
            spec.audience,
            self.scenario.seed,
            self.index,
            spec.workers,
            self.clock,
            received,
            wake=self._changed.set,
            answer_within_ns=self.scenario.retry.answer_within_ns,
            stand_in=StandIn(**spec.stand_in) if spec.stand_in is not None else None,
            share=share,
            permit=Permit(tuple(spec.permit_hosts), spec.permit_live),
        )
        for sink in self.sinks:
            stack.push_async_callback(sink.close)
            await sink.open(context)
        await self._join(stack)
        self._make_pump()

    async def _join(self, stack: contextlib.AsyncExitStack | None = None) -> None:
        epoch = await self.control.next_epoch()
        lease = Lease(f"w{self.index}-{epoch}" + (SHARED_LEDGER if self._local else "-away"), epoch)
        keys = [(url, ShardKeys(self.spec.run, number)) for number, url in enumerate(self.spec.shards)]
        self.heartbeat = Heartbeat(keys, lease, self.scenario.queue.lease_ns)
        await asyncio.to_thread(self.heartbeat.begin)
        if stack is not None:
            stack.callback(lambda: self.heartbeat.end())  # noqa: PLW0108 (a later heartbeat may stand in its place)
        self._settle_no = dict.fromkeys(self._home, 0)

    def _make_pump(self) -> None:
        scenario = self.scenario
        largest = max(scenario.batching.size(platform) for platform in Platform)
        smallest = min(scenario.batching.size(platform) for platform in Platform)
        people = max(scenario.workers.window, self._prefetch_allowed())
        count = max(READ_BATCHES * 4, people // smallest + READ_BATCHES)
        self.slots = Slots(count, largest)
        settings = PumpSettings(
            self.index,
            self._home,
            scenario.retry,
            expire_after_ns(scenario),
            self._pace,
            tuple(deadlines_of(scenario).values()),
            self._local,
            scenario.seed,
        )
        self.pump = Pump(
            settings,
            self.slots,
            self.sinks,
            Router(scenario.routes, scenario.seed),
            self.ledger,
            self.clock,
            lambda: self.heartbeat.valid_until_ns,
            lambda shard, settlement: self._settlements.put_nowait((self.heartbeat.lease.epoch, shard, settlement)),
        )
        self.pump.join(self.heartbeat.lease.consumer)

    # -- before GO -----------------------------------------------------------------------------------------------

    async def _arm(self) -> None:
        """Send the tracers, prefetch this worker's part, and say that it is ready."""
        if self.index == 0:
            tracing = [sink for sink in self.sinks if isinstance(sink, Tracing)]
            self._traced = "; ".join([await sink.trace() for sink in tracing])
        allowed = self._prefetch_allowed()
        largest = max(self.scenario.batching.size(platform) for platform in Platform)
        # Its own shards in turn, as they are read later; the others' when these are empty.
        for numbers in (self._own, self._home):
            chunk = max(1, READ_BATCHES // len(numbers))
            while going := [number for number in numbers if not self.shards[number].drained]:
                for number in going:
                    room = (allowed - self.pump.people) // largest
                    if room <= 0:
                        break
                    await self.shards[number].request(self.heartbeat.lease, min(room, chunk))
                    self.pump.accept(number, await self.shards[number].collect())
                if room <= 0:
                    break
        self._prefetched = self.pump.people
        gc.collect()  # 25 ms, which it would take at some time after GO
        gc.freeze()  # and what stands now will stand to the end: it need not be looked through again
        await self._report("armed")

    def _prefetch_allowed(self) -> int:
        return int(self.scenario.arm.prefetch * self.spec.audience / self.spec.workers)

    async def _wait_for_go(self) -> int:
        """Wait for GO's instant; return it, or 0 when the run ended before."""
        go_ns = await self._go
        if not go_ns:
            return 0
        self.pump.go_ns = go_ns
        for sink in self.sinks:
            sink.released(go_ns)
        # A timer is good to a millisecond or so: sleep until shortly before, then watch the clock.
        while (left := go_ns - self.clock.now_ns()) > 3 * NS_PER_MS:  # noqa: ASYNC110 (a date, not an event)
            await asyncio.sleep((left - 2 * NS_PER_MS) / NS_PER_S)
        while self.clock.now_ns() < go_ns:
            pass
        self._release_ns = self.clock.now_ns() - go_ns
        self._go_wall = self.clock.now_ns()
        self._go_cpu = _cpu_ns()
        self._lag.reset()
        return go_ns

    async def _listen(self) -> None:
        """Follow the coordinator's orders; end when it is gone: a fleet that nobody can stop must not go on."""
        silent = 0
        while True:
            for order in await self._orders.next_orders(250):
                self._obey(order)
            silent = 0 if await self._orders.coordinator_alive() else silent + 1
            if silent >= 3:
                raise QueueError("the coordinator is gone", hint="what was settled is kept; nothing more is sent")

    def _obey(self, order: Order) -> None:
        if order.order == "go" and not self._go.done():
            same_machine = order.boot_id == boot_id()
            self._go.set_result(order.go_ns if same_machine else order.go_server_ns - self._offset.offset_ns)
        elif order.order in {"abort", "finish"}:
            self._ending = order.order
            if not self._go.done():
                self._go.set_result(0)
        elif order.order in {"pause", "resume"}:
            self.pump.paused = order.order == "pause"
        self._changed.set()

    # -- after GO --------------------------------------------------------------------------------------------------

    async def _pump_until_told(self, go_ns: int) -> None:
        self.pump.go_ns = go_ns
        while self._ending is None:
            if self.heartbeat.lost:
                await self._rejoin()
            if self.pump.step():
                await asyncio.sleep(0)
            else:
                await self._nap(self.pump.next_ns())
        if self._ending == "abort":
            until_ns = self.clock.now_ns() + int(ABORT_DRAIN_S * NS_PER_S)
            while self.pump.people and self.clock.now_ns() < until_ns:
                self.pump.step(sending=False)
                await self._nap(min(self.pump.next_ns(), until_ns))
            self.pump.abort()
        await self._settlements.join()

    async def _nap(self, until_ns: int) -> None:
        """Sleep until a time, or until something arrives."""
        self._changed.clear()
        wait_s = min(max(until_ns - self.clock.now_ns(), 0), NS_PER_S // 4) / NS_PER_S if until_ns < NEVER_NS else 0.25
        handle = asyncio.get_running_loop().call_later(wait_s, self._changed.set)
        await self._changed.wait()
        handle.cancel()

    async def _rejoin(self) -> None:
        """Drop everything and come back as a new consumer: the lease was lost (a pause, a partition)."""
        self.pump.drop()
        await asyncio.to_thread(self.heartbeat.end)
        await self._join()
        self.pump.join(self.heartbeat.lease.consumer)

    async def _fetch(self) -> None:
        """Keep the window full: home shard first, then the others'; look after the dead in between."""
        looked_ns = 0
        while True:
            await self._read_out(self._own)
            for number in self._home:
                await self._read_out((number,))
            if self.clock.now_ns() - looked_ns >= LOOK_EVERY_S * NS_PER_S:
                looked_ns = self.clock.now_ns()
                await self._take_over()
            await asyncio.sleep(LOOK_EVERY_S / 4)
            for shard in self.shards:
                shard.look_again()

    async def _read_out(self, numbers: tuple[int, ...]) -> None:
        """Read shards in turn until they are empty, one request ahead of what is being taken in."""
        whole = READ_BATCHES if numbers[0] == self._home[0] else READ_BATCHES // 4
        batches = max(1, whole // len(numbers))
        looked_ns = self.clock.now_ns()
        while going := [number for number in numbers if not self.shards[number].drained or self.shards[number].waiting]:
            for number in going:
                await self._read_some(number, batches)
            if self.clock.now_ns() - looked_ns >= LOOK_EVERY_S * NS_PER_S:
                looked_ns = self.clock.now_ns()
                await self._take_over()

    async def _read_some(self, number: int, batches: int) -> None:
        """Take in one answer of a shard, its next request being on the way; wait a little where there is no room."""
        shard = self.shards[number]
        if self._room() < batches * (shard.waiting + 1) and not shard.waiting:
            await asyncio.sleep(0.001)
            return
        lease = self.heartbeat.lease
        while shard.waiting < 2 and not shard.drained and self._room() >= batches * (shard.waiting + 1):
            await shard.request(lease, batches)
        held = await shard.collect()
        if lease.epoch == self.heartbeat.lease.epoch and not self.heartbeat.lost:
            self.pump.accept(number, held)
            self._changed.set()

    def _room(self) -> int:
        """How many more batches may be held."""
        left = self.scenario.workers.window - self.pump.people
        return min(self.slots.free, max(0, left) // max(1, self.scenario.batching.android))

    async def _take_over(self) -> None:
        """Take the batches of workers whose lease is over."""
        for number in self._home:
            room = min(self._room(), READ_BATCHES)
            if room <= 0 or self.heartbeat.lost:
                return
            try:
                held = await self.shards[number].take_over(self.heartbeat.lease, room)
            except LeaseLostError:
                self.heartbeat.lost = True
                return
            if held:
                self.pump.accept(number, held)
                self._changed.set()

    async def _settle_all(self) -> None:
        """Make finished batches durable, in order."""
        while True:
            epoch, number, settlement = await self._settlements.get()
            try:
                if epoch != self.heartbeat.lease.epoch:
                    continue  # of a lease that is over: others have these batches
                self._settle_no[number] += 1
                await self.shards[number].settle(self.heartbeat.lease, self._settle_no[number], settlement)
            except LeaseLostError:
                self.heartbeat.lost = True  # others have these batches: they go on from the ledger
                self._changed.set()
            finally:
                self._last_cpu, self._last_wall = _cpu_ns(), self.clock.now_ns()
                self._settlements.task_done()

    # -- telling ---------------------------------------------------------------------------------------------------

    async def _report(self, state: str, error: str = "") -> None:
        wall_ns = self._last_wall - self._go_wall if self._last_wall else 0
        cpu_ns = self._last_cpu - self._go_cpu if self._last_wall else 0
        await self.control.report(
            Report(
                worker=self.index,
                state=state,
                host=socket.gethostname(),
                pid=os.getpid(),
                boot_id=boot_id(),
                consumer=self.heartbeat.lease.consumer,
                prefetched=self._prefetched,
                release_ns=self._release_ns,
                loop_lag_ms_p99=self._lag.p99_ms(),
                cpu_s=cpu_ns / NS_PER_S,
                wall_s=wall_ns / NS_PER_S,
                starved_s=self.pump.starved_ns / NS_PER_S,
                peak_rss_mb=peak_rss_mb(),
                clock_uncertainty_ms=0.0 if self._local else self._offset.uncertainty_ns / NS_PER_MS,
                late_answers=self.pump.counters["late_answers"],
                possible_duplicates=self.pump.counters["possible_duplicates"],
                traced=self._traced,
                error=error,
            )
        )


def _cpu_ns() -> int:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return int((usage.ru_utime + usage.ru_stime) * NS_PER_S)


def peak_rss_mb() -> float:
    """Return this process's peak resident memory in MB. VmHWM, not ru_maxrss: that one inherits the parent's."""
    try:
        status = Path("/proc/self/status").read_text()
        return int(status.partition("VmHWM:")[2].split()[0]) * 1024 / 1e6
    except (OSError, IndexError, ValueError):
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6


async def run_worker(
    url: str,
    run: str,
    index: int,
    read_scenario: Callable[[dict[str, object]], Scenario],
    build_sink: Callable[[SinkChoice], Sink],
) -> None:
    """Join a run and serve it to its end. Raises BurstError."""
    control = await Control(url, run).connect()
    # The listener blocks on its connection; reports and epochs need one of their own.
    orders = await Control(url, run).connect()
    try:
        spec = await control.spec()
        worker = Worker(spec, read_scenario(spec.scenario), index, control, build_sink)
        worker.listen_on(orders)
        await worker.run()
    except* BurstError as group:
        first: BaseException = group
        while isinstance(first, BaseExceptionGroup):
            first = first.exceptions[0]
        with contextlib.suppress(BurstError):
            no_go = isinstance(first, TracerError)
            await control.report(Report(worker=index, state="failed", pid=os.getpid(), error=str(first), no_go=no_go))
        raise first from None
    finally:
        await control.close()
        await orders.close()
