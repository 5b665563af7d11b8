"""Rows of an NDJSON file: one object a line."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import msgspec

from burst.audience.block import ROWS, Block
from burst.audience.csv_rows import open_text, refuse_utf16


class _Row(msgspec.Struct):
    token: str
    platform: str
    tenant: str = ""
    lane: str = "main"


def read_ndjson(path: Path) -> Iterator[Block]:
    """Yield the file's rows in blocks; a line that is not such an object is broken."""
    refuse_utf16(path)
    decode = msgspec.json.Decoder(_Row).decode
    with open_text(path) as file:
        line = 1
        while taken := list(islice(file, ROWS)):
            rows, lines, broken = [], [], []
            for number, text in enumerate(taken, line):
                if not text.strip():
                    continue
                try:
                    rows.append(decode(text.encode("utf-8", "surrogateescape")))
                    lines.append(number)
                except (msgspec.DecodeError, UnicodeDecodeError) as error:
                    broken.append((number, f"not a row: {error}"))
            line += len(taken)
            yield Block(
                lines,
                [row.token for row in rows],
                [row.platform for row in rows],
                [row.tenant for row in rows],
                [row.lane for row in rows],
                broken,
            )
