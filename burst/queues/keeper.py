"""The keeper: a small process that starts the embedded servers and outlives whoever asked for them, just long enough.

It imports nothing beyond the standard library, lives in a session of its own (Ctrl-C and killed groups do not reach
it) and reads a pipe from its parent. End of file there, however the parent died, means: stop the servers, remove
their folder. The servers in turn die with the keeper (PR_SET_PDEATHSIG).

    python -m burst.queues.keeper FOLDER SHARDS MAXMEMORY SERVER

answers one line on standard output: ``ready``, or ``error: ...``. The line ``outlive`` on its standard input lets the
servers live on after the parent, until SIGTERM.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from types import FrameType

START_WITHIN_S = 10.0
STOP_WITHIN_S = 2.0
_PR_SET_PDEATHSIG = 1


def socket_path(folder: Path, shard: int) -> Path:
    """Return the socket of one shard's server."""
    return folder / f"s{shard}.sock"


def _die_with_parent() -> None:
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def _start(folder: Path, shard: int, maxmemory: int, server: str) -> subprocess.Popen[bytes]:
    with (folder / f"s{shard}.log").open("wb") as log:
        return subprocess.Popen(  # noqa: S603 (the program that find_server chose)
            [
                server,
                *("--port", "0", "--unixsocket", str(socket_path(folder, shard)), "--unixsocketperm", "700"),
                *("--dir", str(folder), "--save", "", "--appendonly", "no", "--daemonize", "no"),
                *("--maxmemory", str(maxmemory), "--maxmemory-policy", "noeviction"),
                *("--loglevel", "warning", "--client-output-buffer-limit", "normal 0 0 0"),
            ],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            preexec_fn=_die_with_parent if sys.platform == "linux" else None,  # noqa: PLW1509 (single-threaded)
        )


def _say(path: Path, command: bytes, within_s: float) -> bytes:
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(within_s)
        connection.connect(str(path))
        connection.sendall(command)
        return connection.recv(64)


def _wait_until_up(folder: Path, shard: int, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + START_WITHIN_S
    while time.monotonic() < deadline:
        if process.poll() is not None:
            log = (folder / f"s{shard}.log").read_text(errors="replace").strip().splitlines()
            raise RuntimeError(f"server of shard {shard} ended at once: {log[-1] if log else 'it said nothing'}")
        with contextlib.suppress(OSError):
            if _say(socket_path(folder, shard), b"PING\r\n", 1.0).startswith(b"+PONG"):
                return
        time.sleep(0.005)
    raise RuntimeError(f"server of shard {shard} was not up within {START_WITHIN_S:.0f} s")


def _stop(folder: Path, processes: list[subprocess.Popen[bytes]]) -> None:
    for shard, process in enumerate(processes):
        if process.poll() is None:
            with contextlib.suppress(OSError):
                _say(socket_path(folder, shard), b"SHUTDOWN NOSAVE\r\n", 0.5)
    deadline = time.monotonic() + STOP_WITHIN_S
    for process in processes:
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(max(0.0, deadline - time.monotonic()))
        if process.poll() is None:
            process.kill()
            process.wait()
    shutil.rmtree(folder, ignore_errors=True)


def _stopped(_signal: int, _frame: FrameType | None) -> None:
    raise SystemExit(0)


def main(arguments: list[str]) -> int:
    """Keep servers until the parent is gone; return the exit status."""
    folder, shards, maxmemory, server = Path(arguments[0]), int(arguments[1]), int(arguments[2]), arguments[3]
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, _stopped)
    processes: list[subprocess.Popen[bytes]] = []
    outlive = False
    try:
        try:
            (folder / "keeper.json").write_text(json.dumps({"pid": os.getpid()}))
            processes += [_start(folder, shard, maxmemory, server) for shard in range(shards)]
            for shard, process in enumerate(processes):
                _wait_until_up(folder, shard, process)
        except (OSError, RuntimeError) as error:
            print(f"error: {error}", flush=True)  # noqa: T201 (the pipe to the parent)
            return 1
        print("ready", flush=True)  # noqa: T201
        for line in sys.stdin:
            outlive = outlive or line.strip() == "outlive"
        while outlive and any(process.poll() is None for process in processes):
            time.sleep(0.5)
        return 0
    finally:
        _stop(folder, processes)


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
