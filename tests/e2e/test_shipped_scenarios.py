"""Every shipped scenario runs, small, and its books and its witness agree."""

import json
import os
import subprocess
import sys

import pytest

from burst.wiring.scenario_file import load_scenario
from burst.wiring.shipped import shipped_names

HANG_S = 90
SMALL = {"ios": 3000, "android": 2000}
TEACHES_NO_GO = {"fcm-default-quota", "sns-us-east-1-default"}


def small(name: str) -> list[str]:
    """Return overrides that make a scenario's audience small; one that is projected is small already."""
    scenario = load_scenario(name, environ={}).scenario
    if scenario.projection is not None:
        return []
    counts = {key: getattr(scenario.audience, key, None) for key in SMALL}
    return [f"--set=audience.{key}={SMALL[key]}" for key, count in counts.items() if count and count > SMALL[key]]


@pytest.mark.slow
@pytest.mark.parametrize("name", shipped_names())
def test_a_shipped_scenario_runs_and_everybody_is_accounted_for(tmp_path, name):
    made = subprocess.run(
        [sys.executable, "-m", "burst", "run", name, "--json", *small(name)],
        cwd=tmp_path,
        capture_output=True,
        timeout=HANG_S,
        env=os.environ | {"NO_COLOR": "1"},
        check=False,
    )
    # Whether its criteria hold on a busy machine is not this test's business; that it came to a verdict is.
    assert made.returncode in {0, 3, 99}, made.stderr.decode()
    result = json.loads(made.stdout)
    assert sum(result["outcomes"].values()) == result["audience"]
    assert result["outcomes"]["lost"] == result["duplicates"] == result["early"] == 0
    assert result["outcomes"]["unknown"] == result["outcomes"]["unsent"] == 0
    if result["witness"] is not None:
        assert result["witness"]["contradictions"] == 0
        assert result["witness"]["accepted"] == result["outcomes"]["accepted"]
    if name in TEACHES_NO_GO:
        assert result["headline"].startswith("PROJECTED NO-GO")
        assert result["projection"]["audience"] == 100 * result["audience"]
