"""AWS Signature Version 4, made thousands of times a second for requests that differ in their bodies alone.

Source: AWS, "Create a signed AWS API request" (IAM user guide); HMAC as in RFC 2104. What is the same for a whole
second is hashed once: the canonical request up to the body's hash, and both ends of the HMAC up to what is signed. A
signature then copies three hash states and feeds each a few dozen bytes (1 us, where ``hmac.digest`` alone takes 2.5).

No clock in here: the time is the caller's.
"""

from __future__ import annotations

import hmac
import time
from binascii import hexlify
from collections.abc import Iterable
from hashlib import sha256
from typing import TYPE_CHECKING

from burst.model.secret import Secret
from burst.wire.sigv4_canonical import Field, canonical_head, gathered

if TYPE_CHECKING:
    from hashlib import _Hash

ALGORITHM = "AWS4-HMAC-SHA256"
TERMINATOR = "aws4_request"
ACCEPTED_FOR_S = 15 * 60
"""So far from its own clock, to both sides, SQS and SNS accept a signature's date ("- 15 min.", their errors say)."""

_OURS = frozenset({"x-amz-date", "x-amz-security-token", "authorization"})
_BLOCK = 64  # of SHA-256, bytes
_INNER, _OUTER = (bytes(octet ^ pad for octet in range(256)) for pad in (0x36, 0x5C))


class Signer:
    """One key pair for one service in one region. Nothing it shows tells the secret."""

    __slots__ = ("_day", "_key", "_secret", "_token", "access_key", "region", "service")

    def __init__(
        self, access_key: str, secret: Secret[str], session_token: Secret[str] | None, region: str, service: str
    ) -> None:
        for what, text in (("access key id", access_key), ("region", region), ("service", service)):
            _check_line(what, text)
        if session_token is not None:
            _check_line("session token", session_token.reveal())
        self.access_key = access_key
        self.region = region
        self.service = service
        self._secret = secret
        self._token = session_token
        self._day = ""
        self._key: Secret[bytes] = Secret(b"")

    def __repr__(self) -> str:
        return f"Signer({self.access_key}, {self.region}, {self.service})"

    def prepare(self, method: str, path: str, query: str, fields: Iterable[Field]) -> Shape:
        """Return what signs requests that differ in nothing but their bodies and dates.

        ``path`` and ``query`` are as on the request line (without the ``?``), ``fields`` those that the request will
        have, ``host`` among them. Their ``x-amz-date``, ``x-amz-security-token`` and ``authorization`` are left out:
        the signer adds its own. With an ``x-amz-content-sha256`` among them, that is signed in place of the body's
        hash. Raises ValueError without a host, or with a ``date``, which AWS would take for the signature's.
        """
        return Shape(self, method, path, query, fields)

    def key(self, day: str) -> Secret[bytes]:
        """Return the signing key of a day, ``YYYYMMDD``; the last one is kept."""
        if day != self._day:
            self._key = signing_key(self._secret, day, self.region, self.service)
            self._day = day
        return self._key

    @property
    def session_token(self) -> Secret[str] | None:
        """What temporary credentials add to each request."""
        return self._token


class Shape:
    """Requests that differ in their bodies alone, ready to be signed."""

    __slots__ = ("_canonical", "_fixed", "_inner", "_lines", "_method", "_outer", "_path", "_query", "_second",
                 "_signed", "_signer")  # fmt: skip

    def __init__(self, signer: Signer, method: str, path: str, query: str, fields: Iterable[Field]) -> None:
        signed = gathered((name, value) for name, value in fields if name.lower() not in _OURS)
        if "host" not in signed:
            raise ValueError("a signature without a host is good for every host: give one among the fields")
        if "date" in signed:
            raise ValueError("leave the field date out: x-amz-date is the signature's")
        signed["x-amz-date"] = ""
        if signer.session_token is not None:
            signed["x-amz-security-token"] = ""  # put in later: whoever looks at this object must not read it
        self._signer = signer
        self._method, self._path, self._query = method.upper(), path, query
        self._signed = {name: signed[name] for name in sorted(signed)}
        fixed = signed.get("x-amz-content-sha256")
        self._fixed = None if fixed is None else fixed.encode()
        self._second = -1
        self._lines: Secret[bytes] = Secret(b"")
        self._canonical = self._inner = self._outer = sha256()

    def lines(self, body: bytes | bytearray | memoryview, now_s: float) -> bytes:
        r"""Return the header lines that a request with this body needs now, each with its ``\r\n``.

        ``X-Amz-Date``, ``X-Amz-Security-Token`` where there is one, and ``Authorization``. ``now_s`` is seconds since
        the epoch; the signature is good for ACCEPTED_FOR_S from there.
        """
        second = int(now_s)
        if second != self._second:
            self._turn(second)
        hashed = self._canonical.copy()
        hashed.update(hexlify(sha256(body).digest()) if self._fixed is None else self._fixed)
        inner = self._inner.copy()
        inner.update(hexlify(hashed.digest()))
        outer = self._outer.copy()
        outer.update(inner.digest())
        return b"%b%b\r\n" % (self._lines.reveal(), hexlify(outer.digest()))

    def _turn(self, second: int) -> None:
        """Do what a whole second's signatures share."""
        signer = self._signer
        stamp = stamp_of(second)
        scope = f"{stamp[:8]}/{signer.region}/{signer.service}/{TERMINATOR}"
        token = signer.session_token
        values = {**self._signed, "x-amz-date": stamp}
        if token is not None:
            values["x-amz-security-token"] = token.reveal()
        names = tuple(values)
        self._canonical = sha256(canonical_head(self._method, self._path, self._query, names, tuple(values.values())))
        self._inner, self._outer = hmac_states(signer.key(stamp[:8]), f"{ALGORITHM}\n{stamp}\n{scope}\n".encode())
        lines = f"X-Amz-Date: {stamp}\r\n"
        if token is not None:
            lines += f"X-Amz-Security-Token: {token.reveal()}\r\n"
        lines += f"Authorization: {ALGORITHM} Credential={signer.access_key}/{scope}, "
        self._lines = Secret(f"{lines}SignedHeaders={';'.join(names)}, Signature=".encode())
        self._second = second


def sign(
    signer: Signer, method: str, path: str, query: str, fields: Iterable[Field], body: bytes, now_s: float
) -> bytes:
    """Return the header lines that one request of any kind needs; see ``Signer.prepare`` and ``Shape.lines``."""
    return signer.prepare(method, path, query, fields).lines(body, now_s)


def stamp_of(second: int) -> str:
    """Return seconds since the epoch as AWS writes a date: ``20260101T235959Z``."""
    return time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(second))


def signing_key(secret: Secret[str], day: str, region: str, service: str) -> Secret[bytes]:
    """Return the key that signs for one day, ``YYYYMMDD``, one region and one service."""
    key = Secret(b"AWS4" + secret.reveal().encode())
    for part in (day, region, service, TERMINATOR):
        key = Secret(hmac.digest(key.reveal(), part.encode("utf-8", "surrogateescape"), "sha256"))
    return key


def hmac_states(key: Secret[bytes], start: bytes) -> tuple[_Hash, _Hash]:
    """Return both hashes of an HMAC whose message begins with ``start``, the inner one fed so far (RFC 2104).

    ``key`` is at most a block long.
    """
    inner = sha256(key.reveal().ljust(_BLOCK, b"\0").translate(_INNER))
    inner.update(start)
    return inner, sha256(key.reveal().ljust(_BLOCK, b"\0").translate(_OUTER))


def _check_line(what: str, text: str) -> None:
    """Refuse what would break out of its header line, without telling it."""
    if not text or not text.isascii() or not text.isprintable() or " " in text:
        raise ValueError(f"the {what} is no printable ASCII without spaces")
