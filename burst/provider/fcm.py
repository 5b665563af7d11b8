"""Firebase Cloud Messaging, HTTP v1: one message a call, and the token endpoint of the account that may send.

Source: Firebase, REST reference of ``projects.messages:send``. Checked from the outside in: path, credentials, project,
the JSON, the message.
"""

from __future__ import annotations

import re
import secrets
import time
from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np

from burst.provider.behaviour import FcmBehaviour
from burst.provider.dialect import Ask, Reply
from burst.provider.fate import UInt64Column, token_key
from burst.provider.fcm_message import Message, MessageReader
from burst.provider.google import (
    BAD_CREDENTIAL,
    EXPIRED_CREDENTIAL,
    JSON_KIND,
    NO_CREDENTIAL,
    NOT_FOUND,
    TOO_LARGE,
    GoogleWords,
    denied,
    fields_of,
    google_error,
)
from burst.provider.google_tokens import AccessTokens, Standing, bearer_of
from burst.provider.loose import Caller
from burst.provider.refusal import Refusal
from burst.wire.h1_server import Request
from burst.wire.layout import Rows

TOKEN_PATH = b"/token"
LARGEST_CALL = 16_384  # bytes of a call's body
_PATH = re.compile(rb"/v1/projects/([A-Za-z0-9][A-Za-z0-9\-:.]{0,99})/messages:send(?:\?.*)?").fullmatch
_TAKEN = ((b"content-type", JSON_KIND),)
_BY_STANDING = {Standing.GOOD: None, Standing.EXPIRED: EXPIRED_CREDENTIAL, Standing.STRANGE: BAD_CREDENTIAL}
_LOWS = 10_000
_LOW_DIGITS: Rows = np.frombuffer(b"".join([b"%04d" % low for low in range(_LOWS)]), dtype=np.uint8).reshape(_LOWS, 4)
#: The answer to a message that was to be looked at only; its body hangs on the project.
VALIDATED = Refusal(200, "validate_only", b"")


class Access(NamedTuple):
    """What a call's head comes to: the project it sends for, and why it may not."""

    project: bytes
    fault: Refusal | None


class Doorkeeper:
    """Checks the heads of calls, however they come."""

    def __init__(self, behaviour: FcmBehaviour, tokens: AccessTokens, wall_s: Callable[[], float]) -> None:
        self._auth, self._project = behaviour.auth, behaviour.project
        self._tokens = tokens
        self._wall_s = wall_s

    def check(self, method: bytes, path: bytes, authorization: bytes) -> Access:
        """Return what a head comes to."""
        match = _PATH(path)
        if match is None or method != b"POST":
            return Access(b"", NOT_FOUND)
        project: bytes = match[1]
        return Access(project, self._credential_fault(authorization) or self._project_fault(project.decode()))

    def _credential_fault(self, authorization: bytes) -> Refusal | None:
        if self._auth == "none":
            return None
        if not bearer_of(authorization):
            return BAD_CREDENTIAL if authorization else NO_CREDENTIAL
        if self._auth == "any":
            return None
        return _BY_STANDING[self._tokens.standing(authorization, self._wall_s())]

    def _project_fault(self, project: str) -> Refusal | None:
        own = self._tokens.account.project if self._auth == "oauth" else ""
        allowed = self._project or own
        return denied(project) if allowed and project != allowed else None


class Names:
    """Names of messages that were taken: different for each, of one width."""

    DIGITS = 16

    def __init__(self) -> None:
        self._next = time.time_ns() // 1000
        self._end = b"%" + secrets.token_hex(8).encode()

    def next(self) -> bytes:
        """Return a message's name, as it stands after ``messages/0:``."""
        self._next += 1
        return b"%016d" % self._next + self._end

    def rows(self, count: int) -> Rows:
        """Return the digits of so many names, uint8 of shape (count, 16); what follows them is ``next()[16:]``."""
        first, self._next = self._next + 1, self._next + count
        rows = np.empty((count, self.DIGITS), dtype=np.uint8)
        done = 0
        while done < count:
            high, low = divmod(first + done, _LOWS)
            part = slice(done, min(count, done + _LOWS - low))
            rows[part, :-4] = np.frombuffer(b"%012d" % high, dtype=np.uint8)
            rows[part, -4:] = _LOW_DIGITS[low : low + part.stop - done]
            done = part.stop
        return rows


class Fcm:
    """The dialect over HTTP/1.1."""

    words = GoogleWords()
    whole_quota = False  # a call is one message: what is wrong with it is said whatever the quota

    def __init__(
        self, behaviour: FcmBehaviour, run: str, tokens: AccessTokens, wall_s: Callable[[], float], names: Names
    ) -> None:
        self.doorkeeper = Doorkeeper(behaviour, tokens, wall_s)
        self.reader = MessageReader(run, behaviour.max_payload)
        self.tokens = tokens
        self.names = names
        self._wall_s = wall_s

    def read(self, request: Request, caller: Caller, now_ns: int) -> Ask | Reply:  # noqa: ARG002 (a port's method)
        """Read a call: a message, or a wish for an access token."""
        path = request.path
        if path == TOKEN_PATH and request.method == b"POST":
            return self.answer_token(request.body)
        access = self.doorkeeper.check(request.method, path, request.fields.get(b"authorization", b""))
        message = self.message(request.body)
        fault = access.fault or message.fault
        keys: UInt64Column = np.array([token_key(message.target)], dtype=np.uint64)
        edges = None if message.people.size == 1 else np.array([0, message.people.size], dtype=np.int64)
        return Ask(keys, message.people, edges, {} if fault is None else {0: fault}, note=access.project)

    def answer_token(self, body: bytes) -> Reply:
        """Answer at the token endpoint."""
        return self.tokens.answer(body, self._wall_s())

    def message(self, body: bytes) -> Message:
        """Return what a body of any length says."""
        message = self.reader.read(body[:LARGEST_CALL])
        if len(body) > LARGEST_CALL:
            return message._replace(fault=TOO_LARGE)
        return message._replace(fault=VALIDATED) if message.validate_only and not message.fault else message

    def reply(self, ask: Ask, refused: Mapping[int, Refusal], whole: Refusal | None) -> Reply:
        """Answer a call."""
        told = whole or refused.get(0)
        if told is VALIDATED:
            return Reply(200, _TAKEN, validated(ask.note))
        if told is not None:
            return Reply(told.status, fields_of(told), told.body)
        return Reply(200, _TAKEN, taken(ask.note, self.names.next()))

    def broken(self, status: int, what: str) -> Reply:
        """Answer what is no HTTP/1.1."""
        told = google_error(status, "INVALID_ARGUMENT", what)
        return Reply(status, _TAKEN, told.body)


def taken(project: bytes, name: bytes) -> bytes:
    """Return the body of an answer to a message that was taken."""
    return b'{\n  "name": "projects/%b/messages/0:%b"\n}\n' % (project, name)


def validated(project: bytes) -> bytes:
    """Return the body of an answer to a message that was good, and sent to nobody."""
    return b'{\n  "name": "projects/%b/messages/fake_message_id"\n}\n' % project
