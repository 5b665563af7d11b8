"""FCM over HTTP/2: messages in by column, each answered with a name of its own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

import numpy as np

from burst.model.batch import Int64Column
from burst.model.ports import Clock
from burst.provider.body_front import BodyFront
from burst.provider.body_shapes import Reading
from burst.provider.call_answers import Answer
from burst.provider.call_intake import ASIDE, CallIntake, bodiless
from burst.provider.dialect import Reply
from burst.provider.fate import Fates, token_key
from burst.provider.fcm import LARGEST_CALL, TOKEN_PATH, VALIDATED, Fcm, Names, taken, validated
from burst.provider.google import TOO_LARGE, bad_field, fields_of
from burst.provider.link import ServedLink
from burst.provider.loose import Caller, LooseIntake
from burst.provider.refusal import Refusal
from burst.provider.visit import Manners
from burst.runs.witness import WitnessPart
from burst.wire.h2_server import ServerConnection


class FcmIntake(CallIntake):
    """Reads heads and bodies as the dialect does over HTTP/1.1.

    Attributes
    ----------
    projects : by the number of a path, the project that it names
    """

    too_large = TOO_LARGE

    def __init__(self, run: str, fcm: Fcm) -> None:
        super().__init__(run, self._check_head, LARGEST_CALL, bad_field("", "Request contains an invalid argument."))
        self._fcm = fcm
        self.empty = fcm.message(b"").fault
        self.projects: dict[int, bytes] = {}

    def _check_head(self, fields: Mapping[bytes, bytes], caller: Caller) -> Refusal | None:  # noqa: ARG002 (a port's)
        method, path = fields.get(b":method", b""), fields.get(b":path", b"")
        if path == TOKEN_PATH and method == b"POST":
            return ASIDE
        access = self._fcm.doorkeeper.check(method, path, fields.get(b"authorization", b""))
        if access.project:
            self.projects[token_key(path)] = access.project
        return bodiless(access.fault) if method == b"HEAD" else access.fault

    def inherit(self, before: LooseIntake) -> None:
        """Take over what calls under way carry the numbers of."""
        super().inherit(before)
        assert isinstance(before, FcmIntake)
        self.projects = before.projects

    def read_body(self, body: bytes) -> Reading:
        """Read one body in full."""
        message = self._fcm.message(body)
        person = self.crowds.person_of(message.people)
        alike = message.people.size == 1 and not message.validate_only
        own = message.to_device
        return Reading(message.target, person, self.number_of(message.fault), alike, own)

    def read_long(self, body: bytes) -> Reading:
        """Read the first bytes of a body that is too long."""
        return self.read_body(body)._replace(refused=self.number_of(TOO_LARGE))

    def answer_aside(self, body: bytes) -> Reply:
        """Answer at the token endpoint."""
        return self._fcm.answer_token(body)


class FcmFront(BodyFront):
    """Owner of all connections of HTTP/2."""

    def __init__(
        self,
        fates: Fates,
        intake: FcmIntake,
        witness: WitnessPart | None,
        clock: Clock,
        manners: Manners,
        names: Names,
    ) -> None:
        super().__init__(fates, intake, witness, clock, manners, fields_of)
        self._names = names
        self._answers_by_project: dict[bytes, Answer] = {}

    def say_taken(self, link: ServedLink, ids: Int64Column, rows: Int64Column) -> None:
        """Answer each with its name."""
        connection = cast("ServerConnection", link.connection)
        for project, mine in self._by_project(link, rows):
            some = ids if mine is None else ids[mine]
            self.calls.say(link, connection, some, self._answer_of(project), self._names.rows(some.size))

    def _say(self, link: ServedLink, ids: Int64Column, rows: Int64Column, told: Refusal | None) -> None:
        if told is not VALIDATED:
            super()._say(link, ids, rows, told)
            return
        for project, mine in self._by_project(link, rows):
            answer = Answer(Refusal(200, VALIDATED.reason, validated(project)))
            self.calls.say(link, cast("ServerConnection", link.connection), ids if mine is None else ids[mine], answer)

    def _by_project(self, link: ServedLink, rows: Int64Column) -> list[tuple[bytes, Int64Column | None]]:
        """Return the projects of calls, and which are whose; None for all."""
        projects = cast("FcmIntake", self.intake).projects
        paths = link.connection.streams["path"][rows]
        first = paths[0]
        if paths.size == 1 or (paths == first).all():
            return [(projects[int(first)], None)]
        return [(projects[path], np.flatnonzero(paths == path)) for path in np.unique(paths).tolist()]

    def _answer_of(self, project: bytes) -> Answer:
        known = self._answers_by_project.get(project)
        if known is None:
            name = self._names.next()
            body = taken(project, name)
            start = body.index(name)
            known = Answer(Refusal(200, "", body), (start, start + Names.DIGITS))
            self._answers_by_project[project] = known
        return known
