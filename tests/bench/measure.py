"""Running burst as a person would, and medians."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable
from typing import Any


def burst_run(scenario: str, *arguments: str) -> dict[str, Any]:
    """Run ``burst run --json`` in a process of its own; return result.json."""
    with tempfile.TemporaryDirectory(prefix="burst-bench-") as reports:
        done = subprocess.run(
            [sys.executable, "-m", "burst", "run", scenario, "--json", "--reports", reports, *arguments],
            capture_output=True,
            text=True,
            timeout=600,
            check=False,
        )
    if not done.stdout:
        raise SystemExit(done.stderr)
    return json.loads(done.stdout)


def interleaved(rounds: int, *candidates: Callable[[], float]) -> list[float]:
    """Measure the candidates in turn, ``rounds`` times over; return the median of each."""
    taken: list[list[float]] = [[] for _ in candidates]
    for _ in range(rounds):
        for candidate, samples in zip(candidates, taken, strict=True):
            samples.append(candidate())
    return [statistics.median(samples) for samples in taken]


def row(what: str, value: str, peer: str = "", ratio: str = "") -> None:
    """Print one line of the table."""
    print(f"{what:<58} {value:>16} {peer:>30} {ratio:>10}", flush=True)
