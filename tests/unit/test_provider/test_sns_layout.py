"""Batches read by the places that another taught: always as if they were read in full."""

from urllib.parse import quote

import numpy as np
import pytest

from burst.model.identity import id_prefix
from burst.provider.sns_batch import Forms
from burst.provider.sns_layout import Layouts

PREFIX = id_prefix("r")
ARN = b"arn%3Aaws%3Asns%3Aus-east-1%3A123456789012%3Anews"


def ident(index: int) -> str:
    return f"{PREFIX.decode()}{index:012x}"


def body(*messages: str, arn: bytes = ARN, ids: str = "ghij") -> bytes:
    text = "".join(
        f"&PublishBatchRequestEntries.member.{n}.Id={ids[n - 1]}"
        f"&PublishBatchRequestEntries.member.{n}.Message={quote(message, safe='')}"
        for n, message in enumerate(messages, 1)
    )
    return b"Action=PublishBatch&Version=2010-03-31&TopicArn=" + arn + text.encode()


def learnt(taught: bytes) -> Layouts:
    layouts = Layouts(PREFIX)
    plan, values = Forms().read(taught)
    layouts.learn(taught, plan, values[plan.topic], [values[entry[b"Id"]].decode() for entry in plan.entries])
    return layouts


def test_the_next_batch_is_read_by_its_places():
    layouts = learnt(body(*(f'{{"id":"{ident(n)}","token":"{n:064x}"}}' for n in (1, 2, 3))))
    rng = np.random.default_rng(7)
    for _ in range(200):
        people = rng.integers(0, 2**40, 3).tolist()
        asked = body(*(f'{{"id":"{ident(n)}","token":"{rng.bytes(32).hex()}"}}' for n in people))
        layout = layouts.find(asked)
        assert layout is not None
        assert layout.people(asked).tolist() == people
        assert (layout.arn, layout.ids) == (ARN, ["g", "h", "i"])


@pytest.mark.parametrize(
    "other",
    [
        body(ident(4), ident(5), arn=ARN.replace(b"123456789012", b"123456789013")),
        body(ident(4), ident(5), ids="ab"),
        body(ident(4), ident(5), ids="hg"),
        body(ident(4) + "+2", ident(5)),
        body(ident(4), ident(5).replace(PREFIX.decode()[:4], "0000")),
        body(ident(4)),
        body(ident(4), ident(5), ident(6)),
        body(ident(4), ident(5)).replace(b"Version=2010", b"Version=2011"),
        body(ident(4), ident(5)).replace(b"member.2", b"member.3"),
    ],
)
def test_what_differs_in_anything_that_matters_is_not(other):
    assert learnt(body(ident(1), ident(2))).find(other) is None


def test_a_message_that_names_a_second_person_where_none_stood_is_read_in_full():
    layouts = learnt(body(f"{ident(1)} {'0' * 8}-0000-8000-8000-{'0' * 12}", ident(2)))
    assert layouts.find(body(f"{ident(1)} {'1' * 8}-1111-8111-8111-{'1' * 12}", ident(2))) is not None
    assert layouts.find(body(f"{ident(1)} {ident(9)}", ident(2))) is None


def test_entries_in_another_order_than_their_numbers_keep_their_people():
    one, two = (f"&PublishBatchRequestEntries.member.{n}.Message={ident(n)}" for n in (1, 2))
    ids = "&PublishBatchRequestEntries.member.1.Id=g&PublishBatchRequestEntries.member.2.Id=h"
    asked = (f"Action=PublishBatch&Version=2010-03-31&TopicArn={ARN.decode()}" + two + one + ids).encode()
    layout = learnt(asked).find(asked)
    assert layout is not None
    assert layout.people(asked).tolist() == [1, 2]
