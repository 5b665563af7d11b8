"""What Apple checks of a request, and the reason it gives for each fault.

Sources: Apple, "Sending notification requests to APNs" (fields and their forms) and "Handling notification responses
from APNs" (reasons). Apple does not say in which order it checks; here it is from the outside in: method, path,
credentials, device token, then field by field, and the payload last.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from functools import cache

from burst.provider.behaviour import Behaviour
from burst.provider.refusal import REASONS, Refusal, refusal

__all__ = ["PATH", "PUSH_TYPES", "REASONS", "Refusal", "check_head", "check_payload", "duplicated", "largest_payload"]

PATH = b"/3/device/"
#: Push types, and what the topic of each ends in: an app's bundle id and this.
PUSH_TYPES: dict[bytes, bytes] = {
    b"alert": b"",
    b"background": b"",
    b"location": b".location-query",
    b"voip": b".voip",
    b"complication": b".complication",
    b"fileprovider": b".pushkit.fileprovider",
    b"mdm": b"",
    b"liveactivity": b".push-type.liveactivity",
    b"pushtotalk": b".voip-ptt",
    b"widgets": b".push-type.widgets",
    b"controls": b"",
}
_SUFFIXES = tuple(suffix for suffix in PUSH_TYPES.values() if suffix)
_MORE_FOR_VOIP = 1024  # Apple: 5 KB for VoIP, 4 KB for all else
_LONGEST_COLLAPSE_ID = 64

_TOKEN = re.compile(rb"(?:[0-9a-fA-F]{2}){32,100}")  # opaque and of any length, says Apple; seen: 32 to 80 bytes
_TOPIC = re.compile(rb"[A-Za-z0-9][A-Za-z0-9._-]{0,254}")
_UUID = re.compile(rb"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_EPOCH_SECONDS = re.compile(rb"[0-9]{1,19}")
_PRIORITIES = frozenset((b"10", b"5", b"1"))

#: Takes the value of ``authorization`` and returns the reason to refuse it, or None.
TokenReason = Callable[[bytes], str | None]

_refused = cache(refusal)


def check_head(
    fields: Mapping[bytes, bytes], behaviour: Behaviour, token_reason: TokenReason, *, certificate: bool = False
) -> Refusal | None:
    """Return why a request is refused by its head alone, or None.

    Parameters
    ----------
    fields : names in lower case with their values, pseudo-header fields among them
    behaviour : what to check: ``auth`` and ``topics``
    token_reason : the check of provider tokens, as ``TokenCheck.check`` with a clock
    certificate : whether the connection showed a client certificate that was verified
    """
    reason = _head_reason(fields, behaviour, token_reason, certificate=certificate)
    return None if reason is None else _refused(reason)


def check_payload(length: int, push_type: bytes, behaviour: Behaviour) -> Refusal | None:
    """Return why a payload of ``length`` bytes is refused, or None."""
    if not length:
        return _refused("PayloadEmpty")
    return _refused("PayloadTooLarge") if length > largest_payload(push_type, behaviour) else None


def largest_payload(push_type: bytes, behaviour: Behaviour) -> int:
    """Return how many bytes a payload of a push type may have."""
    return behaviour.max_payload + (_MORE_FOR_VOIP if push_type == b"voip" else 0)


def duplicated(names: Iterable[bytes]) -> bool:
    """Say whether a field is given twice (400 DuplicateHeaders); cookies may be (RFC 9113, 8.2.3)."""
    counted = [name for name in names if name != b"cookie"]
    return len(set(counted)) < len(counted)


def _head_reason(
    fields: Mapping[bytes, bytes], behaviour: Behaviour, token_reason: TokenReason, *, certificate: bool
) -> str | None:
    if fields.get(b":method") != b"POST":
        return "MethodNotAllowed"
    path = fields.get(b":path", b"")
    if path != PATH[:-1] and not path.startswith(PATH):
        return "BadPath"
    reason = _credential_reason(fields.get(b"authorization", b""), behaviour.auth, token_reason, certificate)
    if reason is not None:
        return reason
    token = path[len(PATH) :]
    if not token:
        return "MissingDeviceToken"
    if not _TOKEN.fullmatch(token):
        return "BadDeviceToken"
    return _field_reason(fields) or _topic_reason(fields, behaviour, certificate)


def _credential_reason(authorization: bytes, auth: str, token_reason: TokenReason, certificate: bool) -> str | None:
    if auth == "none" or (certificate and auth != "token"):
        return None
    if auth == "certificate":
        return "BadCertificate"
    return token_reason(authorization) if authorization else "MissingProviderToken"


def _field_reason(fields: Mapping[bytes, bytes]) -> str | None:
    push_type = fields.get(b"apns-push-type", b"alert")
    if push_type not in PUSH_TYPES:
        return "InvalidPushType"
    priority = fields.get(b"apns-priority")
    if priority is not None and (priority not in _PRIORITIES or (priority == b"10" and push_type == b"background")):
        return "BadPriority"  # of a background push, Apple: "Using priority 10 is an error"
    if not _EPOCH_SECONDS.fullmatch(fields.get(b"apns-expiration", b"0")):
        return "BadExpirationDate"
    ident = fields.get(b"apns-id")
    if ident is not None and not _UUID.fullmatch(ident):
        return "BadMessageId"
    return "BadCollapseId" if len(fields.get(b"apns-collapse-id", b"")) > _LONGEST_COLLAPSE_ID else None


def _topic_reason(fields: Mapping[bytes, bytes], behaviour: Behaviour, certificate: bool) -> str | None:
    topic = fields.get(b"apns-topic", b"")
    if not topic:
        # A certificate, of one topic, says it already; a provider token is a whole team's.
        return None if certificate or behaviour.auth == "none" else "MissingTopic"
    if not _TOPIC.fullmatch(topic):
        return "BadTopic"
    bundle = next((topic.removesuffix(suffix) for suffix in _SUFFIXES if topic.endswith(suffix)), topic)
    if behaviour.topics and topic.decode() not in behaviour.topics and bundle.decode() not in behaviour.topics:
        return "TopicDisallowed"
    if not topic.endswith(PUSH_TYPES[fields.get(b"apns-push-type", b"alert")]):
        return "DeviceTokenNotForTopic"
    return None
