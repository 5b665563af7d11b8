"""Templates that say the same to everybody, where whoever reads them most likely has to know whom they are for."""

from __future__ import annotations

import re
from collections.abc import Iterable

from burst.sinks.connection_settings import ConnectionSettings
from burst.sinks.http_settings import HttpSettings
from burst.sinks.sns_settings import SnsSettings
from burst.sinks.sqs_settings import SqsSettings
from burst.wiring.needs import sinks_of
from burst.wiring.scenario_file import LoadedScenario

_SOMEBODY = re.compile(r"\$\{(?:ids?|tokens?|index)\}")


def template_notes(loaded: LoadedScenario) -> list[str]:
    """Return a line for each sink whose templates name nobody: the right field, misspelt or forgotten, is seen late.

    What a device shows is the same for everybody by nature, so pushes to devices are not spoken of.
    """
    notes = []
    for path, settings in sinks_of(loaded):
        setting, texts, left = _templates(settings)
        if setting and not any(_SOMEBODY.search(text.replace("$$", "")) for text in texts):
            notes.append(
                f"{'.'.join((*map(str, path), setting))}: the same text for everybody: no ${{id}}, ${{token}} or "
                f"${{index}} in it, and only {left} tells whom it is for"
            )
    return notes


def _templates(settings: ConnectionSettings) -> tuple[str, Iterable[str], str]:
    """Return the setting that was written, all that is written beside it, and what of burst's own is left.

    No setting: nothing was written, or it cannot be read here.
    """
    if isinstance(settings, SqsSettings) and settings.body is not None:
        return "body", (settings.body, *settings.attributes.values()), "the attribute burst-id"
    if isinstance(settings, SnsSettings) and settings.topic and (settings.message or settings.payloads):
        texts = (settings.message or "", *(settings.payloads or {}).values(), settings.subject or "")
        own = "message" if settings.message else "payloads"
        return own, (*texts, *settings.attributes.values()), "the attribute burst-id"
    if isinstance(settings, HttpSettings) and settings.target and "id_header" not in settings.model_fields_set:
        texts = (settings.target, *settings.headers.values())
        if settings.has_body:
            item = settings.item_text if "${items}" in settings.body_text else ""
            return "body", (*texts, settings.body_text, item), f"the header {settings.id_header}"
        return "path" if settings.path else "endpoint", texts, f"the header {settings.id_header}"
    return "", (), ""
