"""Calls of one shape and their answers as columns: as many as a turn of the loop has read cost little more than one.

The bodies of a call stand at one distance from each other, so that a place in all bodies of all calls is one view
(call, body) of texts of one width: it is read, checked and written at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from burst.model.identity import ID_WIDTH
from burst.provider.sqs_digest import DIGEST_WIDTH

AT_ONCE = 32  # calls: their bodies and answers stay in the CPU's second cache
PLAIN = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_:-"
"""What may stand in a place: JSON never escapes it, and SQS takes it."""
_HEX = b"0123456789abcdef"
_OCTET = np.dtype(np.uint8)

Places = Sequence[tuple[int, int]]
"""Where something stands: first byte, and the one behind the last; ascending, apart."""
Texts = npt.NDArray[np.void]
"""Texts of one width, one an element."""


class _Sheet:
    """``AT_ONCE`` rows of ``count`` copies of a text, into whose columns is written."""

    def __init__(self, text: bytes, count: int = 1) -> None:
        self._width, self._count = len(text), count
        self._cells: npt.NDArray[Any] = np.tile(np.frombuffer(text * count, dtype=np.uint8), (AT_ONCE, 1))
        self._texts: Texts = self._cells.view(f"V{self._width}").reshape(-1)

    def column(self, at: int, width: int) -> Texts:
        """Return the texts at one place of each copy, to be written to, shape (AT_ONCE, count)."""
        return np.ndarray(
            (AT_ONCE, self._count), f"V{width}", self._cells, at, (self._width * self._count, self._width)
        )

    def texts(self, rows: int) -> list[bytes]:
        """Return all copies of the first rows, each as it now is."""
        texts: list[bytes] = self._texts[: rows * self._count].tolist()
        return texts

    def joined(self, rows: int) -> bytes:
        """Return the first rows, end to end."""
        return self._cells[:rows].tobytes()


class CallColumns:
    """Reads calls that differ from ``sample`` in their signature and in the ``places`` of their bodies alone.

    Parameters
    ----------
    signature : where it stands in the sample
    spans : where the bodies stand: at least two, all of one width and at one distance
    places : where bodies differ, counted from a body's start
    ident : which of the places is a person's index, as 12 hex digits
    mark : what no place may hold, because it may be a part of an id; its last byte is rare
    """

    def __init__(
        self, sample: bytes, signature: tuple[int, int], spans: Places, places: Places, ident: int, mark: bytes
    ) -> None:
        (start, stop), count = spans[0], len(spans)
        self._size, self._mark, self._rare = len(sample), mark, mark[-1:]
        self._shape_step = count, spans[1][0] - start
        self._template = np.frombuffer(sample, dtype=np.uint8)
        self._varies = np.zeros(self._size, dtype=np.bool_)
        for lo, hi in (signature, *((body + lo, body + hi) for body, _ in spans for lo, hi in places)):
            self._varies[lo:hi] = True
        widths = [hi - lo for lo, hi in places]
        self._bodies = _Sheet(unescaped(sample[start:stop]), count)
        self._values = _Sheet(bytes(sum(widths)), count)
        self._ways: list[tuple[int, np.dtype[np.void], Texts, Texts]] = []  # from where in a call; to where
        for (lo, _), (at, behind) in zip(places, pairwise(np.cumsum([0, *widths]).tolist()), strict=True):
            width = behind - at
            into = self._bodies.column(len(unescaped(sample[start : start + lo])), width)
            self._ways.append((start + lo, np.dtype(f"V{width}"), into, self._values.column(at, width)))
        self._digits = self._ways[ident][3]

    def read(self, calls: Sequence[bytes]) -> tuple[bytes, list[bytes]] | None:
        """Return the people of calls as long as the sample, 12 hex digits each, and all bodies as they are kept.

        ``AT_ONCE`` calls at most. None where one of them is not what it looked like.
        """
        rows, together, (count, step) = len(calls), b"".join(calls), self._shape_step
        same = np.ndarray((rows, self._size), _OCTET, together) == self._template
        same |= self._varies
        if np.count_nonzero(same) != same.size:
            return None
        strides = self._size, step
        for at, kind, into, value in self._ways:
            texts: Texts = np.ndarray((rows, count), kind, together, at, strides)
            into[:rows] = texts
            value[:rows] = texts
        joined, digits = self._values.joined(rows), self._digits[:rows].tobytes()
        if joined.translate(None, PLAIN) or digits.translate(None, _HEX):
            return None
        if self._rare in joined and self._mark in joined:
            return None
        return digits, self._bodies.texts(rows)


class AnswerColumns:
    """Renders answers to calls of entries with these names, all of one width: everything was taken."""

    def __init__(self, names: Sequence[str]) -> None:
        ident, digest = "i" * ID_WIDTH, "d" * DIGEST_WIDTH
        entries = [f'{{"Id":"{name}","MessageId":"{ident}","MD5OfMessageBody":"{digest}"}}' for name in names]
        body = f'{{"Successful":[{",".join(entries)}]}}'
        head = (
            "HTTP/1.1 200 OK\r\ncontent-type: application/x-amz-json-1.0\r\n"
            f"x-amzn-requestid: {ident}\r\ncontent-length: {len(body)}\r\n\r\n"
        )
        self._sheet = _Sheet((head + body).encode())
        self._count = len(names)
        size, step = len(head) + len(body), len(entries[0]) + 1
        cells, first = self._sheet.column(0, size), len(head) + body.index(entries[0])

        def column(at: int, width: int, count: int) -> Texts:
            return np.ndarray((AT_ONCE, count), f"V{width}", cells, at, (size, step))

        self._requests = column(head.index(ident), ID_WIDTH, 1)
        self._idents = column(first + entries[0].index(ident), ID_WIDTH, self._count)
        self._digests = column(first + entries[0].index(digest), DIGEST_WIDTH, self._count)

    def render(self, idents: Texts, digests: Texts) -> list[bytes]:
        """Return answers, head and all, with these digests; there is an id for each, and one more for each answer."""
        rows = digests.size // self._count
        self._requests[:rows, 0] = idents[:rows]
        self._idents[:rows] = idents[rows:].reshape(rows, self._count)
        self._digests[:rows] = digests.reshape(rows, self._count)
        return self._sheet.texts(rows)


def unescaped(text: bytes) -> bytes:
    """Return what a string in JSON says, in which nothing but quotes is escaped."""
    return text.replace(b'\\"', b'"')
