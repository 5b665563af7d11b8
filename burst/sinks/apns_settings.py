"""Settings of the APNs sink."""

from __future__ import annotations

import json
import re
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import BeforeValidator, Field, WithJsonSchema, model_validator

from burst.model.scenario import Count, DurationNs, RatePerS, Settings
from burst.policy.template import Template

STAND_IN = "stand-in"
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


def _read_payload(value: object) -> object:
    """Read a section as JSON text; text stays as it is."""
    if isinstance(value, (dict, list)):
        return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return value


Payload = Annotated[str, BeforeValidator(_read_payload), WithJsonSchema({"type": ["string", "object"]})]


class ApnsSettings(Settings):
    """Apple's push service over HTTP/2, or this run's own stand-in for it."""

    endpoint: str = Field(
        STAND_IN,
        description="stand-in: a provider of this run's own; else https://host[:port], http://host:port (plain text), "
        "unix:///path or https+unix:///path",
    )
    topic: str = Field("com.example.burst", min_length=1, max_length=255, description="the app: apns-topic")
    push_type: PushType = Field("alert", description="apns-push-type; background is a silent push")
    priority: Literal[1, 5, 10] | None = Field(None, description="apns-priority; default: 10, for silent pushes 5")
    expiration_ns: DurationNs = Field(
        0, alias="expiration", description="how long Apple may keep a push for a device that is off; 0 is not at all"
    )
    collapse_id: str | None = Field(None, min_length=1, max_length=64, description="apns-collapse-id")
    payload: Payload | None = Field(
        None, description="JSON, with ${index}, ${token}, ${tenant}, ${lane}, ${platform}, ${run}, ${event} in strings"
    )

    key_file: str | None = Field(None, description="the .p8 key that provider tokens are signed with")
    key_env: str | None = Field(None, description="or the environment variable that holds it")
    key_id: str | None = Field(None, description="the key's id, ten characters")
    team_id: str | None = Field(None, description="the developer team's id, ten characters")
    certificate: str | None = Field(None, description="a client certificate (PEM) in place of a provider token")
    certificate_key: str | None = Field(None, description="its key, where that is a file of its own")
    ca_file: str | None = Field(None, description="trust these authorities (PEM) and no others")

    connections: Count = Field(4, ge=1, le=1000, description="connections of each worker")
    streams: Annotated[Count, Field(ge=1)] | None = Field(
        None, description="requests at once on a connection, at most; default: as the server allows"
    )
    in_flight: Annotated[Count, Field(ge=1)] | None = Field(
        None, description="requests at once of each worker, at most; default: no limit of its own"
    )
    rate_per_s: Annotated[RatePerS, Field(gt=0)] | None = Field(
        None, alias="rate", description="sends of the whole fleet, at most; default: no limit"
    )
    burst: Annotated[Count, Field(ge=1)] | None = Field(
        None, description="how many of them may leave at once after a rest; default: 1 % of a second's"
    )
    connect_within_ns: DurationNs = Field(10_000_000_000, alias="connect_within", description="before GO, or NO-GO")
    tracer_tokens: tuple[str, ...] = Field(
        (), max_length=16, description="device tokens of your own that get a push before GO; a live run needs one"
    )

    @model_validator(mode="after")
    def _together(self) -> ApnsSettings:
        if self.endpoint != STAND_IN:
            _check_endpoint(self.endpoint)
        if self.key_file and self.key_env:
            raise ValueError("give key_file or key_env, not both")
        key = bool(self.key_file or self.key_env)
        if key != bool(self.key_id) or key != bool(self.team_id):
            raise ValueError("a provider token needs all of: key_file (or key_env), key_id, team_id")
        if self.certificate_key and not self.certificate:
            raise ValueError("certificate_key without certificate")
        if key and self.certificate:
            raise ValueError("give a signing key or a certificate, not both")
        if self.push_type == "background" and self.priority == 10:
            raise ValueError("a background push has priority 5: Apple refuses 10")
        for token in self.tracer_tokens:
            if not re.fullmatch(r"(?:[0-9a-fA-F]{2}){32,100}", token):
                raise ValueError("a tracer token is 64 or more hex digits")
        self._check_payload()
        return self

    def _check_payload(self) -> None:
        text = self.payload_text
        Template(text)
        try:
            json.loads(re.sub(r"\$\{[^}]*\}", "0", text))
        except ValueError as error:
            raise ValueError(f"payload is not JSON: {error}") from None
        limit = LARGEST_PAYLOAD + 1024 if self.push_type == "voip" else LARGEST_PAYLOAD
        if len(text.encode()) > limit:
            raise ValueError(f"payload has {len(text.encode()):,} bytes; Apple takes {limit:,}")

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
    def effective_burst(self) -> float:
        """How many may leave at once: so few by default that no second sees more than 102 % of the rate."""
        assert self.rate_per_s is not None
        return self.burst or max(1.0, self.rate_per_s / 100)

    @property
    def stand_in(self) -> bool:
        """Whether it talks to the run's own stand-in."""
        return self.endpoint == STAND_IN

    def targets(self) -> tuple[str, ...]:
        """Return the URLs that this sink connects to; none when it talks to the run's own stand-in."""
        return () if self.endpoint == STAND_IN else (self.endpoint,)


def _check_endpoint(url: str) -> None:
    parts: Any = urlsplit(url)
    if parts.scheme in {"unix", "https+unix"}:
        if parts.netloc or not parts.path.startswith("/"):
            raise ValueError(f"{url}: write a unix socket as unix:///path")
        return
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise ValueError(f"endpoint is {STAND_IN}, https://host, http://host:port or unix:///path")
    if parts.username or parts.password:
        raise ValueError("an endpoint holds no user and no password")
    if parts.path not in {"", "/"} or parts.query:
        raise ValueError("an endpoint has no path: burst adds /3/device/TOKEN")
