"""The APNs sink beside everything else that sends HTTP requests: requests a second, and CPU of a request.

Client on one core, server on the other; the same path, fields and 200 bytes for every client; each ground's server
is started anew each round. CPU time of a request is the figure to trust on a shared machine.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

from tests.bench import sink_loop
from tests.bench.order import Order
from tests.bench.peers import aioapns, aiohttp, h2load, hey, httpx, k6, locust, wrk
from tests.bench.servers import Nginx, StandIn
from tests.bench.spent import Spent
from tests.bench.standings import Entry, Ground, Server, Standings, load

_ROUNDS = 3
_PEOPLE = 1_000_000
_PEOPLE_TLS = 1_000_000
_IRREGULAR = {"dead": 0.05, "answers": [{"share": 0.01, "reason": "TooManyRequests"}]}
_LATE = {"latency": {"p50": "2ms", "p99": "6ms"}}
_SLOW = "aiohttp"
_H2LOAD = 500_000
_BARE = "h2load at its best: one token, no JWT"


def _entry(
    name: str,
    measure: Callable[..., Spent],
    requests: int,
    connections: int,
    beside: tuple[str, ...] = (),
    *,
    bare: bool = False,
    **how: Any,
) -> Entry:
    def run(server: Server) -> Spent:
        return measure(cast("Order", server.order(requests, connections, bare=bare)), **how)

    return Entry(name, run, beside)


def _h2loads(names: tuple[str, str, str]) -> tuple[Entry, Entry, Entry]:
    """Return h2load with as many connections as the sink, with fewer streams, with one; the best of them counts."""
    four, fewer, one = names
    return (
        _entry(four, h2load.measure, _H2LOAD, 4, names),
        _entry(fewer, h2load.measure, _H2LOAD, 4, names, streams=250),
        _entry(one, h2load.measure, _H2LOAD, 1, names),
    )


def _grounds() -> tuple[Ground, ...]:
    clear = ("h2load -c 4 -m 1000", "h2load -c 4 -m 250", "h2load -c 1 -m 1000")
    tls = ("h2load over TLS -c 4 -m 1000", "h2load over TLS -c 4 -m 250", "h2load over TLS -c 1 -m 1000")
    return (
        Ground(
            lambda: StandIn(_PEOPLE),
            (
                _entry("burst, distinct tokens", sink_loop.measure, _PEOPLE, 4, clear),
                *_h2loads(clear),
                _entry("h2load -c 4 -m 250, one token", h2load.measure, _H2LOAD, 4, clear, tokens=1, streams=250),
                _entry("httpx[http2]", httpx.measure, 1_500, 100, clear),
            ),
        ),
        Ground(
            lambda: StandIn(_PEOPLE_TLS, tls=True),
            (
                _entry("burst over TLS", sink_loop.measure, _PEOPLE_TLS, 4, tls),
                *_h2loads(tls),
                _entry("aioapns (TLS)", aioapns.measure, 3_000, 500, tls),
                _entry("k6 (HTTP/2 over TLS)", k6.measure, 10_000, 100, tls),
                _entry("hey -h2 (TLS, one token)", hey.measure, 10_000, 500, tls),
            ),
        ),
        Ground(
            lambda: StandIn(_PEOPLE, {"auth": "none"}),
            (_entry(_BARE, h2load.measure, _H2LOAD, 4, clear, tokens=1, streams=250, bare=True),),
        ),
        Ground(
            Nginx,
            (
                _entry(_SLOW, aiohttp.measure, 15_000, 100, clear),
                _entry("locust FastHttpUser (HTTP/1.1, nginx)", locust.measure, 0, 100, clear),
                _entry("wrk (HTTP/1.1, nginx)", wrk.measure, 0, 100, clear),
            ),
        ),
        Ground(
            lambda: StandIn(_PEOPLE, _IRREGULAR),
            (_entry("burst, 5 % answered 410, 1 % 429", sink_loop.measure, _PEOPLE, 4, clear, all_accepted=False),),
        ),
        Ground(
            lambda: StandIn(_PEOPLE, _LATE),
            (_entry("burst, answers 2 ms late, out of order", sink_loop.measure, _PEOPLE, 4, clear),),
        ),
    )


def main() -> None:
    """Print the table."""
    standings = Standings(_grounds())
    before = load()
    standings.play(_ROUNDS)
    standings.show(_SLOW)
    print(f"medians of {_ROUNDS} rounds; {before} before, {load()} after (a bench alone makes 1 to 2)")
