"""How many messages a second SNS takes of one account in a region, unless AWS has granted more.

Source: AWS General Reference, "Amazon SNS endpoints and quotas" (Publish API throttling per account), as of 2025.
Publish and PublishBatch count messages alike: batches save calls, not quota. What FIFO topics have beside it, a limit
for each topic and each message group, is not modelled.
"""

from __future__ import annotations

from burst.policy.bucket import TokenBucket
from burst.provider.behaviour import QuotaSettings

#: Messages a second to standard topics and to FIFO topics.
_RATES = {
    "us-east-1": (30_000, 30_000),
    "us-west-2": (9_000, 9_000),
    "eu-west-1": (9_000, 9_000),
}
_LARGER = (1_500, 3_000)
_LARGER_REGIONS = frozenset(
    (
        "us-east-2",
        "us-west-1",
        "ap-south-1",
        "ap-northeast-2",
        "ap-southeast-1",
        "ap-southeast-2",
        "ap-northeast-1",
        "eu-central-1",
    )
)
_OTHER = (300, 3_000)


def default_rates(region: str) -> tuple[int, int]:
    """Return the messages a second that every account has in a region: to standard topics, and to FIFO topics."""
    return _RATES.get(region, _LARGER if region in _LARGER_REGIONS else _OTHER)


class MessageQuota:
    """Token buckets over messages, this process's part of them. A call that finds too little takes nothing."""

    def __init__(self, quota: QuotaSettings | None, region: str | None, processes: int) -> None:
        """``quota`` is what AWS has granted; without one it is the region's default, if a region is named."""
        self._standard = self._fifo = None
        if quota is not None:
            rate, burst = quota.rate_per_s / processes, max(1, quota.burst // processes)
            self._standard = self._fifo = TokenBucket(rate, burst)
        elif region is not None:
            # AWS does not say how much may come at once: a second's worth.
            standard, fifo = default_rates(region)
            self._standard, self._fifo = (
                TokenBucket(rate / processes, max(1, rate // processes)) for rate in (standard, fifo)
            )
        self.limited = self._standard is not None

    def granted(self, count: int, now_ns: int, *, fifo: bool, partly: bool = False) -> int:
        """Return how many of ``count`` messages are granted: all or none, unless ``partly``."""
        bucket = self._fifo if fifo else self._standard
        if bucket is None:
            return count
        # A call of more than the bucket ever holds would never pass: it passes when the bucket is full.
        wanted = min(count, int(bucket.burst))
        if not partly and bucket.available(now_ns) < wanted:
            return 0
        taken = bucket.take(wanted, now_ns)
        return count if taken == wanted else taken
