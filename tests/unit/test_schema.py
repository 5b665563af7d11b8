"""The JSON Schema knows what the loader knows: editors accept what burst accepts."""

import json

import jsonschema
import pytest

from burst.wiring.schema import json_schema, schema_text
from burst.wiring.shipped import shipped_folder, shipped_names, shipped_path
from burst.wiring.sinks import SINKS
from burst.wiring.yaml_text import read_yaml

VALIDATOR = jsonschema.Draft202012Validator(json_schema())


def errors(text):
    return list(VALIDATOR.iter_errors(read_yaml(text, "it.yaml").value))


def test_it_is_a_valid_schema():
    jsonschema.Draft202012Validator.check_schema(json_schema())


def test_the_committed_schema_is_what_burst_schema_prints():
    committed = (shipped_folder() / "burst.schema.json").read_text(encoding="utf-8")
    assert committed == schema_text(), "run: burst schema > scenarios/burst.schema.json"


@pytest.mark.parametrize("name", shipped_names())
def test_shipped_scenarios_satisfy_it_and_point_editors_to_it(name):
    text = shipped_path(name).read_text(encoding="utf-8")
    assert errors(text) == []
    assert text.startswith("# yaml-language-server: $schema=./burst.schema.json\n")


@pytest.mark.parametrize("name", SINKS)
def test_every_sink_of_the_table_is_in_it(name):
    assert errors(f"audience: 10\nsink: {name}") == []
    assert errors(f"audience: 10\nsink:\n  {name}:") == []
    assert errors(f"audience: 10\nsink: {{{name}: {{no_such_key: 1}}}}")


@pytest.mark.parametrize(
    "text",
    [
        "audience: 4_000_000\nsink: modelled",
        "audience: 4M\nsink: modelled\nworkers: 4",
        "audience: people.csv\nroutes: [{sink: modelled}]",
        "audience: {ios: 3k}\nsink: {modelled: {latency: {percentiles: {50: 1ms, 99.9: 5ms}}}}",
        "audience: {synthetic: {ios: 3}}\nsink: {modelled: {quota: {rate: 30000/s}}}\nworkers: {count: 4}",
    ],
)
def test_short_forms_satisfy_it(text):
    assert errors(text) == []


@pytest.mark.parametrize(
    "text",
    [
        "audience: 3",
        "sink: modelled",
        "audience: 3\nsink: modeled",
        "audience: 3\nsink: modelled\nroutes: [{sink: modelled}]",
        "audience: 3\nsink: modelled\nworkres: 3",
        "audience: -3\nsink: modelled",
        "audience: {ioss: 3}\nsink: modelled",
        "audience: 3\nsink: {modelled: {latency: 3}}",
        "audience: 3\nsink: {modelled: {}, blackhole: {}}",
        "audience: 3\nsink: modelled\ndeadline: soon",
        "audience: 3\nsink: modelled\ndeadline_ns: 5",
        "audience: 3\nsink: modelled\ncriteria: lost == 0",
        "audience: 3\nsink: modelled\nretry: {on_unknown: resent}",
    ],
)
def test_typical_mistakes_do_not_satisfy_it(text):
    assert errors(text)


def test_defaults_read_as_the_file_would_have_them():
    schema = json_schema()
    assert schema["properties"]["deadline"]["default"] == "5s"
    assert schema["$defs"]["RetrySettings"]["properties"]["base"]["default"] == "50ms"
    assert '"default": null' not in json.dumps(schema)
