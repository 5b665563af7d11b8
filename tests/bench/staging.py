"""Staging: synthetic people and people from a CSV file onto two embedded shards."""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.bench.measure import burst_run, row


def main() -> None:
    """Print people staged a second, Redis included."""
    synthetic = statistics.median(4e6 / burst_run("superbowl-2024")["stage_s"] for _ in range(3))
    row("staging, synthetic audience", f"{synthetic / 1e6:.2f} M/s")
    with tempfile.TemporaryDirectory() as folder:
        people, scenario = Path(folder) / "people.csv", Path(folder) / "from-csv.yaml"
        make = [sys.executable, "-m", "burst", "audience", "make", str(people), "--people", "1M"]
        subprocess.run(make, check=True, capture_output=True, timeout=300)
        scenario.write_text(f"name: from-csv\naudience: {people}\nsink: modelled\n")
        rate = statistics.median(1e6 / burst_run(str(scenario))["stage_s"] for _ in range(3))
    row("staging, CSV of 1,000,000 rows, duplicates looked for", f"{rate / 1e3:.0f} k/s")
