"""The summary a person reads when a run ends: the verdict first, then the numbers that matter."""

from __future__ import annotations

import textwrap
from pathlib import Path

from rich.console import Console
from rich.text import Text

from burst.model.units import format_rate
from burst.report.words import (
    STARVED_SHARE,
    accepted_by_deadline,
    criterion_value,
    generator_line,
    milliseconds,
    percent,
    plain,
    projection_lines,
    reached,
    seconds,
    stragglers,
    unjudged,
    witness_lines,
)
from burst.runs.result import Result

_STYLES = {
    "pass": "bold green",
    "fail": "bold red",
    "inconclusive": "bold yellow",
    "aborted": "bold bright_black",
}
_LABEL = 13
_REASONS = 3


def print_summary(result: Result, folder: Path, console: Console, *, report: Path | None = None) -> None:
    """Print the verdict and the numbers; plain text where there is no terminal."""
    _say(console, Text(plain(result.headline), style=_STYLES[result.verdict]))
    _say(console, Text(plain(f"{result.scenario}, run {result.run}, event {result.event}"), style="dim"))
    sent = result.outcomes.unsent < result.audience
    rows = _behind(result, console)
    waited = result.generator.credit_starved_share > STARVED_SHARE
    if result.generator.limited or waited:
        rows += _rows(console, "generator", generator_line(result), "yellow")
    rows += [*_projected(result, console), *_measured(result)] if sent else []
    for name, value in _counts(result):
        rows += _rows(console, name, value)
    for number, told in enumerate(_routes(result) if sent else ()):
        rows += _rows(console, "" if number else "routes", told)
    for number, told in enumerate(_reasons(result)):
        rows += _rows(console, "" if number else "reasons", told)
    for number, told in enumerate(witness_lines(result)):
        rows += _rows(console, "" if number else "witness", told)
    if unjudged(result):
        rows += _rows(console, "not judged", unjudged(result))
    for criterion in () if unjudged(result) else result.criteria:
        value = criterion_value(criterion.name, criterion.measured)
        told = f"{criterion.name} ({value if criterion.measured is None else f'measured {value}'})"
        rows += _rows(console, "ok" if criterion.ok else "FAILED", told, "green" if criterion.ok else "bold red")
    for number, told in enumerate(stragglers(result)):
        rows += _rows(console, "" if number else "stragglers", told)
    if sent and not result.generator.limited and not waited:
        rows += _rows(console, "generator", generator_line(result))
    for note in result.notes:
        rows += _rows(console, "note", note)
    path = report or folder / "report.html"
    rows += [_row("report", str(path))] if path.is_file() else []
    for row in rows:
        _say(console, row)


def _say(console: Console, line: Text) -> None:
    # Soft wrap: a path that rich had broken could not be copied from the terminal.
    console.print(line, soft_wrap=True)


def _row(label: str, value: str, style: str = "") -> Text:
    return Text.assemble(("  " + label.ljust(_LABEL), style or "dim"), plain(value))


def _rows(console: Console, label: str, value: str, style: str = "") -> list[Text]:
    """Return prose as rows that fit the console, the label beside the first."""
    width = max(30, console.width - _LABEL - 2)
    lines = textwrap.wrap(plain(value), width, break_long_words=False, break_on_hyphens=False) or [""]
    return [_row("" if number else label, line, style) for number, line in enumerate(lines)]


def _behind(result: Result, console: Console) -> list[Text]:
    """Return what was said of why the verdict is what it is, and what to do about it."""
    cause = _rows(console, "cause", result.cause, "bold") if result.cause else []
    return cause + (_rows(console, "what to do", result.hint, "bold") if result.hint else [])


def _projected(result: Result, console: Console) -> list[Text]:
    rows = []
    for number, told in enumerate(projection_lines(result)):
        rows += _rows(console, "" if number else "PROJECTION", told, "" if number else "bold")
    return rows


def _measured(result: Result) -> list[Text]:
    lines = []
    by_deadline = accepted_by_deadline(result)
    if by_deadline is not None:
        told = f"{percent(by_deadline, result.audience)}, {by_deadline:,} of {result.audience:,}"
        lines.append(_row(f"by T+{result.deadline_s:g} s", told, "bold"))
    done = result.completion_s
    marks = (("p50", done.p50), ("p90", done.p90), ("p99", done.p99), ("all", done.all))
    lines.append(_row("completion", "  ".join(f"{name} {seconds(value)}" for name, value in marks)))
    lines.append(_row("", "".join(name.rjust(10) for name in ("p50", "p90", "p99", "p99.9", "max"))))
    for name in ("end_to_end", "queue_wait", "service"):
        one = getattr(result.latency_ms, name)
        cells = (one.p50, one.p90, one.p99, one.p99_9, one.max)
        lines.append(_row(name.replace("_", " "), "".join(milliseconds(cell).rjust(10) for cell in cells)))
    rate = result.rate_per_s
    lines.append(_row("rate", f"mean {format_rate(rate.mean)}, best 100 ms {format_rate(rate.peak)}"))
    return lines


def _counts(result: Result) -> list[tuple[str, str]]:
    outcomes = result.outcomes
    told = [f"{name} {count:,}" for name in outcomes.__struct_fields__ if (count := getattr(outcomes, name))]
    rows = [("outcomes", ", ".join(told) or "nobody was in the audience")]
    events = (
        ("duplicates", result.duplicates),
        ("possible duplicates", result.possible_duplicates),
        ("retries", result.retries),
        ("late answers", result.late_answers),
        ("early", result.early),
    )
    if happened := [f"{name} {count:,}" for name, count in events if count or name == "duplicates"]:
        rows.append(("", ", ".join(happened)))
    return rows


def _routes(result: Result) -> list[str]:
    """Return a line for each route where there are several."""
    if len(result.routes) < 2:
        return []
    return [
        f"{one.route}: {percent(one.accepted, one.people)} of {one.people:,} accepted, "
        f"{reached('99 %', one.completion_s.p99)}, end to end p50 {milliseconds(one.latency_ms.end_to_end.p50)}, "
        f"p99 {milliseconds(one.latency_ms.end_to_end.p99)}"
        for one in result.routes
    ]


def _reasons(result: Result) -> list[str]:
    """Return the biggest reasons why people got nothing, a line each, and how many more there are."""
    biggest = sorted(result.reasons, key=lambda one: -one.count)
    told = [f"{one.count:,} {one.outcome}: {one.reason or 'none given'}" for one in biggest[:_REASONS]]
    if rest := biggest[_REASONS:]:
        people = sum(one.count for one in rest)
        told.append(f"{people:,} more, for {len(rest)} other reason{'s' if len(rest) > 1 else ''}: see the report")
    return told
