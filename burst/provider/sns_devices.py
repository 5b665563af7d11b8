"""Devices as SNS knows them: platform applications, and in each of them an endpoint for every device token.

An endpoint that nobody has created is taken for good, so that a burst needs no millions of calls before it. A serving
process keeps by itself what it was told.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from hashlib import sha256

from burst.provider.sns_topics import ACCOUNT
from burst.provider.sns_words import SnsError, wrong

_PLATFORMS = frozenset(
    ("ADM", "APNS", "APNS_SANDBOX", "APNS_VOIP", "APNS_VOIP_SANDBOX", "BAIDU", "FCM", "GCM", "MPNS", "WNS")
)
_is_name = re.compile(r"[A-Za-z0-9_\-.]{1,256}").fullmatch
_is_application = re.compile(r"arn:aws[a-z\-]*:sns:[a-z0-9\-]+:[0-9]{12}:app/([A-Z_]+)/([A-Za-z0-9_\-.]+)").fullmatch
# What follows the application is a UUID at AWS; here it may be anything, a device token for one.
_is_endpoint = re.compile(
    r"arn:aws[a-z\-]*:sns:[a-z0-9\-]+:[0-9]{12}:endpoint/[A-Z_]+/[A-Za-z0-9_\-.]+/[A-Za-z0-9_\-:.]{1,512}"
).fullmatch
_ENDPOINT_ATTRIBUTES = frozenset(("CustomUserData", "Enabled", "Token"))


class Devices:
    """All applications and endpoints."""

    def __init__(self) -> None:
        self.applications: dict[str, dict[str, str]] = {}
        self.endpoints: dict[str, dict[str, str]] = {}
        self._deleted: set[str] = set()
        self.told = False  # whether anything was said of any endpoint

    def create_application(self, name: str, platform: str, attributes: Mapping[str, str], region: str) -> str:
        """Return an application's ARN. Raises SnsError."""
        if platform not in _PLATFORMS:
            raise wrong(f"Platform Reason: {platform} is not supported")
        if not _is_name(name):
            raise wrong("Name")
        if not attributes.get("PlatformCredential"):
            raise wrong("Attributes Reason: PlatformCredential attribute is required")
        arn = f"arn:aws:sns:{region}:{ACCOUNT}:app/{'GCM' if platform == 'FCM' else platform}/{name}"
        self.applications[arn] = {"Enabled": "true"} | {
            key: value for key, value in attributes.items() if key not in {"PlatformCredential", "PlatformPrincipal"}
        }
        return arn

    def delete_application(self, arn: str) -> None:
        """Delete an application; one that is not there is no error."""
        self.applications.pop(arn, None)

    def application(self, arn: str) -> dict[str, str]:
        """Return an application's attributes; any of good form exists. Raises SnsError."""
        if _is_application(arn) is None:
            raise wrong("PlatformApplicationArn")
        return self.applications.setdefault(arn, {"Enabled": "true"})

    def create_endpoint(self, application: str, given: Mapping[str, str]) -> str:
        """Return an endpoint's ARN: the same one for the same token. Raises SnsError."""
        self.application(application)
        token = given.get("Token", "")
        if not token:
            raise wrong("Token")
        digest = sha256(token.encode()).hexdigest()
        ident = f"{digest[:8]}-{digest[8:12]}-3{digest[13:16]}-8{digest[17:20]}-{digest[20:32]}"
        arn = f"{application.replace(':app/', ':endpoint/', 1)}/{ident}"
        wanted = {"Enabled": "true", "Token": token} | dict(given)
        known = self.endpoints.get(arn)
        if known is not None and known.get("CustomUserData", "") != given.get("CustomUserData", ""):
            raise wrong(f"Token Reason: Endpoint {arn} already exists with the same Token, but different attributes.")
        self._deleted.discard(arn)
        self.endpoints[arn] = known or wanted
        self.told = True
        return arn

    def attributes(self, arn: str) -> dict[str, str]:
        """Return an endpoint's attributes. Raises SnsError."""
        self._check(arn)
        return self.endpoints.setdefault(arn, {"Enabled": "true", "Token": arn.rpartition("/")[2]})

    def set_attributes(self, arn: str, given: Mapping[str, str]) -> None:
        """Set an endpoint's attributes. Raises SnsError."""
        known = self.attributes(arn)
        if unknown := set(given) - _ENDPOINT_ATTRIBUTES:
            raise wrong(f"Attributes Reason: Invalid attribute name: {min(unknown)}")
        known.update(given)
        self.told = True

    def delete_endpoint(self, arn: str) -> None:
        """Delete an endpoint; one that is not there is no error."""
        if _is_endpoint(arn) is None:
            raise wrong("EndpointArn")
        self.endpoints.pop(arn, None)
        self._deleted.add(arn)
        self.told = True

    def turn_off(self, arn: str) -> None:
        """Disable an endpoint whose device is gone, as AWS does when Apple or Google have said so."""
        self.attributes(arn)["Enabled"] = "false"

    def token(self, arn: str) -> str:
        """Return an endpoint's device token, or what stands in its place."""
        known = self.endpoints.get(arn) if self.told else None
        return known["Token"] if known is not None else arn.rpartition("/")[2]

    def _check(self, arn: str) -> None:
        if _is_endpoint(arn) is None:
            raise wrong(f"TargetArn Reason: No endpoint found for the target arn specified: {arn}")
        if arn in self._deleted:
            raise SnsError("NotFound", "Endpoint does not exist")

    def publish(self, arn: str) -> None:
        """Check that an endpoint can be published to. Raises SnsError."""
        self._check(arn)
        if self.told:
            known = self.endpoints.get(arn)
            if known is not None and known["Enabled"].lower() == "false":
                raise SnsError("EndpointDisabled", "Endpoint is disabled")
            application = self.applications.get(arn.rpartition("/")[0].replace(":endpoint/", ":app/", 1))
            if application is not None and application.get("Enabled", "true").lower() == "false":
                raise SnsError("PlatformApplicationDisabled", "Platform application is disabled")
