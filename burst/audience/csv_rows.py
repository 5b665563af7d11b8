"""Rows of a CSV file: comma, semicolon or tab, quoted or not, with or without a byte order mark."""

from __future__ import annotations

import csv
import gzip
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import IO, cast

from burst.audience.block import ROWS, Block, find_columns
from burst.model.errors import AudienceError, Mistake


def open_text(path: Path) -> IO[str]:
    """Open a text file, gzipped or not. Bytes that are not UTF-8 come as surrogates, to be found row by row."""
    if path.suffix == ".gz":
        return cast(
            "IO[str]", gzip.open(path, "rt", encoding="utf-8-sig", errors="surrogateescape", newline="")
        )
    return path.open(encoding="utf-8-sig", errors="surrogateescape", newline="")


def refuse_utf16(path: Path) -> None:
    """Raise AudienceError for a file in UTF-16, as spreadsheets like to save."""
    with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
        start = cast("bytes", file.read(2))
    if start in {b"\xff\xfe", b"\xfe\xff"}:
        raise AudienceError((Mistake(str(path), 1, 0, "the file is UTF-16", "save it as UTF-8 (CSV UTF-8)"),))


def read_csv(path: Path) -> Iterator[Block]:
    """Yield the file's rows in blocks. Raises AudienceError when it has no header or lacks a column."""
    refuse_utf16(path)
    csv.field_size_limit(1 << 20)
    with open_text(path) as file:
        head = file.readline()
        if not head.strip():
            raise AudienceError(
                (
                    Mistake(
                        str(path),
                        1,
                        0,
                        "the file is empty",
                        "its first line names the columns: token,platform",
                    ),
                )
            )
        delimiter = max(",;\t", key=head.count)
        names = next(csv.reader([head], delimiter=delimiter))
        at = find_columns(str(path), names)
        rows = csv.reader((line.replace("\0", "\ufffd") for line in file), delimiter=delimiter)
        line = 2
        while True:
            block, broken, lines = [], [], []
            try:
                taken = list(islice(rows, ROWS))
            except csv.Error as error:
                raise AudienceError(
                    (Mistake(str(path), rows.line_num + 1, 0, f"not CSV: {error}"),)
                ) from None
            if not taken:
                return
            plain = rows.line_num + 1 == line + len(taken) - 1
            if plain and all(len(row) == len(names) for row in taken):
                block, lines = taken, list(range(line, line + len(taken)))
                line += len(taken)
            else:
                for row in taken:
                    if len(row) == len(names):
                        block.append(row)
                        lines.append(line)
                    elif row:
                        broken.append((line, f"{len(row)} fields where the header has {len(names)}"))
                    line += 1 + sum(cell.count("\n") for cell in row)
            columns = {name: [row[number] for row in block] for name, number in at.items()}
            yield Block(
                lines,
                columns["token"],
                columns["platform"],
                columns.get("tenant"),
                columns.get("lane"),
                broken,
            )
