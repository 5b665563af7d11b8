"""``burst worker``: one worker process of a run."""

from __future__ import annotations

import click


@click.command()
@click.option("--join", "url", envvar="BURST_JOIN", required=True, metavar="URL", help="The run's control shard.")
@click.option("--run", required=True, help="The run's name.")
@click.option("--index", type=click.IntRange(min=0), required=True, help="Which of the run's workers this is.")
def worker(url: str, run: str, index: int) -> None:
    """Join a run as one of its workers. `burst run` starts local workers by itself."""
    import uvloop

    from burst.wiring.run import serve_as_worker

    uvloop.run(serve_as_worker(url, run, index))
