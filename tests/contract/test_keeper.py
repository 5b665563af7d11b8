"""Embedded servers go when whoever asked for them goes, however that happened."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from burst.model.errors import QueueError
from burst.queues import embedded
from burst.queues.embedded import EmbeddedShards
from burst.queues.link import Link

GUARD_S = 60.0
pytestmark = pytest.mark.skipif(not Path("/proc").exists(), reason="looks for processes in /proc")

PARENT = """
import asyncio, sys
from burst.queues.embedded import EmbeddedShards

async def main():
    shards = await EmbeddedShards(2, outlive=sys.argv[1] == "outlive").start()
    print(shards.folder, flush=True)
    await asyncio.Event().wait()

asyncio.run(main())
"""


def processes_of(folder: Path) -> list[int]:
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                if str(folder).encode() in (entry / "cmdline").read_bytes():
                    found.append(int(entry.name))
            except OSError:
                continue
    return found


def wait_until(holds) -> None:
    deadline = time.monotonic() + GUARD_S
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def gone(folder: Path) -> bool:
    return not folder.exists() and not processes_of(folder)


@pytest.fixture
def parent():
    """Start a parent of embedded servers: ``process, folder = parent("outlive")``."""
    started: list[tuple[subprocess.Popen, Path]] = []

    def start(how: str = "") -> tuple[subprocess.Popen, Path]:
        process = subprocess.Popen([sys.executable, "-c", PARENT, how], stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        folder = Path(process.stdout.readline().strip())
        started.append((process, folder))
        assert folder.is_dir()
        return process, folder

    yield start
    for process, folder in started:
        process.kill()
        process.wait()
        process.stdout.close()
        if folder.name.startswith("burst-shards-"):
            for pid in processes_of(folder):  # only what was started here has this folder in its command line
                os.kill(pid, signal.SIGTERM)
            wait_until(lambda folder=folder: gone(folder))


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_servers_and_files_are_gone_after_their_parent_was_killed(parent, how):
    process, folder = parent()
    assert len(processes_of(folder)) >= 2
    process.send_signal(how)
    wait_until(lambda: gone(folder))


def test_servers_die_with_a_killed_keeper_and_the_next_start_sweeps_its_folder(parent):
    _, folder = parent()
    keeper = json.loads((folder / "keeper.json").read_text())["pid"]
    assert keeper in processes_of(folder)
    os.kill(keeper, signal.SIGKILL)
    wait_until(lambda: not [pid for pid in processes_of(folder) if pid != keeper])
    wait_until(lambda: folder in embedded.sweep() or not folder.exists())
    assert not folder.exists()


def test_servers_told_to_outlive_their_parent_do_until_their_keeper_is_stopped(parent):
    process, folder = parent("outlive")
    process.kill()
    process.wait()

    async def ping() -> bytes:
        link = await Link(f"unix://{folder}/s1.sock").connect()
        answer = await link.call("PING")
        await link.close()
        return answer

    assert asyncio.run(ping()) == b"PONG"
    os.kill(json.loads((folder / "keeper.json").read_text())["pid"], signal.SIGTERM)
    wait_until(lambda: gone(folder))


async def test_stopping_leaves_neither_servers_nor_files_also_twice():
    shards = await EmbeddedShards(3).start()
    for url in shards.urls:
        link = await Link(url).connect()
        assert await link.call("CONFIG", "GET", "maxmemory-policy") == [b"maxmemory-policy", b"noeviction"]
        await link.close()
    await shards.stop()
    await shards.stop()
    assert gone(shards.folder)


async def test_a_server_that_cannot_start_is_told_and_leaves_nothing(monkeypatch):
    monkeypatch.setattr(embedded, "find_server", lambda: "/bin/false")
    shards = EmbeddedShards(1)
    with pytest.raises(QueueError, match="did not start") as told:
        await shards.start()
    assert "--redis" in str(told.value)
    assert gone(shards.folder)


async def test_only_this_user_may_connect():
    shards = await EmbeddedShards(1).start()
    assert shards.folder.stat().st_mode & 0o077 == 0
    assert (shards.folder / "s0.sock").stat().st_mode & 0o077 == 0
    await shards.stop()
