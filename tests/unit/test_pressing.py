"""`burst go` where nothing is armed."""

import msgspec
import pytest

from burst.fleet.latch import Press
from burst.model.errors import LatchError, NoGoError, UsageError
from burst.wiring.pressing import press


@pytest.fixture
def reports(tmp_path):
    """Two events that have had their GO, the second later."""
    for number, event in enumerate(("first", "second")):
        folder = tmp_path / ".events" / event
        folder.mkdir(parents=True)
        told = Press(event=event, run=f"{event}-run", by="ada@war-room (pid 7)", at=f"2027-02-14T23:4{number}:00Z")
        (folder / "latch.json").write_bytes(msgspec.json.encode(told))
    return tmp_path


async def test_without_a_name_no_run_is_armed_and_the_latest_is_named_as_ended(reports):
    with pytest.raises(NoGoError) as told:
        await press(reports, None, None)
    assert told.value.what.startswith("no run is armed in ")
    assert "second-run, and it has ended" in told.value.what
    assert "already pressed by ada@war-room (pid 7) at 2027-02-14T23:41:00Z" in told.value.hint
    assert told.value.exit_code == 105


@pytest.mark.parametrize("name", ["first", "first-run"])
async def test_an_event_that_is_named_tells_who_was_first(reports, name):
    with pytest.raises(LatchError, match=r"'first' was already pressed by ada@war-room \(pid 7\)"):
        await press(reports, name, None)


async def test_where_nothing_ever_ran_nothing_is_under_way(tmp_path):
    with pytest.raises(UsageError, match="no run is under way"):
        await press(tmp_path, None, None)
