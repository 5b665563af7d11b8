"""A Google of one's own: a token endpoint over HTTP/1.1, FCM over HTTP/2 by the h2 package; nothing of burst's."""

import asyncio
import contextlib
import json
import secrets
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import h2.config
import h2.connection
import h2.events
import h2.settings
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from google.auth import jwt

SCOPE = "https://www.googleapis.com/auth/firebase.messaging"
_key = rsa.generate_private_key(public_exponent=65_537, key_size=2048)
PRIVATE = _key.private_bytes(
    serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
).decode()
PUBLIC = (
    _key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo).decode()
)


@dataclass
class Push:
    """One request as Google sees it."""

    head: dict[str, str]
    body: dict[str, Any]
    size: int
    at_s: float = field(default_factory=time.monotonic)

    @property
    def message(self) -> dict[str, Any]:
        return self.body["message"]

    @property
    def index(self) -> int:
        """Whose it is; tracers have one of their own."""
        return int(self.message["data"]["burst"][-12:], 16)

    @property
    def tracer(self) -> bool:
        return self.message["data"]["burst"][19:23] == "8001"


Reply = tuple[int, dict[str, str], bytes]
Answering = Callable[[Push], Reply | None]


def error(status: int, canonical: str, code: str = "", message: str = "no", **more: Any) -> Reply:
    """Return an answer as FCM writes them."""
    details = [{"@type": "type.googleapis.com/google.firebase.fcm.v1.FcmError", "errorCode": code}] if code else []
    if "field" in more:
        violation = {"field": more["field"], "description": "wrong"}
        details.append({"@type": "type.googleapis.com/google.rpc.BadRequest", "fieldViolations": [violation]})
    body = {"error": {"code": status, "message": message, "status": canonical, "details": details}}
    head = {"retry-after": more["retry_after"]} if "retry_after" in more else {}
    return status, head, json.dumps(body).encode()


@dataclass
class Google:
    """Both servers. ``answering`` decides what is not accepted; ``life_s`` is how long a token is good."""

    folder: Path
    life_s: float = 3600
    answering: Answering = lambda _: None
    checks_tokens: bool = True
    window: int = 65_535
    streams: int = 250
    pushes: list[Push] = field(default_factory=list)
    answered: Counter[int] = field(default_factory=Counter)
    assertions: list[dict[str, Any]] = field(default_factory=list)
    token_requests: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    tokens: dict[str, float] = field(default_factory=dict)  # good until
    token_reply: Callable[[], Reply | None] = lambda: None
    token_delay_s: float = 0.0
    transports: list[asyncio.BaseTransport] = field(default_factory=list)
    port: int = 0
    token_port: int = 0

    @property
    def settings(self) -> dict[str, Any]:
        """What points a sink here."""
        return {"endpoint": self.endpoint, "service_account": str(self.account())}

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def until(self, count: int) -> None:
        """Wait until so many pushes have come."""
        while len(self.pushes) < count:  # noqa: ASYNC110 (a list, not an event)
            await asyncio.sleep(0.002)

    def account(self, **other: Any) -> Path:
        """Write the service account's file."""
        path = self.folder / "account.json"
        said = {
            "type": "service_account",
            "project_id": "demo-project",
            "private_key_id": "k1",
            "private_key": PRIVATE,
            "client_email": "burst@demo-project.iam.gserviceaccount.com",
            "token_uri": f"http://127.0.0.1:{self.token_port}/token",
        } | other
        path.write_text(json.dumps({name: value for name, value in said.items() if value is not None}))
        return path

    def revoke(self) -> None:
        """Let no token be good any more."""
        self.tokens.clear()

    async def token_call(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.transports.append(writer.transport)
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
        except (asyncio.IncompleteReadError, ConnectionResetError):
            return
        first, *lines = head.split("\r\n")
        fields = dict(line.lower().split(": ", 1) for line in lines if line)
        body = parse_qs((await reader.readexactly(int(fields["content-length"]))).decode())
        self.token_requests.append((first, fields))
        await asyncio.sleep(self.token_delay_s)
        status, more, said = self.token_reply() or self._grant(body)
        head = "".join(f"{name}: {value}\r\n" for name, value in more.items())
        writer.write(f"HTTP/1.1 {status} x\r\n{head}content-length: {len(said)}\r\n\r\n".encode() + said)
        writer.close()

    def _grant(self, body: dict[str, list[str]]) -> Reply:
        if body.get("grant_type") != ["urn:ietf:params:oauth:grant-type:jwt-bearer"]:
            return 400, {}, b'{"error": "unsupported_grant_type"}'
        try:
            claims = jwt.decode(
                body["assertion"][0], certs=PUBLIC, audience=f"http://127.0.0.1:{self.token_port}/token"
            )
        except ValueError as wrong:
            return 400, {}, json.dumps({"error": "invalid_grant", "error_description": str(wrong)}).encode()
        self.assertions.append(dict(claims))
        token = "ya29." + secrets.token_urlsafe(120)
        self.tokens[f"Bearer {token}"] = time.monotonic() + self.life_s
        said = {"access_token": token, "expires_in": self.life_s, "token_type": "Bearer"}
        return 200, {"content-type": "application/json"}, json.dumps(said).encode()

    def reply(self, push: Push) -> Reply:
        """Decide what becomes of a push."""
        if self.checks_tokens and self.tokens.get(push.head.get("authorization", ""), 0) < time.monotonic():
            return error(401, "UNAUTHENTICATED")
        refused = self.answering(push)
        if refused is not None:
            return refused
        name = f"projects/demo-project/messages/0:{len(self.pushes):020d}"
        return 200, {"content-type": "application/json"}, json.dumps({"name": name}).encode()


class _Connection(asyncio.Protocol):
    def __init__(self, google: Google) -> None:
        self.google = google
        self.h2 = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False, header_encoding="utf-8"))
        self.heads: dict[int, dict[str, str]] = {}
        self.bodies: dict[int, bytes] = {}

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport
        self.google.transports.append(transport)
        told = {
            h2.settings.SettingCodes.MAX_CONCURRENT_STREAMS: self.google.streams,
            h2.settings.SettingCodes.INITIAL_WINDOW_SIZE: self.google.window,
        }
        self.h2.local_settings = h2.settings.Settings(client=False, initial_values=told)
        self.h2.initiate_connection()
        self.transport.write(self.h2.data_to_send())

    def data_received(self, data: bytes) -> None:
        for event in self.h2.receive_data(data):
            if isinstance(event, h2.events.RequestReceived):
                self.heads[event.stream_id] = dict(event.headers)
                self.bodies[event.stream_id] = b""
            elif isinstance(event, h2.events.DataReceived):
                self.bodies[event.stream_id] += event.data
                self.h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
            elif isinstance(event, h2.events.StreamEnded):
                self.answer(event.stream_id)
        self.transport.write(self.h2.data_to_send())

    def answer(self, stream: int) -> None:
        raw = self.bodies.pop(stream)
        push = Push(self.heads.pop(stream), json.loads(raw), len(raw))
        self.google.pushes.append(push)
        status, head, body = self.google.reply(push)
        self.google.answered[status] += 1
        self.h2.send_headers(stream, [(":status", str(status)), *head.items()], end_stream=not body)
        if body:
            self.h2.send_data(stream, body, end_stream=True)


@contextlib.asynccontextmanager
async def google(folder: Path, **how: Any) -> AsyncIterator[Google]:
    """Be Google for as long as a block lasts."""
    made = Google(folder, **how)
    loop = asyncio.get_running_loop()
    messages = await loop.create_server(lambda: _Connection(made), "127.0.0.1", 0)
    tokens = await asyncio.start_server(made.token_call, "127.0.0.1", 0)
    made.port, made.token_port = messages.sockets[0].getsockname()[1], tokens.sockets[0].getsockname()[1]
    try:
        yield made
    finally:
        messages.close()
        tokens.close()
        for transport in made.transports:
            transport.abort()
        await asyncio.sleep(0)
