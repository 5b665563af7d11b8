"""Payload templates: one width for all of a batch, text that stays JSON, places that exist."""

import json

import numpy as np
import pytest

from burst.model.batch import Batch, Platform, TokenEncoding
from burst.policy.template import COLUMNS, Template
from tests.conftest import make_batch

ALL = "".join(f"<{name} ${{{name}}}>" for name in COLUMNS)


def text_of(template: str, batch: Batch | None = None, index_width: int = 7, token_width: int = 64):
    return Template(template).for_batch(batch or make_batch(), "run-1", "the event", index_width, token_width)


def test_what_differs_from_row_to_row_has_one_width_and_the_rest_is_filled_in():
    text = text_of(ALL, make_batch(tenant="acme", lane="fast"))
    shown = text.raw.decode()
    assert shown == (
        f"<index {'0' * 7}><token {'0' * 64}><tenant acme><lane fast><platform ios><run run-1><event the event>"
        f"<id {'0' * 36}>"
    )
    assert [(name, stop - start) for name, start, stop in text.columns] == [("index", 7), ("token", 64), ("id", 36)]
    for _, start, stop in text.columns:
        assert set(shown[start:stop]) == {"0"}


def test_places_may_come_twice_side_by_side_and_at_either_end():
    text = text_of("${index}${index}x${token}", token_width=4, index_width=2)
    assert text.raw == b"0000x0000"
    assert text.columns == (("index", 0, 2), ("index", 2, 4), ("token", 5, 9))


def test_a_text_without_places_is_itself():
    assert text_of('{"aps":{}}').raw == b'{"aps":{}}'
    assert text_of('{"aps":{}}').columns == ()
    assert text_of("").raw == b""


def test_places_stand_where_they_do_in_bytes_not_in_letters():
    text = text_of("ü→😀${index}", index_width=3)
    ((_, start, stop),) = text.columns
    assert (start, stop) == (len("ü→😀".encode()), len(text.raw))


@pytest.mark.parametrize(
    "tenant", ['say "hi"', "back\\slash", "line\nend", "tab\t", "\x00\x1f", "ümläut 😀", "${index}", "</script>"]
)
def test_a_value_cannot_break_out_of_its_json_string(tenant):
    text = text_of('{"who": "${tenant}"}', make_batch(tenant=tenant))
    assert json.loads(text.raw) == {"who": tenant}
    assert text.columns == ()


def test_two_dollars_are_one():
    assert text_of("costs 5$$ or $$${index}", index_width=1).raw == b"costs 5$ or $0"
    assert text_of("$${index}").raw == b"${index}"
    assert text_of("a $ alone, and $index").raw == b"a $ alone, and $index"


@pytest.mark.parametrize("name", ["", "indx", "INDEX", " index", "name.first"])
def test_a_place_that_is_no_column_is_told_with_those_there_are(name):
    with pytest.raises(ValueError, match="is no column; columns: index, token"):
        Template(f"hello ${{{name}}}")


def test_a_place_that_is_not_closed_is_told():
    with pytest.raises(ValueError, match="not closed"):
        Template('{"n": "${index"')


def test_it_knows_which_columns_differ_from_person_to_person():
    assert Template(ALL).varying == {"id", "index", "token"}
    assert Template("${run} ${lane}").varying == set()


def test_texts_of_equal_batches_are_equal_and_can_be_looked_up():
    one, two = text_of(ALL, make_batch(0)), text_of(ALL, make_batch(7, 1000, 9))
    assert one == two
    assert hash(one) == hash(two)
    assert one != text_of(ALL, make_batch(tenant="other"))


def test_rows_filled_in_are_the_rows_asked_for():
    batch = Batch(0, 5, 3, Platform.IOS, TokenEncoding.ASCII, b"aabbcc", 2)
    text = text_of('{"i":"${index}","t":"${token}"}', batch, index_width=4, token_width=2)
    rows = np.tile(np.frombuffer(text.raw, dtype=np.uint8), (3, 1))
    columns = {"index": b"000500060007", "token": b"aabbcc"}
    for name, start, stop in text.columns:
        rows[:, start:stop] = np.frombuffer(columns[name], dtype=np.uint8).reshape(3, -1)
    assert [json.loads(row.tobytes()) for row in rows] == [
        {"i": "0005", "t": "aa"},
        {"i": "0006", "t": "bb"},
        {"i": "0007", "t": "cc"},
    ]
