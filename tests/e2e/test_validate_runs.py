"""What `burst validate` says is missing is what `burst run` says before anything is begun."""

import pytest

from tests.e2e.conftest import Shop

SCENARIO = """
audience: {ios: 10}
sink: {http: {bearer_env: BURST_TEST_HOOK}}
workers: 1
criteria: ["accepted == 100%"]
"""


@pytest.mark.slow
def test_a_run_without_its_secret_says_what_validate_had_said(shop: Shop) -> None:
    file = shop.scenario(SCENARIO)
    missing = "environment variable BURST_TEST_HOOK is not set"
    validated = shop.burst("validate", file)
    assert validated.process.returncode == 2
    assert f"would be refused: sink.http.bearer_env: {missing} (export it" in validated.err
    run = shop.burst("run", file)
    assert run.process.returncode == 2
    assert f"sink.http.bearer_env: {missing} (export it" in run.err
    shop.environment["BURST_TEST_HOOK"] = "a-token"
    assert shop.burst("validate", file).process.returncode == 0
    assert "a-token" not in validated.err + run.err
    shop.assert_nothing_left()
