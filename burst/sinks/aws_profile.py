"""Profiles of the AWS command line's shared files: what they say of region and endpoint. Never their keys."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any

from burst.model.errors import UsageError

_KEPT = frozenset(
    {
        "region",
        "endpoint_url",
        "services",
        "ignore_configured_endpoint_urls",
        "use_fips_endpoint",
        "use_dualstack_endpoint",
    }
)


@dataclass(frozen=True, slots=True)
class Profile:
    """What a profile says; ``services`` is its services section, by service."""

    name: str = "default"
    says: Mapping[str, str] = field(default_factory=dict)
    services: Mapping[str, Mapping[str, str]] = field(default_factory=dict)


def botocore_module(name: str, what: str) -> Any:
    """Import a module of botocore, which an installation need not have. Raises UsageError, which says ``what`` for."""
    try:
        import_module("botocore")  # first, so that its absence shows whatever is loaded already
        return import_module(f"botocore.{name}")
    except ImportError:
        pass
    raise UsageError(f"{what} takes botocore, which is not installed", hint="pip install 'burst[aws]'")


def profile_name(profile: str | None, environ: Mapping[str, str]) -> str | None:
    """Return the profile that is asked for, None if nobody asked for one; in botocore's order."""
    return profile or environ.get("AWS_DEFAULT_PROFILE") or environ.get("AWS_PROFILE") or None


def read_profile(profile: str | None, environ: Mapping[str, str]) -> Profile:
    """Read a profile, the environment's or the default one if ``profile`` is None.

    Raises UsageError when it was asked for and does not exist, or cannot be read. Nobody asked and nothing there, or
    no botocore: an empty profile.
    """
    name = profile_name(profile, environ)
    files = [
        _path(environ.get("AWS_CONFIG_FILE") or "~/.aws/config"),
        _path(environ.get("AWS_SHARED_CREDENTIALS_FILE") or "~/.aws/credentials"),
    ]
    if not any(file.is_file() for file in files):
        if name is None:
            return Profile()
        raise _missing(name)
    try:
        loader = botocore_module("configloader", f"AWS profile {name or 'default'}")
    except UsageError:
        if name is None:
            return Profile()
        raise
    return _profile(loader, name, files)


def _profile(loader: Any, name: str | None, files: list[Path]) -> Profile:
    config = _loaded(loader.load_config, files[0])
    profiles = dict(config.get("profiles", {}))
    for found, values in _loaded(loader.raw_config_parse, files[1]).items():
        profiles[found] = {**profiles.get(found, {}), **values}
    if name is not None and name not in profiles:
        raise _missing(name)
    all_said = profiles.get(name or "default", {})
    says = {key: value for key, value in all_said.items() if key in _KEPT and isinstance(value, str)}
    section = says.get("services")
    services = config.get("services", {}).get(section) if section is not None else {}
    if services is None:
        raise UsageError(
            f"AWS profile {name or 'default'} names services {section}, of which there is no section",
            hint=f"write [services {section}] into {files[0]}, or take the line away",
        )
    kept = {service: values for service, values in services.items() if isinstance(values, dict)}
    return Profile(name or "default", says, kept)


def _loaded(load: Any, file: Path) -> Mapping[str, Any]:
    if not file.is_file():
        return {}
    try:
        found: Mapping[str, Any] = load(str(file))
    except Exception:  # noqa: BLE001 (botocore's own error may quote the line, and a key with it)
        found = {}
    else:
        return found
    raise UsageError(f"{file} cannot be read as an AWS configuration", hint="try `aws configure list`")


def _missing(name: str) -> UsageError:
    return UsageError(
        f"there is no AWS profile {name!r}", hint="look into ~/.aws/config, or set AWS_CONFIG_FILE to where it is"
    )


def _path(text: str) -> Path:
    return Path(os.path.expandvars(text)).expanduser()
