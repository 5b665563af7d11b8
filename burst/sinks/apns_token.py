"""The provider token of APNs: a JWT signed with ES256 by a .p8 key ("Establishing a token-based connection to APNs").

Nothing here keeps key or token in a variable while anything can be raised: a traceback may show its frames' variables.
"""

from __future__ import annotations

import json
from base64 import urlsafe_b64encode
from typing import NoReturn

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, SECP256R1, EllipticCurvePrivateKey
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from burst.model.errors import UsageError
from burst.model.secret import MASK, Secret

_COORDINATE_BYTES = 32  # ES256 is r and s of P-256, 32 bytes each, big-endian (RFC 7518, 3.4)
_DOWNLOAD = (
    "use the .p8 file of an APNs key as Apple's developer account gave it (Keys, Apple Push Notifications service)"
)


class SigningKey:
    """A .p8 key: an EC key on P-256. It is neither told nor pickled."""

    __slots__ = ("_key",)

    def __init__(self, key: EllipticCurvePrivateKey) -> None:
        self._key = key

    @classmethod
    def load(cls, pem: Secret[bytes] | bytes) -> SigningKey:
        """Read a key from its PEM text. Raises UsageError saying what it is instead, and what to do.

        Pass a Secret where there is one: the caller's frame is not ours to clear.
        """
        secret = pem if isinstance(pem, Secret) else Secret(pem)
        del pem
        wrong = _not_a_key(secret)
        if wrong is not None:
            raise wrong
        why = ""
        try:
            key = load_pem_private_key(secret.reveal(), password=None)
        except TypeError:  # OpenSSL's old way of encrypting, inside an EC PRIVATE KEY
            why = "encrypted"
        except (ValueError, UnsupportedAlgorithm):
            why = "damaged"
        # Raised out here, so that the library's own error is not the context of ours.
        if why == "encrypted":
            raise _encrypted()
        if why:
            hint = f"were its line ends lost in an environment variable? keep them, or name a file; {_DOWNLOAD}"
            raise UsageError("the APNs signing key is damaged: it is PEM, but no key can be read from it", hint=hint)
        if not isinstance(key, EllipticCurvePrivateKey):
            kind = type(key).__name__.removeprefix("_").removesuffix("PrivateKey")
            raise UsageError(f"the APNs signing key is an {kind} key, not an EC key on P-256", hint=_DOWNLOAD)
        if not isinstance(key.curve, SECP256R1):
            raise UsageError(f"the APNs signing key is an EC key on {key.curve.name}, not on P-256", hint=_DOWNLOAD)
        return cls(key)

    def sign(self, message: bytes) -> bytes:
        """Return the ES256 signature of ``message``: r and s, 64 bytes."""
        r, s = decode_dss_signature(self._key.sign(message, ECDSA(SHA256())))
        return r.to_bytes(_COORDINATE_BYTES, "big") + s.to_bytes(_COORDINATE_BYTES, "big")

    def __repr__(self) -> str:
        return f"SigningKey({MASK})"

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise TypeError("a signing key is not pickled: another process reads it from where this one did")


def mint(key: SigningKey, key_id: str, team_id: str, now_s: float) -> str:
    """Return a provider token issued at ``now_s`` (seconds of the epoch, cut to whole ones: RFC 7519 allows more).

    Apple takes it for 60 minutes, and wants a new one at most every 20. It is a secret: keep it in one.
    """
    header = _encoded({"alg": "ES256", "kid": key_id})
    claims = _encoded({"iss": team_id, "iat": int(now_s)})
    return f"{header}.{claims}.{_base64url(key.sign(f'{header}.{claims}'.encode()))}"


def _encoded(part: dict[str, str | int]) -> str:
    return _base64url(json.dumps(part, separators=(",", ":")).encode())


def _base64url(octets: bytes) -> str:
    """Encode as RFC 7515 does: the alphabet for URLs, no padding."""
    return urlsafe_b64encode(octets).rstrip(b"=").decode("ascii")


def _not_a_key(secret: Secret[bytes]) -> UsageError | None:
    """Return what is wrong with a text that is visibly not a private key in PEM."""
    if b"-----BEGIN " not in secret.reveal():
        return UsageError(
            "the APNs signing key is not PEM: it does not have a line -----BEGIN PRIVATE KEY-----",
            hint=f"is it the file's name, or the key without its first and last line? {_DOWNLOAD}",
        )
    if b"PRIVATE KEY-----" in secret.reveal():
        return _encrypted() if b"-----BEGIN ENCRYPTED" in secret.reveal() else None
    if b"-----BEGIN CERTIFICATE-----" in secret.reveal():
        hint = f"a certificate is for mutual TLS and needs its own settings; for tokens {_DOWNLOAD}"
        return UsageError("the APNs signing key is a certificate, not a private key", hint=hint)
    return UsageError("the APNs signing key is PEM, but not a private key", hint=_DOWNLOAD)


def _encrypted() -> UsageError:
    hint = "Apple gives keys unencrypted; to undo it: openssl pkcs8 -in KEY.p8 -out PLAIN.p8, and chmod 600 PLAIN.p8"
    return UsageError("the APNs signing key is encrypted, and burst asks for no passphrase", hint=hint)
