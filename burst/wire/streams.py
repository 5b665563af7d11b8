"""The streams of one HTTP/2 connection as columns: a stream id finds its row by arithmetic, thousands at a time.

Rows form a ring that a stream id indexes by its sequence number. A row is free when its state is 0. The ring grows
while an old stream that is still open stands where a new one should go.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from burst.model.batch import Int64Column

SMALLEST = 256
LARGEST = 65_536
FREE = 0


class Streams:
    """Open streams of one parity, with any number of columns beside ``ids`` and ``state``.

    Columns are replaced when the ring grows: take them from here each time, hold none.
    """

    __slots__ = ("_columns", "_mask", "ids", "open", "state")

    def __init__(self, **dtypes: Any) -> None:
        self._mask = SMALLEST - 1
        self.ids: Int64Column = np.zeros(SMALLEST, dtype=np.int64)
        self.state: npt.NDArray[np.uint8] = np.zeros(SMALLEST, dtype=np.uint8)
        self._columns: dict[str, npt.NDArray[Any]] = {
            name: np.zeros(SMALLEST, dtype=dtype) for name, dtype in dtypes.items()
        }
        self.open = 0

    def __getitem__(self, name: str) -> npt.NDArray[Any]:
        """Return a column, one value a row."""
        return self._columns[name]

    @property
    def capacity(self) -> int:
        """Rows of the ring."""
        return self._mask + 1

    def rows_of(self, ids: Int64Column) -> Int64Column:
        """Return the rows where streams stand or would stand."""
        return (ids >> 1) & self._mask

    def row_of(self, stream_id: int) -> int:
        """Return the row of a stream that is open, or -1."""
        row = (stream_id >> 1) & self._mask
        return row if self.ids[row] == stream_id and self.state[row] != FREE else -1

    def free_for(self, ids: Int64Column) -> Int64Column:
        """Return the rows for new streams, as many of the first of them as there is room for, growing if need be."""
        while True:
            rows = self.rows_of(ids[: self._mask + 1])
            taken = self.state[rows] != FREE
            if rows.size == ids.size and not taken.any():
                return rows
            if self.capacity >= LARGEST:
                return rows[: int(taken.argmax())] if taken.any() else rows
            self._grow()

    def _grow(self) -> None:
        held = np.flatnonzero(self.state)
        old_ids, old_state, old_columns = self.ids, self.state, self._columns
        size = self.capacity * 4
        self._mask = size - 1
        rows = self.rows_of(old_ids[held])
        self.ids, self.state = np.zeros(size, dtype=np.int64), np.zeros(size, dtype=np.uint8)
        self.ids[rows], self.state[rows] = old_ids[held], old_state[held]
        self._columns = {}
        for name, column in old_columns.items():
            self._columns[name] = np.zeros(size, dtype=column.dtype)
            self._columns[name][rows] = column[held]

    def add(self, rows: Int64Column, ids: Int64Column, state: int) -> None:
        """Let streams stand in free rows."""
        self.ids[rows] = ids
        self.state[rows] = state
        self.open += rows.size

    def drop(self, rows: Int64Column) -> None:
        """Free rows; each may be named once."""
        self.state[rows] = FREE
        self.open -= rows.size

    def drop_one(self, row: int) -> None:
        """Free one row."""
        self.state[row] = FREE
        self.open -= 1

    def held(self) -> Int64Column:
        """Return the rows of everything open."""
        return np.flatnonzero(self.state)

    def once(self, rows: Int64Column, scratch: Int64Column) -> bool:
        """Whether every row is named once; ``scratch`` is any int64 column of the ring, overwritten there."""
        order = np.arange(rows.size)
        scratch[rows] = order
        return bool((scratch[rows] == order).all())
