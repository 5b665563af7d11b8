"""What makes a list of header fields a request or a response of HTTP/2 (RFC 9113, section 8)."""

from __future__ import annotations

import re
from collections.abc import Iterable

from burst.wire.hpack import Field

_NAME = re.compile(rb"[!#$%&'*+\-.^_`|~0-9a-z]+").fullmatch
_BAD_VALUE = re.compile(rb"[\x00\r\n]|^[ \t]|[ \t]$").search
_CONNECTION_SPECIFIC = {b"connection", b"proxy-connection", b"keep-alive", b"transfer-encoding", b"upgrade"}
_OF_A_REQUEST = {b":method", b":scheme", b":path", b":authority"}
_OF_A_RESPONSE = {b":status"}
_LENGTH_DIGITS = 15
_SWITCHING_PROTOCOLS = b"101"  # there is no such thing in HTTP/2 (section 8.6)


def fault_of_request(fields: Iterable[Field]) -> str:
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


def fault_of_response(fields: Iterable[Field]) -> str:
    """Return what makes these fields no response, or the empty string."""
    pseudo, fault = _read(fields, _OF_A_RESPONSE)
    if fault:
        return fault
    status = pseudo.get(b":status", b"")
    if len(status) != 3 or not status.isdigit() or status < b"100":
        return ":status is not three digits" if b":status" in pseudo else ":status is missing"
    return "status 101, which HTTP/2 does not have" if status == _SWITCHING_PROTOCOLS else ""


def announced_length(fields: Iterable[Field]) -> tuple[int, str]:
    """Return the body's length as ``content-length`` has it, -1 where it has none, and what is wrong with it."""
    values = {one.value for one in fields if one.name == b"content-length"}
    if not values:
        return -1, ""
    value = values.pop()
    if values or not value.isdigit() or len(value) > _LENGTH_DIGITS:
        return -1, "a content-length that is no length"
    return int(value), ""


def fault_of_trailers(fields: Iterable[Field]) -> str:
    """Return what makes these fields no trailers, or the empty string."""
    return _read(fields, set())[1]


def _read(fields: Iterable[Field], wanted: set[bytes]) -> tuple[dict[bytes, bytes], str]:
    pseudo: dict[bytes, bytes] = {}
    regular = False
    for one in fields:
        name, value = one.name, one.value
        if name[:1] == b":":
            if regular:
                return pseudo, "a pseudo-header after a regular one"
            if name not in wanted:
                return pseudo, "a pseudo-header that does not belong here"
            if name in pseudo:
                return pseudo, "a pseudo-header twice"
            pseudo[name] = value
        else:
            regular = True
            if _NAME(name) is None:
                return pseudo, "a field name with characters that are not allowed"
            if name in _CONNECTION_SPECIFIC or (name == b"te" and value != b"trailers"):
                return pseudo, f"{name.decode()}, which belongs to a connection of HTTP/1"
        if _BAD_VALUE(value) is not None:
            return pseudo, "a field value with characters that are not allowed"
    return pseudo, ""
