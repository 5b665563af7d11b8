"""What a person reads on the terminal: the verdict first, in 80 columns, plain where there is no terminal."""

import io

import pytest
from rich.console import Console

from burst.cli.main import main
from burst.model.errors import UsageError
from burst.report.compare import differences, print_comparison, read_runs, render_comparison
from burst.report.folder import read_result
from burst.report.html import write_report
from burst.report.terminal import print_summary
from burst.runs.result import CriterionResult, ProjectionResult, Reason


def summary(folder, **options):
    out = io.StringIO()
    print_summary(read_result(folder), folder, Console(file=out, **({"width": 80} | options)))
    return out.getvalue()


@pytest.mark.parametrize(
    ("name", "first"),
    [
        ("pass", "GO: 99.60 % of 4,000,000 accepted by T+5.00 s (need 99 %)"),
        ("fail", "NO-GO: 94.05 % of 4,000,000 accepted by T+5.00 s (need 99 %)"),
        ("inconclusive", "INCONCLUSIVE: "),
        ("aborted", "ABORTED: NO-GO before GO: worker 3 was not ready by the arm deadline"),
    ],
)
def test_the_verdict_is_the_first_line(sample, name, first):
    text = summary(sample(name))
    assert text.startswith(first)
    assert "\x1b" not in text
    assert all(len(line) <= 80 for line in text.splitlines())


def test_the_summary_names_numbers_stragglers_and_the_generator(sample):
    folder = sample("fail")
    write_report(folder)
    text = summary(folder, width=200)
    for told in (
        "94.05 %, 3,762,140 of 4,000,000",
        "p99 5.81 s  all never",
        "rejected 16,000, lost 16,380",
        "duplicates 0, retries 140,300",
        "FAILED       accepted within 5s >= 99% (measured 94.05 %)",
        "worker 1 owned 100 % of the last 1 % (even: 50 %)",
        "no shard straggled",
        "generator    was not the limit",
        f"report       {folder / 'report.html'}",
    ):
        assert told in text
    assert "unknown" not in text


def test_a_limited_generator_is_told_before_the_numbers(sample):
    lines = summary(sample("inconclusive")).splitlines()
    assert lines[2].startswith("  generator    was the limit: event loops lagged 41 ms")


def test_what_lies_behind_a_verdict_stands_right_below_it(sample):
    folder = sample("aborted", cause="apns: nobody listens at 127.0.0.1:9", hint="start it, or name another")
    lines = summary(folder).splitlines()
    assert lines[2] == "  cause        apns: nobody listens at 127.0.0.1:9"
    assert lines[3] == "  what to do   start it, or name another"
    assert "cause" not in summary(sample("pass"))


def test_an_aborted_run_shows_no_numbers_it_never_had(sample):
    text = summary(sample("aborted"))
    assert "unsent 4,000,000" in text
    assert "p99" not in text
    assert "report.html" not in text


def test_names_cannot_steer_the_terminal(sample):
    text = summary(
        sample("one", headline="GO: [bold]x[/bold] \x1b[2J", notes=["\x1b]0;title\x07"]), force_terminal=True
    )
    assert "[bold]x[/bold]" in text
    assert "\x1b[2J" not in text
    assert "\x1b]" not in text


def test_runs_are_laid_side_by_side_with_their_change(sample):
    runs = read_runs([sample("pass"), sample("fail"), sample("large")])
    out = io.StringIO()
    print_comparison(runs, Console(file=out, width=80))
    text = out.getvalue()
    assert "99.60 %     94.05 % -5.55 pt" in text
    assert "careful: audience differs: 4,000,000 people, 40,000,000 people" in text
    assert all(len(line) <= 80 for line in text.splitlines())
    assert render_comparison(runs) == render_comparison(runs)
    assert differences(runs[:1] * 2) == []


def test_a_comparison_calls_a_projection_one(sample):
    whole = ProjectionResult(scale=100, audience=4_000_000, divided=["audience"])
    folder = sample("one", headline="PROJECTED GO: 99.60 % of 4,000,000 accepted", projection=whole)
    runs = read_runs([folder, sample("pass")])
    assert "one projects 4,000,000 people: its verdict is theirs, its numbers are of the 2,000 that were sent to" in (
        differences(runs)
    )
    assert "projected: 99.60 % of 4,000,000 accepted" in render_comparison(runs)
    assert not any("projects" in told for told in differences(runs[1:] * 2))


def changes(runs):
    out = io.StringIO()
    print_comparison(runs, Console(file=out, width=200))
    return [line for line in out.getvalue().splitlines() if "careful" not in line and (" %  " in line or " pt" in line)]


def test_a_projections_small_run_is_not_held_against_a_whole_one(sample):
    whole = ProjectionResult(scale=100, audience=4_000_000, divided=["audience"])
    small = sample("one", projection=whole)
    apart = read_runs([small, sample("pass")])
    assert not any("+" in line or "-" in line for line in changes(apart))
    assert differences(apart)[-1].startswith("a projection's small run is not held against a run of another scale")
    page = render_comparison(apart)
    assert "1 one (projection: 1/100 of it)" in page
    assert "2 pass (" not in page
    equal = read_runs([small, sample("fail", folder="three", projection=whole)])
    assert any("+" in line or "-" in line for line in changes(equal))
    assert not any("another scale" in told for told in differences(equal))


def test_compare_wants_two_to_eight_runs(sample):
    folder = sample("one")
    for count in (1, 9):
        with pytest.raises(UsageError, match="2 to 8 runs"):
            read_runs([folder] * count)


def test_a_run_that_lacks_files_can_be_compared(sample):
    page = render_comparison(read_runs([sample("aborted"), sample("pass")]))
    assert "1 aborted" in page
    assert "NO-GO before GO" in page


def test_the_commands_write_what_they_say(sample, tmp_path, capsys):
    sample("pass")
    sample("fail")
    root = str(tmp_path / "reports")
    assert main(["report", "fail", "--reports", root]) == 0
    assert (tmp_path / "reports" / "fail" / "report.html").is_file()
    assert main(["compare", "pass", "fail", "--reports", root, "--output", str(tmp_path / "deep" / "c.html")]) == 0
    assert (tmp_path / "deep" / "c.html").is_file()
    assert main(["compare", "pass", "fail", "--reports", root]) == 0
    assert (tmp_path / "reports" / "compare-pass-with-fail.html").is_file()
    assert main(["report", "nothing-like-it", "--reports", root]) == 2
    told = capsys.readouterr()
    assert told.out.startswith("NO-GO: ")
    assert "there is no run 'nothing-like-it'" in told.err


def test_the_three_biggest_reasons_are_told_with_their_counts(sample):
    reasons = [
        Reason("failed", "TooManyRequests", 1_200),
        Reason("rejected", "Unregistered", 45_000),
        Reason("unknown", "no answer in time", 7),
        Reason("rejected", "BadDeviceToken", 30),
        Reason("expired", "", 9),
    ]
    text = summary(sample("fail", reasons=reasons), width=120)
    at = text.index("reasons      45,000 rejected: Unregistered\n")
    told = [line.strip() for line in text[at:].splitlines()[1:4]]
    assert told == [
        "1,200 failed: TooManyRequests",
        "30 rejected: BadDeviceToken",
        "16 more, for 2 other reasons: see the report",
    ]
    assert "reasons" not in summary(sample("pass", reasons=[]))


def test_what_was_not_measured_is_not_called_measured(sample):
    text = summary(sample("fail", criteria=[CriterionResult("lost == 0", False, None, 0)]))
    assert "FAILED       lost == 0 (not measured)" in text
