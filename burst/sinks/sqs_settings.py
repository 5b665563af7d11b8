"""Settings of the SQS sink."""

from __future__ import annotations

import json
import re
from typing import Annotated, ClassVar, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema, model_validator

from burst.model.batch import Platform
from burst.model.scenario import Count, Settings, SizeBytes
from burst.policy.template import Template
from burst.sinks.aws_settings import AwsSettings
from burst.sinks.connection_settings import STAND_IN, json_template_checker, least_bytes, read_json

MOST_MESSAGES = 10
"""Entries of a SendMessageBatch (AWS, "SendMessageBatch", SQS API reference)."""
LARGEST_CALL = 1_048_576
"""Bytes of all messages of a call together, and of one message (SQS since August 2025; before, 262,144)."""
MOST_ATTRIBUTES = 10
BURST_ID = "burst-id"
"""The attribute that carries a notification's id where its body does not."""

SINGLE_BODY = json.dumps(
    {name: f"${{{name}}}" for name in ("id", "event", "run", "index", "token", "platform", "tenant", "lane")},
    separators=(",", ":"),
)
PACKED_BODY = (
    '{"ids":"${ids}","event":"${event}","run":"${run}","platform":"${platform}","tenant":"${tenant}",'
    '"lane":"${lane}","tokens":["${tokens}"]}'
)

_LISTS = re.compile(r"\$\$|\$\{(tokens|ids)\}")
_PERSON = frozenset({"id", "index", "token"})
_ATTRIBUTE_NAME = re.compile(r"[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]+)*")
_QUEUE_NAME = re.compile(r"[A-Za-z0-9_-]{1,80}|(?=.{6,80}$)[A-Za-z0-9_-]+\.fifo")
_UNSENDABLE = re.compile("[\ufffe\uffff\ud800-\udfff]")


def as_single(text: str) -> str:
    """Return a template with the places of lists written as those of one person: what can be checked and read."""
    return _LISTS.sub(lambda found: {"tokens": "${token}", "ids": "${id}"}.get(found[1], found[0]), text)


def lists_in(text: str) -> frozenset[str]:
    """Return which of ``tokens`` and ``ids`` a template has places for."""
    return frozenset(found[1] for found in _LISTS.finditer(text) if found[1])


def _check_text(text: str) -> str:
    Template(as_single(text))
    if _UNSENDABLE.search(text):
        raise ValueError("SQS takes no U+FFFE, U+FFFF or half a surrogate pair")
    return text


def _check_body(text: str) -> str:
    json_template_checker("body", '{"id": "${id}", "token": "${token}"}')(as_single(text))
    return _check_text(text)


def _check_queue(queue: str) -> str:
    path = queue
    if "://" in queue:
        parts = urlsplit(queue)
        if parts.scheme not in {"http", "https"} or not parts.netloc or "@" in parts.netloc or parts.query:
            raise ValueError(
                "queue is a name, ACCOUNT/NAME, or a URL like https://sqs.eu-west-1.amazonaws.com/1234/NAME"
            )
        path = parts.path.strip("/")
    if not _QUEUE_NAME.fullmatch(path.rpartition("/")[2]) or not re.fullmatch(r"[\w./-]+", path, re.ASCII):
        raise ValueError("a queue's name is 80 letters, digits, - and _ at most; that of a FIFO queue ends in .fifo")
    return queue


def _check_attributes(attributes: dict[str, str]) -> dict[str, str]:
    for name, template in attributes.items():
        if len(name) > 256 or not _ATTRIBUTE_NAME.fullmatch(name) or re.match(r"(?i)aws\.|amazon\.", name):
            raise ValueError(f"{name!r} is no attribute's name: letters, digits, _, - and single dots; not AWS.*")
        if name == BURST_ID:
            raise ValueError(f"the attribute {BURST_ID} is burst's own")
        if not template:
            raise ValueError(f"the attribute {name} is empty, and SQS takes none that is")
        _check_text(template)
    return attributes


def _check_fifo_id(template: str) -> str:
    _check_text(template)
    if lists_in(template):
        raise ValueError("a group or deduplication id has 128 characters at most: a list does not fit")
    literal = re.sub(r"\$\{[a-z]+\}|\$\$", "x", template)
    if not re.fullmatch(r"[!-~]{1,128}", literal):
        raise ValueError("a group or deduplication id is 128 letters, digits and punctuation marks at most")
    return template


def _read_packing(value: object) -> object:
    """Read one number as that of both platforms."""
    return value if isinstance(value, (dict, Packing)) else {"ios": value, "android": value}


class Packing(Settings):
    """How many people share a message."""

    ios: Count = Field(1, ge=1, le=4096, description="iOS people in a message, at most")
    android: Count = Field(1, ge=1, le=4096, description="Android people in a message, at most")

    def size(self, platform: Platform) -> int:
        """Return the people in a full message for ``platform``."""
        return self.ios if platform is Platform.IOS else self.android


class TracerTokens(Settings):
    """Devices of one's own, one for each platform."""

    ios: str | None = Field(None, pattern=r"^(?:[0-9a-fA-F]{2}){32,100}$")
    android: str | None = Field(None, pattern=r"^[A-Za-z0-9:_-]{1,4096}$")


_FifoId = Annotated[str, AfterValidator(_check_fifo_id)]


class SqsSettings(AwsSettings):
    """A queue of SQS, or this run's own stand-in for it."""

    platforms: ClassVar[tuple[Platform, ...]] = tuple(Platform)
    dialect: ClassVar[str] = "sqs"
    service: ClassVar[str] = "sqs"

    connections: Count = Field(32, ge=1, le=1000, description="connections of each worker, one call at a time on each")
    queue: Annotated[str, AfterValidator(_check_queue)] = Field(
        "burst",
        description="a name (AWS is asked for the URL), ACCOUNT/NAME, or a URL. A FIFO queue's ends in .fifo",
    )
    body: (
        Annotated[
            str, BeforeValidator(read_json), AfterValidator(_check_body), WithJsonSchema({"type": ["string", "object"]})
        ]
        | None
    ) = Field(
        None,
        description="JSON, with the columns in strings; of several people ${ids}, and ${tokens} alone in a list: "
        '["${tokens}"]',
    )
    attributes: Annotated[dict[str, str], AfterValidator(_check_attributes)] = Field(
        default_factory=dict,
        description="message attributes, all of type String: name to template; what comes out empty is left out",
    )
    tokens_per_message: Annotated[
        Packing,
        BeforeValidator(_read_packing),
        WithJsonSchema({"anyOf": [{"type": ["integer", "string"]}, Packing.model_json_schema()]}),
    ] = Field(
        Packing(),
        description="how many people share a message: a number, or {ios: 500, android: 250}. A call carries people of "
        "one batch: see batching",
    )
    messages_per_call: Count = Field(MOST_MESSAGES, ge=1, le=MOST_MESSAGES, description="entries of a SendMessageBatch")
    max_message: SizeBytes = Field(
        LARGEST_CALL,
        ge=1024,
        le=LARGEST_CALL,
        description="of a message with its attributes, and of a call; some queues take less, such as 256KiB",
    )
    group_id: _FifoId = Field(
        "${index}",
        description="FIFO: MessageGroupId; by default each message has a group of its own, so that none waits for "
        "another. Of several people, places are filled in with the first one's",
    )
    deduplication_id: _FifoId | None = Field(
        None, description="FIFO: MessageDeduplicationId; default: ${id}, of several people a hash of their ids"
    )
    tracer_tokens: TracerTokens = Field(
        TracerTokens(),
        description="device tokens of your own that are in the messages before GO; a live run needs one",
    )

    @model_validator(mode="after")
    def _sqs_together(self) -> Self:
        if self.streams is not None:
            raise ValueError("streams is HTTP/2's: a connection to SQS carries one call; write connections")
        if "://" in self.queue and self.endpoint == STAND_IN:
            raise ValueError("queue is a URL, and endpoint the stand-in: write endpoint: aws, or the queue's name")
        self._check_endpoint_path()
        for platform in Platform:
            self._check_places(platform)
        if len(self.attributes_with_id(packed=False)) > MOST_ATTRIBUTES:
            raise ValueError(
                f"a message has {MOST_ATTRIBUTES} attributes at most; {BURST_ID} is one where the body lacks ${{id}}"
            )
        return self

    def _check_endpoint_path(self) -> None:
        parts = urlsplit(self.endpoint)
        if parts.scheme in {"http", "https"} and (parts.path.strip("/") or parts.query):
            # Calls go to the service, and name the queue in their body: a path would only look as if it mattered.
            raise ValueError(
                f"the endpoint of SQS has no path: write {parts.scheme}://{parts.netloc} there, and a queue's URL as "
                f"queue: {self.endpoint}"
            )

    def _check_places(self, platform: Platform) -> None:
        packed = self.packed(platform)
        body = self.body or self.body_of(packed=packed)
        lists = lists_in(body) | {name for text in self.attributes.values() for name in lists_in(text)}
        single = Template(_LISTS.sub("", body)).varying
        if packed and single & _PERSON:
            raise ValueError(
                f"with several people in a message ({platform.name.lower()}), body names them by ${{ids}} and "
                f"${{tokens}}, not ${{{min(single & _PERSON)}}}"
            )
        if packed and any(Template(_LISTS.sub("", text)).varying for text in self.attributes.values()):
            raise ValueError("with several people in a message, an attribute cannot hold what one of them has alone")
        if not packed and lists:
            raise ValueError(
                f"${{{min(lists)}}} is for several people in a message: tokens_per_message is 1 for "
                f"{platform.name.lower()}; give it more, such as {{ios: 500, android: 250}}, or leave "
                f"{platform.name.lower()} out of it for lists of one"
            )
        if least_bytes(as_single(body)) > self.max_message:
            raise ValueError(
                f"body has {least_bytes(as_single(body)):,} bytes at least; max_message is {self.max_message:,}"
            )

    @property
    def fifo(self) -> bool:
        """Whether the queue is a FIFO queue, which its name says."""
        return self.queue.endswith(".fifo")

    def packed(self, platform: Platform) -> bool:
        """Whether messages for a platform carry lists of people.

        A platform that ``tokens_per_message`` leaves out beside the other one gets lists of one where the templates
        have lists: most likely there is nobody who has it.
        """
        packing = self.tokens_per_message
        given = packing.model_fields_set
        if not given or platform.name.lower() in given:
            return packing.size(platform) > 1
        return any(lists_in(text) for text in (self.body or "", *self.attributes.values()))

    def body_of(self, *, packed: bool) -> str:
        """Return the body's template: in one person's words unless ``packed``: both can be made."""
        if self.body is None:
            return PACKED_BODY if packed else SINGLE_BODY
        return self.body if packed else as_single(self.body)

    def attributes_with_id(self, *, packed: bool) -> dict[str, str]:
        """Return the attributes' templates, sorted by name; with the id among them where the body does not name it."""
        attributes = {name: text if packed else as_single(text) for name, text in self.attributes.items()}
        body = self.body_of(packed=packed)
        named = "ids" in lists_in(body) if packed else "id" in Template(body).varying
        if not named:
            attributes[BURST_ID] = "${ids}" if packed else "${id}"
        return dict(sorted(attributes.items()))
