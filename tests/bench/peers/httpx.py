"""httpx with the h2 package: HTTP/2, one connection."""

from __future__ import annotations

import ssl
import uuid

import uvloop

from tests.bench.order import PAYLOAD, Order
from tests.bench.peers.concurrent import drive, measured
from tests.bench.spent import Spent, read_order


def measure(order: Order) -> Spent:
    """Send ``order`` in a process of its own."""
    return measured(__name__, order)


async def _run(order: Order) -> None:
    import httpx

    fields, payload = order.fields(), PAYLOAD.encode()
    trust = ssl.create_default_context(cafile=order.ca_file) if order.ca_file else True
    async with httpx.AsyncClient(http1=False, http2=True, base_url=order.url, verify=trust, timeout=60) as client:

        async def push(token: str) -> int:
            ident = {"apns-id": str(uuid.uuid4())}
            answer = await client.post(f"/3/device/{token}", content=payload, headers=fields | ident)
            return answer.status_code

        await drive(order, push)


if __name__ == "__main__":
    uvloop.run(_run(read_order()))
