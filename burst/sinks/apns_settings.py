"""Settings of the APNs sink."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, ClassVar, Literal

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from burst.model.batch import Platform
from burst.model.scenario import DurationNs, Settings
from burst.sinks.apns_token import SigningKey
from burst.sinks.connection_settings import (
    STAND_IN,
    ConnectionSettings,
    Need,
    Payload,
    endpoint_checker,
    least_bytes,
    read_list,
    variable_checker,
)
from burst.sinks.credentials import read_secret, too_open

LARGEST_PAYLOAD = 4096
"""Bytes of a payload; a VoIP push may have 5,120 (Apple, "Generating a remote notification")."""

_ALERT = {"aps": {"alert": {"title": "burst rehearsal", "body": "One of ${event}'s, sent at GO."}, "sound": "default"}}
_SILENT = {"aps": {"content-available": 1}}

PushType = Literal[
    "alert",
    "background",
    "location",
    "voip",
    "complication",
    "fileprovider",
    "mdm",
    "liveactivity",
    "pushtotalk",
    "widgets",
    "controls",
]


def largest_payload(push_type: str) -> int:
    """Return how many bytes a payload may have."""
    return LARGEST_PAYLOAD + 1024 if push_type == "voip" else LARGEST_PAYLOAD


def _check_topic(topic: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", topic):
        raise ValueError("a topic is the app's bundle id, such as com.example.app, with a push type's ending")
    return topic


def _check_collapse_id(text: str) -> str:
    if not text.isascii() or not text.isprintable() or text != text.strip():
        raise ValueError("a collapse id is printable ASCII, at most 64 bytes of it")
    return text


def _check_tracer(token: str) -> str:
    if not re.fullmatch(r"(?:[0-9a-fA-F]{2}){32,100}", token):
        raise ValueError("a tracer token is a device token: 64 hex digits, or some more")
    return token


class PushSettings(Settings):
    """What is sent, where, and in whose name."""

    endpoint: Annotated[str, AfterValidator(endpoint_checker("/3/device/TOKEN"))] = Field(
        STAND_IN,
        description="stand-in: a provider of this run's own; else https://host[:port], http://host:port (plain text), "
        "unix:///path or https+unix:///path",
    )
    topic: Annotated[str, AfterValidator(_check_topic)] = Field(
        "com.example.burst", min_length=1, max_length=255, description="the app: apns-topic"
    )
    push_type: PushType = Field("alert", description="apns-push-type; background is a silent push")
    priority: Literal[1, 5, 10] | None = Field(None, description="apns-priority; default: 10, for silent pushes 5")
    expiration_ns: DurationNs = Field(
        0, alias="expiration", description="how long Apple may keep a push for a device that is off; 0 is not at all"
    )
    collapse_id: Annotated[str, AfterValidator(_check_collapse_id)] | None = Field(
        None, min_length=1, max_length=64, description="apns-collapse-id"
    )
    payload: Payload | None = Field(
        None, description="JSON, with ${index}, ${token}, ${tenant}, ${lane}, ${platform}, ${run}, ${event} in strings"
    )

    key_file: str | None = Field(None, description="the .p8 key that provider tokens are signed with")
    key_env: Annotated[str | None, AfterValidator(variable_checker("key_env", "APNS_KEY", "key"))] = Field(
        None, description="or the environment variable that holds it"
    )
    key_id: str | None = Field(None, description="the key's id, ten characters")
    team_id: str | None = Field(None, description="the developer team's id, ten characters")


class ApnsSettings(ConnectionSettings, PushSettings):
    """Apple's push service over HTTP/2, or this run's own stand-in for it."""

    platforms: ClassVar[tuple[Platform, ...]] = (Platform.IOS,)
    dialect: ClassVar[str] = "apns"

    certificate: str | None = Field(None, description="a client certificate (PEM) in place of a provider token")
    tracer_tokens: Annotated[tuple[Annotated[str, AfterValidator(_check_tracer)], ...], BeforeValidator(read_list)] = (
        Field(
            (), max_length=16, description="device tokens of your own that get a push before GO; a live run needs one"
        )
    )

    @model_validator(mode="after")
    def _together(self) -> ApnsSettings:
        if self.key_file and self.key_env:
            raise ValueError("give key_file or key_env, not both")
        key = bool(self.key_file or self.key_env)
        if key != bool(self.key_id) or key != bool(self.team_id):
            raise ValueError("a provider token needs all of: key_file (or key_env), key_id, team_id")
        if key and self.certificate:
            raise ValueError("give a signing key or a certificate, not both")
        self.check_certificate(self.endpoint)
        if self.push_type == "background" and self.priority == 10:
            raise ValueError("a background push has priority 5: Apple refuses 10")
        limit, size = largest_payload(self.push_type), least_bytes(self.payload_text)
        if size > limit:
            raise ValueError(f"payload has {size:,} bytes at least; Apple takes {limit:,}")
        return self

    @property
    def payload_text(self) -> str:
        """The payload's template."""
        if self.payload is not None:
            return self.payload
        return json.dumps(_SILENT if self.push_type == "background" else _ALERT, separators=(",", ":"))

    @property
    def effective_priority(self) -> int:
        """The priority that is sent."""
        return self.priority or (5 if self.push_type == "background" else 10)

    @property
    def stand_in(self) -> bool:
        """Whether it talks to the run's own stand-in."""
        return self.endpoint == STAND_IN

    def needs(self) -> Iterator[Need]:
        """Yield what a run with these settings needs beside them: files for TLS, and the signing key."""
        yield from super().needs()
        if self.key_file or self.key_env:
            yield Need("key_file" if self.key_file else "key_env", self._look_for_key)

    def _look_for_key(self) -> str:
        file = Path(self.key_file) if self.key_file else None
        SigningKey.load(read_secret(self.key_env, file))
        return "" if file is None else too_open(file)

    def targets(self) -> tuple[str, ...]:
        """Return the URLs that this sink connects to; none when it talks to the run's own stand-in."""
        return () if self.endpoint == STAND_IN else (self.endpoint,)
