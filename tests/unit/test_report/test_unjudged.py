"""What was never measured is not said to have failed; what says nothing is not said."""

import io

import pytest
from rich.console import Console

from burst.report.folder import read_run
from burst.report.html import render
from burst.report.terminal import print_summary
from burst.report.words import stragglers, unjudged
from burst.runs.result import CriterionResult, Outcomes, Result, ShardResult, WorkerResult


def result(**more) -> Result:
    settings = {
        "event": "e",
        "run": "r",
        "scenario": "s",
        "verdict": "aborted",
        "headline": "ABORTED: interrupted by Ctrl-C before GO",
        "judge": "sender",
        "audience": 10,
        "outcomes": Outcomes(unsent=10),
        "criteria": [CriterionResult("accepted within 5s >= 99%", False, None, 99.0)],
    }
    return Result(**(settings | more))


@pytest.fixture
def seen(tmp_path):
    """Return terminal and page of a result."""

    def show(one: Result) -> tuple[str, str]:
        (tmp_path / "result.json").write_bytes(one.to_json())
        out = io.StringIO()
        print_summary(one, tmp_path, Console(file=out, width=100))
        return out.getvalue(), render(read_run(tmp_path))

    return show


def test_a_run_that_was_stopped_before_go_is_not_judged(seen):
    text, page = seen(result())
    assert "  not judged   stopped before GO" in text
    assert "FAILED" not in text
    assert "not measured" not in text
    assert "Not judged: stopped before GO." in page
    assert "✗ fails" not in page


def test_a_run_that_had_its_go_is_judged_by_what_was_measured(seen):
    text, page = seen(result(go_at="2027-02-14T23:40:00Z"))
    assert "FAILED" in text
    assert "not judged" not in text
    assert "✗ fails" in page
    assert not unjudged(result(verdict="fail"))


@pytest.mark.parametrize(("workers", "shards", "lines"), [(1, 3, 0), (2, 1, 1), (2, 2, 2)])
def test_stragglers_are_named_where_there_is_somebody_to_compare_them_with(workers, shards, lines):
    one = result(
        workers=[WorkerResult(number, last_percent=10 * number) for number in range(workers)],
        shards=[ShardResult(number, last_percent=10 * (number == 1)) for number in range(shards)],
    )
    assert len(stragglers(one)) == lines
