"""Templates as they stand in a form: percent-encoded, with values written for the JSON that they stand in."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from urllib.parse import quote

import numpy as np

from burst.model.batch import Batch
from burst.model.ports import SinkContext
from burst.policy.template import Template, escaped
from burst.sinks.rendering import token_rows
from burst.wire.layout import Rows

_PIECES = re.compile(r'\$\{([^}"]*)\}|\$\$|[^$]+|\$')
_VARYING = frozenset(("id", "index", "token"))
_UNRESERVED = np.zeros(256, dtype=np.bool_)
_UNRESERVED[list(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.~")] = True


def encoded(text: str) -> str:
    """Write a value as it stands in a form: all but letters, digits and ``-_.~`` as %XX."""
    return quote(text, safe="-_.~")


def is_json(text: str) -> bool:
    """Say whether a template is a JSON object, so that values in it stand in JSON strings."""
    try:
        return isinstance(json.loads(re.sub(r"\$\{[^}]*\}|\$\$", "x", text)), dict)
    except ValueError:
        return False


class FormText:
    """A template in a form. Raises ValueError for one that is none.

    ``depth`` is how many JSON strings stand around its values, one in the other.
    """

    def __init__(self, template: str, depth: int) -> None:
        Template(template)
        self._pieces = [
            (found[1] or "", "" if found[1] else encoded("$" if found[0] == "$$" else found[0]))
            for found in _PIECES.finditer(template)
        ]
        self._depth = depth

    def filled(self, batch: Batch, context: SinkContext) -> str:
        """Return a template of the form's own: what is the same for a batch filled in, places left for the rest."""
        constant = {
            "tenant": batch.tenant,
            "lane": batch.lane,
            "platform": batch.platform.name.lower(),
            "run": context.run,
            "event": context.event,
        }
        return "".join(
            text if not column else f"${{{column}}}" if column in _VARYING else self._written(constant[column])
            for column, text in self._pieces
        )

    def _written(self, value: str) -> str:
        for _ in range(self._depth):
            value = escaped(value).decode()
        return encoded(value)


class MessageText:
    """A message: one text, or with payloads the JSON object in which each platform finds its own."""

    def __init__(self, message: str, payloads: Mapping[str, str] | None) -> None:
        if payloads is None:
            self._parts: Sequence[FormText | str] = [FormText(message, int(is_json(message)))]
            return
        parts: list[FormText | str] = []
        for name, text in {"default": message, **payloads}.items():
            parts += [encoded(f'{"," if parts else "{"}{json.dumps(name)}:"')]
            # A template's places hold nothing that JSON would write otherwise.
            parts += [FormText(json.dumps(text, ensure_ascii=False)[1:-1], 1 + is_json(text)), encoded('"')]
        self._parts = [*parts, encoded("}")]

    def filled(self, batch: Batch, context: SinkContext) -> str:
        """Return a template of the form's own, as that of a text."""
        return "".join(part if isinstance(part, str) else part.filled(batch, context) for part in self._parts)


def encoded_tokens(batch: Batch) -> tuple[Rows | None, list[bytes]]:
    """Return a batch's tokens as they stand in a form: as rows where all have one width, else one by one."""
    rows = token_rows(batch)
    if rows is not None and _UNRESERVED[rows].all():
        return rows, []
    tokens = [encoded(batch.token_text(at)).encode() for at in range(batch.count)]
    if len({len(token) for token in tokens}) == 1:
        return np.frombuffer(b"".join(tokens), dtype=np.uint8).reshape(batch.count, -1), []
    return None, tokens
