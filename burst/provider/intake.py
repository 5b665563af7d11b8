"""Heads of requests in, columns out: whose device token, which index, and what is wrong with them.

A block's unchanging fields are checked once for all blocks of its shape; device token and id are checked by column,
and rows that are not as they should be are looked at one by one.
"""

from __future__ import annotations

import binascii
from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np

from burst.model.batch import Int64Column, UInt8Column
from burst.model.identity import FOREIGN, ID_WIDTH, read_ids
from burst.provider.fate import UInt64Column, token_key, token_keys
from burst.provider.loose import (
    CHECK_EVERY_NS,
    GOOD_ID,
    GOOD_PATH,
    MOST_VALUES,
    PATH,
    TRACERS,
    Caller,
    Facts,
    LooseIntake,
    Mask,
    UInt32Column,
    Verdict,
)
from burst.wire.h2_server import Heads
from burst.wire.hpack import Field
from burst.wire.hpack_error import HpackError
from burst.wire.huffman import huffman_decode, huffman_decode_rows
from burst.wire.layout import Layout, Rows

_PATH = np.frombuffer(PATH, dtype=np.uint8)
_SHORT = 64  # a collapse id of so many bytes is good, whatever it says
#: What ``apple.check_head`` reads.
_CHECKED = frozenset(
    (b"authorization", b"apns-push-type", b"apns-priority", b"apns-expiration", b"apns-collapse-id", b"apns-topic")
)
_IS_HEX = np.isin(np.arange(256), np.frombuffer(b"0123456789abcdefABCDEF", dtype=np.uint8))
_DASHES = [8, 13, 18, 23]
_DIGITS = [at for at in range(ID_WIDTH) if at not in _DASHES]

COLUMNS: dict[str, type] = {
    "index": np.int64,  # FOREIGN, TRACERS, or a person
    "key": np.uint64,  # of the device token
    "refused": np.uint8,  # number of a refusal of ``Intake.refusals``, 0 for none
    "largest": np.uint32,  # bytes of payload that are allowed
    "code": np.uint16,  # what its answer will be, once that is decided
}


@dataclass(slots=True)
class Plan:
    """What was worked out for a layout: the columns to look at, and verdicts by the values of the others."""

    path: Field | None
    ident: Field | None
    others: tuple[Field, ...]
    verdicts: dict[tuple[bytes, ...], Verdict] = field(default_factory=dict)


class Intake(LooseIntake):
    """Reads heads for one run. ``check`` says what is wrong with a request's fields, as the real provider would.

    Attributes
    ----------
    checked : fields that ``check`` reads, beside those of its own: what other columns say changes no verdict
    ident : the field that says whose request it is
    """

    checked: ClassVar[frozenset[bytes]] = _CHECKED
    ident: ClassVar[bytes] = b"apns-id"

    def read(self, heads: Heads, now_ns: int, caller: Caller) -> Facts:
        """Return what these heads say."""
        self._caller = caller
        plan = heads.layout.note
        if plan is None:
            plan = heads.layout.note = self._plan_of(heads.layout)
        return self._read_rows(heads.layout, plan, heads.blocks, now_ns)

    def _plan_of(self, layout: Layout) -> Plan:
        columns, own = layout.columns, self.own
        others = [one for name, one in columns.items() if name in self.checked and not _surely_short(one)]
        return Plan(columns.get(b":path") if b":path" in own else None, columns.get(self.ident), tuple(others))

    def _indexes(self, rows: Rows) -> Int64Column:
        indexes = read_ids(rows, self._prefix)
        if (indexes == FOREIGN).any():
            tracers = read_ids(rows, self._tracer) != FOREIGN
            indexes = np.where(tracers, TRACERS, indexes)
        return indexes

    # -- many ------------------------------------------------------------------------------------------------------

    def _read_rows(self, layout: Layout, plan: Plan, blocks: Rows, now_ns: int) -> Facts:
        refused = np.empty(blocks.shape[0], dtype=np.uint8)
        refused[:], largest = self._others(layout, plan, blocks, now_ns)
        index, ids, has_id = self._read_ids(layout, plan, blocks)
        key, good = self._keys(layout, plan, blocks)
        if good is not None or has_id is not True:
            # Which fault counts, when there are several, is for the whole check to say.
            doubtful = np.zeros(refused.size, dtype=np.bool_)
            if good is not None:
                doubtful |= ~good
            if ids is not None or plan.ident is not None:
                doubtful |= ~np.asarray(has_id)
            for at in np.flatnonzero(doubtful).tolist():
                refused[at] = self._whole_check(layout, blocks[at])
        return Facts(index, key, refused, largest, ids, has_id)

    def _read_ids(self, layout: Layout, plan: Plan, blocks: Rows) -> tuple[Int64Column, Rows | None, Mask | bool]:
        """Return indexes, apns-ids, and where these are UUIDs."""
        count = blocks.shape[0]
        if plan.ident is None:
            given = np.frombuffer(layout.constants.get(self.ident, b""), dtype=np.uint8)
            if given.size != ID_WIDTH or not _are_uuids(given.reshape(1, -1)).all():
                return np.full(count, FOREIGN, dtype=np.int64), None, False
            index = np.full(count, self._indexes(given.reshape(1, -1))[0])
            return index, np.broadcast_to(given, (count, ID_WIDTH)), True
        texts, lengths = texts_of(plan.ident, blocks)
        if texts.shape[1] < ID_WIDTH or (lengths is None and texts.shape[1] > ID_WIDTH):
            return np.full(count, FOREIGN, dtype=np.int64), None, False
        ids = texts[:, :ID_WIDTH]
        index = self._indexes(ids)
        strangers = index == FOREIGN
        if lengths is not None:
            strangers |= lengths != ID_WIDTH
            index = np.where(strangers, FOREIGN, index)
        if not strangers.any():
            return index, ids, True
        has_id = np.ones(count, dtype=np.bool_)
        has_id[strangers] = _are_uuids(ids[strangers])
        if lengths is not None:
            has_id &= lengths == ID_WIDTH
        return index, ids, True if has_id.all() else has_id

    def _keys(self, layout: Layout, plan: Plan, blocks: Rows) -> tuple[UInt64Column, Mask | None]:
        """Return keys of device tokens, and which rows have a path with a token; None where all do."""
        count = blocks.shape[0]
        if plan.path is None:  # then the verdict on all other fields is on this too
            digits = layout.constants.get(b":path", b"").removeprefix(PATH)
            return np.full(count, token_key(digits), dtype=np.uint64), None
        texts, lengths = texts_of(plan.path, blocks)
        if lengths is None:
            return _keys_of_width(texts)
        keys, good = np.zeros(count, dtype=np.uint64), np.ones(count, dtype=np.bool_)
        for width in np.unique(lengths).tolist():
            mine = lengths == width
            keys[mine], fit = _keys_of_width(texts[mine, :width])
            if fit is not None:
                good[mine] = fit
        return keys, None if good.all() else good

    def _others(
        self, layout: Layout, plan: Plan, blocks: Rows, now_ns: int
    ) -> tuple[int | UInt8Column, int | UInt32Column]:
        """Return the verdict on everything but device token and id, and the largest payload: for all, or columns."""
        spans = [blocks[:, one.start : one.stop] for one in plan.others]
        if all((span == span[0]).all() for span in spans):
            verdict = self._verdict(layout, plan, tuple([span[0].tobytes() for span in spans]), now_ns)
            return verdict.refused, verdict.largest
        together = np.ascontiguousarray(np.concatenate(spans, axis=1))
        as_text = together.view(f"S{together.shape[1]}").reshape(-1)
        _, first, inverse = np.unique(as_text, return_index=True, return_inverse=True)
        verdicts = [
            self._verdict(layout, plan, tuple([span[at].tobytes() for span in spans]), now_ns) for at in first.tolist()
        ]
        refused = np.array([verdict.refused for verdict in verdicts], dtype=np.uint8)
        largest = np.array([verdict.largest for verdict in verdicts], dtype=np.uint32)
        return refused[inverse], largest[inverse]

    def _verdict(self, layout: Layout, plan: Plan, values: tuple[bytes, ...], now_ns: int) -> Verdict:
        """Return the verdict for values of ``plan.others``, worked out at most once a second."""
        known = plan.verdicts.get(values)
        if known is not None and now_ns - known.checked_ns < CHECK_EVERY_NS:
            return known
        mapping = dict(layout.constants)
        for one, value in zip(plan.others, values, strict=True):
            mapping[one.name] = huffman_decode(value) if one.huffman else value
        if plan.path is not None:
            mapping[b":path"] = GOOD_PATH
        if plan.ident is not None:
            mapping[self.ident] = GOOD_ID
        number = self.number_of(self._check(mapping, self._caller))
        if len(plan.verdicts) >= MOST_VALUES:
            plan.verdicts.clear()
        verdict = Verdict(number, self._limit_of(mapping.get(b"apns-push-type", b"")), now_ns)
        plan.verdicts[values] = verdict
        return verdict

    def _whole_check(self, layout: Layout, block: UInt8Column) -> int:
        mapping = {
            one.name: huffman_decode(one.value) if one.huffman and one.start >= 0 else one.value
            for one in layout.row_fields(block)
        }
        return self.number_of(self._check(mapping, self._caller))


def _surely_short(one: Field) -> bool:
    """Say whether any collapse id that stands here is short enough; in Huffman code five bits are one byte at least."""
    width = one.stop - one.start
    return one.name == b"apns-collapse-id" and (width * 8 // 5 if one.huffman else width) <= _SHORT


def texts_of(one: Field, blocks: Rows) -> tuple[Rows, Int64Column | None]:
    """Return a field's values, shape (k, width), and their lengths, None when all are as wide as that.

    Raises HpackError where one is no Huffman code.
    """
    span = blocks[:, one.start : one.stop]
    if not one.huffman:
        return span, None
    alike = bool((span == span[0]).all())  # a load tester often says one thing only
    texts, lengths = huffman_decode_rows(span[:1] if alike else span)
    if (lengths < 0).any():
        raise HpackError("a value that is no Huffman code")
    if alike:
        return np.broadcast_to(texts[:, : lengths[0]], (span.shape[0], int(lengths[0]))), None
    return texts, lengths


def _keys_of_width(paths: Rows) -> tuple[UInt64Column, Mask | None]:
    """Return keys of the device tokens in paths of one width, and which paths have one; None where all do."""
    digits = paths[:, len(PATH) :]
    keys = token_keys(digits)
    if not 64 <= digits.shape[1] <= 200 or digits.shape[1] % 2:
        return keys, np.zeros(paths.shape[0], dtype=np.bool_)
    good: Mask = (paths[:, : len(PATH)] == _PATH).all(axis=1)
    if good.all() and _all_hex(digits):
        return keys, None
    good &= _IS_HEX[digits].all(axis=1)
    return keys, good


def _all_hex(digits: Rows) -> bool:
    try:
        binascii.unhexlify(digits.tobytes())
    except binascii.Error:
        return False
    return True


def _are_uuids(rows: Rows) -> Mask:
    """Say which rows (k, 36) are UUIDs in their usual form."""
    fit: Mask = (rows[:, _DASHES] == ord("-")).all(axis=1)
    fit &= _IS_HEX[rows[:, _DIGITS]].all(axis=1)
    return fit
