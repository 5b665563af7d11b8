"""``report.html``: one file that fetches nothing, tells everything, and cannot be broken out of."""

import json
import re
from html.parser import HTMLParser

import pytest

from burst.page.document import embed_json
from burst.page.elements import Html, html, table, tag
from burst.report.folder import read_run
from burst.report.html import render, write_report
from burst.runs.result import Generator, Outcomes, Reason, WorkerResult

HOSTILE = "</script><script>alert(1)</script><!--<img src=x onerror=alert(2)>\" onload='x' &amp;"
FETCHES = {"src", "srcset", "poster", "action", "background", "ping", "manifest", "formaction"}


class Page(HTMLParser):
    """Collects what a browser would load or run, the texts, and the data."""

    def __init__(self, text):
        super().__init__()
        self.loads, self.scripts, self.handlers, self.texts, self.ids = [], [], [], [], []
        self.labels, self.headings, self.captions = [], [], 0
        self._inside = []
        self.feed(text)
        self.close()

    def handle_starttag(self, name, attrs):
        given = dict(attrs)
        self.loads += [value for key, value in attrs if key in FETCHES]
        if name == "link":
            self.loads.append(given["href"])
        self.handlers += [key for key in given if key.startswith("on")]
        if name == "script":
            self.scripts.append("")
        self.ids += [given["id"]] if "id" in given else []
        self.labels += [given["aria-label"]] if given.get("role") == "img" else []
        self.headings += [name] if name in {"h1", "h2"} else []
        self.captions += name == "caption"
        self._inside.append(name)

    def handle_endtag(self, name):
        while self._inside and self._inside.pop() != name:
            pass

    def handle_data(self, text):
        if self._inside and self._inside[-1] == "script":
            self.scripts[-1] += text
        elif "style" not in self._inside:
            self.texts.append(text)

    @property
    def text(self):
        return " ".join(" ".join(self.texts).split())

    @property
    def data(self):
        return json.loads(self.scripts[0])


@pytest.fixture
def page(sample):
    return lambda name="pass", **changes: Page(render(read_run(sample(name, **changes))))


@pytest.mark.parametrize("name", ["pass", "fail", "inconclusive", "large", "one", "aborted"])
def test_the_page_fetches_nothing_and_stays_small(sample, name):
    text = render(read_run(sample(name)))
    page = Page(text)
    assert all(load.startswith("data:") for load in page.loads)
    assert not re.search(r"url\(\s*['\"]?(?!data:)|@import", text)
    assert "default-src 'none'" in text
    assert len(text) < 400_000
    assert len(page.scripts) == 4  # data, pixel ratio, uPlot, charts: and nothing that the run brought along


@pytest.mark.parametrize(
    ("name", "word"), [("pass", "GO"), ("fail", "NO-GO"), ("inconclusive", "INCONCLUSIVE"), ("aborted", "ABORTED")]
)
def test_the_verdict_comes_first_in_words_and_not_by_colour_alone(page, name, word):
    told = page(name)
    assert told.headings[0] == "h1"
    before, _, after = told.text.partition(f"{word} ")
    assert "accepted by" not in before.removeprefix(word)
    assert after


def test_the_three_numbers_that_matter_are_there(sample, page):
    result = read_run(sample("pass")).result
    told = page("pass").text
    assert "99.60 %" in told
    assert f"{result.within[0].accepted:,} of 4,000,000 people; need 99 %" in told
    assert f"{result.completion_s.p99:.2f} s" in told
    assert f"{result.latency_ms.end_to_end.p99 / 1000:.2f} s" in told


def test_a_share_is_never_rounded_up_to_a_promise_it_broke(sample, page):
    run = read_run(sample("pass"))
    within = [type(run.result.within[0])(5.0, 3_959_999)]
    assert "98.99 %" in page("pass", within=within).text


def test_every_chart_is_told_in_words_and_in_a_table(page):
    told = page("fail")
    assert set(told.data["charts"]) == {"completion", "arrivals", "percentiles", "heat"} <= set(told.ids)
    assert len(told.labels) == 4
    assert all(len(label) > 40 for label in told.labels)
    assert told.captions >= 12
    assert "Worker 1 owned 100 % of the last 1 %" in told.text


def test_the_deadline_and_the_promise_are_drawn_in(page):
    marks = page("fail").data["charts"]["completion"]["marks"]
    assert [(mark.get("x"), mark.get("y"), mark["label"]) for mark in marks] == [
        (5.0, None, "deadline T+5 s"),
        (None, 99.0, "need 99 %"),
    ]


def test_arrivals_add_up_to_the_timeline(sample):
    run = read_run(sample("fail"))
    columns = Page(render(run)).data["charts"]["arrivals"]["columns"]
    assert sum(columns[1]) == int(run.timeline.counts["accepted"].sum()) == run.result.outcomes.accepted
    assert columns[0][1] - columns[0][0] == pytest.approx(0.1)


def test_the_heat_map_loses_no_answer_however_it_is_thinned(sample):
    run = read_run(sample("fail"))
    _, low, high, count = Page(render(run)).data["charts"]["heat"]["columns"]
    assert sum(count) == int(run.heatmap.count.sum())
    assert all(below < above for below, above in zip(low, high, strict=True))


def test_hostile_texts_stay_texts(sample):
    folder = sample(
        "pass",
        description=HOSTILE,
        event=HOSTILE,
        headline=f"GO: {HOSTILE}",
        reasons=[Reason("rejected", "<b>bold</b>", 1), Reason("rejected", HOSTILE, 1)],
        environment={HOSTILE: HOSTILE},
        notes=[HOSTILE],
        faults=[{"name": HOSTILE, HOSTILE: HOSTILE}],
    )
    (folder / "scenario.yaml").write_text(HOSTILE)
    entry = {"at": HOSTILE, "t_s": 1.0, "kind": "fault", "what": HOSTILE}
    (folder / "journal.ndjson").write_text(json.dumps(entry) + "\n")
    (folder / "undelivered.csv").write_text("first_index,last_index,outcome,reason\n0,1,rejected,<i>x</i>\n")
    text = render(read_run(folder))
    page = Page(text)
    assert len(page.scripts) == 4
    assert page.handlers == []
    assert "<!--" not in text
    assert "<b>bold" not in text
    assert "<i>x</i>" not in text
    assert HOSTILE.replace("&amp;", "&amp;") in " ".join(page.texts)


def test_embedded_json_survives_and_cannot_end_its_script():
    text = embed_json({"a": HOSTILE + "\u2028"})
    assert json.loads(text) == {"a": HOSTILE + "\u2028"}
    assert not set("<>&\u2028") & set(text)


def test_only_html_is_trusted():
    assert html("<b>") == "&lt;b&gt;"
    assert html(Html("<b>")) == "<b>"
    assert tag("p", "<", title='"', class_="") == '<p title="&quot;">&lt;</p>'
    assert "<td>&lt;i&gt;</td>" in table("c", ["a", "b"], [["x", "<i>"]])


def test_a_run_cut_short_says_what_is_absent(page):
    told = page("aborted")
    assert told.data == {"charts": {}}
    assert "Absent: timeline.csv, heatmap.csv, latency.hlog, journal.ndjson" in told.text
    assert "nothing was sent" in told.text
    assert "unsent 4,000,000 100.000 %" in told.text


@pytest.mark.parametrize("file", ["timeline.csv", "heatmap.csv", "latency.hlog", "journal.ndjson", "undelivered.csv"])
@pytest.mark.parametrize("content", [None, b"", b"\xff\x00nonsense,1\n2,3,4\n", b"Tag=service,0,0,0,SElTVF\n"])
def test_one_missing_or_broken_file_spoils_nothing_else(sample, file, content):
    folder = sample("one")
    (folder / file).unlink() if content is None else (folder / file).write_bytes(content)
    page = Page(render(read_run(folder)))
    assert len(page.data["charts"]) >= 2
    assert "GO" in page.text


def test_a_limited_generator_is_told_before_the_charts(page):
    told = page("inconclusive").text
    assert told.index("The generator was the limit: event loops lagged 41 ms") < told.index("Cumulative completion")
    limited = page("pass", folder="limited", generator=Generator(limited=True, reason="busy")).text
    assert "A pass stands all the same." in limited


def test_everything_unsent_but_measured_files_there_still_renders(page):
    told = page("pass", outcomes=Outcomes(), audience=0, within=[], workers=[], shards=[])
    assert "audience 0" in told.text


def test_the_report_made_again_is_the_same(sample, tmp_path):
    folder = sample("fail")
    first = write_report(folder).read_bytes()
    again = write_report(folder, tmp_path / "again.html")
    assert again.read_bytes() == first == write_report(folder).read_bytes()


def test_a_burst_over_in_a_moment_still_has_a_shape(sample):
    folder = sample("one")
    rows = "".join(f"{at},5,{20 if at else 0},0,0,0,0,0\n" for at in range(0, 60, 10))
    (folder / "timeline.csv").write_text("t_ms,sent,accepted,rejected,refused,failed,expired,unknown\n" + rows)
    page = Page(render(read_run(folder)))
    assert page.data["charts"]["arrivals"]["columns"][1] == [0, 20, 20, 20, 20, 20]
    assert "Arrivals per 10 ms" in page.text
    assert "The deadline, T+5 s, is far to the right of the picture." in page.text


@pytest.mark.slow
def test_an_hour_of_load_is_thinned_to_a_page(sample):
    folder = sample("one")
    rows = "".join(f"{at},3,3,0,0,0,0,0\n" for at in range(0, 3_600_000, 10))
    (folder / "timeline.csv").write_text("t_ms,sent,accepted,rejected,refused,failed,expired,unknown\n" + rows)
    cells = "".join(f"{at},{1024 + 128 * level},1\n" for at in range(0, 3_600_000, 100) for level in range(8))
    (folder / "heatmap.csv").write_text("t_ms,latency_us,count\n" + cells)
    text = render(read_run(folder))
    charts = Page(text).data["charts"]
    assert len(text) < 400_000
    assert sum(charts["arrivals"]["columns"][1]) == 3 * 360_000
    assert sum(charts["heat"]["columns"][3]) == 8 * 36_000


def test_what_lies_behind_a_verdict_stands_in_its_headline(page):
    told = page("aborted", cause="apns: nobody listens <at> 127.0.0.1:9", hint="start it").text
    assert "Cause: apns: nobody listens <at> 127.0.0.1:9" in told
    assert "What to do: start it" in told
    assert told.index("What to do:") < told.index("accepted by T+")
    assert "Cause:" not in page("pass").text


def test_a_run_whose_workers_died_arming_shows_its_story_and_no_empty_charts(page):
    told = page("aborted", workers=[WorkerResult(0, state="killed")]).text
    assert "No picture" not in told
    assert "Was it the generator?" not in told


def test_the_story_never_says_before_go_of_what_came_after_it(sample):
    folder = sample("pass", go_at="2026-02-08T23:12:10.000Z")
    rows = [
        {"at": "2026-02-08T23:12:08.000Z", "t_s": None, "kind": "phase", "what": "arm"},
        {"at": "2026-02-08T23:12:16.250Z", "t_s": None, "kind": "witness", "what": "the witness saw everybody"},
        {"at": "nonsense", "t_s": None, "kind": "note", "what": "broken"},
    ]
    (folder / "journal.ndjson").write_text("".join(json.dumps(row) + "\n" for row in rows))
    told = Page(render(read_run(folder))).text
    assert "before GO phase arm" in told
    assert "T+6.25 s witness the witness saw everybody" in told
    assert "before GO note broken" in told
