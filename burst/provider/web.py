"""A plain webhook: takes any call that shows what it must show, and answers as it is told to."""

from __future__ import annotations

import base64
import binascii
import hmac
import json
import os
import re
from collections.abc import Mapping

import numpy as np

from burst.model.batch import Int64Column
from burst.model.identity import FOREIGN, IdText
from burst.provider.behaviour import HttpBehaviour
from burst.provider.dialect import Ask, Reply
from burst.provider.fate import UInt64Column, token_key
from burst.provider.loose import TRACERS, Caller
from burst.provider.reasons import KNOWN
from burst.provider.refusal import Refusal
from burst.wire.h1_server import Request

_JSON = ((b"content-type", b"application/json"),)
_TOKEN = re.compile(rb'"token"\s*:\s*"([^"]{1,512})"').search
_BODILESS = frozenset((204, 205))  # RFC 9110, sections 15.3.5 and 15.3.6
_TAKES = frozenset((b"POST", b"PUT", b"PATCH", b"GET", b"DELETE"))


def told(status: int, reason: str, retry_after_s: int | None = None) -> Refusal:
    """Return a refusal with a small JSON body."""
    return Refusal(status, reason, json.dumps({"error": reason}, separators=(",", ":")).encode(), retry_after_s)


TOO_LARGE = told(413, "PayloadTooLarge")


class WebWords:
    """Statuses, and the reason in a small JSON object."""

    def dead(self, since_ms: int) -> Refusal:  # noqa: ARG002 (a webhook does not say since when)
        """410."""
        return told(410, "Gone")

    def quota(self, retry_after_s: int | None) -> Refusal:
        """429."""
        return told(429, "TooManyRequests", retry_after_s)

    def per_token(self) -> Refusal:
        """429."""
        return told(429, "TooManyRequests")

    def other(self, reason: str, status: int | None) -> Refusal:
        """Say the reason as it stands."""
        return told(KNOWN.get(reason, 400) if status is None else status, reason)


class Web:
    """The dialect. A call is one entry, whoever it is for: the people whose ids stand in its header or its body."""

    words = WebWords()
    whole_quota = True

    def __init__(self, behaviour: HttpBehaviour, run: str) -> None:
        self._behaviour = behaviour
        self._ids = IdText(run)
        name = behaviour.authorization_env
        self._wanted = os.environ.get(name, "").encode() if name else None
        self.taken = Refusal(behaviour.status, "", b"" if behaviour.status in _BODILESS else b"{}")

    def read(self, request: Request, caller: Caller, now_ns: int) -> Ask:  # noqa: ARG002 (a port's method)
        """Read a call."""
        people = self.people_of(request)
        keys: UInt64Column = np.array([token_key(self.token_of(request.body))], dtype=np.uint64)
        edges = None if people.size == 1 else np.array([0, people.size], dtype=np.int64)
        return Ask(keys, people, edges, whole=self._fault(request))

    def fault_of_head(self, method: bytes, shown: bytes) -> Refusal | None:
        """Return why a call is refused by its method or by the ``authorization`` that it shows."""
        if method not in _TAKES:
            return told(405, "MethodNotAllowed")
        if self._wanted is not None and not hmac.compare_digest(shown, self._wanted):
            return told(401, "Unauthorized")
        kind = self._behaviour.auth
        if kind == "bearer" and not re.fullmatch(rb"(?i:bearer) +\S+", shown):
            return told(401, "Unauthorized")
        if kind == "basic" and not _is_basic(shown):
            return told(401, "Unauthorized")
        return None

    @staticmethod
    def token_of(body: bytes) -> bytes:
        """Return the device token that a body names, empty where it names none."""
        found = _TOKEN(body)
        token: bytes = found[1] if found else b""
        return token

    def fields_of(self, told: Refusal) -> tuple[tuple[bytes, bytes], ...]:
        """Return the fields of an answer beside its status."""
        fields: tuple[tuple[bytes, bytes], ...] = _JSON if told.body else ()
        if told.retry_after_s is not None:
            fields = (*fields, (b"retry-after", b"%d" % told.retry_after_s))
        if told.status == 401:
            fields = (*fields, (b"www-authenticate", self._behaviour.auth.title().encode()))
        return fields

    def people_of(self, request: Request) -> Int64Column:
        """Return whom a call is for; ``FOREIGN`` or ``TRACERS`` where it names nobody."""
        for text in (request.fields.get(b"burst-id", b""), request.body, request.target):
            if not text:
                continue
            people = self._ids.people(text)
            if people.size:
                return people
            if self._ids.has_tracer(text):
                return np.array([TRACERS], dtype=np.int64)
        return np.array([FOREIGN], dtype=np.int64)

    def _fault(self, request: Request) -> Refusal | None:
        found = self.fault_of_head(request.method, request.fields.get(b"authorization", b""))
        return TOO_LARGE if found is None and len(request.body) > self._behaviour.max_payload else found

    def reply(self, ask: Ask, refused: Mapping[int, Refusal], whole: Refusal | None) -> Reply:  # noqa: ARG002
        """Answer a call."""
        found = whole or refused.get(0) or self.taken
        return Reply(found.status, self.fields_of(found), found.body)

    def broken(self, status: int, what: str) -> Reply:
        """Answer what is no HTTP/1.1."""
        return Reply(status, _JSON, json.dumps({"error": what}).encode())


def _is_basic(shown: bytes) -> bool:
    scheme, _, credentials = shown.partition(b" ")
    try:
        return scheme.lower() == b"basic" and b":" in base64.b64decode(credentials.strip(), validate=True)
    except binascii.Error:
        return False
