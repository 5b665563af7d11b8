"""The provider's page tells the truth: its example is a behaviour file, and no key and no option is left out."""

import re
import runpy
from pathlib import Path

import yaml

from burst.cli.provider import provider
from burst.model.identity import IdText
from burst.provider.behaviour import Behaviour

PAGE = (Path(__file__).parents[3] / "docs" / "provider.md").read_text()


def test_the_example_names_every_key_and_is_a_behaviour_file(tmp_path):
    (example,) = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
    (tmp_path / "b.yaml").write_text(example)
    behaviour = Behaviour.read(tmp_path / "b.yaml")
    assert behaviour.model_fields_set == set(Behaviour.model_fields)
    assert set(yaml.safe_load(example)) == {field.alias or name for name, field in Behaviour.model_fields.items()}


def test_every_option_stands_on_the_page():
    options = {option for one in provider.params for option in (*one.opts, *one.secondary_opts)} - {"--tls"}
    assert [option for option in sorted(options) if option not in PAGE] == []


def test_the_id_that_the_page_makes_is_one_that_a_witness_knows(tmp_path):
    (example,) = [block for block in re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL) if "def burst_id" in block]
    (tmp_path / "ids.py").write_text(example)
    burst_id = runpy.run_path(str(tmp_path / "ids.py"))["burst_id"]
    for person in (0, 7, 4_000_000):
        assert IdText("my run").people(burst_id("my run", person).encode()).tolist() == [person]
    assert not IdText("another").people(burst_id("my run", 1).encode()).size


def test_all_commands_of_the_page_can_run_beside_each_other():
    commands = re.findall(r"^    (?:\$ )?burst provider\b(.*)$", PAGE, re.MULTILINE)
    ports = [port for line in commands for port in re.findall(r":(\d+)", line)]
    assert len(ports) > 7
    assert len(set(ports)) == len(ports)
    assert not {"8443", "8444"} & set(ports), "the defaults, which the first command has"


def test_help_says_what_a_run_is_for_and_what_its_ids_look_like():
    (run,) = [one for one in provider.params if one.name == "run_name"]
    assert "RRRRRRRR-RRRR-8RRR-8000-IIIIIIIIIIII" in str(getattr(run, "help", ""))
