"""The desk that stands in for Amazon SQS."""

from __future__ import annotations

from typing import cast

from burst.model.identity import read_digits
from burst.provider.behaviour import Behaviour, Conduct
from burst.provider.call_link import CallLink
from burst.provider.desk import Means
from burst.provider.dialect import Ask, Dialect
from burst.provider.fate import Act, Fates
from burst.provider.manners import reset_connection
from burst.provider.sqs import Sqs
from burst.provider.sqs_shapes import Shape
from burst.provider.turn_desk import TurnDesk
from burst.wire.h1_server import Request

_WORTH = 2  # entries of a call: in one alone, what is somebody's cannot be told from what is everybody's
_SENDS = b"AmazonSQS.SendMessage"  # and SendMessageBatch


class _SqsLink(CallLink):
    """A connection; a client that closes it while it polls is not to be given a message."""

    whole = b""  # what was read last, where it may be a whole call

    def glance(self, data: bytes) -> bool:
        """Keep a call that looks known."""
        if self._owner.keep(self, data):  # type: ignore[attr-defined]  # an SqsDesk: a cast costs a call
            return True
        self.whole = data
        return False

    def eof_received(self) -> bool:
        """Hear that the client writes no more."""
        visit = self.visit
        if visit is not None:
            cast("SqsDesk", self._owner).sqs.receiver.hang_up(visit.serial)
        return super().eof_received()


class SqsDesk(TurnDesk):
    """Calls to SQS over HTTP/1.1."""

    def __init__(self, behaviour: Behaviour, means: Means) -> None:
        def make(behaviour: Behaviour, before: Dialect | None) -> Dialect:
            return Sqs(behaviour.sqs, means, before if isinstance(before, Sqs) else None)

        super().__init__(behaviour, means, make)
        self._kept: dict[Shape, list[tuple[_SqsLink, bytes]]] = {}  # calls that look as if they needed no reading

    def _end_turn(self) -> None:
        """Take the calls that were kept, tell the witness of everybody, and only then answer."""
        self._gathers = False
        kept, self._kept = self._kept, {}
        passed = []
        for shape, calls in kept.items():
            try:
                passed.append((calls, self._take_alike(shape, calls)))
            except Exception as error:  # noqa: BLE001 (calls of other shapes, and those that were read, wait)
                for link, _ in calls:
                    self._give_up(link, error)
        super()._end_turn()
        for calls, answers in passed:
            for (kept_by, data), answer in zip(calls, answers, strict=True):
                try:
                    kept_by.pass_on(data, answer)
                except Exception as error:  # noqa: BLE001 (the others have been witnessed, and wait)
                    self._give_up(kept_by, error)
        if kept:
            self.noticed()

    def _take_alike(self, shape: Shape, calls: list[tuple[_SqsLink, bytes]]) -> list[bytes | None]:
        """Take calls that were kept; return their answers, None for those that are to be read."""
        people, answers = self.sqs.glance(shape, [data for _, data in calls])
        if people:
            self._seen.append(read_digits(people))
        for (link, _), answer in zip(calls, answers, strict=True):
            if answer is not None:
                self.sums.requests += 1
                link.visit.requests += 1  # type: ignore[union-attr]  # every connection has one
        return answers

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

    # -- calls that need no reading --------------------------------------------------------------------------------

    def _decide(self, link: CallLink, request: Request, ask: Ask, now_ns: int) -> None:
        """Decide a call, and learn what it looks like if all who ask so may be told the same."""
        if self._usual(request) and self._alike(ask) and self.sqs.shapes.may_learn(now_ns):
            data = cast("_SqsLink", link).whole
            if data.partition(b"\r\n\r\n")[2] == request.body:
                self.sqs.learn(data, request, ask.note, now_ns)
        super()._decide(link, request, ask, now_ns)

    @staticmethod
    def _usual(request: Request) -> bool:
        """Say whether the answer to a call like this one has a body, and is not the connection's last."""
        return request.keep_alive and request.method == b"POST"

    def _alike(self, ask: Ask) -> bool:
        conduct = self.conduct
        return not (
            ask.whole is not None
            or ask.faults
            or ask.edges is not None
            or self.fates.judged
            or self.sqs.sender.keeps
            or conduct.latency is not None
            or conduct.close_after_requests is not None
            or conduct.reset_after_requests is not None
            or ask.people.size < _WORTH
            or (ask.people < 0).any()
        )

    def keep(self, link: _SqsLink, data: bytes) -> bool:
        """Keep what looks like a call of a known shape until the turn ends, and say so.

        No shape is known while calls may be told different things.
        """
        shape = self.sqs.shapes.of(len(data))
        if shape is None or not data.startswith(shape.start) or link.visit.gave_up:  # type: ignore[union-attr]
            return False
        if not self._gathers:
            self._gather(self._clock.now_ns())
        alike = self._kept.get(shape)
        if alike is None:
            alike = self._kept[shape] = []
        alike.append((link, data))
        return True

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
