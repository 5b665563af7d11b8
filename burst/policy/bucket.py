"""A token bucket: a rate, and a burst that may be spent at once. Arithmetic on the caller's clock."""

from __future__ import annotations

from burst.model.units import NS_PER_S


class TokenBucket:
    """Holds at most ``burst`` tokens, refilled evenly at ``rate_per_s``; starts full."""

    __slots__ = ("_at_ns", "_tokens", "burst", "rate_per_s")

    def __init__(self, rate_per_s: float, burst: float) -> None:
        self.rate_per_s = rate_per_s
        self.burst = burst
        self._tokens = float(burst)
        self._at_ns: int | None = None

    def take(self, wanted: int, now_ns: int) -> int:
        """Take up to ``wanted`` whole tokens at an instant; return how many there were."""
        if self._at_ns is not None and now_ns > self._at_ns:
            self._tokens = min(self.burst, self._tokens + (now_ns - self._at_ns) * self.rate_per_s / NS_PER_S)
        self._at_ns = now_ns if self._at_ns is None else max(now_ns, self._at_ns)
        taken = min(wanted, int(self._tokens))
        self._tokens -= taken
        return taken

    def available(self, now_ns: int) -> int:
        """Return how many whole tokens there are at an instant."""
        self.take(0, now_ns)
        return int(self._tokens)

    def wait_ns(self, wanted: int = 1) -> int:
        """Return how long after the last ``take`` there will be ``wanted`` tokens."""
        missing = wanted - self._tokens
        return 0 if missing <= 0 else int(missing * NS_PER_S / self.rate_per_s) + 1
