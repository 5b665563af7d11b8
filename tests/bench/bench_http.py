"""The HTTP sink in the engine's own pump beside wrk: the same requests to the same nginx over as many connections.

Client on one core, nginx on the other. wrk sends one request over and over, or 20,000 that its script made before, or
makes each when it sends it, as burst does: all of burst's differ in id, index and token; rendering them is part of what
is measured, as are ledger and stamps.
"""

from __future__ import annotations

import re
import shutil
import tempfile
from pathlib import Path
from typing import cast

import msgspec

from burst.model.identity import NOTIFICATION, id_prefix
from tests.bench.order import Order
from tests.bench.servers import RUN, Nginx
from tests.bench.spent import NotInstalledError, Spent, run_module, run_program
from tests.bench.standings import Entry, Ground, Server, Standings, load

_ROUNDS = 3
_LASTS_S = 2
_MANY = 64
_TOKEN = "0123456789abcdef" * 4
_BODY = (
    '{{"id":"{ident}","event":"bench","run":"bench","index":"000000","token":"' + _TOKEN + '","platform":"ios",'
    '"tenant":"","lane":"main"}}'
)
_MADE_BEFORE = """
local made, at, body = {}, 0, wrk.body
function init(args)
  for number = 1, 20000 do
    local id, token = string.format('PREFIX%012x', number), string.format('%064x', number)
    wrk.headers['burst-id'] = id
    local text = body:gsub('PREFIX' .. string.rep('0', 12), id):gsub('"0123456789abcdef[^"]*"', '"' .. token .. '"')
    made[number] = wrk.format(nil, '/', nil, text)
  end
end
function request()
  at = at % #made + 1
  return made[at]
end
"""
_MADE_THEN = """
local at, body = 0, wrk.body
local ident = 'PREFIX' .. string.rep('0', 12)
local from, to = body:find(ident, 1, true)
local first, rest = body:sub(1, from - 1), body:sub(to + 1)
local between, behind = rest:match('^(.-"token":")%x+(".*)$')
function request()
  at = at + 1
  local id = string.format('PREFIX%012x', at)
  wrk.headers['burst-id'] = id
  return wrk.format(nil, '/', nil, first .. id .. between .. string.format('%064x', at) .. behind)
end
"""


def measure(order: Order) -> Spent:
    """Send ``order`` in a process of its own; every request must have been accepted."""
    told = run_module("tests.bench.http_loop", order)
    if told["accepted"] != order.requests:
        raise SystemExit(f"not every request was accepted: {told}")
    return Spent(order.requests, told["wall_s"], told["cpu_s"])


def measure_wrk(order: Order, script_text: str = "") -> Spent:
    """Shoot with wrk for a while: one request over and over, or those of a script."""
    if shutil.which("wrk") is None:
        raise NotInstalledError("apt-get install wrk")
    prefix = id_prefix(RUN, NOTIFICATION).decode()
    ident = prefix + "000000000000"
    with tempfile.TemporaryDirectory(prefix="burst-bench-") as folder:
        script = Path(folder, "post.lua")
        script.write_text(
            f"wrk.method = 'POST'\nwrk.body = [==[{_BODY.format(ident=ident)}]==]\n"
            f"wrk.headers['burst-id'] = '{ident}'\nwrk.headers['user-agent'] = 'burst/0.1.0'\n"
            "wrk.headers['content-type'] = 'application/json'\n" + script_text.replace("PREFIX", prefix)
        )
        output, _, cpu_s = run_program(
            ["wrk", "-t", "1", "-c", str(order.connections), "-d", f"{_LASTS_S}s", "-s", str(script), order.url]
        )
    found = re.search(r"(\d+) requests in ([\d.]+)s", output)
    if found is None or "Non-2xx" in output:
        raise SystemExit(f"wrk was not answered 200:\n{output}")
    return Spent(int(found[1]), float(found[2]), cpu_s)


def _order(server: Nginx, requests: int, connections: int, *, tls: bool) -> Order:
    order = server.order(requests, connections, bare=True)
    if not tls:
        return order
    url, ca_file = f"https://127.0.0.1:{server.tls_port}", str(server.authority.ca)
    return msgspec.structs.replace(order, url=url, ca_file=ca_file)


def _entries(requests: int, connections: int, *, tls: bool = False) -> tuple[Entry, ...]:
    over = f"{connections} connection{'s' if connections > 1 else ''}{', TLS' if tls else ''}"
    beside = (f"wrk, {over}",)

    def ordered(server: Server) -> Order:
        return _order(cast("Nginx", server), requests, connections, tls=tls)

    return (
        Entry(f"burst, {over}", lambda server: measure(ordered(server)), beside),
        Entry(beside[0], lambda server: measure_wrk(ordered(server)), beside),
        Entry(f"wrk, {over}, 20,000", lambda server: measure_wrk(ordered(server), _MADE_BEFORE), beside),
        Entry(f"wrk, {over}, all distinct", lambda server: measure_wrk(ordered(server), _MADE_THEN), beside),
    )


def main() -> None:
    """Print the table."""
    entries = (*_entries(200_000, _MANY), *_entries(30_000, 1), *_entries(100_000, _MANY, tls=True))
    standings = Standings((Ground(Nginx, entries),))
    before = load()
    standings.play(_ROUNDS)
    standings.show(f"wrk, {_MANY} connections")
    print(f"medians of {_ROUNDS} rounds; {before} before, {load()} after (a bench alone makes 1 to 2)")


if __name__ == "__main__":
    main()
