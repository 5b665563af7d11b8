"""What may stand in a message: its text, its structure, its attributes."""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Mapping

from burst.provider.aws_query import members
from burst.provider.sns_words import SnsError, wrong

_is_name = re.compile(r"(?!\.)(?!.*\.\.)[A-Za-z0-9_.\-]{1,256}(?<!\.)").fullmatch
_is_type = re.compile(r"(?:String|Number|Binary)(?:\.[^.\s][^\s]*)?|String\.Array").fullmatch
_is_fifo_id = re.compile(r"[A-Za-z0-9!\"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~]{1,128}").fullmatch


def check_message(form: Mapping[str, str], *, device: str = "") -> None:
    """Check a message's parameters. ``device`` is the platform of the endpoint it goes to. Raises SnsError."""
    message = form.get("Message", "")
    if not message:
        raise wrong("Empty message")
    subject = form.get("Subject")
    if subject is not None and (not subject or len(subject) > 100 or not subject.isprintable()):
        raise wrong("Subject")
    structure = form.get("MessageStructure")
    if structure == "json":
        _check_structure(message, device)
    elif structure is not None:
        raise wrong("MessageStructure")
    for name in ("MessageGroupId", "MessageDeduplicationId"):
        if name in form and _is_fifo_id(form[name]) is None:
            raise wrong(f"{name} Reason: it is 1 to 128 letters, digits and punctuation marks")
    _check_attributes(form)


def _check_structure(message: str, device: str) -> None:
    try:
        payloads = json.loads(message)
    except ValueError:
        raise wrong("Message Structure - JSON message body failed to parse") from None
    if not isinstance(payloads, dict):
        raise wrong("Message Structure - JSON message body failed to parse")
    keys = {"default", device, "FCM" if device == "GCM" else device} - {""}
    if not any(isinstance(payloads.get(key), str) for key in keys):
        raise wrong("Message Structure - No default entry in JSON message body")


def _check_attributes(form: Mapping[str, str]) -> None:
    names = []
    for attribute in members(form, "MessageAttributes"):
        name, kind = attribute.get("Name", ""), attribute.get("Value.DataType", "")
        names.append(name)
        if _is_name(name) is None or re.match(r"(?i)amazon\.", name):
            raise _bad(f"The message attribute name '{name}' is invalid")
        if _is_type(kind) is None:
            raise _bad(f"The message attribute '{name}' has an invalid message attribute type")
        value, binary = attribute.get("Value.StringValue"), attribute.get("Value.BinaryValue")
        if not (binary if kind.startswith("Binary") else value):
            raise _bad(f"The message attribute '{name}' must contain a non-empty message attribute value")
        if kind.startswith("Binary"):
            try:
                base64.b64decode(binary or "", validate=True)
            except binascii.Error:
                raise _bad(f"The message attribute '{name}' has a binary value that is no base64") from None
    if len(set(names)) < len(names):
        raise _bad("Two message attributes have the same name")


def _bad(message: str) -> SnsError:
    return SnsError("ParameterValueInvalid", f"{message}.")
