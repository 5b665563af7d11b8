"""How long ``burst --help`` takes, beside Python starting with nothing."""

from __future__ import annotations

import subprocess
import sys
import time

from tests.bench.measure import interleaved, row


def _timed(*arguments: str) -> float:
    begun = time.perf_counter()
    subprocess.run([sys.executable, *arguments], check=True, capture_output=True, timeout=60)
    return (time.perf_counter() - begun) * 1e3


def main() -> None:
    """Print both."""
    ours, bare = interleaved(9, lambda: _timed("-m", "burst", "--help"), lambda: _timed("-c", ""))
    row("burst --help", f"{ours:.0f} ms", f"python -c '' {bare:.0f} ms")
