"""The counter for providers that are told in the body whom a call is for, and that answer with a body."""

from __future__ import annotations

from typing import Any, ClassVar, cast

import numpy as np

from burst.model.batch import Int64Column
from burst.model.identity import FOREIGN
from burst.model.ports import Clock
from burst.provider.call_answers import Answer, CallAnswers, FieldsOf
from burst.provider.call_intake import ASIDE, CallIntake
from burst.provider.fate import Fates, token_key
from burst.provider.front import STREAM_COLUMNS, Front
from burst.provider.link import ServedLink
from burst.provider.loose import TRACERS, Fact, Facts
from burst.provider.refusal import Refusal
from burst.provider.visit import Manners
from burst.runs.witness import WitnessPart
from burst.wire.h2_server import Bodies, Body, ServerConnection


class BodyFront(Front):
    """Owner of all connections of HTTP/2 for a dialect of calls."""

    columns: ClassVar[dict[str, type]] = {name: kind for name, kind in STREAM_COLUMNS.items() if name != "id"} | {
        "path": np.uint64
    }

    def __init__(
        self,
        fates: Fates,
        intake: CallIntake,
        witness: WitnessPart | None,
        clock: Clock,
        manners: Manners,
        fields_of: FieldsOf,
    ) -> None:
        super().__init__(fates, intake, witness, clock, manners)
        self.intake: CallIntake = intake
        self.calls = CallAnswers(fields_of)
        self.echo_id = False

    def say_taken(self, link: ServedLink, ids: Int64Column, rows: Int64Column) -> None:
        """Answer calls that were taken."""
        raise NotImplementedError

    # -- heads -----------------------------------------------------------------------------------------------------

    def behave(self, fates: Fates, intake: Any) -> None:
        """Go on under another behaviour."""
        super().behave(fates, intake)
        self.echo_id = False

    @staticmethod
    def _note_one(link: ServedLink, row: int, fact: Fact) -> None:
        streams = link.connection.streams
        streams["index"][row] = fact.person
        streams["key"][row] = 0
        streams["path"][row] = token_key(fact.digits)
        streams["refused"][row] = fact.refused
        streams["largest"][row] = fact.largest
        streams["has_id"][row] = bool(fact.ident)

    @staticmethod
    def _note(link: ServedLink, rows: Int64Column, facts: Facts) -> None:
        streams = link.connection.streams
        streams["index"][rows] = facts.index
        streams["key"][rows] = 0
        streams["path"][rows] = facts.key
        streams["refused"][rows] = facts.refused
        streams["largest"][rows] = facts.largest
        streams["has_id"][rows] = facts.has_id

    # -- bodies ----------------------------------------------------------------------------------------------------

    def _take_bodies(self, link: ServedLink, event: Bodies, now_ns: int) -> None:
        streams, ids, rows, texts = link.connection.streams, event.ids, event.rows, event.bodies
        before = streams["refused"][rows]
        has_id = streams["has_id"][rows]
        if not self.intake.reads_all and not self.fates.judged and has_id.all():
            self._take_whole(link, ids, rows, event.length, now_ns)
            return
        if event.length > texts.shape[1] or (before == self.intake.aside).any():
            whole = zip(ids.tolist(), rows.tolist(), texts, strict=True)
            bodies = [Body(stream, row, text.tobytes(), event.length) for stream, row, text in whole]
            self._read_bodies(link, bodies)
            if len(bodies) < ids.size:
                ids, rows = np.array([(body.stream_id, body.row) for body in bodies], dtype=np.int64).reshape(-1, 2).T
        else:
            found = self.intake.shapes.read(texts)
            streams["key"][rows] = found.key
            named = has_id | (found.index == FOREIGN)  # by the head, or at least by nothing in the body
            streams["index"][rows] = np.where(named, streams["index"][rows], found.index)
            streams["refused"][rows] = np.where(before, before, found.refused) if before.any() else found.refused
        if ids.size:
            self._take_whole(link, ids, rows, event.length, now_ns)

    def _read_bodies(self, link: ServedLink, bodies: list[Body]) -> None:
        streams, intake = link.connection.streams, self.intake
        asides = [body for body in bodies if streams["refused"][body.row] == intake.aside]
        if asides:
            bodies[:] = [body for body in bodies if body not in asides]
            for aside in asides:
                self._answer_aside(link, aside)
        for body in bodies:
            row = body.row
            read = intake.read_body if body.length == len(body.content) else intake.read_long
            found = read(body.content)
            streams["key"][row] = token_key(found.token)
            if not streams["has_id"][row] and found.person != FOREIGN:
                streams["index"][row] = found.person
            if not streams["refused"][row]:
                streams["refused"][row] = found.refused

    def _answer_aside(self, link: ServedLink, body: Body) -> None:
        """Answer a call that is no notification."""
        connection = cast("ServerConnection", link.connection)
        self.sums.requests += 1
        link.note.requests += 1
        if connection.owed(np.array([body.stream_id]))[0]:
            reply = self.intake.answer_aside(body.content)
            self.calls.say_aside(link, body.stream_id, reply.status, reply.fields, reply.body)
        self.manners.after_requests(link, link.note, 1)

    def _is_plain(self, link: ServedLink, row: int, length: int) -> bool:
        streams = link.connection.streams
        if not length and not self._empty and not streams["refused"][row]:
            return self.fates.plain and streams["index"][row] >= TRACERS and not link.note.gave_up
        return streams["index"][row] >= TRACERS and super()._is_plain(link, row, length)

    def _witness(self, sight: int, index: Int64Column, now_ns: int) -> None:
        super()._witness(sight, self.intake.crowds.spread(index), now_ns)

    def _say_one(self, link: ServedLink, stream_id: int, row: int) -> None:
        self.say_taken(link, np.array([stream_id]), np.array([row]))

    # -- answers ---------------------------------------------------------------------------------------------------

    def _say(self, link: ServedLink, ids: Int64Column, rows: Int64Column, told: Refusal | None) -> None:
        if told is ASIDE:
            for stream_id in ids.tolist():
                reply = self.intake.answer_aside(b"")
                self.calls.say_aside(link, stream_id, reply.status, reply.fields, reply.body)
        elif told is not None:
            self.calls.say(link, cast("ServerConnection", link.connection), ids, Answer(told))
        else:
            self.say_taken(link, ids, rows)
            self._accepted(link)
