"""``burst clean``, in the words a person reads."""

from __future__ import annotations

from burst.queues.cleaning import leftover_runs, remove_keys
from burst.queues.embedded import stop_outliving, sweep
from burst.queues.link import check_url, redacted


async def clean_up(redis: tuple[str, ...], *, dry_run: bool) -> list[str]:
    """Remove left-overs; return a line for each. Raises QueueError for a server that cannot be reached."""
    lines = []
    for url in redis:
        for run, keys in (await leftover_runs(check_url(url))).items():
            if not dry_run:
                await remove_keys(url, keys)
            verb = "would remove" if dry_run else "removed"
            lines.append(f"{verb} {len(keys)} keys of run {run} from {redacted(url)}")
    if not dry_run:
        lines += [f"removed {folder}" for folder in sweep()]
        lines += [f"stopped the servers in {folder}" for folder in stop_outliving()]
    return lines or ["nothing to clean"]
