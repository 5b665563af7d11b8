"""Texts that are filled in by column: several in one, whatever the widths of what belongs into their places."""

from __future__ import annotations

import binascii
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from struct import Struct

import numpy as np

from burst.model.batch import Batch, Int64Column, TokenEncoding, UInt8Column
from burst.policy.template import Text
from burst.sinks.rendering import token_rows
from burst.wire.layout import Rows

Columns = Mapping[str, Rows]
"""What belongs into the places of each name: uint8 of shape (people, width)."""


@dataclass(frozen=True, slots=True)
class Run:
    """Texts end to end: text ``i`` is ``data[starts[i]:starts[i + 1]]``. ``alike``: all of them are the first.

    ``width``: bytes of each, 0 where they differ.
    """

    data: memoryview
    starts: Sequence[int]
    alike: bool = False
    width: int = 0

    def texts(self, lo: int, hi: int) -> Sequence[bytes | memoryview]:
        """Return the texts lo..hi, each by itself."""
        if self.width:  # twice as fast as slices
            return _cutter(self.width, hi - lo).unpack_from(self.data, lo * self.width)
        return [self.data[self.starts[at] : self.starts[at + 1]] for at in range(lo, hi)]

    def text(self, lo: int, hi: int) -> memoryview:
        """Return the texts lo..hi."""
        return self.data[self.starts[lo] : self.starts[hi]]


def join(parts: Iterable[bytes | Text]) -> Text:
    """Return texts end to end as one."""
    raw, columns = bytearray(), []
    for part in parts:
        if isinstance(part, Text):
            columns += [(name, start + len(raw), stop + len(raw)) for name, start, stop in part.columns]
            raw += part.raw
        else:
            raw += part
    return Text(bytes(raw), tuple(columns))


def by_width(batch: Batch) -> list[tuple[Int64Column | None, Rows]]:
    """Return a batch's tokens by width: the positions that have it (None: all), and the tokens as rows."""
    rows = token_rows(batch)
    if rows is not None:
        return [(None, rows)]
    assert batch.offsets is not None
    found: list[tuple[Int64Column | None, Rows]] = []
    widths, flat = np.diff(batch.offsets), np.frombuffer(batch.tokens, dtype=np.uint8)
    for width in np.unique(widths).tolist():
        positions = np.flatnonzero(widths == width)
        rows = flat[batch.offsets[positions].astype(np.int64)[:, None] + np.arange(width)]
        if batch.encoding is TokenEncoding.RAW:
            rows = np.frombuffer(binascii.hexlify(rows.tobytes()), dtype=np.uint8).reshape(positions.size, -1)
        found.append((positions, rows))
    return found


def fill(text: Text, columns: Columns, count: int) -> Rows:
    """Return a text for each person: uint8 of shape (count, bytes of one)."""
    rows = np.empty((count, len(text.raw)), dtype=np.uint8)
    rows[:] = np.frombuffer(text.raw, dtype=np.uint8)
    for name, start, stop in text.columns:
        rows[:, start:stop] = columns[name]
    return rows


def fill_all(
    parts: Iterable[tuple[Int64Column | None, Rows]],
    text_of: Callable[[int], Text],
    columns_of: Callable[[Int64Column | None, Rows], Columns],
    count: int,
) -> Run:
    """Return the texts of a batch, ``parts`` of which are what ``by_width`` found.

    ``text_of`` gives the text for a token's width, ``columns_of`` what belongs into its places.
    """
    found = [(positions, tokens, text_of(tokens.shape[1])) for positions, tokens in parts]
    if len(found) == 1:
        _, tokens, text = found[0]
        width = len(text.raw)
        if not text.columns:
            return Run(memoryview(text.raw * count), _starts(width, count), alike=True)
        rows = fill(text, columns_of(None, tokens), count)
        return Run(_view(rows.reshape(-1)), _starts(width, count), width=width)
    widths = np.empty(count, dtype=np.int64)
    for positions, _, text in found:
        widths[positions] = len(text.raw)
    starts = np.concatenate(([0], np.cumsum(widths)))
    flat = np.empty(int(starts[-1]), dtype=np.uint8)
    for positions, tokens, text in found:
        assert positions is not None
        rows = fill(text, columns_of(positions, tokens), positions.size)
        flat[starts[positions][:, None] + np.arange(rows.shape[1])] = rows
    return Run(_view(flat), starts.tolist())


def _starts(width: int, count: int) -> Sequence[int]:
    """Return where texts of one width begin, and the end of the last."""
    return range(0, width * count + 1, width) if width else (0,) * (count + 1)


@lru_cache(maxsize=256)
def _cutter(width: int, count: int) -> Struct:
    return Struct(f"{width}s" * count)


def _view(flat: UInt8Column) -> memoryview:
    return flat.data
