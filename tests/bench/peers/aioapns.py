"""aioapns, the APNs client that Python programs use: HTTP/2 over TLS by the h2 package, its own provider token."""

from __future__ import annotations

import ssl
from pathlib import Path
from urllib.parse import urlsplit

import uvloop

from tests.bench.order import MESSAGE, TOPIC, Order
from tests.bench.peers.concurrent import drive, measured
from tests.bench.spent import Spent, read_order


def measure(order: Order) -> Spent:
    """Send ``order`` in a process of its own."""
    return measured(__name__, order)


async def _run(order: Order, key: str) -> None:
    from aioapns import APNs, NotificationRequest, PushType
    from aioapns.connection import APNsTLSClientProtocol

    parts = urlsplit(order.url)

    class Here(APNsTLSClientProtocol):
        APNS_SERVER = parts.hostname or ""
        APNS_PORT = parts.port or 443

    client = APNs(key=key, key_id=order.key_id, team_id=order.team_id, topic=TOPIC, max_connections=1)
    client.pool.protocol_class = Here
    client.pool.ssl_context = ssl.create_default_context(cafile=order.ca_file)
    client.pool.ssl_context.set_alpn_protocols(["h2"])

    async def push(token: str) -> int:
        answer = await client.send_notification(
            NotificationRequest(token, MESSAGE, time_to_live=0, priority=10, push_type=PushType.ALERT)
        )
        return int(answer.status)

    await drive(order, push)
    client.pool.close()


if __name__ == "__main__":
    order = read_order()
    uvloop.run(_run(order, Path(order.key_file).read_text()))
