"""Bodies of the HTTP sink: for one person, and for several."""

from __future__ import annotations

import json
import re
from collections.abc import Callable

from burst.policy.template import Template
from burst.sinks.http_fields import as_text, as_url, as_xml

JSON_TYPE, TEXT_TYPE = "application/json", "text/plain; charset=utf-8"
_NAMES = ("id", "event", "run", "index", "token", "platform", "tenant", "lane")
ONE_PERSON = json.dumps({name: f"${{{name}}}" for name in _NAMES}, separators=(",", ":"))
SEVERAL_PEOPLE = (
    '{"ids":"${ids}","event":"${event}","run":"${run}","platform":"${platform}","tenant":"${tenant}",'
    '"lane":"${lane}","count":${count},"tokens":["${tokens}"]}'
)
LISTS = frozenset({"ids", "count", "tokens", "items"})
"""Places that are of all people of a request together."""

_PERSON = frozenset({"id", "index", "token"})
_LIST = re.compile(r"\$\$|\$\{(ids|count|tokens|items)\}")
_JSON_LIST = re.compile(r'\$\$|"\$\{(items)\}"|\$\{(ids|count|tokens)\}')
_PLACE = re.compile(r"\$\{[^}]*\}|\$\$")
_LIKE = {"ids": "x", "count": "1", "tokens": 'x","x', "items": '{"x":0},{"x":0}'}


def split_lists(text: str, *, json_body: bool) -> tuple[list[str], list[str]]:
    """Cut a template at its places of ``LISTS``: return the n + 1 templates around them, and their n names.

    In JSON the place of items takes its quotation marks with it: ``["${items}"]`` becomes an array of what items are.
    """
    literals, names, at = [], [], 0
    for found in (_JSON_LIST if json_body else _LIST).finditer(text):
        if name := next((group for group in found.groups() if group), None):
            literals.append(text[at : found.start()])
            names.append(name)
            at = found.end()
    return [*literals, text[at:]], names


def is_json_template(text: str) -> bool:
    """Whether a template is an object or array of JSON whatever its places are filled with."""
    try:
        return isinstance(json.loads(_as_filled(text)), (dict, list))
    except ValueError:
        return False


def _as_filled(text: str) -> str:
    literals, names = split_lists(text, json_body=True)
    filled = [_PLACE.sub("x", literals[0])]
    for name, literal in zip(names, literals[1:], strict=True):
        filled += [_LIKE[name], _PLACE.sub("x", literal)]
    return "".join(filled)


def check_body(setting: str, text: str, *, json_body: bool, several: bool) -> None:
    """Raise ValueError for a template that no body can be made of. ``several``: it is for all people of a request."""
    literals, names = split_lists(text, json_body=json_body)
    if names and not several:
        raise ValueError(f"{setting} is for one person and has ${{{names[0]}}}: give people_per_request, and body")
    for literal in literals:
        varying = Template(literal).varying & _PERSON if literal else frozenset()
        if several and varying:
            raise ValueError(
                f"{setting} has ${{{min(varying)}}}, and a request is for several people: write it into item, and "
                '["${items}"] into body'
            )
    if not json_body:
        return
    try:
        json.loads(_as_filled(text))
    except ValueError as error:
        raise ValueError(
            f'{setting} is not JSON: {error}; places stand in quotation marks, lists as ["${{tokens}}"] and '
            '["${items}"]'
        ) from None


def escape_for(content_type: str) -> Callable[[str], bytes] | None:
    """Return how values are written into a body of a type; None is as inside a JSON string."""
    kind = content_type.lower()
    if "json" in kind:
        return None
    if "x-www-form-urlencoded" in kind:
        return as_url
    return as_xml if "xml" in kind else as_text
