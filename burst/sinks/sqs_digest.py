"""MD5s of several messages, end to end."""

from __future__ import annotations

DIGEST_BYTES = 16


def hexes(digests: bytes) -> list[str]:
    """Return digests that stand end to end, each in hex."""
    digits = digests.hex()
    return [digits[at : at + 2 * DIGEST_BYTES] for at in range(0, len(digits), 2 * DIGEST_BYTES)]
