"""Every Redis key that burst owns, in one file. A shard's keys share a hash tag, and so a Cluster slot."""

from __future__ import annotations

from dataclasses import dataclass

PREFIX = "{burst:"
GROUP = "workers"


@dataclass(frozen=True, slots=True)
class ShardKeys:
    """The keys of one shard of one run."""

    run: str
    shard: int

    @property
    def tag(self) -> str:
        """The common beginning of the shard's keys."""
        return f"{PREFIX}{self.run}:s{self.shard}}}"

    def lane(self, lane: str) -> str:
        """Return the stream of one lane."""
        return f"{self.tag}:{lane}"

    @property
    def settled(self) -> str:
        """The stream of settled deltas. No lane's name may begin with a dot."""
        return f"{self.tag}:.settled"

    @property
    def done(self) -> str:
        """Hash: batches, people, accepted settled so far."""
        return f"{self.tag}:.done"

    @property
    def alive(self) -> str:
        """Key with an expiry: the run is under way, as this shard's server can tell."""
        return f"{self.tag}:.alive"

    def lease(self, consumer: str) -> str:
        """Return the hash with an expiry: the consumer's epoch and last settle number. Gone means dead."""
        return f"{self.tag}:.lease:{consumer}"


@dataclass(frozen=True, slots=True)
class ControlKeys:
    """The keys of a run's control shard."""

    run: str

    @property
    def tag(self) -> str:
        """The common beginning of the control keys."""
        return f"{PREFIX}{self.run}:ctl}}"

    @property
    def spec(self) -> str:
        """What a worker must know of the run, as JSON."""
        return f"{self.tag}:spec"

    @property
    def orders(self) -> str:
        """Stream of what the coordinator orders."""
        return f"{self.tag}:orders"

    @property
    def roster(self) -> str:
        """Hash: worker -> its latest report, as JSON."""
        return f"{self.tag}:roster"

    @property
    def epoch(self) -> str:
        """Counter: each lease of the run gets the next number."""
        return f"{self.tag}:epoch"

    @property
    def coordinator(self) -> str:
        """Key with an expiry: alive while the coordinator is."""
        return f"{self.tag}:coordinator"

    @property
    def shared(self) -> str:
        """Hash with an expiry: values that one worker makes and all use, secrets among them."""
        return f"{self.tag}:shared"


def latch(event: str) -> str:
    """Return the GO latch of an event: outside any run, never cleaned up."""
    return f"burst:latch:{event}"
