"""The roll call: whether the fleet may have its GO."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence

from burst.engine.crew import Crew, far_of
from burst.engine.record import Record
from burst.engine.witnessing import Witnessing
from burst.fleet.clock import MonotonicClock
from burst.fleet.control import Report
from burst.model.errors import NoGoError
from burst.model.ports import Sink, Tracing
from burst.policy.criteria_counted import needs_counting


class RollCall:
    """Says NO-GO, by NoGoError, for whatever must not be found out after GO."""

    def __init__(self, record: Record, crew: Crew, sinks: Sequence[Sink], witnessing: Witnessing | None) -> None:
        self._record = record
        self._scenario = record.order.scenario
        self._crew = crew
        self._sinks = sinks
        self._witnessing = witnessing
        self._clock = MonotonicClock()
        self._quorum = max(1, -int(-crew.count * self._scenario.arm.quorum // 1))

    async def wait_for_quorum(self, begun_ns: int) -> None:
        """Return when everybody is armed, or enough are and nobody else is to be expected."""
        crew, quorum = self._crew, self._quorum
        while True:
            await crew.call()
            ready = crew.armed()
            self._record.progress.armed(ready, crew.count)
            self._heed_tracers()
            if ready >= crew.count:
                return self._check_traced()
            late = self._clock.now_ns() - begun_ns > self._scenario.arm.deadline_ns
            dead = len(crew.dead())
            if late or crew.count - dead < quorum:
                if ready >= quorum:
                    return self._check_traced()
                raise NoGoError(
                    f"NO-GO: {ready} of {crew.count} workers armed, {quorum} needed"
                    + (f"; {dead} died" if dead else ""),
                    hint=crew.last_words(),
                )
            if ready >= quorum and dead and ready + dead >= crew.count:
                return self._check_traced()
            await asyncio.sleep(0.02)

    def _heed_tracers(self) -> None:
        """Say NO-GO when a tracer has not come back as it should."""
        for report in self._crew.roster.values():
            if report.no_go:
                what, _, hint = report.error.partition("\n  ")
                raise NoGoError(f"NO-GO: {what}", hint=hint)

    def _check_traced(self) -> None:
        """Say NO-GO where no tracer was sent, quorum or not."""
        told = [report.traced for report in self._crew.roster.values() if report.traced]
        for text in told:
            self._record.journal.write("note", text)
        if not told and any(isinstance(sink, Tracing) for sink in self._sinks):
            raise NoGoError("NO-GO: the worker that sends the tracers did not arm", hint=self._crew.last_words())

    def refuse_uncounted(self, roster: Mapping[int, Report]) -> None:
        """Say NO-GO where a criterion needs the modelled provider's count, and a part of it is on another machine."""
        wanted = needs_counting(self._scenario.criteria)
        far = far_of(roster)
        if wanted and far and any(sink.judge == "provider" for sink in self._sinks):
            raise NoGoError(
                f"NO-GO: criterion `{wanted[0][1]}` could never hold: worker {far[0]} is on another machine, and what "
                "its modelled provider counts stays there",
                hint="leave the criterion out, or keep all workers on this machine",
            )

    def check_stand_in(self) -> None:
        """Say NO-GO when a process of the stand-in has died: who came to it would be missing."""
        if self._witnessing is not None and self._witnessing.supervisor.dead():
            raise NoGoError("NO-GO: a process of the stand-in provider died before GO", hint="nothing was sent")

    def check_alive(self) -> None:
        """Say NO-GO when the stand-in or too many of the armed workers have died."""
        self.check_stand_in()
        dead = len(self._crew.dead())
        if self._crew.count - dead < self._quorum:
            raise NoGoError(f"NO-GO: {dead} of {self._crew.count} workers died before GO", hint=self._crew.last_words())
