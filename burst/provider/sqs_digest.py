"""MD5 of many short texts. It stands for integrity here, not for security: SDKs compare it with what they sent."""

from __future__ import annotations

from binascii import hexlify
from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

from burst.wire.md5 import md5

DIGEST_WIDTH = 32  # hex digits
_DIGEST = np.dtype(f"V{DIGEST_WIDTH}")


def md5_hex(text: bytes) -> str:
    """Return a digest, in hex."""
    return md5(text).hexdigest()


def md5_hexes(texts: list[bytes]) -> list[str]:
    """Return the digest of each text, in hex."""
    return [md5(text).hexdigest() for text in texts]


def md5_rows(texts: Iterable[bytes]) -> npt.NDArray[np.void]:
    """Return the digest of each text, in hex, as it stands in a message: one an element, ``DIGEST_WIDTH`` wide."""
    digits = hexlify(b"".join([one.digest() for one in map(md5, texts)]))
    return np.frombuffer(digits, dtype=_DIGEST)
