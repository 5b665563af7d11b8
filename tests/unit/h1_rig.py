"""What the tests of HTTP/1.1 calls share: a server that does as it is told, and people who are called for."""

import asyncio
import contextlib
import functools
import socket
import ssl
import struct
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Any, Self

import aiofastnet
import numpy as np
import pytest
import uvloop

from burst.model.batch import Batch, Platform, TokenEncoding
from burst.model.outcome import Answer
from burst.model.ports import NEVER_NS, Answers, Prepared, SinkContext
from burst.model.units import NS_PER_S
from burst.wire.h1_client import Head, Response
from burst.wire.h1_link import H1Link
from burst.wire.h1_sender import UNANSWERED, H1Sender
from burst.wire.limits import Limits

GUARD_S = 20.0  # a test that takes so long hangs
REASONS = ("", *UNANSWERED, "status")
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


def on_both_loops(test: Callable[[], Awaitable[None]]) -> Callable[..., None]:
    """Run a test on asyncio's own loop and on uvloop's."""

    @pytest.mark.parametrize("new_loop", [asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
    @functools.wraps(test)
    def run(new_loop: Callable[[], asyncio.AbstractEventLoop]) -> None:
        with asyncio.Runner(loop_factory=new_loop) as runner:
            runner.run(guarded())

    async def guarded() -> None:
        async with asyncio.timeout(GUARD_S):
            await test()

    del run.__wrapped__  # pytest would look for its parameters there
    return run


async def until(true: Callable[[], object]) -> None:
    while not true():  # noqa: ASYNC110 (what is awaited is another end's state)
        await asyncio.sleep(0.002)


class Visit:
    """One connection to a server, between a request and its answer."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, number: int) -> None:
        self.reader, self.writer, self.number = reader, writer, number
        self.body = b""
        self.served_by = asyncio.current_task()

    def answer(self, data: bytes = OK) -> bool:
        """Answer; go on with the connection."""
        self.writer.write(data)
        return True

    def reset(self) -> bool:
        """Hang up as a crashed host does."""
        taken = self.writer.get_extra_info("socket")
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()
        return False


Behaviour = Callable[[Visit], Awaitable[bool]]


async def accept(visit: Visit) -> bool:
    return visit.answer()


class Server:
    """A server; ``behave`` is called for each request and says whether the connection lives on."""

    def __init__(self, behave: Behaviour = accept, greet: Behaviour | None = None) -> None:
        self.behave = behave
        self.greet = greet
        self.people: Counter[int] = Counter()  # who was called for, and how often
        self.calls: list[list[int]] = []
        self.accepted = 0
        self.at_once = self.most_at_once = 0
        self.visits: dict[Visit, None] = {}
        self.port = 0
        self._listening: asyncio.Server | None = None

    async def listen(self, tls: ssl.SSLContext | None = None) -> None:
        self._listening = await asyncio.start_server(
            self._serve, "127.0.0.1", self.port, ssl=tls, reuse_address=True, limit=2**22
        )
        self.port = self._listening.sockets[0].getsockname()[1]

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.accepted += 1
        visit = Visit(reader, writer, self.accepted)
        self.visits[visit] = None
        try:
            with contextlib.suppress(OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
                if self.greet is not None and not await self.greet(visit):
                    return
                while await self._serve_one(visit):
                    pass
        finally:
            self.visits.pop(visit)
            writer.close()

    async def _serve_one(self, visit: Visit) -> bool:
        head = await visit.reader.readuntil(b"\r\n\r\n")
        if b"early" in head:  # answered before its body is read
            return await self.behave(visit)
        size = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
        visit.body = await visit.reader.readexactly(size)
        people = [int(one) for one in visit.body.strip().split(b",") if one]
        self.people.update(people)
        self.calls.append(people)
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            return await self.behave(visit)
        finally:
            self.at_once -= 1

    async def stop(self) -> None:
        """Stop listening, hang up on everybody."""
        if self._listening is not None:
            self._listening.close()
        for visit in list(self.visits):
            visit.writer.transport.abort()
            assert visit.served_by is not None
            visit.served_by.cancel()
        await until(lambda: not self.visits)


@contextlib.asynccontextmanager
async def serving(
    behave: Behaviour = accept, *, greet: Behaviour | None = None, tls: ssl.SSLContext | None = None
) -> AsyncIterator[Server]:
    server = Server(behave, greet)
    await server.listen(tls)
    try:
        yield server
    finally:
        await server.stop()


class Hook:
    """A ``Caller`` whose bodies are the indexes of the people called for."""

    reasons: Sequence[str] = REASONS
    weight = 1

    def __init__(self, per_call: int = 1, *, stop_at: int = 10**6, reads: bool = False, path: str = "/") -> None:
        self.per_call = per_call
        self.stop_at = stop_at
        self.reads = reads
        self.padding = 0
        self.path = path
        self.made_ns: list[int] = []

    def stops(self, prepared: Prepared, lo: int) -> int:
        return lo + self.stop_at

    def cost(self, prepared: Prepared, lo: int, hi: int) -> int:
        return hi - lo

    def request(self, prepared: Prepared, lo: int, hi: int) -> bytes | list[bytes]:
        self.made_ns += [time.monotonic_ns()] * (hi - lo)
        body = b",".join(b"%d" % index for index in prepared.indexes[lo:hi].tolist()) + b" " * self.padding
        head = f"POST {self.path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n\r\n".encode()
        return [head, body] if self.padding else head + body

    def plain(self, head: Head) -> tuple[Answer, int, int] | None:
        if self.reads:
            return None
        if head.status == 200:
            return Answer.ACCEPTED, 0, 0
        if head.status == 429:
            return Answer.THROTTLED, REASONS.index("status"), int(head.get(b"retry-after") or b"0") * NS_PER_S
        return Answer.REFUSED if head.status >= 500 else Answer.REJECTED, REASONS.index("status"), 0

    def read(self, prepared: Prepared, lo: int, hi: int, response: Response, now_ns: int) -> Answers:
        """Everybody whose index is odd is rejected."""
        odd = prepared.indexes[lo:hi] % 2 == 1
        codes = np.where(odd, Answer.REJECTED, Answer.ACCEPTED).astype(np.uint8)
        return Answers(prepared.tickets[lo:hi], codes, now_ns)

    def accepted(self) -> list[Answers]:
        return []


class Looking(Hook):
    """A ``Glancer``, too: it knows ``OK``, whole, by its looks; everybody is accepted then."""

    def __init__(self, per_call: int = 10) -> None:
        super().__init__(per_call, reads=True)
        self.known: list[Answers] = []
        self.turns: list[int] = []

    def glance(self, links: Sequence[H1Link]) -> Sequence[H1Link]:
        self.turns.append(len(links))
        for link in links:
            assert link.prepared is not None
            if link.answer == OK:
                tickets = link.prepared.tickets[link.lo : link.hi]
                self.known.append(Answers(tickets, np.zeros(tickets.size, dtype=np.uint8), time.monotonic_ns()))
        return [link for link in links if link.answer != OK]

    def learn(self, prepared: Prepared, lo: int, hi: int, answer: bytes, body: bytes) -> None:
        raise AssertionError("read() has always something to say")

    def accepted(self) -> list[Answers]:
        known, self.known = self.known, []
        return known


class Clock:
    now_ns = staticmethod(time.monotonic_ns)


def dial_to(port: int, tls: ssl.SSLContext | None = None) -> Callable[[Callable[[], H1Link]], Awaitable[H1Link]]:
    async def dial(make: Callable[[], H1Link]) -> H1Link:
        _, link = await aiofastnet.create_connection(
            asyncio.get_running_loop(),
            make,
            "127.0.0.1",
            port,
            ssl=tls,
            server_hostname="localhost" if tls else None,
        )
        return link

    return dial


class Drive:
    """A sender, driven as the engine drives it; what is said of each person is kept, and must be said once."""

    def __init__(
        self,
        port: int,
        hook: Hook | None = None,
        *,
        connections: int = 4,
        answer_within_s: float | None = None,
        tls: ssl.SSLContext | None = None,
        idle_for_ns: int | None = None,
        **limits: Any,
    ) -> None:
        self.woken = asyncio.Event()
        self.hook = hook or Hook()
        within_ns = NEVER_NS if answer_within_s is None else int(answer_within_s * NS_PER_S)
        context = SinkContext("run", "event", 10**6, 1, 0, 1, Clock(), wake=self.woken.set, answer_within_ns=within_ns)
        self.sender = H1Sender(
            "here",
            dial_to(port, tls),
            Limits(connections=connections, **limits),
            context,
            self.hook,
            idle_for_ns=idle_for_ns,
            glancer=self.hook if isinstance(self.hook, Looking) else None,
        )
        self.said: dict[int, tuple[Answer, str]] = {}
        self.after_ns: dict[int, int] = {}
        self.sent_ns: dict[int, int] = {}
        self.heard_ns: dict[int, int] = {}
        self._next = 0

    def prepared(self, count: int) -> Prepared:
        """The next people, as a batch."""
        indexes = np.arange(self._next, self._next + count)
        self._next += count
        batch = Batch(0, int(indexes[0]), count, Platform.IOS, TokenEncoding.RAW, b"\0" * 4 * count, 4)
        return Prepared(batch, indexes + 10**9, indexes)

    def collect(self) -> int:
        before = len(self.said)
        for answers in [*self.sender.answers(), *self.hook.accepted()]:
            reasons = np.zeros(answers.codes.size, np.uint8) if answers.reasons is None else answers.reasons
            for at, ticket in enumerate(answers.tickets.tolist()):
                index = ticket - 10**9
                assert index not in self.said, "told twice"
                self.said[index] = Answer(int(answers.codes[at])), REASONS[int(reasons[at])]
                self.heard_ns[index] = answers.answered_ns
                if answers.retry_after_ns is not None:
                    self.after_ns[index] = int(answers.retry_after_ns[at])
        return len(self.said) - before

    def push(self, prepared: Prepared, lo: int = 0) -> int:
        """Send as far as the credit goes; return where it stopped."""
        while lo < prepared.tickets.size:
            count = min(self.sender.credit(), prepared.tickets.size - lo)
            if count <= 0:
                break
            assert self.sender.send(prepared, lo, lo + count) == count
            now_ns = time.monotonic_ns()
            for index in prepared.indexes[lo : lo + count].tolist():
                self.sent_ns[index] = now_ns
            lo += count
        return lo

    async def nap(self) -> None:
        self.woken.clear()
        wait_s = (self.sender.next_answer_ns() - time.monotonic_ns()) / NS_PER_S
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(min(max(wait_s, 0), 0.25)):
                await self.woken.wait()

    async def send(self, count: int) -> None:
        """Send to so many more people, until something is said of each."""
        prepared, lo = self.prepared(count), 0
        while len(self.said) < self._next:
            heard = self.collect()
            sent = lo
            lo = self.push(prepared, lo)
            if heard or lo > sent:
                await asyncio.sleep(0)
            else:
                await self.nap()

    @property
    def told(self) -> Counter[tuple[Answer, str]]:
        return Counter(self.said.values())

    async def __aenter__(self) -> Self:
        await self.sender.open()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.sender.close()
        await self.sender.close()
        assert not self.sender.pool._connected
