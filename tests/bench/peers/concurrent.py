"""So many coroutines that each send one push after another: how a Python client is driven."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from tests.bench.order import Order, device_tokens
from tests.bench.spent import Spent, run_module, stamps, tell


async def drive(order: Order, push: Callable[[str], Awaitable[int]]) -> None:
    """Send ``order`` through ``push``, which returns a status; print what it took."""
    tokens = device_tokens(order.requests)
    left = iter(tokens)

    async def one_after_another() -> None:
        for token in left:
            status = await push(token)
            if status != 200:
                raise SystemExit(f"answered {status}")

    await push(tokens[0])  # connections are made before the clock runs
    begun = stamps()
    await asyncio.gather(*(one_after_another() for _ in range(order.connections)))
    tell(order.requests, begun)


def measured(module: str, order: Order) -> Spent:
    """Run a client that tells what it spent."""
    told = run_module(module, order)
    return Spent(int(told["requests"]), told["wall_s"], told["cpu_s"], peak_rss_mb=told.get("peak_rss_mb", 0.0))
