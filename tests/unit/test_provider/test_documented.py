"""The provider's page tells the truth: its example is a behaviour file, and no key and no option is left out."""

import re
from pathlib import Path

import yaml

from burst.cli.provider import provider
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
