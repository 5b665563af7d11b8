"""``report.html``: one run on one page, made from its folder alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from burst.page.document import document
from burst.page.elements import Html, html, join, tag
from burst.report import pictures, sections
from burst.report.charts import charts_of
from burst.report.folder import RunFolder, read_run
from burst.report.words import (
    JUDGES,
    NOTHING,
    STARVED_SHARE,
    WORDS,
    accepted_by_deadline,
    generator_line,
    milliseconds,
    needed_percent,
    percent,
    projected,
    reached,
    seconds,
)
from burst.runs.result import Result

NAME = "report.html"

_SIGNS = {
    "pass": "M4 13l6 6L21 5",
    "fail": "M5 5l14 14M19 5L5 19",
    "inconclusive": "M4 9h16M4 15h16",
    "aborted": "M6 6h12v12H6z",
}


def write_report(folder: Path, output: Path | None = None) -> Path:
    """Make the report of a run folder; return where it is. Raises UsageError when it is not one.

    A report that is there already, and the same, is left alone: looking at a run that is kept in git changes nothing.
    """
    path = output or folder / NAME
    page = render(read_run(folder)).encode()
    if not path.is_file() or path.read_bytes() != page:
        path.write_bytes(page)
    return path


def render(run: RunFolder) -> str:
    """Return the whole page. The same folder gives the same page."""
    result = run.result
    charts = charts_of(run)
    # Workers that armed, or died arming, are no reason for a page of empty charts: the story comes first there.
    parts = _measured(run, charts) if charts or result.outcomes.unsent < result.audience else _unmeasured(run)
    main = tag("main", tag("div", _limited(result), *parts, class_="grid"))
    body = join((_verdict(result), _numerals(result), main, _footer(run)))
    title = f"{WORDS[result.verdict]} {result.scenario} {result.run}"
    return document(title, body, {"charts": charts}, icon=result.verdict)


def _measured(run: RunFolder, charts: dict[str, Any]) -> list[Html]:
    result = run.result
    return [
        sections.projection(result),
        pictures.completion(run, charts),
        tag("div", sections.criteria(result), sections.generator(result), class_="stack"),
        tag("div", sections.outcomes(run), sections.witness(result), class_="stack"),
        pictures.arrivals(run, charts),
        pictures.percentiles(run, charts),
        pictures.intervals(result),
        pictures.heat(run, charts),
        sections.routes(result),
        sections.balance(result),
        sections.story(run),
        sections.environment(result),
        sections.scenario(run),
    ]


def _unmeasured(run: RunFolder) -> list[Html]:
    """Return the page of a run that sent nothing: the story is what there is to tell."""
    result = run.result
    return [
        sections.story(run),
        sections.outcomes(run),
        tag("div", sections.criteria(result), sections.environment(result), class_="stack"),
        sections.scenario(run),
    ]


def _verdict(result: Result) -> Html:
    word = WORDS[result.verdict]
    told = result.headline.removeprefix(f"{word}:").strip()
    when = f"GO at {_clock(result.go_at)}" if result.go_at else f"started {_clock(result.started_at)}, no GO was given"
    by = f", pressed by {result.pressed_by}" if result.pressed_by else ""
    where = (("b", "burst"), ("span", result.event), ("span", result.scenario), ("span", f"run {result.run}"))
    sign = Html(
        '<svg viewBox="0 0 24 24" aria-hidden="true" fill="none" stroke="currentColor" stroke-width="4.2">'
        f'<path d="{_SIGNS[result.verdict]}"/></svg>'
    )
    told_of_it = (("Cause: ", result.cause), ("What to do: ", result.hint))
    behind = [tag("p", tag("b", name), text, class_="more") for name, text in told_of_it if text]
    lines = [tag("p", result.description, class_="more")] if result.description else []
    return tag(
        "header",
        tag(
            "div",
            tag("p", *(tag(name, text) for name, text in _distinct(where)), class_="where"),
            tag(
                "h1",
                tag("span", sign, word, class_=f"word{' long' if len(word) > 6 else ''}"),
                Html('<span class="quiet"> </span>'),
                tag("span", told, class_="line"),
            ),
            *behind,
            *lines,
            tag("p", f"{when}{by}; {JUDGES[result.judge]}.", class_="more"),
        ),
        class_=f"band {result.verdict}",
    )


def _distinct(parts: tuple[tuple[str, str], ...]) -> list[tuple[str, str]]:
    """Drop a name that another repeats: a run without an event of its own is named after its scenario."""
    texts = [text for _, text in parts]
    return [
        (name, text)
        for at, (name, text) in enumerate(parts)
        if text
        and not any(text in other.split(" ") for other in texts[:at] + texts[at + 1 :] if other != text)
        and text not in texts[:at]
    ]


def _clock(at: str) -> str:
    return at.replace("T", " ").replace("Z", " UTC") if at else "at an unknown time"


def _big(value: str) -> Html:
    """Set the unit smaller than the number."""
    number, space, unit = value.rpartition(" ")
    return join((number, tag("small", f" {unit}"))) if space else html(value)


def _numerals(result: Result) -> Html:
    says = "projected: " if result.projection is not None else ""
    result = projected(result)
    by_deadline, need = accepted_by_deadline(result), needed_percent(result)
    started = result.outcomes.unsent < result.audience
    share, people = NOTHING, "nobody counted at the deadline" if started else "nothing was sent"
    if started and by_deadline is not None:
        share, people = percent(by_deadline, result.audience), f"{by_deadline:,} of {result.audience:,} people"
    done, end_to_end = result.completion_s, result.latency_ms.end_to_end
    marks = (("half", done.p50), ("90 %", done.p90), ("all", done.all))
    cells = (
        (
            f"accepted by T+{result.deadline_s:g} s",
            share,
            people + (f"; need {need:.12g} %" if need is not None else ""),
        ),
        (
            "99 % accepted after" if says else "99 % of the audience accepted after",
            seconds(done.p99) if started else NOTHING,
            ", ".join(reached(what, at) for what, at in marks) if started else "",
        ),
        (
            "end to end, p99",
            milliseconds(end_to_end.p99),
            f"p50 {milliseconds(end_to_end.p50)}, max {milliseconds(end_to_end.max)}"
            if end_to_end.p50 is not None
            else "",
        ),
    )
    return tag(
        "dl",
        *(
            tag("div", tag("dt", says, name), tag("dd", _big(value)), tag("dd", more, class_="under"))
            for name, value, more in cells
        ),
        class_="numerals",
    )


def _limited(result: Result) -> Html:
    if not result.generator.limited:
        waited = result.generator.credit_starved_share > STARVED_SHARE
        return tag("p", f"The generator {generator_line(result)}.", class_="wide notice") if waited else Html("")
    consequence = {
        "pass": "A pass stands all the same.",
        "aborted": "",
    }.get(result.verdict, "What it missed must not be blamed on the system under test.")
    return tag("p", f"The generator {generator_line(result)}. {consequence}".rstrip(), class_="wide notice")


def _footer(run: RunFolder) -> Html:
    absent = [tag("p", f"Absent: {', '.join(run.absent)}.")] if run.absent else []
    made = tag(
        "p",
        f"Made by burst from the run folder {run.path.name}; this page is one file and fetches nothing. ",
        tag("code", f"burst report {run.path.name}"),
        " makes it again.",
    )
    return tag("footer", *absent, made)
