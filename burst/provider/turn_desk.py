"""A desk whose witness hears of everybody who was simply taken in a turn of the loop at once, and then answers."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import numpy as np

from burst.model.batch import Int64Column
from burst.provider.behaviour import Behaviour
from burst.provider.call_desk import CallDesk, MakeDialect
from burst.provider.call_link import CallLink
from burst.provider.desk import Means
from burst.provider.dialect import Ask, Reply
from burst.provider.fate import Fates, Sight
from burst.provider.refusal import Refusal
from burst.provider.scribe import note
from burst.wire.h1_server import Request


class TurnDesk(CallDesk):
    """Calls over HTTP/1.1. One entry in the witness for those of a turn costs a tenth of one for each call."""

    def __init__(self, behaviour: Behaviour, means: Means, make: MakeDialect) -> None:
        super().__init__(behaviour, means, make)
        self._gathers = False  # what comes in this turn of the loop
        self._seen: list[Int64Column] = []  # people to be witnessed, and since when
        self._seen_ns = 0
        self._owed: list[tuple[CallLink, Request, Reply]] = []  # answers that wait for the witness

    def _witness(self, ask: Ask, refused: Mapping[int, Refusal], now_ns: int) -> None:
        """Witness what was decided; what is simply taken is gathered until the loop has read every connection."""
        if refused:
            super()._witness(ask, refused, now_ns)
            return
        self._gather(now_ns)
        self._seen.append(ask.people)

    def _gather(self, now_ns: int) -> None:
        if not self._gathers:
            self._gathers, self._seen_ns = True, now_ns
            asyncio.get_running_loop().call_soon(self._end_turn)

    def _end_turn(self) -> None:
        """Tell the witness of everybody, and only then answer."""
        self._gathers = False
        seen, self._seen = self._seen, []
        if seen:
            people = seen[0] if len(seen) == 1 else np.concatenate(seen)
            if people.size:
                note(self.sums, self._means.witness, Sight.ACCEPT, people, self._seen_ns)
        owed, self._owed = self._owed, []
        for link, request, reply in owed:
            try:
                self._answer(link, request, reply)
            except Exception as error:  # noqa: BLE001 (whatever it is, the others have been witnessed and wait)
                self._give_up(link, error)

    @staticmethod
    def _give_up(link: CallLink, error: Exception) -> None:
        """Cut off a connection whose answer failed, and let the loop say so as of any callback that does."""
        link.abort()
        asyncio.get_running_loop().call_exception_handler(
            {"message": "the answer to a call failed; its connection is cut off", "exception": error, "protocol": link}
        )

    def _answer_in_time(self, link: CallLink, request: Request, reply: Reply, now_ns: int) -> None:
        """Answer when it is time, and never before the witness knows."""
        if self._seen and self.conduct.latency is None:
            self._owed.append((link, request, reply))
        else:
            super()._answer_in_time(link, request, reply, now_ns)

    def behave(self, behaviour: Behaviour, *, fates: Fates | None = None) -> None:
        """Go on under another behaviour; what has been read is answered under the old one."""
        self._end_turn()
        super().behave(behaviour, fates=fates)

    def order(self, name: str, order: Mapping[str, Any]) -> None:
        """Obey; what has been read is answered first."""
        self._end_turn()
        super().order(name, order)
