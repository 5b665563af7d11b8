"""Timeline and heat map count every event once, however it arrives."""

import math

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from burst.measure.timeline import (
    BIN_NS,
    HEAT_BIN_NS,
    HEAT_LEVELS,
    KINDS,
    Heat,
    Timeline,
    heat_level_us,
)

instants = st.lists(st.integers(-(10**9), 60 * 10**9), max_size=80)


def column(values) -> np.ndarray:
    return np.array(values, dtype=np.int64)


@given(instants)
def test_a_column_counts_each_event_in_its_bin_and_early_ones_in_the_first(values):
    timeline = Timeline()
    timeline.add_column("accepted", column(values))
    table = timeline.table()[:, KINDS.index("accepted")]
    assert int(table.sum()) == len(values)
    for value in values:
        assert table[max(value, 0) // BIN_NS] > 0
    assert timeline.bins() == max((max(value, 0) // BIN_NS + 1 for value in values), default=0)


@given(instants)
def test_one_by_one_equals_a_column(values):
    single, whole = Timeline(), Timeline()
    for value in values:
        single.add("sent", value)
    whole.add_column("sent", column(values))
    assert np.array_equal(single.table(), whole.table())


@given(instants, instants)
def test_a_trimmed_timeline_merges_into_the_same_table(left, right):
    a, b, together = Timeline(), Timeline(), Timeline()
    a.add_column("unknown", column(left))
    b.add_column("unknown", column(right))
    a.merge("unknown", *b.trimmed("unknown"))
    together.add_column("unknown", column(left + right))
    assert np.array_equal(a.table(), together.table())


def test_kinds_do_not_mix():
    timeline = Timeline()
    for number, kind in enumerate(KINDS):
        timeline.add(kind, number * BIN_NS, number + 1)
    assert np.array_equal(timeline.table(), np.diag(np.arange(1, len(KINDS) + 1)))


events = st.lists(st.tuples(st.integers(-(10**9), 10**10), st.integers(-5, 2 * 10**10)), max_size=80)


@given(events)
def test_the_heat_map_counts_every_event_in_its_column_and_level(pairs):
    heat = Heat()
    heat.add_column(column([at for at, _ in pairs]), column([latency for _, latency in pairs]))
    assert sum(int(counts.sum()) for counts in heat.cells.values()) == len(pairs)
    assert all(counts.shape == (HEAT_LEVELS,) for counts in heat.cells.values())
    for at, latency in pairs:
        counts = heat.cells[max(at, 0) // HEAT_BIN_NS]
        levels = np.flatnonzero(counts)
        low = np.array([heat_level_us(level) for level in levels.tolist()])
        assert (low <= max(latency, 1)).any()


@given(events, events)
def test_heat_maps_merge_into_what_one_would_have_counted(left, right):
    def heat_of(pairs) -> Heat:
        heat = Heat()
        heat.add_column(column([at for at, _ in pairs]), column([latency for _, latency in pairs]))
        return heat

    merged, together = heat_of(left), heat_of(left + right)
    for number, counts in heat_of(right).cells.items():
        merged.merge(number, counts)
    assert merged.cells.keys() == together.cells.keys()
    for number, counts in merged.cells.items():
        assert np.array_equal(counts, together.cells[number])


def test_merging_a_heat_column_does_not_tie_two_heat_maps_together():
    counts = np.ones(HEAT_LEVELS, dtype=np.int64)
    heat = Heat()
    heat.merge(0, counts)
    counts += 1
    assert (heat.cells[0] == 1).all()


@given(st.integers(8, 3_600_000_000))
def test_a_latency_lies_within_an_eighth_of_its_level(latency):
    heat = Heat()
    heat.add_column(column([0]), column([latency]))
    (level,) = np.flatnonzero(heat.cells[0]).tolist()
    assert heat_level_us(level) <= latency < heat_level_us(level + 1)
    assert latency <= math.ceil(heat_level_us(level) * 9 / 8)
