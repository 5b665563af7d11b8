"""The fates of messages to FCM, whose quota is a bucket of its own kind.

Source: Firebase, "FCM throttling and quotas": so many messages a minute for a project (600,000 unless it has more);
over it 429 until the quota is refilled in the following minute; minutes are not aligned to the clock; client errors
count, but for 429. Firebase, "Scale your FCM requests": each message takes a quota token from a bucket that is refilled
to the full at the end of its minute.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from burst.model.batch import UInt8Column
from burst.model.units import NS_PER_S
from burst.policy.bucket import TokenBucket
from burst.provider.behaviour import FcmBehaviour
from burst.provider.fate import HANG, PER_TOKEN, RESET, Fates, Sight, UInt64Column

MINUTE_NS = 60 * NS_PER_S
_TOO_MANY, _SERVERS_FAULT = 429, 500


class MinuteBucket:
    """Holds ``full`` tokens, and as many again whenever a minute is over; the first begins with the first message."""

    def __init__(self, full: float) -> None:
        self._full = self._left = max(1, int(full))
        self._ends_ns: int | None = None

    def take(self, wanted: int, now_ns: int) -> int:
        """Take up to ``wanted`` tokens at an instant; return how many there were."""
        if self._ends_ns is None:
            self._ends_ns = now_ns + MINUTE_NS
        elif now_ns >= self._ends_ns:
            self._ends_ns += ((now_ns - self._ends_ns) // MINUTE_NS + 1) * MINUTE_NS
            self._left = self._full
        taken = min(wanted, self._left)
        self._left -= taken
        return taken

    def give(self, count: int) -> None:
        """Take back tokens for what turned out not to count."""
        self._left = min(self._full, self._left + count)


class EvenBucket(TokenBucket):
    """A bucket that is refilled evenly, and takes back."""

    __slots__ = ()

    def give(self, count: int) -> None:
        """Take back tokens for what turned out not to count."""
        self._tokens = min(float(self.burst), self._tokens + count)


class FcmFates(Fates):
    """Fates where errors of the server, and 429, do not count against the quota."""

    def __init__(self, fcm: FcmBehaviour, *arguments: Any, **more: Any) -> None:
        """Prepare; all but ``fcm`` is as for ``Fates``."""
        super().__init__(*arguments, **more)
        quota, processes = self.behaviour.quota, more.get("processes", 1)
        self._own: MinuteBucket | EvenBucket | None = None
        if quota is not None and fcm.quota_refill == "minute":
            self._own = MinuteBucket(quota.rate_per_s * 60 / processes)
        elif quota is not None:
            self._own = EvenBucket(quota.rate_per_s / processes, max(1, quota.burst // processes))
        self._counts = np.ones(256, dtype=np.bool_)
        for fate, told in enumerate(self.refusals):
            if told is not None and (told.status == _TOO_MANY or told.status >= _SERVERS_FAULT):
                self._counts[fate] = False
        self._counts[PER_TOKEN] = True  # until it is known; then it is given back
        self._counts[[fate for fate in (HANG, RESET) if self.sights[fate] != Sight.ACCEPT]] = False

    def judge(self, keys: UInt64Column, now_ns: int, since_ns: int) -> UInt8Column:
        """Decide the fate of messages that came together."""
        fates = super().judge(keys, now_ns, since_ns)
        if self._own is not None and self._token_quotas is not None:
            self._own.give(int(np.count_nonzero(fates == PER_TOKEN)))
        return fates

    def _grant(self, fates: UInt8Column, now_ns: int) -> int:
        if self._own is None:
            return fates.size
        counts = self._counts[fates]
        wanted = int(np.count_nonzero(counts))
        granted = self._own.take(wanted, now_ns)
        if granted == wanted:
            return fates.size
        return int(np.flatnonzero(counts)[granted - 1]) + 1 if granted else 0
