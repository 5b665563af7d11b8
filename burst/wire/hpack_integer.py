"""Integers with a prefix (RFC 7541, 5.1): the low bits of one octet, then seven bits an octet, lowest first."""

from __future__ import annotations

from burst.wire.hpack_error import HpackError

CONTINUATION_OCTETS = 5
"""How many octets may follow the prefix. 5.1 asks for a bound; 35 bits are beyond any length or index in use."""

_SHIFTS = tuple(range(0, 7 * CONTINUATION_OCTETS, 7))


def read_integer(block: bytes, at: int, mask: int) -> tuple[int, int]:
    """Read the integer whose prefix stands in ``block[at] & mask``; return it and where the next octet stands.

    Raises
    ------
    HpackError
        The block ends inside the integer, or more than ``CONTINUATION_OCTETS`` follow the prefix.
    """
    try:
        value = block[at] & mask
        at += 1
        if value < mask:
            return value, at
        for shift in _SHIFTS:
            octet = block[at]
            at += 1
            value += (octet & 0x7F) << shift
            if octet < 0x80:
                return value, at
    except IndexError:
        raise HpackError(f"the block ends inside an integer, at octet {at}") from None
    raise HpackError(f"an integer of more than {CONTINUATION_OCTETS} octets after its prefix, before octet {at}")


def integer(value: int, mask: int, flags: int) -> bytes:
    """Return the octets of ``value`` (not negative), its prefix under ``mask`` and beside ``flags``."""
    if value < mask:
        return bytes((flags | value,))
    octets = bytearray((flags | mask,))
    value -= mask
    while value >= 0x80:
        octets.append(value & 0x7F | 0x80)
        value >>= 7
    octets.append(value)
    return bytes(octets)
