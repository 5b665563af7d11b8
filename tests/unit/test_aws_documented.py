"""What the page on AWS says of retries and paths is what burst does."""

import re
from pathlib import Path

import numpy as np

from burst.model.scenario import RetrySettings
from burst.policy.retry import Backoff

PAGE = (Path(__file__).parents[2] / "docs/pointing-at-aws.md").read_text()


def test_the_page_knows_how_often_a_throttled_message_is_sent_and_how_soon():
    settings = RetrySettings()
    found = re.search(r"\(default (\d+), the\s+first included\)", PAGE)
    assert found is not None
    assert int(found[1]) == settings.attempts
    made = np.arange(1, settings.attempts, dtype=np.uint8)
    waits_ms = Backoff(settings.attempts, settings.base_ns, settings.cap_ns).waits_ns(made, np.ones(made.size)) / 1e6
    told = re.search(r"from 0 to (\d+) ms, then (\d+) ms, then (\d+) ms", PAGE)
    assert told is not None
    assert np.allclose(waits_ms, [float(ms) for ms in told.groups()], rtol=0.01)
    assert waits_ms.sum() < 500
