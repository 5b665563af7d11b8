"""A webhook's requests over HTTP/1.1: for one person, made by column before GO; for several, as they leave."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from burst.model.batch import Batch, Int64Column, Platform
from burst.model.identity import NOTIFICATION, id_prefix, write_ids
from burst.model.ports import Answers, Prepared, SinkContext
from burst.policy.template import Text
from burst.sinks.http_settings import HttpSettings
from burst.sinks.http_statuses import REASONS, Statuses, is_lasting
from burst.sinks.http_wording import Columns, Form, Wording, by_width, filled, joined
from burst.sinks.rendering import batch_of_one
from burst.wire.h1_client import Head, Response
from burst.wire.h1_sender import Verdict
from burst.wire.layout import Rows

MOST_RUNS = 64
"""Runs of consecutive people in a request: each takes up to 41 bytes of the id's field, and servers take some thousand
bytes of a field (8 KiB: nginx large_client_header_buffers, Apache LimitRequestFieldSize)."""


class Requests:
    """Whole requests, one a person. Secrets are in them, so it does not show them."""

    __slots__ = ("rows",)

    def __init__(self, rows: list[bytes]) -> None:
        self.rows = tuple(rows)  # which the garbage collector looks at once, and a list each time

    def __repr__(self) -> str:
        return f"<{len(self.rows)} requests>"


@dataclass(frozen=True, slots=True)
class Shared:
    """What the requests of a batch for several people share, and what each of its people adds."""

    form: Form
    head: bytes = field(repr=False)
    stops: Int64Column  # where a run of consecutive people ends
    tokens: list[bytes]
    items: list[bytes]


class _Calls:
    """What both ways have in common."""

    reasons: Sequence[str] = REASONS
    weight = per_call = 1

    def __init__(self, settings: HttpSettings, wording: Wording, authority: bytes, context: SinkContext) -> None:
        self._statuses = Statuses(settings.statuses)
        self._wording = wording
        self._line = settings.method.encode() + b" "
        self._host = b" HTTP/1.1\r\nhost: " + authority + b"\r\n"
        self._has_body = settings.has_body
        self._prefix = id_prefix(context.run, NOTIFICATION)
        self._id_field = settings.id_header.encode() + b": "
        self._json = settings.has_body and settings.json_body

    def _head(self, form: Form) -> Text:
        fields = [part for name, value in form.fields for part in (name, b": ", value, b"\r\n")]
        return joined(self._line, form.target, self._host, *fields)

    def plain(self, head: Head) -> Verdict | None:
        """Return what an answer says; None where that hangs on when it is read."""
        if not is_lasting(head.get(b"retry-after"), head.get(b"date")):
            return None
        return self._verdict(head)

    def _verdict(self, head: Head) -> Verdict:
        return self._statuses.verdict(head.status, head.get(b"retry-after"), head.get(b"date"))

    def read(self, prepared: Prepared, lo: int, hi: int, response: Response, now_ns: int) -> Answers:
        """Return what an answer says of everybody in its call."""
        answer, reason, after_ns = self._verdict(response.head)
        return Answers(
            prepared.tickets[lo:hi],
            np.full(hi - lo, answer, dtype=np.uint8),
            now_ns,
            np.full(hi - lo, after_ns, dtype=np.int64),
            np.full(hi - lo, reason, dtype=np.uint8),
        )


class SingleCalls(_Calls):
    """Requests for one person each: rows of equal width, made when a batch is prepared."""

    def prepare(self, batch: Batch, tickets: Int64Column, indexes: Int64Column) -> Prepared:
        """Render the requests."""

        def make(tokens: Rows, indexes: Int64Column) -> list[bytes]:
            text = self._text(batch, tokens.shape[1])
            return filled(text, self._wording.columns(text, tokens, indexes), indexes.size)

        return Prepared(batch, tickets, indexes, body=Requests(by_width(batch, indexes, make)))

    def _text(self, batch: Batch, width: int) -> Text:
        form = self._wording.form(batch, width)
        if form.body is None:
            return joined(self._head(form), b"\r\n")
        return joined(self._head(form), b"content-length: %d\r\n\r\n" % len(form.body.raw), form.body)

    def stops(self, prepared: Prepared, lo: int) -> int:  # noqa: ARG002 (a port's method)
        """One."""
        return lo + 1

    def cost(self, prepared: Prepared, lo: int, hi: int) -> int:  # noqa: ARG002 (a port's method)
        """One."""
        return 1

    def request(self, prepared: Prepared, lo: int, hi: int) -> bytes:  # noqa: ARG002 (a port's method)
        """Return one person's request."""
        return prepared.body.rows[lo]  # type: ignore[attr-defined,no-any-return]  # an assertion costs as much as this

    def tracer(self, token: str, number: int) -> bytes:
        """Return a request like the others under an id that is nobody's."""
        text = self._text(batch_of_one(token, Platform.IOS), len(token))
        return filled(text, self._wording.tracer_columns(token.encode(), number), 1)[0]


class SharedCalls(_Calls):
    """Requests for several people each. The rate counts requests."""

    def __init__(self, settings: HttpSettings, wording: Wording, authority: bytes, context: SinkContext) -> None:
        super().__init__(settings, wording, authority, context)
        self.per_call = self.weight = settings.people_per_request

    def prepare(self, batch: Batch, tickets: Int64Column, indexes: Int64Column) -> Prepared:
        """Render what each person adds; who shares a request with whom is known when it leaves."""
        wanted = self._wording.form(batch, 0).lists
        tokens = by_width(batch, indexes, _text_of_tokens) if "tokens" in wanted else []
        items = by_width(batch, indexes, self._maker_of_items(batch)) if "items" in wanted else []
        return Prepared(batch, tickets, indexes, body=self._shared(batch, indexes, tokens, items))

    def _shared(self, batch: Batch, indexes: Int64Column, tokens: list[bytes], items: list[bytes]) -> Shared:
        form = self._wording.form(batch, 0)
        stops = np.append(np.flatnonzero(np.diff(indexes) != 1) + 1, indexes.size)
        return Shared(form, self._head(form).raw, stops, tokens, items)

    def _maker_of_items(self, batch: Batch) -> Callable[[Rows, Int64Column], list[bytes]]:
        def make(tokens: Rows, indexes: Int64Column) -> list[bytes]:
            text = self._wording.form(batch, tokens.shape[1]).item
            assert text is not None
            return filled(text, self._wording.columns(text, tokens, indexes), indexes.size)

        return make

    def stops(self, prepared: Prepared, lo: int) -> int:
        """Return where the id's field has ``MOST_RUNS`` runs."""
        stops = prepared.body.stops  # type: ignore[attr-defined]
        return int(stops[min(int(np.searchsorted(stops, lo, side="right")) + MOST_RUNS, stops.size) - 1])

    def cost(self, prepared: Prepared, lo: int, hi: int) -> int:  # noqa: ARG002 (a port's method)
        """One request."""
        return 1

    def request(self, prepared: Prepared, lo: int, hi: int) -> bytes:
        """Return the request for people lo..hi."""
        shared = prepared.body
        assert isinstance(shared, Shared)
        ids = write_ids(self._prefix, prepared.indexes[lo:hi])
        return self._request(shared, ids, lo, hi)

    def _request(self, shared: Shared, ids: bytes, lo: int, hi: int) -> bytes:
        bodies, escape = shared.form.bodies, self._wording.escape
        parts = [bodies[0]]
        for name, literal in zip(shared.form.lists, bodies[1:], strict=True):
            if name == "ids":
                parts.append(ids if escape is None else escape(ids.decode()))
            elif name == "count":
                parts.append(b"%d" % (hi - lo))
            elif name == "tokens":
                parts.append((b'","' if self._json else b",").join(shared.tokens[lo:hi]))
            else:
                parts.append((b"," if self._json else b"\n").join(shared.items[lo:hi]))
            parts.append(literal)
        body = b"".join(parts)
        return b"%b%b%b\r\ncontent-length: %d\r\n\r\n%b" % (shared.head, self._id_field, ids, len(body), body)

    def tracer(self, token: str, number: int) -> bytes:
        """Return a request like the others for one person, who is nobody."""
        batch = batch_of_one(token, Platform.IOS)
        text = self._wording.form(batch, len(token)).item
        assert text is not None
        columns: Columns = self._wording.tracer_columns(token.encode(), number)
        shared = self._shared(batch, np.array([0]), [token.encode()], filled(text, columns, 1))
        return self._request(shared, self._wording.tracer_id(number), 0, 1)


def _text_of_tokens(tokens: Rows, indexes: Int64Column) -> list[bytes]:  # noqa: ARG001 (as ``by_width`` asks)
    made: list[bytes] = np.ascontiguousarray(tokens).view(f"V{tokens.shape[1]}").ravel().tolist()
    return made
