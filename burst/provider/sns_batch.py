"""A PublishBatch as it stands in a form: read by its parameters' names, which calls of one client have in common."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from operator import itemgetter

from burst.provider.aws_query import read_value
from burst.provider.sns_topics import Topic
from burst.provider.sns_words import SnsError, wrong

MOST_ENTRIES = 10
MOST_BYTES = 262_144
"""Of the messages of a call together, and of one alone (PublishBatch, SNS API reference)."""

_PLANS = 1024
_MEMBER = re.compile(rb"PublishBatchRequestEntries\.member\.([1-9][0-9]{0,4})\.(.+)").fullmatch
_PAIRS = re.compile(rb"([^=&]+)=?([^&]*)").findall
_good_ids = re.compile(r"[A-Za-z0-9_\-]{1,80}(?:,[A-Za-z0-9_\-]{1,80})*").fullmatch
_is_id = re.compile(r"[A-Za-z0-9_\-]{1,80}").fullmatch
_COUNTED = frozenset((b"Message", b"Subject"))  # attributes count as well: their names, types and values
_PLAIN = frozenset((b"Id", b"Message"))


Pick = Callable[[tuple[bytes, ...]], tuple[bytes, ...]]
"""Picks some of a form's values."""


@dataclass(frozen=True, slots=True)
class Plan:
    """Where everything stands among the values of a form with certain names.

    ``entries`` are those of each entry: what it is called there, and its number among all values. ``plain``: there is
    nothing in them but ids and messages.
    """

    action: int
    version: int
    topic: int
    entries: tuple[dict[bytes, int], ...]
    plain: bool
    ids: Pick | None
    messages: Pick | None


class Forms:
    """Reads forms' names, and keeps what they mean."""

    def __init__(self) -> None:
        self._plans: dict[tuple[bytes, ...], Plan] = {}

    def read(self, body: bytes) -> tuple[Plan, tuple[bytes, ...]]:
        """Return a form's plan, and its values as they came."""
        pairs = _PAIRS(body)
        names, values = zip(*pairs, strict=True) if pairs else ((), ())
        plan = self._plans.get(names)
        if plan is None:
            if len(self._plans) >= _PLANS:
                self._plans.clear()
            plan = _plan(names)
            if len(body) <= MOST_BYTES:
                self._plans[names] = plan
        return plan, values


def _plan(names: tuple[bytes, ...]) -> Plan:
    found: dict[int, dict[bytes, int]] = {}
    single = {b"Action": -1, b"Version": -1, b"TopicArn": -1}
    for at, raw in enumerate(names):
        name = read_value(raw)
        member = _MEMBER(name)
        if member is not None:
            found.setdefault(int(member[1]), {})[member[2]] = at
        elif name in single:
            single[name] = at
    entries = tuple(found[number] for number in sorted(found))
    plain = bool(entries) and all(entry.keys() == _PLAIN for entry in entries)
    ids: Pick | None = None
    messages: Pick | None = None
    if len(entries) > 1 and all(entry.keys() >= _PLAIN for entry in entries):
        ids = itemgetter(*(entry[b"Id"] for entry in entries))
        messages = itemgetter(*(entry[b"Message"] for entry in entries))
    return Plan(single[b"Action"], single[b"Version"], single[b"TopicArn"], entries, plain, ids, messages)


def check_ids(ids: list[str]) -> None:
    """Check the ids of a call's entries. Raises SnsError."""
    if not ids:
        raise SnsError("EmptyBatchRequest", "The batch request doesn't contain any entries.")
    if len(ids) > MOST_ENTRIES:
        raise SnsError(
            "TooManyEntriesInBatchRequest", "The batch request contains more entries than permissible (more than 10)."
        )
    if _good_ids(",".join(ids)) is None or any("," in one for one in ids):
        bad = next((one for one in ids if _is_id(one) is None), "")
        raise SnsError(
            "InvalidBatchEntryId",
            "The Id of a batch entry in a batch request doesn't abide by the specification: "
            f"{bad or 'it has letters, digits, hyphens and underscores, 80 at most'}",
        )
    if len(set(ids)) < len(ids):
        raise SnsError("BatchEntryIdsNotDistinct", "Two or more batch entries in the request have the same Id.")


def size_of(entry: dict[bytes, int], values: tuple[bytes, ...]) -> int:
    """Return how many bytes of an entry count towards the limits."""
    size = 0
    for name, at in entry.items():
        if name in _COUNTED or name.startswith(b"MessageAttributes."):
            size += len(read_value(values[at]))
    return size


def fifo_fault(topic: Topic, named: frozenset[str]) -> SnsError | None:
    """Return what is wrong with a message's group and deduplication id, None if nothing.

    ``named`` are the parameters that it has. Since 2025 a message to a standard topic may have a group.
    """
    if not topic.fifo:
        if "MessageDeduplicationId" in named:
            return wrong(
                "MessageDeduplicationId Reason: The request includes MessageDeduplicationId parameter "
                "that is not valid for this topic type"
            )
        return None
    if "MessageGroupId" not in named:
        return wrong("The MessageGroupId parameter is required for FIFO topics")
    if "MessageDeduplicationId" not in named and not topic.by_content:
        return wrong(
            "The topic should either have ContentBasedDeduplication enabled or MessageDeduplicationId provided "
            "explicitly"
        )
    return None


def too_long() -> SnsError:
    """Return the error of a call whose messages are too much together."""
    return SnsError("BatchRequestTooLong", "The length of all the messages put together is more than the limit.")
