"""Over HTTP/2 a stand-in for FCM misbehaves as one for APNs does, and its witness sees it; beside HTTP/1.1."""

import asyncio
import contextlib
import random
import struct

import pytest

from tests.provider_client import frame
from tests.unit.test_provider.call_rig import (
    HANG_S,
    TRACER_ID,
    Calls,
    Frames,
    address_of,
    connected,
    ident,
    message,
    serving,
)

FOREVER = {"at": 0, "lasts": "99999h"}
OPEN = {"fcm": {"auth": "none"}}


def bodies(count: int, first: int = 0) -> list[bytes]:
    rng = random.Random(first)
    return [message(rng, ident(index)) for index in range(first, first + count)]


async def silence(client: Frames) -> None:
    """Read what there is for a while; answers are taken in."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(0.3):
            while data := await client.reader.read(65_536):
                client._take(data)
            raise AssertionError("the connection has ended")


async def until_closed(client: Frames) -> None:
    async with asyncio.timeout(HANG_S):
        try:
            while data := await client.reader.read(65_536):
                client._take(data)
        except ConnectionResetError:
            pass


@pytest.mark.parametrize(("behaviour", "seen"), [({"silent": 1}, 1), ({"hang": 1}, 0)])
async def test_silence_is_kept_and_a_tracer_is_answered_all_the_same(tmp_path, behaviour, seen):
    async with serving(tmp_path, "fcm", **OPEN, **behaviour) as house, connected(Frames, house) as client:
        client.writer.write(b"".join(client.request(body) for body in bodies(20)))
        told = await client.send(client.request(message(random.Random(5), TRACER_ID)))
        assert told[0].status == 200
        await silence(client)
        assert sum(one.whole for one in client.answers.values()) == 1
        assert [count & 15 for count in house.witness.counts[:21].tolist()] == [seen] * 20 + [0]


async def test_streams_are_reset_with_the_code_that_was_asked_for(tmp_path):
    reset = {"share": 1, "code": "REFUSED_STREAM"}
    async with serving(tmp_path, "fcm", **OPEN, reset_streams=reset) as house, connected(Frames, house) as client:
        told = await client.send(*(client.request(body) for body in bodies(20)))
        assert {one.reset for one in told} == {7}
        assert house.witness.counts[:20].tolist() == [0x10] * 20


@pytest.mark.parametrize("how", ["close", "goaway"])
async def test_an_outage_can_end_connections(tmp_path, how):
    outage = FOREVER | {"how": how}
    async with serving(tmp_path, "fcm", **OPEN, outages=[outage]) as house, connected(Frames, house) as client:
        client.writer.write(b"".join(client.request(body) for body in bodies(5)))
        await until_closed(client)
        assert not any(one.status for one in client.answers.values())
        assert bool(client.goaway) == (how == "goaway")


async def test_an_outage_refuses_over_both_versions_in_the_same_words(tmp_path):
    async with serving(tmp_path, "fcm", **OPEN, outages=[FOREVER]) as house:
        async with connected(Frames, house) as client, connected(Calls, house) as calls:
            told = await client.send(*(client.request(body) for body in [*bodies(5), b"no json"]))
            told += [await calls.send(body) for body in [*bodies(5), b"no json"]]
        assert {one.told for one in told} == {told[0].told}
        assert (told[0].status, told[0].json()["error"]["status"]) == (503, "UNAVAILABLE")


async def test_bytes_that_are_no_http_2_come_after_a_message_that_was_taken(tmp_path):
    async with serving(tmp_path, "fcm", **OPEN, malformed=1) as house, connected(Frames, house) as client:
        client.writer.write(client.request(bodies(1)[0]))
        async with asyncio.timeout(HANG_S):
            found = b""
            while b"\x80\x80\x80" not in found:
                found += await client.reader.read(65_536)
        assert house.witness.counts[0] == 1


async def test_a_connection_is_told_to_go_and_its_streams_are_answered(tmp_path):
    goaway = {"after_requests": 10}
    async with serving(tmp_path, "fcm", **OPEN, goaway=goaway) as house, connected(Frames, house) as client:
        told = await client.send(*(client.request(body) for body in bodies(10)))
        assert [one.status for one in told] == [200] * 10
        await until_closed(client)
        assert struct.unpack(">II", client.goaway[:8]) == (19, 0)


@pytest.mark.parametrize("order", ["goaway", "close", "reset"])
async def test_orders_reach_connections_of_both_versions_and_those_that_have_not_said_which(tmp_path, order):
    async with serving(tmp_path, "fcm", **OPEN) as house:
        async with connected(Frames, house) as client, connected(Calls, house) as calls:
            await client.send(client.request(bodies(1)[0]))
            await calls.send(bodies(1)[0])
            desk = house.desks["fcm"]
            assert sorted(desk.links) == [-1, 1]
            desk.order(order, {})
            await until_closed(client)
            if order == "goaway":
                assert (await calls.send(bodies(1)[0])).fields["connection"] == "close"
            else:
                with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
                    await calls.send(bodies(1)[0])
        assert desk.open_requests() == 0


async def test_who_has_not_said_which_version_he_speaks_is_cut_off_at_the_end(tmp_path):
    async with serving(tmp_path, "fcm", **OPEN) as house:
        reader, writer = await asyncio.open_connection(*address_of(house))
        writer.write(b"PRI * HT")
        async with connected(Calls, house) as calls:  # that one is not waited for
            assert (await calls.send(bodies(1)[0])).status == 200
        desk = house.desks["fcm"]
        assert len(desk.undecided) == 1
        house.close()
        async with asyncio.timeout(HANG_S):
            with contextlib.suppress(ConnectionResetError):
                assert await reader.read() == b""
        writer.close()
        assert not desk.undecided


@pytest.mark.parametrize("step", [1, 5, 23])
async def test_the_first_bytes_may_come_in_any_pieces(tmp_path, step):
    async with serving(tmp_path, "fcm", **OPEN) as house:
        for kind in (Frames, Calls):
            written = []
            reader, writer = await asyncio.open_connection(*address_of(house))
            client = kind(reader, _Collecting(writer, written))
            task = asyncio.create_task(
                client.send(bodies(1)[0]) if kind is Calls else client.send(client.request(bodies(1)[0]))
            )
            await asyncio.sleep(0)
            whole = b"".join(written)
            for at in range(0, 46, step):
                writer.write(whole[at : min(at + step, 46)])
                await asyncio.sleep(0.001)
            writer.write(whole[46:])
            told = await task
            assert (told if kind is Calls else told[0]).status == 200
            writer.close()


class _Collecting:
    """A writer that keeps what is written until it is asked for."""

    def __init__(self, writer: asyncio.StreamWriter, written: list[bytes]) -> None:
        self._writer, self._written = writer, written

    def write(self, data: bytes) -> None:
        self._written.append(data)


async def test_more_streams_than_were_granted_are_refused(tmp_path):
    async with (
        serving(tmp_path, "fcm", **OPEN, max_concurrent_streams=5, latency={"p50": "50ms"}) as house,
        connected(Frames, house) as client,
    ):
        await client.send(client.request(bodies(1)[0]))
        client.writer.write(frame(4, 1, 0, b""))  # its settings are acknowledged
        told = await client.send(*(client.request(body) for body in bodies(8, 1)))
        assert [one.reset for one in told] == [None] * 5 + [7] * 3


async def test_a_client_with_small_windows_gets_every_body(tmp_path):
    async with serving(tmp_path, "fcm", **OPEN) as house, connected(Frames, house) as client:
        client.writer.write(frame(4, 0, 0, b"\0\x04" + (20).to_bytes(4, "big")))
        requests = [client.request(body) for body in bodies(30)]
        client.writer.write(b"".join(requests))
        async with asyncio.timeout(HANG_S):
            while not all(len(one.body) == 20 for one in client.answers.values()):
                client._take(await client.reader.read(65_536))
        for stream in client.answers:
            client.writer.write(frame(8, 0, stream, (1000).to_bytes(4, "big")))
        told = await client.send()
        async with asyncio.timeout(HANG_S):
            while not all(one.whole for one in client.answers.values()):
                client._take(await client.reader.read(65_536))
        assert told == []
        assert len({one.json()["name"] for one in client.answers.values()}) == 30


async def test_what_waits_is_answered_as_it_was_decided_when_the_behaviour_changes(tmp_path):
    slow = {"latency": {"p50": "150ms", "p99": "160ms"}}
    async with serving(tmp_path, "fcm", **OPEN, **slow) as house, connected(Frames, house) as client:
        waiting = asyncio.create_task(client.send(*(client.request(body) for body in bodies(20))))
        async with asyncio.timeout(HANG_S):
            while house.desks["fcm"].open_requests() < 20:  # noqa: ASYNC110 (the stand-in tells nobody)
                await asyncio.sleep(0.001)
        house.obey(b'{"order":"behaviour","id":1,"behaviour":{"fcm":{"auth":"none","project":"elsewhere"}}}')
        assert [one.status for one in await waiting] == [200] * 20
        told = await client.send(*(client.request(body) for body in bodies(5, 20)))
        assert [one.status for one in told] == [403] * 5


async def test_what_is_wrong_with_bodies_is_judged_anew_under_another_behaviour(tmp_path):
    long = [message(random.Random(k), ident(k), notification={"body": "x" * 500}) for k in range(20)]
    async with serving(tmp_path, "fcm", **OPEN) as house, connected(Frames, house) as client:
        assert {one.status for one in await client.send(*map(client.request, long))} == {200}
        house.obey(b'{"order":"behaviour","id":1,"behaviour":{"fcm":{"auth":"none","max_payload":100}}}')
        assert {one.status for one in await client.send(*map(client.request, long))} == {400}


async def test_bodies_may_come_in_pieces_and_streams_be_given_up(tmp_path):
    async with serving(tmp_path, "fcm", **OPEN) as house, connected(Frames, house) as client:
        frames = []
        for number, body in enumerate(bodies(60)):
            whole = client.request(body)
            stream, head = client.next_stream - 2, whole[: 9 + int.from_bytes(whole[:3], "big")]
            frames += [head, frame(0, 0, stream, body[:50]), frame(0, 1, stream, body[50:])]
            if number % 3 == 0:
                frames.append(frame(3, 0, stream, (8).to_bytes(4, "big")))
                client.answers.pop(stream)
        client.writer.write(b"".join(frames))
        async with asyncio.timeout(HANG_S):
            while not all(one.whole for one in client.answers.values()):
                client._take(await client.reader.read(65_536))
        assert {one.status for one in client.answers.values()} == {200}
        assert house.witness.counts[:60].tolist() == [1] * 60
        assert house.desks["fcm"].open_requests() == 0
