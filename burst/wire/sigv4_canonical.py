"""The canonical request of AWS Signature Version 4: one text for all the ways to write one request.

Source: AWS, "Create a signed AWS API request" (IAM user guide). Where that leaves a choice (what counts as white space,
which fields are never signed) this does as botocore does, against which it is tested.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from urllib.parse import quote

Field = tuple[str, str]
"""A header field's name, in any case, and its value."""

UNSIGNED = frozenset(
    {
        "authorization",
        "baggage",
        "connection",
        "expect",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "te",
        "traceparent",
        "tracestate",
        "trailer",
        "transfer-encoding",
        "upgrade",
        "user-agent",
        "x-amzn-trace-id",
    }
)
"""Fields that whoever stands between may change, so they are never signed."""


def canonical_path(path: str) -> str:
    """Return the path as it is signed: dots and empty parts resolved, and percent-encoded once more.

    ``path`` is what stands on the request line, percent signs and all: every service but S3 encodes it a second time.
    """
    kept: list[str] = []
    for part in path.split("/"):
        if part == "..":
            del kept[-1:]
        elif part not in {"", "."}:
            kept.append(part)
    first = "/" if not path or path[0] == "/" else ""
    last = "/" if path.endswith("/") and kept else ""
    return quote(first + "/".join(kept) + last, safe="/~", errors="surrogateescape")


def canonical_query(query: str) -> str:
    """Return the query as it is signed: pairs in order of name and then value. It is percent-encoded already."""
    if not query:
        return ""
    pairs = sorted((name, value) for name, _, value in (pair.partition("=") for pair in query.split("&")))
    return "&".join(f"{name}={value}" for name, value in pairs)


def encoded_query(pairs: Iterable[tuple[str, str]]) -> str:
    """Return a query string, encoded as AWS wants it: all but letters, digits and ``-_.~``."""
    return "&".join(f"{quote(name, safe='-_.~')}={quote(value, safe='-_.~')}" for name, value in pairs)


def canonical_value(value: str) -> str:
    """Return a field's value without white space at its ends, and with one space for each run of it."""
    return " ".join(value.split())


def gathered(fields: Iterable[Field]) -> dict[str, str]:
    """Return the fields that are signed: names in small letters and in order, repeated ones joined by commas."""
    found: dict[str, list[str]] = {}
    for name, value in fields:
        lower = name.lower()
        if lower not in UNSIGNED:
            found.setdefault(lower, []).append(canonical_value(value))
    return {name: ",".join(found[name]) for name in sorted(found)}


def canonical_head(method: str, path: str, query: str, names: Sequence[str], values: Sequence[str]) -> bytes:
    """Return the canonical request up to where the body's hash follows.

    ``method`` is in capitals; ``names`` are in small letters and in order; ``values`` are canonical.
    """
    lines = [method, canonical_path(path), canonical_query(query)]
    lines += [f"{name}:{value}" for name, value in zip(names, values, strict=True)]
    return "\n".join([*lines, "", ";".join(names), ""]).encode("utf-8", "surrogateescape")
