"""Connections are kept at a number without a storm, and what was open on one that ends is given up once."""

import asyncio
import contextlib
import inspect
import socket
import ssl
import threading
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import aiofastnet
import numpy as np
import pytest
import uvloop

from burst.model.errors import BurstError, UsageError
from burst.provider.authority import Authority
from burst.wire.frames import END_HEADERS, END_STREAM, FrameType, Setting, frame
from burst.wire.h2_client import ClientConnection, Resets, Responses, WentAway
from burst.wire.h2_pool import DEAD_AFTER_S, PING_AFTER_S, SETTINGS_WITHIN_S, H2Pool
from burst.wire.h2_server import Cancelled, ServerConnection
from burst.wire.tls import client_context, server_context
from burst.wire.transport import BACKLOG_LIMIT, H2Link, connect, connect_unix
from tests.unit.test_wire.heard import whole

GUARD_S = 20.0  # a test that takes so long hangs
HEADS = [(b":method", b"POST"), (b":scheme", b"http"), (b":path", b"/"), (b":authority", b"localhost")]


async def until(true: Callable[[], object]) -> None:
    async with asyncio.timeout(GUARD_S):
        while not true():  # noqa: ASYNC110 (what is awaited is another end's state)
            await asyncio.sleep(0.002)


class Server:
    """A server that answers 200 at once, unless it holds its answers back."""

    def __init__(self) -> None:
        self.links: list[H2Link] = []
        self.accepted = 0
        self.held: list[tuple[H2Link, int]] = []
        self.holds = False
        self.cancelled: list[int] = []
        self.speaks = True
        self.closes_at_once = False

    def make(self) -> H2Link:
        self.accepted += 1
        link = _Served(ServerConnection(max_concurrent_streams=100), self)
        self.links.append(link)
        return link

    async def listen(self, port: int = 0, tls: ssl.SSLContext | None = None) -> tuple[Any, int]:
        loop = asyncio.get_running_loop()
        server = await aiofastnet.create_server(loop, self.make, "127.0.0.1", port, ssl=tls)
        return server, server.sockets[0].getsockname()[1]

    def received(self, link: H2Link) -> None:
        events, link.connection.events = link.connection.events, []
        for event in events:
            self.held += [(link, stream_id) for stream_id in whole(event)]
            if isinstance(event, Cancelled):
                self.cancelled.append(event.stream_id)
        if not self.holds:
            self.answer()

    def answer(self) -> None:
        held, self.held = self.held, []
        for link, stream_id in held:
            connection = link.connection
            assert isinstance(connection, ServerConnection)
            if connection.streams.row_of(stream_id) >= 0:
                block = connection.encoder.encode([(b":status", b"200")])
                head = frame(FrameType.HEADERS, END_HEADERS | END_STREAM, stream_id, block)
                connection.answer(stream_id, head, b"")
                link.flush()

    def writable(self, link: H2Link) -> None:
        pass

    def lost(self, link: H2Link, error: BaseException | None) -> None:
        self.links.remove(link)


class _Served(H2Link):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        server = self._owner
        assert isinstance(server, Server)
        if server.speaks:
            super().connection_made(transport)
        else:
            self.transport = transport
            self.connection.output.clear()
        if server.closes_at_once:
            self.close()

    def flush(self) -> None:
        server = self._owner
        assert isinstance(server, Server)
        if server.speaks:
            super().flush()


class Taker:
    """What a pool told."""

    def __init__(self) -> None:
        self.answered: list[int] = []
        self.given_up: list[int] = []
        self.resets: list[int] = []
        self.away: list[int] = []
        self.woken = 0

    def take(self, link: H2Link, events: Sequence[Any]) -> None:
        for event in events:
            if isinstance(event, Responses):
                self.answered += event.tags.tolist()
            elif isinstance(event, Resets):
                self.resets += event.tags.tolist()
            elif isinstance(event, WentAway):
                self.away += event.tags.tolist()

    def give_up(self, tags: Any, why: str) -> None:
        assert why
        self.given_up += tags.tolist()

    def wake(self) -> None:
        self.woken += 1


@contextlib.asynccontextmanager
async def server() -> AsyncIterator[tuple[Server, int]]:
    served = Server()
    listening, port = await served.listen()
    try:
        yield served, port
    finally:
        listening.close()
        for link in list(served.links):
            link.abort()
    await until(lambda: not served.links)


PoolOf = Callable[..., H2Pool]


@contextlib.asynccontextmanager
async def pool_of() -> AsyncIterator[PoolOf]:
    pools: list[H2Pool] = []

    def make(port: int, taker: Taker, size: int = 2, tls: ssl.SSLContext | None = None, name: str = "") -> H2Pool:
        async def dial(make: Callable[[], H2Link]) -> H2Link:
            return await connect(make, "127.0.0.1", port, tls=tls, server_name=name or None)

        return keep(H2Pool(size, dial, ClientConnection, taker, taker.wake))

    def keep(pool: H2Pool) -> H2Pool:
        pools.append(pool)
        return pool

    make.keep = keep  # type: ignore[attr-defined]
    try:
        yield make
    finally:
        for pool in pools:
            await pool.close()
            await pool.close()
            assert not pool._connected


Listen = Callable[[ssl.SSLContext], Awaitable[tuple[Server, int]]]


@contextlib.asynccontextmanager
async def listen() -> AsyncIterator[Listen]:
    open_: list[tuple[Server, Any]] = []

    async def make(tls: ssl.SSLContext) -> tuple[Server, int]:
        served = Server()
        listening, port = await served.listen(tls=tls)
        open_.append((served, listening))
        return served, port

    try:
        yield make
    finally:
        for served, listening in open_:
            listening.close()
            for link in list(served.links):
                link.abort()


_MAKERS = {"server": server, "listen": listen, "pool_of": pool_of}  # the pools close first


def on_both_loops(test: Callable[..., Any]) -> Callable[..., Any]:
    """Run a test on asyncio's own loop and on uvloop, with what it names of ``_MAKERS``."""
    wanted = inspect.signature(test).parameters

    def run(loop_factory: Callable[[], asyncio.AbstractEventLoop], **given: Any) -> None:
        async def main() -> None:
            async with contextlib.AsyncExitStack() as stack:
                for name, make in _MAKERS.items():
                    if name in wanted:
                        given[name] = await stack.enter_async_context(make())
                await test(**given)

        with asyncio.Runner(loop_factory=loop_factory) as runner:
            runner.run(main())

    own = [one for name, one in wanted.items() if name not in _MAKERS]
    factory = inspect.Parameter("loop_factory", inspect.Parameter.POSITIONAL_OR_KEYWORD)
    run.__name__, run.__doc__ = test.__name__, test.__doc__
    run.__signature__ = inspect.Signature([factory, *own])  # type: ignore[attr-defined]
    run.__dict__ |= {"pytestmark": list(getattr(test, "pytestmark", []))}
    factories = [asyncio.new_event_loop, uvloop.new_event_loop]
    return pytest.mark.parametrize("loop_factory", factories, ids=["asyncio", "uvloop"])(run)


def ask(link: H2Link, tag: int, now_ns: int = 0) -> None:
    connection = link.connection
    assert isinstance(connection, ClientConnection)
    connection.request(connection.encoder.encode(HEADS), b"hello", tag, now_ns)
    link.flush()


# -- up and down ------------------------------------------------------------------------------------------------------


@on_both_loops
async def test_every_connection_answers(server: tuple[Server, int], pool_of: PoolOf) -> None:
    taker = Taker()
    pool = pool_of(server[1], taker, size=4)
    await pool.open(GUARD_S)
    assert len(pool.links) == 4 == pool.dialled
    for tag in range(40):
        ask(pool.links[tag % 4], tag)
    await until(lambda: len(taker.answered) == 40)
    assert sorted(taker.answered) == list(range(40))


@on_both_loops
async def test_nobody_there_is_told_at_the_end_of_the_time(pool_of: PoolOf) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        pool = pool_of(free.getsockname()[1], Taker())
        with pytest.raises(BurstError, match="no connection within") as caught:
            await pool.open(0.5)
    assert "does anything listen there" in caught.value.hint
    assert not pool._keepers


@on_both_loops
async def test_a_server_that_comes_up_later_is_found(pool_of: PoolOf) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    pool = pool_of(port, Taker(), size=3)
    opening = asyncio.ensure_future(pool.open(GUARD_S))
    await until(lambda: pool.dialled > 3)
    served = Server()
    listening, _ = await served.listen(port)
    await opening
    assert len(pool.links) == 3
    await pool.close()
    listening.close()


@on_both_loops
async def test_a_server_that_accepts_and_closes_meets_no_storm(server: tuple[Server, int], pool_of: PoolOf) -> None:
    served, port = server
    served.closes_at_once = True
    pool = pool_of(port, Taker(), size=4)
    with pytest.raises(BurstError):
        await pool.open(2.0)
    # Full jitter below 0.1, 0.2, 0.4 ... s: eleven tries of each at the very most, about six on average.
    assert 8 <= pool.dialled <= 44
    assert served.accepted == pool.dialled


@on_both_loops
async def test_a_server_that_goes_away_after_each_answer_meets_no_storm(
    server: tuple[Server, int], pool_of: PoolOf
) -> None:
    served, port = server
    taker = Taker()
    pool = pool_of(port, taker, size=4)
    await pool.open(GUARD_S)
    begun_s = asyncio.get_running_loop().time()
    tag = 0
    while asyncio.get_running_loop().time() < begun_s + 1.0:
        for link in list(pool.links):
            ask(link, tag)
            tag += 1
        await asyncio.sleep(0.005)
        for link in served.links:
            if not link.connection.streams.open and link.connection.last_id:  # type: ignore[attr-defined]
                link.connection.go_away()  # type: ignore[attr-defined]
                link.flush()
    took_s = asyncio.get_running_loop().time() - begun_s
    assert pool.dialled <= 4 + took_s / 0.02 + 1


@on_both_loops
async def test_a_silent_server_is_no_server(server: tuple[Server, int], pool_of: PoolOf) -> None:
    served, port = server
    served.speaks = False
    pool = pool_of(port, Taker())
    with pytest.raises(BurstError, match="no SETTINGS came"):
        await pool.open(0.3)
    await until(lambda: not served.links)


@on_both_loops
async def test_a_connection_without_settings_is_dropped_in_time(server: tuple[Server, int], pool_of: PoolOf) -> None:
    served, port = server
    pool = pool_of(port, Taker(), size=1)
    await pool.open(GUARD_S)
    served.speaks = False
    served.links[0].abort()
    await until(lambda: len(served.links) == 1 and served.accepted == 2 and len(pool._connected) == 1)
    served.speaks = True
    pool.look_after(asyncio.get_running_loop().time() + SETTINGS_WITHIN_S + 1)
    await until(lambda: len(pool.links) == 1)
    assert "no SETTINGS" in str(pool.last_error)


# -- endings ----------------------------------------------------------------------------------------------------------


@on_both_loops
async def test_what_was_open_on_a_lost_connection_is_given_up_once(server: tuple[Server, int], pool_of: PoolOf) -> None:
    served, port = server
    served.holds = True
    taker = Taker()
    pool = pool_of(port, taker, size=2)
    await pool.open(GUARD_S)
    for tag in range(20):
        ask(pool.links[tag % 2], tag)
    await until(lambda: len(served.held) == 20)
    victim = served.links[0]
    lost = {
        tag for (link, _), tag in zip(served.held, [*range(0, 20, 2), *range(1, 20, 2)], strict=True) if link is victim
    }
    victim.abort()
    await until(lambda: len(taker.given_up) == 10)
    await until(lambda: len(pool.links) == 2)
    await pool.close()
    assert Counter(taker.given_up) == Counter(range(20))
    assert lost
    assert not taker.answered


@on_both_loops
async def test_goaway_is_replaced_while_old_streams_are_answered(server: tuple[Server, int], pool_of: PoolOf) -> None:
    served, port = server
    served.holds = True
    taker = Taker()
    pool = pool_of(port, taker, size=1)
    await pool.open(GUARD_S)
    (old,) = pool.links
    for tag in range(5):
        ask(old, tag)
    await until(lambda: len(served.held) == 5)
    connection = served.links[0].connection
    assert isinstance(connection, ServerConnection)
    connection.go_away(last=5)
    served.links[0].flush()
    await until(lambda: len(pool.links) == 1 and pool.links[0] is not old)
    assert taker.away == [3, 4]
    ask(pool.links[0], 7)
    await until(lambda: len(served.held) == 6)
    served.answer()
    await until(lambda: len(taker.answered) == 4)
    assert sorted(taker.answered) == [0, 1, 2, 7]
    await until(lambda: len(pool._connected) == 1)
    assert old.gone
    assert not taker.given_up


@on_both_loops
async def test_requests_without_an_answer_in_time_are_cancelled_on_both_sides(
    server: tuple[Server, int], pool_of: PoolOf
) -> None:
    served, port = server
    served.holds = True
    taker = Taker()
    pool = pool_of(port, taker, size=1)
    await pool.open(GUARD_S)
    for tag, now_ns in enumerate([100, 200, 300]):
        ask(pool.links[0], tag, now_ns)
    await until(lambda: len(served.held) == 3)
    assert [tags.tolist() for tags in pool.cancel_overdue(250)] == [[0, 1]]
    assert pool.cancel_overdue(250) == []
    await until(lambda: served.cancelled == [1, 3])
    served.answer()
    await until(lambda: taker.answered == [2])
    assert not taker.resets


@on_both_loops
async def test_a_leaving_connection_whose_last_request_is_cancelled_closes(
    server: tuple[Server, int], pool_of: PoolOf
) -> None:
    served, port = server
    served.holds = True
    pool = pool_of(port, Taker(), size=1)
    await pool.open(GUARD_S)
    (old,) = pool.links
    ask(old, 1, 100)
    await until(lambda: len(served.held) == 1)
    served.links[0].connection.go_away()  # type: ignore[attr-defined]
    served.links[0].flush()
    await until(lambda: len(pool.links) == 1 and pool.links[0] is not old)
    assert not old.gone
    pool.cancel_overdue(200)
    await until(lambda: old.gone)


@on_both_loops
async def test_a_silent_connection_is_pinged_and_lives_if_it_answers(
    server: tuple[Server, int], pool_of: PoolOf
) -> None:
    served, port = server
    served.holds = True
    taker = Taker()
    pool = pool_of(port, taker, size=1)
    await pool.open(GUARD_S)
    (link,) = pool.links
    ask(link, 1)
    await until(lambda: len(served.held) == 1)
    heard_s = link.heard_s  # type: ignore[attr-defined]
    pool.look_after(heard_s + PING_AFTER_S - 1)
    assert link.pinged_s == 0  # type: ignore[attr-defined]
    pool.look_after(heard_s + PING_AFTER_S + 1)
    assert link.pinged_s > 0  # type: ignore[attr-defined]
    link.pinged_s = heard_s + 0.0001  # type: ignore[attr-defined] # as if that were now
    await until(lambda: link.heard_s > link.pinged_s)  # type: ignore[attr-defined]
    pool.look_after(link.heard_s + 1)  # type: ignore[attr-defined]
    served.answer()
    await until(lambda: taker.answered == [1])


@on_both_loops
async def test_a_dead_connection_is_dropped_and_replaced(server: tuple[Server, int], pool_of: PoolOf) -> None:
    served, port = server
    served.holds = True
    taker = Taker()
    pool = pool_of(port, taker, size=1)
    await pool.open(GUARD_S)
    (link,) = pool.links
    ask(link, 1)
    await until(lambda: len(served.held) == 1)
    served.links[0].transport.pause_reading()
    now_s = asyncio.get_running_loop().time()
    pool.look_after(now_s + PING_AFTER_S + 1)
    pool.look_after(now_s + PING_AFTER_S + 2)
    await asyncio.sleep(0.02)
    assert not link.gone
    pool.look_after(now_s + PING_AFTER_S + DEAD_AFTER_S + 2)
    await until(lambda: taker.given_up == [1])
    await until(lambda: len(pool.links) == 1)
    assert "no answer to a PING" in str(pool.last_error)


@on_both_loops
async def test_closing_ends_connections_whose_peer_reads_nothing(server: tuple[Server, int], pool_of: PoolOf) -> None:
    served, port = server
    taker = Taker()
    pool = pool_of(port, taker, size=2)
    await pool.open(GUARD_S)
    for link in served.links:
        link.transport.pause_reading()
    for link in pool.links:
        link.write(bytes(4_000_000))
        assert link.full
    async with asyncio.timeout(GUARD_S):
        await pool.close()
    assert not pool.links
    assert not pool._connected


# -- sockets ----------------------------------------------------------------------------------------------------------


@on_both_loops
async def test_a_peer_that_reads_nothing_is_cut_off_at_the_limit(server: tuple[Server, int], pool_of: PoolOf) -> None:
    served, port = server
    taker = Taker()
    pool = pool_of(port, taker, size=1)
    await pool.open(GUARD_S)
    (link,) = pool.links
    link.transport.pause_reading()
    (theirs,) = served.links
    written = 0
    while not theirs.gone and written < 4 * BACKLOG_LIMIT:
        theirs.write(bytes(1 << 20))
        written += 1 << 20
        await asyncio.sleep(0)
    await until(lambda: theirs.gone)
    assert BACKLOG_LIMIT <= written < 4 * BACKLOG_LIMIT


@on_both_loops
async def test_a_full_socket_says_so_and_what_was_written_arrives_whole(
    server: tuple[Server, int], pool_of: PoolOf
) -> None:
    served, port = server
    taker = Taker()
    pool = pool_of(port, taker, size=1)
    await pool.open(GUARD_S)
    (link,) = pool.links
    (theirs,) = served.links
    theirs.transport.pause_reading()
    connection = link.connection
    assert isinstance(connection, ClientConnection)
    sent = 0
    while not link.full:
        link.write(frame(0xBB, 0, 0, bytes(16_000)))  # of no known type: to be skipped
        sent += 1
    ask(link, 5)
    woken = taker.woken
    theirs.transport.resume_reading()
    await until(lambda: taker.answered == [5])
    assert not link.full
    assert taker.woken > woken
    assert theirs.connection.failed is None


@on_both_loops
async def test_unix_sockets_carry_it_too(tmp_path: Path, pool_of: PoolOf) -> None:
    served, taker = Server(), Taker()
    path = str(tmp_path / "s")
    listening = await aiofastnet.create_unix_server(asyncio.get_running_loop(), served.make, path)

    async def dial(make: Callable[[], H2Link]) -> H2Link:
        return await connect_unix(make, path, tls=None)

    pool = pool_of.keep(H2Pool(1, dial, ClientConnection, taker, taker.wake))  # type: ignore[attr-defined]
    await pool.open(GUARD_S)
    ask(pool.links[0], 3)
    await until(lambda: taker.answered == [3])
    await pool.close()
    listening.close()


@on_both_loops
async def test_a_dial_that_fails_in_an_unforeseen_way_does_not_wait_for_the_end_of_the_time(pool_of: PoolOf) -> None:
    async def dial(_make: Callable[[], H2Link]) -> H2Link:
        raise KeyError("a fault of ours")

    pool = pool_of.keep(H2Pool(1, dial, ClientConnection, Taker(), lambda: None))  # type: ignore[attr-defined]
    with pytest.raises(KeyError, match="a fault of ours"):
        await pool.open(GUARD_S)


@on_both_loops
async def test_a_host_name_that_is_none_is_told(pool_of: PoolOf) -> None:
    async def dial(make: Callable[[], H2Link]) -> H2Link:
        return await connect(make, "a" * 70 + ".example", 1, tls=None)

    pool = pool_of.keep(H2Pool(1, dial, ClientConnection, Taker(), lambda: None))  # type: ignore[attr-defined]
    with pytest.raises(BurstError, match="no connection"):
        await pool.open(0.3)


# -- TLS --------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority.create(tmp_path_factory.mktemp("authority") / "a")


@on_both_loops
async def test_tls_verified_by_a_ca_of_ones_own_answers(authority: Authority, listen: Listen, pool_of: PoolOf) -> None:
    _, port = await listen(server_context(str(authority.certificate), str(authority.key)))
    taker = Taker()
    pool = pool_of(port, taker, tls=client_context(str(authority.ca)))
    await pool.open(GUARD_S)
    ask(pool.links[0], 1)
    await until(lambda: taker.answered == [1])


@pytest.mark.parametrize(
    ("trusts", "name", "says"), [(False, "", "issuer"), (True, "push.example.com", "hostname mismatch")]
)
@on_both_loops
async def test_a_certificate_not_to_be_trusted_ends_the_waiting_at_once(
    authority: Authority, listen: Listen, pool_of: PoolOf, trusts: bool, name: str, says: str
) -> None:
    served, port = await listen(server_context(str(authority.certificate), str(authority.key)))
    pool = pool_of(port, Taker(), tls=client_context(str(authority.ca) if trusts else ""), name=name)
    begun_s = asyncio.get_running_loop().time()
    with pytest.raises(BurstError, match="its certificate is not to be trusted") as caught:
        await pool.open(4 * GUARD_S)
    assert asyncio.get_running_loop().time() - begun_s < GUARD_S
    assert says in caught.value.what
    assert "ca_file" in caught.value.hint
    assert not any(link.connection._heard_settings for link in served.links)


@pytest.mark.parametrize("protocols", [["http/1.1"], []])
@on_both_loops
async def test_a_server_without_http2_is_told_so(
    authority: Authority, listen: Listen, pool_of: PoolOf, protocols: list[str]
) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(authority.certificate, authority.key)
    if protocols:
        context.set_alpn_protocols(protocols)
    _, port = await listen(context)
    pool = pool_of(port, Taker(), tls=client_context(str(authority.ca)))
    with pytest.raises(BurstError, match="not HTTP/2") as caught:
        await pool.open(GUARD_S)
    assert "HTTP/2" in caught.value.hint


@contextlib.contextmanager
def _handshakes(context: ssl.SSLContext) -> Iterator[int]:
    """A server that shakes hands and no more, and says in an alert why it does not."""
    listening = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        while True:
            try:
                accepted, _ = listening.accept()
            except OSError:
                return
            with accepted, contextlib.suppress(OSError):
                context.wrap_socket(accepted, server_side=True).close()

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield listening.getsockname()[1]
    finally:
        listening.shutdown(socket.SHUT_RDWR)
        listening.close()
        thread.join(GUARD_S)


@on_both_loops
async def test_mutual_tls_lets_in_who_shows_a_certificate_and_tells_who_does_not(
    authority: Authority, listen: Listen, pool_of: PoolOf
) -> None:
    context = server_context(str(authority.certificate), str(authority.key), str(authority.ca), demand=True)
    served, port = await listen(context)
    shown = client_context(str(authority.ca), str(authority.client_certificate), str(authority.client_key))
    taker = Taker()
    pool = pool_of(port, taker, size=1, tls=shown)
    await pool.open(GUARD_S)
    ask(pool.links[0], 1)
    await until(lambda: taker.answered == [1])
    assert served.links[0].transport.get_extra_info("ssl_object").getpeercert()["subject"]
    for outspoken in (False, True):
        with _handshakes(context) as plain_port:
            hidden = pool_of(plain_port if outspoken else port, Taker(), size=1, tls=client_context(str(authority.ca)))
            with pytest.raises(BurstError) as caught:
                await hidden.open(0.5)
        assert "client certificate" in caught.value.hint
    assert "alert" in caught.value.what.lower()


@on_both_loops
async def test_plain_text_to_a_tls_port_and_tls_to_a_plain_one_are_told(
    authority: Authority, listen: Listen, server: tuple[Server, int], pool_of: PoolOf
) -> None:
    _, port = await listen(server_context(str(authority.certificate), str(authority.key)))
    with pytest.raises(BurstError) as caught:
        await pool_of(port, Taker(), size=1).open(0.5)
    assert "https://" in caught.value.hint
    with pytest.raises(BurstError) as caught:
        await pool_of(server[1], Taker(), size=1, tls=client_context(str(authority.ca))).open(0.5)
    assert "http://" in caught.value.hint


def test_files_that_are_no_certificates_are_told_by_name(tmp_path: Path, authority: Authority) -> None:
    bad = tmp_path / "bad.pem"
    bad.write_text("no certificate")
    for make in (
        lambda: client_context(str(bad)),
        lambda: client_context("", str(bad)),
        lambda: server_context(str(authority.certificate), str(bad)),
        lambda: server_context(str(authority.certificate), str(authority.key), str(bad)),
        lambda: client_context(str(tmp_path / "missing.pem")),
    ):
        with pytest.raises(UsageError, match=r"bad\.pem|missing\.pem"):
            make()


def test_ids_run_out_before_the_last_one() -> None:
    connection = ClientConnection()
    connection.feed(
        frame(FrameType.SETTINGS, 0, 0, int(Setting.MAX_CONCURRENT_STREAMS).to_bytes(2, "big") + b"\0\0\1\0")
    )
    connection.next_id = 2**31 - 9
    ids = connection.open(np.arange(100), 0, 0)
    assert ids.tolist() == [2**31 - 9, 2**31 - 7, 2**31 - 5, 2**31 - 3]
    assert connection.room(0) == 0
