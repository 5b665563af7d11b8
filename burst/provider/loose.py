"""Heads of requests that come one by one, each of its own shape: whose, for which device token, and what is wrong.

Some clients let each path enter the table of their header blocks (aioapns, k6), so that no two blocks are alike. Of
such a head all fields but device token and id are judged once for all that have them, like those of a shape.
"""

from __future__ import annotations

import binascii
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar, NamedTuple

import numpy as np
import numpy.typing as npt

from burst.model.batch import Int64Column, UInt8Column
from burst.model.identity import FOREIGN, ID_WIDTH, NOTIFICATION, TRACER, id_prefix
from burst.model.units import NS_PER_S
from burst.provider.fate import UInt64Column, token_key, token_keys
from burst.provider.refusal import Refusal, refusal
from burst.wire.hpack_table import Pair
from burst.wire.layout import Rows

TRACERS = -2  # the index of a tracer
PATH = b"/3/device/"
GOOD_PATH = PATH + b"0" * 64
GOOD_ID = b"00000000-0000-4000-8000-000000000000"
CHECK_EVERY_NS = NS_PER_S  # a provider token that was good a second ago may have expired
MOST_VALUES = 1024
_is_uuid = re.compile(rb"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}").fullmatch

Mask = npt.NDArray[np.bool_]
UInt32Column = npt.NDArray[np.uint32]


class Verdict(NamedTuple):
    """What follows from all fields but device token and id."""

    refused: int
    largest: int
    checked_ns: int


@dataclass(frozen=True, slots=True)
class Caller:
    """Whose requests these are: a connection's number, and whether it showed a client certificate.

    ``verdicts`` are those on the fields of heads that came one by one, beside device token and id.
    """

    serial: int
    certificate: bool = False
    verdicts: dict[tuple[Pair, ...], Verdict] = field(default_factory=dict, compare=False)


#: Says what is wrong with the fields of a request.
Check = Callable[[Mapping[bytes, bytes], Caller], Refusal | None]


@dataclass(frozen=True, slots=True)
class Facts:
    """Columns of what heads say.

    ``ids`` are the apns-ids as they were given, None where there were none; ``has_id`` tells where they are UUIDs.
    """

    index: Int64Column
    key: UInt64Column
    refused: UInt8Column
    largest: int | UInt32Column
    ids: Rows | None
    has_id: Mask | bool


class Fact(NamedTuple):
    """What one head says. ``ident`` is its apns-id where that is a UUID, else empty."""

    person: int
    digits: bytes
    refused: int
    largest: int
    ident: bytes


class LooseIntake:
    """Reads heads one by one. ``check`` says what is wrong with a request's fields, as the real provider would.

    Attributes
    ----------
    own : fields that differ from request to request, each with a value that is good
    empty, too_large : the refusals of bodies that are
    """

    own: ClassVar[Mapping[bytes, bytes]] = {b":path": GOOD_PATH, b"apns-id": GOOD_ID}
    empty: Refusal | None = refusal("PayloadEmpty")
    too_large: Refusal | None = refusal("PayloadTooLarge")

    def __init__(self, run: str, check: Check, duplicate: Callable[[list[bytes]], bool], largest: int) -> None:
        self._prefix = id_prefix(run, NOTIFICATION)
        self._tracer = id_prefix(run, TRACER)
        self._check = check
        self._duplicate = duplicate
        self._largest = largest
        self._caller = Caller(0)
        self.refusals: list[Refusal | None] = [None]
        self._numbers: dict[Refusal, int] = {}

    def inherit(self, before: LooseIntake) -> None:
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

    def read_loose(self, heads: Sequence[Sequence[Pair]], now_ns: int, caller: Caller) -> list[Fact]:
        """Return what heads say that came each by itself, their fields in full: of those no shape is known."""
        self._caller = caller
        return [self._read_one(fields, now_ns) for fields in heads]

    def _read_one(self, fields: Sequence[Pair], now_ns: int) -> Fact:
        mapping = dict(fields)
        path, ident = mapping.get(b":path", b""), mapping.get(b"apns-id")
        person = FOREIGN if ident is None else self._person(ident)
        fits = ident is None or person != FOREIGN or _is_uuid(ident) is not None
        refused, largest, _ = self._verdict_on_others(fields, mapping, now_ns)
        if not fits or not _is_good_path(path):
            refused = self._whole_check_of(fields, mapping)  # it says which fault counts, when there are several
        return Fact(person, path.removeprefix(PATH), refused, largest, ident or b"" if fits else b"")

    def _person(self, ident: bytes) -> int:
        """Return whose an id of this run is, ``TRACERS``, or ``FOREIGN``."""
        if len(ident) != ID_WIDTH or not ident.startswith((self._prefix, self._tracer)):
            return FOREIGN
        try:
            index = int.from_bytes(binascii.unhexlify(ident[len(self._prefix) :]), "big")
        except binascii.Error:
            return FOREIGN
        return index if ident.startswith(self._prefix) else TRACERS

    def _verdict_on_others(self, fields: Sequence[Pair], mapping: dict[bytes, bytes], now_ns: int) -> Verdict:
        """Return the verdict for all but device token and id, worked out at most once a second."""
        own = self.own
        others = tuple([pair for pair in fields if pair[0] not in own])
        verdicts = self._caller.verdicts
        known = verdicts.get(others)
        if known is not None and now_ns - known.checked_ns < CHECK_EVERY_NS and len(mapping) == len(fields):
            return known
        number = self._whole_check_of(fields, {name: own.get(name, value) for name, value in mapping.items()})
        if len(verdicts) >= MOST_VALUES:
            verdicts.clear()
        verdict = Verdict(number, self._limit_of(mapping.get(b"apns-push-type", b"")), now_ns)
        if len(mapping) == len(fields):
            verdicts[others] = verdict
        return verdict

    def _whole_check_of(self, fields: Sequence[Pair], mapping: Mapping[bytes, bytes]) -> int:
        if len(mapping) < len(fields) and self._duplicate([name for name, _ in fields]):
            return self.number_of(refusal("DuplicateHeaders"))
        return self.number_of(self._check(mapping, self._caller))

    def _limit_of(self, push_type: bytes) -> int:
        # Apple: 5 KB for VoIP, 4 KB for all else.
        return self._largest + 1024 if push_type == b"voip" else self._largest


def columns_of(facts: Sequence[Fact]) -> Facts:
    """Return what heads say as columns."""
    persons, digits, refused, largest, ids = zip(*facts, strict=True)
    return Facts(
        np.array(persons),
        _keys_of(digits),
        np.array(refused, dtype=np.uint8),
        np.array(largest, dtype=np.uint32),
        np.frombuffer(b"".join([ident or GOOD_ID for ident in ids]), dtype=np.uint8).reshape(-1, ID_WIDTH),
        np.array([bool(ident) for ident in ids]),
    )


def _is_good_path(path: bytes) -> bool:
    """Say whether a path is as it should be, with a device token in it."""
    if not path.startswith(PATH) or not 64 <= len(path) - len(PATH) <= 200:
        return False
    try:
        binascii.unhexlify(path[len(PATH) :])
    except binascii.Error:
        return False
    return True


def _keys_of(digits: Sequence[bytes]) -> UInt64Column:
    """Return keys of device tokens of any width."""
    width = len(digits[0])
    if len(digits) > 1 and width and all(len(one) == width for one in digits):
        return token_keys(np.frombuffer(b"".join(digits), dtype=np.uint8).reshape(-1, width))
    return np.array([token_key(one) for one in digits], dtype=np.uint64)
