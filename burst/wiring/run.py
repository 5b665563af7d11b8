"""The composition root: a scenario becomes a coordinator, a worker process becomes a worker."""

from __future__ import annotations

from pathlib import Path

from burst.audience.opening import open_audience
from burst.engine.coordinator import Coordinator
from burst.engine.go import GoWhen
from burst.engine.progress import Progress
from burst.engine.run_order import RunOrder
from burst.engine.worker import run_worker
from burst.model.scenario import FileAudience
from burst.queues.link import check_url
from burst.runs.folder import new_run_name
from burst.wire.transport import hush
from burst.wiring.aiming import check_aim
from burst.wiring.needs import check_needs
from burst.wiring.scenario_file import LoadedScenario, scenario_from_mapping, served_by
from burst.wiring.sinks import build_sink
from burst.wiring.standing_in import stand_in_plan


def make_coordinator(
    loaded: LoadedScenario,
    *,
    reports: Path,
    event: str | None,
    redis: tuple[str, ...],
    go: GoWhen,
    progress: Progress,
    allowed: tuple[str, ...] = (),
    live: bool = False,
) -> Coordinator:
    """Put a run together. Without ``event`` the run is an event of its own.

    ``allowed`` and ``live`` are what was typed of where it may shoot. Raises UsageError, and ScenarioError with every
    key, token and file that is missing.
    """
    check_needs(loaded)
    permit = check_aim(loaded, allowed, live, progress.note)
    for url in (*redis, *loaded.scenario.queue.redis):
        check_url(url)
    plan = stand_in_plan(loaded)
    run = new_run_name(loaded.scenario.name)
    mapping = dict(loaded.mapping)
    if isinstance(loaded.scenario.audience, FileAudience):
        # From anywhere, and later, the run folder must find the same file.
        mapping["audience"] = mapping["audience"] | {"file": str(loaded.base / loaded.scenario.audience.file)}
    serves = tuple(served_by(route.sink) for route in loaded.scenario.routes)
    order = RunOrder(
        loaded.scenario, mapping, loaded.text, str(loaded.path), run, event or run, reports, redis, permit, plan, serves
    )
    return Coordinator(order, open_audience(loaded.scenario.audience, loaded.base), go, progress, build_sink)


async def serve_as_worker(url: str, run: str, index: int) -> None:
    """Be worker ``index`` of a run until it ends. Raises BurstError."""
    hush()
    await run_worker(check_url(url), run, index, scenario_from_mapping, build_sink)
