"""A message of FCM's HTTP v1 as it came: whether it is one, whom it is for, and what is wrong with it.

Sources: Firebase, REST reference of ``projects.messages`` (fields and their types), "About FCM messages" (payload of
4,096 bytes, of 2,048 to a topic; reserved keys). The JSON is judged in one typed pass; only what fails it is looked at
again, for the words in which Google would say why.
"""

from __future__ import annotations

import re
from typing import Any, NamedTuple

import msgspec
import numpy as np

from burst.model.batch import Int64Column
from burst.model.identity import FOREIGN, IdText
from burst.provider.google import bad_field, bad_message, fcm_error
from burst.provider.loose import TRACERS
from burst.provider.refusal import Refusal

TARGETS = ("fid", "token", "topic", "condition")
LARGEST_TOPIC = 2048  # bytes of payload to a topic or a condition
#: Registration tokens are opaque; those seen are 140 to 200 of these characters. Too short is cut off, says Google.
TOKEN = re.compile(r"[A-Za-z0-9_:\-]{32,1024}")
#: A Firebase installation ID, which has come to stand for the token: 17 bytes as base64url, seen with 22 characters.
_FID = re.compile(r"[A-Za-z0-9_\-]{16,64}")
_TOPIC = re.compile(r"(?:/topics/)?[a-zA-Z0-9\-_.~%]{1,900}")
_TTL = re.compile(r"[0-9]{1,7}(?:\.[0-9]{1,9})?s")
_LONGEST_TTL_S = 2_419_200  # four weeks
_PRIORITIES = frozenset(("NORMAL", "HIGH", "normal", "high"))
_RESERVED, _RESERVED_STARTS = frozenset(("from", "message_type", "")), ("google.", "gcm.")
_NO_TOKEN = "The registration token is not a valid FCM registration token"  # noqa: S105 (no password)


class _Notification(msgspec.Struct, forbid_unknown_fields=True):
    title: str | None = None
    body: str | None = None
    image: str | None = None


class _Message(msgspec.Struct, forbid_unknown_fields=True):
    fid: str | None = None
    token: str | None = None
    topic: str | None = None
    condition: str | None = None
    data: dict[str, str] | None = None
    notification: _Notification | None = None
    android: dict[str, Any] | None = None
    android_v2: dict[str, Any] | None = None
    androidV2: dict[str, Any] | None = None  # noqa: N815 (protobuf's JSON has both)
    apns: dict[str, Any] | None = None
    webpush: dict[str, Any] | None = None
    fcm_options: dict[str, Any] | None = None
    fcmOptions: dict[str, Any] | None = None  # noqa: N815
    name: str | None = None


class _Body(msgspec.Struct, forbid_unknown_fields=True):
    message: _Message | None = None
    validate_only: bool | None = None
    validateOnly: bool | None = None  # noqa: N815


class Message(NamedTuple):
    """What a body says.

    ``target`` is what decides whether it is dead: a registration token, a topic or a condition; ``people`` are those of
    the run who are named, else ``FOREIGN`` or ``TRACERS`` alone.
    """

    target: bytes
    people: Int64Column
    fault: Refusal | None
    validate_only: bool = False
    to_device: bool = False


_FOREIGN = np.array([FOREIGN], dtype=np.int64)
_TRACERS = np.array([TRACERS], dtype=np.int64)
_decode = msgspec.json.Decoder(_Body).decode
_STRING_FIELDS = (*TARGETS, "name")
_OBJECT_FIELDS = ("android", "android_v2", "androidV2", "apns", "webpush", "fcm_options", "fcmOptions")


class MessageReader:
    """Reads bodies for one run. ``largest`` are bytes of a message's notification and data together."""

    def __init__(self, run: str, largest: int) -> None:
        self._ids = IdText(run)
        self._largest = largest

    def read(self, body: bytes) -> Message:
        """Return what a body says."""
        try:
            said = _decode(body)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            return Message(b"", self._people("", body), _why(body, str(error)))
        message = said.message
        if message is None:
            return Message(b"", self._people("", body), bad_message("message", "Message is missing."))
        target = message.token or message.fid or message.topic or message.condition or ""
        ident = (message.data or {}).get("burst", "")
        people = self._people(ident, body)
        fault = self._fault(message)
        return Message(
            target.encode(), people, fault, bool(said.validate_only or said.validateOnly), bool(message.token)
        )

    def _people(self, ident: str, body: bytes) -> Int64Column:
        text = ident.encode() or body
        people = self._ids.people(text)
        if people.size:
            return people if ident or people.size == 1 else np.unique(people)
        return _TRACERS if self._ids.has_tracer(text) else _FOREIGN

    def _fault(self, message: _Message) -> Refusal | None:
        fault = _target_fault(message)
        if fault is not None:
            return fault
        for key in message.data or ():
            if key in _RESERVED or key.startswith(_RESERVED_STARTS):
                return bad_message(f"message.data[{key}]", f"Invalid data payload key: {key}")
        to_many = message.topic is not None or message.condition is not None
        if _payload_bytes(message) > (min(self._largest, LARGEST_TOPIC) if to_many else self._largest):
            return bad_message("message", "Android message is too big")
        return _android_fault(message.android) if message.android else None


def _target_fault(message: _Message) -> Refusal | None:
    given = [name for name in TARGETS if getattr(message, name) is not None]
    if len(given) > 1:
        what = f"oneof field 'target' is already set. Cannot set '{given[1]}'"
        return bad_field("message", f"Invalid value at 'message' (oneof), {what}")
    if message.token is not None:
        good = TOKEN.fullmatch(message.token)
        return None if good else fcm_error("INVALID_ARGUMENT", _NO_TOKEN)
    if message.fid is not None:
        return None if _FID.fullmatch(message.fid) else bad_message("message.fid", "Invalid Firebase installation ID.")
    if message.topic is not None:
        return None if _TOPIC.fullmatch(message.topic) else bad_message("message.topic", "Invalid topic name.")
    if message.condition is not None:
        good_condition = "in topics" in message.condition
        return None if good_condition else bad_message("message.condition", "Invalid condition expression provided.")
    return bad_message("message", "Recipient of the message is not set.")


def _payload_bytes(message: _Message) -> int:
    """Return the bytes of keys and values of notification and data."""
    total = 0
    for key, value in (message.data or {}).items():
        total += len(key.encode()) + len(value.encode())
    notification = message.notification
    if notification is not None:
        for name, text in (("title", notification.title), ("body", notification.body), ("image", notification.image)):
            total += len(name) + len(text.encode()) if text is not None else 0
    return total


def _android_fault(android: dict[str, Any]) -> Refusal | None:
    ttl, priority = android.get("ttl"), android.get("priority")
    if ttl is not None:
        if not isinstance(ttl, str) or not _TTL.fullmatch(ttl):
            where = "message.android.ttl"
            return bad_field(where, f"Illegal duration format; duration must end with 's': {ttl!r}")
        if float(ttl[:-1]) > _LONGEST_TTL_S:
            return bad_message("message.android.ttl", "Invalid ttl: the value must not be above four weeks")
    if priority is not None and priority not in _PRIORITIES:
        what = "(type.googleapis.com/google.firebase.fcm.v1.AndroidConfig.AndroidMessagePriority)"
        return bad_field("message.android.priority", f"Invalid value at 'message.android.priority' {what}, {priority}")
    return None


def _why(body: bytes, otherwise: str) -> Refusal:
    """Return what Google says of a body that is not even a message."""
    try:
        said = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        shown = body[:40].decode("utf-8", "replace")
        return bad_field("", f"Invalid JSON payload received. Unexpected token.\n{shown}\n^")
    if not isinstance(said, dict):
        return bad_field("", 'Invalid JSON payload received. Unknown name "": Root element must be a message.')
    unknown = _unknown(said, _Body, "")
    if unknown is not None:
        return unknown
    for name in ("validate_only", "validateOnly"):
        if not isinstance(said.get(name, False), (bool, type(None))):
            return _wrong(name, "TYPE_BOOL", said[name])
    message = said.get("message")
    if not isinstance(message, dict):
        return _wrong("message", "type.googleapis.com/google.firebase.fcm.v1.Message", message)
    return _message_fault(message) or bad_field("message", otherwise)


def _message_fault(message: dict[str, Any]) -> Refusal | None:
    unknown = _unknown(message, _Message, "message")
    if unknown is not None:
        return unknown
    for name in _STRING_FIELDS:
        if not isinstance(message.get(name, ""), (str, type(None))):
            return _wrong(f"message.{name}", "TYPE_STRING", message[name])
    for name in (*_OBJECT_FIELDS, "data", "notification"):
        if not isinstance(message.get(name, {}), (dict, type(None))):
            return _wrong(f"message.{name}", "an object", message[name])
    for place, value in enumerate((message.get("data") or {}).values()):
        if not isinstance(value, str):
            return _wrong(f"message.data[{place}].value", "TYPE_STRING", value)
    notification = message.get("notification") or {}
    unknown = _unknown(notification, _Notification, "message.notification")
    if unknown is not None:
        return unknown
    for name, value in notification.items():
        if not isinstance(value, (str, type(None))):
            return _wrong(f"message.notification.{name}", "TYPE_STRING", value)
    return None


def _unknown(said: dict[str, Any], kind: type[msgspec.Struct], where: str) -> Refusal | None:
    for name in said:
        if name not in kind.__struct_fields__:
            at = f" at '{where}'" if where else ""
            return bad_field(where, f'Invalid JSON payload received. Unknown name "{name}"{at}: Cannot find field.')
    return None


def _wrong(where: str, kind: str, value: object) -> Refusal:
    shown = value if isinstance(value, (int, float, str)) else type(value).__name__
    return bad_field(where, f"Invalid value at '{where}' ({kind}), {shown}")
