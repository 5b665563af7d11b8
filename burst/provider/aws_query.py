"""AWS's query protocol, as a service sees it: a form comes in, XML goes out.

Source: Smithy, "AWS query protocol": lists are ``Name.member.N``, maps ``Name.entry.N.key`` and ``.value`` (or what the
service calls them), and a result stands in ``ActionResult`` in ``ActionResponse``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from email.utils import formatdate
from urllib.parse import unquote_plus, unquote_to_bytes
from xml.sax.saxutils import escape

from burst.wire.h1_server import Request

Node = str | bool | int | Mapping[str, "Node"] | list["Node"] | dict[str, str]
"""Of XML: text, members by name, a list of members."""

_NUMBERED = re.compile(r"(?:member|entry)\.([1-9][0-9]*)(?:\.(.+))?").fullmatch
_NO_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def read_form(request: Request) -> dict[str, str]:
    """Return a call's parameters: its body's, or its query's where it has no body. A name given again counts last."""
    text = request.body or request.target.partition(b"?")[2]
    pairs = (part.partition("=") for part in text.decode("ascii", "replace").split("&") if part)
    return {unquote_plus(name): unquote_plus(value) for name, _, value in pairs}


def read_value(raw: bytes) -> bytes:
    """Return a form's value as it was before it was encoded."""
    return unquote_to_bytes(raw.replace(b"+", b" "))


def members(form: Mapping[str, str], name: str) -> list[dict[str, str]]:
    """Return a list of structures, or a map's entries, in the order of their numbers; a plain member's name is ''."""
    found: dict[int, dict[str, str]] = {}
    start = f"{name}."
    for key, value in form.items():
        if key.startswith(start) and (match := _NUMBERED(key[len(start) :])):
            found.setdefault(int(match[1]), {})[match[2] or ""] = value
    return [found[number] for number in sorted(found)]


def mapping(form: Mapping[str, str], name: str) -> dict[str, str]:
    """Return a map of texts."""
    return {entry.get("key", ""): entry.get("value", "") for entry in members(form, name)}


def entries(values: Mapping[str, str]) -> Node:
    """Return a map of texts as it stands in an answer."""
    return {"entry": [{"key": key, "value": value} for key, value in values.items()]}


def listed(values: Iterable[Node]) -> Node:
    """Return a list as it stands in an answer."""
    return {"member": list(values)}


def xml(name: str, node: Node, indent: str = "") -> str:
    """Return an element; a list is the element again and again."""
    if isinstance(node, list):
        return "".join(xml(name, one, indent) for one in node)
    if isinstance(node, Mapping):
        inner = "".join(xml(key, value, indent + "  ") for key, value in node.items())
        return f"{indent}<{name}>\n{inner}{indent}</{name}>\n" if inner else f"{indent}<{name}/>\n"
    text = str(node).lower() if isinstance(node, bool) else str(node)
    return f"{indent}<{name}>{escape(_NO_XML.sub('?', text))}</{name}>\n"


def result_xml(action: str, result: Node | None, request_id: str, namespace: str) -> bytes:
    """Return an action's answer; ``result`` is None where it has none."""
    inner = "" if result is None else xml(f"{action}Result", result, "  ")
    data = xml("ResponseMetadata", {"RequestId": request_id}, "  ")
    return f'<{action}Response xmlns="{namespace}">\n{inner}{data}</{action}Response>\n'.encode()


def error_xml(status: int, code: str, message: str, request_id: str, namespace: str) -> bytes:
    """Return an error's answer: the sender's below 500, else the receiver's."""
    error = {"Type": "Sender" if status < 500 else "Receiver", "Code": code, "Message": message}
    inner = xml("Error", error, "  ") + xml("RequestId", request_id, "  ")
    return f'<ErrorResponse xmlns="{namespace}">\n{inner}</ErrorResponse>\n'.encode()


class Dates:
    """The date as HTTP writes it (RFC 9110, section 5.6.7), made once a second."""

    __slots__ = ("_second", "_text")

    def __init__(self) -> None:
        self._second, self._text = -1, b""

    def at(self, now_s: float) -> bytes:
        """Return it for an instant, in seconds since the epoch."""
        second = int(now_s)
        if second != self._second:
            self._text = formatdate(second, usegmt=True).encode()
            self._second = second
        return self._text
