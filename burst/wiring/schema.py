"""The JSON Schema of a scenario file: the model's, with every sink's settings and the short forms in it."""

from __future__ import annotations

import json
from typing import Any

from burst.model.scenario import Scenario, Settings
from burst.model.units import exact_duration
from burst.provider.behaviour import Behaviour
from burst.wiring.sinks import SINKS
from burst.wiring.wording import keys_of, models_in

DIALECT = "https://json-schema.org/draft/2020-12/schema"
_REF = "#/$defs/{model}"


def json_schema() -> dict[str, Any]:
    """Return the schema (draft 2020-12) of scenario files."""
    schema = _of(Scenario)
    parts: dict[str, Any] = schema.pop("$defs")
    choice: dict[str, Any] = {
        "description": "a sink by name, or one name with its settings below it",
        "oneOf": [{"type": "string", "enum": list(SINKS)}],
    }
    for name, row in SINKS.items():
        settings = row.settings_class()
        inner = _of(settings)
        parts.update(inner.pop("$defs", {}))
        parts[settings.__name__] = inner
        choice["oneOf"].append(
            {
                "type": "object",
                "properties": {name: {"anyOf": [_ref(settings.__name__), {"type": "null"}]}},
                "required": [name],
                "additionalProperties": False,
            }
        )
    parts["SinkChoice"] = choice
    behaviour = _of(Behaviour)
    parts.update(behaviour.pop("$defs", {}))
    parts["Behaviour"] = behaviour
    parts["ProviderSettings"]["properties"]["behaviour"]["anyOf"] = [{"type": "string"}, _ref("Behaviour")]
    properties = schema["properties"]
    properties["sink"] = {**_ref("SinkChoice"), "description": "where everybody goes: one route's short form"}
    _short_forms(properties)
    schema["required"] = ["audience"]  # a scenario without a name is called after its file
    schema["oneOf"] = [{"required": ["sink"]}, {"required": ["routes"]}]
    return {"$schema": DIALECT, "title": "A burst scenario", **schema, "$defs": dict(sorted(parts.items()))}


def schema_text() -> str:
    """Return what ``burst schema`` prints."""
    return json.dumps(json_schema(), indent=2, ensure_ascii=False) + "\n"


def _short_forms(properties: dict[str, Any]) -> None:
    audience = properties["audience"]
    audience["anyOf"] = [
        {"type": "integer", "minimum": 1, "description": "synthetic people, three in five on iOS"},
        {"type": "string", "minLength": 1, "description": "a count such as 4M, or a file of tokens"},
        *audience.pop("oneOf"),
        {
            "type": "object",
            "properties": {"synthetic": _ref("SyntheticAudience")},
            "required": ["synthetic"],
            "additionalProperties": False,
        },
    ]
    workers = _ref("WorkerSettings")
    count = {"type": "integer", "minimum": 1, "description": "how many worker processes"}
    properties["workers"] = {"anyOf": [count, workers]}
    properties["criteria"].pop("default", None)  # it follows the deadline


def _ref(name: str) -> dict[str, Any]:
    return {"$ref": _REF.format(model=name)}


def _of(model: type[Settings]) -> dict[str, Any]:
    schema = model.model_json_schema(by_alias=True, ref_template=_REF)
    for part, described in ((model, schema), *_parts(model, schema)):
        _in_the_files_words(part, described)
    return schema


def _parts(model: type[Settings], schema: dict[str, Any]) -> list[tuple[type[Settings], dict[str, Any]]]:
    known = {part.__name__: part for part in _below(model)}
    return [(known[name], part) for name, part in schema.get("$defs", {}).items() if name in known]


def _below(model: type[Settings]) -> set[type[Settings]]:
    inner = {part for annotation in keys_of(model).values() for part in models_in(annotation)}
    return inner | {deeper for part in inner for deeper in _below(part)}


def _in_the_files_words(model: type[Settings], schema: dict[str, Any]) -> None:
    """Write defaults as a file would: 5s, not 5000000000, which would be read as seconds."""
    schema.pop("title", None)
    names = {field.alias or name: name for name, field in model.model_fields.items()}
    for key, described in schema.get("properties", {}).items():
        described.pop("title", None)
        default = described.get("default")
        if names[key].endswith("_ns") and isinstance(default, int):
            described["default"] = exact_duration(default)
        elif isinstance(default, (dict, list)) or default is None:
            described.pop("default", None)
