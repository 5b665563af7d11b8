"""YAML text into plain values, with the line and column of everything in it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import yaml

from burst.model.errors import Mistake

Path = tuple[str | int, ...]
Place = tuple[int, int]

_MOST_NODES = 20_000  # a scenario is a page long; nested aliases can mean billions
_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class _Composer(_Loader):  # type: ignore[misc]
    """YAML 1.1 without its traps: ``on`` and ``no`` are words, ``1:30`` is text and not ninety, no dates."""

    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}  # noqa: RUF012 (PyYAML's own shape)


for _tag, _pattern, _first in (
    ("bool", r"true|True|TRUE|false|False|FALSE", "tTfF"),
    ("int", r"[-+]?(?:0|[1-9][0-9_]*)", "-+0123456789"),
    (
        "float",
        r"[-+]?[0-9][0-9_]*\.[0-9_]*(?:[eE][-+]?[0-9]+)?|[-+]?[0-9][0-9_]*[eE][-+]?[0-9]+",
        "-+0123456789",
    ),
    ("null", r"~|null|Null|NULL|", ["~", "n", "N", ""]),
):
    _Composer.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(rf"(?:{_pattern})\Z"), list(_first))


@dataclass(slots=True)
class Text:
    """What a YAML text holds. ``keys`` and ``values`` give the place (line, column; 1-based) of each path."""

    file: str
    value: Any = None
    keys: dict[Path, Place] = field(default_factory=dict)
    values: dict[Path, Place] = field(default_factory=dict)
    mistakes: list[Mistake] = field(default_factory=list)

    def place_of_key(self, path: Path) -> Place:
        """Return where the key at ``path`` stands, or the nearest thing above it."""
        return self.keys.get(path) or self.place_of_value(path)

    def place_of_value(self, path: Path) -> Place:
        """Return where the value at ``path`` stands, or the nearest thing above it."""
        for length in range(len(path), -1, -1):
            place = self.values.get(path[:length])
            if place is not None:
                return place
        return (1, 1)


def read_yaml(text: str, file: str) -> Text:
    """Read one YAML document; mistakes are gathered, never raised."""
    result = Text(file)
    try:
        node = yaml.compose(text, Loader=_Composer)
        if node is not None:
            result.value = _Builder(result).build(node, ())
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line, column = (mark.line + 1, mark.column + 1) if mark else (0, 0)
        result.mistakes.append(
            Mistake(file, line, column, f"not valid YAML: {_wording(error)}", _yaml_hint(text, error))
        )
    except yaml.reader.ReaderError as error:
        before = text[: error.position] if isinstance(error.position, int) else ""
        place = (before.count("\n") + 1, len(before) - before.rfind("\n"))
        result.mistakes.append(Mistake(file, *place, f"not valid YAML: {error.reason}"))
    return result


def read_value(text: str) -> Any:
    """Read a value as it would stand in a file (``4``, ``5s``, ``[a, b]``). Raises ValueError."""
    read = read_yaml(text, "")
    if read.mistakes:
        raise ValueError(read.mistakes[0].what)
    return read.value


class _Builder:
    def __init__(self, result: Text) -> None:
        self._result = result
        self._count = 0
        self._above: list[Any] = []

    def build(self, node: yaml.Node, path: Path) -> Any:
        self._count += 1
        mark = node.start_mark
        self._result.values[path] = (mark.line + 1, mark.column + 1)
        if self._count > _MOST_NODES or any(node is above for above in self._above):
            raise yaml.MarkedYAMLError(problem="an alias that holds itself, or far too many values", problem_mark=mark)
        self._above.append(node)
        try:
            if isinstance(node, yaml.MappingNode):
                return dict(self._pairs(node, path))
            if isinstance(node, yaml.SequenceNode):
                return [self.build(item, (*path, number)) for number, item in enumerate(node.value)]
            return self._scalar(node)
        finally:
            self._above.pop()

    def _pairs(self, node: yaml.MappingNode, path: Path) -> Iterator[tuple[str, Any]]:
        seen: dict[str, int] = {}
        for key_node, value_node in node.value:
            mark = key_node.start_mark
            if not isinstance(key_node, yaml.ScalarNode):
                self._note(mark, "a key must be a plain word")
                continue
            key = key_node.value
            if key in seen:
                self._note(mark, f"{key!r} is given twice", f"first on line {seen[key]}")
                continue
            seen[key] = mark.line + 1
            self._result.keys[*path, key] = (mark.line + 1, mark.column + 1)
            yield key, self.build(value_node, (*path, key))

    def _scalar(self, node: yaml.Node) -> Any:
        value = node.value
        match node.tag.removeprefix("tag:yaml.org,2002:"):
            case "null":
                return None
            case "bool":
                return value.lower() == "true"
            case "int":
                return int(value.replace("_", "") or "0")
            case "float":
                return float(value.replace("_", ""))
            case "str":
                return value
            case _:
                self._note(node.start_mark, f"the tag {node.tag} means nothing here", "leave it out")
                return value

    def _note(self, mark: yaml.Mark, what: str, hint: str = "") -> None:
        self._result.mistakes.append(Mistake(self._result.file, mark.line + 1, mark.column + 1, what, hint))


def _wording(error: yaml.MarkedYAMLError) -> str:
    parts = [part for part in (error.context, error.problem) if part]
    return ", ".join(parts).replace("\n", " ")


def _yaml_hint(text: str, error: yaml.MarkedYAMLError) -> str:
    if "mapping values are not allowed" in (error.problem or ""):
        return "a text with `: ` in it needs quotes"
    mark = error.problem_mark
    lines = text.splitlines()
    if mark is not None and mark.line < len(lines) and lines[mark.line][mark.column :].startswith("\t"):
        return "indent with spaces, not tabs"
    return ""
