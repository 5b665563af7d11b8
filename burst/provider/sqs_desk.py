"""The desk that stands in for Amazon SQS."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import cast

import numpy as np

from burst.model.batch import Int64Column
from burst.provider.behaviour import Behaviour, Conduct
from burst.provider.call_desk import CallDesk
from burst.provider.call_link import CallLink
from burst.provider.desk import Means
from burst.provider.dialect import Ask, Dialect, Reply
from burst.provider.fate import Act, Fates, Sight
from burst.provider.manners import reset_connection
from burst.provider.refusal import Refusal
from burst.provider.scribe import note
from burst.provider.sqs import Sqs
from burst.wire.h1_server import Request

_SENDS = b"AmazonSQS.SendMessage"  # and SendMessageBatch


class _SqsLink(CallLink):
    """A connection; a client that closes it while it polls is not to be given a message."""

    def eof_received(self) -> bool:
        """Hear that the client writes no more."""
        visit = self.visit
        if visit is not None:
            cast("SqsDesk", self._owner).sqs.receiver.hang_up(visit.serial)
        return super().eof_received()


class SqsDesk(CallDesk):
    """Calls to SQS over HTTP/1.1."""

    def __init__(self, behaviour: Behaviour, means: Means) -> None:
        def make(behaviour: Behaviour, before: Dialect | None) -> Dialect:
            return Sqs(behaviour.sqs, means, before if isinstance(before, Sqs) else None)

        super().__init__(behaviour, means, make)
        self._seen: list[Int64Column] = []  # people to be witnessed, and since when
        self._seen_ns = 0
        self._owed: list[tuple[CallLink, Request, Reply]] = []  # answers that wait for the witness

    def _witness(self, ask: Ask, refused: Mapping[int, Refusal], now_ns: int) -> None:
        """Witness what was decided; what is simply taken is gathered until the loop has read every connection.

        One entry in the witness for all of them costs a tenth of one each; their answers wait for it.
        """
        if refused:
            super()._witness(ask, refused, now_ns)
            return
        if not self._seen:
            self._seen_ns = now_ns
            asyncio.get_running_loop().call_soon(self._tell_witness)
        self._seen.append(ask.people)

    def _tell_witness(self) -> None:
        seen, self._seen = self._seen, []
        people = seen[0] if len(seen) == 1 else np.concatenate(seen)
        if people.size:
            note(self.sums, self._means.witness, Sight.ACCEPT, people, self._seen_ns)
        owed, self._owed = self._owed, []
        for link, request, reply in owed:
            self._answer(link, request, reply)

    def _answer_in_time(self, link: CallLink, request: Request, reply: Reply, now_ns: int) -> None:
        """Answer when it is time, and never before the witness knows."""
        if self._seen and self.conduct.latency is None:
            self._owed.append((link, request, reply))
        else:
            super()._answer_in_time(link, request, reply, now_ns)

    @property
    def sqs(self) -> Sqs:
        """The dialect."""
        return cast("Sqs", self.dialect)

    def make_fates(self, conduct: Conduct) -> Fates:
        """Return the fates of a conduct: a queue knows nothing of devices, so none is dead and none has a quota."""
        return super().make_fates(conduct.model_copy(update={"dead": 0.0, "dead_tokens": (), "per_token": None}))

    def make_link(self) -> CallLink:
        """Make the protocol of a new connection."""
        return _SqsLink(self, self._most_body)

    def opened(self, link: CallLink) -> None:
        """Welcome a connection."""
        super().opened(link)
        self.sqs.scheme = "http" if link.transport.get_extra_info("ssl_object") is None else "https"

    def lost(self, link: CallLink) -> None:
        """Forget a connection, and what it waits for."""
        if link.visit is not None:
            self.sqs.receiver.hang_up(link.visit.serial)
        super().lost(link)

    def called(self, link: CallLink, request: Request) -> None:
        """Read a call; in an outage those that send nothing are not taken either."""
        target = request.fields.get(b"x-amz-target", b"")
        outage = None
        if self.fates.behaviour.outages and not target.startswith(_SENDS):
            outage = self.fates.outage(self._clock.now_ns() - self.go_ns)
        if outage is None:
            super().called(link, request)
        else:
            self._turn_away(link, request, outage[0])

    def _turn_away(self, link: CallLink, request: Request, fate: int) -> None:
        assert link.visit is not None
        self.sums.requests += 1
        link.visit.requests += 1
        act, refusal = self.fates.acts[fate], self.fates.refusals[fate]
        if act == Act.CLOSE:
            link.close()
        elif act == Act.RESET:
            reset_connection(link)
        elif act != Act.NOTHING and refusal is not None:
            self._answer(link, request, self.sqs.refuse(refusal))

    def release(self, now_ns: int) -> None:
        """Give answers whose time has come, and to those who poll what can be seen again."""
        super().release(now_ns)
        self.sqs.release(now_ns)

    def next_ns(self) -> int:
        """Return when the next answer is due."""
        return min(super().next_ns(), self.sqs.receiver.next_ns())

    def open_requests(self) -> int:
        """Return how many answers wait."""
        return super().open_requests() + self.sqs.receiver.waiting()
