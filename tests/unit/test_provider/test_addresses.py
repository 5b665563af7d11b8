"""What a stand-in says of addresses that it cannot have: which one, why, and what to write instead."""

import socket

import pytest

from burst.model.errors import BurstError
from burst.provider.supervisor import House, Supervisor


async def refusal(folder, *listen: str, processes: int = 1, behaviour=None) -> tuple[str, str]:
    house = Supervisor(House(folder / "keys", behaviour or {}, listen=listen, processes=processes))
    with pytest.raises(BurstError) as caught:
        await house.start()
    return caught.value.what, caught.value.hint


async def test_a_host_that_nobody_knows_is_not_called_taken(tmp_path):
    what, hint = await refusal(tmp_path, "http=nobody.invalid:80")
    assert "cannot listen on nobody.invalid:80" in what
    assert "taken" not in hint
    assert "spelled" in hint


async def test_the_address_that_is_taken_is_named_alone(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        what, hint = await refusal(tmp_path, "http=127.0.0.1:0", f"sns={address}")
    assert what.startswith(f"the stand-in cannot listen on {address}: ")
    assert "listens there already" in hint


@pytest.mark.parametrize("processes", [1, 2])
async def test_two_dialects_cannot_share_a_port(tmp_path, processes):
    with socket.create_server(("127.0.0.1", 0)) as free:
        address = f"127.0.0.1:{free.getsockname()[1]}"
    what, _ = await refusal(tmp_path, f"http={address}", f"fcm={address}", processes=processes)
    assert what == f"{address} is given twice"


async def test_two_dialects_cannot_share_a_unix_socket(tmp_path):
    """The second would listen in the place of the first, and nobody would hear of it."""
    address = f"unix:{tmp_path / 'both.sock'}"
    assert (await refusal(tmp_path, f"http={address}", f"sns={address}"))[0] == f"{address} is given twice"


@pytest.mark.parametrize("path", ["", "/no/such/folder/a.sock"])
async def test_a_unix_socket_wants_a_folder(tmp_path, path):
    what, hint = await refusal(tmp_path, f"http=unix:{path}")
    assert "no such folder" in what
    assert "unix:/path" in hint


async def test_what_a_process_cannot_do_comes_with_its_own_advice(tmp_path):
    what, hint = await refusal(tmp_path, "sqs=127.0.0.1:0", processes=2)
    assert "queues are not shared" in what
    assert hint == "use one process, or say sqs: {keep: false} if nobody receives"
