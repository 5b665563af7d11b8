"""Commands that were mistyped say what to type."""

import pytest

from tests.unit.test_cli import burst  # noqa: F401 (a fixture)


@pytest.fixture
def run_folder(tmp_path):
    def make(name: str) -> None:
        folder = tmp_path / "reports" / name
        folder.mkdir(parents=True)
        (folder / "result.json").write_text("{}")

    return make


def test_init_takes_one_name_and_says_how_to_choose_what_is_copied(burst):  # noqa: F811
    code, _, err = burst("init", "mine", "superbowl-2024")
    assert (code, "burst init NAME --from SCENARIO" in err) == (2, True)


def test_init_under_a_shipped_name_says_that_it_copied_another(burst):  # noqa: F811
    code, out, err = burst("init", "superbowl-2024")
    assert (code, "wrote superbowl-2024.yaml" in out) == (0, True)
    assert "a copy of smoke; for the shipped superbowl-2024: burst init --from superbowl-2024" in err
    assert burst("init", "--from", "superbowl-2024", "-o", "other.yaml")[2] == ""


def test_compare_without_runs_names_the_newest(burst, run_folder):  # noqa: F811
    code, _, err = burst("compare")
    assert (code, "`burst run SCENARIO` makes one" in err) == (2, True)
    run_folder("smoke-one")
    code, _, err = burst("compare")
    assert (code, "the newest are: smoke-one" in err) == (2, True)


def test_a_run_that_does_not_exist_is_answered_with_those_that_do(burst, run_folder):  # noqa: F811
    run_folder("smoke-one")
    assert "did you mean 'smoke-one'?" in burst("compare", "smoke-on", "x")[2]
    assert "the newest in reports: smoke-one" in burst("compare", "zzzzzzzz", "x")[2]
