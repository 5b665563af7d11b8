"""Removing what a killed run left: its keys on servers that are not ours, and embedded servers without a run."""

from __future__ import annotations

from burst.queues.keys import PREFIX, ControlKeys
from burst.queues.link import Link


async def leftover_runs(url: str) -> dict[str, list[bytes]]:
    """Return the keys of each run on a server whose coordinator no longer shows that it lives."""
    link = await Link(url).connect()
    try:
        runs: dict[str, list[bytes]] = {}
        cursor = b"0"
        while True:
            cursor, keys = await link.call("SCAN", cursor, "MATCH", PREFIX + "*", "COUNT", 1000)
            for key in keys:
                # {burst:RUN:sN}:... or {burst:RUN:ctl}:...
                runs.setdefault(key.partition(b"}")[0][len(PREFIX) :].rpartition(b":")[0].decode(), []).append(key)
            if cursor == b"0":
                break
        return {run: keys for run, keys in runs.items() if not _under_way(run, keys)}
    finally:
        await link.close()


def _under_way(run: str, keys: list[bytes]) -> bool:
    """Whether one of a run's keys tells that it lives: the control shard may be on another server."""
    return ControlKeys(run).coordinator.encode() in keys or any(key.endswith(b"}:.alive") for key in keys)


async def remove_keys(url: str, keys: list[bytes]) -> None:
    """Remove keys, one at a time: in a Cluster they may live in different slots."""
    link = await Link(url).connect()
    try:
        for key in keys:
            await link.call("UNLINK", key)
    finally:
        await link.close()
