"""The busy share is CPU time over time, from the first request after GO to the last."""

import time

import numpy as np

from burst.model.units import NS_PER_MS
from burst.provider.busy import BusyTime
from burst.runs.witness import Counter


def burn(cpu_ns: int) -> None:
    end = time.process_time_ns() + cpu_ns
    while time.process_time_ns() < end:
        pass


def test_it_counts_the_cpu_between_the_first_request_and_the_last():
    counters = np.zeros(64, dtype=np.int64)
    busy = BusyTime(counters)
    burn(20 * NS_PER_MS)  # before the first: start-up is nobody's
    before = time.process_time_ns()
    busy.served(time.monotonic_ns())
    burn(30 * NS_PER_MS)
    now_ns = time.monotonic_ns()
    busy.served(now_ns)
    assert 30 * NS_PER_MS <= busy.busy_ns <= time.process_time_ns() - before
    assert busy.wall_ns >= 29 * NS_PER_MS
    held = busy.busy_ns, busy.wall_ns
    burn(20 * NS_PER_MS)  # and what follows the last is nobody's either
    assert (busy.busy_ns, busy.wall_ns) == held == (counters[Counter.BUSY_NS], counters[Counter.WALL_NS])


def test_sleep_is_not_busy():
    busy = BusyTime(None)
    before = time.process_time_ns()
    busy.served(time.monotonic_ns())
    time.sleep(0.05)
    busy.served(time.monotonic_ns())
    assert busy.busy_ns <= time.process_time_ns() - before
    assert busy.wall_ns >= 50 * NS_PER_MS


def test_what_came_before_go_does_not_count():
    busy = BusyTime(None)
    busy.served(10 * NS_PER_MS)
    busy.begin_at(1000 * NS_PER_MS)
    busy.served(999 * NS_PER_MS)
    assert busy.wall_ns == 0
    busy.served(1005 * NS_PER_MS)
    busy.served(1015 * NS_PER_MS)
    assert busy.wall_ns == 10 * NS_PER_MS
