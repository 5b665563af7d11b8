"""The page's table of retries is held against the code that waits."""

import re
from pathlib import Path

import numpy as np
import pytest
import yaml

from burst.model.scenario import RetrySettings
from burst.policy.retry import Backoff

PAGE = (Path(__file__).parents[2] / "docs/pointing-at-apple.md").read_text()
ROWS = re.findall(r"(?m)^\| ([\d.]+) (s|min) \| (?:the defaults: )?(`.*?`) \| ([\d.]+) s \| ([\d.]+) s \|$", PAGE)


@pytest.mark.parametrize("row", ROWS, ids=[row[2] for row in ROWS])
def test_what_the_page_says_of_retries_is_what_they_wait(row: tuple[str, ...]) -> None:
    trouble, unit, told, longest_s, average_s = row
    wanted = yaml.safe_load("{" + told.replace("`", "").strip("{}") + "}")
    settings = RetrySettings.model_validate(wanted)
    backoff = Backoff(settings.attempts, settings.base_ns, settings.cap_ns)
    made = np.arange(1, settings.attempts, dtype=np.uint8)
    most_s = backoff.waits_ns(made, np.ones(made.size)).sum() / 1e9
    assert most_s == pytest.approx(float(longest_s), rel=0.03)
    assert most_s / 2 == pytest.approx(float(average_s), rel=0.15)
    assert most_s / 2 > float(trouble) * (60 if unit == "min" else 1) * 0.85


def test_the_page_knows_the_defaults() -> None:
    assert len(ROWS) == 4
    defaults = RetrySettings()
    assert f"`attempts: {defaults.attempts}`, `base: {defaults.base_ns // 10**6}ms`" in PAGE
    assert f"`retry.cap` is {defaults.cap_ns // 10**9} s" in PAGE
