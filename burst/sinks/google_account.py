"""A Google service account: the JSON file, and the assertion (a JWT signed with RS256) that a token is asked for with.

Google, "Using OAuth 2.0 for server to server applications"; RFC 7523. Nothing here keeps key or assertion in a variable
while anything can be raised: a traceback may show its frames' variables.
"""

from __future__ import annotations

import contextlib
import ipaddress
import json
from base64 import urlsafe_b64encode
from dataclasses import dataclass
from typing import Any, NoReturn
from urllib.parse import urlsplit

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from burst.model.errors import UsageError
from burst.model.secret import MASK, Secret

TOKEN_URI = "https://oauth2.googleapis.com/token"  # noqa: S105 (an address)
ASSERTION_LASTS_S = 3600
"""Google takes an assertion for an hour at most."""

_MADE = "make one in the Google Cloud console (IAM, Service accounts, Keys, JSON) and name that very file"
_OTHERS = {
    "authorized_user": "the login of a person (gcloud auth application-default login)",
    "external_account": "a federated identity",
    "impersonated_service_account": "an impersonation",
}


class SigningKey:
    """The private key of a service account. It is neither told nor pickled."""

    __slots__ = ("_key",)

    def __init__(self, key: RSAPrivateKey) -> None:
        self._key = key

    @classmethod
    def load(cls, pem: Secret[str]) -> SigningKey:
        """Read a key from the PEM text of an account. Raises UsageError."""
        key = None
        with contextlib.suppress(ValueError, TypeError, UnsupportedAlgorithm):
            key = load_pem_private_key(pem.reveal().encode(), password=None)
        # Raised out here, so that the library's own error is not the context of ours.
        if not isinstance(key, RSAPrivateKey):
            raise UsageError("the service account's private_key is no RSA key in PEM", hint=_MADE)
        return cls(key)

    def sign(self, message: bytes) -> bytes:
        """Return the RS256 signature of ``message`` (RFC 7518, section 3.3)."""
        return self._key.sign(message, PKCS1v15(), SHA256())

    def __repr__(self) -> str:
        return f"SigningKey({MASK})"

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise TypeError("a signing key is not pickled: another process reads it from where this one did")


@dataclass(frozen=True, slots=True)
class ServiceAccount:
    """Who asks for tokens, where, and for which project. ``project`` is empty where the file names none."""

    email: str
    key_id: str
    token_uri: str
    project: str
    key: SigningKey

    @classmethod
    def read(cls, text: Secret[bytes]) -> ServiceAccount:
        """Read the JSON of a service account. Raises UsageError saying what it is instead, and what to do."""
        fields = _Fields(text)
        if fields["type"] != "service_account":
            raise UsageError(f"the service account is {_OTHERS.get(fields['type'], 'something else')}", hint=_MADE)
        for name in ("client_email", "private_key"):
            if not fields[name]:
                raise UsageError(f"the service account has no {name}", hint=_MADE)
        token_uri = fields["token_uri"] or TOKEN_URI
        _check_token_uri(token_uri)
        key = SigningKey.load(Secret(fields["private_key"]))
        return cls(fields["client_email"], fields["private_key_id"], token_uri, fields["project_id"], key)

    def assertion(self, scope: str, now_s: float) -> Secret[str]:
        """Return what a token for ``scope`` is asked for with, at ``now_s`` (seconds of the epoch)."""
        header = {"alg": "RS256", "typ": "JWT"} | ({"kid": self.key_id} if self.key_id else {})
        claims = {
            "iss": self.email,
            "scope": scope,
            "aud": self.token_uri,
            "iat": int(now_s),
            "exp": int(now_s) + ASSERTION_LASTS_S,
        }
        signed = f"{_encoded(header)}.{_encoded(claims)}"
        return Secret(f"{signed}.{_base64url(self.key.sign(signed.encode()))}")


class _Fields:
    """The fields of an account, told by name alone: the private key is among them."""

    __slots__ = ("_read",)

    def __init__(self, text: Secret[bytes]) -> None:
        """Read a JSON object. Raises UsageError."""
        self._read: dict[str, Any] | None = None
        with contextlib.suppress(ValueError):
            self._read = json.loads(text.reveal())
        if not isinstance(self._read, dict):
            what = "a bare private key" if b"PRIVATE KEY-----" in text.reveal() else "not the JSON of one"
            self._read = None
            raise UsageError(f"the service account is {what}", hint=_MADE)

    def __getitem__(self, name: str) -> str:
        """Return a field's text; empty where it has none."""
        found = None if self._read is None else self._read.get(name)
        return found if isinstance(found, str) else ""

    def __repr__(self) -> str:
        return MASK


def _check_token_uri(uri: str) -> None:
    """Refuse what an assertion must not be sent to: it opens the project for an hour. Raises UsageError."""
    try:
        parts = urlsplit(uri)
        host, _ = parts.hostname or "", parts.port
    except ValueError:
        host, parts = "", urlsplit("")
    if parts.scheme not in {"http", "https"} or not host or "@" in parts.netloc or not uri.isascii() or " " in uri:
        raise UsageError("the service account's token_uri is no URL", hint=_MADE)
    if parts.scheme == "http" and not _loopback(host):
        raise UsageError(
            f"the service account's token_uri is http://{host}: an assertion does not travel in plain text",
            hint=f"Google's is {TOKEN_URI}",
        )


def _loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _encoded(part: dict[str, Any]) -> str:
    return _base64url(json.dumps(part, separators=(",", ":")).encode())


def _base64url(octets: bytes) -> str:
    """Encode as RFC 7515 does: the alphabet for URLs, no padding."""
    return urlsafe_b64encode(octets).rstrip(b"=").decode("ascii")
