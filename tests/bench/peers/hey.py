"""hey, HTTP/2 over TLS by Go's own client: one URI over and over, certificates not verified."""

from __future__ import annotations

import re
import shutil

from tests.bench.order import PAYLOAD, Order, device_tokens
from tests.bench.spent import NotInstalledError, Spent, run_program


def measure(order: Order) -> Spent:
    """Send ``order`` with as many workers as it has connections."""
    if shutil.which("hey") is None:
        raise NotInstalledError("apt-get install hey")
    fields = [part for name, value in order.fields().items() for part in ("-H", f"{name}: {value}")]
    output, _, cpu_s = run_program(
        [
            *("hey", "-h2", "-cpus", "1", "-m", "POST", "-n", str(order.requests), "-c", str(order.connections)),
            *("-T", "application/json", "-d", PAYLOAD, *fields, f"{order.url}/3/device/{device_tokens(1)[0]}"),
        ]
    )
    total = re.search(r"Total:\s+([\d.]+) secs", output)
    accepted = re.search(r"\[200\]\s+(\d+) responses", output)
    if total is None or accepted is None:
        raise SystemExit(f"hey was not answered 200:\n{output}")
    return Spent(int(accepted[1]), float(total[1]), cpu_s)
