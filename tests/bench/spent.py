"""What a client spent, and how it is found out: pinned to one core, by the kernel's account of a process."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from tests.bench.order import Order

CLIENT_CORE, SERVER_CORE = 0, 1
WITHIN_S = 180.0  # a client that takes longer hangs


class NotInstalledError(Exception):
    """A peer is not on this machine; the text says how to get it."""


@dataclass(frozen=True, slots=True)
class Spent:
    """One measurement: requests that were answered, and what they took."""

    requests: int
    wall_s: float
    client_cpu_s: float
    server_cpu_s: float = 0.0
    peak_rss_mb: float = 0.0

    @property
    def rate_per_s(self) -> float:
        """Requests a second."""
        return self.requests / self.wall_s

    @property
    def client_us(self) -> float:
        """CPU of the client, a request."""
        return self.client_cpu_s / self.requests * 1e6

    @property
    def server_us(self) -> float:
        """CPU of the server, a request."""
        return self.server_cpu_s / self.requests * 1e6


def pinned(arguments: Sequence[str], core: int) -> list[str]:
    """Return a command that keeps to one core, and its children with it."""
    return ["taskset", "-c", str(core), *arguments]


def run_program(arguments: Sequence[str], environment: Mapping[str, str] | None = None) -> tuple[str, float, float]:
    """Run a client to its end; return its output, its wall time and the CPU of it and its children, start-up included.

    Raises SystemExit when it fails.
    """
    begun_s = time.monotonic()
    process = subprocess.Popen(
        pinned(arguments, CLIENT_CORE),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=None if environment is None else os.environ | environment,
    )
    assert process.stdout is not None
    output = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{arguments[0]} ended with {process.returncode}:\n{output[-2000:]}")
    return output, time.monotonic() - begun_s, usage.ru_utime + usage.ru_stime


def run_module(module: str, order: Order) -> dict[str, Any]:
    """Run a client of ours: ``module`` reads an order, measures itself once it is connected, and prints JSON."""
    done = subprocess.run(
        pinned([sys.executable, "-m", module], CLIENT_CORE),
        input=msgspec.json.encode(order),
        capture_output=True,
        timeout=WITHIN_S,
        check=False,
    )
    if done.returncode:
        raise SystemExit(f"{module} ended with {done.returncode}:\n{done.stderr.decode()[-2000:]}")
    return msgspec.json.decode(done.stdout.splitlines()[-1])


def read_order() -> Order:
    """Return the order that this process was started with."""
    return msgspec.json.decode(sys.stdin.buffer.read(), type=Order)


def tell(requests: int, begun: tuple[float, float]) -> None:
    """Print what was spent since ``begun``, which ``stamps`` returned."""
    wall_s, cpu_s = stamps()
    print(msgspec.json.encode({"requests": requests, "wall_s": wall_s - begun[0], "cpu_s": cpu_s - begun[1]}).decode())


def stamps() -> tuple[float, float]:
    """Return the time, and the CPU time of this process, in seconds."""
    return time.monotonic(), time.process_time()
