"""Webhooks over HTTP/2: whom a call is for stands in a field by itself, as Apple has it, or in the body or the path."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import ClassVar, cast

import numpy as np

from burst.model.batch import Int64Column
from burst.model.identity import FOREIGN, ID_WIDTH, IdText
from burst.model.ports import Clock
from burst.provider.body_front import BodyFront
from burst.provider.body_shapes import Reading
from burst.provider.call_answers import Answer
from burst.provider.call_intake import CallIntake, bodiless
from burst.provider.dialect import Reply
from burst.provider.fate import Fates
from burst.provider.intake import Plan
from burst.provider.link import ServedLink
from burst.provider.loose import GOOD_ID, TRACERS, Caller, Fact, Mask
from burst.provider.refusal import Refusal
from burst.provider.visit import Manners
from burst.provider.web import TOO_LARGE, Web, told
from burst.runs.witness import WitnessPart
from burst.wire.h2_server import ServerConnection
from burst.wire.hpack import Field
from burst.wire.hpack_table import Pair
from burst.wire.huffman import huffman_decode
from burst.wire.layout import Layout, Rows

_ID = b"burst-id"
_INDEX_AT = 24  # characters of an id before its index
_NOBODY = np.array([FOREIGN], dtype=np.int64)
_SOME_TRACER = np.array([TRACERS], dtype=np.int64)


class WebIntake(CallIntake):
    """Reads heads and bodies as the dialect does over HTTP/1.1. Verdicts hang on the authorization alone."""

    own: ClassVar[Mapping[bytes, bytes]] = {_ID: b"", b":path": b""}
    checked: ClassVar[frozenset[bytes]] = frozenset((b"authorization",))
    ident: ClassVar[bytes] = _ID
    empty = None
    too_large = TOO_LARGE
    reads_all = False

    def __init__(self, run: str, web: Callable[[], Web], largest: int) -> None:
        super().__init__(run, self._check_head, largest, told(400, "BadRequest"))
        self._web = web
        self._ids = IdText(run)

    def _check_head(self, fields: Mapping[bytes, bytes], caller: Caller) -> Refusal | None:  # noqa: ARG002 (a port's)
        method = fields.get(b":method", b"")
        found = self._web().fault_of_head(method, fields.get(b"authorization", b""))
        return bodiless(found) if method == b"HEAD" else found

    def _people_in(self, text: bytes) -> Int64Column:
        """Return whom a text names; ``FOREIGN`` or ``TRACERS`` where it names nobody."""
        people = self._ids.people(text) if text else _NOBODY
        if people.size:
            return people
        return _SOME_TRACER if self._ids.has_tracer(text) else _NOBODY

    # -- heads -----------------------------------------------------------------------------------------------------

    def _read_one(self, fields: Sequence[Pair], now_ns: int) -> Fact:
        mapping = dict(fields)
        refused, largest, _ = self._verdict_on_others(fields, mapping, now_ns)
        person, named = self._person_of_head(mapping.get(_ID, b""), mapping.get(b":path", b""))
        return Fact(person, b"", refused, largest, GOOD_ID if named else b"")

    def _person_of_head(self, ident: bytes, path: bytes) -> tuple[int, bool]:
        """Return whom a head is for, and whether its own field says so: a path counts less than a body."""
        people = self._people_in(ident)
        if people[0] != FOREIGN:
            return self.crowds.person_of(people), True
        return self.crowds.person_of(self._people_in(path)), False

    def _read_ids(self, layout: Layout, plan: Plan, blocks: Rows) -> tuple[Int64Column, Rows | None, Mask | bool]:
        count, ident, path = blocks.shape[0], plan.ident, layout.columns.get(b":path")
        if ident is not None and not ident.huffman and ident.stop - ident.start == ID_WIDTH:
            texts = blocks[:, ident.start : ident.stop]
            index, digits = self._indexes(texts), texts[:, _INDEX_AT:]
            plain = (index != FOREIGN) & ~((digits >= ord("A")) & (digits <= ord("F"))).any(axis=1)
            if plain.all():
                return index, None, True
        elif ident is None and path is None:
            fixed = (
                self._people_in(layout.constants.get(_ID, b"")),
                self._people_in(layout.constants.get(b":path", b"")),
            )
            named = bool(fixed[0][0] != FOREIGN)
            people = fixed[0] if named else fixed[1]
            if people.size == 1:
                return np.full(count, people[0], dtype=np.int64), None, named
        found = [
            self._person_of_head(_value(ident, layout, _ID, block), _value(path, layout, b":path", block))
            for block in blocks
        ]
        persons, owns = zip(*found, strict=True)
        has_id = np.array(owns, dtype=np.bool_)
        return np.array(persons, dtype=np.int64), None, True if has_id.all() else has_id

    def _keys(self, layout: Layout, plan: Plan, blocks: Rows) -> tuple[np.ndarray, Mask | None]:  # noqa: ARG002
        return np.zeros(blocks.shape[0], dtype=np.uint64), None

    # -- bodies ----------------------------------------------------------------------------------------------------

    def read_body(self, body: bytes) -> Reading:
        """Read one body in full, whatever it is: only tokens and ids are looked for."""
        people = self._people_in(body)
        return Reading(self._web().token_of(body), self.crowds.person_of(people), 0, people.size == 1)

    def answer_aside(self, body: bytes) -> Reply:
        """Nothing stands aside here."""
        raise NotImplementedError


class WebFront(BodyFront):
    """Owner of all connections of HTTP/2."""

    def __init__(
        self,
        fates: Fates,
        intake: WebIntake,
        witness: WitnessPart | None,
        clock: Clock,
        manners: Manners,
        web: Callable[[], Web],
        most_body: int,
    ) -> None:
        super().__init__(fates, intake, witness, clock, manners, lambda told: web().fields_of(told))
        self._web = web
        self.most_body = most_body

    def say_taken(self, link: ServedLink, ids: Int64Column, rows: Int64Column) -> None:  # noqa: ARG002 (all alike)
        """Answer all alike."""
        self.calls.say(link, cast("ServerConnection", link.connection), ids, Answer(self._web().taken))


def _value(one: Field | None, layout: Layout, name: bytes, block: np.ndarray) -> bytes:
    """Return a field's value in a block, wherever it stands."""
    if one is None:
        return layout.constants.get(name, b"")
    text = block[one.start : one.stop].tobytes()
    return huffman_decode(text) if one.huffman else text
