"""Where an AWS service is: region and URL, from settings, environment and profile, as the AWS tools find them.

The only truth of it: a sink's ``targets()``, asked before the run for where it may shoot, and the sink itself call the
same functions and so cannot differ. Order: AWS, "Service-specific endpoints" (SDKs and tools reference guide).
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from burst.model.errors import BurstError, UsageError
from burst.sinks.aws_profile import Profile, read_profile
from burst.sinks.connection_settings import endpoint_checker

_SUFFIXES = (
    ("cn-", "amazonaws.com.cn"),
    ("eusc-", "amazonaws.eu"),
    ("us-iso-", "c2s.ic.gov"),
    ("us-isob-", "sc2s.sgov.gov"),
    ("eu-isoe-", "cloud.adc-e.uk"),
    ("us-isof-", "csp.hci.ic.gov"),
)
"""Regions of the partitions that have a domain of their own (botocore's ``partitions.json``)."""


def aws_region(region: str | None, environ: Mapping[str, str], profile: str | None = None) -> str:
    """Return the region: of the settings, AWS_REGION, AWS_DEFAULT_REGION, or the profile. Raises UsageError.

    botocore alone does not know AWS_REGION; every other tool does, and so do containers.
    """
    found = region or environ.get("AWS_REGION") or environ.get("AWS_DEFAULT_REGION")
    if not found:
        found = read_profile(profile, environ).says.get("region")
    if not found:
        raise UsageError(
            "no AWS region is known", hint="write region: eu-west-1 into the sink's settings, or export AWS_REGION"
        )
    if not re.fullmatch(r"[a-z][a-z0-9-]{0,30}[a-z0-9]", found):  # it becomes part of a host's name
        raise UsageError(f"{found!r} is no AWS region", hint="one is written like eu-west-1")
    return found


def aws_endpoint(
    service: str, endpoint: str | None, region: str, environ: Mapping[str, str], profile: str | None = None
) -> str:
    """Return the URL of a service, ``sqs`` or ``sns``, in a region. Raises UsageError.

    The first of: ``endpoint`` (settings); AWS_ENDPOINT_URL_SQS or _SNS; AWS_ENDPOINT_URL; the profile's services
    section; the profile's endpoint_url; the service's own URL. AWS_IGNORE_CONFIGURED_ENDPOINT_URLS, or the profile's
    ignore_configured_endpoint_urls, leaves out all but the first and the last.
    """
    if endpoint:
        return endpoint
    said = read_profile(profile, environ)
    configured, _ = _configured(service, environ, said)
    if configured:
        return _checked(configured, service)
    for kind, variable in (("fips", "AWS_USE_FIPS_ENDPOINT"), ("dualstack", "AWS_USE_DUALSTACK_ENDPOINT")):
        if _true(environ.get(variable) or said.says.get(f"use_{kind}_endpoint")):
            raise UsageError(
                f"{variable} is asked for, and burst does not know those endpoints",
                hint="write the URL into endpoint, from AWS's page on the service's endpoints",
            )
    suffix = next((suffix for prefix, suffix in _SUFFIXES if region.startswith(prefix)), "amazonaws.com")
    return f"https://{service}.{region}.{suffix}"


def endpoint_named_by(service: str, environ: Mapping[str, str], profile: str | None = None) -> str:
    """Return who names the URL of a service where settings leave it to the AWS tools' ways; empty: nobody does."""
    return _configured(service, environ, read_profile(profile, environ))[1]


def naming(error: BurstError, named_by: str) -> BurstError:
    """Return an error of connecting whose advice is about who named the URL, not about the setting ``endpoint``."""
    hint = re.sub(r"\bendpoint\b", named_by, error.hint)
    if named_by not in hint:
        hint = f"{hint} (its URL: {named_by})".lstrip()
    return type(error)(error.what, hint=hint)


def _ignored(environ: Mapping[str, str], profile: Profile) -> bool:
    said = environ.get("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS")
    return _true(profile.says.get("ignore_configured_endpoint_urls") if said is None else said)


def _configured(service: str, environ: Mapping[str, str], profile: Profile) -> tuple[str, str]:
    """Return the URL and who names it, the first that does; empty ones where nobody does, or is to be heard."""
    if _ignored(environ, profile):
        return "", ""
    own, everybodys = f"AWS_ENDPOINT_URL_{service.upper()}", "AWS_ENDPOINT_URL"
    ways = (
        (environ.get(own), own),
        (environ.get(everybodys), everybodys),
        (profile.services.get(service, {}).get("endpoint_url"), f"endpoint_url of profile {profile.name}'s services"),
        (profile.says.get("endpoint_url"), f"endpoint_url of profile {profile.name}"),
    )
    return next(((url, name) for url, name in ways if url), ("", ""))


def _checked(url: str, service: str) -> str:
    """Return a URL that nobody checked yet. Raises UsageError."""
    why = ""
    try:
        endpoint_checker(path_allowed=True)(url)
        if url == "stand-in":
            why = "only a scenario asks for the stand-in"
    except ValueError as error:
        why = str(error)
    if why:
        raise UsageError(
            f"the endpoint URL of {service.upper()} that environment or profile name is refused: {why}",
            hint=f"it is AWS_ENDPOINT_URL_{service.upper()}, AWS_ENDPOINT_URL or the profile's endpoint_url",
        )
    return url


def _true(text: str | None) -> bool:
    return (text or "").lower() == "true"  # what botocore takes for true, and nothing else
