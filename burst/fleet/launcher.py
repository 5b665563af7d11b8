"""Starting local workers as processes of their own, and noticing when one dies."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from pathlib import Path


class Launcher:
    """Local workers 0..count-1, each ``burst worker --run RUN --index I`` with the control shard in its environment.

    The URL may hold a password, so it goes by the environment, which other users cannot read, and not by argument.
    """

    def __init__(self, count: int, url: str, run: str, log: Path) -> None:
        self._count = count
        self._url = url
        self._run = run
        self._log = log
        self.processes: list[subprocess.Popen[bytes]] = []

    def start(self) -> None:
        """Start them all, each in a session of its own: Ctrl-C is the coordinator's to handle."""
        environment = os.environ | {"BURST_JOIN": self._url, "PYTHONUNBUFFERED": "1"}
        for index in range(self._count):
            with self._log.open("ab") as log:
                self.processes.append(
                    subprocess.Popen(  # noqa: S603 (our own program)
                        [sys.executable, "-m", "burst", "worker", "--run", self._run, "--index", str(index)],
                        env=environment,
                        stdin=subprocess.DEVNULL,
                        stdout=log,
                        stderr=log,
                        start_new_session=True,
                    )
                )

    def dead(self) -> dict[int, int]:
        """Return the exit status of every worker that has ended (negative: the signal that killed it)."""
        codes = ((index, process.poll()) for index, process in enumerate(self.processes))
        return {index: code for index, code in codes if code is not None}

    def kill(self) -> None:
        """Kill whoever still runs, and reap them all. Safe to call twice."""
        for process in self.processes:
            if process.poll() is None:
                with contextlib.suppress(ProcessLookupError):
                    process.send_signal(signal.SIGKILL)
        for process in self.processes:
            process.wait()
