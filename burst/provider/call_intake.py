"""Heads of calls that are not Apple's: nothing in them differs from call to call but, with some, whom they are for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import ClassVar

import numpy as np

from burst.model.identity import FOREIGN
from burst.provider.body_shapes import BodyShapes, Reading
from burst.provider.crowds import Crowds
from burst.provider.dialect import Reply
from burst.provider.fate import UInt64Column, token_key
from burst.provider.intake import Intake, Plan, texts_of
from burst.provider.loose import Check, Fact, LooseIntake, Mask
from burst.provider.refusal import Refusal
from burst.wire.hpack_table import Pair
from burst.wire.layout import Layout, Rows

_MOST_REFUSALS = 250  # numbers are bytes, and some must be left for those without which nothing goes
#: A "refusal" that is none: the call is no notification, and is answered by itself.
ASIDE = Refusal(0, "aside", b"")


class CallIntake(Intake):
    """Reads heads; ``key`` of what it returns is a number for the path. ``any_fault`` is said where all else fails."""

    own: ClassVar[Mapping[bytes, bytes]] = {}
    checked: ClassVar[frozenset[bytes]] = frozenset((b":path", b"authorization"))
    ident: ClassVar[bytes] = b""
    reads_all = True  # whether bodies matter where their heads have said whom they are for

    def __init__(self, run: str, check: Check, largest: int, any_fault: Refusal) -> None:
        super().__init__(run, check, _never, largest)
        self._any_fault = any_fault
        self.crowds = Crowds()
        self.shapes = BodyShapes(run, self.read_body)

    def read_body(self, body: bytes) -> Reading:
        """Read one body in full."""
        raise NotImplementedError

    def read_long(self, body: bytes) -> Reading:
        """Read the first bytes of a body that is longer than what is kept."""
        return self.read_body(body)

    def answer_aside(self, body: bytes) -> Reply:
        """Answer a call that is no notification."""
        raise NotImplementedError

    def inherit(self, before: LooseIntake) -> None:
        """Take over what calls under way carry the numbers of."""
        super().inherit(before)
        assert isinstance(before, CallIntake)
        self.crowds = before.crowds

    @property
    def aside(self) -> int:
        """The number of ``ASIDE``."""
        return self.number_of(ASIDE)

    def number_of(self, found: Refusal | None) -> int:
        """Return the number of a refusal, 0 for none; of one too many, that of the commonest."""
        if found is not None and len(self.refusals) > _MOST_REFUSALS and found not in self._numbers:
            found = self._any_fault
        return super().number_of(found)

    def _limit_of(self, push_type: bytes) -> int:  # noqa: ARG002 (Apple's)
        return self._largest

    def _keys(
        self,
        layout: Layout,
        plan: Plan,  # noqa: ARG002 (Apple's)
        blocks: Rows,
    ) -> tuple[UInt64Column, Mask | None]:
        count, one = blocks.shape[0], layout.columns.get(b":path")
        if one is None:
            return np.full(count, token_key(layout.constants.get(b":path", b"")), dtype=np.uint64), None
        texts, lengths = texts_of(one, blocks)
        if lengths is None and bool((texts == texts[0]).all()):
            return np.full(count, token_key(texts[0].tobytes()), dtype=np.uint64), None
        rows = [row.tobytes() for row in texts]
        if lengths is not None:
            rows = [row[:length] for row, length in zip(rows, lengths.tolist(), strict=True)]
        return np.array([token_key(row) for row in rows], dtype=np.uint64), None

    def _read_one(self, fields: Sequence[Pair], now_ns: int) -> Fact:
        mapping = dict(fields)
        refused, largest, _ = self._verdict_on_others(fields, mapping, now_ns)
        return Fact(FOREIGN, mapping.get(b":path", b""), refused, largest, b"")


def _never(names: list[bytes]) -> bool:  # noqa: ARG001 (a field given twice is no matter)
    return False


def bodiless(found: Refusal | None) -> Refusal | None:
    """Return a refusal as HEAD is told it (RFC 9110, section 9.3.2)."""
    return None if found is None else replace(found, body=b"")
