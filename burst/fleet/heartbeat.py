"""The heartbeat: a thread that keeps a worker's leases alive and tells it until when they hold.

It does not share the event loop: a loop that is busy for a second must not lose what it is busy with.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Sequence

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from burst.model.errors import QueueError
from burst.model.units import NS_PER_MS
from burst.queues.keys import ShardKeys
from burst.queues.link import redacted
from burst.queues.scripts import RENEW
from burst.queues.shard import Lease


class Heartbeat:
    """Leases of one worker, one on each shard, all under one consumer name and epoch."""

    def __init__(self, shards: Sequence[tuple[str, ShardKeys]], lease: Lease, lease_ns: int) -> None:
        self.lease = lease
        self._lease_ns = lease_ns
        self._clients = [
            (
                redis.Redis.from_url(
                    url,
                    retry=Retry(NoBackoff(), 0),
                    socket_timeout=max(lease_ns / 2e9, 0.2),
                    socket_connect_timeout=2.0,
                    protocol=2,
                ),
                keys.lease(lease.consumer),
                redacted(url),
            )
            for url, keys in shards
        ]
        self._valid_until_ns = [0] * len(self._clients)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="heartbeat", daemon=True)
        self.lost = False

    @property
    def valid_until_ns(self) -> int:
        """The instant until which every lease holds, by this machine's clock; nothing may be sent after it."""
        return 0 if self.lost else min(self._valid_until_ns)

    def begin(self) -> None:
        """Take the leases and start beating. Raises QueueError."""
        for number, (client, key, server) in enumerate(self._clients):
            begun_ns = time.monotonic_ns()
            try:
                pipeline = client.pipeline()
                pipeline.hset(key, mapping={"epoch": self.lease.epoch, "settled": 0})
                pipeline.pexpire(key, self._lease_ns // NS_PER_MS)
                pipeline.execute()
            except redis.RedisError as error:
                raise QueueError(f"no lease on {server}: {error}") from None
            self._valid_until_ns[number] = begun_ns + self._lease_ns
        self._thread.start()

    def _run(self) -> None:
        while not self._stop.wait(self._lease_ns / 4e9):
            for number, (client, key, _) in enumerate(self._clients):
                begun_ns = time.monotonic_ns()
                try:
                    held = client.eval(RENEW.text, 1, key, self.lease.epoch, self._lease_ns // NS_PER_MS)
                except redis.RedisError:
                    continue  # the lease runs out by itself if this goes on
                if not held:
                    self.lost = True
                    return
                self._valid_until_ns[number] = begun_ns + self._lease_ns

    def end(self) -> None:
        """Stop beating and give the leases back. Safe to call twice."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(timeout=2.0)
        for client, key, _ in self._clients:
            with contextlib.suppress(redis.RedisError):  # it expires
                client.delete(key)
            client.close()
