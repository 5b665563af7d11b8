"""Calls over HTTP/1.1: each is answered for once and in truth, whatever the server does, and none is sent twice."""

import asyncio
import shutil
import socket
import struct
import time
from collections import Counter
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest

from burst.model.outcome import Answer
from burst.model.units import NS_PER_S
from burst.provider.authority import Authority
from burst.wire.h1 import H1Error
from burst.wire.h1_sender import NO_HTTP1, OVERDUE
from burst.wire.tls import client_context, server_context
from burst.wire.unanswered import LOST, UNSENDABLE
from tests.unit.h1_rig import OK, Drive, Hook, Looking, Server, Visit, on_both_loops, serving, until

ACCEPTED = Answer.ACCEPTED, ""


def once(server: Server, count: int) -> bool:
    """Whether each of so many people was called for once."""
    return sorted(server.people) == list(range(count)) and set(server.people.values()) == {1}


# -- calls and answers -------------------------------------------------------------------------------------------------


@on_both_loops
async def test_connections_are_kept_and_everybody_is_called_for_once() -> None:
    async with serving() as server, Drive(server.port, connections=4) as drive:
        await drive.send(500)
        assert drive.told == {ACCEPTED: 500}
        assert once(server, 500)
        assert server.accepted == 4
        assert all(drive.sent_ns[one] <= drive.heard_ns[one] for one in range(500))


@on_both_loops
async def test_a_call_carries_as_many_people_as_it_may_and_no_more() -> None:
    async with serving() as server, Drive(server.port, Hook(10, stop_at=7)) as drive:
        await drive.send(500)
        assert drive.told == {ACCEPTED: 500}
        assert once(server, 500)
        assert max(map(len, server.calls)) == 7


@on_both_loops
async def test_an_answer_may_say_another_thing_of_each() -> None:
    async with serving() as server, Drive(server.port, Hook(10, reads=True)) as drive:
        await drive.send(100)
        assert all(drive.said[one][0] == (Answer.REJECTED if one % 2 else Answer.ACCEPTED) for one in range(100))


@on_both_loops
async def test_statuses_are_told_apart_and_so_are_waits() -> None:
    async def by_turns(visit: Visit) -> bool:
        number = int(visit.body)
        if number % 3 == 0:
            return visit.answer()
        if number % 3 == 1:
            return visit.answer(b"HTTP/1.1 429 Slow\r\nRetry-After: %d\r\nContent-Length: 0\r\n\r\n" % (number % 2 + 1))
        return visit.answer(b"HTTP/1.1 404 No\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nno\r\n0\r\n\r\n")

    async with serving(by_turns) as server, Drive(server.port) as drive:
        await drive.send(90)
        expected = [Answer.ACCEPTED, Answer.THROTTLED, Answer.REJECTED]
        assert [drive.said[one][0] for one in range(90)] == [expected[one % 3] for one in range(90)]
        assert drive.after_ns == {one: (one % 2 + 1) * NS_PER_S for one in range(1, 90, 3)}


@on_both_loops
async def test_an_answer_in_pieces_is_one_answer() -> None:
    async def dribble(visit: Visit) -> bool:
        if int(visit.body) % 2:  # the same bytes come whole as well, and in pieces that begin alike
            return visit.answer()
        for at in range(len(OK)):
            visit.writer.write(OK[at : at + 1])
            await visit.writer.drain()
            await asyncio.sleep(0.0005)
        return True

    async with serving(dribble) as server, Drive(server.port) as drive:
        await drive.send(24)
        assert drive.told == {ACCEPTED: 24}
        assert server.accepted == 4


@on_both_loops
async def test_a_thousand_waits_are_told_as_they_are() -> None:
    """What is kept in mind of answers is bounded, and forgetting some of it changes nothing."""

    async def always_another(visit: Visit) -> bool:
        return visit.answer(b"HTTP/1.1 429 Slow\r\nRetry-After: %d\r\nContent-Length: 0\r\n\r\n" % int(visit.body))

    async with serving(always_another) as server, Drive(server.port) as drive:
        await drive.send(1000)
        assert {one: drive.after_ns.get(one, 0) for one in range(1000)} == {one: one * NS_PER_S for one in range(1000)}
        assert len(drive.sender.pool.familiar.known) <= 256
        assert len(drive.sender._plain) <= 256


@on_both_loops
async def test_answers_known_by_their_looks_are_taken_together_and_others_are_read() -> None:
    greeted: dict[Visit, int] = {}

    async def by_turns(visit: Visit) -> bool:
        number = int(visit.body.split(b",")[0]) // 10
        greeted.setdefault(visit, number)
        if number % 3 == 1:
            return visit.answer(OK.replace(b"ok", b"no"))
        if number % 3 == 2:
            visit.writer.write(OK[:20])
            await asyncio.sleep(0.01)
            return visit.answer(OK[20:])
        return visit.answer()

    hook = Looking()
    async with serving(by_turns) as server, Drive(server.port, hook, connections=6) as drive:
        await drive.send(300)
        assert once(server, 300)
        assert server.accepted == 6
        for one in range(300):
            odd = one % 2 and (one // 10 % 3 or one // 10 in greeted.values())
            assert drive.said[one][0] == (Answer.REJECTED if odd else Answer.ACCEPTED)
        assert max(hook.turns) > 1


@on_both_loops
async def test_a_connection_whose_answers_are_known_by_their_looks_is_one_that_has_answered() -> None:
    """It is renewed sooner than one that was never used."""
    async with serving() as server, Drive(server.port, Looking(), connections=6) as drive:
        await drive.send(2000)
        assert server.accepted == 6
        drive.sender.pool.renew_stale(time.monotonic_ns() + 5 * NS_PER_S)
        await until(lambda: server.accepted > 6)


@on_both_loops
async def test_a_server_that_closes_after_a_few_answers_known_by_their_looks_is_no_slower_than_connecting() -> None:
    calls: Counter[Visit] = Counter()

    async def few_each(visit: Visit) -> bool:
        calls[visit] += 1
        visit.answer()
        return calls[visit] < 5

    async with serving(few_each) as server, Drive(server.port, Looking(), connections=4) as drive:
        await drive.send(4000)
        refused = sum(count for (answer, _), count in drive.told.items() if answer == Answer.REFUSED)
        assert refused == 0
        assert server.accepted >= 40  # a call that crosses the close is in doubt, and was not served


async def hear_behind_an_answer(behind: bytes | None) -> None:
    async def silent(visit: Visit) -> bool:
        return await asyncio.Event().wait()

    async with serving(silent) as server, Drive(server.port, Looking(), connections=1) as drive:
        (link,) = drive.sender.pool.links

        def come(data: bytes) -> None:
            link.get_buffer(-1)[: len(data)] = data
            link.buffer_updated(len(data))

        drive.push(drive.prepared(10))
        come(OK)  # the first of a connection is read
        drive.collect()
        assert drive.told == {ACCEPTED: 5, (Answer.REJECTED, ""): 5}
        drive.push(drive.prepared(10))
        come(OK)
        assert len(drive.said) == 10
        if behind is None:
            link.abort()
            await until(lambda: link.gone)
        else:
            come(behind)
        drive.collect()
        assert drive.told == {ACCEPTED: 15, (Answer.REJECTED, ""): 5}
        assert link not in drive.sender.pool.links
        assert link not in drive.sender.pool.idle


@on_both_loops
async def test_bytes_behind_an_answer_that_was_not_looked_at_yet_do_not_belong_to_it() -> None:
    await hear_behind_an_answer(b"and more")


@on_both_loops
async def test_an_answer_that_was_not_looked_at_yet_counts_when_the_connection_ends() -> None:
    await hear_behind_an_answer(None)


def test_a_sink_must_have_the_reasons_of_what_has_no_answer() -> None:
    class Wordless(Hook):
        reasons = ("", LOST)

    with pytest.raises(ValueError, match=r"lack answer that is no HTTP/1\.1, no answer in time"):
        Drive(1, Wordless())


# -- servers that hang up ----------------------------------------------------------------------------------------------


@on_both_loops
async def test_a_server_that_closes_after_each_answer_is_no_slower_than_connecting() -> None:
    async def once_each(visit: Visit) -> bool:
        visit.answer(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")
        return False

    async with serving(once_each) as server, Drive(server.port, connections=2) as drive:
        await drive.send(3000)  # a gap of 20 ms between them would take a minute
        assert drive.told == {ACCEPTED: 3000}
        assert once(server, 3000)


@on_both_loops
async def test_an_answer_may_end_with_its_connection() -> None:
    async def old(visit: Visit) -> bool:
        visit.answer(b"HTTP/1.0 200 OK\r\n\r\nit ends when it ends")
        return False

    async with serving(old) as server, Drive(server.port) as drive:
        await drive.send(50)
        assert drive.told == {ACCEPTED: 50}


@on_both_loops
async def test_a_call_whose_answer_breaks_off_is_in_doubt_and_is_not_sent_again() -> None:
    async def break_off(visit: Visit) -> bool:
        if int(visit.body) % 10:
            return visit.answer()
        visit.answer(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nno")
        return False

    async with serving(break_off) as server, Drive(server.port) as drive:
        await drive.send(100)
        assert drive.told == {ACCEPTED: 90, (Answer.DOUBTFUL, LOST): 10}
        assert once(server, 100)


@on_both_loops
async def test_a_call_whose_connection_is_reset_is_in_doubt_with_everybody_in_it() -> None:
    async def crash(visit: Visit) -> bool:
        return visit.reset() if b"42," in visit.body else visit.answer()

    async with serving(crash) as server, Drive(server.port, Hook(5), connections=2) as drive:
        await drive.send(100)
        assert drive.told == {ACCEPTED: 95, (Answer.DOUBTFUL, LOST): 5}
        assert once(server, 100)


@on_both_loops
async def test_a_call_that_could_not_be_written_is_refused() -> None:
    """The connection was reset before the loop could know, and the kernel took nothing."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.setblocking(False)
        loop = asyncio.get_running_loop()
        accepting = asyncio.ensure_future(loop.sock_accept(listening))
        async with Drive(listening.getsockname()[1], connections=1) as drive:
            taken, _ = await accepting
            taken.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            taken.close()
            assert drive.push(drive.prepared(1)) == 1
            await until(drive.collect)
            assert drive.told == {(Answer.REFUSED, LOST): 1}


@on_both_loops
async def test_an_idle_connection_that_the_server_closes_is_replaced_for_nothing() -> None:
    async with serving() as server, Drive(server.port, connections=3) as drive:
        for round_ in range(1, 30):  # with a backoff they would not be back within the guard
            await drive.send(30)
            for visit in list(server.visits):
                visit.writer.close()
            await until(lambda round_=round_: server.accepted == 3 * (round_ + 1))
            await until(lambda: len(drive.sender.pool.idle) == 3 and len(server.visits) == 3)
        assert drive.told == {ACCEPTED: 30 * 29}


@on_both_loops
async def test_what_an_idle_connection_says_is_no_answer() -> None:
    async def impatient(visit: Visit) -> bool:
        visit.answer()
        await asyncio.sleep(0.02)
        visit.answer(b"HTTP/1.1 408 Request Timeout\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")
        return False

    async with serving(impatient) as server, Drive(server.port, connections=2) as drive:
        await drive.send(2)
        await until(lambda: server.accepted == 4)
        await drive.send(2)
        assert drive.told == {ACCEPTED: 4}


# -- servers that do not answer ----------------------------------------------------------------------------------------


@on_both_loops
async def test_a_silent_server_is_given_up_in_time_and_told_of_once() -> None:
    async def silent(visit: Visit) -> bool:
        if int(visit.body) < 4:
            await asyncio.sleep(1.2)  # an answer after all, to nobody
        return visit.answer()

    async with serving(silent) as server, Drive(server.port, answer_within_s=0.8, connections=4) as drive:
        await drive.send(4)
        assert drive.told == {(Answer.DOUBTFUL, OVERDUE): 4}
        assert all(drive.heard_ns[one] - drive.sent_ns[one] >= 0.78 * NS_PER_S for one in range(4))
        await drive.send(20)
        await asyncio.sleep(0.6)
        drive.collect()
        assert drive.told == {(Answer.DOUBTFUL, OVERDUE): 4, ACCEPTED: 20}
        assert once(server, 24)


@on_both_loops
async def test_what_is_no_http_is_in_doubt_and_the_connection_is_closed() -> None:
    async def garble(visit: Visit) -> bool:
        return visit.answer() if int(visit.body) % 5 else visit.answer(b"SSH-2.0-OpenSSH_9.6\r\n")

    async with serving(garble) as server, Drive(server.port) as drive:
        await drive.send(50)
        assert drive.told == {ACCEPTED: 40, (Answer.DOUBTFUL, NO_HTTP1): 10}
        assert once(server, 50)
        assert server.accepted >= 11


@on_both_loops
async def test_an_answer_with_more_behind_it_counts_and_the_connection_is_closed() -> None:
    async def chatter(visit: Visit) -> bool:
        return visit.answer(OK + b"HTTP/1.1 200 OK\r\n")

    async with serving(chatter) as server, Drive(server.port, connections=1) as drive:
        await drive.send(5)
        assert drive.told == {ACCEPTED: 5}
        assert server.accepted >= 5


# -- outages -----------------------------------------------------------------------------------------------------------


@on_both_loops
async def test_after_an_outage_the_rest_is_sent() -> None:
    async with serving() as server, Drive(server.port, connections=8) as drive:
        await drive.send(40)
        await server.stop()
        rest = asyncio.ensure_future(drive.send(200))
        await asyncio.sleep(0.6)
        assert len(drive.said) < 240
        dialled = drive.sender.pool.dialled
        assert dialled < 8 + 8 * 6  # of each: the first, and as many as doubling from 0.1 s allows, with luck
        await server.listen()
        await rest
        assert drive.told[ACCEPTED] >= 232  # those that crossed the hanging up are in doubt
        assert set(drive.told) <= {ACCEPTED, (Answer.DOUBTFUL, LOST), (Answer.REFUSED, LOST)}


@on_both_loops
async def test_where_nobody_listens_any_more_everybody_is_refused_in_the_end() -> None:
    async with serving() as server, Drive(server.port, reconnect_within_ns=NS_PER_S // 5) as drive:
        await drive.send(10)
        await server.stop()
        await until(lambda: not drive.sender.pool.links)
        await drive.send(10_000)
        assert drive.told == {ACCEPTED: 10, (Answer.REFUSED, UNSENDABLE): 10_000}


# -- limits ------------------------------------------------------------------------------------------------------------


@on_both_loops
async def test_no_second_sees_more_than_a_hundredth_above_the_rate() -> None:
    rate = 400
    async with serving() as server:
        async with Drive(server.port, rate_per_s=float(rate), burst=rate / 100) as drive:
            await drive.send(800)
            made = np.array(drive.hook.made_ns)
        after_a_second = np.searchsorted(made, made + NS_PER_S)
        assert int((after_a_second - np.arange(made.size)).max()) <= rate * 1.02
        assert drive.told == {ACCEPTED: 800}


@on_both_loops
async def test_a_rate_counts_what_the_sink_says_even_where_calls_are_cut_short() -> None:
    """Ten people weigh one where the call is full; calls of three weigh as much."""

    class Packed(Hook):
        weight = 10

        def cost(self, prepared: object, lo: int, hi: int) -> int:
            return 1

    async with serving() as server:
        hook = Packed(10, stop_at=3)
        async with Drive(server.port, hook, rate_per_s=100.0, burst=1.0) as drive:
            await drive.send(300)
            calls = np.unique(np.array(hook.made_ns))
        after_a_second = np.searchsorted(calls, calls + NS_PER_S)
        assert drive.told == {ACCEPTED: 300}
        assert len(server.calls) >= 100
        assert int((after_a_second - np.arange(calls.size)).max()) <= 102


@on_both_loops
async def test_calls_at_once_keep_to_the_limit() -> None:
    async def slowly(visit: Visit) -> bool:
        await asyncio.sleep(0.002)
        return visit.answer()

    async with serving(slowly) as server, Drive(server.port, connections=8, in_flight=3) as drive:
        await drive.send(100)
        assert drive.told == {ACCEPTED: 100}
        assert server.most_at_once == 3


@on_both_loops
async def test_what_was_taken_and_not_written_can_be_revoked() -> None:
    async def silent(visit: Visit) -> bool:
        await asyncio.sleep(60)
        return False

    async with serving(silent) as server, Drive(server.port, Hook(10, stop_at=4), connections=2) as drive:
        assert drive.push(drive.prepared(20)) == 20  # the sender learns with this batch that calls are short
        assert drive.sender.revoke().tolist() == [10**9 + one for one in range(8, 20)]
        assert drive.sender.revoke().size == 0
        assert drive.sender.credit() == 0
        await until(lambda: len(server.people) == 8)
        assert drive.collect() == 0


@on_both_loops
async def test_what_was_taken_and_cannot_be_written_is_refused_before_the_engine_doubts_it() -> None:
    async def silent(visit: Visit) -> bool:
        await asyncio.sleep(60)
        return False

    hook = Hook(10, stop_at=4)
    async with serving(silent) as server, Drive(server.port, hook, connections=2, answer_within_s=0.6) as drive:
        await drive.send(20)
        assert drive.told == {(Answer.DOUBTFUL, OVERDUE): 8, (Answer.REFUSED, UNSENDABLE): 12}


# -- big requests ------------------------------------------------------------------------------------------------------


@on_both_loops
async def test_a_request_that_waits_for_room_holds_up_nobody_else() -> None:
    reading = asyncio.Event()

    async def slow_reader(visit: Visit) -> bool:
        if visit.number == 1:
            await reading.wait()
        return True

    async with serving(greet=slow_reader) as server, Drive(server.port, connections=2) as drive:
        await until(lambda: server.accepted == 2)
        drive.hook.padding = 30_000_000
        first = [drive.prepared(1), drive.prepared(1)]
        assert [drive.push(one) for one in first] == [1, 1]
        assert all(link.full for link in drive.sender.pool.links)
        assert drive.sender.credit() == 0
        await until(drive.collect)
        assert [link.full for link in drive.sender.pool.links].count(True) == 1
        drive.hook.padding = 0
        others, lo = drive.prepared(50), 0
        while len(drive.said) < 51:
            lo = drive.push(others, lo)
            await drive.nap()
            drive.collect()
        reading.set()
        await until(lambda: drive.collect() or len(drive.said) == 52)
        assert drive.told == {ACCEPTED: 52}
        assert once(server, 52)


@on_both_loops
async def test_requests_of_a_megabyte_arrive_whole() -> None:
    async with serving() as server, Drive(server.port, connections=3) as drive:
        drive.hook.padding = 1_000_000
        await drive.send(30)
        assert drive.told == {ACCEPTED: 30}
        assert once(server, 30)


@on_both_loops
async def test_an_answer_before_the_request_is_written_is_taken_and_the_connection_closed() -> None:
    async def too_large(visit: Visit) -> bool:
        visit.answer(b"HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\n\r\n")
        await asyncio.sleep(0.1)
        return False

    async with serving(too_large) as server, Drive(server.port, Hook(path="/early"), connections=1) as drive:
        drive.hook.padding = 16_000_000
        await drive.send(1)
        assert drive.told == {(Answer.REJECTED, "status"): 1}
        drive.hook.padding = 0
        await drive.send(1)
        assert drive.told == {(Answer.REJECTED, "status"): 2}
        assert server.accepted == 2


# -- TLS, other servers, tracers, the end ------------------------------------------------------------------------------


@on_both_loops
async def test_calls_go_over_tls() -> None:
    with TemporaryDirectory() as folder:
        authority = Authority.create(Path(folder) / "authority")
        served = server_context(str(authority.certificate), str(authority.key))
        served.set_alpn_protocols(["http/1.1"])
        client = client_context(str(authority.ca))
        client.set_alpn_protocols(["http/1.1"])
        async with serving(tls=served) as server, Drive(server.port, tls=client) as drive:
            await drive.send(200)
            drive.hook.padding = 300_000
            await drive.send(10)
            assert drive.told == {ACCEPTED: 210}
            assert once(server, 210)
            assert server.accepted == 4


@on_both_loops
async def test_one_may_ask_what_carries_nobody() -> None:
    async with serving() as server, Drive(server.port, connections=1) as drive:
        request = b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n"
        for _ in range(3):
            response = await drive.sender.ask(request, 5.0)
            assert (response.head.status, response.body) == (200, b"ok")
        await drive.send(10)
        assert drive.told == {ACCEPTED: 10}
        assert server.accepted == 1


@on_both_loops
async def test_a_question_without_a_true_answer_raises() -> None:
    said = b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nno"

    async def fail(visit: Visit) -> bool:
        kind = len(server.calls)
        if kind == 1:
            await asyncio.sleep(60)
        return visit.answer(b"SMTP\r\n") if kind == 2 else visit.answer(said) and False

    request = b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n"
    async with serving(fail) as server, Drive(server.port, connections=1) as drive:
        for kind, within_s in ((TimeoutError, 0.1), (H1Error, 10.0), (ConnectionError, 10.0)):
            with pytest.raises(kind):
                await drive.sender.ask(request, within_s)
        assert drive.collect() == 0


@on_both_loops
async def test_a_sender_closes_with_calls_under_way() -> None:
    async def silent(visit: Visit) -> bool:
        await asyncio.sleep(60)
        return False

    async with serving(silent) as server:
        before = asyncio.all_tasks()
        async with Drive(server.port, connections=3) as drive:
            drive.push(drive.prepared(3))
            await until(lambda: len(server.people) == 3)
        assert asyncio.all_tasks() - before == {visit.served_by for visit in server.visits}


@on_both_loops
async def test_an_interrupted_opening_leaves_nothing() -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=0) as deaf:
        before = asyncio.all_tasks()
        drive = Drive(deaf.getsockname()[1], connections=20)
        opening = asyncio.ensure_future(drive.sender.open())
        await asyncio.sleep(0.05)
        opening.cancel()
        await asyncio.gather(opening, return_exceptions=True)
        await drive.sender.close()
        assert asyncio.all_tasks() == before


def configure(folder: str) -> tuple[int, str]:
    """Write a configuration for nginx; return its port and where it stands."""
    Path(folder).chmod(0o755)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    configuration = Path(folder) / "nginx.conf"
    configuration.write_text(_NGINX.format(folder=folder, port=port))
    return port, str(configuration)


@on_both_loops
async def test_nginx_is_called_for_everybody() -> None:
    program = shutil.which("nginx", path="/usr/sbin:/usr/bin:/usr/local/sbin:/usr/local/bin")
    if program is None:
        return  # the other tests say the same of a server of our own
    with TemporaryDirectory() as folder:
        port, configuration = configure(folder)
        nginx = await asyncio.create_subprocess_exec(program, "-c", configuration, "-p", folder, "-e", "stderr")
        try:
            async with Drive(port, connections=4, connect_within_ns=10 * NS_PER_S) as drive:
                await drive.send(2000)
                assert drive.told == {ACCEPTED: 2000}
                assert drive.sender.pool.dialled >= 20  # it closes after a hundred
        finally:
            nginx.terminate()
            await nginx.wait()


_NGINX = """
daemon off; master_process off; pid {folder}/nginx.pid; error_log stderr crit; events {{}}
http {{
  access_log off; keepalive_requests 100; client_body_temp_path {folder}; proxy_temp_path {folder};
  fastcgi_temp_path {folder}; uwsgi_temp_path {folder}; scgi_temp_path {folder};
  server {{ listen 127.0.0.1:{port}; location / {{ return 200; }} }}
}}
"""
