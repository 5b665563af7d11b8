"""Payload templates: text with ``${column}`` in it, rendered by column into rows of equal width.

Of a batch, tenant, lane and platform are the same for all; id, index and token differ from row to row, and have one
width: the index is written with leading zeros. JSON takes such an index in a string. The id is the notification's UUID
(``model.identity``), by which a witness knows it.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from burst.model.batch import Batch
from burst.model.identity import ID_WIDTH

COLUMNS = ("index", "token", "tenant", "lane", "platform", "run", "event", "id")
_PLACE = re.compile(r'\$\{([^}"]*)\}|\$\$|\$\{')
_VARYING = {"id", "index", "token"}


@dataclass(frozen=True, slots=True)
class Text:
    """A text for one batch: ``columns`` are (name, start, stop) in ``raw``, to be filled in row by row."""

    raw: bytes
    columns: tuple[tuple[str, int, int], ...]


class Template:
    """A text with places. Raises ValueError for a place that is no column."""

    def __init__(self, text: str) -> None:
        self._parts: list[tuple[str, str]] = []  # (literal, column after it)
        at = 0
        literal = ""
        for found in _PLACE.finditer(text):
            literal += text[at : found.start()]
            at = found.end()
            if found.group(0) == "$$":
                literal += "$"
                continue
            if found.group(1) is None:
                raise ValueError("a place is not closed: write ${index}, or $${ for the two characters themselves")
            if found.group(1) not in COLUMNS:
                raise ValueError(f"${{{found.group(1)}}} is no column; columns: {', '.join(COLUMNS)}")
            self._parts.append((literal, found.group(1)))
            literal = ""
        self._tail = literal + text[at:]

    @property
    def varying(self) -> frozenset[str]:
        """The columns in it that differ from person to person."""
        return frozenset(column for _, column in self._parts) & _VARYING

    def for_batch(
        self,
        batch: Batch,
        run: str,
        event: str,
        index_width: int,
        token_width: int,
        escape: Callable[[str], bytes] | None = None,
    ) -> Text:
        """Fill in what is the same for a batch; leave room for the rest.

        ``escape`` writes a value as the text's language wants it: by default as it may stand inside a JSON string.
        """
        escape = escape or escaped
        constant = {
            "tenant": batch.tenant,
            "lane": batch.lane,
            "platform": batch.platform.name.lower(),
            "run": run,
            "event": event,
        }
        widths = {"id": ID_WIDTH, "index": index_width, "token": token_width}
        raw = b""
        columns = []
        for literal, column in self._parts:
            raw += literal.encode()
            if column in widths:
                columns.append((column, len(raw), len(raw) + widths[column]))
                raw += b"0" * widths[column]
            else:
                raw += escape(constant[column])
        return Text(raw + self._tail.encode(), tuple(columns))


def escaped(text: str) -> bytes:
    """Write a value as it may stand inside a JSON string."""
    out = []
    for letter in text:
        if letter in '"\\':
            out.append("\\" + letter)
        elif letter < " ":
            out.append(f"\\u{ord(letter):04x}")
        else:
            out.append(letter)
    return "".join(out).encode()
