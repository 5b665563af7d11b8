"""The streams of one HTTP/2 connection as columns: a stream id finds its row by arithmetic, thousands at a time.

Rows form a ring that a stream id indexes by its sequence number. A row is free when its state is 0. The ring grows
while an old stream that is still open stands where a new one should go. Where it grows no more, the old one is parked
behind the ring: a single push that hangs must not hold up the connection after 65,536 others.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from burst.model.batch import Int64Column

SMALLEST = 256
LARGEST = 65_536  # rows of the ring, and streams open at once
FREE = 0


class Streams:
    """Open streams of one parity, with any number of columns beside ``ids`` and ``state``.

    Columns are replaced when the ring grows: take them from here each time, hold none.
    """

    __slots__ = ("_columns", "_mask", "_parked", "_parked_ids", "_spare", "ids", "open", "state")

    def __init__(self, **dtypes: Any) -> None:
        self._mask = SMALLEST - 1
        self.ids: Int64Column = np.zeros(SMALLEST, dtype=np.int64)
        self.state: npt.NDArray[np.uint8] = np.zeros(SMALLEST, dtype=np.uint8)
        self._columns: dict[str, npt.NDArray[Any]] = {
            name: np.zeros(SMALLEST, dtype=dtype) for name, dtype in dtypes.items()
        }
        self.open = 0
        self._parked: dict[int, int] = {}  # stream id -> its row behind the ring
        self._parked_ids: Int64Column | None = None  # the same ids sorted, made when asked for
        self._spare: list[int] = []

    def __getitem__(self, name: str) -> npt.NDArray[Any]:
        """Return a column, one value a row."""
        return self._columns[name]

    @property
    def capacity(self) -> int:
        """Rows of the ring."""
        return self._mask + 1

    def rows_of(self, ids: Int64Column) -> Int64Column:
        """Return the rows where streams stand or would stand."""
        rows = (ids >> 1) & self._mask
        if self._parked:
            if self._parked_ids is None:
                self._parked_ids = np.sort(np.fromiter(self._parked, np.int64, len(self._parked)))
            for at in np.flatnonzero(np.isin(ids, self._parked_ids)).tolist():
                rows[at] = self._parked[int(ids[at])]
        return rows

    def row_of(self, stream_id: int) -> int:
        """Return the row of a stream that is open, or -1."""
        row = (stream_id >> 1) & self._mask
        if self.ids[row] == stream_id and self.state[row] != FREE:
            return row
        return self._parked.get(stream_id, -1) if self._parked else -1

    def free_for(self, ids: Int64Column) -> Int64Column:
        """Return the rows for new streams, made free if need be.

        There must be room: ``open`` and these at most ``LARGEST``, and their ids less than a ring's span apart
        (``spans``).
        """
        while True:
            rows = (ids >> 1) & self._mask
            taken = self.state[rows] != FREE
            if not taken.any() and self.spans(ids):
                return rows
            if self.capacity >= LARGEST:
                self._park(rows[taken])
                return rows
            self._resize(self.capacity * 4)

    def spans(self, ids: Int64Column) -> bool:
        """Whether ids that ascend are near enough to each other to stand in one ring, each in a row of its own."""
        return int(ids[-1]) - int(ids[0]) <= 2 * self._mask

    def _resize(self, size: int) -> None:
        held = np.flatnonzero(self.state)
        rows = (self.ids[held] >> 1) & (size - 1)

        def moved(column: npt.NDArray[Any]) -> npt.NDArray[Any]:
            wider = np.zeros(size, dtype=column.dtype)
            wider[rows] = column[held]
            return wider

        self._mask = size - 1
        self.ids, self.state = moved(self.ids), moved(self.state)
        self._columns = {name: moved(column) for name, column in self._columns.items()}

    def _park(self, rows: Int64Column) -> None:
        """Move streams behind the ring."""
        if len(self._spare) < rows.size:
            size = self.ids.size
            more = max(SMALLEST, rows.size, size - self.capacity)
            self._spare += range(size, size + more)
            self.ids, self.state = (
                np.append(self.ids, np.zeros(more, np.int64)),
                np.append(self.state, np.zeros(more, np.uint8)),
            )
            for name, column in self._columns.items():
                self._columns[name] = np.append(column, np.zeros(more, column.dtype))
        for row in rows.tolist():
            spare = self._spare.pop()
            self._parked[int(self.ids[row])] = spare
            self.ids[spare], self.state[spare] = self.ids[row], self.state[row]
            for column in self._columns.values():
                column[spare] = column[row]
            self.state[row] = FREE
        self._parked_ids = None

    def _unpark(self, rows: list[int]) -> None:
        for row in rows:
            del self._parked[int(self.ids[row])]
            self._spare.append(row)
        self._parked_ids = None

    def any_parked(self, rows: Int64Column) -> bool:
        """Whether one of these rows stands behind the ring."""
        return bool(self._parked) and bool((rows > self._mask).any())

    def add(self, rows: Int64Column, ids: Int64Column, state: int) -> None:
        """Let streams stand in free rows."""
        self.ids[rows] = ids
        self.state[rows] = state
        self.open += rows.size

    def add_one(self, stream_id: int, state: int) -> int:
        """Let a new stream stand in a row, made free if need be; return the row. As ``free_for`` and ``add``."""
        row = (stream_id >> 1) & self._mask
        if self.state[row] != FREE:
            row = int(self.free_for(np.array([stream_id]))[0])
        self.ids[row] = stream_id
        self.state[row] = state
        self.open += 1
        return row

    def drop(self, rows: Int64Column) -> None:
        """Free rows; each may be named once."""
        self.state[rows] = FREE
        self.open -= rows.size
        if self._parked:
            behind = rows[rows > self._mask]
            if behind.size:
                self._unpark(behind.tolist())

    def drop_one(self, row: int) -> None:
        """Free one row."""
        self.state[row] = FREE
        self.open -= 1
        if row > self._mask:
            self._unpark([row])

    def held(self) -> Int64Column:
        """Return the rows of everything open."""
        return np.flatnonzero(self.state)

    def once(self, rows: Int64Column, scratch: Int64Column) -> bool:
        """Whether every row is named once; ``scratch`` is any int64 column of the ring, overwritten there."""
        order = np.arange(rows.size)
        scratch[rows] = order
        return bool((scratch[rows] == order).all())
