"""Audiences from files, as a person runs them: sound, broken, foreign."""

import csv
import io

import pytest

from tests.e2e.conftest import Shop, assert_sums

SCENARIO = """\
name: from-file
audience: {audience}
sink: {{modelled: {{rejected: 5%}}}}
criteria: [accepted >= 90%]
"""


def make(shop: Shop, name: str, *options: str) -> str:
    made = shop.burst("audience", "make", name, "--people", "3000", *options)
    assert made.process.returncode == 0, made.err
    return name


@pytest.mark.parametrize(
    "name",
    ["people.csv", *(pytest.param(name, marks=pytest.mark.slow) for name in ("people.ndjson", "people.parquet"))],
)
def test_everybody_of_a_file_has_an_outcome_and_the_undelivered_their_tokens(shop: Shop, name: str) -> None:
    people = make(shop, name)
    program = shop.burst("run", shop.scenario(SCENARIO.format(audience=people)))
    assert program.process.returncode == 0, program.err
    result = shop.result()
    assert result["audience"] == 3000
    assert_sums(result)
    listed = shop.burst("undelivered")
    rows = list(csv.DictReader(io.StringIO(listed.out)))
    assert len(rows) == 3000 - result["outcomes"]["accepted"] == result["outcomes"]["rejected"]
    if name.endswith(".csv"):
        tokens = {row["token"]: row["platform"] for row in csv.DictReader(io.StringIO((shop.path / name).read_text()))}
        assert all(tokens[row["token"]] == row["platform"] for row in rows)
    shop.assert_nothing_left()


def test_broken_rows_stop_a_run_before_anything_is_sent_and_are_named_by_line(shop: Shop) -> None:
    people = make(shop, "people.csv", "--broken", "1%")
    program = shop.burst("run", shop.scenario(SCENARIO.format(audience=people)))
    assert program.process.returncode == 2
    broken = {
        number
        for number, line in enumerate((shop.path / people).read_text().splitlines(), 1)
        if line.startswith((",", "not-a-token!")) or line.endswith(",iso")
    }
    assert broken
    assert f"people.csv:{min(broken)}: " in program.err
    assert "set_aside" in program.err
    shop.assert_nothing_left()


def test_rows_set_aside_are_counted_and_the_rest_is_sent(shop: Shop) -> None:
    people = make(shop, "people.csv", "--broken", "1%")
    settings = f"{{file: {people}, broken_rows: set_aside}}"
    program = shop.burst("run", shop.scenario(SCENARIO.format(audience=settings)))
    assert program.process.returncode == 0, program.err
    result = shop.result()
    assert result["set_aside"] > 0
    assert result["audience"] + result["set_aside"] == 3000
    assert any(entry["kind"] == "set_aside" for entry in shop.journal())


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "empty"),
        pytest.param(b"token,platform\n", "no rows", marks=pytest.mark.slow),
        (b"tokn,platform\nab,ios\n", "no column 'token'"),
        pytest.param("token,platform\n".encode("utf-16"), "UTF-16", marks=pytest.mark.slow),
        (b"token,platform\n" + b"ab" * 32 + b",ios\n" + b"AB" * 32 + b",ios\n", "same token as line 2"),
        pytest.param(
            b"\xef\xbb\xbftoken,platform\n" + b"ab" * 32 + b",isos\n", "did you mean ios", marks=pytest.mark.slow
        ),
        pytest.param(b"token,platform\n" + b"ab" * 32 + b",ios,extra\n", "3 fields", marks=pytest.mark.slow),
        pytest.param(b"token,platform\n\xff\xfe,android\n", "UTF-8", marks=pytest.mark.slow),
    ],
)
def test_a_file_that_cannot_be_sent_to_is_explained(shop: Shop, content: bytes, told: str) -> None:
    (shop.path / "people.csv").write_bytes(content)
    program = shop.burst("run", shop.scenario(SCENARIO.format(audience="people.csv")))
    assert program.process.returncode == 2
    assert told in program.err
    assert "Traceback" not in program.err
    shop.assert_nothing_left()


def test_people_whom_no_route_takes_are_told_before_go(shop: Shop) -> None:
    make(shop, "people.csv")
    text = "name: x\naudience: people.csv\nroutes: [{match: {platform: ios}, sink: modelled}]\n"
    program = shop.burst("run", shop.scenario(text))
    assert program.process.returncode == 2
    assert "match no route" in program.err
    shop.assert_nothing_left()
