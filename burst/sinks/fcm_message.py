"""FCM's message: what a scenario says of it, what burst adds, and what it may not be.

The token and ``data.burst``, the notification's id by which a witness knows it, are burst's; Android's and Apple's own
sections are filled in where the scenario leaves them open.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any

from burst.model.batch import Platform
from burst.model.units import NS_PER_S

EXPIRES = "EXPIRES_AT"
"""Stands where the second of expiry is written when it is known: as many letters as that has digits until 2286."""

_ADDRESSES = ("token", "topic", "condition")
_SECTIONS = ("notification", "android", "apns", "webpush", "fcm_options")
_RESERVED = re.compile(r"from|gcm|message_type|google.*|gcm\..*")  # Firebase: Message.data; "FCM error codes"
_PLACE = re.compile(r"\$\{[^}]*\}|\$\$")
_DEFAULT = {
    "notification": {"title": "burst rehearsal", "body": "One of ${event}'s, sent at GO."},
    "data": {"index": "${index}"},
}
_SILENT = {"data": {"index": "${index}"}}


@dataclass(frozen=True, slots=True)
class Message:
    """A message as a template. ``fields`` are FCM's Message without its token."""

    fields: dict[str, Any]

    @classmethod
    def build(
        cls, text: str | None, platform: Platform, *, data_only: bool, priority: str | None, ttl_ns: int | None
    ) -> Message:
        """Return the message for devices of a platform. ``text`` is a JSON object. Raises ValueError."""
        fields: dict[str, Any] = json.loads(text or json.dumps(_SILENT if data_only else _DEFAULT))
        _check(fields, data_only=data_only)
        fields["data"] = fields.get("data", {}) | {"burst": "${id}"}
        if platform is Platform.ANDROID:
            _fill_android(fields, "normal" if data_only else "high", priority, ttl_ns)
        else:
            _fill_apns(fields, data_only, priority, ttl_ns)
        return cls(fields)

    def template(self, *, validate_only: bool) -> str:
        """Return the request's body, with places."""
        body: dict[str, Any] = {"message": {"token": "${token}", **self.fields}}
        if validate_only:
            body["validate_only"] = True
        return json.dumps(body, ensure_ascii=False, separators=(",", ":"))


def payload_bytes(fields: dict[str, Any]) -> dict[str, int]:
    """Return how large the parts of a message are that Google limits: keys and values of ``notification`` and ``data``.

    Where there is a payload for Apple, its JSON is counted as Apple does.
    """
    sizes = {"notification and data": _weight(fields.get("notification")) + _weight(fields.get("data"))}
    if "payload" in fields.get("apns", {}):
        text = json.dumps(fields["apns"]["payload"], ensure_ascii=False, separators=(",", ":"))
        sizes["apns.payload"] = len(text.encode())
    return sizes


def least_payload_bytes(message: Message) -> dict[str, int]:
    """Return the same of a template: whatever its places are filled with."""
    text = json.dumps(message.fields, ensure_ascii=False)
    return payload_bytes(json.loads(_PLACE.sub("x", text)))


def _weight(part: Any) -> int:
    if isinstance(part, dict):
        return sum(len(key.encode()) + _weight(value) for key, value in part.items())
    if isinstance(part, list):
        return sum(map(_weight, part))
    return 0 if part is None else len((part if isinstance(part, str) else json.dumps(part)).encode())


def _check(fields: dict[str, Any], *, data_only: bool) -> None:
    """Raise ValueError for what Google would refuse of every single message."""
    for name in _ADDRESSES:
        if name in fields:
            raise ValueError(f"message has no {name}: each of the audience's tokens is burst's to put in")
    for name in _SECTIONS:
        if not isinstance(fields.get(name, {}), dict):
            raise ValueError(f"message.{name} is an object")  # noqa: TRY004 (pydantic takes no other)
    if data_only and "notification" in fields:
        raise ValueError("a data_only message has no notification")
    data = fields.get("data", {})
    if not isinstance(data, dict):
        raise ValueError("message.data is an object")  # noqa: TRY004
    for key, value in data.items():
        if not isinstance(value, str):
            told = f'message.data.{key} is not text: FCM takes strings alone, write "{value}"'
            raise ValueError(told)  # noqa: TRY004
        if _RESERVED.fullmatch(key):
            raise ValueError(f"message.data.{key}: FCM keeps that name for itself")
    if "burst" in data:
        raise ValueError("message.data.burst is the notification's id, which burst puts in by itself")


def _fill_android(fields: dict[str, Any], usual: str, priority: str | None, ttl_ns: int | None) -> None:
    android = dict(fields.get("android", {}))
    _set_once(android, "priority", priority, "message.android.priority", "priority")
    android.setdefault("priority", usual)
    ttl = None if ttl_ns is None else f"{ttl_ns / NS_PER_S:.9f}".rstrip("0").rstrip(".") + "s"
    _set_once(android, "ttl", ttl, "message.android.ttl", "ttl")
    fields["android"] = android


def _fill_apns(fields: dict[str, Any], data_only: bool, priority: str | None, ttl_ns: int | None) -> None:
    apns = dict(fields.get("apns", {}))
    headers, payload = apns.get("headers", {}), apns.get("payload", {})
    if not isinstance(headers, dict) or not isinstance(payload, dict) or not isinstance(payload.get("aps", {}), dict):
        raise ValueError("message.apns has objects for headers, payload and payload.aps")  # noqa: TRY004
    headers = dict(headers)
    number = {"high": "10", "normal": "5", None: None}[priority]
    if data_only and number == "10":
        number = "5"  # Apple refuses 10 of a silent push
    _set_once(headers, "apns-priority", number, "message.apns.headers.apns-priority", "priority")
    headers.setdefault("apns-priority", "5" if data_only else "10")
    _set_once(
        headers,
        "apns-expiration",
        {None: None, 0: "0"}.get(ttl_ns, EXPIRES),
        "message.apns.headers.apns-expiration",
        "ttl",
    )
    if data_only:
        headers.setdefault("apns-push-type", "background")
        payload = payload | {"aps": {"content-available": 1} | payload.get("aps", {})}
    apns["headers"] = headers
    if payload:
        apns["payload"] = payload
    fields["apns"] = apns


def _set_once(section: dict[str, Any], name: str, value: str | None, where: str, setting: str) -> None:
    """Put a setting's value in, unless the message has one: then it is said which of the two to take away."""
    if value is None:
        return
    if name in section:
        raise ValueError(f"{setting} and {where}: give one of them")
    section[name] = value
