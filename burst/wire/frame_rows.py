"""Messages of one shape as rows of equal width: one buffer, kept filled in, of which only what differs is written."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from burst.model.batch import Int64Column
from burst.wire.frames import frame_head
from burst.wire.layout import Rows

ROWS = 512


@dataclass(frozen=True, slots=True)
class Part:
    """One frame of each row: its payload, and the spans of it that differ from row to row."""

    kind: int
    flags: int
    payload: bytes
    columns: Sequence[tuple[int, int]] = ()


class FrameRows:
    """Rows of ``parts``; the frames of a row belong to one stream. ``width`` is a row's bytes."""

    def __init__(self, parts: Sequence[Part]) -> None:
        row = b""
        id_places: list[int] = []
        self._spans: list[slice] = []
        for part in parts:
            id_places.append(len(row) + 5)
            row += frame_head(len(part.payload), part.kind, part.flags)
            self._spans += [slice(len(row) + start, len(row) + stop) for start, stop in part.columns]
            row += part.payload
        self.width = len(row)
        self._buffer = bytearray(row * ROWS)
        self._rows: Rows = np.frombuffer(self._buffer, dtype=np.uint8).reshape(ROWS, self.width)
        self._ids: list[npt.NDArray[np.uint32]] = [
            np.ndarray((ROWS,), ">u4", self._buffer, at, (self.width,)) for at in id_places
        ]

    def render(self, ids: Int64Column, columns: Sequence[Rows]) -> memoryview:
        """Fill in up to ``ROWS`` rows; return their bytes, good until the next call.

        ``columns`` are uint8 of shape (k, width of the span), or one such row for all, in the order of the spans.
        """
        count = ids.size
        for target in self._ids:
            target[:count] = ids
        for span, column in zip(self._spans, columns, strict=True):
            self._rows[:count, span] = column
        return memoryview(self._buffer)[: count * self.width]
