"""The forms that calls to SNS are: names and values of one run, filled in by column, ten messages to a form."""

from __future__ import annotations

from dataclasses import dataclass, field
from urllib.parse import unquote_to_bytes

import numpy as np

from burst.model.batch import Batch, Int64Column
from burst.model.errors import UsageError
from burst.model.ports import SinkContext
from burst.sinks.rendering import Rendering, batch_of_one
from burst.sinks.sns_answers import IDS
from burst.sinks.sns_settings import LARGEST_CALL, SnsSettings
from burst.sinks.sns_text import FormText, MessageText, encoded, encoded_tokens
from burst.wire.layout import Rows

_VERSION = "2010-03-31"
_MOST_KEPT = 256
_PLACES = ("id", "index", "token")


@dataclass(frozen=True, slots=True)
class Shape:
    """A form for so many people: ``places`` are (number of the person in it, column, start, stop)."""

    raw: bytes
    places: tuple[tuple[int, str, int, int], ...]


@dataclass(slots=True)
class Form:
    """The messages of batches that are alike: ``head``, then ``entries``, one template for each place in a call."""

    head: bytes
    entries: list[Rendering]
    content: list[Rendering]  # what counts towards the limits
    shapes: dict[tuple[int, int], Shape] = field(default_factory=dict)
    sizes: dict[int, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Filled:
    """Calls of one width end to end, the first of them for the person at ``first``."""

    first: int
    calls: bytes
    width: int


@dataclass(slots=True)
class Columns:
    """One batch, ready to be written: how many people a call has, and what belongs into its places."""

    form: Form
    batch: Batch
    indexes: Int64Column
    per_call: int
    width: int
    columns: dict[str, Rows]  # empty where tokens have several widths
    tokens: list[bytes]  # as they stand in a form, in that case
    filled: dict[int, Filled] = field(default_factory=dict)  # by where calls begin, modulo people in a call


class Forms:
    """Makes the forms of one run."""

    def __init__(self, settings: SnsSettings, context: SinkContext) -> None:
        """Read the templates, and check the messages' size with this run's own names. Raises UsageError."""
        self._settings = settings
        self._context = context
        self._message = MessageText(settings.message_text, settings.effective_payloads)
        self._target = None if settings.target_arn is None else FormText(settings.target_arn, 0)
        texts = {
            "Subject": settings.subject,
            "MessageGroupId": settings.effective_group_id,
            "MessageDeduplicationId": settings.effective_deduplication_id,
        }
        self._texts = {name: FormText(text, 0) for name, text in texts.items() if text is not None}
        self._attributes = {name: FormText(text, 0) for name, text in settings.attributes_with_id.items()}
        self._places = Rendering("".join(f"${{{name}}}" for name in _PLACES), context)
        self._known: dict[tuple[object, ...], Form] = {}
        for platform in settings.platforms:
            self.columns(batch_of_one("0", platform), np.zeros(1, dtype=np.int64))

    def columns(self, batch: Batch, indexes: Int64Column) -> Columns:
        """Return a batch's columns. Raises UsageError for a message that is too long."""
        form = self._form(batch)
        rows, tokens = encoded_tokens(batch)
        width = max(map(len, tokens)) if rows is None else rows.shape[1]
        per_call = self._per_call(form, batch, width)
        if rows is None:
            return Columns(form, batch, indexes, per_call, width, {}, tokens)
        filled = self._places.columns(self._places.text(batch, width), rows, indexes)
        return Columns(form, batch, indexes, per_call, width, dict(zip(_PLACES, filled, strict=True)), [])

    def _per_call(self, form: Form, batch: Batch, width: int) -> int:
        """Return how many messages a call may carry whose tokens have a width, in the form, at most."""
        size = form.sizes.get(width)
        if size is None:
            size = sum(len(unquote_to_bytes(one.text(batch, width).raw)) for one in form.content)
            if size > LARGEST_CALL:
                raise UsageError(
                    f"a message of this run has {size:,} bytes; SNS takes {LARGEST_CALL:,}",
                    hint="its columns are filled in: shorten the text around them",
                )
            form.sizes[width] = size
        return min(len(form.entries), LARGEST_CALL // size)

    # -- templates -------------------------------------------------------------------------------------------------

    def _form(self, batch: Batch) -> Form:
        key = batch.platform, batch.tenant, batch.lane
        form = self._known.get(key)
        if form is None:
            if len(self._known) >= _MOST_KEPT:
                self._known.clear()
            form = self._known[key] = self._make(batch)
        return form

    def _make(self, batch: Batch) -> Form:
        context = self._context
        message = self._message.filled(batch, context)
        texts = {name: text.filled(batch, context) for name, text in self._texts.items()}
        attributes = {name: text.filled(batch, context) for name, text in self._attributes.items()}
        attributes = {name: value for name, value in attributes.items() if value}  # SNS takes none that is empty
        said = {"Message": message, **texts}
        if self._settings.effective_payloads is not None:
            said["MessageStructure"] = "json"
        for number, (name, value) in enumerate(attributes.items(), 1):
            start = f"MessageAttributes.entry.{number}"
            said |= {
                f"{start}.Name": encoded(name),
                f"{start}.Value.DataType": "String",
                f"{start}.Value.StringValue": value,
            }
        counted = [
            message,
            *texts.values(),
            *attributes.values(),
            *map(encoded, attributes),
            "String" * len(attributes),
        ]
        if self._target is not None:
            head = f"Action=Publish&Version={_VERSION}&TargetArn="
            entries = [self._target.filled(batch, context) + _pairs(said, "&")]
        else:
            head = f"Action=PublishBatch&Version={_VERSION}&TopicArn={encoded(self._settings.topic or '')}"
            entries = [
                _pairs({"Id": ident} | said, f"&PublishBatchRequestEntries.member.{number}.")
                for number, ident in enumerate(IDS[: self._settings.messages_per_call], 1)
            ]
        renderings = [Rendering(text, context) for text in entries]
        return Form(head.encode(), renderings, [Rendering(text, context) for text in counted if text])

    # -- calls -----------------------------------------------------------------------------------------------------

    def call(self, columns: Columns, lo: int, hi: int) -> bytes:
        """Return the form for people lo..hi of a batch."""
        count = hi - lo
        if not columns.columns:
            return self._one_by_one(columns, lo, hi)
        if count < columns.per_call:  # a batch's rest
            return self._fill(columns, lo, count, 1).tobytes()
        found = columns.filled.get(lo % count)
        if found is None or lo < found.first:
            calls = (columns.batch.count - lo) // count
            rows = self._fill(columns, lo, count, calls)
            found = columns.filled[lo % count] = Filled(lo, rows.tobytes(), rows.shape[1])
        at = (lo - found.first) // count * found.width
        return found.calls[at : at + found.width]

    def _fill(self, columns: Columns, first: int, count: int, calls: int) -> Rows:
        """Return calls for ``count`` people each, from ``first`` on, as rows."""
        shape = self._shape(columns, count)
        rows = np.empty((calls, len(shape.raw)), dtype=np.uint8)
        rows[:] = np.frombuffer(shape.raw, dtype=np.uint8)
        for number, name, start, stop in shape.places:
            rows[:, start:stop] = columns.columns[name][first + number :: count][:calls]
        return rows

    def _shape(self, columns: Columns, count: int) -> Shape:
        form = columns.form
        shape = form.shapes.get((columns.width, count))
        if shape is not None:
            return shape
        raw, places = bytearray(form.head), []
        for number, rendering in enumerate(form.entries[:count]):
            text = rendering.text(columns.batch, columns.width)
            places += [(number, name, start + len(raw), stop + len(raw)) for name, start, stop in text.columns]
            raw += text.raw
        if len(form.shapes) >= _MOST_KEPT:
            form.shapes.clear()
        shape = form.shapes[columns.width, count] = Shape(bytes(raw), tuple(places))
        return shape

    def _one_by_one(self, columns: Columns, lo: int, hi: int) -> bytes:
        parts = [columns.form.head]
        for number, at in enumerate(range(lo, hi)):
            rendering = columns.form.entries[number]
            parts.append(rendering.one(columns.batch, columns.tokens[at], int(columns.indexes[at])))
        return b"".join(parts)

    def tracers(self, batches: list[Batch], ident: bytes, first: int) -> bytes:
        """Return the form for tracers, one for each of ``batches`` of one, from number ``first`` on."""
        parts: list[bytes] = []
        for number, batch in enumerate(batches):
            form = self._form(batch)
            token = encoded(batch.token_text(0)).encode()
            parts += [] if parts else [form.head]
            parts.append(form.entries[number].one(batch, token, first + number, ident + b"%012x" % (first + number)))
        return b"".join(parts)


def _pairs(values: dict[str, str], before: str) -> str:
    return "".join(f"{before}{name}={value}" for name, value in values.items())
