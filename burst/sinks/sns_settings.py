"""Settings of the SNS sink."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from typing import Annotated, ClassVar, Self

from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema, model_validator

from burst.model.batch import Platform
from burst.model.scenario import Count
from burst.policy.template import Template
from burst.sinks.aws_settings import STAND_IN_REGION, AwsSettings
from burst.sinks.connection_settings import STAND_IN, Payload, least_bytes, read_json, read_list

MOST_MESSAGES = 10
"""Entries of a PublishBatch (AWS, "PublishBatch", SNS API reference)."""
LARGEST_CALL = 262_144
"""Bytes of all messages of a call together, and of one message (the same)."""
BURST_ID = "burst-id"
"""The attribute that carries a notification's id where its message does not."""
STAND_IN_TOPIC = f"arn:aws:sns:{STAND_IN_REGION}:000000000000:burst"

_TEXT = {name: f"${{{name}}}" for name in ("id", "event", "platform", "token")}
TOPIC_MESSAGE = json.dumps(_TEXT, separators=(",", ":"))
DEVICE_MESSAGE = "One of ${event}'s, sent at GO."
_APNS = {"aps": {"alert": {"title": "burst rehearsal", "body": DEVICE_MESSAGE}, "sound": "default"}, "burst": "${id}"}
_GCM = {"notification": {"title": "burst rehearsal", "body": DEVICE_MESSAGE}, "data": {"burst": "${id}"}}
DEVICE_PAYLOADS = {
    "APNS": json.dumps(_APNS, separators=(",", ":")),
    "APNS_SANDBOX": json.dumps(_APNS, separators=(",", ":")),
    "GCM": json.dumps(_GCM, separators=(",", ":")),
}

_TOPIC = re.compile(r"arn:aws[a-z-]*:sns:([a-z0-9-]+):[0-9]{12}:([A-Za-z0-9_-]{1,256}(?:\.fifo)?)")
_TARGET = re.compile(r"arn:aws[a-z-]*:sns:([a-z0-9-]+):[0-9]{12}:endpoint/[A-Z_]+/[A-Za-z0-9_.-]+/\S+")
_KEY = re.compile(r"default|email|email-json|http|https|lambda|sqs|sms|firehose|[A-Z][A-Z_]*")
_ATTRIBUTE_NAME = re.compile(r"[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]+)*")


def _check_topic(arn: str) -> str:
    if not _TOPIC.fullmatch(arn):
        raise ValueError(
            "topic_arn is written as arn:aws:sns:us-east-1:123456789012:NAME; that of a FIFO topic ends in .fifo"
        )
    return arn


def _check_target(template: str) -> str:
    Template(template)
    if template != "${token}" and not _TARGET.fullmatch(template):
        raise ValueError(
            "target_arn is ${token} where the audience's tokens are endpoint ARNs, else "
            "arn:aws:sns:us-east-1:123456789012:endpoint/GCM/APP/${token}"
        )
    if "${token}" not in template:
        raise ValueError("target_arn without ${token} is one device for everybody")
    return template


def _check_text(text: str) -> str:
    Template(text)
    if not text:
        raise ValueError("SNS takes no empty text")
    return text


def _check_subject(text: str) -> str:
    if len(text) > 100 or not text.isprintable() or text[:1].isspace():
        raise ValueError("a subject is a line of 100 characters at most")
    return _check_text(text)


def _check_fifo_id(template: str) -> str:
    literal = re.sub(r"\$\{[a-z]+\}|\$\$", "x", _check_text(template))
    if not re.fullmatch(r"[!-~]{1,128}", literal):
        raise ValueError("a group or deduplication id is 128 letters, digits and punctuation marks at most")
    return template


def _check_attributes(attributes: dict[str, str]) -> dict[str, str]:
    for name, template in attributes.items():
        if len(name) > 256 or not _ATTRIBUTE_NAME.fullmatch(name):
            raise ValueError(f"{name!r} is no attribute's name: letters, digits, _, - and single dots")
        if name == BURST_ID:
            raise ValueError(f"the attribute {BURST_ID} is burst's own")
        _check_text(template)
    return attributes


def _check_payloads(payloads: dict[str, str]) -> dict[str, str]:
    for name in payloads:
        if name == "default" or not _KEY.fullmatch(name):
            raise ValueError(f"{name!r} is no platform of SNS, such as APNS, APNS_SANDBOX, GCM; message is the default")
    return payloads


def _check_tracer(token: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9:/_.-]{1,512}", token):
        raise ValueError("a tracer token is a device token or the ARN of an endpoint")
    return token


_FifoId = Annotated[str, AfterValidator(_check_fifo_id)]


class SnsSettings(AwsSettings):
    """A topic of SNS or its endpoints of devices, or this run's own stand-in for them."""

    platforms: ClassVar[tuple[Platform, ...]] = tuple(Platform)
    dialect: ClassVar[str] = "sns"
    service: ClassVar[str] = "sns"

    connections: Count = Field(32, ge=1, le=1000, description="connections of each worker, one call at a time on each")
    topic_arn: Annotated[str, AfterValidator(_check_topic)] | None = Field(
        None, description="a topic, for ten messages a call; FIFO ends in .fifo. Default: one of the stand-in's"
    )
    target_arn: Annotated[str, AfterValidator(_check_target)] | None = Field(
        None,
        description="or the endpoint of each device, one call each: ${token} where the audience's tokens are the ARNs, "
        "else arn:aws:sns:REGION:ACCOUNT:endpoint/GCM/APP/${token}",
    )
    message: (
        Annotated[
            str, BeforeValidator(read_json), AfterValidator(_check_text), WithJsonSchema({"type": ["string", "object"]})
        ]
        | None
    ) = Field(
        None,
        description="text or JSON, with ${id}, ${index}, ${token}, ${tenant}, ${lane}, ${platform}, ${run}, ${event}; "
        "with payloads it is what their platforms are not named in",
    )
    payloads: Annotated[dict[str, Payload], AfterValidator(_check_payloads)] | None = Field(
        None,
        description="what a platform gets in place of message: {APNS: {aps: ...}, GCM: {data: ...}}; sent with "
        "MessageStructure json. Default for devices: an alert",
    )
    subject: Annotated[str, AfterValidator(_check_subject)] | None = Field(None, description="a line for e-mails")
    attributes: Annotated[dict[str, str], AfterValidator(_check_attributes)] = Field(
        default_factory=dict,
        description="message attributes, all of type String: name to template; what comes out empty is left out",
    )
    messages_per_call: Count = Field(MOST_MESSAGES, ge=1, le=MOST_MESSAGES, description="entries of a PublishBatch")
    group_id: _FifoId | None = Field(
        None, description="MessageGroupId; default for FIFO: ${index}, so that no message waits for another"
    )
    deduplication_id: _FifoId | None = Field(None, description="FIFO: MessageDeduplicationId; default: ${id}")
    tracer_tokens: Annotated[tuple[Annotated[str, AfterValidator(_check_tracer)], ...], BeforeValidator(read_list)] = (
        Field(
            (),
            max_length=10,
            description="device tokens of your own (with target_arn ${token}: endpoint ARNs) that get a message before "
            "GO; a live run needs one",
        )
    )

    @model_validator(mode="after")
    def _sns_together(self) -> Self:
        if self.streams is not None:
            raise ValueError("streams is HTTP/2's: a connection to SNS carries one call; write connections")
        if self.topic_arn and self.target_arn:
            raise ValueError("give topic_arn or target_arn, not both")
        if not self.topic_arn and not self.target_arn and self.endpoint != STAND_IN:
            raise ValueError("where to publish? give topic_arn, or target_arn for devices")
        if self.target_arn:
            for name in ("messages_per_call", "group_id", "deduplication_id", "subject"):
                if name in self.model_fields_set and getattr(self, name) is not None:
                    raise ValueError(f"{name} is a topic's: an endpoint gets one message a call (target_arn)")
        if self.deduplication_id and not self.fifo:
            raise ValueError("deduplication_id is for a FIFO topic: its ARN ends in .fifo")
        named = self.arn_region
        if self.region and named and self.region != named:
            raise ValueError(f"the ARN is of {named}, and region is {self.region}")
        if self._least_bytes() > LARGEST_CALL:
            raise ValueError(f"a message has {self._least_bytes():,} bytes at least; SNS takes {LARGEST_CALL:,}")
        return self

    def _least_bytes(self) -> int:
        texts = [self.message_text, *(self.effective_payloads or {}).values(), *self.attributes.values()]
        return sum(least_bytes(text) for text in texts)

    @property
    def topic(self) -> str | None:
        """The topic that is published to; None where devices are."""
        return None if self.target_arn else self.topic_arn or STAND_IN_TOPIC

    @property
    def fifo(self) -> bool:
        """Whether it is a FIFO topic, which its name says."""
        return (self.topic or "").endswith(".fifo")

    @property
    def arn_region(self) -> str | None:
        """The region that the ARN names; None where only the tokens do."""
        found = re.match(r"arn:[^:]*:sns:([a-z0-9-]+):", self.topic_arn or self.target_arn or "")
        return found[1] if found else None

    def region_found(self, environ: Mapping[str, str] = os.environ) -> str:
        """Return the region that requests are signed for: the ARN's, where it names one. Raises UsageError."""
        return self.region or self.arn_region or super().region_found(environ)

    @property
    def message_text(self) -> str:
        """The message's template."""
        return self.message or (DEVICE_MESSAGE if self.target_arn else TOPIC_MESSAGE)

    @property
    def effective_payloads(self) -> dict[str, str] | None:
        """What platforms get; None where the message is everybody's."""
        if self.payloads is None:
            return DEVICE_PAYLOADS if self.target_arn and self.message is None else None
        return self.payloads or None

    @property
    def effective_group_id(self) -> str | None:
        """The group's template; None for none."""
        return self.group_id or ("${index}" if self.fifo else None)

    @property
    def effective_deduplication_id(self) -> str | None:
        """The deduplication id's template; None for none."""
        return (self.deduplication_id or "${id}") if self.fifo else None

    @property
    def attributes_with_id(self) -> dict[str, str]:
        """The attributes' templates, sorted by name; with the id among them where no message names it."""
        payloads = self.effective_payloads or {}
        named = all("id" in Template(text).varying for text in payloads.values()) if payloads else False
        attributes = dict(self.attributes)
        if not named and "id" not in Template(self.message_text).varying:
            attributes[BURST_ID] = "${id}"
        return dict(sorted(attributes.items()))
