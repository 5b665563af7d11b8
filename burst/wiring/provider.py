"""The stand-in provider as a command: what it is told, what it says, and its end."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import uvloop
import yaml

from burst.model.errors import BurstError, UsageError
from burst.provider.behaviour import Behaviour
from burst.provider.control import Control
from burst.provider.state import summed
from burst.provider.supervisor import House, Supervisor

INTERRUPTED = 130
_LOOK_EVERY_S = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderCommand:
    """What was typed after ``burst provider``."""

    listen: tuple[str, ...]
    processes: int
    tls: bool
    client_certificates: bool
    behaviour: Path | None
    control: str
    folder: Path | None
    names: tuple[str, ...]
    run: str
    audience: int
    witness: Path | None
    seed: int
    as_json: bool
    words: Callable[[Mapping[str, Any]], str]
    """Puts the facts of a stand-in that is ready into what a person is told, unless ``as_json``."""


def provider_command(command: ProviderCommand) -> int:
    """Be a stand-in until somebody stops it; return the exit code. Raises BurstError."""
    if (command.witness is None) != (not command.run) or (command.audience and not command.run):
        raise UsageError("--run, --audience and --witness go together", hint="give all of them, or none")
    if command.client_certificates and not command.tls:
        raise UsageError("--client-certificates wants TLS", hint="leave out --no-tls")
    behaviour = _read_behaviour(command.behaviour)
    # Beside its keys a private folder holds nothing, so it may go as a whole.
    folder = command.folder or Path(tempfile.mkdtemp(prefix="burst-provider-"))
    try:
        return uvloop.run(_serve(command, behaviour, folder))
    finally:
        if command.folder is None:
            shutil.rmtree(folder, ignore_errors=True)


def _read_behaviour(path: Path | None) -> dict[str, Any]:
    if path is None:
        return {}
    Behaviour.read(path)  # every mistake, each with its line
    return yaml.safe_load(path.read_text(encoding="utf-8")) or {}


async def _serve(command: ProviderCommand, behaviour: Mapping[str, Any], folder: Path) -> int:
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    supervisor = Supervisor(_house(command, behaviour, folder))

    def interrupt() -> None:
        if stop.is_set():
            supervisor.kill()
            if command.folder is None:
                shutil.rmtree(folder, ignore_errors=True)
            os._exit(INTERRUPTED)
        stop.set()

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, interrupt)
    control = Control(supervisor)
    try:
        if command.witness is not None:
            await asyncio.to_thread(_make_folder, command.witness)
        await supervisor.start()
        await control.start(command.control)
        _announce(supervisor, control, command)
        await _watch(supervisor, stop, quiet=command.as_json or not sys.stderr.isatty())
    finally:
        await control.stop()
        await supervisor.stop()
    return 1 if supervisor.failed else 0


def _house(command: ProviderCommand, behaviour: Mapping[str, Any], folder: Path) -> House:
    return House(
        folder=folder,
        behaviour=behaviour,
        listen=command.listen,
        processes=command.processes,
        tls=command.tls,
        client_certificates=command.client_certificates,
        run=command.run,
        audience=command.audience,
        witness=command.witness,
        seed=command.seed,
        behaviour_folder=command.behaviour.parent if command.behaviour else Path(),
        ephemeral=None if command.folder else folder,
        names=command.names,
    )


def _make_folder(path: Path) -> None:
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise BurstError(f"--witness {path}: {error.strerror}", hint="is it a folder this user may write to?") from None


def _announce(supervisor: Supervisor, control: Control, command: ProviderCommand) -> None:
    authority, tls = supervisor.authority, supervisor.house.tls
    assert authority is not None
    facts: dict[str, Any] = {
        "urls": supervisor.urls,
        "dialects": dict(zip(supervisor.urls, supervisor.dialects, strict=True)),
        "control": control.url,
        "ca": str(authority.ca) if tls else None,
        "client_certificate": str(authority.client_certificate) if tls else None,
        "client_key": str(authority.client_key) if tls else None,
        "aws": supervisor.aws_file or None,
        "google": supervisor.google_file or None,
        "key": str(authority.p8),
        "key_id": authority.key_id,
        "team_id": authority.team_id,
        "witness": [str(path) for path in supervisor.parts()],
    }
    sys.stdout.write(json.dumps(facts) + "\n" if command.as_json else command.words(facts))
    sys.stdout.flush()


async def _watch(supervisor: Supervisor, stop: asyncio.Event, *, quiet: bool) -> None:
    """Wait for the end; tell of processes that died, and, unless ``quiet``, how things are, a line a second."""
    told: set[int] = set()
    before, before_s = None, time.monotonic()
    while not stop.is_set():
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_LOOK_EVERY_S):
                await stop.wait()
        for number, status in supervisor.dead().items():
            if number not in told:
                told.add(number)
                sys.stderr.write(f"\nserving process {number} died ({_status(status)})\n")
        if len(told) == supervisor.house.processes:
            break  # nobody serves any more
        if not quiet and not stop.is_set():
            sums, now_s = summed(await supervisor.states()), time.monotonic()
            sys.stderr.write("\r" + _line(sums, before or sums, now_s - before_s).ljust(100))
            sys.stderr.flush()
            before, before_s = sums, now_s
    if not quiet:
        sys.stderr.write("\n")


def _line(now: Mapping[str, Any], before: Mapping[str, Any], seconds: float) -> str:
    rate = (now["requests"] - before["requests"]) / seconds
    busy = (now["cpu_s"] - before["cpu_s"]) / seconds / max(1, now["alive"])
    return (
        f"{rate:,.0f} requests/s, {now['connections']:,} connections, {now['accepted']:,} accepted, "
        f"{now['refused']:,} refused, {busy:.0%} busy"
    )


def _status(status: int) -> str:
    return f"signal {-status}" if status < 0 else f"exit {status}"
