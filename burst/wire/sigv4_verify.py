"""The other side of AWS Signature Version 4: whether a request's signature is right, and what AWS would say if not.

Sources: AWS, "Troubleshoot signed requests for AWS APIs" (IAM user guide) and "Common error types" of SQS and SNS; the
order of the checks and the JSON names are those that DynamoDB was seen to have (dynalite's notes), the statuses of SQS
in JSON those of async-aws #1634 and #1948.
"""

from __future__ import annotations

import hmac
import math
import re
import time
from base64 import b64encode
from binascii import hexlify
from calendar import timegm
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from email.utils import mktime_tz, parsedate_tz
from hashlib import sha256
from operator import itemgetter
from typing import TYPE_CHECKING

from burst.model.secret import Secret
from burst.wire.sigv4 import ACCEPTED_FOR_S, ALGORITHM, TERMINATOR, hmac_states, signing_key, stamp_of
from burst.wire.sigv4_canonical import canonical_head, canonical_value

if TYPE_CHECKING:
    from hashlib import _Hash

CACHED = 512
"""Requests of equal head, and signing keys, that are remembered, at most: a client needs one of each a second."""

_SIGNATURE = 64  # hex digits
_Picker = Callable[[Mapping[bytes, bytes]], object]


@dataclass(frozen=True, slots=True)
class Refusal:
    """What is wrong with a signature, as AWS says it.

    ``code`` is the name in the protocol that was asked for; ``query_code`` the one of the query protocol, which JSON
    services tell as well, in ``x-amzn-query-error``. All of them are the sender's fault.
    """

    code: str
    message: str
    status: int
    query_code: str


@dataclass(frozen=True, slots=True)
class KeyPair:
    """An access key that the verifier knows: its secret, and the token and end of temporary credentials."""

    secret: Secret[str]
    session_token: Secret[str] | None = None
    expires_s: float = math.inf


@dataclass(frozen=True, slots=True)
class _Fault:
    """A kind of refusal: its two names and its two statuses."""

    query: str
    query_status: int
    json: str
    json_status: int


_MISSING = _Fault("MissingAuthenticationToken", 403, "MissingAuthenticationTokenException", 403)
_INCOMPLETE = _Fault("IncompleteSignature", 400, "IncompleteSignatureException", 400)
_MISMATCH = _Fault("SignatureDoesNotMatch", 403, "InvalidSignatureException", 403)
_UNKNOWN = _Fault("InvalidClientTokenId", 403, "UnrecognizedClientException", 403)
_EXPIRED = _Fault("ExpiredToken", 403, "ExpiredTokenException", 403)

_DIFFERS = (
    "The request signature we calculated does not match the signature you provided. Check your AWS Secret Access Key "
    "and signing method. Consult the service documentation for details."
)


class _RefusedError(Exception):
    """Ends the checks of one request; never leaves this file."""

    def __init__(self, fault: _Fault, message: str) -> None:
        super().__init__(message)
        self.fault = fault
        self.message = message


@dataclass(frozen=True, slots=True)
class _Claims:
    """What an Authorization field says."""

    algorithm: str
    credential: str
    names: tuple[bytes, ...]
    signature: bytes


@dataclass(frozen=True, slots=True)
class Ready:
    """Requests of one head: nothing but the body is left to hash. Its date is good in ``first_s <= now <= last_s``."""

    first_s: float
    last_s: float
    canonical: _Hash
    inner: _Hash
    outer: _Hash

    def matches(self, body: bytes | bytearray | memoryview, signature: bytes) -> bool:
        """Say whether this is the signature of a request with this body, whatever the time."""
        hashed = self.canonical.copy()
        hashed.update(hexlify(sha256(body).digest()))
        inner = self.inner.copy()
        inner.update(hexlify(hashed.digest()))
        outer = self.outer.copy()
        outer.update(inner.digest())
        return hmac.compare_digest(hexlify(outer.digest()), signature)


class Verifier:
    """Checks the signatures of one service's requests.

    ``keys`` maps access key ids to what is known of them and may change at any time, if ``forget`` is called after.
    ``region`` None takes any. What was found right is remembered (CACHED heads), so the next request with the same
    head, which within one second is every request of a client, costs hashing its body and 4 us.
    """

    def __init__(self, service: str, region: str | None, keys: Mapping[str, KeyPair]) -> None:
        self._service = service
        self._region = region
        self._keys = keys
        self._pickers: dict[bytes, _Picker] = {}
        self._ready: dict[object, Ready] = {}
        self._signing: dict[tuple[str, str, str], Secret[bytes]] = {}

    def verify(
        self,
        method: bytes,
        target: bytes,
        fields: Mapping[bytes, bytes],
        body: bytes | bytearray | memoryview,
        now_s: float,
        *,
        json: bool = False,
    ) -> Refusal | None:
        """Return what AWS would say against a request, None if nothing.

        ``target`` is the request line's, query and all; ``fields`` have names in small letters; ``now_s`` is seconds
        since the epoch. ``json`` asks for the names that JSON services give their errors.
        """
        ready = self.ready(method, target, fields)
        if (
            ready is not None
            and ready.first_s <= now_s <= ready.last_s
            and ready.matches(body, fields[b"authorization"][-_SIGNATURE:])
        ):
            return None
        try:
            self._check(method, target, fields, body, now_s)
        except _RefusedError as refused:
            fault = refused.fault
            code, status = (fault.json, fault.json_status) if json else (fault.query, fault.query_status)
            return Refusal(code, refused.message, status, fault.query)
        return None

    def ready(self, method: bytes, target: bytes, fields: Mapping[bytes, bytes]) -> Ready | None:
        """Return what is remembered of requests with this head, whatever their body and signature."""
        start = fields.get(b"authorization", b"")[:-_SIGNATURE]
        pick = self._pickers.get(start)
        if pick is None:
            return None
        try:
            return self._ready.get(_head(start, method, target, fields, pick))
        except KeyError:
            return None

    def forget(self) -> None:
        """Forget what was found right: a key was taken away."""
        self._pickers.clear()
        self._ready.clear()
        self._signing.clear()

    def _check(
        self,
        method: bytes,
        target: bytes,
        fields: Mapping[bytes, bytes],
        body: bytes | bytearray | memoryview,
        now_s: float,
    ) -> None:
        """Check everything, in the order in which AWS does. Raises _RefusedError."""
        authorization = fields.get(b"authorization", b"")
        if not authorization.startswith(b"AWS4-"):
            raise _RefusedError(_MISSING, "Request is missing Authentication Token")
        claims = _claims(authorization, dated=b"x-amz-date" in fields or b"date" in fields)
        stamp, signed_s = _date(fields)
        _check_fresh(stamp, signed_s, now_s)
        _check_signed(claims, fields)
        if claims.algorithm != ALGORITHM:
            raise _RefusedError(
                _INCOMPLETE, f"Unsupported AWS 'algorithm': '{claims.algorithm}' (only {ALGORITHM} for now). "
            )
        access_key, day, region = self._scope(claims.credential, stamp)
        known = self._keys.get(access_key)
        if known is None:
            raise _RefusedError(_UNKNOWN, "The security token included in the request is invalid.")
        ready = self._made_ready(method, target, fields, claims, known, (access_key, day, region), (stamp, signed_s))
        if not ready.matches(body, claims.signature):
            raise _RefusedError(_MISMATCH, _DIFFERS)
        _check_token(known, fields.get(b"x-amz-security-token"), now_s)
        self._remember(authorization, method, target, fields, claims, ready)

    def _scope(self, credential: str, stamp: str) -> tuple[str, str, str]:
        """Return a credential's access key id, day and region. Raises _RefusedError."""
        parts = credential.split("/")
        if len(parts) != 5:
            raise _RefusedError(
                _INCOMPLETE,
                "Credential must have exactly 5 slash-delimited elements, e.g. keyid/date/region/service/term, "
                f"got '{credential}'",
            )
        access_key, day, region, service, terminator = parts
        wrong = []
        if not region or region != (self._region or region):
            wrong.append(f"Credential should be scoped to a valid region, not '{region}'. ")
        if service != self._service:
            wrong.append(f"Credential should be scoped to correct service: '{self._service}'. ")
        if terminator != TERMINATOR:
            wrong.append(f"Credential should be scoped with a valid terminator: '{TERMINATOR}', not '{terminator}'. ")
        if day != stamp[:8]:
            wrong.append(
                "Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP: "
                f"'{day}' != '{stamp[:8]}', from '{stamp}'."
            )
        if wrong:
            raise _RefusedError(_MISMATCH, "".join(wrong))
        return access_key, day, region

    def _made_ready(
        self,
        method: bytes,
        target: bytes,
        fields: Mapping[bytes, bytes],
        claims: _Claims,
        known: KeyPair,
        scope: tuple[str, str, str],
        date: tuple[str, int],
    ) -> Ready:
        if list(claims.names) != sorted(set(claims.names)) or not all(name in fields for name in claims.names):
            raise _RefusedError(_MISMATCH, _DIFFERS)
        (_, day, region), (stamp, signed_s) = scope, date
        path, _, query = _text(target).partition("?")
        values = [canonical_value(_text(fields[name])) for name in claims.names]
        canonical = sha256(canonical_head(_text(method), path, query, [_text(name) for name in claims.names], values))
        start = f"{ALGORITHM}\n{stamp}\n{day}/{region}/{self._service}/{TERMINATOR}\n"
        key = self._signing.get(scope)
        if key is None:
            if len(self._signing) >= CACHED:
                self._signing.clear()
            key = self._signing[scope] = signing_key(known.secret, day, region, self._service)
        inner, outer = hmac_states(key, start.encode("utf-8", "surrogateescape"))
        last_s = min(signed_s + ACCEPTED_FOR_S, math.nextafter(known.expires_s, 0))
        return Ready(signed_s - ACCEPTED_FOR_S, last_s, canonical, inner, outer)

    def _remember(
        self,
        authorization: bytes,
        method: bytes,
        target: bytes,
        fields: Mapping[bytes, bytes],
        claims: _Claims,
        ready: Ready,
    ) -> None:
        """Remember what was found right; what is wrong cannot push it out."""
        if authorization[-_SIGNATURE:] != claims.signature or b"x-amz-date" not in claims.names:
            return
        for cache in (self._pickers, self._ready):
            if len(cache) >= CACHED:
                cache.clear()
        start = authorization[:-_SIGNATURE]
        pick = self._pickers[start] = itemgetter(*claims.names)
        self._ready[_head(start, method, target, fields, pick)] = ready


def _head(start: bytes, method: bytes, target: bytes, fields: Mapping[bytes, bytes], pick: _Picker) -> object:
    """Return all of a request that decides whether its signature is right, but its body and that signature.

    What must be signed if it is there has to be in it too: else it could be added to a request without it.
    """
    must = fields.get(b"x-amz-target"), fields.get(b"x-amz-security-token")
    return start, method, target, pick(fields), must


def _claims(authorization: bytes, *, dated: bool) -> _Claims:
    """Read an Authorization field. Raises _RefusedError; errors tell the field's hash only, as AWS's do."""
    algorithm, _, rest = _text(authorization).partition(" ")
    hashed = b64encode(sha256(authorization).digest()).decode()
    found: dict[str, str] = {}
    for part in rest.split(","):
        piece = part.strip(" ")
        name, equals, value = piece.partition("=")
        if not equals or name in found or len(piece.split()) != 1:
            raise _RefusedError(
                _INCOMPLETE,
                "Invalid key=value pair (missing equal-sign) in Authorization header (hashed with SHA-256 and encoded "
                f"with Base64): '{hashed}'.",
            )
        found[name] = value
    said = [
        f"Authorization header requires '{name}' parameter. "
        for name in ("Credential", "Signature", "SignedHeaders")
        if not found.get(name)
    ]
    if not dated:
        said.append("Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header. ")
    if said:
        said.append(f"(Hashed with SHA-256 and encoded with Base64) Authorization={hashed}")
        raise _RefusedError(_INCOMPLETE, "".join(said))
    names = tuple(_octets(found["SignedHeaders"]).split(b";"))
    return _Claims(algorithm, found["Credential"], names, _octets(found["Signature"]))


def _date(fields: Mapping[bytes, bytes]) -> tuple[str, int]:
    """Return the date of a request, as it is signed and as seconds since the epoch. Raises _RefusedError."""
    text = _text(fields.get(b"x-amz-date") or fields.get(b"date", b"")).strip(" \t")
    try:
        if re.fullmatch(r"[0-9]{8}T[0-9]{6}Z", text):
            return text, timegm(time.strptime(text, "%Y%m%dT%H%M%SZ"))
        if b"x-amz-date" not in fields and (parsed := parsedate_tz(text)) is not None:
            signed_s = int(mktime_tz(parsed))
            return stamp_of(signed_s), signed_s
    except (ValueError, OverflowError):
        pass
    raise _RefusedError(
        _INCOMPLETE,
        f"Date must be in ISO-8601 'basic format'. Got '{text}'. See http://en.wikipedia.org/wiki/ISO_8601",
    )


def _check_fresh(stamp: str, signed_s: int, now_s: float) -> None:
    now = int(now_s)
    within = f"{ACCEPTED_FOR_S // 60} min."
    if signed_s < now - ACCEPTED_FOR_S:
        earliest = stamp_of(now - ACCEPTED_FOR_S)
        raise _RefusedError(
            _MISMATCH, f"Signature expired: {stamp} is now earlier than {earliest} ({stamp_of(now)} - {within})"
        )
    if signed_s > now + ACCEPTED_FOR_S:
        latest = stamp_of(now + ACCEPTED_FOR_S)
        raise _RefusedError(
            _MISMATCH, f"Signature not yet current: {stamp} is still later than {latest} ({stamp_of(now)} + {within})"
        )


def _check_signed(claims: _Claims, fields: Mapping[bytes, bytes]) -> None:
    """Check that whatever decides what a request means is signed. Raises _RefusedError."""
    names = {name.lower() for name in claims.names}
    dated = b"x-amz-date" if b"x-amz-date" in fields else b"date"
    for name in (b"host", dated, b"x-amz-security-token", b"x-amz-target"):
        if name not in names and (name == b"host" or name in fields):
            shown = "'Host' or ':authority'" if name == b"host" else f"'{name.decode()}'"
            raise _RefusedError(_MISMATCH, f"{shown} must be a 'SignedHeader' in the AWS Authorization.")


def _check_token(known: KeyPair, token: bytes | None, now_s: float) -> None:
    """Check the session token: AWS does so after the signature. Raises _RefusedError."""
    if known.session_token is None:
        if token is None:
            return
    elif token is not None and hmac.compare_digest(known.session_token.reveal().encode(), token):
        if now_s < known.expires_s:
            return
        raise _RefusedError(_EXPIRED, "The security token included in the request is expired")
    raise _RefusedError(_UNKNOWN, "The security token included in the request is invalid")


def _text(octets: bytes) -> str:
    return octets.decode("utf-8", "surrogateescape")


def _octets(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")
