"""h2load of nghttp2: a client in C. It does not verify certificates, and sends one id throughout.

nghttp2 never indexes ``authorization`` (RFC 7541, 7.1.3, lets it): every request has its provider token anew, in
Huffman code.
"""

from __future__ import annotations

import re
import shutil
import tempfile
from pathlib import Path

from tests.bench.order import NOBODYS_ID, PAYLOAD, Order, device_tokens
from tests.bench.spent import NotInstalledError, Spent, run_program

STREAMS = 1000


def measure(order: Order, *, tokens: int = 100_000, streams: int = STREAMS, ident: str = NOBODYS_ID) -> Spent:
    """Send ``order`` with ``tokens`` distinct device tokens, given out over and over."""
    if shutil.which("h2load") is None:
        raise NotInstalledError("apt-get install nghttp2-client")
    with tempfile.TemporaryDirectory(prefix="burst-bench-") as folder:
        payload, uris = Path(folder, "payload"), Path(folder, "uris")
        payload.write_text(PAYLOAD)
        uris.write_text("".join(f"{order.url}/3/device/{token}\n" for token in device_tokens(tokens)))
        fields = [part for name, value in order.fields(ident).items() for part in ("-H", f"{name}: {value}")]
        output, wall_s, cpu_s = run_program(
            [
                *("h2load", "-n", str(order.requests), "-c", str(order.connections), "-m", str(streams), "-t", "1"),
                *("-d", str(payload), "-i", str(uris), *fields),
            ]
        )
    finished = re.search(r"finished in ([\d.]+)(us|ms|s), ", output)
    accepted = re.search(r"status codes: (\d+) 2xx", output)
    if finished is None or accepted is None or int(accepted[1]) != order.requests:
        raise SystemExit(f"h2load was not answered 200 throughout:\n{output}")
    wall_s = float(finished[1]) * {"s": 1, "ms": 1e-3, "us": 1e-6}[finished[2]]
    return Spent(order.requests, wall_s, cpu_s)
