"""The desk for calls over HTTP/1.1: decides, witnesses and answers what a dialect reads out of them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from burst.model.batch import Int64Column
from burst.policy.wheel import Wheel
from burst.provider.behaviour import Behaviour, Conduct
from burst.provider.call_link import CallLink
from burst.provider.desk import Means
from burst.provider.dialect import Ask, Dialect, Reply
from burst.provider.fate import OK, QUOTA, Act, Fates, Sight, is_outage
from burst.provider.loose import TRACERS, Caller
from burst.provider.manners import reset_connection
from burst.provider.refusal import Refusal
from burst.provider.scribe import note
from burst.provider.visit import Sums, Visit
from burst.wire.h1 import H1Error
from burst.wire.h1_server import LARGEST_BODY, Request, response

_SERIAL_BITS = 31
_CALL_MASK = (1 << _SERIAL_BITS) - 1
_GARBAGE = b"\x00\x01 this is no HTTP \xff\r\n\r\n"
_NONE_REFUSED: dict[int, Refusal] = {}
#: Makes a dialect for a behaviour; a dialect that is replaced is given, so that its state lives on.
MakeDialect = Callable[[Behaviour, "Dialect | None"], Dialect]


class CallDesk:
    """Owner of all connections of HTTP/1.1 for one dialect in one serving process."""

    def __init__(
        self,
        behaviour: Behaviour,
        means: Means,
        make: MakeDialect,
        *,
        fates: Fates | None = None,
        sums: Sums | None = None,
    ) -> None:
        """Open for business. ``fates`` and ``sums`` may be shared with another desk of the same provider."""
        self._means = means
        self._make = make
        self.dialect = make(behaviour, None)
        self.conduct: Conduct = behaviour.conduct(means.dialect)
        self.fates = fates or self.make_fates(self.conduct)
        self.links: dict[int, CallLink] = {}
        self.sums = sums or Sums()
        self.go_ns = means.clock.now_ns()
        self._clock = means.clock
        self._serial = 0
        self._wheel = Wheel()
        self._most_body = LARGEST_BODY

    def make_fates(self, conduct: Conduct) -> Fates:
        """Return the fates of a conduct in this dialect's words."""
        means = self._means
        return Fates(
            conduct,
            means.seed,
            process=means.process,
            processes=means.processes,
            dead_since_ms=means.dead_since_ms,
            words=self.dialect.words,
        )

    # -- the desk's life -------------------------------------------------------------------------------------------

    def make_link(self) -> CallLink:
        """Make the protocol of a new connection."""
        return CallLink(self, self._most_body)

    def go(self, go_ns: int) -> None:
        """Count outages from here."""
        self.go_ns = go_ns

    def behave(self, behaviour: Behaviour, *, fates: Fates | None = None) -> None:
        """Go on under another behaviour; answers that wait are given as they were decided."""
        self.dialect = self._make(behaviour, self.dialect)
        self.conduct = behaviour.conduct(self._means.dialect)
        self.fates = fates or self.make_fates(self.conduct)
        for link in self.links.values():
            link.dribble.behave(self.conduct.slow_bytes)

    def order(self, name: str, order: Mapping[str, Any]) -> None:  # noqa: ARG002 (a port's method)
        """Close or reset every connection; what HTTP/2 alone has is no matter here."""
        for link in list(self.links.values()):
            if name == "close":
                link.close()
            elif name == "reset":
                reset_connection(link)
            elif name == "goaway":
                self._let_go(link)

    @staticmethod
    def _let_go(link: CallLink) -> None:
        """Let the next answer be the connection's last."""
        visit = link.visit
        if visit is not None:
            visit.gave_up = True

    def open_requests(self) -> int:
        """Return how many answers wait."""
        return sum(link.owed is not None for link in self.links.values())

    def close(self) -> None:
        """Cut every connection off."""
        for link in list(self.links.values()):
            link.abort()

    # -- what connections say --------------------------------------------------------------------------------------

    def opened(self, link: CallLink) -> None:
        """Welcome a connection."""
        self._serial += 1
        tls = link.transport.get_extra_info("ssl_object")
        shown = tls is not None and tls.getpeercert(binary_form=True) is not None
        link.visit = Visit(Caller(self._serial, shown), self._clock.now_ns())
        link.dribble.behave(self.conduct.slow_bytes)
        self.links[self._serial] = link
        self.sums.opened += 1
        self.sums.peak = max(self.sums.peak, len(self.links))
        if self._means.witness is not None:
            self._means.witness.connect()

    def noticed(self) -> None:
        """Hear that bytes were dealt with."""
        self._means.noticed()

    def lost(self, link: CallLink) -> None:
        """Forget a connection; answers still owed to it go nowhere."""
        visit = link.visit
        if visit is None or self.links.pop(visit.serial, None) is None:
            return
        if self._means.witness is not None:
            self._means.witness.disconnect()

    def garbled(self, link: CallLink, error: H1Error) -> None:
        """Answer what is no HTTP/1.1, and close."""
        reply = self.dialect.broken(error.status, str(error))
        link.write(response(reply.status, reply.fields, reply.body, keep_alive=False))
        link.close()

    # -- calls -----------------------------------------------------------------------------------------------------

    def called(self, link: CallLink, request: Request) -> None:
        """Read a call, decide, witness, and answer when it is time."""
        now_ns, visit = self._clock.now_ns(), link.visit
        assert visit is not None
        self.sums.requests += 1
        visit.requests += 1
        asked = self.dialect.read(request, visit.caller, now_ns)
        if isinstance(asked, Ask):
            self._decide(link, request, asked, now_ns)
        elif isinstance(asked, Reply):
            self._answer(link, request, asked)
        else:
            self._answer_later(link, request, asked)

    def _answer_later(self, link: CallLink, request: Request, coming: asyncio.Future[Reply]) -> None:
        """Answer a poll that waits."""
        call = link.calls

        def arrived(future: asyncio.Future[Reply]) -> None:
            if not future.cancelled() and link.calls == call:
                self._answer(link, request, future.result())

        coming.add_done_callback(arrived)

    def _decide(self, link: CallLink, request: Request, ask: Ask, now_ns: int) -> None:
        if not self.fates.judged and ask.whole is None:
            reply = self.dialect.reply(ask, ask.faults, None)
            self._witness(ask, ask.faults, now_ns)
            self._answer_in_time(link, request, reply, now_ns)
            return
        fates = self._fates_of(ask, now_ns)
        act = self._act_of(fates)
        if act is not None:
            self._act(link, request, ask, act, fates, now_ns)
            return
        refused, whole = self._refused_of(ask, fates)
        reply = self.dialect.reply(ask, refused, whole)
        everybody = dict.fromkeys(range(ask.keys.size), whole) if whole is not None else refused
        self._witness(ask, everybody, now_ns)
        self._answer_in_time(link, request, reply, now_ns)

    def _fates_of(self, ask: Ask, now_ns: int) -> np.ndarray:
        """Return the fate of each entry, uint8."""
        if ask.whole is not None and not self.fates.outage(now_ns - self.go_ns):
            return np.full(ask.keys.size, OK, dtype=np.uint8)
        fates = self.fates.judge(ask.keys, now_ns, now_ns - self.go_ns)
        if (ask.people == TRACERS).any():  # a tracer must come back as from a healthy provider
            fates[:] = OK
        if self.dialect.whole_quota and (fates == QUOTA).any():
            fates[:] = QUOTA
        return fates

    def _act_of(self, fates: np.ndarray) -> int | None:
        """Return the fate of a call that has no answer: an entry's that has none is everybody's."""
        acts = self.fates.acts[fates]
        odd = np.flatnonzero((acts != Act.ANSWER) & (acts != Act.REFUSE) & (acts != Act.GOAWAY))
        return int(fates[odd[0]]) if odd.size else None

    def _refused_of(self, ask: Ask, fates: np.ndarray) -> tuple[Mapping[int, Refusal], Refusal | None]:
        """Return entries that are refused, and why all are, if they are."""
        if not fates.any():
            return ask.faults, ask.whole
        refusals = self.fates.refusals
        down = is_outage(fates)
        if down.any() or (self.dialect.whole_quota and fates[0] == QUOTA):
            return _NONE_REFUSED, refusals[int(fates[0])]
        found = {at: refusals[int(fates[at])] for at in np.flatnonzero(fates).tolist()}
        return {at: told for at, told in found.items() if told is not None} | ask.faults, ask.whole

    def _act(self, link: CallLink, request: Request, ask: Ask, fate: int, fates: np.ndarray, now_ns: int) -> None:
        """Do what a fate demands that is no answer: to the whole call."""
        act, sight = Act(int(self.fates.acts[fate])), Sight(int(self.fates.sights[fate]))
        if act == Act.RESET and sight == Sight.REFUSE:
            sight = Sight.HANG  # over HTTP/1.1 there is no way to say that nothing was processed
        if sight == Sight.ACCEPT:
            # It is done all the same; but not for entries that an answer would have called refused.
            refused, _ = self._refused_of(ask, fates)
            self.dialect.reply(ask, refused, None)
            taken, others = _parted(ask, refused)
            self._note(Sight.ACCEPT, taken, now_ns)
            self._note(Sight.HANG, others, now_ns)
        else:
            self._note(sight, ask.people, now_ns)
        if act == Act.GARBLE:
            link.answer(_GARBAGE, last=True)
        elif act == Act.CLOSE:
            link.close()
        elif act == Act.RESET:
            reset_connection(link)
        self._after(link, request)

    def _witness(self, ask: Ask, refused: Mapping[int, Refusal], now_ns: int) -> None:
        taken, others = _parted(ask, refused)
        self._note(Sight.ACCEPT, taken, now_ns)
        self._note(Sight.REFUSE, others, now_ns)

    def _note(self, sight: Sight, people: Int64Column, now_ns: int) -> None:
        if people.size:
            note(self.sums, self._means.witness, sight, people, now_ns)

    # -- answers ---------------------------------------------------------------------------------------------------

    def _answer_in_time(self, link: CallLink, request: Request, reply: Reply, now_ns: int) -> None:
        if self.conduct.latency is None:
            self._answer(link, request, reply)
            return
        link.owed, link.owed_last = self._render(link, request, reply)
        release_ns = now_ns + self.fates.delays_ns(1)
        assert link.visit is not None
        ticket = (link.calls & _CALL_MASK) | (link.visit.serial << _SERIAL_BITS)
        self._wheel.push(release_ns, np.array([ticket], dtype=np.int64))
        self._after(link, request)

    def _answer(self, link: CallLink, request: Request, reply: Reply) -> None:
        data, last = self._render(link, request, reply)
        link.answer(data, last=last)
        self._after(link, request)

    def _render(self, link: CallLink, request: Request, reply: Reply) -> tuple[bytes, bool]:
        visit = link.visit
        assert visit is not None
        most = self.conduct.close_after_requests
        stays = request.keep_alive and not visit.gave_up and (most is None or visit.requests < most)
        head_request = request.method == b"HEAD"
        data = response(reply.status, reply.fields, reply.body, keep_alive=stays, head_request=head_request)
        return data, not stays

    def _after(self, link: CallLink, request: Request) -> None:  # noqa: ARG002 (symmetry)
        """Reset a connection that has had its requests."""
        visit, most = link.visit, self.conduct.reset_after_requests
        assert visit is not None
        if most is not None and visit.requests >= most:
            asyncio.get_running_loop().call_soon(reset_connection, link)

    def release(self, now_ns: int) -> None:
        """Give the answers whose time has come."""
        for ticket in self._wheel.pop(now_ns).tolist():
            link = self.links.get(ticket >> _SERIAL_BITS)
            if link is None or link.owed is None or link.calls & _CALL_MASK != ticket & _CALL_MASK:
                continue
            data, link.owed = link.owed, None
            link.answer(data, last=link.owed_last)

    def next_ns(self) -> int:
        """Return when the next answer is due; ``NEVER_NS`` when none waits."""
        return self._wheel.next_ns()


def _parted(ask: Ask, refused: Mapping[int, Refusal]) -> tuple[Int64Column, Int64Column]:
    """Return the people of the entries that are taken, and of those that are refused."""
    if not refused:
        return ask.people, ask.people[:0]
    taken = np.ones(ask.keys.size, dtype=np.bool_)
    taken[list(refused)] = False
    if ask.edges is not None:
        taken = np.repeat(taken, np.diff(ask.edges))
    return ask.people[taken], ask.people[~taken]
