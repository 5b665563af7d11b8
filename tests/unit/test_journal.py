"""The journal only grows, a whole line at a time."""

import json
import re
import time
from concurrent.futures import ThreadPoolExecutor

from burst.runs.journal import Journal


def lines_of(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_an_entry_says_when_what_and_everything_else_it_was_given(tmp_path):
    journal = Journal(tmp_path / "journal.ndjson")
    journal.write("phase", "stage")
    journal.write("go", "pressed by ada", t_s=0.123456789, event="launch", workers=4)
    journal.close()
    first, second = lines_of(tmp_path / "journal.ndjson")
    assert (first["kind"], first["what"], first["t_s"]) == ("phase", "stage", None)
    assert (second["t_s"], second["event"], second["workers"]) == (0.1235, "launch", 4)
    for entry in (first, second):
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", entry["at"])


def test_opening_it_again_appends(tmp_path):
    for number in range(3):
        journal = Journal(tmp_path / "journal.ndjson")
        journal.write("note", f"{number}")
        journal.close()
    assert [entry["what"] for entry in lines_of(tmp_path / "journal.ndjson")] == ["0", "1", "2"]


def test_entries_of_several_writers_do_not_mix(tmp_path):
    def write(writer: int) -> None:
        journal = Journal(tmp_path / "journal.ndjson")
        for number in range(200):
            journal.write("note", "x" * 3000, writer=writer, number=number)
        journal.close()

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(write, range(4)))
    entries = lines_of(tmp_path / "journal.ndjson")
    for writer in range(4):
        assert [entry["number"] for entry in entries if entry["writer"] == writer] == list(range(200))


def test_text_with_line_breaks_stays_one_line(tmp_path):
    journal = Journal(tmp_path / "journal.ndjson")
    journal.write("note", "two\nlines\r\nand \u2028 more")
    journal.close()
    journal.close()
    (line,) = (tmp_path / "journal.ndjson").read_bytes().splitlines()
    assert json.loads(line)["what"] == "two\nlines\r\nand \u2028 more"


def test_after_go_every_entry_says_how_long_after_it_it_was_written(tmp_path):
    journal = Journal(tmp_path / "journal.ndjson")
    journal.write("phase", "arm")
    journal.released(time.monotonic_ns() - 3_000_000_000)
    journal.write("witness", "the witness saw 3 people")
    journal.write("go", "GO pressed", t_s=0.0)
    journal.close()
    before, witness, told = (entry["t_s"] for entry in lines_of(tmp_path / "journal.ndjson"))
    assert (before, told) == (None, 0.0)
    assert 3.0 <= witness < 60.0
