"""How much a worker may have under way and send: its part of what the settings of a network sink allow the fleet."""

from __future__ import annotations

from dataclasses import dataclass

from burst.model.ports import NEVER_NS
from burst.model.units import NS_PER_MS, NS_PER_S
from burst.policy.bucket import TokenBucket

_RESERVE_NS = 5 * NS_PER_MS  # a limited sender waits for tokens of so long a time: not for each one


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits of one worker. None is no limit; ``rate_per_s`` and ``burst`` are its part of the fleet's."""

    connections: int = 4
    streams: int | None = None  # requests at once on a connection
    in_flight: int | None = None  # requests at once
    rate_per_s: float | None = None
    burst: float = 1.0
    connect_within_ns: int = 5 * NS_PER_S
    reconnect_within_ns: int = 10 * NS_PER_S

    def ration(self) -> Ration | None:
        """Return the rate to be kept, if one is."""
        return None if self.rate_per_s is None else Ration(self.rate_per_s, self.burst)


class Ration:
    """A rate that a worker keeps. It is asked before each write how much may leave, and told how much did."""

    def __init__(self, rate_per_s: float, burst: float) -> None:
        self._bucket = TokenBucket(rate_per_s, burst)
        wanted = min(burst / 2, rate_per_s * _RESERVE_NS / NS_PER_S)
        self._reserve = max(1, int(wanted))
        self._short_until_ns = NEVER_NS

    def grant(self, room: int, now_ns: int, *, at_least: int = 1) -> int:
        """Return how many of ``room`` may leave now; where it is fewer, note when it is worth asking again.

        Fewer than ``at_least`` are none: what leaves in calls of so many shall not leave in many that are nearly empty.
        """
        at_least = min(at_least, room, max(1, int(self._bucket.burst)))
        tokens = self._bucket.available(now_ns)
        if tokens >= room:
            return room
        self._short_until_ns = now_ns + self._bucket.wait_ns(max(self._reserve, at_least))
        return tokens if tokens >= at_least else 0

    def take(self, count: int, now_ns: int) -> None:
        """Learn that so many leave."""
        self._bucket.take(count, now_ns)

    def next_ns(self, now_ns: int) -> int:
        """Return when it is worth asking again: NEVER_NS when the rate is not what holds anybody up."""
        until_ns = self._short_until_ns
        if until_ns <= now_ns:
            self._short_until_ns = NEVER_NS  # told once: who has nothing to send does not ask for credit again
        return until_ns
