"""The coordinator: one run from staging to verdict."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Callable
from dataclasses import asdict, replace

from burst.engine.crew import SAID, Crew, far_of
from burst.engine.go import GoWhen
from burst.engine.last_words import NOTHING, in_one_line
from burst.engine.progress import Progress
from burst.engine.reckoning import Reckoning
from burst.engine.record import Record
from burst.engine.release import Release
from burst.engine.roll_call import RollCall
from burst.engine.run_order import RunOrder
from burst.engine.servers import Servers
from burst.engine.stage import Staged, Staging
from burst.engine.witnessing import Witnessing
from burst.fleet.clock import MonotonicClock, boot_id
from burst.fleet.control import RunSpec
from burst.fleet.latch import Latch
from burst.measure.headway import Headway
from burst.model.errors import BurstError, LatchError, NoGoError
from burst.model.ports import Audience, Sink, StandIn
from burst.model.scenario import SinkChoice
from burst.model.units import NS_PER_S
from burst.runs.folder import RunFolder
from burst.runs.ledger import Ledger
from burst.runs.result import Result

POLL_S = 0.05
LEAVE_WITHIN_S = 10.0
ABORT_WITHIN_S = 0.6


class Coordinator:
    """Runs one ``RunOrder``. Call ``run`` once; ``interrupt`` ends it early and keeps what was measured."""

    def __init__(
        self,
        order: RunOrder,
        audience: Audience,
        go: GoWhen,
        progress: Progress,
        build_sink: Callable[[SinkChoice], Sink],
    ) -> None:
        self._order = order
        self._scenario = order.scenario
        self._audience = audience
        self._go = go
        self._progress = progress
        self._sinks = [build_sink(route.sink) for route in order.scenario.routes]
        self._clock = MonotonicClock()
        self._record = Record(order, progress)
        self._servers = Servers(order.run, order.scenario.queue, order.redis)
        self._crew = Crew(self._record, self._servers, order.scenario.workers.count or os.cpu_count() or 1)
        self._staging: Staging | None = None
        self._staged: Staged | None = None
        self._witnessing: Witnessing | None = None
        self._roll_call: RollCall | None = None
        self._phases: asyncio.Task[None] | None = None

    # -- life ------------------------------------------------------------------------------------------------------

    async def run(self) -> Result:
        """Run to the verdict. Raises BurstError when there is nothing to judge; leaves nothing behind either way."""
        record = self._record
        record.open()
        try:
            self._phases = asyncio.ensure_future(self._all_phases())
            try:
                await self._phases
            except asyncio.CancelledError:
                if not record.interrupted:
                    raise
            except NoGoError as no_go:
                record.interrupted = no_go.what
                self._explain(no_go.hint)
                self._progress.note(no_go.hint)
            return await self._close()
        except BurstError as error:
            record.journal.write("error", str(error))
            if record.closing.go_ns and not record.interrupted:
                # People may have got their push: whatever broke, they are to be accounted for.
                record.interrupted = f"burst failed: {error.what}"
                record.closing = replace(record.closing, cause=in_one_line(str(error)))
                with contextlib.suppress(BurstError):
                    await self._close()
            raise
        finally:
            await self._clean_up()

    async def _all_phases(self) -> None:
        for phase in (self._stage, self._arm, self._release, self._drain):
            await phase()
            if self._record.interrupted:  # a cancellation that a library has swallowed must not end in a GO
                return

    def interrupt(self, why: str) -> None:
        """End the run now, in order: what is settled is kept, the rest is accounted for."""
        if not self._record.interrupted:
            self._record.interrupted = why
            if self._phases is not None:
                self._phases.cancel()

    @property
    def folder(self) -> RunFolder:
        """Where the run's files are, or will be."""
        return RunFolder(self._order.reports / self._order.run)

    def kill(self) -> None:
        """Kill the workers at once; the keeper ends the servers when this process is gone."""
        self._crew.kill()
        if self._witnessing is not None:
            self._witnessing.kill()

    # -- stage -----------------------------------------------------------------------------------------------------

    async def _stage(self) -> None:
        """Bring everybody onto the shards."""
        record, servers = self._record, self._servers
        self._progress.phase("stage", "starting shards")
        record.journal.write("phase", "stage")
        await servers.start()
        record.show_control(servers.control_url)
        await self._refuse_spent_event()
        self._progress.phase("stage", "staging the audience")
        begun_ns = self._clock.now_ns()
        order = self._order
        self._staging = Staging(self._scenario, order.run, servers.urls, order.file, serves=order.serves)
        staged = await self._staging.run(self._audience, self._progress)
        self._staged = staged
        record.closing = replace(
            record.closing,
            stage_s=(self._clock.now_ns() - begun_ns) / NS_PER_S,
            set_aside=self._audience.set_aside_count,
            fingerprint=self._audience.fingerprint,
            shard_memory_mb=await servers.memory_mb(),
        )
        record.journal.write(
            "phase",
            f"staged {staged.people:,} people in {staged.batches:,} batches on {len(servers.urls)} shard(s)",
            people=staged.people,
            batches=staged.batches,
            audience=self._audience.fingerprint,
            set_aside=self._audience.set_aside_count,
        )
        for mistake in self._audience.set_aside[:20]:
            record.journal.write("set_aside", str(mistake))
        self._open_ledger(staged.people)

    async def _refuse_spent_event(self) -> None:
        """Say so before staging when the event's GO is spent already."""
        press = await self._latch().pressed()
        if press is not None:
            raise LatchError(self._order.event, press.by, press.at)

    def _latch(self) -> Latch:
        return Latch(self._order.event, self._order.reports, self._servers.control.link)

    def _open_ledger(self, people: int) -> Ledger:
        return self._record.open_ledger(people, received=all(sink.judge == "provider" for sink in self._sinks))

    # -- arm -------------------------------------------------------------------------------------------------------

    async def _arm(self) -> None:
        """Start the workers, and wait until enough of them are ready."""
        assert self._staged is not None
        record, crew = self._record, self._crew
        self._progress.phase("arm", f"arming {crew.count} worker(s)")
        record.journal.write("phase", "arm")
        begun_ns = self._clock.now_ns()
        stand_in = await self._start_stand_in(self._staged.people)
        await self._servers.control.publish(self._spec(self._staged, stand_in))
        self._divide()
        crew.launch()
        self._roll_call = RollCall(record, crew, self._sinks, self._witnessing)
        await self._roll_call.wait_for_quorum(begun_ns)
        self._roll_call.refuse_uncounted(crew.roster)
        prefetched = sum(report.prefetched for report in crew.roster.values())
        record.closing = replace(record.closing, arm_s=(self._clock.now_ns() - begun_ns) / NS_PER_S)
        record.journal.write(
            "phase", f"{crew.armed()} of {crew.count} worker(s) armed, {prefetched:,} people prefetched"
        )

    async def _start_stand_in(self, people: int) -> StandIn | None:
        """Start the run's own provider, where a sink wants one."""
        plan, record = self._order.stand_in, self._record
        if plan is None:
            return None
        self._progress.phase("arm", "starting the stand-in provider")
        self._witnessing = Witnessing(plan, self._order.run, people, record.folder.path, seed=self._scenario.seed)
        stand_in = await self._witnessing.start()
        told = f"stand-in provider at {stand_in.url}: {plan.processes} process(es)"
        if self._witnessing.control_url:
            told += f", control {self._witnessing.control_url}"
            self._progress.note(told)
        record.journal.write("note", told, url=stand_in.url, processes=plan.processes, tls=plan.tls)
        return stand_in

    def _spec(self, staged: Staged, stand_in: StandIn | None) -> RunSpec:
        """Return what every worker is to know."""
        order, record = self._order, self._record
        return RunSpec(
            run=order.run,
            event=order.event,
            scenario=order.mapping,
            audience=staged.people,
            batches=staged.batches,
            workers=self._crew.count,
            shards=self._servers.urls,
            lanes=list(staged.lanes),
            boot_id=boot_id(),
            ledger=str(record.folder.ledger.resolve()),
            received=str(record.folder.received.resolve()) if record.received else None,
            stand_in=None if stand_in is None else asdict(stand_in),
            permit_hosts=list(order.permit.hosts),
            permit_live=order.permit.live,
        )

    def _divide(self) -> None:
        """Write down how fleet-wide quotas are divided."""
        for sink in self._sinks:
            division = getattr(sink, "division", None)
            text = division(self._crew.count) if division is not None else None
            if text:
                self._record.note(text)

    # -- GO --------------------------------------------------------------------------------------------------------

    async def _release(self) -> None:
        """Give the fleet its GO."""
        assert self._roll_call is not None
        control = self._servers.control
        await Release(self._record, control, self._latch(), self._go, self._roll_call, self._witnessing).run()

    # -- drain -----------------------------------------------------------------------------------------------------

    async def _drain(self) -> None:
        """Watch until everybody is settled."""
        record = self._record
        assert self._staged is not None
        assert record.ledger is not None
        go_ns = record.closing.go_ns
        self._progress.phase("drain", "GO")
        record.journal.write("phase", "drain")
        headway = Headway(
            record.ledger.states,
            self._clock,
            go_ns,
            self._scenario.retry.answer_within_ns,
            by_batch=bool(far_of(await self._servers.control.roster())),
        )
        while True:
            batches, people, accepted = await self._servers.done()
            seen = headway.look(people, accepted)
            self._progress.delivered(seen, self._staged.people, self._clock.now_ns() - go_ns)
            if batches >= self._staged.batches:
                break
            await self._crew.look_after()
            await asyncio.sleep(POLL_S)
        record.journal.write("phase", "settle")
        await self._crew.finish("finish", LEAVE_WITHIN_S)

    # -- settle, report ----------------------------------------------------------------------------------------------

    async def _close(self) -> Result:
        """Account for everybody, and judge; after an interrupt the workers are stopped first."""
        record = self._record
        if record.interrupted:
            await self._abort()
        else:
            self._progress.phase("settle", "closing the books")
        ledger = record.ledger
        if ledger is None:
            people = self._staging.people if self._staging is not None else self._audience.size_hint or 0
            ledger = self._open_ledger(people)
        reckoning = Reckoning(record, self._servers, self._crew, self._sinks, self._witnessing, self._staged)
        return await reckoning.run(ledger)

    async def _abort(self) -> None:
        record = self._record
        if record.closing.go_ns and not record.closing.cause:
            record.closing = replace(record.closing, cause=record.interrupted)
        record.journal.write("operator", f"aborted: {record.interrupted}")
        self._progress.phase("settle", f"aborting: {record.interrupted}")
        with contextlib.suppress(BurstError):
            await self._crew.finish("abort", ABORT_WITHIN_S)
        self._crew.kill()

    def _explain(self, told: str) -> None:
        """Keep what stands below a NO-GO for whoever reads the result: a worker's last words, or what to do."""
        closing = self._record.closing
        said = told.removeprefix(SAID)
        if said == told:
            self._record.closing = replace(closing, hint=in_one_line(told))
        elif said != NOTHING:
            self._record.closing = replace(closing, cause=in_one_line(said))

    async def _clean_up(self) -> None:
        """Leave nothing behind: no process, no key, no server, no socket."""
        await self._crew.end()
        if self._witnessing is not None:
            await self._witnessing.stop()
        lanes = tuple(self._staging.lanes) if self._staging is not None else ()
        await self._servers.close(lanes, until_quiet=self._staged is None)
        self._record.close()
