"""Settings of the FCM sink."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, ClassVar, Literal

from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema, model_validator

from burst.model.batch import Platform
from burst.model.scenario import DurationNs, Settings
from burst.model.units import NS_PER_S
from burst.sinks.connection_settings import (
    STAND_IN,
    ConnectionSettings,
    endpoint_checker,
    json_template_checker,
    read_json,
    read_list,
    variable_checker,
)
from burst.sinks.credentials import read_secret
from burst.sinks.fcm_message import Message, least_payload_bytes
from burst.sinks.google_account import ServiceAccount

GOOGLE = "google"
"""The endpoint that is Google's."""

GOOGLE_URL = "https://fcm.googleapis.com"

LARGEST_PAYLOAD = 4096
"""Bytes of a payload, keys and values (Firebase, "FCM error codes", INVALID_ARGUMENT)."""

_LONGEST_TTL_NS = 28 * 86_400 * NS_PER_S  # 2,419,200 s (AndroidConfig.ttl)


def _check_endpoint(url: str) -> str:
    return url if url == GOOGLE else endpoint_checker("/v1/projects/PROJECT/messages:send")(url)


def _check_project(project: str) -> str:
    if not re.fullmatch(r"[a-z0-9][a-z0-9.:-]{3,62}", project):
        raise ValueError("a project is its id, such as my-app-1a2b3, as Firebase's project settings show it")
    return project


def _check_tracer(token: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9_:-]{32,4096}", token):
        raise ValueError("a tracer token is a registration token: letters, digits, _ : -")
    return token


def _variable(setting: str, example: str, secret: str) -> AfterValidator:
    return AfterValidator(variable_checker(setting, example, secret))


MessageText = Annotated[
    str,
    BeforeValidator(read_json),
    AfterValidator(json_template_checker("message", '{"notification": {"title": "Hello"}}')),
    WithJsonSchema({"type": ["string", "object"]}),
]


class MessageSettings(Settings):
    """What is sent, where, and in whose name."""

    endpoint: Annotated[str, AfterValidator(_check_endpoint)] = Field(
        STAND_IN,
        description="stand-in: a provider of this run's own; google: https://fcm.googleapis.com; else "
        "https://host[:port], http://host:port (plain text), unix:///path or https+unix:///path",
    )
    project: Annotated[str, AfterValidator(_check_project)] | None = Field(
        None, description="the Firebase project's id; default: the service account's"
    )
    service_account: str | None = Field(None, description="the service account's JSON file; it signs for access tokens")
    service_account_env: Annotated[str | None, _variable("service_account_env", "GOOGLE_ACCOUNT", "account")] = Field(
        None, description="or the environment variable that holds that JSON"
    )
    access_token_env: Annotated[str | None, _variable("access_token_env", "GOOGLE_TOKEN", "token")] = Field(
        None, description="or the one that holds an access token, which is used as long as it lasts"
    )
    message: MessageText | None = Field(
        None,
        description="JSON: FCM's message without its token (notification, data, android, apns, fcm_options), with "
        "${index}, ${token}, ${tenant}, ${lane}, ${platform}, ${run}, ${event}, ${id} in strings",
    )
    data_only: bool = Field(False, description="a silent data message: nothing is shown by itself")
    priority: Literal["high", "normal"] | None = Field(
        None, description="android.priority, and apns-priority 10 or 5; default: high, for data_only normal"
    )
    ttl_ns: Annotated[DurationNs, Field(ge=0, le=_LONGEST_TTL_NS)] | None = Field(
        None, alias="ttl", description="how long Google may keep a message for a device that is off; default: 4 weeks"
    )
    validate_only: bool = Field(False, description="Google checks each message and delivers none")


class FcmSettings(ConnectionSettings, MessageSettings):
    """Firebase Cloud Messaging, HTTP v1, or this run's own stand-in for it."""

    platforms: ClassVar[tuple[Platform, ...]] = (Platform.IOS, Platform.ANDROID)
    dialect: ClassVar[str] = "fcm"

    tracer_tokens: Annotated[tuple[Annotated[str, AfterValidator(_check_tracer)], ...], BeforeValidator(read_list)] = (
        Field(
            (),
            max_length=16,
            description="registration tokens of your own that get a push before GO; a live run needs one",
        )
    )

    @model_validator(mode="after")
    def _together(self) -> FcmSettings:
        sources = [self.service_account, self.service_account_env, self.access_token_env]
        if sum(source is not None for source in sources) > 1:
            raise ValueError("give one of service_account, service_account_env, access_token_env")
        if self.access_token_env and self.project is None and not self.stand_in:
            raise ValueError("access_token_env needs project: a token does not say whose it is")
        if self.validate_only and self.stand_in:
            raise ValueError(
                "validate_only is for Google: the stand-in delivers nothing, and its witness counts what it takes"
            )
        if self.url == GOOGLE_URL and not any(sources):
            raise ValueError("Google wants to know who sends: give service_account, the JSON file's path")
        self.check_certificate(self.url)
        for platform in self.platforms:
            for what, size in least_payload_bytes(self.built(platform)).items():
                if size > LARGEST_PAYLOAD:
                    raise ValueError(f"message: {what}: {size:,} bytes at least; Google takes {LARGEST_PAYLOAD:,}")
        return self

    def built(self, platform: Platform) -> Message:
        """Return the message for devices of a platform. Raises ValueError."""
        return Message.build(
            self.message, platform, data_only=self.data_only, priority=self.priority, ttl_ns=self.ttl_ns
        )

    @property
    def url(self) -> str:
        """Where messages go, or ``stand-in``."""
        return GOOGLE_URL if self.endpoint == GOOGLE else self.endpoint

    @property
    def stand_in(self) -> bool:
        """Whether it talks to the run's own stand-in. It knows its own service account alone, which is used then."""
        return self.endpoint == STAND_IN

    def account(self) -> ServiceAccount | None:
        """Return the service account that is named, None where none is. Raises UsageError."""
        if self.service_account is None and self.service_account_env is None:
            return None
        file = None if self.service_account is None else Path(self.service_account).expanduser()
        return ServiceAccount.read(read_secret(self.service_account_env, file))

    def asked(self) -> tuple[str, ...]:
        """Return those of ``targets`` that give access tokens and get no message."""
        return self.targets()[1:]

    def targets(self) -> tuple[str, ...]:
        """Return the URLs that this sink connects to: FCM's and the token endpoint's; none for the run's own stand-in.

        Raises UsageError for a service account that cannot be read.
        """
        if self.stand_in:
            return ()
        account = self.account()
        return (self.url,) if account is None else (self.url, account.token_uri)
