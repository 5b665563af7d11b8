"""The wheel: built, installed into an empty environment, run from there."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_an_installed_wheel_runs_a_shipped_scenario_from_anywhere(tmp_path: Path) -> None:
    def run(*command: str | Path) -> str:
        environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
        done = subprocess.run(
            list(map(str, command)),
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            timeout=500,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    run(sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", "dist", ROOT)
    (wheel,) = (tmp_path / "dist").glob("burst-*.whl")
    run(sys.executable, "-m", "venv", "empty")
    python = tmp_path / "empty/bin/python"
    run(python, "-m", "pip", "install", "--quiet", wheel)
    assert run(python, "-c", "import burst; print(burst.__file__)").startswith(str(tmp_path))
    out = run(tmp_path / "empty/bin/burst", "run", "smoke")
    assert out.startswith("GO: ")
