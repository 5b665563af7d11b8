"""The stand-in provider alone: what a request costs it, and how many a core it could take, witness on.

``limit`` is a second's CPU over the CPU of a request: the rate at which the serving process would be busy throughout,
whether or not the client on the other core got that far.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import cast

from burst.model.identity import id_prefix
from tests.bench import sink_loop
from tests.bench.order import Order
from tests.bench.peers import aioapns, h2load, hey
from tests.bench.servers import RUN, StandIn
from tests.bench.spent import Spent
from tests.bench.standings import Entry, Ground, Standings, load

_ROUNDS = 3
_REQUESTS = 500_000
_OF_THE_RUN = id_prefix(RUN).decode() + f"{7:012x}"


def _entry(name: str, measure: Callable[[Order], Spent], requests: int, connections: int) -> Entry:
    return Entry(name, lambda server: measure(cast("Order", server.order(requests, connections))))


def _grounds() -> tuple[Ground, ...]:
    return (
        Ground(
            lambda: StandIn(_REQUESTS),
            (
                _entry("burst's own rows", sink_loop.measure, _REQUESTS, 4),
                _entry("h2load, one token", lambda order: h2load.measure(order, tokens=1), _REQUESTS, 4),
                _entry(
                    "h2load, one token, 16 connections", lambda order: h2load.measure(order, tokens=1), _REQUESTS, 16
                ),
                _entry("h2load, distinct tokens", h2load.measure, _REQUESTS, 4),
                _entry("h2load, distinct tokens, 16 connections", h2load.measure, _REQUESTS, 16),
                _entry("h2load, distinct tokens, an id of the run", _witnessed, _REQUESTS, 4),
            ),
        ),
        Ground(
            lambda: StandIn(_REQUESTS, tls=True),
            (
                _entry("h2load over TLS, one token", lambda order: h2load.measure(order, tokens=1), _REQUESTS, 4),
                _entry("aioapns: every head changes the table", aioapns.measure, 5_000, 500),
                _entry("hey -h2: bodies end in an empty DATA frame", hey.measure, 10_000, 500),
            ),
        ),
    )


def _witnessed(order: Order) -> Spent:
    assert str(uuid.UUID(_OF_THE_RUN)) == _OF_THE_RUN
    return h2load.measure(order, ident=_OF_THE_RUN)


def main() -> None:
    """Print the table."""
    standings = Standings(_grounds())
    before = load()
    standings.play(_ROUNDS)
    standings.show_servers()
    print(f"medians of {_ROUNDS} rounds; {before} before, {load()} after")
