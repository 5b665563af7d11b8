"""The report in a real browser. Chromium must be there: ``apt-get install chromium``."""

import html
import subprocess
from pathlib import Path

import pytest

from burst.report.compare import read_runs, write_comparison
from burst.report.html import write_report

CHROMIUM = Path("/usr/bin/chromium")
pytestmark = pytest.mark.slow

# A frame of a phone's width around the page (headless windows are never narrower than 500 px), which writes down what
# it sees: whether the page is wider than its frame, and how many canvases hold a picture.
FRAME = """<!doctype html><body style="margin:0">
<iframe id="frame" style="width:{width}px;height:900px;border:0" srcdoc="{page}"></iframe><script>
frame.onload = () => setTimeout(() => {{
  const inside = frame.contentDocument, root = inside.documentElement;
  const painted = [...inside.querySelectorAll("canvas")].filter((one) => {{
    const pixels = one.getContext("2d").getImageData(0, 0, one.width, one.height).data;
    return pixels.some((value) => value !== 0);
  }});
  const wide = root.scrollWidth - root.clientWidth;
  document.body.insertAdjacentHTML("beforeend", `<pre>seen wide=${{wide}} painted=${{painted.length}}</pre>`);
}}, 300);
</script>"""


def browse(page, tmp_path, *options):
    if not CHROMIUM.exists():
        pytest.fail(f"{CHROMIUM} is absent: apt-get install chromium (this proof is never skipped)")
    command = [
        str(CHROMIUM),
        *["--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"],
        *["--enable-logging=stderr", "--virtual-time-budget=4000"],
        f"--user-data-dir={tmp_path / 'profile'}",
        *options,
        page.as_uri(),
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=90, check=True)
    complaints = [line for line in done.stderr.splitlines() if "CONSOLE" in line]
    assert complaints == []
    return done.stdout


@pytest.mark.parametrize("width", [390, 1280])
@pytest.mark.parametrize(("name", "charts"), [("pass", 4), ("large", 4), ("one", 4), ("aborted", 0)])
def test_every_chart_is_drawn_and_nothing_is_wider_than_the_screen(sample, tmp_path, name, charts, width):
    page = write_report(sample(name)).read_text()
    frame = tmp_path / "frame.html"
    frame.write_text(FRAME.format(width=width, page=html.escape(page, quote=True)))
    assert f"seen wide=0 painted={charts}<" in browse(frame, tmp_path, "--dump-dom")


def test_a_comparison_draws_its_charts(sample, tmp_path):
    page = write_comparison(read_runs([sample("pass"), sample("fail")]), tmp_path / "compare.html").read_text()
    frame = tmp_path / "frame.html"
    frame.write_text(FRAME.format(width=390, page=html.escape(page, quote=True)))
    assert "seen wide=0 painted=4<" in browse(frame, tmp_path, "--dump-dom")


def test_the_report_prints(sample, tmp_path):
    page = write_report(sample("fail"))
    browse(page, tmp_path, "--no-pdf-header-footer", f"--print-to-pdf={tmp_path / 'report.pdf'}")
    assert (tmp_path / "report.pdf").read_bytes().startswith(b"%PDF")
