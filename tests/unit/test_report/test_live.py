"""The run as it goes, where there is a terminal and where there is none."""

import io

import pytest
from rich.console import Console

from burst.measure.headway import Seen
from burst.model.units import NS_PER_S
from burst.report.live import LiveView


@pytest.fixture(params=[False, True], ids=["log", "terminal"])
def told(request):
    """Show twelve seconds of a burst; return whether a terminal saw it, and what was written."""
    out = io.StringIO()
    view = LiveView(Console(file=out, force_terminal=request.param, width=100))
    view.phase("drain", "GO")
    for tenth in range(1, 121):
        view.delivered(Seen(tenth * 10_000, tenth * 9_000), 2_000_000, tenth * NS_PER_S // 10)
    view.close()
    return request.param, out.getvalue()


def test_a_log_hears_every_five_seconds_how_far_the_burst_is_and_a_terminal_sees_its_bar(told):
    terminal, text = told
    lines = [line.strip() for line in text.splitlines() if "settled" in line]
    if terminal:
        assert not lines
    else:
        assert lines == [
            "T+5.0 s  22.5% accepted, 500,000 of 2,000,000 settled",
            "T+10.0 s  45.0% accepted, 1,000,000 of 2,000,000 settled",
        ]


@pytest.mark.parametrize("terminal", [False, True])
def test_a_burst_that_stands_still_says_once_what_it_waits_for(terminal):
    out = io.StringIO()
    view = LiveView(Console(file=out, force_terminal=terminal, width=200))
    view.phase("drain", "GO")
    for tenth in range(1, 40):
        waiting = "no outcome since T+1.0 s: 1 under way" if tenth > 30 else ""
        view.delivered(Seen(99, 99, waiting), 100, tenth * NS_PER_S // 10)
    view.close()
    assert out.getvalue().count("no outcome since T+1.0 s: 1 under way") == 1


def test_what_is_counted_by_the_batch_is_said_to_be():
    out = io.StringIO()
    view = LiveView(Console(file=out, width=200))
    view.phase("drain", "GO")
    view.delivered(Seen(500, 400, by_batch=True), 1000, 6 * NS_PER_S)
    assert "T+6.0 s  40.0% accepted, 500 of 1,000 settled in finished batches" in out.getvalue()
