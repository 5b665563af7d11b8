"""The run that is kept in git, and the page that says what a run folder holds."""

from pathlib import Path

from burst.report.folder import read_run
from burst.report.html import render, write_report
from burst.runs.folder import RunFolder

ROOT = Path(__file__).parents[3]


def test_the_kept_example_shows_the_report_that_would_be_made_now():
    kept = ROOT / "reports" / "example"
    same = render(read_run(kept)) == (kept / "report.html").read_text(encoding="utf-8")
    assert same, "the page has changed: run `burst report example`, and commit what it writes"


def test_a_report_that_is_the_same_is_left_alone_and_a_stale_one_is_not(sample):
    folder = sample("one")
    page = write_report(folder)
    whole, made = page.read_bytes(), page.stat().st_mtime_ns
    assert write_report(folder).stat().st_mtime_ns == made
    page.write_bytes(b"stale")
    assert write_report(folder).read_bytes() == whole


def test_every_file_of_a_run_folder_stands_on_its_page(tmp_path):
    told = (ROOT / "reports" / "README.md").read_text()
    folder = RunFolder(tmp_path)
    names = {getattr(folder, name).name for name, kind in vars(RunFolder).items() if isinstance(kind, property)}
    names |= {path.name for path in (ROOT / "reports" / "example").iterdir()} | {"witness-0.bin"}
    names -= {"control.json"}  # gone when the run has ended
    assert {"scenario.json", "received.bin", "workers.log"} <= names
    assert [name for name in sorted(names) if f"`{name}`" not in told] == []
