"""The command line: fast to start, plain when it fails, quiet when nobody listens."""

import subprocess
import sys

import click
import pytest

from burst import __version__
from burst.cli import main as cli
from burst.model.errors import BurstError, LatchError
from burst.wiring.schema import schema_text
from burst.wiring.shipped import shipped_names


@pytest.fixture
def burst(capsys, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)

    def run(*args):
        code = cli.main(args)
        out, err = capsys.readouterr()
        return code, out, err

    return run


@pytest.fixture
def failing(monkeypatch):
    """Let `burst scenarios` raise."""

    def let(error):
        @click.command()
        def scenarios():
            raise error

        monkeypatch.setattr("burst.cli.init.scenarios", scenarios)

    return let


def test_help_imports_nothing_heavy():
    heavy = {"pydantic", "numpy", "redis", "yaml", "rich", "uvloop", "asyncio", "msgspec"}
    code = f"""
import sys
from burst.cli.main import main
assert main(["--help"]) == 0
assert not {heavy!r} & set(sys.modules), {heavy!r} & set(sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert all(line in done.stdout for _, line in cli.COMMANDS.values())


def test_version(burst):
    assert burst("--version") == (0, f"burst, version {__version__}\n", "")


def test_an_unknown_command_names_its_neighbour(burst):
    code, out, err = burst("vlidate")
    assert (code, out) == (2, "")
    assert "did you mean 'validate'?" in err


def test_an_unknown_option_is_bad_usage(burst):
    assert burst("validate", "--sett", "x")[0] == 2


@pytest.mark.parametrize("name", cli.COMMANDS)
def test_every_command_of_the_table_explains_itself_or_is_not_here_yet(burst, name):
    code, out, err = burst(name, "--help")
    assert out.startswith("Usage: burst") if code == 0 else "not part of this version" in err


def test_validate_sums_up_what_is_right(burst):
    assert burst("validate", "superbowl-2024") == (
        0,
        "OK superbowl-2024: 4,000,000 people, 11,200 batches, 2 shards, to modelled, 3 criteria\n",
        "",
    )


def test_validate_lists_every_mistake_of_every_file(burst, tmp_path):
    (tmp_path / "a.yaml").write_text("audience: 3\nsink: modeled\ncount: 3\n")
    (tmp_path / "b.yaml").write_text("sink: modelled\n")
    code, out, err = burst("validate", "smoke", "a.yaml", "b.yaml", "--set", "audience.ios=4")
    assert code == 2
    assert out.startswith("OK smoke")
    assert [line.partition(" ")[0] for line in err.splitlines()] == ["a.yaml:2:7:", "a.yaml:3:1:"]


def test_schema_prints_the_schema(burst):
    assert burst("schema") == (0, schema_text(), "")


def test_scenarios_lists_what_is_shipped(burst):
    _, out, _ = burst("scenarios")
    assert [line.split()[0] for line in out.splitlines()] == list(shipped_names())


@pytest.mark.parametrize("source", shipped_names())
def test_init_writes_a_scenario_that_stands_on_its_own(burst, tmp_path, source):
    code, _, err = burst("init", "mine", "--from", source)
    assert (code, err) == (0, "")
    assert burst("validate", "mine.yaml")[0] == 0
    assert "name: mine\n" in (tmp_path / "mine.yaml").read_text()
    assert (tmp_path / "burst.schema.json").is_file()


def test_init_overwrites_nothing(burst, tmp_path):
    (tmp_path / "smoke.yaml").write_text("mine")
    code, _, err = burst("init")
    assert code == 2
    assert "smoke.yaml exists" in err
    assert (tmp_path / "smoke.yaml").read_text() == "mine"
    assert [path.name for path in tmp_path.iterdir()] == ["smoke.yaml"]


def test_init_names_the_nearest_scenario(burst):
    code, _, err = burst("init", "--from", "superbowl")
    assert code == 2
    assert "superbowl-2024" in err
    assert burst("init", "a b")[0] == 2


def test_an_error_that_burst_explains_has_no_traceback(burst, failing, monkeypatch):
    failing(BurstError("the queue is full", hint="give it more memory"))
    assert burst("scenarios") == (1, "", "burst: the queue is full\n  give it more memory\n")
    failing(LatchError("bowl", "ann", "12:00"))
    assert burst("scenarios")[0] == 105
    monkeypatch.setenv("BURST_DEBUG", "1")
    assert "Traceback" in burst("scenarios")[2]


def test_any_other_error_is_a_bug_and_says_so(burst, failing):
    failing(RuntimeError("oh"))
    code, _, err = burst("scenarios")
    assert code == 1
    assert "Traceback" in err
    assert err.splitlines()[-1] == f"this is a bug in burst {__version__}: RuntimeError: oh"


def test_an_interrupt_is_130(burst, failing):
    failing(KeyboardInterrupt())
    assert burst("scenarios")[0] == 130


def test_a_closed_pipe_is_nobodys_error():
    command = f"{sys.executable} -m burst schema | head -c 1"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, timeout=60, check=False)
    assert (done.stdout, done.stderr) == ("{", "")


def test_audience_make_reads_quantities_as_people_write_them(burst):
    code, _, err = burst("audience", "make", "x.csv", "--people", "many")
    assert code == 2
    assert "'many' is not a count" in err
    assert burst("audience", "make", "x.csv", "--ios", "120%")[0] == 2
