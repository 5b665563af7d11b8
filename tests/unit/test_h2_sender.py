"""What every HTTP/2 sink leaves to its sender: each request is written once, and comes to one answer."""

import asyncio
import contextlib
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any

import aiofastnet
import numpy as np
import pytest

from burst.model.batch import Batch, Platform, TokenEncoding
from burst.model.errors import BurstError, TracerError
from burst.model.outcome import Answer
from burst.model.ports import NEVER_NS, Answers, Prepared, SinkContext
from burst.model.units import NS_PER_MS, NS_PER_S
from burst.wire.frame_rows import FrameRows, Part
from burst.wire.frames import END_HEADERS, END_STREAM, ErrorCode, FrameType, frame
from burst.wire.h2_client import ClientConnection, Responses
from burst.wire.h2_sender import H2Sender
from burst.wire.h2_server import Cancelled, ServerConnection
from burst.wire.h2_writer import Alike
from burst.wire.limits import Limits, Ration
from burst.wire.transport import H2Link, connect
from burst.wire.unanswered import UNANSWERED
from tests.unit.test_wire.heard import told, whole

GUARD_S = 20.0  # a test that takes so long hangs
WIDTH = 6
EXPIRED = "token expired"
REASONS = ("", "bad", EXPIRED, *UNANSWERED)


async def until(true: Callable[[], object]) -> None:
    async with asyncio.timeout(GUARD_S):
        while not true():  # noqa: ASYNC110 (what is awaited is another end's state)
            await asyncio.sleep(0.002)


class Clock:
    now_ns = staticmethod(time.monotonic_ns)


# -- a sink of five methods -----------------------------------------------------------------------------------------


class Notes:
    """Requests: ``PUT /notes/000042`` with the number again in its body."""

    def __init__(self, padding: int = 0) -> None:
        self.token = b""
        self.shapes: dict[bytes, FrameRows] = {}
        self._tail = b'","pad":"' + b"x" * padding + b'"}'
        self.body_bytes = len(self._body(0))

    def prepare(self, count: int, *, alike: bool = True, first: int = 0) -> Prepared:
        numbers = np.arange(first, first + count)
        batch = Batch(0, 0, count, Platform.IOS, TokenEncoding.ASCII, b"0" * count, 1)
        digits = (numbers[:, None] // 10 ** np.arange(WIDTH - 1, -1, -1) % 10 + 48).astype(np.uint8)
        body = Alike(self.body_bytes, (digits, digits)) if alike else None
        return Prepared(batch, numbers, numbers, body=body)

    def shape(self, connection: ClientConnection, prepared: Prepared, alike: Alike, at: int) -> FrameRows | bytes:
        encoder = connection.encoder
        generation = encoder.generation
        block = self.head(connection, prepared, at)
        if encoder.generation != generation:
            return block
        place = block.index(b"/notes/") + 7
        emptied = block[:place] + b"0" * WIDTH + block[place + WIDTH :]
        if emptied not in self.shapes:
            head = Part(FrameType.HEADERS, END_HEADERS, emptied, [(place, place + WIDTH)])
            body = Part(FrameType.DATA, END_STREAM, self._body(0), [(6, 6 + WIDTH)])
            self.shapes[emptied] = FrameRows([head, body])
        return self.shapes[emptied]

    def head(self, connection: ClientConnection, prepared: Prepared, at: int) -> bytes:
        return self._head(connection, int(prepared.indexes[at]))

    def body(self, prepared: Prepared, at: int) -> bytes:
        return self._body(int(prepared.indexes[at]))

    def tracer(self, connection: ClientConnection, number: int) -> tuple[bytes, bytes]:
        return self._head(connection, 900_000 + number), self._body(900_000 + number)

    def fault(self, status: int, body: bytes) -> tuple[str, str] | None:
        return None if status == 200 else (f"{status} {body.decode()}", "ask somebody")

    def _head(self, connection: ClientConnection, number: int) -> bytes:
        path = (b":path", f"/notes/{number:0{WIDTH}d}".encode())
        fields = [(b":method", b"PUT"), (b":scheme", b"http"), (b":authority", b"here"), path]
        return connection.encoder.encode([*fields, (b"authorization", self.token)], plain={b":path"})

    def _body(self, number: int) -> bytes:
        return f'{{"n":"{number:0{WIDTH}d}'.encode() + self._tail


class Reading:
    """A reader: 200 is accepted, 401 has expired, all else is bad."""

    reasons = REASONS
    expired = EXPIRED

    def read(self, responses: Responses, now_ns: int) -> Answers:
        status, count = responses.head.status, responses.tags.size
        if status == 200:
            return Answers(responses.tags, np.zeros(count, dtype=np.uint8), now_ns)
        answer = Answer.REFUSED if status == 401 else Answer.REJECTED
        number = REASONS.index(EXPIRED if status == 401 else "bad")
        return Answers(
            responses.tags, np.full(count, answer, np.uint8), now_ns, None, np.full(count, number, dtype=np.uint8)
        )

    def reason_to_go(self, debug: bytes) -> str:
        return debug.decode()


@dataclass
class Pass:
    """An authorization: v1, v2, ... as often as it is renewed."""

    notes: Notes
    renewed: int = 0
    worn: bool = False
    gate: asyncio.Event | None = None
    fails: int = 0

    def due(self) -> bool:
        return self.worn

    def expire(self) -> None:
        self.worn = True

    async def renew(self) -> None:
        if self.gate is not None:
            await self.gate.wait()
        self.renewed += 1
        if self.fails:
            self.fails -= 1
            raise BurstError("nobody is there to renew it")
        self.worn = False
        self.notes.token = b"v%d" % self.renewed


# -- the other end --------------------------------------------------------------------------------------------------


@dataclass
class Server:
    """Answers by ``status_of`` (path, token), unless it holds its answers back."""

    limit: int = 100
    window: int = 65_535
    holds: bool = False
    status_of: Callable[[str, str], int] = lambda path, token: 200
    links: list[H2Link] = field(default_factory=list)
    seen: list[tuple[str, str, str]] = field(default_factory=list)  # path, token, n
    waiting: dict[tuple[int, int], H2Link] = field(default_factory=dict)
    cancelled: int = 0
    most: int = 0  # open at once on a connection
    _heads: dict[tuple[int, int], tuple[str, str]] = field(default_factory=dict)
    _bodies: dict[tuple[int, int], bytes] = field(default_factory=dict)

    def make(self) -> H2Link:
        link = H2Link(ServerConnection(max_concurrent_streams=self.limit, initial_window=self.window), self)
        self.links.append(link)
        return link

    def received(self, link: H2Link) -> None:
        events, link.connection.events = link.connection.events, []
        self.most = max(self.most, link.connection.streams.open)
        for stream_id, said in told(events).items():
            for what, *more in said if isinstance(stream_id, int) else ():
                if what == "head":
                    fields = dict(more[0])
                    self._heads[id(link), stream_id] = fields[b":path"].decode(), fields[b"authorization"].decode()
                elif what == "body":
                    self._bodies[id(link), stream_id] = self._bodies.get((id(link), stream_id), b"") + more[0]
        for event in events:
            self.cancelled += isinstance(event, Cancelled)
            for stream_id in whole(event):
                key = id(link), stream_id
                self.seen.append((*self._heads[key], self._bodies.pop(key)[6 : 6 + WIDTH].decode()))
                self.waiting[key] = link
        if not self.holds:
            self.answer()

    def answer(self) -> None:
        waiting, self.waiting = self.waiting, {}
        for (key, stream_id), link in waiting.items():
            connection: Any = link.connection
            if connection.streams.row_of(stream_id) >= 0:
                status = self.status_of(*self._heads[key, stream_id])
                block = connection.encoder.encode([(b":status", b"%d" % status)])
                flags = END_HEADERS if status == 500 else END_HEADERS | END_STREAM
                connection.answer(stream_id, frame(FrameType.HEADERS, flags, stream_id, block), self._trouble(status))
        for link in self.links:
            link.flush()

    def _trouble(self, status: int) -> bytes:
        return b"trouble" if status == 500 else b""

    def writable(self, link: H2Link) -> None:
        pass

    def lost(self, link: H2Link, error: BaseException | None) -> None:
        self.links.remove(link)


class Rig:
    """A sender, and what it was told."""

    def __init__(self, sender: H2Sender, notes: Notes, woken: list[int]) -> None:
        self.sender = sender
        self.notes = notes
        self.woken = woken
        self.answered: dict[int, tuple[Answer, str]] = {}

    def read(self) -> int:
        before = len(self.answered)
        for answers in self.sender.answers():
            for at, ticket in enumerate(answers.tickets.tolist()):
                assert ticket not in self.answered
                reason = 0 if answers.reasons is None else int(answers.reasons[at])
                self.answered[ticket] = Answer(int(answers.codes[at])), REASONS[reason]
        return len(self.answered) - before

    @property
    def outcomes(self) -> Counter[tuple[Answer, str]]:
        return Counter(self.answered.values())

    async def send_all(self, prepared: Prepared) -> None:
        """Send as the engine does: as much as there is credit for."""
        lo, hi = 0, prepared.tickets.size
        async with asyncio.timeout(GUARD_S):
            while lo < hi:
                lo += self.sender.send(prepared, lo, min(hi, lo + self.sender.credit()))
                self.read()
                await asyncio.sleep(0)

    async def drain(self, count: int) -> None:
        async with asyncio.timeout(GUARD_S):
            while len(self.answered) < count:
                self.sender.credit()
                self.read()
                await asyncio.sleep(0.001)


@contextlib.asynccontextmanager
async def rig(
    server: Server,
    *,
    notes: Notes | None = None,
    authorization: Pass | None = None,
    answer_within_ns: int = NEVER_NS,
    during: Callable[[Any], None] = lambda listening: None,
    **limits: Any,
) -> AsyncIterator[Rig]:
    loop = asyncio.get_running_loop()
    listening = await aiofastnet.create_server(loop, server.make, "127.0.0.1", 0)
    port = listening.sockets[0].getsockname()[1]
    notes = notes or Notes()
    woken: list[int] = []

    async def dial(make: Callable[[], H2Link]) -> H2Link:
        return await connect(make, "127.0.0.1", port, tls=None)

    context = SinkContext(
        "run", "event", 1000, 1, 0, 1, Clock(), wake=lambda: woken.append(1), answer_within_ns=answer_within_ns
    )
    allowed = Limits(**({"connections": 2} | limits))
    sender = H2Sender("the notes", dial, allowed, context, notes, Reading(), authorization)
    try:
        await sender.open()
        during(listening)
        yield Rig(sender, notes, woken)
    finally:
        await sender.close()
        await sender.close()
        listening.close()
        for link in list(server.links):
            link.abort()
    await until(lambda: not server.links)


# -- requests -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("alike", [True, False], ids=["rows", "one by one"])
@pytest.mark.parametrize("window", [65_535, 10], ids=["wide", "narrow"])
async def test_every_request_is_written_once_as_its_sink_says_and_answered_once(alike, window):
    server = Server(window=window)
    async with rig(server, authorization=None) as made:
        await made.send_all(made.notes.prepare(1500, alike=alike))
        await made.drain(1500)
        assert made.outcomes == {(Answer.ACCEPTED, ""): 1500}
        assert made.woken
    assert sorted(server.seen) == [(f"/notes/{n:06d}", "", f"{n:06d}") for n in range(1500)]


async def test_bodies_larger_than_a_frame_go_one_by_one():
    server = Server(window=1 << 20)
    notes = Notes(padding=20_000)
    async with rig(server, notes=notes) as made:
        await made.send_all(notes.prepare(50))
        await made.drain(50)
    assert sorted(number for *_, number in server.seen) == [f"{n:06d}" for n in range(50)]


async def test_connections_take_turns():
    server = Server(holds=True)
    async with rig(server, connections=4) as made:
        for number in range(40):
            prepared = made.notes.prepare(1, first=number)
            assert made.sender.send(prepared, 0, 1) == 1
        await until(lambda: len(server.seen) == 40)
        assert [link.connection.streams.open for link in server.links] == [10] * 4


async def test_credit_is_what_the_server_allows_and_no_more_is_ever_open():
    server = Server(limit=7, holds=True)
    async with rig(server, connections=3) as made:
        assert made.sender.credit() == 21
        assert made.sender.send(made.notes.prepare(21), 0, 21) == 21
        assert made.sender.credit() == 0
        await until(lambda: len(server.seen) == 21)
        server.holds = False
        server.answer()
        await made.drain(21)
        assert made.sender.credit() == 21
    assert server.most == 7


@pytest.mark.parametrize(("limits", "credit"), [({"streams": 5}, 10), ({"in_flight": 8}, 8)])
async def test_limits_of_ones_own_are_kept(limits, credit):
    server = Server(holds=True)
    async with rig(server, **limits) as made:
        assert made.sender.credit() == credit
        made.sender.send(made.notes.prepare(credit), 0, credit)
        assert made.sender.credit() == 0


async def test_what_was_taken_without_room_is_written_when_there_is_some():
    server = Server(limit=10, holds=True)
    async with rig(server) as made:
        assert made.sender.send(made.notes.prepare(50), 0, 50) == 50
        await until(lambda: len(server.seen) == 20)
        server.holds = False
        server.answer()
        await made.drain(50)
        assert made.sender.credit() == 20
    assert len(set(server.seen)) == len(server.seen) == 50


async def test_what_was_taken_and_finds_no_room_for_long_is_refused():
    server = Server(limit=10, holds=True)
    async with rig(server, reconnect_within_ns=100 * NS_PER_MS) as made:
        made.sender.send(made.notes.prepare(50), 0, 50)
        await made.drain(30)
        assert made.outcomes == {(Answer.REFUSED, "no connection to send it over"): 30}
        server.holds = False
        server.answer()
        await made.drain(50)
        assert made.sender.credit() == 20
    assert len(server.seen) == 20


async def test_what_was_taken_and_not_written_can_be_taken_back():
    server = Server(limit=10, holds=True)
    async with rig(server) as made:
        made.sender.send(made.notes.prepare(50), 0, 50)
        back = made.sender.revoke()
        assert sorted(back.tolist()) == list(range(20, 50))
        assert made.sender.revoke().size == 0
        await until(lambda: len(server.seen) == 20)
        server.holds = False
        server.answer()
        await made.drain(20)
        assert made.sender.credit() == 20  # what was taken back holds no room
    assert len(server.seen) == 20


# -- what goes wrong ------------------------------------------------------------------------------------------------


async def test_what_was_open_on_a_lost_connection_is_in_doubt():
    server = Server(holds=True)
    async with rig(server) as made:
        made.sender.send(made.notes.prepare(30), 0, 30)
        await until(lambda: len(server.seen) == 30)
        for link in list(server.links):
            link.abort()
        await made.drain(30)
        assert made.outcomes == {(Answer.DOUBTFUL, "connection lost"): 30}


@pytest.mark.parametrize(
    ("code", "answer", "reason"),
    [
        (ErrorCode.INTERNAL_ERROR, Answer.DOUBTFUL, "stream reset"),
        (ErrorCode.REFUSED_STREAM, Answer.REFUSED, "stream refused"),
    ],
)
async def test_a_stream_that_was_reset_is_in_doubt_unless_it_was_refused(code, answer, reason):
    server = Server(holds=True)
    async with rig(server) as made:
        made.sender.send(made.notes.prepare(10), 0, 10)
        await until(lambda: len(server.seen) == 10)
        for (_, stream_id), link in server.waiting.items():
            link.connection.reset(stream_id, code)
            link.flush()
        await made.drain(10)
        assert made.outcomes == {(answer, reason): 10}


async def test_what_is_overdue_is_cancelled_and_in_doubt_before_the_engine_gives_it_up():
    server = Server(holds=True)
    async with rig(server, answer_within_ns=300 * NS_PER_MS) as made:
        begun_ns = time.monotonic_ns()
        made.sender.send(made.notes.prepare(30), 0, 30)
        await made.drain(30)
        assert time.monotonic_ns() - begun_ns > 200 * NS_PER_MS
        assert made.outcomes == {(Answer.DOUBTFUL, "no answer in time: cancelled"): 30}
        await until(lambda: server.cancelled == 30)


async def test_what_can_be_sent_nowhere_is_refused():
    server = Server()

    async with rig(server, reconnect_within_ns=50 * NS_PER_MS, during=lambda listening: listening.close()) as made:
        for link in list(server.links):
            link.abort()
        await until(lambda: not made.sender.pool.links)
        assert made.sender.credit() == 0  # one may be up again soon
        await until(made.sender.credit)
        assert made.sender.send(made.notes.prepare(30), 0, 30) == 30
        assert made.sender.next_answer_ns() == 0
        made.read()
        assert made.outcomes == {(Answer.REFUSED, "no connection to send it over"): 30}


async def test_a_goaway_gives_its_reason_and_one_that_is_nobodys_counts_as_none():
    for debug, reason in (
        (b"bad", "bad"),
        (b"", "connection told to go (GOAWAY)"),
        (b"?", "connection told to go (GOAWAY)"),
    ):
        server = Server(holds=True)
        async with rig(server, connections=1) as made:
            made.sender.send(made.notes.prepare(10), 0, 10)
            await until(lambda server=server: len(server.seen) == 10)
            (link,) = server.links
            connection: Any = link.connection
            connection.go_away(0, debug, last=0)
            link.flush()
            await made.drain(10)
            assert made.outcomes == {(Answer.REFUSED, reason): 10}


async def test_a_server_that_is_not_there_is_told_by_the_endpoints_name():
    with pytest.raises(BurstError, match=r"^the notes: no connection within"):
        async with rig(Server(), notes=Notes(), connect_within_ns=0):
            pass


async def test_what_ends_the_upkeep_is_not_kept_quiet():
    server = Server()
    notes = Notes()
    authorization = Pass(notes)
    async with rig(server, notes=notes, authorization=authorization) as made:

        def broken() -> bool:
            raise ZeroDivisionError("a fault of ours")

        authorization.due = broken  # type: ignore[method-assign]
        with pytest.raises(ZeroDivisionError, match="a fault of ours"):
            await until(made.sender.answers)


def test_a_reader_that_lacks_a_senders_reasons_is_a_fault_told_at_once():
    class Curt(Reading):
        reasons = ("", EXPIRED, *UNANSWERED[1:])

    async def nowhere(make: Callable[[], H2Link]) -> H2Link:
        raise OSError

    context = SinkContext("run", "event", 1, 1, 0, 1, Clock())
    with pytest.raises(ValueError, match="connection lost"):
        H2Sender("the notes", nowhere, Limits(), context, Notes(), Curt())


# -- the authorization ----------------------------------------------------------------------------------------------


async def test_an_authorization_that_expires_is_renewed_once_and_nothing_leaves_meanwhile():
    server = Server(status_of=lambda path, token: 401 if token == "v1" else 200)
    notes = Notes()
    authorization = Pass(notes)
    async with rig(server, notes=notes, authorization=authorization) as made:
        assert authorization.renewed == 1
        authorization.gate = asyncio.Event()
        await made.send_all(notes.prepare(50))
        await made.drain(50)
        assert made.outcomes == {(Answer.REFUSED, EXPIRED): 50}
        assert made.sender.credit() == 0
        authorization.gate.set()
        await until(made.sender.credit)
        assert authorization.renewed == 2
        await made.send_all(notes.prepare(50, first=100))
        await made.drain(100)
        assert made.outcomes[Answer.ACCEPTED, ""] == 50
    assert Counter(token for _, token, _ in server.seen) == {"v1": 50, "v2": 50}


async def test_a_goaway_can_say_that_it_has_expired():
    server = Server(holds=True)
    notes = Notes()
    authorization = Pass(notes)
    async with rig(server, notes=notes, authorization=authorization, connections=1):
        (link,) = server.links
        connection: Any = link.connection
        connection.go_away(0, EXPIRED.encode())
        link.flush()
        await until(lambda: authorization.renewed == 2)


async def test_a_renewal_that_fails_is_tried_again_and_the_old_one_shown_until_then():
    server = Server()
    notes = Notes()
    authorization = Pass(notes)
    async with rig(server, notes=notes, authorization=authorization) as made:
        authorization.fails, authorization.worn = 2, True
        await until(lambda: authorization.renewed == 2)
        await until(made.sender.credit)
        assert notes.token == b"v1"
        await until(lambda: authorization.renewed == 4)
        assert notes.token == b"v4"
        await until(made.sender.credit)


async def test_an_authorization_that_cannot_be_had_at_first_is_told_and_nothing_is_dialled():
    server = Server()
    notes = Notes()
    with pytest.raises(BurstError, match="nobody is there"):
        async with rig(server, notes=notes, authorization=Pass(notes, fails=1)):
            pass
    assert not server.seen


# -- tracers --------------------------------------------------------------------------------------------------------


async def test_tracers_come_back_before_anything_else_and_are_nobodys_answers():
    server = Server()
    async with rig(server) as made:
        assert "3 tracer(s) accepted by the notes" in await made.sender.trace(made.notes, 3)
        assert [path for path, *_ in server.seen] == [f"/notes/90000{number}" for number in range(3)]
        assert made.read() == 0


async def test_a_tracer_that_is_refused_says_what_was_answered_and_what_to_do():
    server = Server(status_of=lambda path, token: 500 if path.endswith("1") else 200)
    async with rig(server) as made:
        with pytest.raises(TracerError, match="the notes refused a tracer: 500 trouble") as caught:
            await made.sender.trace(made.notes, 3)
        assert caught.value.hint == "nothing was sent to anybody else; ask somebody"
    assert len(server.seen) == 2


async def test_a_tracer_whose_connection_is_lost_was_not_answered():
    server = Server(holds=True)
    async with rig(server) as made:
        tracing = asyncio.ensure_future(made.sender.trace(made.notes, 1))
        await until(lambda: server.seen)
        for link in list(server.links):
            link.abort()
        with pytest.raises(TracerError, match="did not answer a tracer: connection lost"):
            await tracing


# -- a rate ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("rate", [3.0, 100.0, 30_000.0])
def test_no_second_sees_more_than_its_rate_and_burst_and_waiting_as_told_reaches_the_rate(rate):
    burst = max(1.0, rate / 100)
    ration = Ration(rate, burst)
    now_ns, sent = 0, []
    while now_ns < 5 * NS_PER_S:
        granted = ration.grant(10_000_000, now_ns)
        if granted:
            ration.take(granted, now_ns)
            sent.append((now_ns, granted))
            continue
        next_ns = ration.next_ns(now_ns)
        assert next_ns > now_ns
        now_ns = next_ns
    assert len(sent) < 5 * max(rate, 410)  # it waits for some at once, not for each one
    total = sum(count for _, count in sent)
    assert rate * 5 * 0.97 - 1 <= total <= rate * 5 + burst + 1
    for at_ns, _ in sent[:: max(1, len(sent) // 50)]:
        assert sum(n for ns, n in sent if at_ns <= ns < at_ns + NS_PER_S) <= rate + burst + 1


def test_the_time_of_the_next_tokens_is_told_once():
    ration = Ration(1000.0, 10.0)
    assert ration.next_ns(0) == NEVER_NS
    ration.take(ration.grant(100, 0), 0)
    assert ration.grant(100, 0) == 0
    when_ns = ration.next_ns(0)
    assert 0 < when_ns < NS_PER_S
    assert ration.next_ns(when_ns) == when_ns
    assert ration.next_ns(when_ns) == NEVER_NS


async def test_a_sender_with_a_rate_keeps_it_and_says_when_to_ask_again():
    server = Server()
    async with rig(server, rate_per_s=1000.0, burst=10.0) as made:
        begun_s = time.monotonic()
        await made.send_all(made.notes.prepare(210))
        assert time.monotonic() - begun_s >= 0.19
        assert made.sender.credit() <= 10
        await made.drain(210)
