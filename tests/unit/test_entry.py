"""A queue entry reads back as the batch it was made of, or is refused with a reason."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from burst.model.batch import Batch, Platform, TokenEncoding
from burst.model.errors import QueueError
from burst.queues.entry import decode_entry, encode_entry, run_digest

RUN = run_digest("smoke-1")
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=50)


@st.composite
def batches(draw) -> Batch:
    tokens = draw(st.lists(st.binary(min_size=1, max_size=40), min_size=1, max_size=30))
    width, offsets = 0, None
    if draw(st.booleans()):
        width = draw(st.sampled_from([1, 32, 152, 300, 4096]))
        tokens = [(token * width)[:width] for token in tokens]
    else:
        offsets = np.concatenate(([0], np.cumsum([len(token) for token in tokens]))).astype(np.uint32)
    return Batch(
        number=draw(st.integers(0, 2**40)),
        first_index=draw(st.integers(0, 2**62)),
        count=len(tokens),
        platform=draw(st.sampled_from(list(Platform))),
        encoding=draw(st.sampled_from(list(TokenEncoding))),
        tokens=b"".join(tokens),
        token_width=width,
        offsets=offsets,
        tenant=draw(texts),
        lane=draw(texts),
    )


def encoded(batch: Batch, **more: int) -> bytes:
    return b"".join(encode_entry(batch, RUN, **more))


@given(batches(), st.integers(0, 2**62), st.integers(-1, 2**62))
def test_an_entry_reads_back_as_the_batch_it_was_made_of(batch, due, expire):
    read = decode_entry(batch.number, encoded(batch, due_offset_ns=due, expire_offset_ns=expire), RUN)
    for field in ("number", "first_index", "count", "platform", "encoding", "token_width", "tenant", "lane"):
        assert getattr(read, field) == getattr(batch, field), field
    assert (read.offsets is None) == (batch.offsets is None)
    for position in range(batch.count):
        assert read.token(position) == batch.token(position)
    assert read.end_index == batch.end_index


@given(batches(), st.data())
def test_an_entry_cut_short_is_refused_wherever_it_was_cut(batch, data):
    entry = encoded(batch)
    with pytest.raises(QueueError, match="damaged"):
        decode_entry(batch.number, entry[: data.draw(st.integers(0, len(entry) - 1))], RUN)


@given(batches(), st.binary(min_size=1, max_size=20))
def test_an_entry_with_something_behind_it_is_refused(batch, more):
    with pytest.raises(QueueError, match="damaged"):
        decode_entry(batch.number, encoded(batch) + more, RUN)


@given(st.binary(max_size=200))
def test_foreign_bytes_are_refused_not_read(entry):
    with pytest.raises(QueueError, match="queue entry 3"):
        decode_entry(3, entry, RUN)


def test_an_entry_of_another_run_or_version_says_so(batch_of):
    entry = encoded(batch_of())
    with pytest.raises(QueueError, match=run_digest("smoke-1").hex()):
        decode_entry(0, entry, run_digest("smoke-2"))
    with pytest.raises(QueueError, match="version 99"):
        decode_entry(0, b"\x63\x00" + entry[2:], RUN)


def test_an_unknown_platform_is_damage(batch_of):
    entry = encoded(batch_of())
    with pytest.raises(QueueError, match="damaged"):
        decode_entry(0, entry[:2] + b"\x09" + entry[3:], RUN)


def test_runs_have_names_of_their_own():
    assert len({run_digest(f"run-{number}") for number in range(1000)}) == 1000
    assert len(RUN) == 8
