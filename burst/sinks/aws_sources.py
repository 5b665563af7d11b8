"""Where AWS keys come from: variables that the settings name, the environment, or botocore's own chain.

The order is that of the AWS tools: what was said explicitly, the environment's keys, the profile, a container's role,
the machine's role. Environment keys work without botocore; a profile or a role is read by botocore alone.
"""

from __future__ import annotations

import math
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Protocol

from burst.model.errors import UsageError
from burst.model.secret import Secret
from burst.sinks.aws_profile import botocore_module, profile_name, read_profile
from burst.sinks.credentials import read_secret

_NO_KEYS = (
    "there are no AWS keys in the environment, the profile, or a role of this machine",
    "export AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or name a profile",
)
_ASKED_LATER = (
    ("role_arn", "assumes a role when the run is armed"),
    ("credential_process", "asks a program of yours when the run is armed"),
    ("sso_session", "uses your SSO login when the run is armed"),
    ("sso_start_url", "uses your SSO login when the run is armed"),
    ("login_session", "uses your login when the run is armed"),
)
"""What a profile may say in place of keys, and what comes of it: other than keys, none can be had without asking."""


@dataclass(frozen=True, slots=True)
class AwsKeys:
    """An access key id with its secret; of temporary ones the session token, and their end in seconds since epoch."""

    access_key: str
    secret: Secret[str]
    session_token: Secret[str] | None = None
    expires_s: float = math.inf


@dataclass(frozen=True, slots=True)
class KeyVariables:
    """The environment variables, by name, that settings say hold the keys."""

    access_key: str
    secret: str
    session_token: str | None = None


class KeySource(Protocol):
    """Gives the keys, as new as they can be had; may block for as long as a network or a subprocess does."""

    renewable: bool

    def load(self) -> AwsKeys:
        """Return the keys. Raises UsageError, which tells no secret."""
        ...


class FixedKeys:
    """Keys that do not change: whoever gave them has no others."""

    renewable = False

    def __init__(self, keys: AwsKeys) -> None:
        self._keys = keys

    def load(self) -> AwsKeys:
        """Return them."""
        return self._keys


class BotocoreKeys:
    """What botocore's chain finds: a profile (static keys, a process, SSO, an assumed role) or this machine's role."""

    renewable = True

    def __init__(self, profile: str | None, environ: Mapping[str, str]) -> None:
        self._asked = profile
        self._shown = profile_name(profile, environ)
        self._found: Any = None

    def load(self) -> AwsKeys:
        """Return its keys; it renews them by itself when their end is near. Raises UsageError."""
        what = f"AWS profile {self._shown}" if self._shown else "an AWS profile or role"
        try:
            if self._found is None:
                session = botocore_module("session", what).Session(profile=self._asked)
                self._found = session.get_credentials()
            found = self._found and self._found.get_frozen_credentials()
        except UsageError as error:
            why, hint = error.what, error.hint
        except Exception as error:  # noqa: BLE001 (what botocore says may quote a subprocess's output, keys and all)
            why = f"{what} gives no keys: {type(error).__name__}{_provider_of(error)}"
            hint = "`aws sts get-caller-identity` with the same environment says more"
        else:
            if found is not None and found.access_key and found.secret_key:
                end = getattr(self._found, "_expiry_time", None)  # botocore has no public way to ask
                expires_s = math.inf if end is None else end.timestamp()
                return checked_keys(found.access_key, found.secret_key, found.token, expires_s, what)
            why, hint = _NO_KEYS
        # Raised out here: what was caught may know the keys.
        raise UsageError(why, hint=hint)


def key_source(
    variables: KeyVariables | None, profile: str | None, environ: Mapping[str, str], own: AwsKeys | None = None
) -> KeySource:
    """Return where the keys come from. Raises UsageError.

    The first of: ``variables`` (settings), ``own`` (the stand-in's pair, given only where it is the endpoint),
    ``profile`` (settings), AWS_ACCESS_KEY_ID and its companions, whatever botocore finds.
    """
    if variables is not None and profile is not None:
        raise UsageError("AWS keys are named twice", hint="name the variables that hold them, or a profile, not both")
    if variables is not None:
        token = variables.session_token
        return FixedKeys(
            checked_keys(
                read_secret(variables.access_key, None).reveal().decode(errors="replace"),
                read_secret(variables.secret, None).reveal().decode(errors="replace"),
                None if token is None else read_secret(token, None).reveal().decode(errors="replace"),
                math.inf,
                "what the settings name",
            )
        )
    if own is not None:
        return FixedKeys(own)
    if profile is None and (keys := environment_keys(environ)) is not None:
        return FixedKeys(keys)
    if profile_name(profile, environ) is None:
        _need_botocore()
    return BotocoreKeys(profile, environ)


def whose_keys(variables: KeyVariables | None, profile: str | None, environ: Mapping[str, str]) -> str:
    """Say whose keys a run would use, as far as it can be told without asking anybody over the network.

    Raises UsageError, as the run would, where there are none, or they are over.
    """
    source = key_source(variables, profile, environ)
    if isinstance(source, FixedKeys):
        if source.load().expires_s <= time.time():
            raise UsageError("the AWS credentials have expired", hint="log in anew, or export new ones")
        first = "AWS_ACCESS_KEY_ID" if variables is None else variables.access_key
        return f"AWS keys are those of the environment, {first} and its companion"
    name = read_profile(profile, environ).name
    said = _profile_keys(profile, name)
    for key, told in _ASKED_LATER:
        if said.get(key):
            return f"AWS keys: profile {name} {told}"
    if said.get("aws_access_key_id"):
        source.load()
        return f"AWS keys are those of profile {name}"
    return f"there are no AWS keys in the environment, and none in profile {name}: {_role(environ)}"


def _role(environ: Mapping[str, str]) -> str:
    """Say whose role is asked for keys. Raises UsageError where nobody's may be."""
    if environ.get("AWS_WEB_IDENTITY_TOKEN_FILE") and environ.get("AWS_ROLE_ARN"):
        return "the role of AWS_ROLE_ARN is assumed, by its web identity, when the run is armed"
    if environ.get("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI") or environ.get("AWS_CONTAINER_CREDENTIALS_FULL_URI"):
        return "this container's role is asked when the run is armed"
    if environ.get("AWS_EC2_METADATA_DISABLED", "").lower() == "true":
        raise UsageError(_NO_KEYS[0], hint=_NO_KEYS[1])
    return f"this machine's role is asked when the run is armed, and if it has none, that is NO-GO; {_NO_KEYS[1]}"


def _profile_keys(profile: str | None, name: str) -> Mapping[str, Any]:
    """Return all that a profile says, keys among it: nobody may be told. Raises UsageError without botocore."""
    session = botocore_module("session", "an AWS profile or role").Session(profile=profile)
    try:
        said = session.full_config.get("profiles", {}).get(name)
    except Exception:  # noqa: BLE001 (botocore's own error may quote a line, and a key with it)
        said = None
    return said if isinstance(said, dict) else {}


def environment_keys(environ: Mapping[str, str] = os.environ) -> AwsKeys | None:
    """Return the environment's keys, None without AWS_ACCESS_KEY_ID. Raises UsageError."""
    access_key = environ.get("AWS_ACCESS_KEY_ID", "").strip()
    if not access_key:
        return None
    token = environ.get("AWS_SECURITY_TOKEN") or environ.get("AWS_SESSION_TOKEN")  # botocore's order
    end = environ.get("AWS_CREDENTIAL_EXPIRATION", "")
    try:
        expires_s = _seconds(end) if end else math.inf
    except ValueError:
        raise UsageError(
            "AWS_CREDENTIAL_EXPIRATION is no date", hint="one is written like 2026-01-31T12:00:00Z"
        ) from None
    return checked_keys(access_key, environ.get("AWS_SECRET_ACCESS_KEY", ""), token, expires_s, "the environment")


def checked_keys(access_key: str, secret: str, token: str | None, expires_s: float, origin: str) -> AwsKeys:
    """Return keys that can stand in a request's header. Raises UsageError, telling none of them."""
    access_key = access_key.strip()
    held = Secret(secret.strip())
    session = Secret(token.strip()) if token and token.strip() else None
    if not held.reveal():
        raise UsageError(f"{origin} has an AWS access key id without its secret", hint="export AWS_SECRET_ACCESS_KEY")
    for what, fits in (
        ("access key id", _fits(access_key) and "/" not in access_key and "," not in access_key),
        ("session token", session is None or _fits(session.reveal())),
    ):
        if not fits:
            raise UsageError(f"the AWS {what} of {origin} is none", hint="are key id and secret in each other's place?")
    return AwsKeys(access_key, held, session, expires_s)


def _fits(text: str) -> bool:
    return bool(text) and text.isascii() and text.isprintable() and " " not in text


def _seconds(date: str) -> float:
    read = datetime.fromisoformat(date)
    return (read if read.tzinfo else read.replace(tzinfo=UTC)).timestamp()


def _provider_of(error: Exception) -> str:
    """Return which link of the chain failed, if botocore tells; its own names are all that can come out."""
    said = getattr(error, "kwargs", {})
    provider = said.get("provider") if isinstance(said, dict) else None
    known = isinstance(provider, str) and provider.replace("-", "").isalnum() and len(provider) < 40
    return f" ({provider})" if known else ""


def _need_botocore() -> None:
    try:
        botocore_module("session", "an AWS profile or role")
    except UsageError as error:
        raise UsageError(
            f"there are no AWS keys in the environment, and {error.what}",
            hint=f"export AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or: {error.hint}",
        ) from None
