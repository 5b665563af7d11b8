"""Heads of requests in, columns out: whose device token, which index, and what is wrong with them.

A block's unchanging fields are checked once for all blocks of its shape; device token and id are checked by column,
and rows that are not as they should be are looked at one by one.
"""

from __future__ import annotations

import binascii
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np

from burst.model.batch import Int64Column, UInt8Column
from burst.model.identity import FOREIGN, ID_WIDTH, NOTIFICATION, TRACER, id_prefix, read_ids
from burst.model.units import NS_PER_S
from burst.provider.fate import UInt64Column, token_key, token_keys
from burst.provider.refusal import Refusal, refusal
from burst.wire.h2_server import Heads
from burst.wire.hpack import Field
from burst.wire.huffman import huffman_decode, huffman_decode_rows
from burst.wire.layout import Layout, Rows

TRACERS = -2  # the index of a tracer
PATH = b"/3/device/"
_PATH = np.frombuffer(PATH, dtype=np.uint8)
_GOOD_PATH = PATH + b"0" * 64
_GOOD_ID = b"00000000-0000-4000-8000-000000000000"
_CHECK_EVERY_NS = NS_PER_S  # a provider token that was good a second ago may have expired
_MOST_VALUES = 1024

COLUMNS: dict[str, type] = {
    "index": np.int64,  # FOREIGN, TRACERS, or a person
    "key": np.uint64,  # of the device token
    "refused": np.uint8,  # number of a refusal of ``Intake.refusals``, 0 for none
    "largest": np.uint16,  # bytes of payload that are allowed
    "code": np.uint16,  # what its answer will be, once that is decided
}

#: Fields of a request, and whether its connection showed a client certificate.
Check = Callable[[Mapping[bytes, bytes], bool], Refusal | None]


@dataclass(slots=True)
class Plan:
    """What was worked out for a layout: the columns to look at, and verdicts by the values of the others."""

    path: Field | None
    ident: Field | None
    others: tuple[Field, ...]
    verdicts: dict[tuple[bytes, ...], tuple[int, int]] = field(default_factory=dict)  # refusal, checked at


@dataclass(frozen=True, slots=True)
class Facts:
    """Columns of what heads say; ``ids`` are the apns-ids as they were given, b"" where there were none."""

    index: Int64Column
    key: UInt64Column
    refused: UInt8Column
    largest: int
    ids: Rows | None


class Intake:
    """Reads heads for one run. ``check`` says what is wrong with a request's fields, as the real provider would."""

    def __init__(self, run: str, check: Check, duplicate: Callable[[list[bytes]], bool], largest: int) -> None:
        self._prefix = id_prefix(run, NOTIFICATION)
        self._tracer = id_prefix(run, TRACER)
        self._check = check
        self._duplicate = duplicate
        self._largest = largest
        self._shown = False
        self.refusals: list[Refusal | None] = [None]
        self._numbers: dict[Refusal, int] = {}

    def inherit(self, before: Intake) -> None:
        """Take over the numbers of another's refusals: answers that wait still carry them."""
        self.refusals, self._numbers = before.refusals, before._numbers

    def number_of(self, found: Refusal | None) -> int:
        """Return the number of a refusal, 0 for none."""
        if found is None:
            return 0
        number = self._numbers.get(found)
        if number is None:
            if len(self.refusals) > 255:  # every reason has its number long before
                return 1
            number = self._numbers[found] = len(self.refusals)
            self.refusals.append(found)
        return number

    def read(self, heads: Heads, now_ns: int, *, certificate: bool = False) -> Facts:
        """Return what these heads say; ``certificate`` tells that their connection showed one."""
        self._shown = certificate
        if heads.layout is None:
            return self._read_one(heads.fields)
        plan = heads.layout.note
        if plan is None:
            plan = heads.layout.note = _plan_of(heads.layout)
        return self._read_rows(heads.layout, plan, heads.blocks, now_ns)

    # -- one -------------------------------------------------------------------------------------------------------

    def _read_one(self, fields: tuple[Field, ...]) -> Facts:
        mapping = {one.name: one.value for one in fields}
        if len(mapping) < len(fields) and self._duplicate([one.name for one in fields]):
            number = self.number_of(refusal("DuplicateHeaders"))
        else:
            number = self.number_of(self._check(mapping, self._shown))
        ident = mapping.get(b"apns-id", b"")
        digits = mapping.get(b":path", b"").removeprefix(PATH)
        row = np.frombuffer(ident, dtype=np.uint8).reshape(1, -1) if len(ident) == ID_WIDTH else None
        return Facts(
            np.array([FOREIGN]) if row is None else self._indexes(row),
            np.array([token_key(digits)], dtype=np.uint64),
            np.array([number], dtype=np.uint8),
            self._limit_of(mapping.get(b"apns-push-type", b"")),
            row,
        )

    def _limit_of(self, push_type: bytes) -> int:
        # Apple: 5 KB for VoIP, 4 KB for all else.
        return self._largest + 1024 if push_type == b"voip" else self._largest

    def _indexes(self, rows: Rows) -> Int64Column:
        indexes = read_ids(rows, self._prefix)
        if (indexes == FOREIGN).any():
            tracers = read_ids(rows, self._tracer) != FOREIGN
            indexes = np.where(tracers, TRACERS, indexes)
        return indexes

    # -- many ------------------------------------------------------------------------------------------------------

    def _read_rows(self, layout: Layout, plan: Plan, blocks: Rows, now_ns: int) -> Facts:
        count = blocks.shape[0]
        refused = np.empty(count, dtype=np.uint8)
        refused[:] = self._others(layout, plan, blocks, now_ns)
        ids: Rows | None = None
        index = np.full(count, FOREIGN, dtype=np.int64)
        if plan.ident is None:
            given = layout.constants.get(b"apns-id", b"")
            if len(given) == ID_WIDTH:
                ids = np.broadcast_to(np.frombuffer(given, dtype=np.uint8), (count, ID_WIDTH))
                index[:] = self._indexes(ids[:1])[0]
        else:
            texts, lengths = _texts(plan.ident, blocks)
            if texts.shape[1] >= ID_WIDTH and (lengths is None or (lengths == ID_WIDTH).all()):
                ids = texts[:, :ID_WIDTH]
                index = self._indexes(ids)
                strangers = index == FOREIGN
                if strangers.any():
                    self._one_by_one(layout, blocks, strangers, refused)
            else:
                self._one_by_one(layout, blocks, np.ones(count, dtype=np.bool_), refused)
        key = self._keys(layout, plan, blocks, refused)
        push_type = layout.constants.get(b"apns-push-type", b"")
        return Facts(index, key, refused, self._limit_of(push_type), ids)

    def _keys(self, layout: Layout, plan: Plan, blocks: Rows, refused: UInt8Column) -> UInt64Column:
        count = blocks.shape[0]
        if plan.path is None:
            digits = layout.constants.get(b":path", b"").removeprefix(PATH)
            return np.full(count, token_key(digits), dtype=np.uint64)
        texts, lengths = _texts(plan.path, blocks)
        if lengths is not None and not (lengths == lengths[0]).all():
            return self._keys_by_width(layout, blocks, texts, lengths, refused)
        width = texts.shape[1] if lengths is None else int(lengths[0])
        return self._keys_of_width(layout, blocks, texts[:, : max(width, 0)], refused)

    def _keys_by_width(
        self, layout: Layout, blocks: Rows, texts: Rows, lengths: Int64Column, refused: UInt8Column
    ) -> UInt64Column:
        keys = np.zeros(blocks.shape[0], dtype=np.uint64)
        for width in np.unique(lengths).tolist():
            mine = lengths == width
            part = refused[mine]
            keys[mine] = self._keys_of_width(layout, blocks[mine], texts[mine, : max(width, 0)], part)
            refused[mine] = part
        return keys

    def _keys_of_width(self, layout: Layout, blocks: Rows, paths: Rows, refused: UInt8Column) -> UInt64Column:
        """Return keys of paths of one width; those that are no device's are looked at one by one."""
        digits = paths[:, len(PATH) :]
        good = 64 <= digits.shape[1] <= 200 and digits.shape[1] % 2 == 0
        if good and (paths[:, : len(PATH)] == _PATH).all() and _all_hex(digits):
            return token_keys(digits)
        self._one_by_one(layout, blocks, np.ones(blocks.shape[0], dtype=np.bool_), refused)
        return np.array([token_key(row.tobytes()) for row in digits], dtype=np.uint64)

    def _others(self, layout: Layout, plan: Plan, blocks: Rows, now_ns: int) -> int | UInt8Column:
        """Return the verdict on everything but device token and id: one for all, or a column."""
        for one in plan.others:
            span = blocks[:, one.start : one.stop]
            if (span != span[0]).any():
                verdicts = np.zeros(blocks.shape[0], dtype=np.uint8)
                self._one_by_one(layout, blocks, np.ones(blocks.shape[0], dtype=np.bool_), verdicts)
                return verdicts
        values = tuple([blocks[0, one.start : one.stop].tobytes() for one in plan.others])
        known = plan.verdicts.get(values)
        if known is not None and now_ns - known[1] < _CHECK_EVERY_NS:
            return known[0]
        mapping = dict(layout.constants)
        for one, value in zip(plan.others, values, strict=True):
            mapping[one.name] = huffman_decode(value) if one.huffman else value
        if plan.path is not None:
            mapping[b":path"] = _GOOD_PATH
        if plan.ident is not None:
            mapping[b"apns-id"] = _GOOD_ID
        number = self.number_of(self._check(mapping, self._shown))
        if len(plan.verdicts) >= _MOST_VALUES:
            plan.verdicts.clear()
        plan.verdicts[values] = (number, now_ns)
        return number

    def _one_by_one(self, layout: Layout, blocks: Rows, which: np.ndarray, refused: UInt8Column) -> None:
        for at in np.flatnonzero(which & (refused == 0)).tolist():
            fields = layout.row_fields(blocks[at])
            mapping = {
                one.name: huffman_decode(one.value) if one.huffman and one.start >= 0 else one.value for one in fields
            }
            refused[at] = self.number_of(self._check(mapping, self._shown))


def _plan_of(layout: Layout) -> Plan:
    columns = dict(layout.columns)
    path, ident = columns.pop(b":path", None), columns.pop(b"apns-id", None)
    return Plan(path, ident, tuple(columns.values()))


def _texts(one: Field, blocks: Rows) -> tuple[Rows, Int64Column | None]:
    """Return a field's values, shape (k, width), and their lengths, None when all are as wide as that."""
    span = blocks[:, one.start : one.stop]
    return huffman_decode_rows(span) if one.huffman else (span, None)


def _all_hex(digits: Rows) -> bool:
    try:
        binascii.unhexlify(digits.tobytes())
    except binascii.Error:
        return False
    return True
