"""A misspelt variable must not be lost in silence."""

import pytest

from burst.wiring.strange_variables import OWN, strange_variables
from tests.unit.test_cli import burst  # noqa: F401 (a fixture)


@pytest.mark.parametrize(
    ("name", "near"),
    [
        ("BURST_WORKER__COUNT", "BURST_WORKERS__COUNT"),
        ("BURST_WORKERS_COUNT", "BURST_WORKERS__COUNT"),
        ("BURST_RETRIES__ATTEMPTS", "BURST_RETRY__ATTEMPTS"),
        ("BURST_DEADLIN", "BURST_DEADLINE"),
        ("BURST_DEBG", "BURST_DEBUG"),
    ],
)
def test_a_misspelt_variable_is_named_with_its_nearest_and_without_its_value(name, near):
    (told,) = strange_variables({}, {name: "s3cret"})
    assert told == f"{name} in the environment sets nothing (did you mean {near}?)"


def test_what_means_something_is_not_strange():
    environ = dict.fromkeys(OWN, "1") | {"BURST_WORKERS__COUNT": "4", "BURST_SINK": "x", "BURST_KEY": "k", "PATH": "/"}
    assert strange_variables({"routes": [{"sink": {"apns": {"key_env": "BURST_KEY"}}}]}, environ) == ()


def test_what_is_near_to_nothing_is_told_how_settings_are_named():
    (told,) = strange_variables({}, {"BURST_ZZZZZZZZZZ": "1"})
    assert "named like BURST_WORKERS__COUNT" in told


def test_validate_warns_once_and_stays_ok(burst, monkeypatch):  # noqa: F811
    monkeypatch.setenv("BURST_WORKER__COUNT", "4")
    code, out, err = burst("validate", "smoke", "superbowl-2024")
    assert (code, out.count("OK")) == (0, 2)
    assert err.count("BURST_WORKER__COUNT in the environment sets nothing") == 1
