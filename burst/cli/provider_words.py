"""What `burst provider` says when it is ready: for each dialect what a client of it needs, and nothing else."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from burst.provider.cloud_keys import PROJECT

_LABEL_WIDTH = 20
_REGION = "us-east-1"  # the tools of AWS want one; the stand-in takes any


def words(facts: Mapping[str, Any], *, client_certificates: bool = False) -> str:
    """Return what a person is told of a stand-in's facts, the same that ``--json`` prints.

    Facts are ``urls``, ``dialects`` (of each URL), ``control``, ``witness`` (files), and where its keys are: ``ca``
    (None in plain text), ``client_certificate``, ``client_key``, ``key``, ``key_id``, ``team_id``, ``aws``, ``google``.
    """
    dialects: Mapping[str, str] = facts["dialects"]
    rows = [("listens on", f"{url}  {dialects[url]}") for url in facts["urls"]]
    rows.append(("control", facts["control"]))
    if facts["ca"]:
        rows.append(("CA", facts["ca"]))
    if facts["client_certificate"] and (client_certificates or "apns" in dialects.values()):
        rows += [("client certificate", facts["client_certificate"]), ("client key", facts["client_key"])]
    if "apns" in dialects.values():
        rows += [("signing key", facts["key"]), ("key id", facts["key_id"]), ("team id", facts["team_id"])]
    if facts["aws"]:
        rows.append(("AWS credentials", facts["aws"]))
    if facts["google"]:
        rows.append(("service account", facts["google"]))
    rows += [("witness", file) for file in facts["witness"]]
    lines = [f"{label:<{_LABEL_WIDTH}}{value}" for label, value in rows]
    return "\n".join([*lines, *_for_shells(facts)]) + "\n"


def _for_shells(facts: Mapping[str, Any]) -> Iterator[str]:
    """Yield lines for the shell that a client of AWS or Google starts in, and where FCM's messages go."""
    dialects: Mapping[str, str] = facts["dialects"]
    aws = {name: _first(dialects, name) for name in ("sqs", "sns")}
    if any(aws.values()):
        for name, url in aws.items():
            if url:
                yield f"export AWS_ENDPOINT_URL_{name.upper()}={url}"
        yield f"export AWS_SHARED_CREDENTIALS_FILE={facts['aws']} AWS_REGION={_REGION} AWS_DEFAULT_REGION={_REGION}"
        if facts["ca"]:
            yield f"export AWS_CA_BUNDLE={facts['ca']}"
    fcm = _first(dialects, "fcm")
    if fcm:
        yield f"export GOOGLE_APPLICATION_CREDENTIALS={facts['google']}"
        if facts["ca"]:
            yield f"export REQUESTS_CA_BUNDLE={facts['ca']}"
        yield f"# messages go to {fcm}/v1/projects/{PROJECT}/messages:send"
    http = _first(dialects, "http")
    if http:
        yield f"# any method and path below {http}/"


def _first(dialects: Mapping[str, str], wanted: str) -> str:
    """Return the first URL of a dialect; none of a unix socket, which no SDK takes."""
    names: Sequence[str] = [
        url for url, dialect in dialects.items() if dialect == wanted and "unix" not in url.split(":")[0]
    ]
    return names[0].rstrip("/") if names else ""
