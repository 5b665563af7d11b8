"""Provider tokens as Apple checks them: an ES256 JWT, its signature, its age, and how often it changes.

Sources: RFC 7515 (JWS), RFC 7518 section 3.4 (ES256), and Apple, "Establishing a token-based connection to APNs".
"""

from __future__ import annotations

import binascii
import json
from base64 import urlsafe_b64decode
from collections import deque
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from burst.model.errors import BurstError

#: A token older than this is answered ExpiredProviderToken (Apple: one hour).
OLDEST_S = 60 * 60
#: A token may be replaced no sooner than this, else TooManyProviderTokenUpdates (Apple: 20 minutes).
UPDATE_AFTER_S = 20 * 60
#: How far a client's clock may be ahead.
CLOCK_AHEAD_S = 60

_ECDSA = ec.ECDSA(hashes.SHA256())
_HALF = 32  # bytes of each of the signature's two numbers
_CACHED = 1024
_LONGEST = 4096  # bytes; Apple's are some 250
_STILL_VALID = OLDEST_S // UPDATE_AFTER_S + 1


def read_keys(keys: Mapping[str, str], folder: Path) -> dict[str, ec.EllipticCurvePublicKey]:
    """Read public keys by key id, each given as PEM text or as a path relative to ``folder``.

    Raises
    ------
    BurstError
        a file cannot be read, or holds no public key of the curve P-256
    """
    read = {}
    for key_id, given in keys.items():
        inline = given.lstrip().startswith("-----BEGIN")
        try:
            pem = given.encode() if inline else (folder / given).read_bytes()
            key = load_pem_public_key(pem)
        except OSError as error:
            raise BurstError(
                f"keys.{key_id}: {error.filename}: {error.strerror}", hint="a path is relative to the behaviour file"
            ) from error
        except (ValueError, UnsupportedAlgorithm):
            key = None
        if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, ec.SECP256R1):
            raise BurstError(
                f"keys.{key_id}: {'the text' if inline else given} is no public key of P-256 in PEM",
                hint="openssl pkey -in AuthKey_KEYID.p8 -pubout makes one of a signing key",
            )
        read[key_id] = key
    return read


class TokenCheck:
    """Checks the ``authorization`` of requests; the clock is the caller's, in seconds since the epoch.

    Without ``keys`` the signature and the key id are not compared with anything: form and age alone count. Without
    ``team`` any issuer will do.
    """

    def __init__(self, keys: Mapping[str, ec.EllipticCurvePublicKey] | None = None, team: str | None = None) -> None:
        self._keys = keys or {}
        self._team = team
        self._verified: dict[bytes, float | None] = {}  # authorization -> iat, or None where it is not valid
        self._adopted: dict[str, tuple[float, deque[bytes]]] = {}

    def check(self, authorization: bytes, now_s: float) -> str | None:
        """Return Apple's reason to refuse, or None. A header seen before costs a look into a dict."""
        try:
            issued_s = self._verified[authorization]
        except KeyError:
            scheme, _, token = authorization.partition(b" ")
            if scheme.lower() != b"bearer" or not token.strip():
                return "MissingProviderToken"
            issued_s = self._verify(token.strip())
            if len(self._verified) >= _CACHED:  # somebody tries tokens: memory stays bounded
                self._verified.clear()
            self._verified[authorization] = issued_s
        if issued_s is None or issued_s > now_s + CLOCK_AHEAD_S:
            return "InvalidProviderToken"
        return "ExpiredProviderToken" if now_s - issued_s > OLDEST_S else None

    def updates_too_fast(self, authorization: bytes, now_s: float, scope: str = "") -> bool:
        """Say whether this valid token replaces another too soon (429 TooManyProviderTokenUpdates).

        Those that were in use in ``scope`` (a team, or a connection) stay good: after a refresh, requests with the
        token before are still under way. A token that came too soon is not adopted: the one before goes on; but one
        that has expired may be replaced at any time.
        """
        held = self._adopted.get(scope)
        if held is not None:
            adopted_s, tokens = held
            if authorization in tokens:
                return False
            if now_s - adopted_s < UPDATE_AFTER_S and not self._expired(tokens[-1], now_s):
                return True
        else:
            tokens = deque(maxlen=_STILL_VALID)
        tokens.append(authorization)
        self._adopted[scope] = (now_s, tokens)
        return False

    def _expired(self, authorization: bytes, now_s: float) -> bool:
        """Whether a token was told to be expired, so that its sender has to replace it."""
        issued_s = self._verified.get(authorization)
        return issued_s is not None and now_s - issued_s > OLDEST_S

    def forget(self, scope: str) -> None:
        """Forget a scope that has ended, such as a connection."""
        self._adopted.pop(scope, None)

    def _verify(self, token: bytes) -> float | None:
        """Return when a token was issued, or None if it is not valid at any time."""
        parts = token.split(b".")
        if len(parts) != 3 or len(token) > _LONGEST:
            return None
        head, claims = _object(parts[0]), _object(parts[1])
        signature = _decoded(parts[2])
        if head.get("alg") != "ES256" or not isinstance(head.get("kid"), str) or len(signature) != 2 * _HALF:
            return None
        issuer, issued_s = claims.get("iss"), claims.get("iat")
        if not isinstance(issuer, str) or not issuer or (self._team is not None and issuer != self._team):
            return None
        if isinstance(issued_s, bool) or not isinstance(issued_s, (int, float)) or not 0 <= issued_s < 2**53:
            return None
        if self._keys:
            key = self._keys.get(head["kid"])
            if key is None or not _signed(key, parts[0] + b"." + parts[1], signature):
                return None
        return float(issued_s)


def _signed(key: ec.EllipticCurvePublicKey, text: bytes, signature: bytes) -> bool:
    r, s = int.from_bytes(signature[:_HALF], "big"), int.from_bytes(signature[_HALF:], "big")
    try:
        key.verify(encode_dss_signature(r, s), text, _ECDSA)
    except InvalidSignature:
        return False
    return True


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
