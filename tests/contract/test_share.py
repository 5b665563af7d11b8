"""What the fleet shares is made once, on real servers: whoever asks, however many, whatever becomes of the maker."""

import asyncio
import itertools
import math
import subprocess
import sys
import threading
import traceback

import pytest

from burst.fleet.control import Control
from burst.fleet.share import FleetShare
from burst.model.errors import QueueError
from burst.queues.cleaning import leftover_runs
from burst.queues.link import Link, owner_of

GUARD_S = 30.0
TELLTALE = "s3cret-t0ken"
runs = (f"share-{number}" for number in itertools.count())


class Fleet:
    """The workers of one run, each with a connection of its own, and what they made."""

    def __init__(self, url: str, run: str) -> None:
        self.url, self.run = url, run
        self.control = Control(url, run)
        self.key = self.control.keys.shared
        self.made: list[str] = []
        self.shares: list[FleetShare] = []

    def worker(self, **settings) -> FleetShare:
        self.shares.append(FleetShare(self.control, **settings))
        return self.shares[-1]

    def make(self) -> str:
        self.made.append(f"value {len(self.made)}")
        return self.made[-1]

    async def seen(self, key: str) -> bytes | None:
        return await self.control.link.call("HGET", self.key, key)

    async def now_us(self) -> int:
        seconds, microseconds = await self.control.link.call("TIME")
        return int(seconds) * 1_000_000 + int(microseconds)


@pytest.fixture(params=["password", "cluster"])
async def fleet(request, servers):
    """A fleet whose control shard is a server with a password, or a node of a cluster."""
    run, url = next(runs), request.getfixturevalue(f"{request.param}_url")
    fleet = Fleet(await owner_of(url, Control(url, run).keys.shared), run)
    await fleet.control.connect()
    yield fleet
    for share in fleet.shares:
        await share.close()
    await fleet.control.remove()
    await fleet.control.close()


@pytest.fixture
def hang_guard():
    """Wait for something for as long as a busy machine may need, and no longer."""
    return lambda waiting: asyncio.wait_for(waiting, GUARD_S)


async def test_twenty_callers_over_five_connections_make_it_once(fleet, hang_guard):
    workers = [fleet.worker() for _ in range(5)]
    asked = [worker.value("jwt", fleet.make, 60) for worker in workers for _ in range(4)]
    told = await hang_guard(asyncio.gather(*asked))
    assert fleet.made == ["value 0"]
    assert {value for value, _ in told} == {"value 0"}
    assert all(0 <= age_s < GUARD_S for _, age_s in told)


async def test_what_is_too_old_is_made_anew_once_for_all(fleet, hang_guard):
    workers = [fleet.worker() for _ in range(5)]
    await workers[0].value("jwt", fleet.make, 60)
    await fleet.control.link.call("HINCRBY", fleet.key, "made:jwt", -3_600_000_000)
    told = await workers[1].value("jwt", fleet.make, 7200)
    assert (told[0], 3600 < told[1] < 3600 + GUARD_S) == ("value 0", True)
    asked = [worker.value("jwt", fleet.make, 1200) for worker in workers for _ in range(4)]
    told = await hang_guard(asyncio.gather(*asked))
    assert fleet.made == ["value 0", "value 1"]
    assert {value for value, _ in told} == {"value 1"}


async def test_who_waits_takes_what_was_made_meanwhile_however_young_it_should_be(fleet, hang_guard):
    call, lasts = fleet.control.link.call, {"making_lasts_ms": 600_000}
    first, waiting = fleet.worker(**lasts), [fleet.worker(**lasts) for _ in range(4)]
    await asyncio.gather(*(share.value("warm", lambda: "", 60) for share in waiting))
    await call("HSET", fleet.key, "maker:jwt", "another", "until:jwt", await fleet.now_us() + 300_000_000)
    asked = [asyncio.ensure_future(share.value("jwt", fleet.make, 0)) for share in waiting]
    await asyncio.sleep(0.2)  # they have all been told to wait before the other gives up
    await call("HDEL", fleet.key, "maker:jwt", "until:jwt")
    told = await hang_guard(asyncio.gather(first.value("jwt", fleet.make, 0), *asked))
    assert fleet.made == ["value 0"]
    assert {value for value, _ in told} == {"value 0"}


@pytest.mark.parametrize("older_than_s", [0, -1])
async def test_a_value_that_is_never_young_enough_is_made_by_each_call(fleet, older_than_s):
    worker = fleet.worker()
    told = [(await worker.value("jwt", fleet.make, older_than_s))[0] for _ in range(3)]
    assert told == fleet.made == ["value 0", "value 1", "value 2"]


async def test_a_value_that_is_never_too_old_is_kept(fleet):
    for _ in range(3):
        assert (await fleet.worker().value("jwt", fleet.make, math.inf))[0] == "value 0"


async def test_names_are_apart_and_any_text_comes_back(fleet):
    texts = {"jwt": "a.b.c", "jwt:value": "\N{SNOWMAN}\0\n", "": "", "value:jwt": "x" * 10_000}
    for name, text in texts.items():
        assert (await fleet.worker().value(name, lambda text=text: text, 60))[0] == text
    for name, text in texts.items():
        assert (await fleet.worker().value(name, fleet.make, 60))[0] == text
    assert fleet.made == []


async def test_the_age_is_the_servers_and_counts_from_before_the_value_was_made(fleet):
    before_us = await fleet.now_us()

    def make() -> str:
        threading.Event().wait(0.05)
        return "slow"

    _, first_s = await fleet.worker().value("jwt", make, 60)
    assert first_s >= 0.05
    _, later_s = await fleet.worker().value("jwt", fleet.make, 60)
    assert first_s < later_s <= (await fleet.now_us() - before_us) / 1e6


async def test_what_make_raises_reaches_its_caller_and_another_makes_it(fleet, hang_guard):
    def fail() -> str:
        raise TimeoutError("no key today")

    waiting = []

    def fail_while_others_wait() -> str:
        waiting.extend(asyncio.ensure_future(fleet.worker().value("jwt", fleet.make, 60)) for _ in range(4))
        return fail()

    with pytest.raises(TimeoutError, match="no key today"):
        await fleet.worker(making_lasts_ms=600_000).value("jwt", fail_while_others_wait, 60)
    # The lock would last ten minutes: it was given back.
    told = await hang_guard(asyncio.gather(*waiting))
    assert fleet.made == ["value 0"]
    assert {value for value, _ in told} == {"value 0"}


async def test_a_caller_that_is_cancelled_while_it_waits_leaves_nothing_and_its_connection_serves_on(fleet, hang_guard):
    await fleet.control.link.call(
        "HSET", fleet.key, "maker:jwt", "another", "until:jwt", await fleet.now_us() + 60_000_000
    )
    worker = fleet.worker(making_lasts_ms=100_000)
    for pause_s in (0, 0.001, 0.005, 0.03):
        asking = asyncio.ensure_future(worker.value("jwt", fleet.make, 60))
        await asyncio.sleep(pause_s)
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await hang_guard(asking)
        assert (await hang_guard(worker.value(f"other {pause_s}", lambda: "right", 60)))[0] == "right"
    assert fleet.made == []
    assert await fleet.seen("maker:jwt") == b"another"


DYING = """
import asyncio, sys, time
from burst.fleet.control import Control
from burst.fleet.share import FleetShare

def make():
    print("making", flush=True)
    time.sleep(600)

asyncio.run(FleetShare(Control(*sys.argv[1:])).value("jwt", make, 60))
"""


async def test_when_the_maker_dies_another_makes_it(fleet, hang_guard):
    dying = subprocess.Popen([sys.executable, "-c", DYING, fleet.url, fleet.run], stdout=subprocess.PIPE)  # noqa: ASYNC220
    try:
        assert await hang_guard(asyncio.to_thread(dying.stdout.readline)) == b"making\n"
        asked = [asyncio.ensure_future(fleet.worker().value("jwt", fleet.make, 60)) for _ in range(4)]
    finally:
        dying.kill()
        dying.wait(GUARD_S)
        dying.stdout.close()
    told = await hang_guard(asyncio.gather(*asked))
    assert fleet.made == ["value 0"]
    assert {value for value, _ in told} == {"value 0"}


async def test_a_maker_that_was_too_slow_uses_what_the_fleet_uses(fleet, hang_guard):
    making, go_on = threading.Event(), threading.Event()

    def make_slowly() -> str:
        making.set()
        assert go_on.wait(GUARD_S)
        return "too late"

    async def be_slow() -> tuple[str, float]:
        share = FleetShare(fleet.control, making_lasts_ms=50)
        try:
            return await share.value("jwt", make_slowly, 60)
        finally:
            await share.close()

    slow = asyncio.ensure_future(asyncio.to_thread(asyncio.run, be_slow()))
    try:
        assert await hang_guard(asyncio.to_thread(making.wait, GUARD_S))
        assert (await hang_guard(fleet.worker(making_lasts_ms=50).value("jwt", fleet.make, 60)))[0] == "value 0"
    finally:
        go_on.set()
    assert (await hang_guard(slow))[0] == "value 0"


async def test_a_server_whose_clock_was_set_back_neither_keeps_a_value_nor_a_lock_for_ever(fleet, hang_guard):
    future_us = await fleet.now_us() + 3_600_000_000
    call = fleet.control.link.call
    await call("HSET", fleet.key, "value:jwt", "old", "made:jwt", future_us, "shown:jwt", future_us)
    await call("HSET", fleet.key, "maker:jwt", "gone", "until:jwt", future_us)
    assert (await hang_guard(fleet.worker().value("jwt", fleet.make, 60)))[0] == "value 0"


async def test_nobody_waits_for_ever(fleet):
    await fleet.control.link.call(
        "HSET", fleet.key, "maker:jwt", "another", "until:jwt", await fleet.now_us() + 60_000_000
    )
    with pytest.raises(QueueError, match=r"no worker of the fleet has made 'jwt' within 0\.1 s"):
        await fleet.worker(making_lasts_ms=100_000, within_s=0.1).value("jwt", fleet.make, 60)
    assert fleet.made == []


async def test_values_expire_and_go_with_the_run(fleet):
    await fleet.worker().value("jwt", fleet.make, 60)
    lasts_ms = await fleet.control.link.call("PTTL", fleet.key)
    assert 60_000 < lasts_ms <= 3_600_000
    await fleet.worker().value("certificate", fleet.make, 7200)
    assert lasts_ms < await fleet.control.link.call("PTTL", fleet.key) <= 7_200_000
    assert fleet.key.encode() in (await leftover_runs(fleet.url))[fleet.run]
    await fleet.control.remove()
    assert await fleet.control.link.call("EXISTS", fleet.key) == 0


async def test_a_lock_alone_expires_too(fleet):
    lasts_ms = []

    def look() -> str:
        async def ask() -> None:
            link = await Link(fleet.url).connect()
            lasts_ms.append(await link.call("PTTL", fleet.key))
            await link.close()

        thread = threading.Thread(target=asyncio.run, args=(ask(),))
        thread.start()
        thread.join(GUARD_S)
        return "looked"

    await fleet.worker().value("jwt", look, 60)
    assert 0 < lasts_ms[0] <= 60_000


async def test_an_error_tells_no_value(servers):
    port = servers.start()
    share = FleetShare(Control(f"redis://127.0.0.1:{port}", next(runs)))

    def make() -> str:
        servers._processes[-1].kill()
        servers._processes[-1].wait(GUARD_S)
        return TELLTALE

    with pytest.raises(QueueError) as caught:
        await share.value("jwt", make, 60)
    await share.close()
    told = "".join(traceback.TracebackException.from_exception(caught.value, capture_locals=True).format())
    assert "***" in told
    assert TELLTALE not in told
    assert TELLTALE not in repr(share)
