"""Settings of the APNs sink."""

from __future__ import annotations

import json
import re
from typing import Annotated, ClassVar, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema, model_validator

from burst.model.batch import Platform
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


_PLACE_OR_DOLLAR = re.compile(r"\$\{[^}]*\}|\$\$")


def largest_payload(push_type: str) -> int:
    """Return how many bytes a payload may have."""
    return LARGEST_PAYLOAD + 1024 if push_type == "voip" else LARGEST_PAYLOAD


def _read_payload(value: object) -> object:
    """Read a section as JSON text; text stays as it is."""
    if isinstance(value, (dict, list)):
        return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return value


def _check_payload(text: str) -> str:
    Template(text)
    # With its places and without: a place must stand inside a JSON string, as an index has leading zeros.
    try:
        filled = json.loads(_PLACE_OR_DOLLAR.sub("x", text))
    except ValueError as error:
        try:
            json.loads(_PLACE_OR_DOLLAR.sub("0", text))
        except ValueError:
            raise ValueError(f"payload is not JSON: {error}") from None
        raise ValueError('payload has a place outside a string: write "${index}", in quotation marks') from None
    if not isinstance(filled, dict):
        raise ValueError('payload is not a JSON object, such as {"aps": {"alert": "Hello"}}')  # noqa: TRY004
    return text


def _check_endpoint(url: str) -> str:
    if url == STAND_IN:
        return url
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        raise ValueError("endpoint is no URL: its host or its port cannot be") from None
    if "@" in parts.netloc:
        raise ValueError("an endpoint holds no user and no password")
    if parts.scheme in {"unix", "https+unix"}:
        if parts.netloc or not parts.path.startswith("/"):
            raise ValueError(f"{url}: write a unix socket as unix:///path")
        return url
    if parts.scheme not in {"http", "https"} or not host or re.search(r"\s", url):
        raise ValueError(f"endpoint is {STAND_IN}, https://host, http://host:port or unix:///path")
    if parts.path not in {"", "/"} or parts.query or parts.fragment:
        raise ValueError("an endpoint has no path: burst adds /3/device/TOKEN")
    return url


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


def _read_list(value: object) -> object:
    """Read ``a, b`` as a list: what an environment variable can hold."""
    return [part.strip() for part in value.split(",") if part.strip()] if isinstance(value, str) else value


Payload = Annotated[
    str,
    BeforeValidator(_read_payload),
    AfterValidator(_check_payload),
    WithJsonSchema({"type": ["string", "object"]}),
]


def _read_variable(name: str | None) -> str | None:
    """Take what is no name for the secret itself, which somebody has pasted: it must not get into a run folder."""
    if name is not None and not re.fullmatch(r"[A-Z][A-Z0-9_]{0,63}", name):
        raise ValueError("key_env is the name of an environment variable, in capitals such as APNS_KEY, not the key")
    return name


class ApnsSettings(Settings):
    """Apple's push service over HTTP/2, or this run's own stand-in for it."""

    platforms: ClassVar[tuple[Platform, ...]] = (Platform.IOS,)

    endpoint: Annotated[str, AfterValidator(_check_endpoint)] = Field(
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
    key_env: Annotated[str | None, AfterValidator(_read_variable)] = Field(
        None, description="or the environment variable that holds it"
    )
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
    connect_within_ns: DurationNs = Field(5_000_000_000, alias="connect_within", description="before GO, or NO-GO")
    reconnect_within_ns: DurationNs = Field(
        10_000_000_000,
        alias="reconnect_within",
        description="pushes wait so long for a connection that can take them; after that each attempt is refused",
    )
    tracer_tokens: Annotated[tuple[Annotated[str, AfterValidator(_check_tracer)], ...], BeforeValidator(_read_list)] = (
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
        if self.certificate_key and not self.certificate:
            raise ValueError("certificate_key without certificate")
        if key and self.certificate:
            raise ValueError("give a signing key or a certificate, not both")
        if self.certificate and self.endpoint.startswith(("http:", "unix:")):
            raise ValueError("a client certificate is shown over TLS: write https:// in endpoint")
        if self.push_type == "background" and self.priority == 10:
            raise ValueError("a background push has priority 5: Apple refuses 10")
        limit, size = largest_payload(self.push_type), len(_PLACE_OR_DOLLAR.sub("x", self.payload_text).encode())
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
