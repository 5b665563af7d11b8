"""What a webhook's answers mean: by status, as its user says or as HTTP has it."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import Literal, get_args

from burst.model.outcome import Answer
from burst.model.units import NS_PER_S
from burst.wire import h1_sender, unanswered

Meaning = Literal["accepted", "rejected", "throttled", "refused", "doubtful"]
_ANSWERS = {name: Answer[name.upper()] for name in get_args(Meaning)}
_KEY = re.compile(r"[2-5](?:[0-9]{2}|xx)")
_USUAL: Mapping[str, Meaning] = {
    "2xx": "accepted",
    "3xx": "rejected",
    "4xx": "rejected",
    "5xx": "refused",
    "408": "refused",  # the request did not come whole, and may be repeated (RFC 9110, section 15.5.9)
    "425": "refused",  # not processed, for it might have been a replay (RFC 8470, section 5.2)
    "429": "throttled",
    "504": "doubtful",  # whoever is behind that gateway may have acted; it does not know (RFC 9110, section 15.6.5)
}

REDIRECT, ANOTHER = "redirect", "another status"
_OTHERS = {int(status): f"{int(status)} {status.phrase}" for status in HTTPStatus if status >= 400 and status != 418}
REASONS = tuple(
    dict.fromkeys(("", REDIRECT, *_OTHERS.values(), ANOTHER, *h1_sender.UNANSWERED, *unanswered.UNANSWERED))
)
_NUMBERS = {reason: number for number, reason in enumerate(REASONS)}
_LONGEST_WAIT_S = 10_000_000


def check_statuses(value: object) -> object:
    """Read statuses and their classes, which YAML takes for numbers. Raises ValueError for what is neither."""
    if not isinstance(value, dict):
        raise ValueError("statuses is a section, such as {409: accepted, 5xx: doubtful}")  # noqa: TRY004
    keys = {str(key).lower(): meaning for key, meaning in value.items()}
    for key in keys:
        if not _KEY.fullmatch(key):
            raise ValueError(f"{key} is no status and no class of them: write 409 or 4xx")
    return keys


class Statuses:
    """What each status means. Nobody but the user's own word makes a 3xx an accept: redirects are not followed."""

    def __init__(self, own: Mapping[str, Meaning]) -> None:
        # What is said of one status is stronger than what is said of its class, whoever says it of the class.
        named = {key: meaning for key, meaning in own.items() if key.isdigit()}
        classes = {key: meaning for key, meaning in own.items() if not key.isdigit()}
        usual = {key: meaning for key, meaning in _USUAL.items() if not key.isdigit() or f"{key[0]}xx" not in classes}
        self._meanings: Mapping[str, Meaning] = {**usual, **classes, **named}
        self._own = own

    def verdict(self, status: int, retry_after: bytes | None, date: bytes | None) -> tuple[Answer, int, int]:
        """Return what a status says: the answer, its reason's number, how long to wait (ns; 0 = not said).

        ``retry_after`` and ``date`` are the answer's fields; a date to come again at is read by the answer's own date.
        """
        key, kind = str(status), f"{status // 100}xx"
        answer = _ANSWERS[self._meanings.get(key) or self._meanings.get(kind, "rejected")]
        after_ns = 0
        if retry_after is not None and answer in {Answer.THROTTLED, Answer.REFUSED}:
            after_ns = wait_ns(retry_after, date)
        if status == HTTPStatus.SERVICE_UNAVAILABLE and after_ns and not {key, kind} & set(self._own):
            answer = Answer.THROTTLED  # one who names a time is busy, not broken
        if answer is Answer.ACCEPTED:
            return answer, 0, 0
        return answer, reason_number(status), after_ns


def reason_number(status: int) -> int:
    """Return the number of a status among ``REASONS``."""
    if 300 <= status < 400:
        return _NUMBERS[REDIRECT]
    return _NUMBERS.get(_OTHERS.get(status, ANOTHER), _NUMBERS[ANOTHER])


def is_lasting(retry_after: bytes | None, date: bytes | None) -> bool:
    """Whether these fields say the same wait whenever they are read."""
    return retry_after is None or date is not None or retry_after.strip().isdigit()


def wait_ns(retry_after: bytes, date: bytes | None) -> int:
    """Return how long a ``Retry-After`` asks to wait: seconds, or a date (RFC 9110, section 10.2.3); 0 for neither."""
    text = retry_after.strip()
    if text.isdigit():
        return min(int(text[:12]), _LONGEST_WAIT_S) * NS_PER_S
    until_s = _seconds(text)
    if until_s is None:
        return 0
    # The server's own clock says how long that is; ours may be off.
    now_s = None if date is None else _seconds(date)
    wait_s = until_s - (time.time() if now_s is None else now_s)
    return int(min(max(wait_s, 0.0), _LONGEST_WAIT_S) * NS_PER_S)


def _seconds(date: bytes) -> float | None:
    try:
        return parsedate_to_datetime(date.decode("ascii")).timestamp()
    except (ValueError, OverflowError):
        return None
