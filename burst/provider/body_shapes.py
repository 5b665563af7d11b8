"""Bodies of one length as columns: what stands still in them, where the device token stands, and where the id.

A body is read once in full, and its shape learned: the places of token and id, proved by reading it again with others
there. Later bodies of that length whose other bytes are the same say the same but for these two, which are read by
column; any row of which that is not certain is read in full.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from burst.model.batch import Int64Column, UInt8Column
from burst.model.identity import FOREIGN, ID_WIDTH, NOTIFICATION, TRACER, id_prefix, read_ids
from burst.provider.fate import UInt64Column, token_key, token_keys
from burst.provider.loose import TRACERS, Mask
from burst.wire.layout import Rows

_MOST_SHAPES = 8  # of one length
_MOST_LENGTHS = 512
_LEARNED_AT_ONCE = 2  # shapes in one group: where no two bodies are alike, to learn each would be twice the work
_WORTH = 4  # rows, without which nothing is learned
#: What a token that is read by column may be made of: nothing that JSON would escape, or that would end it.
PLAIN = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_:-"
_OTHER = bytes.maketrans(PLAIN, PLAIN[1:] + PLAIN[:1])
_INDEX_AT = 24  # characters of an id before its index


class Reading(NamedTuple):
    """What one body says: the device's token, a person (``FOREIGN``, ``TRACERS``, a crowd), a refusal's number.

    ``alike`` tells whether bodies of this shape all say so but for token and id; ``own_token`` whether the token is
    one of many: any other of its length, in plain characters, would do as well.
    """

    token: bytes
    person: int
    refused: int
    alike: bool = True
    own_token: bool = True


@dataclass(frozen=True, slots=True)
class Readings:
    """Columns of what bodies say."""

    index: Int64Column
    key: UInt64Column
    refused: UInt8Column


#: Reads one body in full.
ReadOne = Callable[[bytes], Reading]


@dataclass(slots=True, eq=False)
class Shape:
    """A shape of bodies: spans that stand still, and the two that need not (None: the same in all)."""

    fixed: list[tuple[int, int, UInt8Column]]
    token: tuple[int, int] | None
    ident: int | None
    reading: Reading
    key: int

    def matches(self, rows: Rows) -> Mask | None:
        """Return which rows have this shape; None when all do."""
        mask: Mask | None = None
        for start, stop, expected in self.fixed:
            same = rows[:, start:stop] == expected
            if not same.all():
                found: Mask = same.all(axis=1)
                mask = found if mask is None else mask & found
        return mask


class BodyShapes:
    """The shapes known, by length, of one run's bodies."""

    def __init__(self, run: str, read_one: ReadOne) -> None:
        self._prefix = id_prefix(run, NOTIFICATION)
        self._tracer = id_prefix(run, TRACER)
        self._read_one = read_one
        self._by_length: dict[int, list[Shape]] = {}

    def read(self, rows: Rows) -> Readings:
        """Return what bodies (k, length) say."""
        count, length = rows.shape
        shapes = self._by_length.get(length)
        if shapes is not None and shapes[0].matches(rows) is None:
            found, doubtful = self._by_column(shapes[0], rows)
            if doubtful is not None:
                self._in_full(rows, np.flatnonzero(doubtful), found)
            return found
        found = Readings(
            np.empty(count, dtype=np.int64), np.empty(count, dtype=np.uint64), np.empty(count, dtype=np.uint8)
        )
        self._in_full(rows, self._by_shapes(rows, found), found)
        return found

    def _by_shapes(self, rows: Rows, found: Readings) -> Int64Column:
        """Read rows by shapes, known and learned; return the places of those that are left."""
        length = rows.shape[1]
        left = np.arange(rows.shape[0])
        doubts: list[Int64Column] = []
        tried = 0
        for shape in list(self._by_length.get(length, ())):
            left = self._take(shape, rows, left, found, doubts)
            if not left.size:
                break
        while left.size >= _WORTH and tried < _LEARNED_AT_ONCE:
            tried += 1
            shape_or_none = self._learn(rows[left[0]].tobytes())
            if shape_or_none is None:
                break
            before = left.size
            left = self._take(shape_or_none, rows, left, found, doubts)
            if before - left.size >= _WORTH:
                self._keep(length, shape_or_none)
        return np.concatenate([*doubts, left]) if doubts else left

    def _take(
        self, shape: Shape, rows: Rows, left: Int64Column, found: Readings, doubts: list[Int64Column]
    ) -> Int64Column:
        """Read those rows that have a shape; return the places of the others."""
        mask = shape.matches(rows[left])
        mine = left if mask is None else left[mask]
        if mine.size:
            some, doubtful = self._by_column(shape, rows[mine])
            found.index[mine], found.key[mine], found.refused[mine] = some.index, some.key, some.refused
            if doubtful is not None:
                doubts.append(mine[doubtful])
        return left[:0] if mask is None else left[~mask]

    def _in_full(self, rows: Rows, places: Int64Column, found: Readings) -> None:
        for at in places.tolist():
            reading = self._read_one(rows[at].tobytes())
            found.index[at] = reading.person
            found.key[at] = token_key(reading.token)
            found.refused[at] = reading.refused

    def _by_column(self, shape: Shape, rows: Rows) -> tuple[Readings, Mask | None]:
        """Return what rows of a shape say, and which of them must be read in full; None where none."""
        count = rows.shape[0]
        doubtful: Mask | None = None
        if shape.token is None:
            key = np.full(count, shape.key, dtype=np.uint64)
        else:
            tokens = np.ascontiguousarray(rows[:, shape.token[0] : shape.token[1]])
            key = token_keys(tokens)
            text = tokens.tobytes()
            if text.translate(None, PLAIN) or self._prefix in text or self._tracer in text:
                doubtful = np.ones(count, dtype=np.bool_)
        if shape.ident is None:
            index = np.full(count, shape.reading.person, dtype=np.int64)
        else:
            ids = rows[:, shape.ident : shape.ident + ID_WIDTH]
            index = read_ids(ids, self._prefix)
            if (index == FOREIGN).any():
                index = np.where(read_ids(ids, self._tracer) != FOREIGN, TRACERS, index)
            digits = ids[:, _INDEX_AT:]
            # An id is written in lower case.
            strange = (index == FOREIGN) | ((digits >= ord("A")) & (digits <= ord("F"))).any(axis=1)
            if strange.any():
                doubtful = strange if doubtful is None else doubtful | strange
        return Readings(index, key, np.full(count, shape.reading.refused, dtype=np.uint8)), doubtful

    # -- learning --------------------------------------------------------------------------------------------------

    def _learn(self, body: bytes) -> Shape | None:
        """Return the shape of a body, proved; None where it has none."""
        reading = self._read_one(body)
        if not reading.alike:
            return None
        spans: list[tuple[int, int]] = []
        token = self._place_of_token(body, reading)
        ident = self._place_of_id(body, reading)
        if token is not None:
            spans.append(token)
        if ident is not None:
            spans.append((ident, ident + ID_WIDTH))
        spans.sort()
        if len(spans) == 2 and spans[0][1] > spans[1][0]:
            return None
        column = np.frombuffer(body, dtype=np.uint8)
        edges = [0, *(edge for span in spans for edge in span), len(body)]
        fixed = [
            (start, stop, column[start:stop])
            for start, stop in zip(edges[::2], edges[1::2], strict=True)
            if stop > start
        ]
        return Shape(fixed, token, ident, reading, token_key(reading.token))

    def _place_of_token(self, body: bytes, reading: Reading) -> tuple[int, int] | None:
        token = reading.token
        start = body.find(token)
        if not reading.own_token or len(token) < 8 or start < 0 or token.translate(None, PLAIN):
            return None
        other = token.translate(_OTHER)
        again = self._read_one(body[:start] + other + body[start + len(token) :])
        return (start, start + len(token)) if again == reading._replace(token=other) else None

    def _place_of_id(self, body: bytes, reading: Reading) -> int | None:
        if reading.person < 0:
            return None
        start = body.find(self._prefix + b"%012x" % reading.person)
        if start < 0:
            return None
        other = reading.person ^ 1
        again = self._read_one(body[:start] + self._prefix + b"%012x" % other + body[start + ID_WIDTH :])
        return start if again == reading._replace(person=other) else None

    def _keep(self, length: int, shape: Shape) -> None:
        if len(self._by_length) >= _MOST_LENGTHS and length not in self._by_length:
            self._by_length.pop(next(iter(self._by_length)))
        shapes = self._by_length.setdefault(length, [])
        shapes.insert(0, shape)
        del shapes[_MOST_SHAPES:]
