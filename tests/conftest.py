"""Fixtures that every suite shares."""

import os
import sys

import numpy as np
import pytest
from hypothesis import settings

from burst.model.batch import Batch, Platform, TokenEncoding

# The machine may be busy with a run: a slow example is no failure, a hanging one meets pytest's timeout.
settings.register_profile("burst", deadline=None, print_blob=True)
settings.load_profile("burst")

# Hundreds of tests start burst in processes of its own. Where the environment forbids to keep bytecode, as images of
# containers do, each of them would compile all of burst anew.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False


class FakeClock:
    """A clock that stands still until it is told to go on."""

    def __init__(self, at_ns: int = 10**15) -> None:
        self.at_ns = at_ns

    def now_ns(self) -> int:
        return self.at_ns

    def advance(self, ns: int) -> int:
        self.at_ns += ns
        return self.at_ns


def make_batch(
    number: int = 0,
    first_index: int = 0,
    count: int = 4,
    *,
    platform: Platform = Platform.IOS,
    tenant: str = "",
    lane: str = "main",
) -> Batch:
    """A batch of raw 4-byte tokens: the person's index, big endian."""
    tokens = np.arange(first_index, first_index + count, dtype=">u4").tobytes()
    return Batch(number, first_index, count, platform, TokenEncoding.RAW, tokens, 4, None, tenant=tenant, lane=lane)


@pytest.fixture
def clock() -> FakeClock:
    """A clock of the test's own."""
    return FakeClock()


@pytest.fixture(scope="session")
def batch_of():
    """Make a batch: ``batch_of(number, first_index, count, ...)``."""
    return make_batch
