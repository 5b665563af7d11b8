"""One message as SQS takes it: what it may hold, and the digests of what it holds.

Sources: the API reference of SendMessage, "SQS message metadata" (developer guide) for attributes and their digest.
"""

from __future__ import annotations

import base64
import binascii
import re
import struct
from hashlib import md5

import msgspec

from burst.provider.sqs_faults import SqsError

MOST_BYTES = 1_048_576  # of a message or a batch, attributes and all (since August 2025; 262,144 before)
MOST_ATTRIBUTES = 10
MOST_DELAY_S = 900
# XML 1.0, Char: what may stand in a body.
_strange = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]").search
_is_name = re.compile(r"(?!\.)(?!.*\.\.)[A-Za-z0-9_.\-]{1,256}(?<!\.)").fullmatch
_is_type = re.compile(r"(String|Number|Binary)(\.[^\s]+)?").fullmatch
_is_number = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?").fullmatch
is_group = re.compile(r"[\x21-\x7e]{1,128}").fullmatch


class Attribute(msgspec.Struct, gc=False, omit_defaults=True):
    """A message's attribute. ``BinaryValue`` is base64, as on the wire."""

    StringValue: str | None = None
    BinaryValue: str | None = None
    DataType: str = ""
    StringListValues: list[str] | None = None
    BinaryListValues: list[str] | None = None


Attributes = dict[str, Attribute]


def wrong(message: str) -> SqsError:
    """Return the error of a value that does not do."""
    return SqsError("InvalidParameterValue", message)


def missing(name: str) -> SqsError:
    """Return the error of what is not there."""
    return SqsError("MissingParameter", f"The request must contain the parameter {name}.")


def check_body(body: str) -> None:
    """Check a message's body. Raises SqsError."""
    if not body:
        raise missing("MessageBody")
    found = _strange(body)
    if found is not None:
        raise SqsError(
            "InvalidMessageContents",
            f"Invalid binary character '#x{ord(found[0]):X}' was found in the message body, the set of allowed "
            "characters is #x9 | #xA | #xD | [#x20 to #xD7FF] | [#xE000 to #xFFFD] | [#x10000 to #x10FFFF]",
        )


def check_attributes(attributes: Attributes) -> int:
    """Check a message's attributes; return their bytes: names, types and values. Raises SqsError."""
    if len(attributes) > MOST_ATTRIBUTES:
        raise wrong(
            f"Number of message attributes [{len(attributes)}] exceeds the allowed maximum [{MOST_ATTRIBUTES}]."
        )
    return sum(_check_attribute(name, attribute) for name, attribute in attributes.items())


def _check_attribute(name: str, attribute: Attribute) -> int:
    if not _is_name(name) or name.lower().startswith(("aws.", "amazon.")):
        raise wrong(
            f"Message (user) attribute name '{name}' is invalid: 1 to 256 of A-Z, a-z, 0-9, underscores, hyphens and "
            "periods, no period first, last or twice in a row, and not AWS. or Amazon. first."
        )
    if attribute.StringListValues or attribute.BinaryListValues:
        raise SqsError(
            "UnsupportedOperation", "Message attribute list values in SendMessage operation are not supported."
        )
    if not attribute.DataType:
        raise wrong(f"The message attribute '{name}' must contain a non-empty message attribute type.")
    kind = _is_type(attribute.DataType)
    if kind is None or len(attribute.DataType) > 256:
        raise wrong(
            f"The message attribute '{name}' has an invalid message attribute type, the set of supported type "
            "prefixes is Binary, Number, and String."
        )
    value = value_of(attribute)
    if not value:
        raise wrong(
            f"The message attribute '{name}' must contain a non-empty message attribute value for message attribute "
            f"type '{attribute.DataType}'."
        )
    if kind[1] == "Number" and not _is_number(attribute.StringValue or ""):
        raise wrong(f"Can't cast the value of message (user) attribute '{name}' to a number.")
    if kind[1] != "Binary" and _strange(attribute.StringValue or "") is not None:
        raise wrong(f"Invalid binary character was found in the message attribute '{name}' value.")
    return len(name) + len(attribute.DataType.encode()) + len(value)


def value_of(attribute: Attribute) -> bytes:
    """Return an attribute's value; empty where it has none. Raises SqsError."""
    if attribute.DataType.startswith("Binary"):
        try:
            return base64.b64decode(attribute.BinaryValue or "", validate=True)
        except binascii.Error:
            raise SqsError("MalformedInput", "BinaryValue is no base64") from None
    return (attribute.StringValue or "").encode()


def digest_of(attributes: Attributes) -> str:
    """Return MD5OfMessageAttributes: each, by name, as name, type, 1 (text) or 2 (bytes), value; lengths before."""
    hashed = md5(usedforsecurity=False)
    for name in sorted(attributes):
        attribute = attributes[name]
        for piece in (name.encode(), attribute.DataType.encode()):
            hashed.update(struct.pack(">I", len(piece)) + piece)
        value = value_of(attribute)
        binary = attribute.DataType.startswith("Binary")
        hashed.update((b"\x02" if binary else b"\x01") + struct.pack(">I", len(value)) + value)
    return hashed.hexdigest()
