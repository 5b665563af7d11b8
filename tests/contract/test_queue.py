"""What the queue promises, asked of real servers: nothing lost, nothing twice, nothing by whom the lease has left."""

import asyncio
import itertools
import time

import pytest
import pytest_asyncio
import redis

from burst.fleet.heartbeat import Heartbeat
from burst.model.errors import LeaseLostError, QueueError
from burst.queues.cleaning import leftover_runs, remove_keys
from burst.queues.embedded import EmbeddedShards
from burst.queues.keys import GROUP, ControlKeys, ShardKeys
from burst.queues.link import Link, owner_of
from burst.queues.shard import Held, Lease, Settlement, Shard, Stager

pytestmark = pytest.mark.asyncio(loop_scope="module")
BATCHES = 40
GUARD_S = 30.0
runs = (f"contract-{number}" for number in itertools.count())


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def embedded_url():
    shards = await EmbeddedShards(1).start()
    yield shards.urls[0]
    await shards.stop()


class Queue:
    """One shard of one run on one server, and everything that the tests do to it."""

    def __init__(self, base: str, url: str, link: Link, make) -> None:
        self.base, self.url, self.link, self.make = base, url, link, make
        self.keys = ShardKeys("", 0)
        self.shards: list[Shard] = []
        self.epoch = 0

    async def stage(self, numbers=range(BATCHES), *, epoch: int = 1, lane: str = "main") -> Stager:
        stager = Stager(self.link, self.keys, epoch)
        for number in numbers:
            await stager.add(self.make(number, 10 * number, 10, lane=lane), 0, -1)
        await stager.finish()
        return stager

    async def shard(self, *lanes: str) -> Shard:
        shard = Shard(self.url, self.keys, lanes or ("main",))
        await shard.open()
        self.shards.append(shard)
        return shard

    async def lease(self, consumer: str, lasts_ms: int = 600_000) -> Lease:
        self.epoch += 1
        key = self.keys.lease(consumer)
        await self.link.call("HSET", key, "epoch", self.epoch, "settled", 0)
        await self.link.call("PEXPIRE", key, lasts_ms)
        return Lease(consumer, self.epoch)

    async def expired(self, lease: Lease) -> None:
        """Let a lease run out, as it does when nobody renews it."""
        await self.link.call("PEXPIRE", self.keys.lease(lease.consumer), 1)
        deadline = time.monotonic() + GUARD_S
        while await self.link.call("EXISTS", self.keys.lease(lease.consumer)):
            assert time.monotonic() < deadline
            await asyncio.sleep(0.002)

    async def length(self, stream: str | None = None) -> int:
        return await self.link.call("XLEN", stream or self.keys.lane("main"))

    async def pending(self) -> int:
        return (await self.link.call("XPENDING", self.keys.lane("main"), GROUP))[0]

    async def done(self) -> dict[bytes, int]:
        flat = await self.link.call("HGETALL", self.keys.done)
        return {name: int(count) for name, count in zip(flat[::2], flat[1::2], strict=True)}


@pytest_asyncio.fixture(params=["embedded", "password", "cluster"], loop_scope="module")
async def queue(request, batch_of, embedded_url):
    base = embedded_url if request.param == "embedded" else request.getfixturevalue(f"{request.param}_url")
    keys = ShardKeys(next(runs), 0)
    url = await owner_of(base, keys.settled)
    link = await Link(url).connect()
    made = Queue(base, url, link, batch_of)
    made.keys = keys
    yield made
    for shard in made.shards:
        await shard.close()
    await link.close()


async def read_all(shard: Shard, lease: Lease, count: int = 7) -> list[Held]:
    held = []
    while not shard.drained:
        await shard.request(lease, count)
        held += await shard.collect()
    return held


def settlement(held: list[Held], delta: bytes = b"delta") -> Settlement:
    ids: dict[str, list[bytes]] = {}
    for batch in held:
        ids.setdefault(batch.lane, []).append(batch.entry_id)
    people = sum(batch.batch.count for batch in held)
    return Settlement(ids, delta, len(held), people, people)


def numbers_of(held: list[Held]) -> list[int]:
    return sorted(batch.batch.number for batch in held)


# -- staging --------------------------------------------------------------------------------------------------------


async def test_staging_twice_leaves_the_same_queue(queue):
    for _ in range(2):
        stager = await queue.stage()
        assert (stager.batches, stager.people) == (BATCHES, 10 * BATCHES)
        assert await queue.length() == BATCHES
    held = await read_all(await queue.shard(), await queue.lease("a"))
    assert numbers_of(held) == list(range(BATCHES))


@pytest.mark.parametrize("before", [1, 17, BATCHES - 1])
async def test_staging_goes_on_where_a_stager_died(queue, before):
    await queue.stage(range(before))
    await queue.stage()
    assert await queue.length() == BATCHES
    held = await read_all(await queue.shard(), await queue.lease("a"))
    assert numbers_of(held) == list(range(BATCHES))


async def test_staging_again_while_workers_hold_and_settled_brings_nothing_back(queue):
    await queue.stage()
    shard, lease = await queue.shard(), await queue.lease("a")
    held = await read_all(shard, lease)
    await shard.settle(lease, 1, settlement(held[:5]))
    await queue.stage()
    shard.look_again()
    assert await read_all(shard, lease) == []
    assert await queue.pending() == BATCHES - 5


async def test_what_a_server_lost_is_staged_again_as_a_second_epoch(queue):
    await queue.stage()
    await queue.link.call("DEL", queue.keys.lane("main"))
    await queue.stage(epoch=2)
    held = await read_all(await queue.shard(), await queue.lease("a"))
    assert numbers_of(held) == list(range(BATCHES))
    assert all(batch.entry_id.startswith(b"2-") for batch in held)
    # A stager of the first epoch that comes late adds nothing.
    await queue.stage()
    assert await queue.length() == BATCHES


async def test_a_second_epoch_over_a_first_that_is_still_there_is_noticed(queue):
    await queue.stage()
    with pytest.raises(QueueError, match=f"holds {2 * BATCHES} batches"):
        await queue.stage(epoch=2)


async def test_entries_that_vanished_while_staging_are_noticed(queue):
    stager = Stager(queue.link, queue.keys)
    for number in range(10):
        await stager.add(queue.make(number, 10 * number, 10), 0, -1)
    await stager.flush()
    await queue.link.receive()  # out of turn: only to be sure that it was written
    stager._unread -= 1
    await stager._drain()
    await queue.link.call("XTRIM", queue.keys.lane("main"), "MAXLEN", "=", 4)
    with pytest.raises(QueueError, match="holds 4 batches of lane 'main' where 10"):
        await stager.finish()


async def test_a_megabyte_and_more_in_flight_arrives_whole(queue):
    stager = Stager(queue.link, queue.keys)
    for number in range(300):
        await stager.add(queue.make(number, 4096 * number, 4096), 0, -1)
    await stager.finish()
    held = await read_all(await queue.shard(), await queue.lease("a"), 64)
    assert numbers_of(held) == list(range(300))
    assert all(batch.batch.token(4095) == (4096 * batch.batch.number + 4095).to_bytes(4, "big") for batch in held)


# -- reading --------------------------------------------------------------------------------------------------------


async def test_two_consumers_get_everything_and_nothing_twice(queue):
    await queue.stage()
    one, two = await queue.shard(), await queue.shard()
    first, second = await queue.lease("a"), await queue.lease("b")
    held: dict[str, list[Held]] = {"a": [], "b": []}
    while not (one.drained and two.drained):
        await one.request(first, 3)
        await two.request(second, 3)
        held["a"] += await one.collect()
        held["b"] += await two.collect()
    assert held["a"]
    assert held["b"]
    assert numbers_of(held["a"] + held["b"]) == list(range(BATCHES))
    assert not any(batch.taken_over for batch in held["a"] + held["b"])


async def test_batches_come_as_they_were_staged_lane_by_lane(queue):
    await queue.stage(range(5), lane="vip")
    await queue.stage(range(5, 10), lane="main")
    held = await read_all(await queue.shard("vip", "main"), await queue.lease("a"), 3)
    assert [(batch.lane, batch.batch.number) for batch in held] == [
        ("vip" if number < 5 else "main", number) for number in range(10)
    ]
    assert held[3].batch.first_index == 30
    assert held[3].batch.token(4) == (34).to_bytes(4, "big")


async def test_several_requests_may_be_under_way_at_once(queue):
    await queue.stage()
    shard, lease = await queue.shard(), await queue.lease("a")
    for _ in range(4):
        await shard.request(lease, 10)
    assert shard.waiting == 4
    held = [batch for _ in range(4) for batch in await shard.collect()]
    assert numbers_of(held) == list(range(BATCHES))


@pytest.mark.parametrize("damage", [b"", b"nonsense", b"\x01\x00" * 40])
async def test_a_damaged_entry_is_told_not_sent(queue, damage):
    await queue.stage(range(1))
    await queue.link.call("XADD", queue.keys.lane("main"), "1-1", "b", damage)
    shard, lease = await queue.shard(), await queue.lease("a")
    await shard.request(lease, 10)
    with pytest.raises(QueueError, match="queue entry 1"):
        await shard.collect()


async def test_an_entry_of_another_run_is_told_not_sent(queue):
    stager = Stager(queue.link, queue.keys)
    stager._run = b"foreign!"
    await stager.add(queue.make(0, 0, 10), 0, -1)
    await stager.finish()
    shard, lease = await queue.shard(), await queue.lease("a")
    await shard.request(lease, 10)
    with pytest.raises(QueueError, match=b"foreign!".hex()):
        await shard.collect()


# -- settling -------------------------------------------------------------------------------------------------------


async def test_a_settlement_counts_once_however_often_it_is_sent(queue):
    await queue.stage()
    shard, lease = await queue.shard(), await queue.lease("a")
    held = await read_all(shard, lease)
    for _ in range(3):
        await shard.settle(lease, 1, settlement(held[:10], b"first"))
    assert await queue.length(queue.keys.settled) == 1
    assert await queue.done() == {b"batches": 10, b"people": 100, b"accepted": 100}
    await shard.settle(lease, 2, settlement(held[10:], b"second"))
    await shard.settle(lease, 1, settlement(held[:10], b"first"))
    entries = await queue.link.call("XRANGE", queue.keys.settled, "-", "+")
    assert [fields[1] for _, fields in entries] == [b"first", b"second"]
    assert await queue.done() == {b"batches": BATCHES, b"people": 10 * BATCHES, b"accepted": 10 * BATCHES}
    assert await queue.pending() == 0


async def test_a_settlement_over_lanes_acknowledges_in_each(queue):
    await queue.stage(range(5), lane="vip")
    await queue.stage(range(5, 10), lane="main")
    shard, lease = await queue.shard("vip", "main"), await queue.lease("a")
    await shard.settle(lease, 1, settlement(await read_all(shard, lease)))
    for lane in ("vip", "main"):
        assert (await queue.link.call("XPENDING", queue.keys.lane(lane), GROUP))[0] == 0


async def test_who_settles_after_the_lease_is_over_is_fenced(queue):
    await queue.stage()
    shard, lease = await queue.shard(), await queue.lease("a")
    held = await read_all(shard, lease)
    await queue.expired(lease)
    with pytest.raises(LeaseLostError):
        await shard.settle(lease, 1, settlement(held))
    assert await queue.length(queue.keys.settled) == 0
    assert await queue.pending() == BATCHES


async def test_who_settles_under_an_epoch_that_has_passed_is_fenced(queue):
    await queue.stage()
    shard, lease = await queue.shard(), await queue.lease("a")
    held = await read_all(shard, lease)
    await queue.lease("a")
    with pytest.raises(LeaseLostError):
        await shard.settle(lease, 1, settlement(held))
    assert await queue.length(queue.keys.settled) == 0


async def test_who_settles_what_another_took_over_is_fenced(queue):
    await queue.stage()
    dead, alive = await queue.shard(), await queue.shard()
    old, new = await queue.lease("a"), await queue.lease("b")
    held = await read_all(dead, old)
    await queue.expired(old)
    taken = await alive.take_over(new, 1000)
    with pytest.raises(LeaseLostError):
        await dead.settle(old, 1, settlement(held))
    await alive.settle(new, 1, settlement(taken))
    with pytest.raises(LeaseLostError):
        await dead.settle(old, 1, settlement(held))
    assert await queue.done() == {b"batches": BATCHES, b"people": 10 * BATCHES, b"accepted": 10 * BATCHES}


async def test_a_settlement_of_what_is_not_pending_is_refused_and_not_counted(queue):
    await queue.stage()
    shard, lease = await queue.shard(), await queue.lease("a")
    held = await read_all(shard, lease)
    await shard.settle(lease, 1, settlement(held[:10]))
    with pytest.raises(LeaseLostError):
        await shard.settle(lease, 2, settlement(held[:10]))
    assert await queue.length(queue.keys.settled) == 1


# -- taking over ----------------------------------------------------------------------------------------------------


async def test_nothing_is_taken_from_who_lives(queue):
    await queue.stage()
    one, two = await queue.shard(), await queue.shard()
    first, second = await queue.lease("a"), await queue.lease("b")
    held = await read_all(one, first)
    assert await two.take_over(second, 1000) == []
    await one.settle(first, 1, settlement(held))
    assert await two.take_over(second, 1000) == []


async def test_everything_pending_is_taken_from_the_dead_and_says_so(queue):
    await queue.stage()
    dead, alive = await queue.shard(), await queue.shard()
    old, new = await queue.lease("a"), await queue.lease("b")
    held = await read_all(dead, old)
    await dead.settle(old, 1, settlement(held[:5]))
    await queue.expired(old)
    taken: list[Held] = []
    while some := await alive.take_over(new, 8):
        assert len(some) <= 8
        taken += some
    assert numbers_of(taken) == numbers_of(held[5:])
    assert all(batch.taken_over for batch in taken)
    assert [bytes(batch.batch.tokens) for batch in taken] == [bytes(batch.batch.tokens) for batch in held[5:]]
    await alive.settle(new, 1, settlement(taken))
    assert await queue.pending() == 0
    assert (await queue.done())[b"batches"] == BATCHES


async def test_the_dead_of_every_lane_are_found(queue):
    await queue.stage(range(5), lane="vip")
    await queue.stage(range(5, 10), lane="main")
    dead, alive = await queue.shard("vip", "main"), await queue.shard("vip", "main")
    old, new = await queue.lease("a"), await queue.lease("b")
    await read_all(dead, old)
    await queue.expired(old)
    assert numbers_of(await alive.take_over(new, 1000)) == list(range(10))


async def test_two_who_take_over_at_once_share_without_doubling(queue):
    await queue.stage()
    dead = await queue.shard()
    old = await queue.lease("a")
    await read_all(dead, old)
    heirs = [(await queue.shard(), await queue.lease(name)) for name in ("b", "c")]
    await queue.expired(old)
    taken: list[Held] = []
    while some := list(itertools.chain(*await asyncio.gather(*(s.take_over(lease, 6) for s, lease in heirs)))):
        taken += some
    assert numbers_of(taken) == list(range(BATCHES))


async def test_who_has_no_lease_takes_over_nothing(queue):
    await queue.stage()
    dead, alive = await queue.shard(), await queue.shard()
    old, new = await queue.lease("a"), await queue.lease("b")
    await read_all(dead, old)
    await queue.expired(old)
    await queue.expired(new)
    with pytest.raises(LeaseLostError):
        await alive.take_over(new, 1000)
    assert await queue.pending() == BATCHES


# -- the heartbeat --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "queue",
    ["embedded", *(pytest.param(name, marks=pytest.mark.slow) for name in ("password", "cluster"))],
    indirect=True,
)
async def test_the_heartbeat_keeps_the_lease_while_the_event_loop_is_busy(queue):
    lasts_ns = 3_000_000_000  # renewed every second: a busy machine may come two seconds late
    heart = Heartbeat([(queue.url, queue.keys)], Lease("a", 7), lasts_ns)
    heart.begin()
    client = redis.Redis.from_url(queue.url, protocol=2)
    begun = time.monotonic_ns()
    while time.monotonic_ns() < begun + 3 * lasts_ns // 2:  # nothing else runs on the loop meanwhile
        assert client.exists(queue.keys.lease("a"))
    assert heart.valid_until_ns > begun + lasts_ns
    assert not heart.lost
    heart.end()
    heart.end()
    assert not client.exists(queue.keys.lease("a"))
    client.close()


async def test_a_heartbeat_notices_that_its_lease_is_lost_and_does_not_revive_it(queue):
    heart = Heartbeat([(queue.url, queue.keys)], Lease("a", 7), 1_200_000_000)
    heart.begin()
    assert heart.valid_until_ns > time.monotonic_ns()
    await queue.link.call("DEL", queue.keys.lease("a"))
    deadline = time.monotonic() + GUARD_S
    while not heart.lost:
        assert time.monotonic() < deadline
        await asyncio.sleep(0.01)
    assert heart.valid_until_ns == 0
    assert not await queue.link.call("EXISTS", queue.keys.lease("a"))
    heart.end()


# -- what is not ours -----------------------------------------------------------------------------------------------


async def test_keys_that_are_not_ours_stay_as_they_are(queue):
    tag = queue.keys.tag  # in a cluster they must live on the same node
    foreign = {f"{tag[1:-1]}": b"a", f"shop:{tag}": b"b", f"burst:latch:{tag}": b"c"}
    for key, value in foreign.items():
        node = await Link(await owner_of(queue.base, key)).connect()
        await node.call("SET", key, value)
        await node.close()
    await queue.stage()
    shard, lease = await queue.shard(), await queue.lease("a")
    await shard.settle(lease, 1, settlement(await read_all(shard, lease)))
    left = await leftover_runs(queue.url)
    ours = left[queue.keys.run]
    assert {key.decode() for key in ours} == {
        queue.keys.lane("main"),
        queue.keys.settled,
        queue.keys.done,
        queue.keys.lease("a"),
    }
    assert not {key.encode() for key in foreign} & {key for keys in left.values() for key in keys}
    await remove_keys(queue.url, ours)
    assert queue.keys.run not in await leftover_runs(queue.url)
    for key, value in foreign.items():
        node = await Link(await owner_of(queue.base, key)).connect()
        assert await node.call("GET", key) == value
        await node.close()


async def test_a_run_whose_coordinator_lives_is_not_left_over(embedded_url):
    run = next(runs)
    link = await Link(embedded_url).connect()
    await link.call("SET", ControlKeys(run).spec, "x")
    assert run in await leftover_runs(embedded_url)
    await link.call("SET", ControlKeys(run).coordinator, "1")
    assert run not in await leftover_runs(embedded_url)
    await link.close()


async def test_all_keys_of_a_shard_live_in_one_slot(cluster_url):
    link = await Link(cluster_url).connect()
    for shard in range(8):
        keys = ShardKeys("some run", shard)
        slots = [
            await link.call("CLUSTER", "KEYSLOT", key)
            for key in (keys.lane("main"), keys.lane("vip"), keys.settled, keys.done, keys.lease("a"))
        ]
        assert len(set(slots)) == 1
    await link.close()


async def test_the_node_that_owns_a_key_is_found_and_takes_it(cluster_url, embedded_url):
    found = set()
    for number in range(24):
        key = ShardKeys("run", number).settled
        url = await owner_of(cluster_url, key)
        found.add(url)
        link = await Link(url).connect()
        await link.call("SET", key, "here")
        assert await link.call("GET", key) == b"here"
        await link.close()
    assert len(found) == 3
    assert await owner_of(embedded_url, "anything") == embedded_url


async def test_a_shard_on_the_wrong_node_of_a_cluster_is_told(cluster_url, batch_of):
    number = 0
    while await owner_of(cluster_url, ShardKeys("run", number).settled) == cluster_url:
        number += 1
    link = await Link(cluster_url).connect()
    with pytest.raises(QueueError, match="has moved slot"):
        await Stager(link, ShardKeys("run", number)).add(batch_of(0, 0, 1), 0, -1)
    await link.close()
