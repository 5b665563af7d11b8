"""Message attributes of SQS: their JSON, their size, and what their MD5 is of."""

from __future__ import annotations

from collections.abc import Mapping

from burst.policy.template import Text
from burst.sinks.sqs_layout import join

_TYPE = b"String"
_IS_TEXT = b"\x01"


def attributes_json(values: Mapping[str, Text]) -> Text:
    """Return ``MessageAttributes`` for an entry, its comma first; nothing without attributes.

    ``values`` are as they may stand inside a JSON string.
    """
    if not values:
        return Text(b"", ())
    parts: list[bytes | Text] = [b',"MessageAttributes":{']
    for number, (name, value) in enumerate(values.items()):
        parts += [b"," if number else b"", b'"%b":{"DataType":"String","StringValue":"' % name.encode(), value, b'"}']
    return join([*parts, b"}"])


def attributes_digested(values: Mapping[str, Text]) -> Text:
    """Return what MD5OfMessageAttributes is the MD5 of. ``values``, sorted by name, are as they are.

    Source: AWS, "Calculating the MD5 message digest for message attributes" (SQS developer guide): of each its name,
    its type and its value, the first two and text with their length before them, 4 bytes, the highest first.
    """
    parts: list[bytes | Text] = []
    for name, value in values.items():
        parts += [_measured(name.encode()), _measured(_TYPE), _IS_TEXT, len(value.raw).to_bytes(4, "big"), value]
    return join(parts)


def attributes_bytes(values: Mapping[str, Text]) -> int:
    """Return how many bytes of a message attributes are: names, types and values (SQS developer guide, quotas)."""
    return sum(len(name) + len(_TYPE) + len(value.raw) for name, value in values.items())


def _measured(text: bytes) -> bytes:
    return len(text).to_bytes(4, "big") + text
