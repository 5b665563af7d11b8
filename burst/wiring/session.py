"""A run as a command: signals, live view, verdict, exit code."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from dataclasses import dataclass
from pathlib import Path

import uvloop

from burst.engine.coordinator import Coordinator
from burst.engine.go import GoWhen, parse_go_at
from burst.model.errors import UsageError
from burst.report.html import write_report
from burst.report.live import LiveView, PatientConsole
from burst.report.terminal import print_summary
from burst.runs.folder import RunFolder
from burst.runs.result import Result
from burst.wiring.run import make_coordinator
from burst.wiring.scenario_file import load_scenario
from burst.wiring.strange_variables import strange_variables

EXIT_CODES = {"pass": 0, "inconclusive": 3, "fail": 99, "aborted": 105}
INTERRUPTED = 130
CLOSING_S = 1.0
"""The books are closed in less. A second Ctrl-C within it may be the first one, sent twice (by a wrapper and to the
process group alike), or a finger that trembled: neither is to cost the result."""


@dataclass(frozen=True, slots=True)
class RunCommand:
    """What was typed after ``burst run``."""

    scenario: str
    overrides: tuple[str, ...]
    redis: tuple[str, ...]
    event: str | None
    go: str
    go_at: str | None
    reports: Path
    as_json: bool
    allowed: tuple[str, ...] = ()
    live: bool = False
    full: bool = False


def run_command(command: RunCommand) -> int:
    """Run a scenario to its verdict; return the exit code. Raises BurstError."""
    overrides = list(command.overrides)
    loaded = load_scenario(command.scenario, overrides=overrides, full=command.full)
    redis = tuple(url for urls in command.redis for url in urls.split(",") if url)
    if command.event is not None and not command.event.replace("-", "").replace("_", "").replace(".", "").isalnum():
        raise UsageError(f"--event {command.event!r} is not a name", hint="use letters, digits, . _ -")
    view = LiveView(PatientConsole(stderr=True))
    for warning in strange_variables(loaded.mapping):
        view.note(warning)
    coordinator = make_coordinator(
        loaded,
        reports=command.reports,
        event=command.event,
        redis=redis,
        go=_when(command, view),
        progress=view,
        allowed=command.allowed,
        live=command.live,
    )
    try:
        result, interrupted = uvloop.run(_run(coordinator, view))
    finally:
        view.close()
    folder = command.reports / result.run
    write_report(folder)
    if command.as_json:
        sys.stdout.write((folder / "result.json").read_text(encoding="utf-8"))
    else:
        print_summary(result, folder, PatientConsole())
    return INTERRUPTED if interrupted else EXIT_CODES[result.verdict]


def _when(command: RunCommand, view: LiveView) -> GoWhen:
    if command.go_at is not None:
        return parse_go_at(command.go_at)
    if command.go == "prompt":
        return GoWhen(press=lambda: _enter(view))
    return GoWhen()


async def _enter(view: LiveView) -> None:
    """Wait until a person presses Enter here. Where nobody can, only `burst go` releases the run."""
    loop = asyncio.get_running_loop()
    pressed: asyncio.Future[None] = loop.create_future()
    view.note("press Enter for GO (or, from another terminal: burst go)")

    def read() -> None:
        if not os.read(0, 4096):
            loop.remove_reader(0)  # end of file is nobody's GO
        elif not pressed.done():
            pressed.set_result(None)

    with contextlib.suppress(OSError, ValueError):  # standard input is a file, or closed
        loop.add_reader(0, read)
    try:
        await pressed
    finally:
        loop.remove_reader(0)


async def _run(coordinator: Coordinator, view: LiveView) -> tuple[Result, bool]:
    """Run it; Ctrl-C (or SIGTERM) ends it in order, another at once.

    One that comes while the books are being closed is answered with a line instead, once.
    """
    loop = asyncio.get_running_loop()
    first_s = 0.0
    interrupts = 0

    def interrupt(name: str) -> None:
        nonlocal first_s, interrupts
        interrupts += 1
        if interrupts == 1:
            first_s = loop.time()
            coordinator.interrupt(f"interrupted by {name}")
        elif interrupts == 2 and loop.time() - first_s < CLOSING_S:
            view.note(f"closing the books; {name} once more ends at once, and leaves them open")
        else:
            coordinator.kill()
            view.close()
            view.note(_left_behind(coordinator.folder))
            os._exit(INTERRUPTED)

    for number, name in ((signal.SIGINT, "Ctrl-C"), (signal.SIGTERM, "SIGTERM")):
        loop.add_signal_handler(number, interrupt, name)
    return await coordinator.run(), interrupts > 0


def _left_behind(folder: RunFolder) -> str:
    """Say what an end at once has left in the run folder."""
    if folder.result.exists():
        return f"ended at once; the books were closed already: {folder.result}"
    kept = " and ".join(path.name for path in (folder.ledger, folder.journal) if path.exists()) or "nothing"
    return f"ended at once: the books were left open; {folder.path} holds {kept}, and no result.json"
