"""Embedded shards: real servers on unix sockets, gone with their files whatever happens to their parent."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import signal
import sys
import tempfile
from pathlib import Path

from burst.model.errors import QueueError
from burst.queues.keeper import START_WITHIN_S, socket_path
from burst.queues.servers import find_server

_PREFIX = "burst-shards-"


class EmbeddedShards:
    """Servers 0..count-1, kept by a keeper process. ``outlive`` leaves them up when this process ends."""

    def __init__(self, count: int, *, memory_bytes: int = 0, outlive: bool = False) -> None:
        self._count = count
        self._memory = memory_bytes
        self._outlive = outlive
        self._keeper: asyncio.subprocess.Process | None = None
        self.folder = Path()
        self.server = ""

    @property
    def urls(self) -> list[str]:
        """The servers' URLs."""
        return [f"unix://{socket_path(self.folder, shard)}" for shard in range(self._count)]

    async def start(self) -> EmbeddedShards:
        """Start the servers and wait until all answer. Raises QueueError."""
        self.server = find_server()
        sweep()
        self.folder = Path(tempfile.mkdtemp(prefix=_PREFIX))
        self._keeper = await asyncio.create_subprocess_exec(
            sys.executable,
            *(
                "-m",
                "burst.queues.keeper",
                str(self.folder),
                str(self._count),
                str(self._memory),
                self.server,
            ),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            start_new_session=True,
        )
        assert self._keeper.stdin is not None
        assert self._keeper.stdout is not None
        if self._outlive:
            self._keeper.stdin.write(b"outlive\n")
        try:
            async with asyncio.timeout(START_WITHIN_S + 2):
                answer = (await self._keeper.stdout.readline()).decode().strip()
        except TimeoutError:
            answer = "error: the keeper did not answer"
        if answer != "ready":
            await self.stop()
            raise QueueError(
                f"the embedded servers did not start: {answer.removeprefix('error: ') or 'the keeper died'}",
                hint="try a server of your own: --redis redis://host:6379",
            )
        return self

    async def stop(self) -> None:
        """Stop the servers and remove their files. Safe to call twice."""
        keeper, self._keeper = self._keeper, None
        if keeper is None:
            return
        assert keeper.stdin is not None
        with contextlib.suppress(OSError):
            keeper.stdin.close()
        if self._outlive:
            return
        try:
            async with asyncio.timeout(START_WITHIN_S):
                await keeper.wait()
        except TimeoutError:
            with contextlib.suppress(ProcessLookupError):
                keeper.kill()
        shutil.rmtree(self.folder, ignore_errors=True)


def _keeper_of(folder: Path) -> int | None:
    """Return the process id of the keeper that lives in a folder, None when it is dead."""
    try:
        pid = int(json.loads((folder / "keeper.json").read_text())["pid"])
        return pid if str(folder).encode() in Path(f"/proc/{pid}/cmdline").read_bytes() else None
    except (OSError, ValueError, KeyError):
        return None


def _folders() -> list[Path]:
    folders = Path(tempfile.gettempdir()).glob(f"{_PREFIX}*")
    return [folder for folder in folders if folder.is_dir() and folder.stat().st_uid == os.getuid()]


def sweep() -> list[Path]:
    """Remove the folders of keepers that were killed; return them. A folder without a keeper may be just starting."""
    dead = [folder for folder in _folders() if (folder / "keeper.json").exists() and _keeper_of(folder) is None]
    for folder in dead:
        shutil.rmtree(folder, ignore_errors=True)
    return dead


def stop_outliving() -> list[Path]:
    """Stop the servers that were left up on purpose or by a killed run; return their folders."""
    stopped = []
    for folder in _folders():
        pid = _keeper_of(folder)
        if pid is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGTERM)
            stopped.append(folder)
    return stopped + sweep()
