"""What a webhook's requests say: target, header fields and body, with what is the same for a batch filled in."""

from __future__ import annotations

import binascii
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np

from burst import __version__
from burst.model.batch import Batch, Int64Column, TokenEncoding
from burst.model.identity import TRACER, id_prefix
from burst.model.ports import SinkContext
from burst.model.secret import Secret
from burst.policy.template import Text
from burst.sinks.http_body import escape_for, split_lists
from burst.sinks.http_fields import as_field, as_url, basic_field, bearer_field, secret_field, secret_target
from burst.sinks.http_settings import HttpSettings
from burst.sinks.rendering import Rendering, token_rows
from burst.wire.layout import Rows

_MOST_FORMS = 256

Columns = Mapping[str, Rows]
"""What differs from person to person, by name: uint8 of shape (k, width of its places)."""


@dataclass(frozen=True, slots=True)
class Form:
    """The requests of a batch. Not to be shown: secrets are among its fields.

    ``body`` is None where requests have none; where they are for several people, the id's field is not among
    ``fields``, and ``lists`` are the names of the places between ``bodies``.
    """

    target: Text = field(repr=False)
    fields: tuple[tuple[bytes, Text], ...] = field(repr=False)
    body: Text | None = None
    bodies: tuple[bytes, ...] = ()
    lists: tuple[str, ...] = ()
    item: Text | None = None


class Wording:
    """The templates of one run."""

    def __init__(self, settings: HttpSettings, context: SinkContext) -> None:
        """Read the templates, and the secrets from where they are. Raises UsageError."""
        self._settings = settings
        self._several = settings.people_per_request > 1
        self.escape = escape_for(settings.effective_content_type) if settings.has_body else None
        self._any = Rendering("", context)
        self._target = self._rendering_of_target(context)
        self._fields = list(self._renderings_of_fields(context))
        self._body = self._item = None
        self._bodies: list[Rendering] = []
        self._lists: list[str] = []
        if self._several:
            literals, self._lists = split_lists(settings.body_text, json_body=settings.json_body)
            self._bodies = [Rendering(literal, context, self.escape) for literal in literals]
            self._item = Rendering(settings.item_text, context, self.escape)
        elif settings.has_body:
            self._body = Rendering(settings.body_text, context, self.escape)
        self._tracer = id_prefix(context.run, TRACER)
        self._forms: dict[tuple[object, ...], Form] = {}

    def _rendering_of_target(self, context: SinkContext) -> Rendering:
        settings = self._settings
        if settings.path_env is not None:
            hidden = secret_target(settings.path_env, several=self._several)
            return Rendering(hidden.reveal().decode(), context, as_url)
        return Rendering(settings.target or "/", context, as_url)

    def _renderings_of_fields(self, context: SinkContext) -> Iterator[tuple[bytes, Rendering | Secret[bytes]]]:
        settings = self._settings
        if not self._several:
            yield settings.id_header.encode(), Rendering("${id}", context)
        if "user-agent" not in {*settings.headers, *settings.header_env}:
            yield b"user-agent", Rendering(f"burst/{__version__}", context)
        if settings.has_body:
            yield b"content-type", Secret(settings.effective_content_type.encode())  # no template
        for name, value in settings.headers.items():
            yield name.encode(), Rendering(value, context, as_field)
        for name, variable in settings.header_env.items():
            yield name.encode(), secret_field(variable)
        if settings.bearer_env is not None:
            yield b"authorization", bearer_field(settings.bearer_env)
        if settings.basic_user is not None and settings.basic_password_env is not None:
            yield b"authorization", basic_field(settings.basic_user, settings.basic_password_env)

    def form(self, batch: Batch, token_width: int) -> Form:
        """Return what the requests of a batch are, for those of its people whose tokens have this width."""
        key = batch.platform, batch.tenant, batch.lane, token_width
        known = self._forms.get(key)
        if known is None:
            if len(self._forms) >= _MOST_FORMS:
                self._forms.clear()
            known = self._forms[key] = self._make(batch, token_width)
        return known

    def _make(self, batch: Batch, width: int) -> Form:
        fields = tuple(
            (name, Text(said.reveal(), ()) if isinstance(said, Secret) else said.text(batch, width))
            for name, said in self._fields
        )
        return Form(
            self._target.text(batch, width),
            fields,
            None if self._body is None else self._body.text(batch, width),
            tuple(literal.text(batch, width).raw for literal in self._bodies),
            tuple(self._lists),
            None if self._item is None else self._item.text(batch, width),
        )

    def columns(self, text: Text, tokens: Rows, indexes: Int64Column) -> Columns:
        """Return what belongs into the places of a text."""
        names = tuple(dict.fromkeys(name for name, *_ in text.columns))
        found = self._any.columns(Text(b"", tuple((name, 0, 0) for name in names)), tokens, indexes)
        return dict(zip(names, found, strict=True))

    def tracer_columns(self, token: bytes, number: int) -> Columns:
        """Return what belongs into the places of a tracer: one row of each, under an id that is nobody's."""
        row = np.frombuffer(token, dtype=np.uint8)[None]
        text = Text(b"", (("token", 0, 0), ("index", 0, 0)))
        ident = np.frombuffer(self.tracer_id(number), dtype=np.uint8)[None]
        return {**self.columns(text, row, np.array([number], dtype=np.int64)), "id": ident}

    def tracer_id(self, number: int) -> bytes:
        """Return a tracer's id."""
        return self._tracer + b"%012x" % number


def joined(*texts: Text | bytes) -> Text:
    """Return texts as one."""
    raw = b""
    columns: list[tuple[str, int, int]] = []
    for text in texts:
        if isinstance(text, Text):
            columns += [(name, len(raw) + start, len(raw) + stop) for name, start, stop in text.columns]
            raw += text.raw
        else:
            raw += text
    return Text(raw, tuple(columns))


def filled(text: Text, columns: Columns, count: int) -> list[bytes]:
    """Return a text for each of ``count`` people, made by column."""
    if not text.raw:
        return [b""] * count
    rows = np.empty((count, len(text.raw)), dtype=np.uint8)
    rows[:] = np.frombuffer(text.raw, dtype=np.uint8)
    for name, start, stop in text.columns:
        rows[:, start:stop] = columns[name]
    made: list[bytes] = rows.view(f"V{rows.shape[1]}").ravel().tolist()
    return made


def by_width(batch: Batch, indexes: Int64Column, make: Callable[[Rows, Int64Column], list[bytes]]) -> list[bytes]:
    """Return what ``make`` returns for the tokens and indexes of people whose tokens have one width, in their order."""
    tokens = token_rows(batch)
    if tokens is not None:
        return make(tokens, indexes)
    assert batch.offsets is not None
    starts = batch.offsets[:-1].astype(np.int64)
    widths = np.diff(batch.offsets.astype(np.int64))
    octets = np.frombuffer(batch.tokens, dtype=np.uint8)
    made = [b""] * batch.count
    for width in np.unique(widths).tolist():
        positions = np.flatnonzero(widths == width)
        rows = octets[starts[positions][:, None] + np.arange(width)]
        if batch.encoding is TokenEncoding.RAW:
            rows = np.frombuffer(binascii.hexlify(rows.tobytes()), dtype=np.uint8).reshape(positions.size, -1)
        for position, one in zip(positions.tolist(), make(rows, indexes[positions]), strict=True):
            made[position] = one
    return made
