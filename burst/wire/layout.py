"""Header blocks of one shape: what stands still from block to block, and where the values that vary stand.

A block is decoded once in full. Where its varying values are literals that touch no table, a later block of the same
length whose other bytes are the same has the same structure, and its values can be read by column.
"""

from __future__ import annotations

from collections.abc import Container, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from burst.model.batch import UInt8Column
from burst.wire.hpack import Field

Rows = npt.NDArray[np.uint8]
_TAB, _LF, _CR, _SPACE = 9, 10, 13, 32


@dataclass(slots=True, eq=False)
class Layout:
    """The shape of header blocks: ``width`` bytes, ``fixed`` spans that must equal ``template``, the rest varies.

    ``announced`` is the body's length as all blocks of this shape have it, plus one; 0 where they have none.
    ``note`` is for whoever consumes the blocks: what it worked out once for all blocks of this shape.
    """

    width: int
    template: bytes
    fields: tuple[Field, ...]
    fixed: tuple[tuple[int, int, UInt8Column], ...]
    constants: dict[bytes, bytes]
    columns: dict[bytes, Field]
    announced: int = 0
    note: Any = field(default=None)

    def matches(self, rows: Rows) -> npt.NDArray[np.bool_] | None:
        """Return which rows (k, width) have this shape; None when all do."""
        mask: npt.NDArray[np.bool_] | None = None
        for start, stop, expected in self.fixed:
            same = rows[:, start:stop] == expected
            if not same.all():
                found: npt.NDArray[np.bool_] = same.all(axis=1)
                mask = found if mask is None else mask & found
        return mask

    def sound(self, rows: Rows) -> bool:
        """Whether what varies in these rows is what a field value may hold (RFC 9113, section 8.2.1).

        Values in Huffman code are not looked into: whoever decodes such a column judges it then.
        """
        for one in self.columns.values():
            values = rows[:, one.start : one.stop]
            # One pass for what values are nearly always: visible characters, perhaps with spaces among them.
            lowest = _SPACE + 1 if one.huffman or not values.size else int(values.min())
            if lowest > _SPACE:
                continue
            if lowest < _SPACE and ((values == 0) | (values == _LF) | (values == _CR)).any():
                return False
            ends = values[:, (0, -1)]
            if ((ends == _SPACE) | (ends == _TAB)).any():
                return False
        return True

    def fits(self, block: bytes) -> bool:
        """Whether one block of this width has this shape."""
        return all(block[start:stop] == self.template[start:stop] for start, stop, _ in self.fixed)

    def row_fields(self, row: UInt8Column) -> list[Field]:
        """Return the fields of one row, varying values as they stand there (still Huffman coded if they were)."""
        raw = row.tobytes()
        return [
            one if one.start < 0 else Field(one.name, raw[one.start : one.stop], one.start, one.stop, one.huffman)
            for one in self.fields
        ]


def learn(block: bytes, fields: Sequence[Field], pinned: Container[bytes]) -> Layout:
    """Return the shape of a decoded block, in which values of ``pinned`` names do not vary.

    The block must not have changed the decoder's table.
    """
    fields = [Field(one.name, one.value, -1, -1, huffman=False) if one.name in pinned else one for one in fields]
    fixed: list[tuple[int, int]] = []
    at = 0
    for one in fields:
        if one.start >= 0 and one.stop > one.start:
            if one.start > at:
                fixed.append((at, one.start))
            at = one.stop
    if at < len(block):
        fixed.append((at, len(block)))
    column = np.frombuffer(block, dtype=np.uint8)
    return Layout(
        len(block),
        block,
        tuple(fields),
        tuple((start, stop, column[start:stop]) for start, stop in fixed),
        {one.name: one.value for one in fields if one.start < 0},
        {one.name: one for one in fields if one.start >= 0},
    )


class Layouts:
    """The shapes known on one connection, by block length; void when the decoder's table changes."""

    LIMIT = 64

    def __init__(self) -> None:
        self._by_width: dict[int, list[Layout]] = {}
        self._count = 0
        self._generation = -1

    def of_width(self, width: int, generation: int) -> list[Layout]:
        """Return the shapes of blocks of a length, those last learned first."""
        if generation != self._generation:
            return []
        return self._by_width.get(width, [])

    def find(self, block: bytes, generation: int) -> Layout | None:
        """Return the shape of a block, if it is known."""
        return next((one for one in self.of_width(len(block), generation) if one.fits(block)), None)

    def forget(self) -> None:
        """Forget every shape, and what was noted about it."""
        self._by_width.clear()
        self._count = 0

    def add(self, layout: Layout, generation: int) -> None:
        """Keep a shape; everything learned under another generation, or beyond the limit, goes."""
        if generation != self._generation or self._count >= self.LIMIT:
            self._by_width.clear()
            self._count = 0
            self._generation = generation
        self._by_width.setdefault(layout.width, []).insert(0, layout)
        self._count += 1
