"""The stand-in's counter: requests come in by column, are judged, witnessed, and answered by row."""

from __future__ import annotations

from itertools import pairwise
from typing import Any, ClassVar, cast

import numpy as np
import numpy.ma  # np.unique imports it at its first call: 30 ms that no burst has
import numpy.typing as npt

from burst.model.batch import Int64Column, UInt8Column
from burst.model.identity import ID_WIDTH
from burst.model.ports import Clock
from burst.policy.wheel import Wheel
from burst.provider.answers import Answers
from burst.provider.fate import Act, Fates, Sight, UInt64Column, is_outage, token_key
from burst.provider.intake import COLUMNS, Intake
from burst.provider.link import ServedLink
from burst.provider.loose import TRACERS, Caller, Fact, Facts, columns_of
from burst.provider.refusal import Refusal
from burst.provider.scribe import note
from burst.provider.visit import Manners, Sums, Visit
from burst.runs.witness import Counter, WitnessPart
from burst.wire.frames import END_HEADERS, END_STREAM, ErrorCode, FrameType, frame
from burst.wire.h2_server import LARGEST_BODY, Bodies, Body, Cancelled, Head, Heads, ServerConnection
from burst.wire.hpack_error import HpackError
from burst.wire.transport import H2Link

#: An answer's code is 0 for 200, 256 and more for a refusal of the intake, 512 and more for a fate: its high byte says
#: of which behaviour, so that what waits keeps its fate when the behaviour changes.
_REFUSED, _FATES = 256, 512
_MOST_ERAS = 200
_ID_COLUMN = f"V{ID_WIDTH}"
_SERIAL_BITS = 31
_AT_ONCE = (Act.CLOSE, Act.GOAWAY)  # these befall connections: no latency is theirs
_GARBAGE = b"\x80\x80\x80"  # a header block that refers to entry 0 of a table: there is none

Codes = npt.NDArray[np.uint16]
STREAM_COLUMNS: dict[str, type] = COLUMNS | {"id": cast("type", _ID_COLUMN), "has_id": np.bool_}


class Front:
    """Owner of all connections of one serving process.

    Attributes
    ----------
    go_ns : outages count from here: GO, or the start where there is no run; ``NEVER_NS`` while a run waits for GO
    columns : what is kept of each open stream
    most_body : bytes that connections to come keep of a body
    """

    columns: ClassVar[dict[str, type]] = STREAM_COLUMNS
    most_body = LARGEST_BODY

    def __init__(
        self, fates: Fates, intake: Intake, witness: WitnessPart | None, clock: Clock, manners: Manners
    ) -> None:
        self.fates = fates
        self.intake = intake
        self.witness = witness
        self.manners = manners
        self.go_ns = clock.now_ns()
        self.links: dict[int, ServedLink] = {}
        self.sums = Sums()
        self.echo_id = getattr(fates.behaviour, "echo_id", False)
        self._clock = clock
        self._serial = 0
        self._wheel = Wheel()
        self._answers = Answers()
        self._eras = [fates] * _MOST_ERAS
        self._era = 0
        self._empty = intake.number_of(intake.empty)
        self._too_large = intake.number_of(intake.too_large)

    def behave(self, fates: Fates, intake: Intake) -> None:
        """Go on under another behaviour; connections stay, and what waits keeps its fate."""
        intake.inherit(self.intake)
        self._era = (self._era + 1) % _MOST_ERAS
        self._eras[self._era] = fates
        self.fates, self.intake = fates, intake
        self.echo_id = getattr(fates.behaviour, "echo_id", False)
        for link in self.links.values():
            link.connection.layouts.forget()  # verdicts on their shapes are noted there
            link.note.caller.verdicts.clear()

    # -- what connections say --------------------------------------------------------------------------------------

    def opened(self, link: ServedLink) -> None:
        """Welcome a connection."""
        self._serial += 1
        tls = link.transport.get_extra_info("ssl_object")
        shown = tls is not None and tls.getpeercert(binary_form=True) is not None
        visit = link.note = Visit(Caller(self._serial, shown), self._clock.now_ns())
        self.links[self._serial] = link
        self.sums.opened += 1
        self.sums.peak = max(self.sums.peak, len(self.links))
        if self.witness is not None:
            self.witness.connect()
        self.manners.opened(link, visit)

    def received(self, link: H2Link) -> None:
        """Take in what a connection brought."""
        assert isinstance(link, ServedLink)
        now_ns = self._clock.now_ns()
        events = link.connection.events
        try:
            self._take(link, events, now_ns)
        except HpackError as error:
            link.connection.fail(ErrorCode.COMPRESSION_ERROR, str(error))
        events.clear()

    def writable(self, link: H2Link) -> None:
        """Nothing waits for the socket: the transport holds what it has not taken."""

    def lost(self, link: H2Link, error: BaseException | None) -> None:  # noqa: ARG002 (why does not matter here)
        """Forget a connection; answers still owed to it go nowhere."""
        visit: Visit | None = link.note
        if visit is None or self.links.pop(visit.serial, None) is None:
            return
        self.manners.lost(visit)
        if self.witness is not None:
            self.witness.disconnect()

    # -- requests --------------------------------------------------------------------------------------------------

    def _take(self, link: ServedLink, events: list[Any], now_ns: int) -> None:
        """Take in events in their order; heads and bodies that came one by one are gathered into columns."""
        link.note.gave_up = Cancelled in map(type, events)
        heads: list[Head] = []
        bodies: list[Body] = []
        for event in events:
            if isinstance(event, Head):
                heads.append(event)
            elif isinstance(event, Body):
                bodies.append(event)
            else:
                if heads or bodies:  # now: after a cancelled stream its row may be another's
                    self._take_loose(link, heads, bodies, now_ns)
                if isinstance(event, Heads):
                    self._note(link, event.rows, self.intake.read(event, now_ns, link.note.caller))
                    if event.ended:
                        self._take_whole(link, event.ids, event.rows, 0, now_ns)
                elif isinstance(event, Bodies):
                    self._take_bodies(link, event, now_ns)
        if heads or bodies:
            self._take_loose(link, heads, bodies, now_ns)

    def _take_bodies(self, link: ServedLink, event: Bodies, now_ns: int) -> None:
        """Take in requests that are whole with these bodies."""
        self._take_whole(link, event.ids, event.rows, event.length, now_ns)

    def _read_bodies(self, link: ServedLink, bodies: list[Body]) -> None:
        """Look into bodies that came one by one; Apple's do not matter: a payload is the device's business."""

    def _take_loose(self, link: ServedLink, heads: list[Head], bodies: list[Body], now_ns: int) -> None:
        """Take in what came one by one; both lists are emptied."""
        if heads:
            facts = self.intake.read_loose([head.fields for head in heads], now_ns, link.note.caller)
            if len(facts) == 1:
                self._note_one(link, heads[0].row, facts[0])
            else:
                self._note(link, np.array([head.row for head in heads]), columns_of(facts))
        self._read_bodies(link, bodies)
        whole = [(head.stream_id, head.row, 0) for head in heads if head.ended]
        whole += [(body.stream_id, body.row, body.length) for body in bodies]
        heads.clear()
        bodies.clear()
        if len(whole) == 1 and self._is_plain(link, *whole[0][1:]):
            self._accept_one(link, *whole[0][:2], now_ns)
        elif whole:
            ids, rows, lengths = np.array(whole).T
            self._take_whole(link, ids, rows, lengths, now_ns)

    @staticmethod
    def _note_one(link: ServedLink, row: int, fact: Fact) -> None:
        """Keep what one head said: ``_note`` without columns of one row each."""
        streams = link.connection.streams
        streams["index"][row] = fact.person
        streams["key"][row] = token_key(fact.digits)
        streams["refused"][row] = fact.refused
        streams["largest"][row] = fact.largest
        streams["has_id"][row] = bool(fact.ident)
        if fact.ident:
            streams["id"][row] = fact.ident

    def _is_plain(self, link: ServedLink, row: int, length: int) -> bool:
        """Say whether a whole request is answered 200 at once, whatever else there is."""
        streams = link.connection.streams
        fits = 0 < length <= streams["largest"][row] and not streams["refused"][row]
        return self.fates.plain and fits and not link.note.gave_up

    def _accept_one(self, link: ServedLink, stream_id: int, row: int, now_ns: int) -> None:
        """Witness one plain request and answer it: ``_take_whole`` without columns of one row each."""
        streams, visit, sums, witness = link.connection.streams, link.note, self.sums, self.witness
        sums.requests += 1
        sums.accepted += 1
        visit.requests += 1
        if witness is not None:
            person = int(streams["index"][row])
            witness.counters[Counter.REQUESTS] += 1
            if person >= 0:
                witness.accept_span(person, person + 1, now_ns)
            else:
                witness.counters[Counter.TRACERS if person == TRACERS else Counter.FOREIGN] += 1
        self._say_one(link, stream_id, row)
        self._accepted(link)
        self.manners.after_requests(link, visit, 1)

    def _say_one(self, link: ServedLink, stream_id: int, row: int) -> None:
        """Answer one request with 200."""
        streams, text = link.connection.streams, None
        if self.echo_id:
            text = streams["id"][row].tobytes() if streams["has_id"][row] else self._answers.fresh_id()
        self._answers.accept_one(link, cast("ServerConnection", link.connection), stream_id, row, text)

    @staticmethod
    def _note(link: ServedLink, rows: Int64Column, facts: Facts) -> None:
        """Keep what heads said until their bodies are whole."""
        streams = link.connection.streams
        streams["index"][rows] = facts.index
        streams["key"][rows] = facts.key
        streams["refused"][rows] = facts.refused
        streams["largest"][rows] = facts.largest
        streams["has_id"][rows] = facts.has_id
        if facts.ids is not None:
            streams["id"][rows] = np.ascontiguousarray(facts.ids).view(_ID_COLUMN).reshape(-1)

    def _take_whole(
        self, link: ServedLink, ids: Int64Column, rows: Int64Column, length: int | Int64Column, now_ns: int
    ) -> None:
        """Decide, witness and answer requests that are whole."""
        streams, visit = link.connection.streams, link.note
        self.sums.requests += ids.size
        visit.requests += ids.size
        refused = streams["refused"][rows]
        # Of a request with several faults the head's counts.
        large = length > streams["largest"][rows]
        if large.any():
            refused[large & (refused == 0)] = self._too_large
        none = length == 0  # of one length for all, a plain truth
        if none is not False and np.any(none):
            refused[none & (refused == 0)] = self._empty
        index = streams["index"][rows]
        codes, outage = self._judge(streams["key"][rows], index, refused, now_ns)
        if self.fates.behaviour.latency is None or outage in _AT_ONCE:
            self._answer_owed(link, ids, rows, codes)
        else:
            streams["code"][rows] = 0 if codes is None else codes
            release_ns = now_ns + self.fates.delays_ns(ids.size)
            self._wheel.push(release_ns, ids | (visit.serial << _SERIAL_BITS))
        self.manners.after_requests(link, visit, ids.size)

    def _judge(
        self, keys: UInt64Column, index: Int64Column, refused: UInt8Column, now_ns: int
    ) -> tuple[Codes | None, int | None]:
        """Decide and witness; return the codes, None where all are 200, and what the outage under way does."""
        codes: Codes | None = None
        sights: UInt8Column | None = None
        outage: int | None = None
        since_ns = now_ns - self.go_ns
        if self.fates.judged:
            fates = self.fates.judge(keys, now_ns, since_ns)
            # A tracer must come back as from a healthy provider: it says whether the run may begin at all.
            fates[index == TRACERS] = 0
            sights = self.fates.sights[fates]
            codes = fates + np.uint16(_FATES + (self._era << 8))
            codes[fates == 0] = 0
            down = is_outage(fates)
            if down.any():
                outage = int(self.fates.acts[fates[down][0]])
                refused = np.where(down, 0, refused)  # a house that is closed finds no fault with anybody
        if refused.any():
            codes = np.zeros(refused.size, dtype=np.uint16) if codes is None else codes
            sights = np.zeros(refused.size, dtype=np.uint8) if sights is None else sights
            codes = np.where(refused > 0, refused.astype(np.uint16) + np.uint16(_REFUSED), codes)
            sights[refused > 0] = Sight.REFUSE
        if sights is None or not sights.any():
            self._witness(Sight.ACCEPT, index, now_ns)
        else:
            for sight in np.unique(sights).tolist():
                self._witness(sight, index[sights == sight], now_ns)
        return (codes if codes is not None and codes.any() else None), outage

    def _witness(self, sight: int, index: Int64Column, now_ns: int) -> None:
        note(self.sums, self.witness, sight, index, now_ns)

    # -- answers ---------------------------------------------------------------------------------------------------

    def release(self, now_ns: int) -> None:
        """Give the answers whose time has come."""
        tickets = self._wheel.pop(now_ns)
        if not tickets.size:
            return
        serials = tickets >> _SERIAL_BITS
        order = np.argsort(serials, kind="stable")
        serials, tickets = serials[order], tickets[order] & ((1 << _SERIAL_BITS) - 1)
        edges = [0, *(np.flatnonzero(np.diff(serials)) + 1).tolist(), serials.size]
        for lo, hi in pairwise(edges):
            link = self.links.get(int(serials[lo]))
            if link is not None:
                self._release_some(link, tickets[lo:hi])

    def _release_some(self, link: ServedLink, ids: Int64Column) -> None:
        connection = cast("ServerConnection", link.connection)
        ids = ids[connection.owed(ids)]
        if ids.size:
            rows = connection.streams.rows_of(ids)
            codes = connection.streams["code"][rows]
            self._answer_all(link, ids, rows, codes if codes.any() else None)
            link.flush()
            connection.events.clear()  # of our own resets: nobody waits for them

    def next_ns(self) -> int:
        """Return when the next answer is due; ``NEVER_NS`` when none waits."""
        return self._wheel.next_ns()

    def _answer_owed(self, link: ServedLink, ids: Int64Column, rows: Int64Column, codes: Codes | None) -> None:
        """Answer requests at once, but for those that were cancelled in the very read that brought them."""
        if link.note.gave_up:
            owed = cast("ServerConnection", link.connection).owed(ids)
            ids, rows, codes = ids[owed], rows[owed], None if codes is None else codes[owed]
        if ids.size:
            self._answer_all(link, ids, rows, codes)

    def _answer_all(self, link: ServedLink, ids: Int64Column, rows: Int64Column, codes: Codes | None) -> None:
        if codes is None:
            self._say(link, ids, rows, None)
            return
        for code in np.unique(codes).tolist():
            mine = codes == code
            if not code:
                self._say(link, ids[mine], rows[mine], None)
            elif code < _FATES:
                self._say(link, ids[mine], rows[mine], self.intake.refusals[code - _REFUSED])
            else:
                self._act(link, ids[mine], rows[mine], self._eras[(code - _FATES) >> 8], code & 255)

    def _act(self, link: ServedLink, ids: Int64Column, rows: Int64Column, fates: Fates, fate: int) -> None:
        """Do what a fate other than 200 demands; answers that are silence do nothing."""
        act = fates.acts[fate]
        connection = cast("ServerConnection", link.connection)
        if act == Act.REFUSE:
            self._say(link, ids, rows, fates.refusals[fate])
        elif act == Act.RESET:
            code = ErrorCode[fates.reset_code(fate)]
            for stream_id in ids.tolist():
                connection.reset(stream_id, code)
        elif act == Act.GARBLE:
            link.write(frame(FrameType.HEADERS, END_HEADERS | END_STREAM, int(ids[0]), _GARBAGE))
        elif act == Act.CLOSE:
            link.flush()
            link.close()
        elif act == Act.GOAWAY:
            told = fates.refusals[fate]
            connection.answered(rows)
            self.manners.turn_away(link, max(0, int(ids.min()) - 2), told.body if told else b"")

    def _say(self, link: ServedLink, ids: Int64Column, rows: Int64Column, told: Refusal | None) -> None:
        """Answer with 200, or with a refusal."""
        connection, texts = cast("ServerConnection", link.connection), None
        if self.echo_id:
            streams = connection.streams
            texts = streams["id"][rows].view(np.uint8).reshape(-1, ID_WIDTH)
            has = streams["has_id"][rows]
            if not has.all():
                texts[~has] = self._answers.fresh_ids(int(ids.size - np.count_nonzero(has)))
        self._answers.say(link, connection, ids, told, texts)
        if told is None:
            self._accepted(link)

    def _accepted(self, link: ServedLink) -> None:
        visit: Visit = link.note
        if not visit.accepted:
            visit.accepted = True
            self.manners.after_accept(link)
