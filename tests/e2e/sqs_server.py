"""A small SQS of a test's own: each call goes to a function that answers what the test wants, signatures checked."""

from __future__ import annotations

import asyncio
import hashlib
import json
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from email.utils import formatdate
from typing import Any

Reply = tuple[int, dict[str, str], bytes]


@dataclass
class Call:
    """One call as it came."""

    fields: dict[str, str]
    body: bytes
    number: int
    told: dict[str, Any] = field(default_factory=dict)

    @property
    def entries(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.told["Entries"]
        return found


def taken(call: Call, but: dict[str, dict[str, Any]] | None = None) -> Reply:
    """Take each entry, but those (by Id) of which something else is said."""
    but = but or {}
    good = [
        {"Id": entry["Id"], "MessageId": "0", "MD5OfMessageBody": md5(entry["MessageBody"])}
        for entry in call.entries
        if entry["Id"] not in but
    ]
    bad = [{"Id": entry["Id"]} | but[entry["Id"]] for entry in call.entries if entry["Id"] in but]
    return 200, {}, json.dumps({"Successful": good, "Failed": bad}).encode()


def error(status: int, code: str, **fields: str) -> Reply:
    """An error in the JSON protocol."""
    return status, fields, json.dumps({"__type": code, "message": "as asked for"}).encode()


def md5(text: str) -> str:
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()


@dataclass
class Served:
    """The server: its URL, and the calls that it has had."""

    url: str = ""
    calls: list[Call] = field(default_factory=list)


@asynccontextmanager
async def served(answer: Callable[[Call], Reply], *, ahead_s: float = 0.0, path: str = "/") -> AsyncIterator[Served]:
    """Serve a path over HTTP/1.1 on a free port; its clock is ahead of ours by so much."""
    it = Served()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
                assert head[0] == f"POST {path} HTTP/1.1"
                fields = {name.lower(): value for name, _, value in (line.partition(": ") for line in head[1:] if line)}
                body = await reader.readexactly(int(fields["content-length"]))
                call = Call(fields, body, len(it.calls), json.loads(body))
                it.calls.append(call)
                status, more, said = answer(call)
                more = {"Date": formatdate(time.time() + ahead_s, usegmt=True)} | more
                lines = "".join(f"{name}: {value}\r\n" for name, value in more.items())
                writer.write(f"HTTP/1.1 {status} x\r\n{lines}Content-Length: {len(said)}\r\n\r\n".encode() + said)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, limit=4_000_000)
    it.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield it
    finally:
        server.close()
