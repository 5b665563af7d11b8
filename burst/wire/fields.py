"""What makes a list of header fields a request or a response of HTTP/2 (RFC 9113, section 8)."""

from __future__ import annotations

import re
from collections.abc import Iterable

from burst.wire.hpack_table import Pair

_NAME = re.compile(rb"[!#$%&'*+\-.^_`|~0-9a-z]+").fullmatch
_BAD_IN_VALUE = b"\x00\r\n"
_BAD_AT_ENDS = b" \t"
_CONNECTION_SPECIFIC = {b"connection", b"proxy-connection", b"keep-alive", b"transfer-encoding", b"upgrade"}
_OF_A_REQUEST = {b":method", b":scheme", b":path", b":authority"}
_OF_A_RESPONSE = {b":status"}
_LENGTH_DIGITS = 15
#: Fields that were looked at and are as they should be: most come again with every request.
_SOUND: set[Pair] = set()
_MOST_SOUND = 4096
_LONGEST_SOUND = 1024  # bytes: what is remembered stays small
_SWITCHING_PROTOCOLS = b"101"  # there is no such thing in HTTP/2 (section 8.6)


def fault_of_request(fields: Iterable[Pair]) -> str:
    """Return what makes these fields no request, or the empty string."""
    pseudo, fault = _read(fields, _OF_A_REQUEST)
    if fault:
        return fault
    if pseudo.get(b":method") == b"CONNECT":
        return "" if b":authority" in pseudo and len(pseudo) == 2 else "CONNECT wants :authority alone"
    missing = {b":method", b":scheme", b":path"} - pseudo.keys()
    if missing:
        return f"{min(missing).decode()} is missing"
    return "" if pseudo[b":path"] else ":path is empty"


def fault_of_response(fields: Iterable[Pair]) -> str:
    """Return what makes these fields no response, or the empty string."""
    pseudo, fault = _read(fields, _OF_A_RESPONSE)
    if fault:
        return fault
    status = pseudo.get(b":status", b"")
    if len(status) != 3 or not status.isdigit() or status < b"100":
        return ":status is not three digits" if b":status" in pseudo else ":status is missing"
    return "status 101, which HTTP/2 does not have" if status == _SWITCHING_PROTOCOLS else ""


def announced_length(fields: Iterable[Pair]) -> tuple[int, str]:
    """Return the body's length as ``content-length`` has it, -1 where it has none, and what is wrong with it."""
    values = [value for name, value in fields if name == b"content-length"]
    if not values:
        return -1, ""
    value = values[0]
    if values.count(value) < len(values) or not value.isdigit() or len(value) > _LENGTH_DIGITS:
        return -1, "a content-length that is no length"
    return int(value), ""


def fault_of_trailers(fields: Iterable[Pair]) -> str:
    """Return what makes these fields no trailers, or the empty string."""
    return _read(fields, set())[1]


def _read(fields: Iterable[Pair], wanted: set[bytes]) -> tuple[dict[bytes, bytes], str]:
    pseudo: dict[bytes, bytes] = {}
    regular = False
    for pair in fields:
        name, value = pair
        if name[:1] != b":":
            regular = True
        elif regular:
            return pseudo, "a pseudo-header after a regular one"
        elif name not in wanted:
            return pseudo, "a pseudo-header that does not belong here"
        elif name in pseudo:
            return pseudo, "a pseudo-header twice"
        else:
            pseudo[name] = value
        if pair not in _SOUND:
            fault = _fault_of(name, value)
            if fault:
                return pseudo, fault
            _remember(pair)
    return pseudo, ""


def _fault_of(name: bytes, value: bytes) -> str:
    """Return what is wrong with a field wherever it stands; the names of pseudo-headers are known."""
    if name[:1] != b":":
        if _NAME(name) is None:
            return "a field name with characters that are not allowed"
        if name in _CONNECTION_SPECIFIC or (name == b"te" and value != b"trailers"):
            return f"{name.decode()}, which belongs to a connection of HTTP/1"
    if len(value.translate(None, _BAD_IN_VALUE)) < len(value) or len(value.strip(_BAD_AT_ENDS)) < len(value):
        return "a field value with characters that are not allowed"
    return ""


def _remember(pair: Pair) -> None:
    if len(pair[0]) + len(pair[1]) <= _LONGEST_SOUND:
        if len(_SOUND) >= _MOST_SOUND:
            _SOUND.clear()
        _SOUND.add(pair)
