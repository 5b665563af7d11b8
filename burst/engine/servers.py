"""The Redis servers of one run: its shards and its control shard."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence
from pathlib import Path

from burst.fleet.control import Control
from burst.model.errors import BurstError
from burst.model.scenario import QueueSettings
from burst.queues.embedded import EmbeddedShards
from burst.queues.keys import ControlKeys, ShardKeys
from burst.queues.link import Link, owner_of, redacted

BEAT_LASTS_MS = 2000


class Servers:
    """Starts the servers or finds them, shows them that the run lives, and leaves nothing of it on them.

    ``urls`` has one address a shard; ``names`` says the same as a person may read it, without passwords.
    """

    def __init__(self, run: str, queue: QueueSettings, redis: Sequence[str]) -> None:
        self._run = run
        self._queue = queue
        self._redis = redis or queue.redis
        self.urls: list[str] = []
        self.names: list[str] = []
        self.control_url = ""
        self._embedded: EmbeddedShards | None = None
        self._links: list[Link] = []
        self._control: Control | None = None
        self._beats = contextlib.AsyncExitStack()

    @property
    def control(self) -> Control:
        """The control shard, once ``start`` has returned."""
        assert self._control is not None
        return self._control

    async def start(self) -> None:
        """Start embedded servers, or find the owner of each shard; connect, and begin to beat. Raises QueueError."""
        queue, redis = self._queue, self._redis
        if redis:
            self.urls = [
                await owner_of(redis[shard % len(redis)], ShardKeys(self._run, shard).settled)
                for shard in range(max(queue.shards, len(redis)))
            ]
            self.names = [redacted(url) for url in self.urls]
            self.control_url = await owner_of(redis[0], ControlKeys(self._run).spec)
        else:
            embedded = EmbeddedShards(queue.shards, memory_bytes=queue.memory or 0, outlive=queue.outlive)
            self._embedded = embedded
            await embedded.start()
            self.urls = embedded.urls
            self.control_url = self.urls[0]
            self.names = [f"embedded {Path(embedded.server).name}"] * queue.shards
        self._links = [await Link(url).connect() for url in self.urls]
        self._control = await Control(self.control_url, self._run).connect()
        await self._show_life()

    async def memory_mb(self) -> list[float]:
        """Return the memory that each shard's server uses, in megabytes (10^6 bytes)."""
        infos = [(await link.call("INFO", "memory")).decode() for link in self._links]
        return [round(int(info.partition("used_memory:")[2].split()[0]) / 1e6, 1) for info in infos]

    async def done(self) -> tuple[int, int, int]:
        """Return the batches that are settled, the people in them, and how many of these were accepted."""
        totals = [0, 0, 0]
        for number, link in enumerate(self._links):
            answer = await link.call("HMGET", ShardKeys(self._run, number).done, "batches", "people", "accepted")
            totals = [total + int(value or 0) for total, value in zip(totals, answer, strict=True)]
        return totals[0], totals[1], totals[2]

    async def end_leases(self, consumer: str) -> None:
        """Take a consumer's lease on every shard, so that others may take over what it holds."""
        for number, link in enumerate(self._links):
            await link.call("DEL", ShardKeys(self._run, number).lease(consumer))

    async def close(self, lanes: Sequence[str], *, until_quiet: bool) -> None:
        """End our own servers, or remove the run's keys from others'; ``until_quiet`` as in ``_unlink``."""
        await self._beats.aclose()
        for link in self._links:
            await link.close()
        if self._control is not None:
            await self._control.close()
        if self._embedded is not None:
            await self._embedded.stop()
        else:
            with contextlib.suppress(BurstError):
                await self._remove_keys(lanes, until_quiet=until_quiet)

    async def _remove_keys(self, lanes: Sequence[str], *, until_quiet: bool) -> None:
        """Remove this run's keys from servers that are not ours."""
        for number, url in enumerate(self.urls):
            keys = ShardKeys(self._run, number)
            names = (keys.settled, keys.done, keys.alive, *map(keys.lane, lanes))
            with contextlib.suppress(BurstError):
                await _unlink(url, names, until_quiet=until_quiet)
        if self.control_url:
            control = await Control(self.control_url, self._run).connect()
            await control.remove()
            await control.close()

    async def _show_life(self) -> None:
        """Show from now on that the run is under way: to its workers, and to `burst clean` on any of its servers."""
        await self.control.beat(BEAT_LASTS_MS)
        beats = [self._beat()]
        if self._embedded is None:
            beats += [self._beat_on(link.url, number) for number, link in enumerate(self._links)]
        for beat in beats:
            self._beats.push_async_callback(_ended, asyncio.ensure_future(beat))

    async def _beat_on(self, url: str, number: int) -> None:
        """Show one shard's server that the run is under way: the control shard may be on another."""
        link = await Link(url).connect()
        try:
            while True:
                await link.call("SET", ShardKeys(self._run, number).alive, "1", "PX", BEAT_LASTS_MS)
                await asyncio.sleep(BEAT_LASTS_MS / 4000)
        finally:
            await link.close()

    async def _beat(self) -> None:
        """Show the fleet that somebody can stop it."""
        control = await Control(self.control_url, self._run).connect()
        try:
            while True:
                await control.beat(BEAT_LASTS_MS)
                await asyncio.sleep(BEAT_LASTS_MS / 4000)
        finally:
            await control.close()


async def _unlink(url: str, names: tuple[str, ...], *, until_quiet: bool) -> None:
    """Remove keys; after an interrupted staging again, until nothing more of it arrives on closed connections."""
    link = await Link(url).connect()
    try:
        for _ in range(20):
            if not await link.call("UNLINK", *names) or not until_quiet:
                return
            await asyncio.sleep(0.05)
    finally:
        await link.close()


async def _ended(task: asyncio.Task[None]) -> None:
    """Cancel a background task and wait for its end."""
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError, BurstError):
        await task
