"""wrk: HTTP/1.1 in C, paths made by Lua. nginx answers it."""

from __future__ import annotations

import re
import shutil
import tempfile
from pathlib import Path

from tests.bench.order import PAYLOAD, Order, device_tokens
from tests.bench.spent import NotInstalledError, Spent, run_program

_LASTS_S = 2


def measure(order: Order) -> Spent:
    """Shoot over ``order.connections`` connections for a while."""
    if shutil.which("wrk") is None:
        raise NotInstalledError("apt-get install wrk")
    fields = ", ".join(f'["{name}"] = "{value}"' for name, value in order.fields().items())
    with tempfile.TemporaryDirectory(prefix="burst-bench-") as folder:
        tokens, script = Path(folder, "tokens"), Path(folder, "push.lua")
        tokens.write_text("\n".join(device_tokens(20_000)))
        script.write_text(
            f"local tokens = {{}}\nfor line in io.lines('{tokens}') do tokens[#tokens + 1] = line end\n"
            f"local at, fields, payload = 0, {{ {fields} }}, [==[{PAYLOAD}]==]\n"
            "request = function()\n  at = at % #tokens + 1\n"
            "  return wrk.format('POST', '/3/device/' .. tokens[at], fields, payload)\nend\n"
        )
        output, _, cpu_s = run_program(
            ["wrk", "-t", "1", "-c", str(order.connections), "-d", f"{_LASTS_S}s", "-s", str(script), order.url]
        )
    found = re.search(r"(\d+) requests in ([\d.]+)s", output)
    if found is None or "Non-2xx" in output:
        raise SystemExit(f"wrk was not answered 200:\n{output}")
    return Spent(int(found[1]), float(found[2]), cpu_s)
