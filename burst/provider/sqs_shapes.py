"""Calls of one shape: the same bytes but for a signature, and in each body a person's id and what else is plain text.

A call is read in full once and its shape learned: where its bodies differ from each other. A later call of that length
whose other bytes are the same asks the same, of other people: its head needs no reading and its JSON no parser. In the
places nothing may stand but letters, digits and ``_:-``, which JSON never escapes, so that its bodies are what the
first call's were but for these. A head has its signature's second in it: a client's shape is learned once a second.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from burst.model.identity import ID_WIDTH
from burst.model.units import NS_PER_MS
from burst.provider.sqs_columns import PLAIN, AnswerColumns, CallColumns, unescaped
from burst.provider.sqs_queues import Queue
from burst.wire.sigv4_verify import Ready

_IS_PLAIN = np.isin(np.arange(256), np.frombuffer(PLAIN, dtype=np.uint8))
_SIGNATURE = re.compile(rb"Signature=([0-9a-f]{64})\r\n")
_BODIES = re.compile(rb'"MessageBody":"((?:[^"\\]|\\.)*+)"')
_PREFIX, _MARK = 24, 6  # characters of an id before its index, and the last of them, which are rare enough
_BACKSLASH = 0x5C
_LEARN_EVERY_NS = 20 * NS_PER_MS  # to learn takes 0.3 ms: where nothing is like another, a hundredth of the time
_MOST = 64


@dataclass(frozen=True, slots=True, eq=False)
class Shape:
    """What calls of a shape have in common. ``start`` is their head as far as the signature."""

    start: bytes
    size: int  # bytes, head and all
    head: int
    signature: slice
    calls: CallColumns
    answers: AnswerColumns
    queue: Queue
    ready: Ready


class Shapes:
    """The shapes known, by their length; ``prefix`` is what ids of the run begin with."""

    def __init__(self, prefix: bytes) -> None:
        self._prefix = prefix
        self._known: dict[int, Shape] = {}
        self._learn_ns = 0

    def of(self, size: int) -> Shape | None:
        """Return the shape of calls of a length, head and all."""
        return self._known.get(size)

    def may_learn(self, now_ns: int) -> bool:
        """Say whether it is time to learn another."""
        return now_ns >= self._learn_ns

    def learn(
        self, data: bytes, bodies: Sequence[bytes], names: Sequence[str], queue: Queue, ready: Ready, now_ns: int
    ) -> None:
        """Learn a call that was read in full: one person in each of its bodies."""
        self._learn_ns = now_ns + _LEARN_EVERY_NS
        shape = self._shape(data, bodies, names, queue, ready)
        if shape is not None:
            if len(self._known) >= _MOST:
                self._known.clear()
            self._known[len(data)] = shape

    def _shape(
        self, data: bytes, bodies: Sequence[bytes], names: Sequence[str], queue: Queue, ready: Ready
    ) -> Shape | None:
        head = data.index(b"\r\n\r\n") + 4
        signatures = list(_SIGNATURE.finditer(data, 0, head))
        spans = [found.span(1) for found in _BODIES.finditer(data, head)]
        if len(signatures) != 1 or len(spans) != len(bodies) or len({stop - start for start, stop in spans}) != 1:
            return None
        apart = {after - before for (before, _), (after, _) in pairwise(spans)}
        if len(apart) != 1 or len({len(name) for name in names}) != 1:
            return None
        within = self._places(np.array([list(data[start:stop]) for start, stop in spans], dtype=np.uint8))
        if within is None or [unescaped(data[start:stop]) for start, stop in spans] != list(bodies):
            return None  # or something else than quotes is escaped
        signature = signatures[0].span(1)
        calls = CallColumns(data, signature, spans, *within, self._prefix[-_MARK:])
        start = data[: signature[0]]
        return Shape(start, len(data), head, slice(*signature), calls, AnswerColumns(names), queue, ready)

    def _places(self, rows: np.ndarray) -> tuple[list[tuple[int, int]], int] | None:
        """Return where bodies (uint8, one a row) differ, and which of these places is the index."""
        start = rows[0].tobytes().find(self._prefix)
        if start < 0:
            return None
        differ, plain = (rows != rows[0]).any(axis=0), _IS_PLAIN[rows].all(axis=0)
        digits = start + _PREFIX, start + ID_WIDTH
        plain[start : digits[0]] = False
        differ[slice(*digits)] = True
        if (differ & ~plain).any():
            return None
        edges = np.flatnonzero(np.diff(np.concatenate(([False], plain, [False])).astype(np.int8))).tolist()
        runs = [run for run in zip(edges[::2], edges[1::2], strict=True) if differ[slice(*run)].any()]
        if digits not in runs or any(lo and rows[0, lo - 1] == _BACKSLASH for lo, _ in runs):
            return None
        return runs, runs.index(digits)
