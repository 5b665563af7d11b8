"""A stand-in of a dialect of calls in this process, and clients of both versions of HTTP that write bytes."""

import asyncio
import contextlib
import json
import random
from pathlib import Path

import numpy as np
from hpack import Decoder, Encoder, NeverIndexedHeaderTuple

from burst.model.identity import TRACER, id_prefix, index_digits
from burst.provider.cloud_keys import google_account
from burst.provider.serving import Brief, Serving
from tests.provider_client import PREFACE, frame

HANG_S = 30.0
RUN = "calls"
SEND = "/v1/projects/shop/messages:send"


def ident(index: int, run: str = RUN, kind: int = 0) -> str:
    return (id_prefix(run, kind) + index_digits(np.array([index])).tobytes()).decode()


TRACER_ID = ident(0, kind=TRACER)


@contextlib.asynccontextmanager
async def serving(folder: Path, dialect: str, *, run: str = RUN, audience: int = 100, **behaviour):
    """Serve one dialect; yields the ``Serving``."""
    folder.mkdir(exist_ok=True, parents=True)  # noqa: ASYNC240
    brief = Brief(
        process=0,
        processes=1,
        listen=[f"{dialect}=127.0.0.1:0"],
        run=run,
        audience=audience,
        witness=str(folder / "witness-0.bin") if run else "",
        behaviour=behaviour,
        seed=7,
        folder=str(folder),
        google_file=str(google_account(folder, "http://127.0.0.1:1/token")) if dialect == "fcm" else "",
    )
    house = Serving(brief)
    await house.open()
    house.go(1)
    try:
        yield house
    finally:
        house.close()
        await asyncio.sleep(0)


def address_of(house: Serving) -> tuple[str, int]:
    return house.servers[0].sockets[0].getsockname()[:2]


class Answer:
    """Status, fields and body of an answer."""

    def __init__(self) -> None:
        self.status = 0
        self.fields: dict[str, str] = {}
        self.body = b""
        self.whole = False
        self.reset: int | None = None

    @property
    def told(self) -> tuple[int, str, bytes]:
        """What does not differ from one answer to the like: names of messages do."""
        name = self.status == 200 and b"messages/0:" in self.body
        return self.status, self.fields.get("www-authenticate", ""), b"named" if name else self.body

    def json(self):
        return json.loads(self.body)


class Frames:
    """A client of HTTP/2: header blocks of one shape, so that what is sent together is read by column."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer
        self.encoder, self.decoder = Encoder(), Decoder()
        self.next_stream = 1
        self.partial = b""
        self.answers: dict[int, Answer] = {}
        self.goaway = b""
        writer.write(PREFACE)

    def request(self, body: bytes, path: str = SEND, method: str = "POST", **fields: str) -> bytes:
        pairs = [(":method", method), (":scheme", "https"), (":path", path)]
        pairs += [(name.replace("_", "-"), value) for name, value in fields.items()]
        block = self.encoder.encode([NeverIndexedHeaderTuple(*pair) for pair in pairs], huffman=False)
        stream, self.next_stream = self.next_stream, self.next_stream + 2
        self.answers[stream] = Answer()
        if not body:
            return frame(1, 5, stream, block)
        pieces = [body[at : at + 16_384] for at in range(0, len(body), 16_384)]
        frames = [frame(0, int(at == len(pieces) - 1), stream, piece) for at, piece in enumerate(pieces)]
        return frame(1, 4, stream, block) + b"".join(frames)

    async def send(self, *requests: bytes) -> list[Answer]:
        """Write requests in one go; return their answers in order."""
        wanted = [int.from_bytes(one[5:9], "big") for one in requests]
        self.writer.write(b"".join(requests))
        async with asyncio.timeout(HANG_S):
            while not all(self.answers[stream].whole for stream in wanted):
                data = await self.reader.read(65_536)
                assert data, f"the connection has ended: {self.goaway!r}"
                self._take(data)
        return [self.answers[stream] for stream in wanted]

    def _take(self, data: bytes) -> None:
        self.partial += data
        while len(self.partial) >= 9:
            size = 9 + int.from_bytes(self.partial[:3], "big")
            if len(self.partial) < size:
                return
            kind, flags, stream = self.partial[3], self.partial[4], int.from_bytes(self.partial[5:9], "big")
            payload, self.partial = self.partial[9:size], self.partial[size:]
            if kind == 7:
                self.goaway = payload
            if stream not in self.answers:
                continue
            answer = self.answers[stream]
            if kind == 1:
                answer.fields = dict(self.decoder.decode(payload))
                answer.status = int(answer.fields[":status"])
            elif kind == 0:
                answer.body += payload
                self.writer.write(frame(8, 0, 0, len(payload).to_bytes(4, "big")) if payload else b"")
            elif kind == 3:
                answer.reset, answer.whole = int.from_bytes(payload, "big"), True
            if kind in (0, 1):
                answer.whole = bool(flags & 1)


class Calls:
    """A client of HTTP/1.1 on one connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    async def send(self, body: bytes, path: str = SEND, method: str = "POST", **fields: str) -> Answer:
        lines = [f"{method} {path} HTTP/1.1", "host: x", f"content-length: {len(body)}"]
        lines += [f"{name.replace('_', '-')}: {value}" for name, value in fields.items()]
        self.writer.write("\r\n".join([*lines, "", ""]).encode() + body)
        answer = Answer()
        async with asyncio.timeout(HANG_S):
            head = (await self.reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
            answer.fields = dict(line.split(": ", 1) for line in head[1:] if line)
            answer.status = int(head[0].split()[1])
            answer.body = await self.reader.readexactly(int(answer.fields.get("content-length", 0)))
        return answer


@contextlib.asynccontextmanager
async def connected(kind, house: Serving):
    """Connect a ``Frames`` or ``Calls``."""
    client = kind(*await asyncio.open_connection(*address_of(house)))
    try:
        yield client
    finally:
        client.writer.close()
        with contextlib.suppress(OSError):
            await client.writer.wait_closed()


def token(rng: random.Random, width: int = 152) -> str:
    letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-"
    return "".join(rng.choices(letters, k=22)) + ":APA91b" + "".join(rng.choices(letters, k=width - 29))


def message(rng: random.Random, who: str, **more) -> bytes:
    """Return a body of one of a few shapes, all of them good."""
    said = {"token": token(rng), "data": {"burst": who}} | more
    return json.dumps({"message": said}, separators=(",", ":")).encode()


def odd_message(rng: random.Random, who: str) -> bytes:
    """Return a body that is odd, or wrong, in one of many ways; of equal length mostly."""
    device = token(rng)
    good = {"token": device, "notification": {"title": "Goal", "body": "2:1"}, "data": {"burst": who, "k": "v"}}
    text = json.dumps({"message": good}, separators=(",", ":"))
    turned = dict(reversed(good.items()))
    odd = [
        lambda: text,
        lambda: text,
        lambda: text,
        lambda: json.dumps({"message": turned}, separators=(",", ":")),
        lambda: json.dumps({"message": good}, indent=rng.randrange(3)),
        lambda: text.replace("Goal", "Gôl"),
        lambda: text.replace("Goal", who[:4]),
        lambda: text.replace("Goal", who),
        lambda: text.replace("Goal", device),
        lambda: text.replace(device, f"{device[:5]}\\u{ord(device[5]):04x}{device[6:]}"),
        lambda: text.replace(device, device[:30] + rng.choice(' "\\é%.') + device[31:]),
        lambda: text.replace(who, who.upper()),
        lambda: text.replace(who, ident(rng.randrange(50), "another")),
        lambda: text.replace(who, TRACER_ID),
        lambda: text.replace(who, who[:-1] + "x"),
        lambda: text.replace(who, who + "+3"),
        lambda: text.replace('"v"', '"' + who + '"'),
        lambda: text.replace('"burst"', '"cause"'),
        lambda: text.replace('"v"', rng.choice(["123", "nul", "[1]", '"w"'])),
        lambda: text.replace("title", "tittle"),
        lambda: text.replace('"token"', '"topic"'),
        lambda: text.replace(device, device[:20]),
        lambda: text.replace(f'"token":"{device}",', ""),
        lambda: text.replace('{"message"', '{"validate_only":true,"message"'),
        lambda: text.replace('"k"', '"from"'),
        lambda: text.replace("2:1", "x" * 4096),
        lambda: text[: rng.randrange(len(text))],
        lambda: text + rng.choice(["}", " ", "\n", "x"]),
        lambda: f'{{"message":{{"topic":"news","data":{{"burst":"{who}"}}}}}}',
        lambda: f'{{"message":{{"fid":"{device[:22]}","data":{{"burst":"{who}"}}}}}}',
        lambda: f'{{"message":{{"fid":"{device[7:29]}","data":{{"burst":"{who}"}}}}}}',
        lambda: f'{{"message":{{"token":"{device}","android":{{"ttl":"{rng.randrange(10)}s"}}}}}}',
        lambda: f'{{"message":{{"token":"{device}","android":{{"ttl":{rng.randrange(10)}}}}}}}',
        lambda: rng.choice(["[]", "null", '"x"', "{}", '{"message":1}', "{'a'}"]),
    ]
    return rng.choice(odd)().encode("utf-8", "surrogatepass")
