"""What dead workers said, for whoever has to find out why."""

from pathlib import Path

import pytest

from burst.engine.last_words import in_one_line, last_words


@pytest.mark.parametrize(
    ("log", "told"),
    [
        ("burst: the sink refused\n  send them elsewhere\n", "the sink refused\n  send them elsewhere"),
        ("a warning\nburst: first\n  do this\nburst: second\n  do that\n", "first\n  do this"),
        ("burst: no hint\nburst: second\n", "no hint"),
        ("Traceback\n  File x\nthis is a bug in burst\n", "this is a bug in burst"),
        ("", "nothing"),
    ],
)
def test_the_complaint_is_told_with_its_hint_not_the_hint_alone(tmp_path: Path, log: str, told: str) -> None:
    (tmp_path / "workers.log").write_text(log)
    assert last_words(tmp_path / "workers.log") == told


def test_workers_without_a_log_said_nothing(tmp_path: Path) -> None:
    assert last_words(tmp_path / "workers.log") == "nothing"


@pytest.mark.parametrize(
    ("told", "line"),
    [
        ("the sink refused\n  send them\n  elsewhere", "the sink refused (send them elsewhere)"),
        ("the sink refused", "the sink refused"),
        ("", ""),
    ],
)
def test_a_complaint_fits_one_line_with_its_hint_behind_it(told: str, line: str) -> None:
    assert in_one_line(told) == line
