"""Keep-alive connections are kept at a number: at once where a server closes them, without a storm where it fails."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Self

import pytest

from burst.model.errors import BurstError
from burst.model.units import NS_PER_MS, NS_PER_S
from burst.provider.authority import Authority
from burst.wire.h1 import H1Error
from burst.wire.h1_client import Response
from burst.wire.h1_link import H1Link
from burst.wire.h1_pool import DIALS_AT_ONCE, IDLE_FOR_NS, UNUSED_FOR_NS, H1Pool, keep_alive_ns
from burst.wire.tls import client_context, server_context
from tests.unit.h1_rig import Clock, Visit, dial_to, on_both_loops, serving, until

REQUEST = b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n"


class Taker:
    """What a pool told."""

    def __init__(self) -> None:
        self.taken: list[Response] = []
        self.refused: list[str] = []
        self.given_up = 0
        self.woken = 0

    def look(self) -> None:
        pass

    def take(self, link: H1Link, response: Response, whole: bytes) -> None:
        self.taken.append(response)

    def refuse(self, link: H1Link, error: H1Error) -> None:
        self.refused.append(str(error))

    def give_up(self, link: H1Link) -> None:
        self.given_up += 1

    def wake(self) -> None:
        self.woken += 1


Dial = Callable[[Callable[[], H1Link]], Awaitable[H1Link]]


class Pooled:
    """A pool, and what it told."""

    def __init__(self, dial: Dial, size: int = 3, *, idle_for_ns: int | None = None) -> None:
        self.taker = Taker()
        self.pool = H1Pool(size, dial, self.taker, self.taker.wake, Clock(), idle_for_ns=idle_for_ns)

    async def call(self) -> None:
        """Make one call over the connection last used, until its answer is there."""
        before = len(self.taker.taken)
        await until(lambda: self.pool.idle)
        await self.pool.idle.pop().ask(REQUEST, Clock.now_ns())
        assert len(self.taker.taken) == before + 1

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.pool.close()
        await self.pool.close()
        assert not self.pool._connected


# -- opening -----------------------------------------------------------------------------------------------------------


@on_both_loops
async def test_opening_waits_for_all_connections() -> None:
    async with serving() as server, Pooled(dial_to(server.port), 100) as pooled:
        await pooled.pool.open(10.0)
        assert len(pooled.pool.links) == len(pooled.pool.idle) == 100
        assert pooled.taker.woken == 1  # told once until the engine asks


@on_both_loops
async def test_first_connections_are_made_a_few_at_a_time() -> None:
    dialling = most = 0

    async def counted(make: Callable[[], H1Link]) -> H1Link:
        nonlocal dialling, most
        dialling += 1
        most = max(most, dialling)
        await asyncio.sleep(0.01)
        try:
            return await dial(make)
        finally:
            dialling -= 1

    async with serving() as server, Pooled(counted, 80) as pooled:
        dial = dial_to(server.port)
        await pooled.pool.open(10.0)
        assert most == DIALS_AT_ONCE


@on_both_loops
async def test_opening_ends_with_what_is_up_when_the_time_is_over() -> None:
    async def one_only(make: Callable[[], H1Link]) -> H1Link:
        if pooled.pool.links or pooled.pool.dialled > 1:
            await asyncio.sleep(60)
        return await dial(make)

    async with serving() as server, Pooled(one_only, 3) as pooled:
        dial = dial_to(server.port)
        await pooled.pool.open(0.2)
        assert len(pooled.pool.links) == 1


@on_both_loops
async def test_opening_fails_where_nobody_listens_and_says_why() -> None:
    async with serving() as server:
        port = server.port
    async with Pooled(dial_to(port)) as pooled:
        with pytest.raises(BurstError, match=r"no connection within 0.3 s: .*Connect call failed") as caught:
            await pooled.pool.open(0.3)
        assert caught.value.hint == "does anything listen there? check endpoint"


@on_both_loops
async def test_opening_fails_at_once_where_waiting_would_not_help() -> None:
    with TemporaryDirectory() as folder:
        mine, other = (Authority.create(Path(folder) / name) for name in ("mine", "other"))
        for trusted, spoken, said in ((other, ["http/1.1"], "trusted"), (mine, ["h2"], "speaks h2 over TLS")):
            served = server_context(str(mine.certificate), str(mine.key))
            served.set_alpn_protocols(spoken)
            client = client_context(str(trusted.ca))
            client.set_alpn_protocols(spoken)
            async with serving(tls=served) as server, Pooled(dial_to(server.port, client)) as pooled:
                with pytest.raises(BurstError, match=said):
                    await pooled.pool.open(3600.0)


# -- replacing ---------------------------------------------------------------------------------------------------------


@on_both_loops
async def test_dials_that_fail_become_fewer() -> None:
    async def fail(make: Callable[[], H1Link]) -> H1Link:
        raise ConnectionRefusedError(111, "refused")

    async with Pooled(fail, 100) as pooled:
        with pytest.raises(BurstError):
            await pooled.pool.open(1.0)
        # Once each, and then with doubled waits of 0.1 s and more, two hundred a second at most.
        assert 100 <= pooled.pool.dialled <= 100 + 220


@on_both_loops
async def test_a_server_that_hangs_up_at_once_is_not_stormed() -> None:
    async def hang_up(visit: Visit) -> bool:
        return False

    async with serving(greet=hang_up) as server, Pooled(dial_to(server.port), 10) as pooled:
        opening = asyncio.ensure_future(pooled.pool.open(3600.0))
        await asyncio.sleep(1.0)
        assert 20 <= server.accepted <= 10 * 9  # of each: 1, and then after 0.05, 0.1, 0.2 s, ... on average
        opening.cancel()
        await asyncio.gather(opening, return_exceptions=True)


@on_both_loops
async def test_a_backoff_ends_with_an_answer() -> None:
    failing = True

    async def moody(make: Callable[[], H1Link]) -> H1Link:
        if failing:
            raise ConnectionRefusedError(111, "refused")
        return await dial(make)

    async def close_after(visit: Visit) -> bool:
        visit.answer(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")
        return False

    async with serving(close_after) as server, Pooled(moody, 1) as pooled:
        dial = dial_to(server.port)
        opening = asyncio.ensure_future(pooled.pool.open(3600.0))
        await until(lambda: pooled.pool.dialled >= 3)
        failing = False
        await opening
        for _ in range(200):  # with the backoff that the failures had come to, the guard would not do
            await pooled.call()


# -- idle connections --------------------------------------------------------------------------------------------------


@on_both_loops
async def test_the_connection_last_used_is_used_next() -> None:
    async with serving() as server, Pooled(dial_to(server.port), 5) as pooled:
        await pooled.pool.open(10.0)
        for _ in range(20):
            await pooled.call()
        assert [link.answered for link in pooled.pool.idle] == [False] * 4 + [True]


@on_both_loops
async def test_a_connection_idle_for_long_is_renewed_rather_than_used() -> None:
    async with serving() as server, Pooled(dial_to(server.port), 3) as pooled:
        await pooled.pool.open(10.0)
        await pooled.call()
        used = pooled.pool.idle[-1]
        pooled.pool.renew_stale(Clock.now_ns() + IDLE_FOR_NS - NS_PER_S)
        assert used in pooled.pool.idle
        pooled.pool.renew_stale(Clock.now_ns() + IDLE_FOR_NS)
        assert used not in pooled.pool.idle
        await until(lambda: len(pooled.pool.idle) == 3)
        assert server.accepted == 4
        assert pooled.taker.given_up == 0


@pytest.mark.parametrize(("own_s", "says_s", "for_s"), [(None, 10, 9), (None, 1, 0.5), (3, 10, 3), (20, 10, 9)])
def test_a_server_says_for_how_long_a_connection_may_be_idle(own_s: int | None, says_s: int, for_s: float) -> None:
    @on_both_loops
    async def test() -> None:
        async def says(visit: Visit) -> bool:
            return visit.answer(
                b"HTTP/1.1 200 OK\r\nKeep-Alive: timeout=%d, max=9\r\nContent-Length: 0\r\n\r\n" % says_s
            )

        own_ns = None if own_s is None else own_s * NS_PER_S
        async with serving(says) as server, Pooled(dial_to(server.port), 1, idle_for_ns=own_ns) as pooled:
            await pooled.pool.open(10.0)
            await pooled.call()
            used = pooled.pool.idle[-1]
            since_ns = used.sent_ns
            pooled.pool.renew_stale(since_ns + int(for_s * NS_PER_S))
            assert used in pooled.pool.idle
            pooled.pool.renew_stale(since_ns + int(for_s * NS_PER_S) + 1)
            assert used not in pooled.pool.idle

    test(asyncio.new_event_loop)


@on_both_loops
async def test_connections_are_never_renewed_all_at_once() -> None:
    """A GO may come at any time."""
    async with serving() as server, Pooled(dial_to(server.port), 12) as pooled:
        await pooled.pool.open(10.0)
        pooled.pool.renew_stale(Clock.now_ns() + UNUSED_FOR_NS - NS_PER_S)
        assert len(pooled.pool.idle) == 12
        pooled.pool.renew_stale(Clock.now_ns() + UNUSED_FOR_NS)
        assert len(pooled.pool.idle) >= 8
        await until(lambda: len(pooled.pool.idle) == 12)
        assert server.accepted < 18


@pytest.mark.parametrize(
    ("field", "ms"),
    [
        (b"timeout=5", 4000),
        (b"timeout=5, max=100", 4000),
        (b'max=100, Timeout = "60"', 59_000),
        (b"timeout=1", 500),
        (b"timeout=0", 0),
        (b"max=100", None),
        (b"timeout=soon", None),
        (b"timeout=99999999999", None),
        (b"", None),
    ],
)
def test_what_a_keep_alive_field_says(field: bytes, ms: int | None) -> None:
    assert keep_alive_ns(field) == (None if ms is None else ms * NS_PER_MS)


@on_both_loops
async def test_a_connection_whose_server_hangs_up_takes_no_call_from_that_moment() -> None:
    async with serving() as server, Pooled(dial_to(server.port), 2) as pooled:
        await pooled.pool.open(10.0)
        await pooled.call()
        ended = pooled.pool.idle[-1]
        assert ended.eof_received() is False
        assert ended not in pooled.pool.idle
        await until(lambda: len(pooled.pool.idle) == 2)
        assert server.accepted == 3


# -- the end -----------------------------------------------------------------------------------------------------------


@on_both_loops
async def test_closing_does_not_wait_for_a_server_that_reads_nothing() -> None:
    async def deaf(visit: Visit) -> bool:
        await asyncio.sleep(60)
        return False

    async with serving(greet=deaf) as server:
        async with Pooled(dial_to(server.port), 2) as pooled:
            await pooled.pool.open(10.0)
            for link in list(pooled.pool.idle):
                link.ask(REQUEST + b" " * 30_000_000, Clock.now_ns()).add_done_callback(lambda done: done.exception())
            begun_s = time.monotonic()
        assert time.monotonic() - begun_s < 15.0
        assert pooled.taker.given_up == 0


@on_both_loops
async def test_a_connection_made_while_the_pool_closes_is_closed_too() -> None:
    async def late(make: Callable[[], H1Link]) -> H1Link:
        link = await dial(make)
        await asyncio.sleep(60)
        return link

    async with serving() as server, Pooled(late, 4) as pooled:
        dial = dial_to(server.port)
        opening = asyncio.ensure_future(pooled.pool.open(60.0))
        await until(lambda: server.accepted)
        opening.cancel()
        await asyncio.gather(opening, return_exceptions=True)
        await pooled.pool.close()
        await until(lambda: not server.visits)
