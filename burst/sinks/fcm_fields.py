"""The fields that FCM's message has, and what is wrong with a message that was written: all of it, each with its place.

Google refuses a message with a field that it does not know as a whole, so a misspelt one is refused of everybody.
Source: Firebase, REST reference of ``projects.messages`` (Message and the objects in it). Protobuf's JSON takes each
name with underscores or in camel case.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

from pydantic import ValidationError
from pydantic_core import InitErrorDetails

from burst.model.units import NS_PER_S

LONGEST_TTL_NS = 28 * 86_400 * NS_PER_S
"""Four weeks, 2,419,200 s (AndroidConfig.ttl)."""

_ADDRESSES = ("token", "fid", "topic", "condition")
_SECTIONS = ("notification", "android", "apns", "webpush", "fcm_options", "data")
_PRIORITIES = ("normal", "high", "NORMAL", "HIGH")
_RESERVED = re.compile(r"from|gcm|message_type|google.*|gcm\..*")  # Firebase: Message.data; "FCM error codes"
_TTL = re.compile(r"[0-9]{1,9}(?:\.[0-9]{1,9})?s")

Fields = dict[str, "Fields | None"]
"""Names of an object's fields; None where anything may stand in one."""


def _any(*names: str) -> Fields:
    return dict.fromkeys(names)


_ANDROID_NOTIFICATION: Fields = {
    **_any("title", "body", "icon", "color", "sound", "tag", "click_action", "image", "channel_id", "ticker"),
    **_any("body_loc_key", "body_loc_args", "title_loc_key", "title_loc_args", "sticky", "event_time", "local_only"),
    **_any("notification_priority", "default_sound", "default_vibrate_timings", "default_light_settings", "proxy"),
    **_any("vibrate_timings", "visibility", "notification_count", "bypass_proxy_notification"),
    "light_settings": {
        "color": _any("red", "green", "blue", "alpha"),
        **_any("light_on_duration", "light_off_duration"),
    },
}
_MESSAGE: Fields = {
    **_any("name", "data", *_ADDRESSES),
    "notification": _any("title", "body", "image"),
    "android": {
        **_any("collapse_key", "priority", "ttl", "restricted_package_name", "data", "direct_boot_ok"),
        **_any("bandwidth_constrained_ok", "restricted_satellite_ok"),
        "notification": _ANDROID_NOTIFICATION,
        "fcm_options": _any("analytics_label"),
    },
    "android_v2": None,  # announced, and still in motion
    "webpush": {**_any("headers", "data", "notification"), "fcm_options": _any("link", "analytics_label")},
    "apns": {
        **_any("headers", "payload", "live_activity_token"),
        "fcm_options": _any("analytics_label", "image"),
    },
    "fcm_options": _any("analytics_label"),
}


@dataclass(frozen=True, slots=True)
class Wrong:
    """One mistake in a message: the path of the field that it is in, and what it is."""

    path: tuple[str, ...]
    what: str


def raise_all(title: str, found: Sequence[Wrong], *above: str) -> None:
    """Raise pydantic's ValidationError with every mistake at its own place, below ``above``; nothing if there is none.

    Inside a validator pydantic takes its errors over one by one.
    """
    if found:
        rows = [
            InitErrorDetails(
                type="value_error", loc=(*above, *one.path), input=None, ctx={"error": ValueError(one.what)}
            )
            for one in found
        ]
        raise ValidationError.from_exception_data(title, rows)


def wrong_in(fields: dict[str, Any]) -> list[Wrong]:
    """Return what Google would refuse of every single message, as far as the message alone tells."""
    found = [
        Wrong((name,), f"message has no {name}: each of the audience's tokens is burst's to put in")
        for name in _ADDRESSES
        if name in fields
    ]
    found += _unknown(fields, _MESSAGE, ())
    found += [
        Wrong((name,), f"message.{name} is an object")
        for name in _SECTIONS
        if name in fields and not isinstance(fields[name], dict)
    ]
    found += _wrong_data(fields.get("data"), ("data",))
    android = fields.get("android")
    if isinstance(android, dict):
        found += _wrong_data(android.get("data"), ("android", "data"))
        found += _wrong_android(android)
    found += _wrong_apns(fields.get("apns"))
    return found


def _unknown(fields: dict[str, Any], known: Fields, above: tuple[str, ...]) -> Iterator[Wrong]:
    """Yield the fields that there are not, with the nearest that there is."""
    for name, value in fields.items():
        plain = re.sub(r"[A-Z]", lambda found: f"_{found[0].lower()}", name)
        if name not in known and plain not in known:
            where = ".".join(("message", *above))
            near = _elsewhere(plain) or " or ".join(get_close_matches(plain, known, n=1, cutoff=0.6))
            hint = f"did you mean {near}?" if near else f"its fields: {', '.join(sorted(known))}"
            yield Wrong((*above, name), f"{where} has no field {name}, says FCM's reference; {hint}")
            continue
        below = known.get(name, known.get(plain))
        if below is not None and isinstance(value, dict):
            yield from _unknown(value, below, (*above, name))


def _elsewhere(name: str) -> str:
    """Return where a field belongs that is known, but not here; nothing where it is unknown, or anywhere's."""
    places = [
        ".".join(("message", *path, name))
        for path, known in (((), _MESSAGE), *_sections(_MESSAGE, ()))
        if name in known
    ]
    return " or ".join(places) if len(places) <= 3 else ""


def _sections(known: Fields, above: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Fields]]:
    for name, below in known.items():
        if below is not None:
            yield (*above, name), below
            yield from _sections(below, (*above, name))


def _wrong_data(data: Any, path: tuple[str, ...]) -> Iterator[Wrong]:
    if not isinstance(data, dict):
        return
    where = ".".join(("message", *path))
    for key, value in data.items():
        if not isinstance(value, str):
            yield Wrong((*path, key), f'{where}.{key} is not text: FCM takes strings alone, write "{value}"')
        if _RESERVED.fullmatch(key):
            yield Wrong((*path, key), f"{where}.{key}: FCM keeps that name for itself")
        elif key == "burst":
            yield Wrong((*path, key), f"{where}.burst is the notification's id, which burst puts in by itself")


def _wrong_android(android: dict[str, Any]) -> Iterator[Wrong]:
    priority, ttl = android.get("priority", "high"), android.get("ttl", "0s")
    if priority not in _PRIORITIES:
        yield Wrong(("android", "priority"), f"message.android.priority is high or normal, not {priority!r}")
    if not isinstance(ttl, str) or not _TTL.fullmatch(ttl):
        yield Wrong(("android", "ttl"), f'message.android.ttl is seconds with an s, such as "3600s", not {ttl!r}')
    elif float(ttl[:-1]) * NS_PER_S > LONGEST_TTL_NS:
        yield Wrong(("android", "ttl"), f"message.android.ttl {ttl} is more than Google keeps a message: 2419200s")


def _wrong_apns(apns: Any) -> Iterator[Wrong]:
    if not isinstance(apns, dict):
        return
    headers, payload = apns.get("headers", {}), apns.get("payload", {})
    if not isinstance(headers, dict) or not isinstance(payload, dict) or not isinstance(payload.get("aps", {}), dict):
        yield Wrong(("apns",), "message.apns has objects for headers, payload and payload.aps")
    elif not all(isinstance(value, str) for value in headers.values()):
        name = next(name for name, value in headers.items() if not isinstance(value, str))
        yield Wrong(
            ("apns", "headers", name),
            f'message.apns.headers.{name} is not text: FCM takes strings alone, write "{headers[name]}"',
        )
