"""One shard: a stream for each lane on one server, with everything that may be done to it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from burst.model.batch import Batch
from burst.model.errors import QueueError
from burst.queues.entry import decode_entry, encode_entry, run_digest
from burst.queues.keys import GROUP, ShardKeys
from burst.queues.link import Link
from burst.queues.scripts import SETTLE, TAKE_OVER

STAGE_BYTES = 1 << 20  # a write of this size keeps the server busy while the next one is made
_AGAIN = "equal or smaller"  # Redis's refusal of an entry id that the stream has passed: staged before


@dataclass(frozen=True, slots=True)
class Lease:
    """A worker's hold on what it reads from one shard."""

    consumer: str
    epoch: int


@dataclass(frozen=True, slots=True)
class Held:
    """A batch as it came off the queue."""

    entry_id: bytes
    lane: str
    batch: Batch
    taken_over: bool = False
    holder: str = ""  # taken over: the consumer whose lease is over


@dataclass(frozen=True, slots=True)
class Settlement:
    """What one settle call makes durable: whole batches and the tally that belongs to them."""

    ids: dict[str, list[bytes]]  # lane -> entry ids
    delta: bytes
    batches: int
    people: int
    accepted: int


class Stager:
    """Writes batches to one shard, a megabyte in flight while the next is made."""

    def __init__(self, link: Link, keys: ShardKeys, stage_epoch: int = 1) -> None:
        self._link = link
        self._keys = keys
        self._epoch = stage_epoch
        self._run = run_digest(keys.run)
        self._commands: list[tuple[Any, ...]] = []
        self._bytes = 0
        self._unread = 0
        self._lanes: dict[str, int] = {}
        self.batches = 0
        self.people = 0

    @property
    def lanes(self) -> tuple[str, ...]:
        """Lanes in the order of their first batch."""
        return tuple(self._lanes)

    async def add(self, batch: Batch, due_offset_ns: int, expire_offset_ns: int) -> None:
        """Stage one batch; batches come in order of number. Raises QueueError when the server refuses."""
        if batch.lane not in self._lanes:
            await self.flush()
            await self._drain()
            await create_group(self._link, self._keys.lane(batch.lane))
            self._lanes[batch.lane] = 0
        self._lanes[batch.lane] += 1
        entry = b"".join(encode_entry(batch, self._run, due_offset_ns, expire_offset_ns))
        self._commands.append(("XADD", self._keys.lane(batch.lane), f"{self._epoch}-{batch.number}", "b", entry))
        self._bytes += len(entry)
        self.batches += 1
        self.people += batch.count
        if self._bytes >= STAGE_BYTES:
            await self.flush()

    async def flush(self) -> None:
        """Write what is collected, then read the answers to what was written before it."""
        if not self._commands:
            return
        before = self._unread
        await self._link.send_many(self._commands)
        self._unread += len(self._commands)
        self._commands = []
        self._bytes = 0
        await self._read(before)

    async def _read(self, count: int) -> None:
        for _ in range(count):
            self._unread -= 1
            try:
                await self._link.receive()
            except QueueError as refusal:
                if _AGAIN not in str(refusal):
                    raise

    async def _drain(self) -> None:
        await self._read(self._unread)

    async def finish(self) -> None:
        """Write the rest and make sure that the shard holds just what was staged."""
        await self.flush()
        await self._drain()
        for lane, batches in self._lanes.items():
            held = await self._link.call("XLEN", self._keys.lane(lane))
            if held != batches:
                raise QueueError(
                    f"shard {self._keys.shard} holds {held:,} batches of lane {lane!r} where {batches:,} were staged",
                    hint="did its server restart or evict keys (maxmemory-policy must be noeviction)?",
                )


async def create_group(link: Link, stream: str) -> None:
    """Create a stream with the workers' group; a second time changes nothing."""
    try:
        await link.call("XGROUP", "CREATE", stream, GROUP, "0", "MKSTREAM")
    except QueueError as refusal:
        if "BUSYGROUP" not in str(refusal):
            raise


class Shard:
    """One worker's two connections to one shard: one to read batches, one to settle and to look after the dead."""

    def __init__(self, url: str, keys: ShardKeys, lanes: Sequence[str]) -> None:
        self.keys = keys
        self.lanes = tuple(lanes)
        self._reader = Link(url)
        self._side = Link(url)
        self._side_lock = asyncio.Lock()
        self._run = run_digest(keys.run)
        self._requested: list[str] = []
        self._drained_lanes = 0

    async def open(self) -> None:
        """Connect."""
        await self._reader.connect()
        await self._side.connect()

    @property
    def waiting(self) -> int:
        """How many requests are written and unanswered."""
        return len(self._requested)

    async def request(self, lease: Lease, count: int) -> None:
        """Ask for up to ``count`` fresh batches of the first lane that is not known to be empty."""
        lane = self.lanes[self._drained_lanes % len(self.lanes)]
        await self._reader.send(
            "XREADGROUP", "GROUP", GROUP, lease.consumer, "COUNT", count, "STREAMS", self.keys.lane(lane), ">"
        )
        self._requested.append(lane)

    async def collect(self) -> list[Held]:
        """Read the answer to the oldest request. An empty lane moves on to the next; [] after the last."""
        lane = self._requested.pop(0)
        answer = await self._reader.receive()
        if not answer:
            if lane == self.lanes[self._drained_lanes % len(self.lanes)]:
                self._drained_lanes += 1
            return []
        return [self._held(lane, entry_id, fields) for entry_id, fields in answer[0][1]]

    @property
    def drained(self) -> bool:
        """Whether every lane was found empty in this pass."""
        return self._drained_lanes >= len(self.lanes)

    def look_again(self) -> None:
        """Begin a new pass over the lanes."""
        self._drained_lanes = 0

    def _held(self, lane: str, entry_id: bytes, fields: list[bytes], holder: str = "") -> Held:
        number = int(entry_id.partition(b"-")[2])
        return Held(entry_id, lane, decode_entry(number, fields[1], self._run), bool(holder), holder)

    async def settle(self, lease: Lease, number: int, settlement: Settlement) -> None:
        """Acknowledge whole batches and append their delta: once, however often it is called with one number."""
        arguments: list[Any] = [
            lease.epoch,
            number,
            GROUP,
            settlement.delta,
            settlement.batches,
            settlement.people,
            settlement.accepted,
        ]
        for lane in self.lanes:
            ids = settlement.ids.get(lane, [])
            arguments += [len(ids), *ids]
        keys = [
            self.keys.lease(lease.consumer),
            self.keys.settled,
            self.keys.done,
            *map(self.keys.lane, self.lanes),
        ]
        async with self._side_lock:
            await self._side.run(SETTLE, keys, arguments)

    async def take_over(self, lease: Lease, at_most: int) -> list[Held]:
        """Take the batches of workers whose lease is over. Each comes with the order to consult the ledger."""
        taken: list[Held] = []
        async with self._side_lock:
            for lane in self.lanes:
                stream = self.keys.lane(lane)
                for consumer in await self._others(stream, lease):
                    if at_most <= len(taken):
                        return taken
                    entries = await self._side.run(
                        TAKE_OVER,
                        [self.keys.lease(consumer), self.keys.lease(lease.consumer), stream],
                        [GROUP, consumer, lease.consumer, lease.epoch, at_most - len(taken)],
                    )
                    taken += [self._held(lane, entry, fields, holder=consumer) for entry, fields in entries or ()]
        return taken

    async def _others(self, stream: str, lease: Lease) -> list[str]:
        """Return the consumers of a stream that hold anything, this one left out."""
        others = []
        for flat in await self._side.call("XINFO", "CONSUMERS", stream, GROUP):
            fields = dict(zip(flat[::2], flat[1::2], strict=True))
            if fields[b"pending"] and fields[b"name"].decode() != lease.consumer:
                others.append(fields[b"name"].decode())
        return others

    async def close(self) -> None:
        """Close both connections. Safe to call twice."""
        await self._reader.close()
        await self._side.close()
