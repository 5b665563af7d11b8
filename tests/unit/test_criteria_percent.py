"""A share that lost its ``%`` would pass with nearly everybody rejected: it is refused before anything runs."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from burst.cli.main import main
from burst.model.errors import ScenarioError
from burst.model.units import parse_share
from burst.policy.criteria import Measured, evaluate, parse_criterion
from burst.policy.criteria_percent import bare_counts, what_to_write
from burst.wiring.scenario_file import load_scenario


@pytest.fixture
def load(tmp_path):
    """Load a scenario of a criterion and an audience."""

    def load(criterion: str, audience: str = "10_000", *overrides: str):
        path = tmp_path / "s.yaml"
        path.write_text(f"name: s\naudience: {audience}\nsink: modelled\ncriteria:\n  - {criterion}\n")
        return load_scenario(path, overrides=overrides, environ={})

    return load


@pytest.mark.parametrize(
    "criterion", ["accepted within 5s >= 99", "accepted >= 100", "accepted > 99", "accepted >= 1", "accepted >= 90"]
)
def test_a_bare_count_that_is_next_to_nothing_of_the_audience_is_refused_where_it_stands(load, criterion):
    with pytest.raises(ScenarioError) as caught:
        load(criterion)
    (mistake,) = caught.value.mistakes
    assert mistake.line == 5
    assert f"criterion `{criterion}` asks for" in mistake.what
    assert "of 10,000 people" in mistake.what
    assert f"write {criterion.split()[-1]}% for a share" in mistake.hint


@pytest.mark.parametrize(
    "criterion",
    [
        "accepted >= 99%",
        "accepted >= 0.99%",
        "accepted >= 101",
        "accepted > 0",
        "accepted == 99",
        "accepted <= 99",
        "lost == 0",
        "duplicates <= 5",
        "late_answers <= 10",
        "rejected >= 5",
        "rate mean >= 50",
    ],
)
def test_other_counts_stand(load, criterion):
    load(criterion)


def test_among_few_people_so_many_may_be_meant(load):
    load("accepted >= 99", "1_000")
    load("accepted >= 99", "{ios: 50, android: 60}")
    with pytest.raises(ScenarioError, match="of 1,001 people"):
        load("accepted >= 99", "{ios: 500, android: 501}")
    with pytest.raises(ScenarioError, match="of 2,000 people"):
        load("accepted >= 99", "100", "audience.ios=2000", "audience.android=0")


def test_a_file_of_people_is_counted_as_well(load, tmp_path):
    def write(people: int) -> None:
        (tmp_path / "p.csv").write_text("token,platform\n" + "".join(f"{n:064x},ios\n" for n in range(people)))

    write(1_000)
    load("accepted >= 99", "p.csv")
    write(1_001)
    with pytest.raises(ScenarioError, match="all people of the file"):
        load("accepted >= 99", "p.csv")
    load("accepted >= 99%", "p.csv")


def test_validate_and_run_refuse_it_in_the_same_words_and_nothing_is_made(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "s.yaml").write_text("audience: 10_000\nsink: modelled\ncriteria: [accepted within 5s >= 99]\n")
    assert main(["validate", "s.yaml"]) == 2
    validated = capsys.readouterr().err
    assert main(["run", "s.yaml"]) == 2
    assert capsys.readouterr().err == validated
    assert "write 99% for a share; for 99 of 10,000 people write `>= 0.99%`" in validated
    assert not (tmp_path / "reports").exists()


def test_it_is_told_beside_the_mistakes_of_a_sink(tmp_path):
    path = tmp_path / "s.yaml"
    path.write_text("audience: 10_000\nsink: {http: {bodi: x}}\ncriteria: [accepted >= 99, lost == 0]\n")
    with pytest.raises(ScenarioError) as caught:
        load_scenario(path, environ={})
    assert [mistake.line for mistake in caught.value.mistakes] == [2, 3]


@given(st.sampled_from([">=", ">"]), st.integers(1, 100), st.integers(1_001, 10**7))
def test_what_is_to_be_written_for_a_count_that_is_meant_holds_from_just_that_count(op, count, people):
    ((_, criterion),) = bare_counts([f"accepted {op} {count}"])
    share = what_to_write(criterion, people).rpartition("`>= ")[2].removesuffix("`")
    assert 0 < parse_share(share) < 1
    meant = parse_criterion(f"accepted >= {share}")
    for accepted in (count - 1, count, count + 1, count + 2):
        (judged,) = evaluate([meant], Measured(people, {"accepted": accepted}))
        assert judged.ok is criterion.holds(accepted)
