"""Batches that look like one that was read before: whoever sends thousands of them writes each alike.

Two forms that differ in hex digits alone have everything in the same places. Where all but what stands in the messages
is then the same, byte by byte, and each message names one person at the same place and nobody elsewhere, they are
read by those places alone.
"""

from __future__ import annotations

import re
from binascii import unhexlify
from dataclasses import dataclass

import numpy as np

from burst.model.batch import Int64Column
from burst.provider.sns_batch import Plan

_HEX_DIGITS = bytes.maketrans(b"0123456789abcdef", b"0" * 16)
_MOST = 64
_LONGEST = 65_536
_PREFIX, _DIGITS = 24, 12  # of an id
_VALUES = re.compile(rb"[^=&]+=?([^&]*)").finditer


@dataclass(frozen=True, slots=True)
class Layout:
    """Where everything stands: ``fixed`` is the same in all of them, ``digits`` are those of the indexes."""

    arn: bytes
    ids: list[str]
    fixed: tuple[tuple[slice, bytes], ...]
    digits: tuple[slice, ...]

    def people(self, body: bytes) -> Int64Column:
        """Return whom the messages are for."""
        raw = unhexlify(b"0000" + b"0000".join([body[place] for place in self.digits]))
        return np.frombuffer(raw, dtype=">u8").astype(np.int64)


class Layouts:
    """The layouts of one run's batches."""

    def __init__(self, prefix: bytes) -> None:
        """``prefix`` is what the ids of the run begin with."""
        self._prefix = prefix
        self._known: dict[bytes, Layout] = {}

    def find(self, body: bytes) -> Layout | None:
        """Return a batch's layout if one of its kind was learnt."""
        layout = self._known.get(body.translate(_HEX_DIGITS)) if len(body) <= _LONGEST else None
        if layout is None:
            return None
        for place, text in layout.fixed:
            if body[place] != text:
                return None
        return layout if body.count(self._prefix) == len(layout.digits) else None

    def learn(self, body: bytes, plan: Plan, arn: bytes, ids: list[str]) -> None:
        """Learn a batch of plain messages that name one person each; nothing is wrong with it."""
        if len(body) > _LONGEST:
            return
        if len(self._known) >= _MOST:
            self._known.clear()
        values = [match.span(1) for match in _VALUES(body)]
        fixed: list[slice] = []
        digits: dict[int, slice] = {}
        at = 0
        for start, stop in sorted(values[entry[b"Message"]] for entry in plan.entries):
            ident = body.index(self._prefix, start, stop)
            fixed += [slice(at, start), slice(ident, ident + _PREFIX)]
            digits[start] = slice(ident + _PREFIX, ident + _PREFIX + _DIGITS)
            at = stop
        fixed.append(slice(at, len(body)))
        places = tuple(digits[values[entry[b"Message"]][0]] for entry in plan.entries)
        layout = Layout(arn, ids, tuple((place, body[place]) for place in fixed), places)
        self._known[body.translate(_HEX_DIGITS)] = layout
