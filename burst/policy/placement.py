"""Which shard holds which batch. Striping keeps the shards' bytes and the order in time level within one batch."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Placement:
    """Batch numbers dealt out over ``shards`` streams in turn."""

    shards: int

    def shard_of(self, batch_no: int) -> int:
        """Return the shard of a batch, 0 <= shard < shards."""
        return batch_no % self.shards

    def own_of(self, worker: int, workers: int) -> tuple[int, ...]:
        """Return the shards that are a worker's to read: one, or its part of them where shards outnumber workers."""
        if workers >= self.shards:
            return (worker % self.shards,)
        return tuple(range(worker % workers, self.shards, workers))

    def home_of(self, worker: int) -> tuple[int, ...]:
        """Return all shards in the order in which a worker reads them: its own first, the others to steal from."""
        return tuple((worker + step) % self.shards for step in range(self.shards))
