"""MD5 of many short texts. It stands for integrity here, not for security: SDKs compare it with what they sent."""

from __future__ import annotations

from binascii import hexlify
from collections.abc import Iterable
from hashlib import md5 as _openssl_md5

import numpy as np
import numpy.typing as npt

try:
    # Setting OpenSSL's digest up takes longer than hashing 300 bytes; Python's own takes two thirds of both.
    from _md5 import md5 as _md5  # type: ignore[import-not-found]
except ImportError:  # a Python that was built without it
    _md5 = _openssl_md5

DIGEST_WIDTH = 32  # hex digits
_DIGEST = np.dtype(f"V{DIGEST_WIDTH}")


def md5_hex(text: bytes) -> str:
    """Return a digest, in hex."""
    return str(_openssl_md5(text, usedforsecurity=False).hexdigest())


def md5_hexes(texts: list[bytes]) -> list[str]:
    """Return the digest of each text, in hex."""
    return [_md5(text, usedforsecurity=False).hexdigest() for text in texts]


def md5_rows(texts: Iterable[bytes]) -> npt.NDArray[np.void]:
    """Return the digest of each text, in hex, as it stands in a message: one an element, ``DIGEST_WIDTH`` wide."""
    digits = hexlify(b"".join([one.digest() for one in map(_md5, texts)]))
    return np.frombuffer(digits, dtype=_DIGEST)
