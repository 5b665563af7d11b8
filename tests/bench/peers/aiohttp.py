"""aiohttp's client, on uvloop. It speaks HTTP/1.1 only: nginx answers it."""

from __future__ import annotations

import uuid

import aiohttp
import uvloop

from tests.bench.order import PAYLOAD, Order
from tests.bench.peers.concurrent import drive, measured
from tests.bench.spent import Spent, read_order


def measure(order: Order) -> Spent:
    """Send ``order`` in a process of its own."""
    return measured(__name__, order)


async def _run(order: Order) -> None:
    fields, payload = order.fields(), PAYLOAD.encode()
    connector = aiohttp.TCPConnector(limit=order.connections)
    async with aiohttp.ClientSession(order.url, connector=connector) as session:

        async def push(token: str) -> int:
            ident = {"apns-id": str(uuid.uuid4())}
            async with session.post(f"/3/device/{token}", data=payload, headers=fields | ident) as answer:
                await answer.read()
                return answer.status

        await drive(order, push)


if __name__ == "__main__":
    uvloop.run(_run(read_order()))
