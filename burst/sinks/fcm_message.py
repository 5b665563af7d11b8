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
from burst.sinks.fcm_fields import Wrong

EXPIRES = "EXPIRES_AT"
"""Stands where the second of expiry is written when it is known: as many letters as that has digits until 2286."""

LARGEST_PAYLOAD = 4096
"""Bytes of a payload, keys and values (Firebase, "FCM error codes", INVALID_ARGUMENT)."""

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
        """Return the message for devices of a platform. ``text`` is a JSON object without mistakes (``fcm_fields``)."""
        fields: dict[str, Any] = json.loads(text or json.dumps(_SILENT if data_only else _DEFAULT))
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


def wrong_together(text: str | None, *, data_only: bool, priority: str | None, ttl_ns: int | None) -> list[Wrong]:
    """Return where a message does not go with the settings beside it, and where it is too large.

    ``text`` is a JSON object that ``wrong_in`` has nothing to say of.
    """
    fields: dict[str, Any] = json.loads(text or "{}")
    found = []
    if data_only and "notification" in fields:
        found.append(Wrong(("notification",), "a data_only message has no notification"))
    headers = ("apns", "headers")
    for setting, value, *places in (
        ("priority", priority, ("android", "priority"), (*headers, "apns-priority")),
        ("ttl", ttl_ns, ("android", "ttl"), (*headers, "apns-expiration")),
    ):
        found += [
            Wrong(path, f"{setting} and message.{'.'.join(path)}: give one of them")
            for path in places
            if value is not None and _at(fields, path) is not None
        ]
    if found:
        return found
    sizes: dict[str, int] = {}
    for platform in (Platform.IOS, Platform.ANDROID):
        built = Message.build(text, platform, data_only=data_only, priority=priority, ttl_ns=ttl_ns)
        sizes |= least_payload_bytes(built)
    return [
        Wrong((), f"message: {what}: {size:,} bytes at least; Google takes {LARGEST_PAYLOAD:,}")
        for what, size in sizes.items()
        if size > LARGEST_PAYLOAD
    ]


def _at(fields: dict[str, Any], path: tuple[str, ...]) -> Any:
    found: Any = fields
    for name in path:
        found = found.get(name) if isinstance(found, dict) else None
    return found


def _fill_android(fields: dict[str, Any], usual: str, priority: str | None, ttl_ns: int | None) -> None:
    android = dict(fields.get("android", {}))
    android.setdefault("priority", priority or usual)
    if ttl_ns is not None:
        android["ttl"] = f"{ttl_ns / NS_PER_S:.9f}".rstrip("0").rstrip(".") + "s"
    fields["android"] = android


def _fill_apns(fields: dict[str, Any], data_only: bool, priority: str | None, ttl_ns: int | None) -> None:
    apns = dict(fields.get("apns", {}))
    headers, payload = dict(apns.get("headers", {})), apns.get("payload", {})
    # Apple refuses 10 of a silent push.
    headers.setdefault("apns-priority", "5" if data_only or priority == "normal" else "10")
    if ttl_ns is not None:
        headers["apns-expiration"] = EXPIRES if ttl_ns else "0"
    if data_only:
        headers.setdefault("apns-push-type", "background")
        payload = payload | {"aps": {"content-available": 1} | payload.get("aps", {})}
    apns["headers"] = headers
    if payload:
        apns["payload"] = payload
    fields["apns"] = apns
