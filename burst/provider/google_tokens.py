"""Google's OAuth for service accounts: an assertion comes in, an access token goes out, and is known again.

Sources: RFC 7523 (JWT bearer grants), RFC 6749 section 5.2 (errors), and Google, "Using OAuth 2.0 for server to server
applications": the claims, their limits, the answer. An access token here carries its own proof, so that every serving
process knows those of the others.
"""

from __future__ import annotations

import binascii
import hashlib
import hmac
import json
import secrets
from base64 import urlsafe_b64decode, urlsafe_b64encode
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any, TypeGuard
from urllib.parse import parse_qs, urlsplit

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from burst.model.errors import BurstError
from burst.provider.dialect import Reply

GRANT = "urn:ietf:params:oauth:grant-type:jwt-bearer"
#: What an assertion may live, and how far the two clocks may be apart.
LONGEST_S, CLOCKS_APART_S = 3600, 300
#: Scopes that may send (Firebase, "Authorize send requests").
SCOPES = frozenset(
    ("https://www.googleapis.com/auth/firebase.messaging", "https://www.googleapis.com/auth/cloud-platform")
)
#: Google's own token endpoint: what google-auth names as the audience wherever the account file's is.
GOOGLE_URI = "https://oauth2.googleapis.com/token"
_JSON = ((b"content-type", b"application/json; charset=utf-8"), (b"cache-control", b"no-store"))
_START = b"ya29.burst-"
_CACHED = 1024
_SHORT_LIVED = (
    "Invalid JWT: Token must be a short-lived token (60 minutes) and in a reasonable timeframe. "
    "Check your iat and exp values in the JWT claim."
)


@dataclass(frozen=True, slots=True)
class Account:
    """A service account: who may ask for access tokens, and what these are signed with."""

    email: str
    key_id: str
    key: rsa.RSAPublicKey | None
    token_uri: str
    project: str
    secret: bytes

    @classmethod
    def read(cls, file: str) -> Account:
        """Read a service-account file; with none, nobody may ask. Raises BurstError."""
        if not file:
            return cls("", "", None, "", "", secrets.token_bytes(32))
        try:
            said = json.loads(Path(file).read_text(encoding="utf-8"))
            pem = said["private_key"].encode()
            key = load_pem_private_key(pem, None)
            if not isinstance(key, rsa.RSAPrivateKey):
                raise TypeError
            names = [str(said[name]) for name in ("client_email", "private_key_id", "token_uri", "project_id")]
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            raise BurstError(f"{file} holds no service account", hint="remove it and another is made") from None
        secret = hashlib.sha256(b"access tokens of burst's stand-in\n" + pem).digest()
        email, key_id, uri, project = names
        return cls(email, key_id, key.public_key(), uri, project, secret)


class Standing(Enum):
    """Of an access token."""

    GOOD = 0
    EXPIRED = 1
    STRANGE = 2  # none of ours


class AccessTokens:
    """Issues access tokens and knows them again; the clock is the caller's, in seconds since the epoch."""

    def __init__(self, account: Account, lifetime_s: int = 3600) -> None:
        self.account = account
        self.lifetime_s = lifetime_s
        self._known: dict[bytes, int | None] = {}  # authorization -> when it ends, None where it is none of ours

    def issue(self, now_s: float) -> str:
        """Return a new access token."""
        claims = b"%d.%s" % (int(now_s) + self.lifetime_s, secrets.token_hex(8).encode())
        return (_START + claims + b"." + self._proof(claims)).decode()

    def standing(self, authorization: bytes, now_s: float) -> Standing:
        """Say how the token of an ``authorization`` field stands."""
        try:
            ends_s = self._known[authorization]
        except KeyError:
            if len(self._known) >= _CACHED:  # somebody tries tokens: memory stays bounded
                self._known.clear()
            ends_s = self._known[authorization] = self._read(bearer_of(authorization))
        if ends_s is None:
            return Standing.STRANGE
        return Standing.GOOD if now_s < ends_s else Standing.EXPIRED

    def _read(self, token: bytes) -> int | None:
        claims, _, proof = token.removeprefix(_START).rpartition(b".")
        if not token.startswith(_START) or not hmac.compare_digest(proof, self._proof(claims)):
            return None
        return int(claims.partition(b".")[0])

    def _proof(self, claims: bytes) -> bytes:
        return urlsafe_b64encode(hmac.digest(self.account.secret, claims, "sha256")).rstrip(b"=")

    # -- the token endpoint ----------------------------------------------------------------------------------------

    def answer(self, body: bytes, now_s: float) -> Reply:
        """Answer a call to the token endpoint: a form in, an access token or an error out."""
        try:
            form = {name: values[-1] for name, values in parse_qs(body.decode("ascii"), max_num_fields=32).items()}
        except (UnicodeDecodeError, ValueError):
            form = {}
        grant = form.get("grant_type", "")
        if not grant:
            return _refused("invalid_request", "Required parameter is missing: grant_type")
        if grant != GRANT:
            return _refused("unsupported_grant_type", f"Invalid grant_type: {grant}")
        if not form.get("assertion"):
            return _refused("invalid_request", "Required parameter is missing: assertion")
        fault = self._fault(form["assertion"].encode(), now_s)
        if fault is not None:
            return fault
        answer = {"access_token": self.issue(now_s), "expires_in": self.lifetime_s - 1, "token_type": "Bearer"}
        return Reply(200, _JSON, json.dumps(answer).encode())

    def _fault(self, assertion: bytes, now_s: float) -> Reply | None:
        account, parts = self.account, assertion.split(b".")
        head, claims = (_object(parts[0]), _object(parts[1])) if len(parts) == 3 else ({}, {})
        if not head or not claims or head.get("alg") != "RS256":
            return _refused("invalid_grant", "Bad Request")
        if not account.email or claims.get("iss") != account.email:
            return _refused("invalid_grant", "Invalid grant: account not found")
        if head.get("kid", account.key_id) != account.key_id or not self._signed(parts):
            return _refused("invalid_grant", "Invalid JWT Signature.")
        if not _same_place(claims.get("aud"), account.token_uri):
            return _refused("invalid_grant", "Invalid JWT: Failed audience check.")
        issued, ends = claims.get("iat"), claims.get("exp")
        if not _is_number(issued) or not _is_number(ends):
            return _refused("invalid_grant", _SHORT_LIVED)
        if not now_s - CLOCKS_APART_S < ends <= issued + LONGEST_S or issued > now_s + CLOCKS_APART_S:
            return _refused("invalid_grant", _SHORT_LIVED)
        scopes = str(claims.get("scope", "")).split()
        if not scopes:
            return _refused("invalid_scope", "Empty or missing scope not allowed.")
        if not SCOPES & set(scopes):
            return _refused("invalid_scope", f"{scopes[0]} is not a valid audience string.")
        return None

    def _signed(self, parts: list[bytes]) -> bool:
        key = self.account.key
        assert key is not None
        try:
            key.verify(_decoded(parts[2]), parts[0] + b"." + parts[1], padding.PKCS1v15(), hashes.SHA256())
        except InvalidSignature:
            return False
        return True


def bearer_of(authorization: bytes) -> bytes:
    """Return the token of an ``authorization`` field, empty where it is no bearer's."""
    scheme, _, token = authorization.partition(b" ")
    return token.strip() if scheme.lower() == b"bearer" else b""


def _refused(error: str, description: str) -> Reply:
    said = {"error": error, "error_description": description}
    return Reply(400, _JSON, json.dumps(said, indent=2).encode())


def _same_place(said: object, uri: str) -> bool:
    """Whether an audience is the token endpoint, by port and path: a stand-in's host has several names."""
    if not isinstance(said, str):
        return False
    try:
        return said in (uri, GOOGLE_URI) or (
            urlsplit(said).path == urlsplit(uri).path and urlsplit(said).port == urlsplit(uri).port
        )
    except ValueError:
        return False


def _is_number(value: object) -> TypeGuard[float]:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and 0 <= value < 2**53


def _decoded(part: bytes) -> bytes:
    """Decode base64url without padding; anything else is nothing."""
    if not part.replace(b"-", b"").replace(b"_", b"").isalnum():  # the decoder would skip what is not of its alphabet
        return b""
    try:
        return urlsafe_b64decode(part + b"=" * (-len(part) % 4))
    except binascii.Error:
        return b""


def _object(part: bytes) -> dict[str, Any]:
    """Decode a JSON object; anything else is an empty one."""
    try:
        value = json.loads(_decoded(part))
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}
