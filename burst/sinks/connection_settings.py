"""Settings that every sink of the network has, and the checks that their own settings share."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema

from burst.model.scenario import Count, DurationNs, RatePerS, Settings
from burst.model.units import format_rate
from burst.policy.template import Template
from burst.sinks.credentials import too_open
from burst.wire.limits import Limits
from burst.wire.tls import client_context

STAND_IN = "stand-in"
"""The endpoint that is this run's own provider."""

_PLACE_OR_DOLLAR = re.compile(r"\$\{[^}]*\}|\$\$")


@dataclass(frozen=True, slots=True)
class Need:
    """Something outside the scenario that a run needs: ``setting`` names it.

    ``look`` looks for it as the run will, but asks nobody over the network. It returns what a person should know of it,
    or nothing; raises UsageError, in the run's own words, where it is missing. Neither tells a secret.
    """

    setting: str
    look: Callable[[], str]


class ConnectionSettings(Settings):
    """How a worker connects, and how much it may send."""

    certificate: str | None = Field(None, description="a client certificate (PEM)")
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

    @property
    def effective_burst(self) -> float:
        """How many may leave at once: so few by default that no second sees more than 102 % of the rate."""
        assert self.rate_per_s is not None
        return self.burst or max(1.0, self.rate_per_s / 100)

    def limits(self, workers: int) -> Limits:
        """Return what one of so many workers is allowed."""
        rate = self.rate_per_s
        return Limits(
            self.connections,
            self.streams,
            self.in_flight,
            None if rate is None else rate / workers,
            1.0 if rate is None else max(1.0, self.effective_burst / workers),
            self.connect_within_ns,
            self.reconnect_within_ns,
        )

    def division(self, sink: str, workers: int) -> str | None:
        """Say how a fleet-wide rate is divided among the workers, for the journal."""
        rate = self.rate_per_s
        if rate is None:
            return None
        return (
            f"{sink}: at most {format_rate(rate)} and {self.effective_burst:,.0f} at once, divided over "
            f"{workers} worker(s): {format_rate(rate / workers)} each"
        )

    def needs(self) -> Iterator[Need]:
        """Yield what a run with these settings needs beside them: here files that are for TLS."""
        if str(getattr(self, "endpoint", "")).startswith(("http:", "unix:")):
            return  # in plain text nobody reads them
        ca_file, certificate, key = self.ca_file or "", self.certificate or "", self.certificate_key or ""
        if ca_file:
            yield Need("ca_file", lambda: _tls(ca_file))
        if certificate:
            yield Need("certificate", lambda: _tls("", certificate, key) or too_open(Path(key or certificate)))

    def check_certificate(self, endpoint: str) -> None:
        """Raise ValueError when the client certificate cannot be shown."""
        if self.certificate_key and not self.certificate:
            raise ValueError("certificate_key without certificate")
        if self.certificate and endpoint.startswith(("http:", "unix:")):
            raise ValueError("a client certificate is shown over TLS: write https:// in endpoint")


def _tls(ca_file: str, certificate: str = "", key: str = "") -> str:
    client_context(ca_file, certificate, key)
    return ""


def endpoint_checker(adds: str = "", *, path_allowed: bool = False) -> Callable[[str], str]:
    """Return a check of endpoints: ``stand-in``, or a URL of a server or a unix socket.

    ``adds`` is the path that the sink adds by itself; with ``path_allowed`` a server's URL may have a path and a query.
    """

    def check(url: str) -> str:
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
        if not path_allowed and (parts.path not in {"", "/"} or parts.query or parts.fragment):
            raise ValueError(f"an endpoint has no path: burst adds {adds}")
        if path_allowed and (parts.fragment or not (parts.path + parts.query).isascii()):
            raise ValueError("an endpoint has no fragment, and its path is ASCII: write other characters as %XX")
        return url

    return check


def variable_checker(setting: str, example: str, secret: str) -> Callable[[str | None], str | None]:
    """Return a check of environment variables' names, for a setting that names where a ``secret`` is kept."""

    def check(name: str | None) -> str | None:
        # What is no name is taken for the secret itself, which somebody has pasted: it must not get into a run folder.
        if name is not None and not re.fullmatch(r"[A-Z][A-Z0-9_]{0,63}", name):
            raise ValueError(
                f"{setting} is the name of an environment variable, in capitals such as {example}, not the {secret}"
            )
        return name

    return check


def read_list(value: object) -> object:
    """Read ``a, b`` as a list: what an environment variable can hold."""
    return [part.strip() for part in value.split(",") if part.strip()] if isinstance(value, str) else value


def read_json(value: object) -> object:
    """Read a section as JSON text; text stays as it is."""
    if isinstance(value, (dict, list)):
        return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return value


def json_template_checker(setting: str, example: str) -> Callable[[str], str]:
    """Return a check of templates that are JSON objects whatever their places are filled with."""

    def check(text: str) -> str:
        Template(text)
        # With its places and without: a place must stand inside a JSON string, as an index has leading zeros.
        try:
            filled = json.loads(_PLACE_OR_DOLLAR.sub("x", text))
        except ValueError as error:
            try:
                json.loads(_PLACE_OR_DOLLAR.sub("0", text))
            except ValueError:
                raise ValueError(f"{setting} is not JSON: {error}") from None
            raise ValueError(
                f'{setting} has a place outside a string: write "${{index}}", in quotation marks'
            ) from None
        if not isinstance(filled, dict):
            raise ValueError(f"{setting} is not a JSON object, such as {example}")  # noqa: TRY004
        return text

    return check


def least_bytes(template: str) -> int:
    """Return how many bytes a template has at least, whatever its places are filled with."""
    return len(_PLACE_OR_DOLLAR.sub("x", template).encode())


Payload = Annotated[
    str,
    BeforeValidator(read_json),
    AfterValidator(json_template_checker("payload", '{"aps": {"alert": "Hello"}}')),
    WithJsonSchema({"type": ["string", "object"]}),
]
"""A JSON object with places, as text or as a section."""
