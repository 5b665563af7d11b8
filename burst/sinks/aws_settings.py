"""Settings that the sinks of AWS share: where the service is, and whose keys open it."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from typing import Annotated, ClassVar

from pydantic import AfterValidator, Field, model_validator

from burst.sinks.aws_endpoint import aws_endpoint, aws_region, endpoint_named_by
from burst.sinks.aws_sources import KeyVariables, whose_keys
from burst.sinks.connection_settings import STAND_IN, ConnectionSettings, Need, endpoint_checker, variable_checker

AWS = "aws"
"""The endpoint that is found as the AWS tools find it."""

STAND_IN_REGION = "us-east-1"
"""What the stand-in's region is called where nobody gave it a name."""


def _check_endpoint(url: str) -> str:
    return url if url == AWS else endpoint_checker(path_allowed=True)(url)


def _variable(setting: str, example: str, secret: str) -> AfterValidator:
    return AfterValidator(variable_checker(setting, example, secret))


class AwsSettings(ConnectionSettings):
    """A service of AWS, or this run's own stand-in for it. A sink's class says which ``service``: ``sqs``, ``sns``."""

    service: ClassVar[str]

    endpoint: Annotated[str, AfterValidator(_check_endpoint)] = Field(
        STAND_IN,
        description="stand-in: a provider of this run's own; aws: as the AWS tools find it (AWS_ENDPOINT_URL_*, "
        "AWS_ENDPOINT_URL, the profile, the region's own); else a URL",
    )
    region: str | None = Field(
        None, description="default: AWS_REGION, AWS_DEFAULT_REGION or the profile's; of the stand-in, us-east-1"
    )
    profile: str | None = Field(None, min_length=1, description="a profile of ~/.aws/config; takes burst[aws]")
    access_key_env: Annotated[str | None, _variable("access_key_env", "MY_KEY_ID", "key")] = Field(
        None, description="the environment variable that holds the access key id; default: as the AWS tools find it"
    )
    secret_key_env: Annotated[str | None, _variable("secret_key_env", "MY_SECRET_KEY", "key")] = Field(
        None, description="and the one that holds its secret"
    )
    session_token_env: Annotated[str | None, _variable("session_token_env", "MY_TOKEN", "token")] = Field(
        None, description="and, of temporary keys, the one that holds the session token"
    )

    @model_validator(mode="after")
    def _keys_together(self) -> AwsSettings:
        if bool(self.access_key_env) != bool(self.secret_key_env):
            raise ValueError("access_key_env and secret_key_env come together")
        if self.session_token_env and not self.access_key_env:
            raise ValueError("session_token_env without access_key_env")
        if self.access_key_env and self.profile:
            raise ValueError("give access_key_env or a profile, not both")
        self.check_certificate(self.endpoint)
        return self

    @property
    def key_variables(self) -> KeyVariables | None:
        """The variables that hold the keys, if they are named."""
        if self.access_key_env is None or self.secret_key_env is None:
            return None
        return KeyVariables(self.access_key_env, self.secret_key_env, self.session_token_env)

    @property
    def stand_in(self) -> bool:
        """Whether it talks to the run's own stand-in."""
        return self.endpoint == STAND_IN

    def region_found(self, environ: Mapping[str, str] = os.environ) -> str:
        """Return the region that requests are signed for. Raises UsageError."""
        if self.stand_in:
            return self.region or STAND_IN_REGION
        return aws_region(self.region, environ, self.profile)

    def url(self, environ: Mapping[str, str] = os.environ) -> str:
        """Return the service's URL, or ``stand-in``. Raises UsageError.

        Both ``targets`` and the sink ask here, so a run cannot shoot anywhere but where it was allowed to.
        """
        if self.endpoint != AWS:
            return self.endpoint
        return aws_endpoint(self.service, None, self.region_found(environ), environ, self.profile)

    def named_by(self, environ: Mapping[str, str] = os.environ) -> str:
        """Return what names the service's URL, for advice: the setting, a variable, a profile. Raises UsageError."""
        if self.endpoint != AWS:
            return "endpoint"
        return endpoint_named_by(self.service, environ, self.profile) or "endpoint"

    def needs(self) -> Iterator[Need]:
        """Yield what a run with these settings needs beside them: files for TLS, region and keys."""
        yield from super().needs()
        if self.endpoint != STAND_IN:
            yield Need("region", self._look_for_region)
        if self.endpoint != STAND_IN or self.key_variables:
            setting = "access_key_env" if self.key_variables else "profile" if self.profile else "endpoint"
            yield Need(setting, lambda: whose_keys(self.key_variables, self.profile, os.environ))

    def _look_for_region(self) -> str:
        self.region_found()
        return ""

    def targets(self) -> tuple[str, ...]:
        """Return the URLs that this sink connects to; none when it talks to the run's own stand-in."""
        url = self.url()
        return () if url == STAND_IN else (url,)
