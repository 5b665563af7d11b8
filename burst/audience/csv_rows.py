"""Rows of a CSV file: comma, semicolon or tab, quoted or not, with or without a byte order mark."""

from __future__ import annotations

import csv
import gzip
from collections.abc import Iterable, Iterator
from itertools import chain, islice, repeat
from pathlib import Path
from typing import IO, cast

from burst.audience.block import ROWS, Block, find_columns
from burst.model.errors import AudienceError, Mistake


def open_text(path: Path) -> IO[str]:
    """Open a text file, gzipped or not. Bytes that are not UTF-8 come as surrogates, to be found row by row."""
    if path.suffix == ".gz":
        return cast("IO[str]", gzip.open(path, "rt", encoding="utf-8-sig", errors="surrogateescape", newline=""))
    return path.open(encoding="utf-8-sig", errors="surrogateescape", newline="")


def refuse_utf16(path: Path) -> None:
    """Raise AudienceError for a file in UTF-16, as spreadsheets like to save."""
    with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
        start = file.read(2)
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
        line = 2
        while taken := list(islice(file, ROWS)):
            block = _plain(taken, line, delimiter, len(names), at)
            if block is None:
                # Quotes, or lines of other lengths: from here on the csv module reads, row by row.
                yield from _careful(chain(taken, file), line, delimiter, len(names), at, path)
                return
            line += len(taken)
            yield block


def _plain(lines: list[str], first: int, delimiter: str, width: int, at: dict[str, int]) -> Block | None:
    """Return a block of lines without quotes and all of one width, split in one go; None where they are not."""
    text = "".join(lines)
    if '"' in text or "\0" in text or set(map(str.count, lines, repeat(delimiter))) != {width - 1}:
        return None
    cells = text.removesuffix("\n").replace("\r\n", "\n").removesuffix("\r").replace("\n", delimiter).split(delimiter)
    if len(cells) != width * len(lines):
        return None
    columns = {name: cells[number::width] for name, number in at.items()}
    return Block(
        range(first, first + len(lines)),
        columns["token"],
        columns["platform"],
        columns.get("tenant"),
        columns.get("lane"),
    )


def _careful(
    text: Iterable[str], line: int, delimiter: str, width: int, at: dict[str, int], path: Path
) -> Iterator[Block]:
    """Yield blocks as the csv module reads them; a row of another width is broken, an empty line is nothing."""
    rows = csv.reader((part.replace("\0", "\ufffd") for part in text), delimiter=delimiter)
    while True:
        try:
            taken = list(islice(rows, ROWS))
        except csv.Error as error:
            raise AudienceError((Mistake(str(path), line, 0, f"not CSV from here on: {error}"),)) from None
        if not taken:
            return
        block, lines, broken = [], [], []
        for row in taken:
            if len(row) == width:
                block.append(row)
                lines.append(line)
            elif row:
                broken.append((line, f"{len(row)} fields where the header has {width}"))
            line += 1 + sum(cell.count("\n") for cell in row)
        columns = {name: [row[number] for row in block] for name, number in at.items()}
        yield Block(lines, columns["token"], columns["platform"], columns.get("tenant"), columns.get("lane"), broken)
