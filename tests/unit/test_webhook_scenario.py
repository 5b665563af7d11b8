"""What the scenario `webhook` advises in its header can be typed, and is of a latency that a connection waits for."""

import re
import shlex

from burst.wiring.scenario_file import load_scenario
from burst.wiring.shipped import shipped_path


def test_every_command_in_its_header_is_a_run_that_can_be_made():
    path = shipped_path("webhook")
    assert path is not None
    header = re.sub(r"\\\n#", " ", path.read_text())
    commands = re.findall(r"^#\s+burst run webhook((?: +--set +\S+)+)", header, re.MULTILINE)
    assert len(commands) == 3
    made = [load_scenario("webhook", overrides=shlex.split(line.replace("--set", "")), environ={}) for line in commands]
    slow = made[0].mapping["provider"]["behaviour"]["latency"]
    assert slow["p50"] == "20ms", "at 2 ms a small machine is what bounds it"
