"""The coordinator: one run from staging to verdict."""

from __future__ import annotations

import asyncio
import contextlib
import os
import platform
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec

from burst.engine.books import Books
from burst.engine.closing import Closing, close_books
from burst.engine.go import GoWhen
from burst.engine.last_words import NOTHING, in_one_line, last_words
from burst.engine.progress import Progress
from burst.engine.settling import decode_deltas
from burst.engine.stage import Staged, Staging
from burst.engine.witnessing import StandInPlan, Testimony, Witnessing
from burst.fleet.clock import MonotonicClock, boot_id, measure_offset
from burst.fleet.control import Control, Order, Report, RunSpec
from burst.fleet.latch import Latch, Press
from burst.fleet.launcher import Launcher
from burst.measure.headway import Headway
from burst.model.batch import Platform
from burst.model.errors import BurstError, LatchError, NoGoError, QueueError
from burst.model.ports import Audience, Permit, Sink, StandIn, Tracing
from burst.model.scenario import Scenario, SinkChoice
from burst.model.units import NS_PER_MS, NS_PER_S
from burst.policy.criteria_counted import needs_counting
from burst.policy.projection import deadlines_of
from burst.queues.embedded import EmbeddedShards
from burst.queues.keys import ControlKeys, ShardKeys
from burst.queues.link import Link, owner_of, redacted, without_passwords
from burst.runs.files import write_undelivered
from burst.runs.folder import RunFolder
from burst.runs.journal import Journal, utc_text
from burst.runs.ledger import Ledger, MappedBytes
from burst.runs.result import Result

GO_LEAD_NS = 30 * NS_PER_MS  # an order crosses in well under a millisecond; this leaves room for a busy machine
LATE_NS = NS_PER_S  # a fleet armed later than this after its date does not send: the moment has passed
POLL_S = 0.05
LEAVE_WITHIN_S = 10.0
ABORT_WITHIN_S = 0.6
BEAT_LASTS_MS = 2000
_SAID = "a worker said: "


@dataclass(frozen=True, slots=True)
class RunOrder:
    """What is to be run, under which names, and where its files go."""

    scenario: Scenario
    mapping: dict[str, Any]
    text: str
    file: str
    run: str
    event: str
    reports: Path
    redis: tuple[str, ...] = ()
    permit: Permit = field(default_factory=Permit)
    stand_in: StandInPlan | None = None
    serves: tuple[tuple[Platform, ...] | None, ...] = ()  # the platforms that each route's sink is for; None: all


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
        self._date_ns = go.at_epoch_ns
        self._progress = progress
        self._sinks = [build_sink(route.sink) for route in order.scenario.routes]
        self._clock = MonotonicClock()
        self._embedded: EmbeddedShards | None = None
        self._launcher: Launcher | None = None
        self._control: Control | None = None
        self._urls: list[str] = []
        self._control_url = ""
        self._servers: list[str] = []
        self._links: list[Link] = []
        self._staging: Staging | None = None
        self._staged: Staged | None = None
        self._ledger: Ledger | None = None
        self._received: MappedBytes | None = None
        self._witnessing: Witnessing | None = None
        self._phases: asyncio.Task[None] | None = None
        self._interrupted = ""
        self._dead: set[int] = set()
        self._closing = Closing(started_at=utc_text(datetime.now(UTC)))
        self._roster: dict[int, Report] = {}
        self._stack = contextlib.AsyncExitStack()
        self._workers = order.scenario.workers.count or os.cpu_count() or 1

    # -- life ------------------------------------------------------------------------------------------------------

    async def run(self) -> Result:
        """Run to the verdict. Raises BurstError when there is nothing to judge; leaves nothing behind either way."""
        order = self._order
        self.folder = RunFolder.create(order.reports, order.run)
        # A URL of a server may hold a password; the copies in the run folder must not.
        self.folder.scenario.write_text(without_passwords(order.text), encoding="utf-8")
        effective = without_passwords(msgspec.json.encode(order.mapping).decode())
        self.folder.effective.write_bytes(msgspec.json.format(effective.encode(), indent=2))
        self._journal = Journal(self.folder.journal)
        try:
            self._phases = asyncio.ensure_future(self._all_phases())
            try:
                await self._phases
            except asyncio.CancelledError:
                if not self._interrupted:
                    raise
            except NoGoError as no_go:
                self._interrupted = no_go.what
                self._explain(no_go.hint)
                self._progress.note(no_go.hint)
            return await self._close()
        except BurstError as error:
            self._journal.write("error", str(error))
            if self._closing.go_ns and not self._interrupted:
                # People may have got their push: whatever broke, they are to be accounted for.
                self._interrupted = f"burst failed: {error.what}"
                self._closing = replace(self._closing, cause=in_one_line(str(error)))
                with contextlib.suppress(BurstError):
                    await self._close()
            raise
        finally:
            await self._clean_up()

    def interrupt(self, why: str) -> None:
        """End the run now, in order: what is settled is kept, the rest is accounted for."""
        if not self._interrupted:
            self._interrupted = why
            if self._phases is not None:
                self._phases.cancel()

    def _explain(self, told: str) -> None:
        """Keep what stands below a NO-GO for whoever reads the result: a worker's last words, or what to do."""
        said = told.removeprefix(_SAID)
        if said == told:
            self._closing = replace(self._closing, hint=in_one_line(told))
        elif said != NOTHING:
            self._closing = replace(self._closing, cause=in_one_line(said))

    def kill(self) -> None:
        """Kill the workers at once; the keeper ends the servers when this process is gone."""
        if self._launcher is not None:
            self._launcher.kill()
        if self._witnessing is not None:
            self._witnessing.kill()

    async def _all_phases(self) -> None:
        for phase in (self._stage, self._arm, self._release, self._drain):
            await phase()
            if self._interrupted:  # a cancellation that a library has swallowed must not end in a GO
                return

    # -- stage -----------------------------------------------------------------------------------------------------

    async def _stage(self) -> None:
        queue = self._scenario.queue
        self._progress.phase("stage", "starting shards")
        self._journal.write("phase", "stage")
        redis = self._order.redis or queue.redis
        if redis:
            self._urls = [
                await owner_of(redis[shard % len(redis)], ShardKeys(self._order.run, shard).settled)
                for shard in range(max(queue.shards, len(redis)))
            ]
            self._servers = [redacted(url) for url in self._urls]
            self._control_url = await owner_of(redis[0], ControlKeys(self._order.run).spec)
        else:
            embedded = EmbeddedShards(queue.shards, memory_bytes=queue.memory or 0, outlive=queue.outlive)
            self._embedded = embedded
            await embedded.start()
            self._urls = embedded.urls
            self._control_url = self._urls[0]
            self._servers = [f"embedded {Path(embedded.server).name}"] * queue.shards
        self._links = [await Link(url).connect() for url in self._urls]
        self._control = await Control(self._control_url, self._order.run).connect()
        await self._show_life()
        self._write_control()
        await self._refuse_spent_event()
        self._progress.phase("stage", "staging the audience")
        begun_ns = self._clock.now_ns()
        self._staging = Staging(
            self._scenario, self._order.run, self._urls, self._order.file, serves=self._order.serves
        )
        staged = await self._staging.run(self._audience, self._progress)
        self._staged = staged
        self._closing = replace(
            self._closing,
            stage_s=(self._clock.now_ns() - begun_ns) / NS_PER_S,
            set_aside=self._audience.set_aside_count,
            fingerprint=self._audience.fingerprint,
            shard_memory_mb=[await self._memory_mb(link) for link in self._links],
        )
        self._journal.write(
            "phase",
            f"staged {staged.people:,} people in {staged.batches:,} batches on {len(self._urls)} shard(s)",
            people=staged.people,
            batches=staged.batches,
            audience=self._audience.fingerprint,
            set_aside=self._audience.set_aside_count,
        )
        for mistake in self._audience.set_aside[:20]:
            self._journal.write("set_aside", str(mistake))
        self._open_ledger(staged.people)

    async def _refuse_spent_event(self) -> None:
        """Say so before staging when the event's GO is spent already."""
        press = await self._latch().pressed()
        if press is not None:
            raise LatchError(self._order.event, press.by, press.at)

    def _latch(self) -> Latch:
        assert self._control is not None
        return Latch(self._order.event, self._order.reports, self._control.link)

    def _open_ledger(self, people: int) -> None:
        self._ledger = Ledger(self.folder.ledger, people, create=True)
        if all(sink.judge == "provider" for sink in self._sinks):
            self._received = MappedBytes(self.folder.received, people, create=True)

    def _write_control(self) -> None:
        """Let `burst go` on this machine find the run. Passwords stay out: such a run is joined with --redis."""
        told = {
            "run": self._order.run,
            "event": self._order.event,
            "pid": os.getpid(),
            "server": redacted(self._control_url),
        }
        self.folder.control.write_bytes(msgspec.json.encode(told))

    @staticmethod
    async def _memory_mb(link: Link) -> float:
        info = (await link.call("INFO", "memory")).decode()
        return round(int(info.partition("used_memory:")[2].split()[0]) / 1e6, 1)

    # -- arm -------------------------------------------------------------------------------------------------------

    async def _arm(self) -> None:
        assert self._control is not None
        assert self._staged is not None
        self._progress.phase("arm", f"arming {self._workers} worker(s)")
        self._journal.write("phase", "arm")
        begun_ns = self._clock.now_ns()
        stand_in = await self._start_stand_in()
        await self._control.publish(
            RunSpec(
                run=self._order.run,
                event=self._order.event,
                scenario=self._order.mapping,
                audience=self._staged.people,
                batches=self._staged.batches,
                workers=self._workers,
                shards=self._urls,
                lanes=list(self._staged.lanes),
                boot_id=boot_id(),
                ledger=str(self.folder.ledger.resolve()),
                received=str(self.folder.received.resolve()) if self._received else None,
                stand_in=None if stand_in is None else asdict(stand_in),
                permit_hosts=list(self._order.permit.hosts),
                permit_live=self._order.permit.live,
            )
        )
        self._divide()
        self._launcher = Launcher(self._workers, self._control_url, self._order.run, self.folder.workers_log)
        self._launcher.start()
        await self._wait_for_quorum(begun_ns)
        self._refuse_uncounted(self._roster)
        armed = sum(report.state == "armed" for report in self._roster.values())
        prefetched = sum(report.prefetched for report in self._roster.values())
        self._closing = replace(self._closing, arm_s=(self._clock.now_ns() - begun_ns) / NS_PER_S)
        self._journal.write("phase", f"{armed} of {self._workers} worker(s) armed, {prefetched:,} people prefetched")

    async def _start_stand_in(self) -> StandIn | None:
        """Start the run's own provider, where a sink wants one."""
        plan = self._order.stand_in
        if plan is None:
            return None
        assert self._staged is not None
        self._progress.phase("arm", "starting the stand-in provider")
        self._witnessing = Witnessing(
            plan, self._order.run, self._staged.people, self.folder.path, seed=self._scenario.seed
        )
        stand_in = await self._witnessing.start()
        told = f"stand-in provider at {stand_in.url}: {plan.processes} process(es)"
        if self._witnessing.control_url:
            told += f", control {self._witnessing.control_url}"
            self._progress.note(told)
        self._journal.write("note", told, url=stand_in.url, processes=plan.processes, tls=plan.tls)
        return stand_in

    def _divide(self) -> None:
        """Write down how fleet-wide quotas are divided."""
        for sink in self._sinks:
            division = getattr(sink, "division", None)
            text = division(self._workers) if division is not None else None
            if text:
                self._journal.write("note", text)
                self._progress.note(text)

    async def _wait_for_quorum(self, begun_ns: int) -> None:
        assert self._control is not None
        assert self._launcher is not None
        arm = self._scenario.arm
        quorum = max(1, -int(-self._workers * arm.quorum // 1))
        while True:
            self._roster = await self._control.roster()
            ready = sum(report.state == "armed" for report in self._roster.values())
            self._progress.armed(ready, self._workers)
            self._heed_tracers()
            if ready >= self._workers:
                return self._check_traced()
            late = self._clock.now_ns() - begun_ns > arm.deadline_ns
            dead = len(self._launcher.dead())
            if late or self._workers - dead < quorum:
                if ready >= quorum:
                    return self._check_traced()
                raise NoGoError(
                    f"NO-GO: {ready} of {self._workers} workers armed, {quorum} needed"
                    + (f"; {dead} died" if dead else ""),
                    hint=self._last_words(),
                )
            if ready >= quorum and dead and ready + dead >= self._workers:
                return self._check_traced()
            await asyncio.sleep(0.02)

    def _heed_tracers(self) -> None:
        """Say NO-GO when a tracer has not come back as it should."""
        for report in self._roster.values():
            if report.no_go:
                what, _, hint = report.error.partition("\n  ")
                raise NoGoError(f"NO-GO: {what}", hint=hint)

    def _refuse_uncounted(self, roster: Mapping[int, Report]) -> None:
        """Say NO-GO where a criterion needs the modelled provider's count, and a part of it is on another machine."""
        wanted = needs_counting(self._scenario.criteria)
        far = _far_of(roster)
        if wanted and far and any(sink.judge == "provider" for sink in self._sinks):
            raise NoGoError(
                f"NO-GO: criterion `{wanted[0][1]}` could never hold: worker {far[0]} is on another machine, and what "
                "its modelled provider counts stays there",
                hint="leave the criterion out, or keep all workers on this machine",
            )

    def _check_traced(self) -> None:
        """Say NO-GO where no tracer was sent, quorum or not."""
        told = [report.traced for report in self._roster.values() if report.traced]
        for text in told:
            self._journal.write("note", text)
        if not told and any(isinstance(sink, Tracing) for sink in self._sinks):
            raise NoGoError("NO-GO: the worker that sends the tracers did not arm", hint=self._last_words())

    def _last_words(self) -> str:
        errors = [report.error for report in self._roster.values() if report.error]
        return _SAID + (errors[0] if errors else last_words(self.folder.workers_log))

    async def _show_life(self) -> None:
        """Show from now on that the run is under way: to its workers, and to `burst clean` on any of its servers."""
        assert self._control is not None
        await self._control.beat(BEAT_LASTS_MS)
        beats = [self._beat()]
        if self._embedded is None:
            beats += [self._beat_on(link.url, number) for number, link in enumerate(self._links)]
        for beat in beats:
            self._stack.push_async_callback(_ended, asyncio.ensure_future(beat))

    async def _beat_on(self, url: str, number: int) -> None:
        """Show one shard's server that the run is under way: the control shard may be on another."""
        link = await Link(url).connect()
        try:
            while True:
                await link.call("SET", ShardKeys(self._order.run, number).alive, "1", "PX", BEAT_LASTS_MS)
                await asyncio.sleep(BEAT_LASTS_MS / 4000)
        finally:
            await link.close()

    async def _beat(self) -> None:
        """Show the fleet that somebody can stop it."""
        control = await Control(self._control_url, self._order.run).connect()
        try:
            while True:
                await control.beat(BEAT_LASTS_MS)
                await asyncio.sleep(BEAT_LASTS_MS / 4000)
        finally:
            await control.close()

    # -- GO --------------------------------------------------------------------------------------------------------

    async def _release(self) -> None:
        """Wait for GO's time or a press, press the latch, and give all workers one absolute instant."""
        assert self._control is not None
        press = await self._wait_for_go()
        self._check_stand_in()
        self._refuse_uncounted(await self._control.roster())
        if press is None:
            press = await self._latch().press(self._order.run)
        target_ns = 0
        if self._date_ns is not None:
            target_ns = self._clock.now_ns() + self._date_ns - time.time_ns()
        offset = await measure_offset(self._control.link, 4)
        go_ns = max(target_ns, self._clock.now_ns() + GO_LEAD_NS)
        if self._witnessing is not None:
            await self._witnessing.supervisor.go(go_ns)
        go_at = datetime.fromtimestamp((time.time_ns() + go_ns - self._clock.now_ns()) / 1e9, UTC)
        self._closing = replace(
            self._closing,
            go_ns=go_ns,
            go_at=utc_text(go_at),
            go_epoch_s=go_at.timestamp(),
            pressed_by=press.by,
            clock_uncertainty_ns=offset.uncertainty_ns,
        )
        self._journal.released(go_ns)
        # Known before it is given: an interrupt or an error right after it must find a run that had its GO.
        await self._control.order(
            Order(order="go", go_ns=go_ns, go_server_ns=go_ns + offset.offset_ns, boot_id=boot_id())
        )
        self._journal.write("go", f"GO pressed by {press.by}", t_s=0.0, by=press.by, go_at=utc_text(go_at))

    async def _wait_for_go(self) -> Press | None:
        """Return when it is time; somebody else's press from another process is returned."""
        if self._go.after_armed_ns is not None:
            self._date_ns = time.time_ns() + self._go.after_armed_ns
        if self._date_ns is not None:
            if (late_ns := time.time_ns() - self._date_ns) > LATE_NS:
                raise NoGoError(
                    f"NO-GO: the fleet was armed {late_ns / NS_PER_S:.1f} s after the date of GO",
                    hint="stage earlier: leave more time before --go-at, or use --go prompt",
                )
            self._progress.phase("go", "countdown")
            while (left_ns := self._date_ns - time.time_ns()) > GO_LEAD_NS * 2:
                self._progress.countdown(left_ns)
                await asyncio.sleep(min(0.1, (left_ns - GO_LEAD_NS * 2) / NS_PER_S))
                self._look_after_workers_before_go()
            return None
        if self._go.press is None:
            return None
        self._progress.phase("go", "armed: waiting for GO")
        waiting = asyncio.ensure_future(self._go.press())
        try:
            latch = self._latch()
            while not waiting.done():
                press = await latch.pressed()
                if press is not None:
                    if press.run != self._order.run:
                        raise LatchError(press.event, press.by, press.at)
                    return press
                self._look_after_workers_before_go()
                await asyncio.wait([waiting], timeout=0.02)
            waiting.result()
            return None
        finally:
            waiting.cancel()

    def _check_stand_in(self) -> None:
        """Say NO-GO when a process of the stand-in has died: who came to it would be missing."""
        if self._witnessing is not None and self._witnessing.supervisor.dead():
            raise NoGoError("NO-GO: a process of the stand-in provider died before GO", hint="nothing was sent")

    def _look_after_workers_before_go(self) -> None:
        assert self._launcher is not None
        self._check_stand_in()
        dead = len(self._launcher.dead())
        if self._workers - dead < max(1, -int(-self._workers * self._scenario.arm.quorum // 1)):
            raise NoGoError(f"NO-GO: {dead} of {self._workers} workers died before GO", hint=self._last_words())

    # -- drain -----------------------------------------------------------------------------------------------------

    async def _drain(self) -> None:
        """Watch until everybody is settled."""
        assert self._staged is not None
        assert self._ledger is not None
        assert self._control is not None
        go_ns = self._closing.go_ns
        self._progress.phase("drain", "GO")
        self._journal.write("phase", "drain")
        headway = Headway(
            self._ledger.states,
            self._clock,
            go_ns,
            self._scenario.retry.answer_within_ns,
            by_batch=bool(_far_of(await self._control.roster())),
        )
        while True:
            batches, people, accepted = await self._done()
            seen = headway.look(people, accepted)
            self._progress.delivered(seen, self._staged.people, self._clock.now_ns() - go_ns)
            if batches >= self._staged.batches:
                break
            await self._look_after_workers()
            await asyncio.sleep(POLL_S)
        self._journal.write("phase", "settle")
        await self._finish("finish", LEAVE_WITHIN_S)

    async def _done(self) -> tuple[int, int, int]:
        totals = [0, 0, 0]
        for number, link in enumerate(self._links):
            answer = await link.call("HMGET", ShardKeys(self._order.run, number).done, "batches", "people", "accepted")
            totals = [total + int(value or 0) for total, value in zip(totals, answer, strict=True)]
        return totals[0], totals[1], totals[2]

    async def _look_after_workers(self) -> None:
        """Take the leases of local workers that have ended: the others need not wait for them to run out."""
        assert self._launcher is not None
        dead = self._launcher.dead()
        for index in sorted(set(dead) - self._dead):
            self._dead.add(index)
            report = self._roster.get(index)
            told = f"worker {index} died (status {dead[index]})"
            if said := await self._said_by(index):
                told += f": {said}"
                # Who died first is nearest to what went wrong.
                cause = self._closing.cause or told
                self._closing = replace(self._closing, cause=cause, notes=[*self._closing.notes, told])
            self._journal.write("worker", told, worker=index)
            others = "; the others take over its batches" if len(dead) < self._workers else ""
            self._progress.note(f"{told}{others}")
            if report is not None and report.consumer:
                for number, link in enumerate(self._links):
                    await link.call("DEL", ShardKeys(self._order.run, number).lease(report.consumer))
        if len(dead) == self._workers:
            raise QueueError("every worker died", hint=self._last_words())

    async def _said_by(self, index: int) -> str:
        """Return what a worker reported before it ended, in one line; empty for one that was killed."""
        assert self._control is not None
        known, last = self._roster.get(index), (await self._control.roster()).get(index)
        # Another process may have joined in its place since: those are not its words.
        same = last is not None and (known is None or last.pid == known.pid)
        return in_one_line(last.error) if last is not None and same else ""

    async def _finish(self, order: str, within_s: float) -> None:
        """Order the workers to end; wait until they have left; read their last words."""
        if self._launcher is None:
            return
        control = await Control(self._control_url, self._order.run).connect()
        try:
            await control.order(Order(order=order))
            deadline_ns = self._clock.now_ns() + int(within_s * NS_PER_S)
            while self._clock.now_ns() < deadline_ns:
                self._roster = await control.roster() or self._roster
                ended = set(self._launcher.dead())
                left = {index for index, report in self._roster.items() if report.state in {"left", "failed"}}
                if len(ended | left) >= self._workers:
                    break
                await asyncio.sleep(0.005)
        finally:
            await control.close()

    # -- settle, report ----------------------------------------------------------------------------------------------

    async def _close(self) -> Result:
        """Read what was settled, close the books, write the run folder."""
        if self._interrupted:
            if self._closing.go_ns and not self._closing.cause:
                self._closing = replace(self._closing, cause=self._interrupted)
            self._journal.write("operator", f"aborted: {self._interrupted}")
            self._progress.phase("settle", f"aborting: {self._interrupted}")
            with contextlib.suppress(BurstError):
                await self._finish("abort", ABORT_WITHIN_S)
        else:
            self._progress.phase("settle", "closing the books")
        if self._launcher is not None and self._interrupted:
            self._launcher.kill()
        if self._ledger is None:
            self._open_ledger(self._staging.people if self._staging is not None else self._audience.size_hint or 0)
        assert self._ledger is not None
        deadlines = tuple(deadlines_of(self._scenario).values())
        books = Books(self._ledger, deadlines, max(1, len(self._urls)), len(self._scenario.routes))
        for number, url in enumerate(self._urls if self._staged else ()):
            await self._read_settled(books, number, url)
        witness = await self._hear_witness()
        result, ranges = close_books(
            books,
            replace(self._closing, interrupted=self._interrupted),
            self._order.scenario,
            judge=self._judge(),
            witness=witness,
            received=self._received.column if self._received is not None and not self._far() else None,
            roster=self._roster,
            dead=set(self._launcher.dead()) & self._killed() if self._launcher else set(),
            staged=self._staged,
            servers=self._servers,
            names=(self._order.event, self._order.run),
            environment=self._environment(),
            folder=self.folder.path,
        )
        write_undelivered(self.folder.path, ranges)
        self.folder.result.write_bytes(result.to_json())
        cause: dict[str, Any] = {"cause": result.cause} if result.cause else {}
        self._journal.write("verdict", result.headline, verdict=result.verdict, **cause)
        self._progress.phase("report", result.headline)
        return result

    def _killed(self) -> set[int]:
        assert self._launcher is not None
        left = {index for index, report in self._roster.items() if report.state == "left"}
        return set(self._launcher.dead()) - left

    def _far(self) -> bool:
        """Whether a worker was on another machine: its provider's count is there, and nobody here has it."""
        return bool(_far_of(self._roster))

    def _judge(self) -> str:
        judges = {"sender" if sink.judge == "provider" and self._far() else sink.judge for sink in self._sinks}
        for weakest in ("entrance", "sender", "provider", "witness"):
            if weakest in judges:
                return weakest
        return "sender"

    async def _hear_witness(self) -> Testimony | None:
        """End the stand-in, and hold what it saw against the ledger."""
        if self._witnessing is None:
            return None
        died = self._witnessing.supervisor.dead()
        await self._witnessing.stop()
        if died:
            told = f"{len(died)} process(es) of the stand-in died in the run: what is missing may be missing there"
            self._closing = replace(self._closing, notes=[*self._closing.notes, told])
            self._journal.write("error", told)
        if not all(part.exists() for part in self._witnessing.supervisor.parts()):
            return None  # the run ended while it was starting: nobody can have come
        if self._judge() != "witness":
            return None  # somebody went elsewhere, and the witness cannot speak for them
        assert self._ledger is not None
        begun_ns = self._clock.now_ns()
        resend = self._scenario.retry.on_unknown == "resend"
        try:
            testimony = self._witnessing.reconcile(self._ledger, self._closing.go_ns, resend=resend)
        except BurstError:
            if not self._interrupted:
                raise
            return None  # a part that was just begun
        took_ms = (self._clock.now_ns() - begun_ns) / NS_PER_MS
        seen = testimony.seen
        self._journal.write(
            "witness",
            f"the witness saw {seen.seen:,} people in {seen.attempts:,} attempts; reconciled in {took_ms:.0f} ms",
            took_ms=round(took_ms, 1),
            contradicted=seen.contradicted,
        )
        return testimony

    async def _read_settled(self, books: Books, number: int, url: str) -> None:
        """Enter everything that one shard has settled. A shard that is gone leaves the ledger as the only witness."""
        link = Link(url)
        key = ShardKeys(self._order.run, number).settled
        last = b"-"
        try:
            await link.connect()
            while entries := await link.call("XRANGE", key, last, "+", "COUNT", 64):
                for delta in decode_deltas(fields[1] for _, fields in entries):
                    books.enter(number, delta)
                last = b"(" + entries[-1][0]
        except QueueError:
            if not self._interrupted:
                raise
        finally:
            await link.close()

    def _environment(self) -> dict[str, Any]:
        return {
            "cores": os.cpu_count() or 1,
            "python": platform.python_version(),
            "queue": ", ".join(dict.fromkeys(self._servers)),
            "shards": len(self._urls),
            "workers": self._workers,
            "machine": platform.machine(),
            "system": f"{platform.system()} {platform.release()}",
            "audience": self._closing.fingerprint,
        }

    async def _clean_up(self) -> None:
        """Leave nothing behind: no process, no key, no server, no socket."""
        if self._launcher is not None:
            for _ in range(200):
                if len(self._launcher.dead()) == self._workers:
                    break
                await asyncio.sleep(0.01)
            self._launcher.kill()
        if self._witnessing is not None:
            await self._witnessing.stop()
        await self._stack.aclose()
        for link in self._links:
            await link.close()
        if self._control is not None:
            await self._control.close()
        if self._embedded is not None:
            await self._embedded.stop()
        else:
            with contextlib.suppress(BurstError):
                await self._remove_keys()
        for held in (self._ledger, self._received):
            if held is not None:
                held.close()
        self.folder.control.unlink(missing_ok=True)
        self._journal.close()

    async def _remove_keys(self) -> None:
        """Remove this run's keys from servers that are not ours."""
        lanes = self._staging.lanes if self._staging is not None else ()
        for number, url in enumerate(self._urls):
            keys = ShardKeys(self._order.run, number)
            names = (keys.settled, keys.done, keys.alive, *map(keys.lane, lanes))
            with contextlib.suppress(BurstError):
                await _unlink(url, names, until_quiet=self._staged is None)
        if self._control_url:
            control = await Control(self._control_url, self._order.run).connect()
            await control.remove()
            await control.close()


def _far_of(roster: Mapping[int, Report]) -> list[int]:
    """Return the workers that are on other machines."""
    return sorted(index for index, report in roster.items() if report.boot_id not in {"", boot_id()})


async def _unlink(url: str, names: tuple[str, ...], *, until_quiet: bool) -> None:
    """Remove keys; after an interrupted staging again, until nothing more of it arrives on closed connections."""
    link = await Link(url).connect()
    try:
        for _ in range(20):
            if not await link.call("UNLINK", *names) or not until_quiet:
                return
            await asyncio.sleep(0.05)
    finally:
        await link.close()


async def _ended(task: asyncio.Task[None]) -> None:
    """Cancel a background task and wait for its end."""
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError, BurstError):
        await task
