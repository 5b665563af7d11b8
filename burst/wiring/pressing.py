"""``burst go``: pressing GO for a run that is armed in another process."""

from __future__ import annotations

from pathlib import Path

import msgspec

from burst.fleet.control import Control
from burst.fleet.latch import Latch, Press
from burst.model.errors import LatchError, NoGoError, QueueError, UsageError
from burst.queues.link import check_url


class ArmedRun(msgspec.Struct, frozen=True):
    """What a run under way says of itself to its machine."""

    run: str
    event: str
    pid: int
    server: str


def find_armed(reports: Path, name: str | None) -> ArmedRun:
    """Return the run under way with that name or event, or the only one. Raises UsageError."""
    files = sorted(reports.glob("*/control.json"))
    runs = [msgspec.json.decode(file.read_bytes(), type=ArmedRun) for file in files]
    runs = [run for run in runs if Path(f"/proc/{run.pid}").exists() and name in {None, run.run, run.event}]
    if len(runs) == 1:
        return runs[0]
    if not runs:
        what = f"no run {name!r} is" if name else "no run is"
        raise UsageError(f"{what} under way in {reports}", hint="start one with: burst run SCENARIO --go prompt")
    raise UsageError("several runs are under way: " + ", ".join(run.run for run in runs), hint="name one of them")


async def press(reports: Path, name: str | None, redis: str | None) -> Press:
    """Press GO. Raises LatchError when somebody was first, naming who and when."""
    try:
        run = find_armed(reports, name)
        control = await Control(check_url(redis or run.server), run.run).connect()
        try:
            return await Latch(run.event, reports, control.link).press(run.run)
        finally:
            await control.close()
    except (UsageError, QueueError):
        # The run may have ended while we came: then who pressed, and when, is the answer.
        _tell_who_was_first(reports, name)
        raise


def _tell_who_was_first(reports: Path, name: str | None) -> None:
    """Raise LatchError if the event has had its GO; without a name NoGoError, which tells of the latest one."""
    latches = sorted(reports.glob(".events/*/latch.json"), key=lambda latch: latch.stat().st_mtime_ns)
    presses = [msgspec.json.decode(latch.read_bytes(), type=Press) for latch in latches]
    presses = [press for press in presses if name in {None, press.event, press.run}]
    if not presses:
        return
    last = presses[-1]
    if name is not None:
        raise LatchError(last.event, last.by, last.at)
    # Nobody asked for that event: whoever meant a run that is still being staged must not take this for an answer.
    raise NoGoError(
        f"no run is armed in {reports}; the latest to have its GO was {last.run}, and it has ended",
        hint=f"GO for event {last.event!r} was already pressed by {last.by} at {last.at}; "
        "arm another run with: burst run SCENARIO --go prompt",
    )
