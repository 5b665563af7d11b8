"""MD5 of many short texts. It stands for integrity here, not for security: SDKs compare it with what they sent."""

from __future__ import annotations

from binascii import hexlify
from collections.abc import Sequence
from hashlib import md5 as _openssl_md5

try:
    # Setting OpenSSL's digest up takes longer than hashing 300 bytes; Python's own takes two thirds of both.
    from _md5 import md5 as _md5  # type: ignore[import-not-found]
except ImportError:  # a Python that was built without it
    _md5 = _openssl_md5

_WIDTH = 32


def md5_hex(text: bytes) -> str:
    """Return a digest, in hex."""
    return str(_openssl_md5(text, usedforsecurity=False).hexdigest())


def md5_hexes(texts: list[bytes]) -> list[str]:
    """Return the digest of each text, in hex."""
    return [_md5(text, usedforsecurity=False).hexdigest() for text in texts]


def md5_ascii(texts: Sequence[bytes]) -> list[bytes]:
    """Return the digest of each text, in hex, as it stands in a message."""
    digits = hexlify(b"".join([_md5(text).digest() for text in texts]))
    return [digits[at : at + _WIDTH] for at in range(0, len(digits), _WIDTH)]
