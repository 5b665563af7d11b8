"""The stand-in as processes: what is thrown at it, what is killed, what is counted by several; nothing is left."""

import asyncio
import contextlib
import os
import resource
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import msgspec
import numpy as np
import pytest

from burst.model.errors import BurstError
from burst.model.outcome import State
from burst.provider.serving import Brief
from burst.runs.witness import Counter, WitnessPart
from tests.provider_client import HANG_S, PREFACE, Client, connected, frame, token
from tests.provider_house import counter, ident, is_gone, reconciled, standing, trusting

OPEN = {"behaviour": {"auth": "none"}}


def where(url: str) -> tuple[str, int]:
    host, _, port = url.rpartition("/")[2].rpartition(":")
    return host.strip("[]"), int(port)


@pytest.fixture
def short_path() -> Iterator[Path]:
    """Return a folder whose sockets have short names: 107 characters are the most."""
    with tempfile.TemporaryDirectory(prefix="prov-") as path:
        yield Path(path)


# -- several behind one address ------------------------------------------------------------------------------------


async def test_two_processes_behind_one_port_share_a_witness_that_adds_up(tmp_path: Path):
    people = 3000
    async with standing(tmp_path, processes=2, audience=people, **OPEN) as house, contextlib.AsyncExitStack() as stack:
        clients = [await stack.enter_async_context(connected(house.url)) for _ in range(24)]
        attempts = np.zeros(people, dtype=np.uint8)
        pushes = []
        for number in range(people + 300):  # the first three hundred come twice, each time by another connection
            person = number % people
            pushes.append((person, clients[(number * 7) % 24].post(token(person), apns_id=ident(person))))
            attempts[person] += 1
        bad = [clients[0].post("nonsense", apns_id=ident(person)) for person in range(5)]
        attempts[:5] += 1
        for client, (_, push) in zip([clients[0]] * len(pushes), pushes, strict=True):
            assert (await client.answer(push)).status == 200
        for push in bad:
            assert (await clients[0].answer(push)).status == 400
        requests = [state["requests"] for state in await house.states()]
        assert sum(requests) == people + 305
        assert all(requests), "the kernel gave every connection to one process"
        seen = reconciled(house, np.full(people, State.ACCEPTED, dtype=np.uint8), attempts)
    assert (seen.seen, seen.lost, seen.contradicted) == (people, 0, 0)
    assert (seen.accepted, seen.refused, seen.attempts, seen.requests) == (people + 300, 5, people + 305, people + 305)
    assert (seen.duplicates, seen.retried_after_refusal) == (300, 5)
    assert (seen.peak_connections, seen.connections_opened) == (24, 24)
    assert 0 < seen.busy_share <= 1.01


@pytest.mark.slow
async def test_a_saturating_client_finds_it_busy_and_an_idle_one_does_not(tmp_path: Path):
    h2load = shutil.which("h2load") or pytest.fail("apt-get install nghttp2-client")
    (tmp_path / "body").write_text("{}")
    async with standing(tmp_path, audience=5, behaviour={"auth": "none", "dead": 0.5}) as house:
        async with connected(house.url) as client:
            for _ in range(4):
                await client.push()
                await asyncio.sleep(0.3)
        (idle,) = await house.states()
        assert idle["busy_ns"] / idle["wall_ns"] < 0.2
        await house.go(1)  # from here on it counts anew
        process = await asyncio.create_subprocess_exec(
            h2load, "-D", "2", "-c", "8", "-m", "100", "-d", str(tmp_path / "body"), "-H", "apns-topic: a.b",
            f"{house.url}/3/device/{token(1)}", stdout=subprocess.DEVNULL,
        )  # fmt: skip
        assert await process.wait() == 0
        (busy,) = await house.states()
    (path,) = house.parts()
    part = WitnessPart.open(path)
    assert busy["busy_ns"] / busy["wall_ns"] > 2 * idle["busy_ns"] / idle["wall_ns"]
    assert part.counter(Counter.BUSY_NS) >= busy["busy_ns"]


async def open_many(house, count: int, stack: contextlib.AsyncExitStack) -> list[Client]:
    tls = trusting(house)

    async def one() -> Client:
        async with gate:
            return await stack.enter_async_context(connected(house.url, tls))

    gate = asyncio.Semaphore(50)
    return await asyncio.gather(*(one() for _ in range(count)))


async def hold_many(tmp_path: Path, count: int, processes: int) -> float:
    """Open connections over TLS, push once on each; return the KiB that one of them takes."""
    house_of = {"tls": True, "processes": processes, "audience": count}
    behaviour = {"auth": "none", "streams_until_accept": 1}
    async with standing(tmp_path, behaviour=behaviour, **house_of) as house:
        before = sum(resident_kib(state["pid"]) for state in await house.states())
        async with contextlib.AsyncExitStack() as stack:
            clients = await open_many(house, count, stack)
            pushes = [client.post(token(index), apns_id=ident(index)) for index, client in enumerate(clients)]
            for client, push in zip(clients, pushes, strict=True):
                assert (await client.answer(push)).status == 200
                await client.until(lambda client=client: client.limit == 1000)
            states = await house.states()
            assert sum(state["connections"] for state in states) == count
            after = sum(resident_kib(state["pid"]) for state in states)
        assert counter(house, Counter.PEAK_CONNECTIONS) == count
        parts = [WitnessPart.open(path) for path in house.parts()]
        assert (np.sum([part.counts for part in parts], axis=0) == 1).all()
    return (after - before) / count


def resident_kib(pid: int) -> int:
    status = Path(f"/proc/{pid}/status").read_text()
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS:"))


async def test_three_hundred_connections_over_tls_each_earn_their_streams(tmp_path: Path):
    assert await hold_many(tmp_path, 300, 1) < 150  # KiB a connection, that a leak or a table of its own would exceed


@pytest.mark.slow
async def test_two_thousand_connections_over_tls(tmp_path: Path):
    resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
    taken = await hold_many(tmp_path, 2000, 2)
    print(f"{taken:.0f} KiB a connection")
    assert taken < 150


# -- what is thrown at it ------------------------------------------------------------------------------------------


async def test_who_never_reads_is_not_read_from_and_others_are_served(tmp_path: Path):
    """Its answers fill the sockets and no more: memory stays bounded."""
    async with standing(tmp_path, behaviour={"auth": "none", "max_concurrent_streams": 100_000}) as house:
        (before,) = await house.states()
        with socket.create_connection(where(house.url)) as deaf:
            deaf.setblocking(False)
            head = b"\x83\x87\x04\x05/nope"
            sent, stream = deaf.send(PREFACE + frame(4, 1, 0, b"")), 1
            waiting = b""
            stuck_since = 0
            async with asyncio.timeout(HANG_S):
                while stuck_since < 40:  # until nothing is taken for a while
                    if not waiting:
                        waiting = b"".join(frame(1, 5, one, head) for one in range(stream, stream + 2000, 2))
                        stream += 2000
                    try:
                        done = deaf.send(waiting)
                        sent, waiting, stuck_since = sent + done, waiting[done:], 0
                    except BlockingIOError:
                        stuck_since += 1
                        await asyncio.sleep(0.01)
                    except ConnectionResetError:
                        break  # too much was owed to it already: it is cut off, which bounds memory as well
            async with connected(house.url) as client:
                assert (await client.push()).status == 200
            (after,) = await house.states()
    assert sent > 100_000
    assert after["peak_kib"] - before["peak_kib"] < 40_000


@pytest.mark.parametrize("tls", [False, True])
async def test_garbage_silence_and_http_1_harm_nobody(tmp_path: Path, tls: bool):
    async with standing(tmp_path, tls=tls, **OPEN) as house:
        trust = trusting(house) if tls else None
        silent = [socket.create_connection(where(house.url)) for _ in range(20)]
        begun = socket.create_connection(where(house.url))
        begun.send(b"\x16\x03\x01\x02\x00\x01" if tls else b"PRI * HT")  # and no more
        for garbage in (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", bytes(range(256)) * 9, b"\x00" * 600):
            reader, writer = await asyncio.open_connection(*where(house.url))
            writer.write(garbage)
            async with asyncio.timeout(HANG_S):
                with contextlib.suppress(ConnectionResetError):
                    said = await reader.read(-1)
                    assert tls or b"this is not HTTP/2" in said
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()
        async with connected(house.url, trust) as client:
            assert (await client.push()).status == 200
        (state,) = await house.states()
        assert state["alive"]
        for one in (*silent, begun):
            one.close()


async def test_http_1_over_tls_is_closed(tmp_path: Path):
    async with standing(tmp_path, tls=True, **OPEN) as house:
        tls = trusting(house)
        tls.set_alpn_protocols(["http/1.1"])
        with contextlib.suppress(OSError):  # the handshake may refuse it already
            reader, writer = await asyncio.open_connection(*where(house.url), ssl=tls)
            writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            async with asyncio.timeout(HANG_S):
                assert b"this is not HTTP/2" in await reader.read(-1)
            writer.close()


# -- what is killed ------------------------------------------------------------------------------------------------


async def test_a_serving_process_that_is_killed_is_missed(tmp_path: Path):
    async with standing(tmp_path, processes=2, **OPEN) as house:
        first, second = await house.states()
        assert first["alive"]
        assert second["alive"]
        os.kill(first["pid"], signal.SIGKILL)
        assert is_gone(first["pid"])
        async with asyncio.timeout(HANG_S):
            while not house.dead():  # noqa: ASYNC110 (the loop's child watcher tells)
                await asyncio.sleep(0.01)
        assert house.dead() == {0: -signal.SIGKILL}
        dead, alive = await house.states()
        assert (dead["alive"], dead["exit"], alive["alive"]) == (False, -signal.SIGKILL, True)
        with pytest.raises(BurstError, match="died"):
            await house.go(1)
        async with connected(house.url) as client:  # the other one serves on
            assert (await client.push()).status == 200
        await house.stop()
        assert house.failed


async def test_a_witness_outlives_the_process_that_wrote_it(tmp_path: Path):
    async with standing(tmp_path, audience=10, **OPEN) as house, connected(house.url) as client:
        for person in range(5):
            await client.push(apns_id=ident(person))
        (state,) = await house.states()
        os.kill(state["pid"], signal.SIGKILL)
        await client.end()
        (path,) = house.parts()
        assert WitnessPart.open(path).counts.tolist() == [1] * 5 + [0] * 5


def test_serving_processes_end_with_a_supervisor_that_is_killed(tmp_path: Path, short_path: Path):
    """Nothing but the end of its standard input tells a process so."""
    code = (
        "import asyncio, sys\n"
        "from pathlib import Path\n"
        "from burst.provider.supervisor import House, Supervisor\n"
        "async def main():\n"
        f"    listen = ('127.0.0.1:0', 'unix:{short_path}/s')\n"
        f"    house = Supervisor(House(folder=Path({str(tmp_path / 'keys')!r}), behaviour={{}}, listen=listen))\n"
        "    await house.start()\n"
        "    print(*[child.pid for child in house._children], flush=True)\n"
        "    await asyncio.sleep(600)\n"
        "asyncio.run(main())\n"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as supervisor:
        assert supervisor.stdout is not None
        pids = [int(word) for word in supervisor.stdout.readline().split()]
        assert len(pids) == 1
        supervisor.kill()
    assert all(is_gone(pid) for pid in pids)
    assert list(short_path.iterdir()) == []


# -- where it cannot begin -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("processes", [1, 2])
async def test_two_cannot_have_one_port(tmp_path: Path, processes: int):
    (tmp_path / "one").mkdir()
    async with standing(tmp_path / "one", processes=processes, **OPEN) as house:
        with pytest.raises(BurstError, match="cannot listen on"):
            async with standing(tmp_path / "two", processes=processes, listen=tuple(house.addresses), **OPEN):
                pytest.fail("it began")
        async with connected(house.url) as client:
            assert (await client.push()).status == 200


async def test_a_unix_socket_that_was_left_is_taken_and_one_that_lives_is_not(tmp_path: Path, short_path: Path):
    path = short_path / "s"
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(path))
    listen = (f"unix:{path}",)
    async with standing(tmp_path / "one", listen=listen, **OPEN) as house:
        async with connected(house.url) as client:
            assert (await client.push()).status == 200
        with pytest.raises(BurstError, match="listens on"):
            async with standing(tmp_path / "two", listen=listen, **OPEN):
                pytest.fail("it began")
        async with connected(house.url) as client:
            assert (await client.push()).status == 200
    path.write_text("not a socket")
    with pytest.raises(BurstError, match="no socket"):
        async with standing(tmp_path / "three", listen=listen, **OPEN):
            pytest.fail("it began")
    assert path.read_text() == "not a socket"


@pytest.mark.parametrize("address", ["nowhere", "127.0.0.1", "127.0.0.1:99999", "unix:/no/such/folder/s"])
async def test_an_address_that_is_none_is_told(tmp_path: Path, address: str):
    with pytest.raises(BurstError):
        async with standing(tmp_path, listen=(address,), **OPEN):
            pytest.fail("it began")


async def test_a_witness_that_cannot_be_written_is_told(tmp_path: Path):
    (tmp_path / "witness-0.bin").write_text("somebody's")
    with pytest.raises(BurstError, match=r"witness-0\.bin"):
        async with standing(tmp_path, audience=5, **OPEN):
            pytest.fail("it began")


async def test_keys_are_kept_and_used_again(tmp_path: Path):
    async with standing(tmp_path, tls=True, **OPEN) as house:
        first = house.authority.ca.read_bytes()
    async with standing(tmp_path, tls=True, **OPEN) as house:
        assert house.authority.ca.read_bytes() == first
        async with connected(house.url, trusting(house)) as client:
            assert (await client.push()).status == 200
    with pytest.raises(BurstError, match=r"not good for other\.example"):
        async with standing(tmp_path, tls=True, names=("other.example",), **OPEN):
            pytest.fail("it began")


def test_orders_that_come_with_the_brief_are_obeyed_too(tmp_path: Path):
    brief = Brief(process=0, processes=1, listen=["127.0.0.1:0"], run="", audience=0, witness="", behaviour={}, seed=1)
    orders = [msgspec.json.encode({"order": "state", "id": number}) for number in range(50)]
    given = b"\n".join([msgspec.json.encode(brief), *orders]) + b"\n"
    done = subprocess.run(
        [sys.executable, "-m", "burst.provider.serving"],
        input=given,
        stdout=subprocess.PIPE,
        check=True,
        timeout=HANG_S,
    )
    ready, *answers = [msgspec.json.decode(line) for line in done.stdout.splitlines()]
    assert ready["ready"] is True
    assert [answer["id"] for answer in answers] == list(range(50))


@pytest.mark.parametrize("given", [b"", b"{", b"no JSON\n"])
def test_a_brief_that_is_none_is_told(given: bytes):
    done = subprocess.run(
        [sys.executable, "-m", "burst.provider.serving"],
        input=given,
        stdout=subprocess.PIPE,
        check=False,
        timeout=HANG_S,
    )
    assert done.returncode == 1
    assert msgspec.json.decode(done.stdout)["error"]


async def test_a_behaviour_of_a_hundred_thousand_dead_tokens_is_a_behaviour(tmp_path: Path):
    dead = [token(number) for number in range(100_000)]
    behaviour = {"auth": "none", "dead_tokens": dead}
    async with standing(tmp_path, behaviour=behaviour) as house, connected(house.url) as client:
        assert (await client.push(dead[99_999])).status == 410
        await house.behave({"auth": "none", "dead_tokens": dead[:99_999]})
        assert (await client.push(dead[99_999])).status == 200
        assert (await client.push(dead[99_998])).status == 410
