"""The release: one wait, one press, one absolute instant for everybody."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace
from datetime import UTC, datetime

from burst.engine.go import GoWhen
from burst.engine.record import Record
from burst.engine.roll_call import RollCall
from burst.engine.witnessing import Witnessing
from burst.fleet.clock import MonotonicClock, boot_id, measure_offset
from burst.fleet.control import Control, Order
from burst.fleet.latch import Latch, Press
from burst.model.errors import LatchError, NoGoError
from burst.model.units import NS_PER_MS, NS_PER_S
from burst.runs.journal import utc_text

GO_LEAD_NS = 30 * NS_PER_MS  # an order crosses in well under a millisecond; this leaves room for a busy machine
LATE_NS = NS_PER_S  # a fleet armed later than this after its date does not send: the moment has passed


class Release:
    """The GO of an armed fleet."""

    def __init__(
        self,
        record: Record,
        control: Control,
        latch: Latch,
        go: GoWhen,
        roll_call: RollCall,
        witnessing: Witnessing | None,
    ) -> None:
        self._record = record
        self._control = control
        self._latch = latch
        self._go = go
        self._date_ns = go.at_epoch_ns
        self._roll_call = roll_call
        self._witnessing = witnessing
        self._clock = MonotonicClock()

    async def run(self) -> None:
        """Wait for GO's time or a press, press the latch, and give all workers one absolute instant.

        Raises NoGoError when the fleet is no longer fit, and LatchError when the event has had its GO.
        """
        press = await self._wait_for_go()
        self._roll_call.check_stand_in()
        self._roll_call.refuse_uncounted(await self._control.roster())
        if press is None:
            press = await self._latch.press(self._record.order.run)
        await self._give(press)

    async def _give(self, press: Press) -> None:
        record = self._record
        target_ns = 0
        if self._date_ns is not None:
            target_ns = self._clock.now_ns() + self._date_ns - time.time_ns()
        offset = await measure_offset(self._control.link, 4)
        go_ns = max(target_ns, self._clock.now_ns() + GO_LEAD_NS)
        if self._witnessing is not None:
            await self._witnessing.supervisor.go(go_ns)
        go_at = datetime.fromtimestamp((time.time_ns() + go_ns - self._clock.now_ns()) / 1e9, UTC)
        record.closing = replace(
            record.closing,
            go_ns=go_ns,
            go_at=utc_text(go_at),
            go_epoch_s=go_at.timestamp(),
            pressed_by=press.by,
            clock_uncertainty_ns=offset.uncertainty_ns,
        )
        record.journal.released(go_ns)
        # Known before it is given: an interrupt or an error right after it must find a run that had its GO.
        await self._control.order(
            Order(order="go", go_ns=go_ns, go_server_ns=go_ns + offset.offset_ns, boot_id=boot_id())
        )
        record.journal.write("go", f"GO pressed by {press.by}", t_s=0.0, by=press.by, go_at=utc_text(go_at))

    async def _wait_for_go(self) -> Press | None:
        """Return when it is time; somebody else's press from another process is returned."""
        if self._go.after_armed_ns is not None:
            self._date_ns = time.time_ns() + self._go.after_armed_ns
        if self._date_ns is not None:
            await self._count_down(self._date_ns)
            return None
        if self._go.press is None:
            return None
        self._record.progress.phase("go", "armed: waiting for GO")
        waiting = asyncio.ensure_future(self._go.press())
        try:
            while not waiting.done():
                press = await self._latch.pressed()
                if press is not None:
                    if press.run != self._record.order.run:
                        raise LatchError(press.event, press.by, press.at)
                    return press
                self._roll_call.check_alive()
                await asyncio.wait([waiting], timeout=0.02)
            waiting.result()
            return None
        finally:
            waiting.cancel()

    async def _count_down(self, date_ns: int) -> None:
        if (late_ns := time.time_ns() - date_ns) > LATE_NS:
            raise NoGoError(
                f"NO-GO: the fleet was armed {late_ns / NS_PER_S:.1f} s after the date of GO",
                hint="stage earlier: leave more time before --go-at, or use --go prompt",
            )
        self._record.progress.phase("go", "countdown")
        while (left_ns := date_ns - time.time_ns()) > GO_LEAD_NS * 2:
            self._record.progress.countdown(left_ns)
            await asyncio.sleep(min(0.1, (left_ns - GO_LEAD_NS * 2) / NS_PER_S))
            self._roll_call.check_alive()
