"""Settings of the HTTP sink."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, ClassVar, Literal, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema, field_validator, model_validator

from burst.model.batch import Platform
from burst.model.scenario import Count
from burst.model.secret import Secret
from burst.sinks.connection_settings import (
    STAND_IN,
    ConnectionSettings,
    Need,
    endpoint_checker,
    read_json,
    read_list,
    variable_checker,
)
from burst.sinks.http_body import (
    JSON_TYPE,
    ONE_PERSON,
    SEVERAL_PEOPLE,
    TEXT_TYPE,
    check_body,
    is_json_template,
)
from burst.sinks.http_fields import (
    basic_field,
    bearer_field,
    check_field,
    check_name,
    check_query,
    check_target,
    check_unspoken,
    read_name,
    secret_field,
    secret_target,
)
from burst.sinks.http_statuses import Meaning, check_statuses

BODILESS = frozenset({"GET", "DELETE"})
"""Methods whose requests have no body unless one is given: for these, content has no meaning (RFC 9110, 9.3)."""

_LARGEST_TEMPLATE = 1_048_576
_LONGEST_TOKEN = 4096


def _variable(setting: str, example: str, secret: str) -> AfterValidator:
    return AfterValidator(variable_checker(setting, example, secret))


def _check_endpoint(url: str) -> str:
    endpoint_checker(path_allowed=True)(url)
    parts = urlsplit(url)
    if "$" in parts.netloc:
        raise ValueError("a place may stand in an endpoint's path and query, not in its host")
    if parts.scheme in {"http", "https"} and parts.path + parts.query:
        check_query(check_target(_target_of(url)))
    return url


def _target_of(url: str) -> str:
    parts = urlsplit(url)
    return (parts.path or "/") + (f"?{parts.query}" if parts.query else "")


def _check_path(path: str) -> str:
    if not path.startswith("/"):
        raise ValueError("path begins with a slash")
    return check_query(check_target(path))


def _read_version(value: object) -> object:
    """Read 1.1 and 2, which YAML takes for numbers."""
    return {"1.1": "1.1", "1": "1.1", "2": "2", "2.0": "2"}.get(str(value), value)


def _check_token(token: str) -> str:
    if not token or len(token) > _LONGEST_TOKEN or not all("!" <= letter <= "~" for letter in token):
        raise ValueError("a tracer token is visible ASCII")
    if set(token) & set('"\\<>&'):
        raise ValueError('a tracer token is sent as it stands: no " \\ < > &')
    return token


def _found(secret: Secret[bytes]) -> str:  # noqa: ARG001 (that there is one is all)
    return ""


class HttpSettings(ConnectionSettings):
    """Any webhook, over HTTP/1.1 or HTTP/2, or this run's own stand-in for one."""

    platforms: ClassVar[tuple[Platform, ...]] = (Platform.IOS, Platform.ANDROID)
    dialect: ClassVar[str] = "http"

    endpoint: Annotated[str, AfterValidator(_check_endpoint)] = Field(
        STAND_IN,
        description="stand-in: a provider of this run's own; else https://host[:port]/path?query with places such as "
        "${tenant} and no secret in it (see path_env), http://... (plain text), unix:///path or https+unix:///path",
    )
    path: Annotated[str, AfterValidator(_check_path)] | None = Field(
        None, description="path and query, with places, where endpoint cannot have them: stand-in and unix sockets"
    )
    path_env: Annotated[str | None, _variable("path_env", "HOOK_PATH", "path")] = Field(
        None, description="the environment variable that holds path and query, where these are the secret"
    )
    method: Literal["POST", "PUT", "PATCH", "GET", "DELETE"] = Field("POST", description="of the requests")
    http_version: Annotated[
        Literal["1.1", "2", "auto"],
        BeforeValidator(_read_version),
        WithJsonSchema({"enum": [1.1, 2, "auto", "1.1", "2"]}),
    ] = Field("1.1", description="1.1, 2, or auto: what the server prefers over TLS, and 1.1 over plain text")

    headers: dict[str, str] = Field(
        default_factory=dict,
        description="header fields, with places; no keys, tokens, passwords: for those there is header_env",
    )
    header_env: dict[str, str] = Field(
        default_factory=dict,
        description="header fields whose values are secrets, such as x-api-key: the variables that hold them",
    )
    bearer_env: Annotated[str | None, _variable("bearer_env", "HOOK_TOKEN", "token")] = Field(
        None, description="the environment variable that holds the token of `authorization: Bearer`"
    )
    basic_user: str | None = Field(None, max_length=256, description="the user of `authorization: Basic`")
    basic_password_env: Annotated[str | None, _variable("basic_password_env", "HOOK_PASSWORD", "password")] = Field(
        None, description="the environment variable that holds that user's password"
    )
    id_header: Annotated[str, AfterValidator(check_name)] = Field(
        "burst-id", description="the header field that names whom a request is for"
    )

    body: Annotated[str, BeforeValidator(read_json), WithJsonSchema({"type": ["string", "object", "array"]})] | None = (
        Field(
            None,
            max_length=_LARGEST_TEMPLATE,
            description="JSON or any text, with ${id}, ${index}, ${token}, ${tenant}, ...; for several people ${ids}, "
            '${count}, ["${tokens}"], ["${items}"] instead',
        )
    )
    item: Annotated[str, BeforeValidator(read_json), WithJsonSchema({"type": ["string", "object", "array"]})] | None = (
        Field(
            None,
            max_length=_LARGEST_TEMPLATE,
            description="what ${items} has of each person, with ${id}, ${token}, ...",
        )
    )
    content_type: str | None = Field(
        None, description="default: application/json for a JSON body, text/plain for other text"
    )
    people_per_request: Count = Field(
        1, ge=1, le=4096, description="people in a request, at most: those of one batch (see batching)"
    )
    statuses: Annotated[dict[str, Meaning], BeforeValidator(check_statuses), WithJsonSchema({"type": "object"})] = (
        Field(
            default_factory=dict,
            description="what answers mean, by status or class (409, 5xx): accepted, rejected, throttled, refused "
            "(sent again), doubtful; default: 2xx accepted, 429 throttled, 408, 425 and 5xx refused, 504 doubtful, "
            "others rejected",
        )
    )
    entrance: bool = Field(
        default=False, description="whether an accept says only that a pipeline took it in; the report says so then"
    )
    tracer_tokens: Annotated[tuple[Annotated[str, AfterValidator(_check_token)], ...], BeforeValidator(read_list)] = (
        Field((), max_length=16, description="tokens of your own that get a request before GO; a live run needs one")
    )

    connections: Count = Field(
        32, ge=1, le=1000, description="connections of each worker; HTTP/1.1 carries one request at a time on each"
    )

    @field_validator("headers")
    @classmethod
    def _check_headers(cls, headers: dict[str, str]) -> dict[str, str]:
        return {check_name(name): check_unspoken(name, check_field(name, value)) for name, value in headers.items()}

    @field_validator("header_env")
    @classmethod
    def _check_header_env(cls, variables: dict[str, str]) -> dict[str, str]:
        check = variable_checker("header_env", "HOOK_KEY", "value")
        return {read_name(name): str(check(variable)) for name, variable in variables.items()}

    @model_validator(mode="after")
    def _together(self) -> Self:
        self.check_certificate(self.endpoint)
        self._check_names()
        self._check_places()
        if self.method == "GET" and self.body is not None:
            raise ValueError("a GET has no body: its people are in the header, path and query")
        if self.http_version == "2" and self.people_per_request > 1:
            raise ValueError("several people a request go over HTTP/1.1: leave http_version out")
        if self.has_body:
            self._check_bodies()
        elif self.people_per_request > 1:
            raise ValueError(f"a {self.method} without a body carries one person: leave people_per_request out")
        elif self.content_type or self.item:
            raise ValueError(f"a {self.method} without a body has no content_type and no item")
        return self

    def _check_names(self) -> None:
        if (self.basic_user is None) != (self.basic_password_env is None):
            raise ValueError("basic_user and basic_password_env go together")
        if self.bearer_env and self.basic_user is not None:
            raise ValueError("give bearer_env or basic_user, not both")
        if ":" in (self.basic_user or ""):
            raise ValueError("a basic_user has no colon (RFC 7617)")
        shown = ["authorization"] if self.bearer_env or self.basic_user is not None else []
        names = [self.id_header, *self.headers, *self.header_env, *shown]
        for name in names:
            if names.count(name) > 1:
                raise ValueError(f"header {name} is given twice")

    def _check_places(self) -> None:
        if self.path is not None and self.path_env is not None:
            raise ValueError("give path or path_env, not both")
        parts = urlsplit(self.endpoint)
        own = parts.scheme in {"http", "https"} and (parts.path not in {"", "/"} or bool(parts.query))
        if own and (self.path is not None or self.path_env is not None):
            raise ValueError("endpoint has a path already: leave path and path_env out, or the endpoint's path")
        if self.target is not None:
            check_target(self.target, several=self.people_per_request > 1)
        for name, value in self.headers.items():
            check_field(name, value, several=self.people_per_request > 1)

    def _check_bodies(self) -> None:
        several = self.people_per_request > 1
        if self.item is not None and not several:
            raise ValueError("item is for several people a request: give people_per_request, or body alone")
        if self.item is not None and "${items}" not in self.body_text:
            raise ValueError('item without ["${items}"] in body')
        check_field("content-type", self.effective_content_type, places=False)
        check_body("body", self.body_text, json_body=self.json_body, several=several)
        if several:
            check_body("item", self.item_text, json_body=self.json_body, several=False)

    @property
    def has_body(self) -> bool:
        """Whether requests have a body."""
        return self.method not in BODILESS or self.body is not None

    @property
    def body_text(self) -> str:
        """The body's template."""
        if self.body is not None:
            return self.body
        return SEVERAL_PEOPLE if self.people_per_request > 1 else ONE_PERSON

    @property
    def item_text(self) -> str:
        """The template of one person among several."""
        return self.item if self.item is not None else '{"id":"${id}","token":"${token}","index":"${index}"}'

    @property
    def effective_content_type(self) -> str:
        """What the body is said to be."""
        if self.content_type is not None:
            return self.content_type
        return JSON_TYPE if is_json_template(self.body_text) else TEXT_TYPE

    @property
    def json_body(self) -> bool:
        """Whether the body is JSON."""
        return "json" in self.effective_content_type.lower()

    @property
    def target(self) -> str | None:
        """The template of path and query; None where a variable holds it."""
        if self.path_env is not None:
            return None
        if self.path is not None:
            return self.path
        return _target_of(self.endpoint) if urlsplit(self.endpoint).scheme in {"http", "https"} else "/"

    @property
    def stand_in(self) -> bool:
        """Whether it talks to the run's own stand-in."""
        return self.endpoint == STAND_IN

    def needs(self) -> Iterator[Need]:
        """Yield what a run with these settings needs beside them: files for TLS, and variables that hold secrets."""
        yield from super().needs()
        bearer, user, password, path = self.bearer_env, self.basic_user, self.basic_password_env, self.path_env
        if bearer:
            yield Need("bearer_env", lambda: _found(bearer_field(bearer)))
        if user is not None and password:
            yield Need("basic_password_env", lambda: _found(basic_field(user, password)))
        for name, variable in self.header_env.items():
            yield Need(f"header_env.{name}", lambda variable=variable: _found(secret_field(variable)))  # type: ignore[misc]
        if path:
            yield Need("path_env", lambda: _found(secret_target(path, several=self.people_per_request > 1)))

    def targets(self) -> tuple[str, ...]:
        """Return the URLs that this sink connects to; none when it talks to the run's own stand-in."""
        return () if self.endpoint == STAND_IN else (self.endpoint,)
