"""Run folders as a run would leave them, made from seeded random numbers."""

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np
import pytest
from hdrh.histogram import HdrHistogram

from burst.measure.timeline import heat_level_us
from burst.runs import result as r

DEADLINE_S = 5.0
Maker = Callable[..., Path]


@dataclass(frozen=True)
class Kind:
    """What sets one sample apart."""

    audience: int = 4_000_000
    workers: int = 2
    shards: int = 2
    spread_s: float = 3.6  # how long the fleet writes
    tail_s: float = 0.4
    slow_worker: int | None = None
    rejected: float = 0.004
    refused: float = 0.0
    lost: float = 0.0
    verdict: str = "pass"
    limited: str = ""
    description: str = "The second-half spot: one push to seven cities the moment the ad airs."


KINDS = {
    "pass": Kind(),
    "fail": Kind(spread_s=4.6, tail_s=1.2, slow_worker=1, refused=0.05, lost=0.004, verdict="fail"),
    "inconclusive": Kind(spread_s=5.4, verdict="inconclusive", limited="event loops lagged 41 ms at p99 on 2 cores"),
    "large": Kind(audience=40_000_000, workers=16, shards=8, spread_s=4.4, slow_worker=11),
    "one": Kind(audience=2_000, workers=1, shards=1, spread_s=0.8, tail_s=0.05, description=""),
}

SCENARIO = """\
name: superbowl
description: The second-half spot
audience: 4_000_000
workers: 2
deadline: 5s
sink:
  modelled: {latency: 40ms}
criteria:
  - accepted within 5s >= 99%
  - duplicates == 0
  - end_to_end p99 <= 5s
"""


def make_run(folder: Path, name: str = "pass") -> Path:
    """Write the sample ``name`` into ``folder``, made here."""
    folder.mkdir(parents=True, exist_ok=True)
    if name == "aborted":
        return _aborted(folder)
    kind = KINDS[name]
    rng = np.random.default_rng(7)
    size = min(kind.audience, 200_000)
    weight = kind.audience // size
    worker = rng.integers(0, kind.workers, size)
    shard = rng.integers(0, kind.shards, size)
    sent = kind.spread_s * rng.beta(1.1, 1.25, size) + 0.012
    service = rng.lognormal(np.log(0.042), 0.35, size)
    hiccup = (sent > 2.1) & (sent < 2.4)
    service[hiccup] *= 3.2
    if kind.slow_worker is not None:
        slow = worker == kind.slow_worker
        sent[slow] *= 1.0 + kind.tail_s / kind.spread_s
        service[slow] *= 1.3
    answered = sent + service
    fate = rng.random(size)
    rejected = fate < kind.rejected
    lost = (fate >= kind.rejected) & (fate < kind.rejected + kind.lost)
    accepted = ~rejected & ~lost
    refused = rng.random(size) < np.where(answered > 1.5, kind.refused, 0.0)
    counts = {
        "sent": sent,
        "accepted": answered[accepted],
        "rejected": answered[rejected],
        "refused": answered[refused],
    }
    _timeline(folder, counts, weight)
    _heatmap(folder, answered[accepted], service[accepted], weight)
    _histograms(
        folder,
        {"end_to_end": answered, "queue_wait": sent, "service": service, "completion": answered},
        weight,
    )
    _journal(folder, kind)
    (folder / "scenario.yaml").write_text(SCENARIO)
    _undelivered(folder, rejected, lost, weight)
    made = _result(kind, worker, shard, answered, sent, service, accepted, rejected, lost, refused, weight)
    (folder / "result.json").write_bytes(r.Result(**made).to_json())
    return folder


def _timeline(folder, columns, weight):
    last = int(max(times.max() for times in columns.values() if times.size) * 100) + 1
    bins = {name: np.histogram(times, bins=last, range=(0, last / 100))[0] * weight for name, times in columns.items()}
    zero = np.zeros(last, dtype=np.int64)
    names = ("sent", "accepted", "rejected", "refused", "failed", "expired", "unknown")
    rows = zip(*(bins.get(name, zero) for name in names), strict=True)
    text = "".join(f"{at * 10},{','.join(map(str, row))}\n" for at, row in enumerate(rows))
    (folder / "timeline.csv").write_text("t_ms," + ",".join(names) + "\n" + text)


def _heatmap(folder, answered, service, weight):
    column = (answered * 10).astype(int) * 100
    edges = np.array([heat_level_us(level) for level in range(200)])
    bucket = edges[np.searchsorted(edges, service * 1e6, side="right") - 1]
    cells, counts = np.unique(np.stack([column, bucket]), axis=1, return_counts=True)
    rows = (f"{int(t)},{int(b)},{n * weight}\n" for t, b, n in zip(*cells, counts, strict=True))
    (folder / "heatmap.csv").write_text("t_ms,latency_us,count\n" + "".join(rows))


def _histograms(folder, intervals, weight):
    lines = [
        "#[Histogram log format version 1.3]",
        '"StartTimestamp","Interval_Length","Interval_Max","Interval_Compressed_Histogram"',
    ]
    for tag, seconds in intervals.items():
        histogram = HdrHistogram(1, 3600 * 10**6, 3)
        values, counts = np.unique((seconds * 1e5).astype(int) * 10, return_counts=True)
        for value, count in zip(values.tolist(), counts.tolist(), strict=True):
            histogram.record_value(max(1, value), count * weight)
        lines.append(f"Tag={tag},0.000,6.000,{seconds.max():.3f},{histogram.encode().decode()}")
    (folder / "latency.hlog").write_text("\n".join(lines) + "\n")


def _journal(folder, kind):
    story = [
        (-9.2, "phase", f"staging {kind.audience:,} people in {kind.shards} shards"),
        (-2.6, "phase", "armed: every worker is ready, the tracer came back"),
        (0.0, "go", "GO pressed by ana@stage"),
        (2.1, "fault", "provider slowed to a third for 300 ms"),
        (kind.spread_s + 0.8, "phase", "drained: nothing is in flight"),
        (kind.spread_s + 1.1, "note", f"verdict: {kind.verdict}"),
    ]
    if kind.slow_worker is not None:
        story.insert(4, (3.0, "worker", f"worker {kind.slow_worker} is behind the others"))
    lines = (
        json.dumps({"at": f"2026-02-08T23:12:{10 + t:06.3f}Z", "t_s": t, "kind": k, "what": w}) for t, k, w in story
    )
    (folder / "journal.ndjson").write_text("\n".join(lines) + "\n")


def _undelivered(folder, rejected, lost, weight):
    rows = ["first_index,last_index,outcome,reason"]
    for outcome, mask, reason in (
        ("rejected", rejected, "Unregistered"),
        ("lost", lost, "never seen by the witness"),
    ):
        rows += [f"{i * weight},{(i + 1) * weight - 1},{outcome},{reason}" for i in np.flatnonzero(mask).tolist()]
    (folder / "undelivered.csv").write_text("\n".join(rows) + "\n")


def _percentiles(seconds):
    p = {q: round(float(np.percentile(seconds, q)) * 1000, 3) for q in (50, 90, 99, 99.9, 100)}
    return r.Percentiles(p50=p[50], p90=p[90], p99=p[99], p99_9=p[99.9], max=p[100])


def _result(kind, worker, shard, answered, sent, service, accepted, rejected, lost, refused, weight):
    total = kind.audience
    done = np.sort(answered[accepted])
    n_accepted, n_lost = done.size * weight, int(lost.sum()) * weight
    n_rejected = total - n_accepted - n_lost

    def when(share):
        need = int(np.ceil(share * total / weight))
        return round(float(done[need - 1]), 4) if need <= done.size else None

    within = int((done <= DEADLINE_S).sum()) * weight
    percent = within * 10_000 // total / 100
    word = {"pass": "GO", "fail": "NO-GO", "inconclusive": "INCONCLUSIVE"}[kind.verdict]
    edge = done[int(done.size * 0.99)]
    tail = accepted & (answered >= edge)
    workers = [
        r.WorkerResult(
            worker=w, host="rig-1", pid=4100 + w, batches=int((worker == w).sum() * weight / 400),
            stolen_batches=3 if w == 0 else 0, accepted=int((accepted & (worker == w)).sum()) * weight,
            last_receipt_s=round(float(answered[accepted & (worker == w)].max()), 4),
            last_percent=int((tail & (worker == w)).sum()) * weight, release_ms=0.12 + 0.05 * w,
            loop_lag_ms_p99=1.4 + w * 0.1, cpu_share=0.72, peak_rss_mb=188.0,
        )
        for w in range(kind.workers)
    ]  # fmt: skip
    shards = [
        r.ShardResult(
            shard=s, server=f"unix:/tmp/burst/s{s}.sock", batches=int((shard == s).sum() * weight / 400),
            people=int((shard == s).sum()) * weight, accepted=int((accepted & (shard == s)).sum()) * weight,
            last_receipt_s=round(float(answered[accepted & (shard == s)].max()), 4),
            last_percent=int((tail & (shard == s)).sum()) * weight, memory_mb=161.5,
        )
        for s in range(kind.shards)
    ]  # fmt: skip
    p99 = round(float(np.percentile(answered, 99)), 3)
    return {
        "event": "superbowl-lx", "run": "20260208T231210-4f2a", "scenario": "superbowl", "verdict": kind.verdict,
        "headline": f"{word}: {percent:.2f} % of {total:,} accepted by T+5.00 s (need 99 %)", "judge": "provider",
        "audience": total, "description": kind.description, "deadline_s": DEADLINE_S,
        "outcomes": r.Outcomes(accepted=n_accepted, rejected=n_rejected, lost=n_lost),
        "retries": int(refused.sum()) * weight, "prefetched": total // 20,
        "completion_s": r.Completion(when(0.5), when(0.9), when(0.95), when(0.99), when(0.999), when(1.0)),
        "latency_ms": r.Latency(_percentiles(answered), _percentiles(sent), _percentiles(service)),
        "rate_per_s": r.Rate(n_accepted / float(done[-1]), float(np.histogram(done, bins=60)[0].max() * weight * 10)),
        "stage_s": 6.61, "arm_s": 2.31, "go_skew_ms": 0.31, "clock_uncertainty_ms": 0.0,
        "criteria": [
            r.CriterionResult("accepted within 5s >= 99%", percent >= 99, percent, 99.0),
            r.CriterionResult("duplicates == 0", True, 0, 0),
            r.CriterionResult("end_to_end p99 <= 5s", p99 <= DEADLINE_S, p99, 5.0),
        ],
        "faults": [{"name": "slow provider", "at_s": 2.1, "for_s": 0.3}],
        "generator": r.Generator(bool(kind.limited), kind.limited, 41.0 if kind.limited else 1.6, 0.74, 1.31, 392.0),
        "environment": {"cores": 2, "python": "3.12.8", "queue": "valkey 9.0 (embedded)", "os": "Linux 6.1"},
        "started_at": "2026-02-08T23:12:00.800Z", "go_at": "2026-02-08T23:12:10.000Z", "pressed_by": "ana@stage",
        "duration_s": round(float(done[-1]), 3), "within": [r.Within(DEADLINE_S, within)], "workers": workers,
        "shards": shards, "routes": [r.RouteResult("all", "modelled", total, n_accepted)],
        "reasons": [r.Reason("rejected", "Unregistered", n_rejected)],
        "notes": ["latencies of a modelled provider: a provider's own time is drawn, not measured"],
    }  # fmt: skip


def _aborted(folder):
    made = {
        "event": "superbowl-lx", "run": "20260208T230000-aa01", "scenario": "superbowl", "verdict": "aborted",
        "headline": "ABORTED: NO-GO before GO: worker 3 was not ready by the arm deadline", "judge": "provider",
        "audience": 4_000_000, "outcomes": r.Outcomes(unsent=4_000_000), "deadline_s": DEADLINE_S,
        "started_at": "2026-02-08T23:00:00.000Z",
    }  # fmt: skip
    (folder / "result.json").write_bytes(r.Result(**made).to_json())
    return folder


@pytest.fixture(scope="session")
def originals(tmp_path_factory):
    """Each sample, made once."""
    made: dict[str, Path] = {}

    def original(name: str) -> Path:
        if name not in made:
            made[name] = make_run(tmp_path_factory.mktemp("originals") / name, name)
        return made[name]

    return original


@pytest.fixture
def sample(tmp_path, originals) -> Maker:
    """Make a sample run: ``sample("fail")``, or with replaced fields and under another folder name."""

    def make(name: str = "pass", folder: str = "", **changes: object) -> Path:
        path = tmp_path / "reports" / (folder or name)
        shutil.copytree(originals(name), path, dirs_exist_ok=True)
        result = msgspec.structs.replace(r.Result.from_json((path / "result.json").read_bytes()), **changes)
        (path / "result.json").write_bytes(result.to_json())
        return path

    return make
