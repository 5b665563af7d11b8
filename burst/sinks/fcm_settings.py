"""Settings of the FCM sink."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, ClassVar, Literal

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    ValidatorFunctionWrapHandler,
    WithJsonSchema,
    WrapValidator,
    model_validator,
)

from burst.model.batch import Platform
from burst.model.scenario import DurationNs, Settings
from burst.model.units import parse_duration_ns
from burst.sinks.connection_settings import (
    STAND_IN,
    ConnectionSettings,
    Need,
    endpoint_checker,
    json_template_checker,
    read_json,
    read_list,
    variable_checker,
)
from burst.sinks.credentials import read_secret, too_open
from burst.sinks.fcm_fields import LONGEST_TTL_NS, raise_all, wrong_in
from burst.sinks.fcm_message import Message, wrong_together
from burst.sinks.google_account import ServiceAccount

GOOGLE = "google"
"""The endpoint that is Google's."""

GOOGLE_URL = "https://fcm.googleapis.com"


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


def _check_message(text: str) -> str:
    raise_all("message", wrong_in(json.loads(text)))
    return text


def _check_ttl(given: object, read: ValidatorFunctionWrapHandler) -> int:
    """Check a duration in the words that it was given in: in nanoseconds nobody knows his own again."""
    ttl_ns: int = read(given)
    if ttl_ns > LONGEST_TTL_NS:
        raise ValueError(f"{given} is longer than Google keeps a message: {_longest_ttl(str(given))} at most")
    return ttl_ns


def _longest_ttl(given: str) -> str:
    """Return the limit in the unit that a duration ends in; in seconds where it has none."""
    unit = re.sub(r"[^a-zµ]*(?:.*\d\s*)?", "", given, count=1)
    most = LONGEST_TTL_NS // parse_duration_ns(f"1{unit or 's'}")
    return f"{most:,}{unit}" if unit else f"{most:,} seconds"


MessageText = Annotated[
    str,
    BeforeValidator(read_json),
    AfterValidator(json_template_checker("message", '{"notification": {"title": "Hello"}}')),
    AfterValidator(_check_message),
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
    ttl_ns: Annotated[DurationNs, WrapValidator(_check_ttl)] | None = Field(
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
        found = wrong_together(self.message, data_only=self.data_only, priority=self.priority, ttl_ns=self.ttl_ns)
        raise_all("FcmSettings", found, "message")
        return self

    def built(self, platform: Platform) -> Message:
        """Return the message for devices of a platform."""
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

    def needs(self) -> Iterator[Need]:
        """Yield what a run with these settings needs beside them: files for TLS, and who sends."""
        yield from super().needs()
        if self.stand_in:
            return
        for setting in ("service_account", "service_account_env"):
            if getattr(self, setting):
                yield Need(setting, self._look_for_account)
        if self.access_token_env:
            yield Need("access_token_env", self._look_for_token)

    def _look_for_account(self) -> str:
        self.account()
        return too_open(Path(self.service_account).expanduser()) if self.service_account else ""

    def _look_for_token(self) -> str:
        read_secret(self.access_token_env, None)
        return ""

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
