"""A criterion that nobody can measure is refused before anything is staged."""

import pytest

from burst.cli.main import main
from burst.model.errors import ScenarioError
from burst.wiring.scenario_file import load_scenario

HEAD = "name: s\naudience: {ios: 10}\n"
STAGED = [
    "sink: blackhole",
    "sink: {apns: {endpoint: 'https://127.0.0.1:2197'}}",
    "sink: {sqs: {endpoint: 'http://127.0.0.1:9324', queue: q, region: us-east-1}}",
    "sink: {http: {endpoint: 'http://127.0.0.1:8080/'}}",
    "routes: [{match: {share: 0.5}, sink: modelled}, {sink: apns}]",
    "routes: [{match: {share: 0.5}, sink: apns}, {sink: blackhole}]",
]
COUNTED = ["sink: modelled", "sink: apns", "sink: http", "routes: [{match: {share: 0.5}, sink: apns}, {sink: http}]"]


@pytest.fixture
def load(tmp_path):
    """Load a scenario of a sink and criteria."""

    def load(sink: str, criteria: str, *overrides: str):
        path = tmp_path / "s.yaml"
        path.write_text(f"{HEAD}{sink}\ncriteria:\n  - accepted >= 99%\n  - {criteria}\n")
        return load_scenario(path, overrides=overrides, environ={})

    return load


@pytest.mark.parametrize("criterion", ["lost == 0", "duplicates == 0", "lost <= 1%"])
@pytest.mark.parametrize("sink", STAGED)
def test_what_only_a_second_count_can_tell_is_refused_where_nobody_counts(load, sink, criterion):
    with pytest.raises(ScenarioError) as caught:
        load(sink, criterion)
    (mistake,) = caught.value.mistakes
    assert mistake.line == 6
    assert f"criterion `{criterion}` could never hold" in mistake.what
    assert "stand-in" in mistake.hint
    load(sink, "early == 0")


@pytest.mark.parametrize("sink", COUNTED)
def test_where_one_count_covers_everybody_it_stands(load, sink):
    load(sink, "lost == 0")


def test_a_sink_set_from_above_is_what_counts(load):
    with pytest.raises(ScenarioError, match="nobody but the sender counts what arrives at blackhole"):
        load("sink: modelled", "lost == 0", "sink=blackhole")
    load("sink: blackhole", "lost == 0", "sink=modelled")


def test_a_sink_that_is_written_wrongly_is_the_only_mistake(load):
    with pytest.raises(ScenarioError) as caught:
        load("sink: {apns: {endpoynt: x}}", "lost == 0")
    assert [mistake.what for mistake in caught.value.mistakes] == ["unknown key 'sink.apns.endpoynt'"]


def test_validate_and_run_say_the_same_and_nothing_is_made(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "s.yaml").write_text(f"{HEAD}sink: blackhole\ncriteria: [lost == 0]\n")
    assert main(["validate", "s.yaml"]) == 2
    validated = capsys.readouterr().err
    assert main(["run", "s.yaml"]) == 2
    assert capsys.readouterr().err == validated
    assert "s.yaml:4:12: criterion `lost == 0` could never hold: nobody but the sender counts" in validated
    assert not (tmp_path / "reports").exists()
