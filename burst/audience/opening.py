"""From an audience's settings to the audience."""

from __future__ import annotations

from pathlib import Path

from burst.audience.people import FilePeople
from burst.audience.synthetic import SyntheticPeople
from burst.model.ports import Audience
from burst.model.scenario import FileAudience, SyntheticAudience


def open_audience(settings: SyntheticAudience | FileAudience, base: Path) -> Audience:
    """Return the audience that ``settings`` describe.

    ``base`` is the folder that a file's path is relative to. Nothing is read yet: a file's mistakes come up
    when its batches are asked for.
    """
    if isinstance(settings, SyntheticAudience):
        return SyntheticPeople(settings)
    return FilePeople(settings, base)
