"""The workers of one run, as the coordinator sees them: who is there, who died and why, and when they are to leave."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import replace

from burst.engine.last_words import in_one_line, last_words
from burst.engine.record import Record
from burst.engine.servers import Servers
from burst.fleet.clock import MonotonicClock, boot_id
from burst.fleet.control import Control, Order, Report
from burst.fleet.launcher import Launcher
from burst.model.errors import QueueError
from burst.model.units import NS_PER_S

SAID = "a worker said: "


class Crew:
    """``count`` workers. ``roster`` is their reports, by index, as they were last read."""

    def __init__(self, record: Record, servers: Servers, count: int) -> None:
        self._record = record
        self._servers = servers
        self.count = count
        self.roster: dict[int, Report] = {}
        self._clock = MonotonicClock()
        self._launcher: Launcher | None = None
        self._dead: set[int] = set()

    def launch(self) -> None:
        """Start the workers on this machine."""
        servers, record = self._servers, self._record
        self._launcher = Launcher(self.count, servers.control_url, record.order.run, record.folder.workers_log)
        self._launcher.start()

    async def call(self) -> dict[int, Report]:
        """Read the roster anew, and return it."""
        self.roster = await self._servers.control.roster()
        return self.roster

    def armed(self) -> int:
        """Return how many were ready when the roster was read."""
        return sum(report.state == "armed" for report in self.roster.values())

    def dead(self) -> dict[int, int]:
        """Return the exit status of every local worker that has ended."""
        return {} if self._launcher is None else self._launcher.dead()

    def killed(self) -> set[int]:
        """Return who has ended without having left."""
        left = {index for index, report in self.roster.items() if report.state == "left"}
        return set(self.dead()) - left

    def last_words(self) -> str:
        """Return what a worker complained of, from the roster or else from the log."""
        errors = [report.error for report in self.roster.values() if report.error]
        return SAID + (errors[0] if errors else last_words(self._record.folder.workers_log))

    async def look_after(self) -> None:
        """Take the leases of local workers that have ended: the others need not wait for them to run out.

        Raises QueueError when nobody is left.
        """
        record, dead = self._record, self.dead()
        for index in sorted(set(dead) - self._dead):
            self._dead.add(index)
            report = self.roster.get(index)
            told = f"worker {index} died (status {dead[index]})"
            if said := await self._said_by(index):
                told += f": {said}"
                # Who died first is nearest to what went wrong.
                cause = record.closing.cause or told
                record.closing = replace(record.closing, cause=cause, notes=[*record.closing.notes, told])
            record.journal.write("worker", told, worker=index)
            others = "; the others take over its batches" if len(dead) < self.count else ""
            record.progress.note(f"{told}{others}")
            if report is not None and report.consumer:
                await self._servers.end_leases(report.consumer)
        if len(dead) == self.count:
            raise QueueError("every worker died", hint=self.last_words())

    async def _said_by(self, index: int) -> str:
        """Return what a worker reported before it ended, in one line; empty for one that was killed."""
        known, last = self.roster.get(index), (await self._servers.control.roster()).get(index)
        # Another process may have joined in its place since: those are not its words.
        same = last is not None and (known is None or last.pid == known.pid)
        return in_one_line(last.error) if last is not None and same else ""

    async def finish(self, order: str, within_s: float) -> None:
        """Order the workers to end; wait until they have left; read their last words."""
        if self._launcher is None:
            return
        control = await Control(self._servers.control_url, self._record.order.run).connect()
        try:
            await control.order(Order(order=order))
            deadline_ns = self._clock.now_ns() + int(within_s * NS_PER_S)
            while self._clock.now_ns() < deadline_ns:
                self.roster = await control.roster() or self.roster
                ended = set(self._launcher.dead())
                left = {index for index, report in self.roster.items() if report.state in {"left", "failed"}}
                if len(ended | left) >= self.count:
                    break
                await asyncio.sleep(0.005)
        finally:
            await control.close()

    def kill(self) -> None:
        """Kill at once whoever still runs."""
        if self._launcher is not None:
            self._launcher.kill()

    async def end(self) -> None:
        """Give those who leave a moment to end by themselves, then kill."""
        if self._launcher is None:
            return
        for _ in range(200):
            if len(self._launcher.dead()) == self.count:
                break
            await asyncio.sleep(0.01)
        self._launcher.kill()


def far_of(roster: Mapping[int, Report]) -> list[int]:
    """Return the workers that are on other machines."""
    return sorted(index for index, report in roster.items() if report.boot_id not in {"", boot_id()})
