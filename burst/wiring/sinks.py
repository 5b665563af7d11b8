"""The table of sinks: a row a sink, imported only when a scenario names it."""

from __future__ import annotations

from dataclasses import dataclass
from difflib import get_close_matches
from importlib import import_module
from typing import Any, cast

from burst.model.ports import Sink
from burst.model.scenario import Settings, SinkChoice


@dataclass(frozen=True, slots=True)
class SinkRow:
    """Where a sink and its settings live, each as ``module:Class``; the class is called with its settings."""

    sink: str
    settings: str

    def settings_class(self) -> type[Settings]:
        """Import and return the class of the sink's settings."""
        return cast("type[Settings]", resolve(self.settings))


SINKS: dict[str, SinkRow] = {
    "apns": SinkRow("burst.sinks.apns:Apns", "burst.sinks.apns_settings:ApnsSettings"),
    "blackhole": SinkRow("burst.sinks.blackhole:Blackhole", "burst.sinks.blackhole:BlackholeSettings"),
    "fcm": SinkRow("burst.sinks.fcm:Fcm", "burst.sinks.fcm_settings:FcmSettings"),
    "http": SinkRow("burst.sinks.http:Http", "burst.sinks.http_settings:HttpSettings"),
    "modelled": SinkRow("burst.sinks.modelled:Modelled", "burst.sinks.modelled_settings:ModelledSettings"),
    "sns": SinkRow("burst.sinks.sns:Sns", "burst.sinks.sns_settings:SnsSettings"),
    "sqs": SinkRow("burst.sinks.sqs:Sqs", "burst.sinks.sqs_settings:SqsSettings"),
}


def resolve(name: str) -> Any:
    """Import ``module:Class`` and return the class."""
    module, _, attribute = name.partition(":")
    return getattr(import_module(module), attribute)


def nearest_sink(name: str) -> str:
    """Return a hint for a sink that does not exist."""
    near = get_close_matches(name, SINKS, n=1, cutoff=0.4)
    return f"did you mean {near[0]}?" if near else f"sinks: {', '.join(SINKS)}"


def sink_settings(choice: SinkChoice) -> Settings:
    """Return the settings of a sink. Raises KeyError or pydantic's ValidationError."""
    return SINKS[choice.name].settings_class().model_validate(choice.settings)


def build_sink(choice: SinkChoice) -> Sink:
    """Build the sink that a route names; nothing is connected yet."""
    return cast("Sink", resolve(SINKS[choice.name].sink)(sink_settings(choice)))
