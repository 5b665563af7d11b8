"""A client of the stand-in that nobody here wrote the inside of: the ``h2`` package on asyncio's streams."""

import asyncio
import contextlib
import json
import ssl
import struct
import time
from collections.abc import AsyncIterator, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from h2 import events
from h2.config import H2Configuration
from h2.connection import ConnectionState, H2Connection
from h2.errors import ErrorCodes

HANG_S = 30.0
TOKEN = "ab" * 32
TOPIC = "com.example.burst"
#: What a client says first, with settings that change nothing.
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes(3) + b"\x04\x00" + bytes(4)


def frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    return struct.pack(">I", len(payload))[1:] + bytes([kind, flags]) + struct.pack(">I", stream) + payload


def token(number: int) -> str:
    return f"{number:064x}"


@dataclass
class Push:
    """A request, and what became of it."""

    stream_id: int
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    reset: str = ""
    at: float = 0.0  # when its answer was whole
    sent: float = field(default_factory=time.monotonic)
    ended: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def status(self) -> int:
        return int(self.headers.get(":status", 0))

    @property
    def reason(self) -> str:
        return json.loads(self.body)["reason"] if self.body else ""


class Client:
    """One connection. ``settings`` are the server's, each time it said some; ``windows`` all WINDOW_UPDATEs."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, settings: dict[int, int]) -> None:
        self._reader, self.writer = reader, writer
        self.h2 = H2Connection(H2Configuration(client_side=True, header_encoding="utf-8"))
        self.pushes: dict[int, Push] = {}
        self.settings: list[dict[int, int]] = []
        self.windows: list[events.WindowUpdated] = []
        self.goaway: events.ConnectionTerminated | None = None
        self.error: BaseException | None = None
        self.reads: list[tuple[float, bytes]] = []
        self.closed = asyncio.Event()
        self._changed = asyncio.Event()
        self._partial = b""
        self.acknowledged = 0
        self.h2.initiate_connection()
        if settings:
            self.h2.update_settings(settings)
        self.flush()
        self._task = asyncio.create_task(self._read())

    # -- doing -----------------------------------------------------------------------------------------------------

    def flush(self) -> None:
        if data := self.h2.data_to_send():
            self.writer.write(data)

    def post(
        self,
        device: str | None = TOKEN,
        body: bytes | Iterable[bytes] = b'{"aps":{}}',
        *,
        path: str | None = None,
        method: str = "POST",
        authority: str = "localhost",
        ended: bool = True,
        **fields: str | None,
    ) -> Push:
        """Begin a request; fields are named with _ for -, and left out where None. A body may be in several parts."""
        named = {"apns_topic": TOPIC} | fields
        headers = [
            (":method", method),
            (":scheme", "https"),
            (":path", f"/3/device/{device}" if path is None else path),
            (":authority", authority),
            *((name.replace("_", "-"), value) for name, value in named.items() if value is not None),
        ]
        push = Push(self.h2.get_next_available_stream_id())
        self.pushes[push.stream_id] = push
        parts = [body] if isinstance(body, bytes) else list(body)
        self.h2.send_headers(push.stream_id, headers, end_stream=ended and not any(parts))
        for number, part in enumerate(parts, 1):
            if part:
                self.h2.send_data(push.stream_id, part, end_stream=ended and number == len(parts))
        self.flush()
        return push

    async def push(self, *positional: Any, **named: Any) -> Push:
        """Send a request, and wait until something has become of it."""
        return await self.answer(self.post(*positional, **named))

    async def answer(self, push: Push) -> Push:
        async with asyncio.timeout(HANG_S):
            await push.ended.wait()
        return push

    async def until(self, condition: Any) -> None:
        """Wait until what came makes a condition true."""
        async with asyncio.timeout(HANG_S):
            while not condition():
                self._changed.clear()
                await self._changed.wait()

    async def end(self) -> None:
        """Wait until the server has closed."""
        async with asyncio.timeout(HANG_S):
            await self.closed.wait()

    @property
    def limit(self) -> int | None:
        """The server's MAX_CONCURRENT_STREAMS as it was said last."""
        return next((said[3] for said in reversed(self.settings) if 3 in said), None)

    async def close(self) -> None:
        self._task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._task
        self.writer.close()
        with contextlib.suppress(OSError):
            await self.writer.wait_closed()

    # -- hearing ---------------------------------------------------------------------------------------------------

    async def _read(self) -> None:
        try:
            while data := await self._reader.read(65536):
                self.reads.append((time.monotonic(), data))
                for frame in self._frames(data):
                    for event in self.h2.receive_data(frame):
                        self._take(event)
                self.flush()
                self._changed.set()
        except Exception as error:  # noqa: BLE001 (what it was is the test's to judge)
            self.error = error
        self.closed.set()
        self._changed.set()

    def _frames(self, data: bytes) -> Iterator[bytes]:
        self._partial += data
        while len(self._partial) >= 9:
            size = 9 + int.from_bytes(self._partial[:3], "big")
            if len(self._partial) < size:
                return
            frame, self._partial = self._partial[:size], self._partial[size:]
            yield frame

    def _take(self, event: Any) -> None:
        if isinstance(event, events.RemoteSettingsChanged):
            self.settings.append({key: one.new_value for key, one in event.changed_settings.items()})
        elif isinstance(event, events.SettingsAcknowledged):
            self.acknowledged += 1
        elif isinstance(event, events.WindowUpdated):
            self.windows.append(event)
        elif isinstance(event, events.ConnectionTerminated):
            self.goaway = event
            # The package takes no frame after GOAWAY; yet what was taken is still answered (RFC 9113, 6.8).
            self.h2.state_machine.state = ConnectionState.CLIENT_OPEN
        push = self.pushes.get(getattr(event, "stream_id", None) or 0)
        if push is None:
            return
        if isinstance(event, events.ResponseReceived):
            push.headers = dict(event.headers)
        elif isinstance(event, events.DataReceived):
            push.body += event.data
            self.h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
        elif isinstance(event, events.StreamReset):
            push.reset = ErrorCodes(event.error_code).name
        if isinstance(event, (events.StreamEnded, events.StreamReset)):
            push.at = time.monotonic()
            push.ended.set()


async def until(condition: Any) -> None:
    """Look at each turn of the loop, until a condition is true: not a moment later."""
    async with asyncio.timeout(HANG_S):
        while not condition():  # noqa: ASYNC110 (nothing tells)
            await asyncio.sleep(0)


@contextlib.asynccontextmanager
async def connected(
    url: str, tls: ssl.SSLContext | None = None, *, settings: dict[int, int] | None = None
) -> AsyncIterator[Client]:
    """Connect to ``http://host:port``, ``https://...`` or ``unix:///path``; the server's settings have come."""
    scheme, _, where = url.partition("://")
    if "unix" in scheme:
        named = {"server_hostname": "localhost"} if tls else {}
        streams = await asyncio.open_unix_connection(where, ssl=tls, **named)
    else:
        host, _, port = where.rpartition(":")
        streams = await asyncio.open_connection(host.strip("[]"), int(port), ssl=tls)
    client = Client(*streams, settings or {})
    try:
        await client.until(lambda: client.acknowledged == 1 + bool(settings) or client.closed.is_set())
        yield client
    finally:
        await client.close()
