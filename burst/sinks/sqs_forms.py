"""The forms of a queue's messages: templates of one run read once, with all that is the same for a batch filled in."""

from __future__ import annotations

from dataclasses import dataclass

from burst.model.batch import Batch, Platform
from burst.model.ports import SinkContext
from burst.policy.template import Text, escaped
from burst.sinks.rendering import Rendering
from burst.sinks.sqs_attributes import attributes_bytes, attributes_digested, attributes_json
from burst.sinks.sqs_layout import join
from burst.sinks.sqs_settings import SqsSettings

_MOST_KEPT = 256


def as_it_is(text: str) -> bytes:
    """Write a value as it is."""
    return text.encode()


def escaped_twice(text: str) -> bytes:
    """Write a value as it may stand in a JSON string in a JSON string."""
    return escaped(escaped(text).decode())


class Place:
    """A template in two languages: as the queue keeps it, and as it stands in a call, inside a JSON string."""

    def __init__(self, template: str, context: SinkContext, *, json: bool) -> None:
        """``json``: it is JSON itself, and the values in it are written so."""
        self._kept = Rendering(template, context, escaped if json else as_it_is)
        self._sent = Rendering(escaped(template).decode(), context, escaped_twice if json else escaped)

    def kept(self, batch: Batch, token_width: int) -> Text:
        """Return it as the queue keeps it."""
        return self._kept.text(batch, token_width)

    def sent(self, batch: Batch, token_width: int) -> Text:
        """Return it as it stands in a call."""
        return self._sent.text(batch, token_width)


@dataclass(frozen=True, slots=True)
class Form:
    """One message. ``entry`` is its whole entry in a call, a comma last; ``size`` what counts towards the limits."""

    entry: Text
    body: Text
    digested: Text  # what MD5OfMessageAttributes is of; empty without attributes
    size: int


class Forms:
    """The forms of messages for one person each."""

    def __init__(self, settings: SqsSettings, context: SinkContext) -> None:
        self._body = Place(settings.body_of(packed=False), context, json=True)
        self._attributes = {
            name: Place(template, context, json=False)
            for name, template in settings.attributes_with_id(packed=False).items()
        }
        self._fifo: dict[bytes, Place] = {}
        if settings.fifo:
            self._fifo = {
                b"MessageGroupId": Place(settings.group_id, context, json=False),
                b"MessageDeduplicationId": Place(settings.deduplication_id or "${id}", context, json=False),
            }
        self._known: dict[tuple[Platform, str, str, int], Form] = {}

    def form(self, batch: Batch, token_width: int) -> Form:
        """Return the form of messages for a batch's people whose tokens have a width, in characters."""
        key = batch.platform, batch.tenant, batch.lane, token_width
        form = self._known.get(key)
        if form is None:
            if len(self._known) >= _MOST_KEPT:
                self._known.clear()
            form = self._known[key] = self._make(batch, token_width)
        return form

    def _make(self, batch: Batch, width: int) -> Form:
        body = self._body.kept(batch, width)
        kept = {name: place.kept(batch, width) for name, place in self._attributes.items()}
        values = {name: text for name, text in kept.items() if text.raw}  # SQS takes none that is empty
        sent = {name: self._attributes[name].sent(batch, width) for name in values}
        fifo: list[bytes | Text] = []
        for name, place in self._fifo.items():
            fifo += [b',"%b":"' % name, place.sent(batch, width), b'"']
        number = Text(b"0", (("number", 0, 1),))
        entry = join(
            [
                *(b'{"Id":"', number, b'","MessageBody":"', self._body.sent(batch, width), b'"'),
                *(attributes_json(sent), *fifo, b"},"),
            ]
        )
        return Form(entry, body, attributes_digested(values), len(body.raw) + attributes_bytes(values))
