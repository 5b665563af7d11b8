"""``burst provider`` and its control API, as a person and a script use them."""

import asyncio
import json
import os
import pty
import re
import signal
import socket
import ssl
import stat
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from burst.runs.witness import WitnessPart
from tests.e2e.conftest import Program, Shop, wait_for
from tests.provider_client import HANG_S, connected, token
from tests.provider_house import ident

ANY = ("--listen", "127.0.0.1:0", "--control", "127.0.0.1:0")
WITNESS = ("--run", "r", "--audience", "100", "--witness", "witness")


def ready(program: Program) -> dict[str, Any]:
    """Wait for the line that says it is ready."""

    def line() -> str:
        assert program.process.poll() is None, program.err
        return program.out if program.out.endswith("\n") else ""

    return json.loads(wait_for("the ready line", line))


class Said:
    """What the control API answered."""

    def __init__(self, status: int, said: dict[str, Any]) -> None:
        self.status, self.said = status, said

    @property
    def where(self) -> list[str]:
        return [one["where"] for one in self.said["mistakes"]]


async def ask(facts: dict[str, Any], method: str, path: str, data: Any = None, **headers: str) -> Said:
    text = data if isinstance(data, str) or data is None else json.dumps(data)
    async with (
        aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(HANG_S)) as session,
        session.request(method, facts["control"] + path, data=text, headers=headers) as answer,
    ):
        return Said(answer.status, await answer.json())


def mode(path: str) -> int:
    return stat.S_IMODE(Path(path).stat().st_mode)


def content(path: str) -> bytes:
    return Path(path).read_bytes()


@pytest.fixture
def provider(shop: Shop) -> Callable[..., tuple[Program, dict[str, Any]]]:
    def begin(*options: str) -> tuple[Program, dict[str, Any]]:
        program = shop.start("provider", "--json", *ANY, *options)
        return program, ready(program)

    return begin


# -- the command ---------------------------------------------------------------------------------------------------


async def test_it_says_where_it_is_and_what_lets_a_client_in(shop: Shop, provider):
    program, facts = provider()
    assert facts["key_id"] == "BURSTKEY01"
    assert facts["team_id"] == "BURSTTEAM1"
    assert content(facts["key"]).startswith(b"-----BEGIN PRIVATE KEY-----")
    assert mode(facts["key"]) == 0o600
    tls = ssl.create_default_context(cafile=facts["ca"])
    tls.set_alpn_protocols(["h2"])
    async with connected(facts["urls"][0], tls) as client:
        assert (await client.push()).reason == "MissingProviderToken"
    program.signal(signal.SIGTERM)
    assert program.wait() == 0
    assert program.err == ""
    shop.assert_nothing_left()


def test_a_queue_says_what_its_clients_need_and_nothing_of_apple(shop: Shop) -> None:
    program = shop.start("provider", "--no-tls", "--listen", "sqs=127.0.0.1:0", "--control", "127.0.0.1:0")
    said = wait_for("what it says", lambda: program.out if "AWS_SHARED_CREDENTIALS_FILE" in program.out else "")
    assert "export AWS_ENDPOINT_URL_SQS=http://127.0.0.1:" in said
    assert not any(word in said for word in ("signing key", "team id", "client key"))
    program.signal(signal.SIGTERM)
    assert program.wait() == 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_ctrl_c_ends_it_in_order_with_clients_on_it(shop: Shop, provider, number):
    program, facts = provider("--no-tls", "--processes", "2")
    async with connected(facts["urls"][0]) as client:
        await client.push()
        program.signal(number)
        await client.end()
    assert program.wait() == 0
    shop.assert_nothing_left()


def test_a_second_ctrl_c_ends_it_at_once(shop: Shop, provider):
    program, _ = provider("--no-tls")
    serving = [pid for pid, command in shop.processes().items() if "burst.provider.serving" in command]
    for pid in serving:
        os.kill(pid, signal.SIGSTOP)  # it will not stop when it is asked
    program.signal(signal.SIGINT)
    wait_for("the first Ctrl-C to be taken", lambda: not pending(program.process.pid, signal.SIGINT))
    program.signal(signal.SIGINT)
    assert program.wait() == 130
    shop.assert_nothing_left()


def pending(pid: int, number: int) -> bool:
    """Tell whether a signal waits for a process: a second one of its kind would be lost."""
    (mask,) = re.findall(r"ShdPnd:\t(\w+)", Path(f"/proc/{pid}/status").read_text())
    return bool(int(mask, 16) >> (number - 1) & 1)


def test_kill_9_leaves_nothing(shop: Shop, provider):
    program, _ = provider("--processes", "2")
    program.signal(signal.SIGKILL)
    program.wait()
    shop.assert_nothing_left()


def test_it_ends_with_an_error_when_nobody_serves_any_more(shop: Shop, provider):
    program, _ = provider("--no-tls")
    (serving,) = [pid for pid, command in shop.processes().items() if "burst.provider.serving" in command]
    os.kill(serving, signal.SIGKILL)
    assert program.wait() == 1
    assert "serving process 0 died (signal 9)" in program.err
    shop.assert_nothing_left()


async def test_a_witness_is_kept_by_hand(shop: Shop, provider):
    program, facts = provider("--no-tls", "--processes", "2", *WITNESS)
    await ask(facts, "PATCH", "/behaviour", {"auth": "none"})
    async with connected(facts["urls"][0]) as client:
        for person in range(7):
            await client.push(apns_id=ident(person))
    said = (await ask(facts, "GET", "/witness")).said
    assert said["people"] == {"seen": 7, "accepted": 7, "refused": 0}
    assert (said["run"], said["audience"], said["counters"]["requests"]) == ("r", 100, 7)
    person = (await ask(facts, "GET", "/witness/3")).said
    assert (person["index"], person["count"], person["refused"]) == (3, 1, 0)
    assert 0 < person["first_seen_ns"] <= time.monotonic_ns()
    assert (await ask(facts, "GET", "/witness/9")).said["first_seen_ns"] is None
    for nobody in ("100", "-1", "x", "1.5"):
        assert (await ask(facts, "GET", f"/witness/{nobody}")).where == ["index"]
    program.signal(signal.SIGINT)
    assert program.wait() == 0
    parts = [WitnessPart.open(path) for path in sorted((shop.path / "witness").iterdir())]
    assert sum(int(part.counts.sum()) for part in parts) == 7


def test_keys_stay_in_a_folder_of_ones_own(shop: Shop, provider):
    program, facts = provider("--folder", "keys", "--name", "push.example")
    program.signal(signal.SIGINT)
    program.wait()
    first = Path(shop.path, facts["ca"]).read_bytes()
    program, facts = provider("--folder", "keys", "--name", "push.example")
    assert Path(shop.path, facts["ca"]).read_bytes() == first
    program.signal(signal.SIGINT)
    assert program.wait() == 0
    shop.assert_nothing_left()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--control", "0.0.0.0:0"], "loopback only"),
        pytest.param(["--control", "nowhere"], "no address", marks=pytest.mark.slow),
        pytest.param(["--listen", "nonsense"], "no address", marks=pytest.mark.slow),
        (["--run", "r"], "go together"),
        pytest.param(["--audience", "5"], "go together", marks=pytest.mark.slow),
        pytest.param(["--witness", "w"], "go together", marks=pytest.mark.slow),
        pytest.param(["--no-tls", "--client-certificates"], "wants TLS", marks=pytest.mark.slow),
        (["--behaviour", "absent.yaml"], "absent.yaml"),
        pytest.param(["--run", "r", "--witness", "/dev/null/w"], "/dev/null/w", marks=pytest.mark.slow),
        pytest.param(["--folder", "/dev/null/keys"], "/dev/null/keys", marks=pytest.mark.slow),
        pytest.param(["--processes", "2", "--listen", "unix:s"], "cannot be shared", marks=pytest.mark.slow),
    ],
)
def test_what_cannot_be_is_told_and_leaves_nothing(shop: Shop, options: list[str], words: str):
    defaults = [] if "--listen" in options else ["--listen", "127.0.0.1:0"]
    defaults += [] if "--control" in options else ["--control", "127.0.0.1:0"]
    program = shop.burst("provider", *defaults, *options)
    assert program.process.returncode in {1, 2}
    assert words in program.err
    assert "Traceback" not in program.err
    shop.assert_nothing_left()


def test_every_mistake_of_a_behaviour_file_is_listed_with_its_line(shop: Shop):
    (shop.path / "b.yaml").write_text("dead: 2\nlatncy: {p50: 1ms}\n")
    program = shop.burst("provider", "--behaviour", "b.yaml")
    assert program.process.returncode == 2
    assert "b.yaml:1:1" in program.err
    assert "b.yaml:2:1" in program.err
    assert "did you mean latency?" in program.err


def test_a_terminal_sees_a_line_a_second(shop: Shop):
    ours, theirs = pty.openpty()
    with os.fdopen(theirs, "wb") as terminal:
        import subprocess
        import sys

        process = subprocess.Popen(
            [sys.executable, "-m", "burst", "provider", "--no-tls", *ANY],
            cwd=shop.path,
            env=shop.environment,
            stdout=subprocess.PIPE,
            stderr=terminal,
        )
    shown = b""
    deadline = time.monotonic() + HANG_S
    while not re.search(rb"0 requests/s, 0 connections, 0 accepted, 0 refused, \d+% busy", shown):
        assert time.monotonic() < deadline
        shown += os.read(ours, 4096)
    process.send_signal(signal.SIGINT)
    out, _ = process.communicate(timeout=HANG_S)
    os.close(ours)
    assert process.returncode == 0
    assert b"listens on          http://127.0.0.1:" in out
    assert b"control             http://127.0.0.1:" in out
    shop.assert_nothing_left()


# -- the control API -----------------------------------------------------------------------------------------------


async def test_the_control_api_shows_and_changes_everything(shop: Shop, provider):
    (shop.path / "b.yaml").write_text("auth: none\nlatency: {p50: 1ms, p99: 2ms}\n")
    _, facts = provider("--no-tls", "--behaviour", "b.yaml", "--processes", "2")
    assert (await ask(facts, "GET", "/behaviour")).said == {"auth": "none", "latency": {"p50": "1ms", "p99": "2ms"}}
    async with connected(facts["urls"][0]) as client:
        assert (await client.push()).status == 200
        changed = await ask(facts, "PATCH", "/behaviour", {"dead": 1.0, "latency": None})
        assert (changed.status, changed.said) == (200, {"auth": "none", "dead": 1.0})
        assert (await client.push()).status == 410
        assert (await ask(facts, "PUT", "/behaviour", {"auth": "none"})).said == {"auth": "none"}
        assert (await client.push()).status == 200

        assert (await ask(facts, "POST", "/streams", {"streams": 9})).said == {"connections": 1}
        await client.until(lambda: client.limit == 9)
        state = (await ask(facts, "GET", "/")).said
        assert state["addresses"] == facts["urls"]
        assert state["behaviour"] == {"auth": "none"}
        assert (state["sums"]["requests"], state["sums"]["accepted"], state["sums"]["connections"]) == (3, 2, 1)
        assert [one["alive"] for one in state["processes"]] == [True, True]
        await ask(facts, "POST", "/goaway", {"reason": "Shutdown", "code": "CANCEL"})
        await client.end()
        assert client.goaway.error_code == 8
    for path, error in (("/close", None), ("/reset", ConnectionResetError)):
        async with connected(facts["urls"][0]) as client:
            assert (await ask(facts, "POST", path)).status == 200
            await client.end()
            assert type(client.error) is (error or type(None))


async def test_outages_by_hand_count_from_the_go_of_the_control_api(provider):
    _, facts = provider("--no-tls", *WITNESS)
    outages = [{"at": "0s", "lasts": "1h"}]
    await ask(facts, "PUT", "/behaviour", {"auth": "none", "outages": outages})
    async with connected(facts["urls"][0]) as client:
        assert (await client.push(token(1))).status == 200
        said = (await ask(facts, "POST", "/go", {"in_s": 3600})).said
        assert 3500 < said["in_s"] <= 3600
        assert (await client.push(token(1))).status == 200
        assert (await ask(facts, "POST", "/go", {"go_ns": time.monotonic_ns()})).status == 200
        assert (await client.push(token(1))).status == 503


async def test_every_mistake_is_told_with_its_place_and_changes_nothing(provider):
    _, facts = provider("--no-tls")
    before = (await ask(facts, "GET", "/behaviour")).said
    wrong = await ask(facts, "PUT", "/behaviour", {"dead": 2, "quta": 1, "outages": [{"at": "1s"}]})
    assert wrong.status == 400
    assert sorted(wrong.where) == ["dead", "outages.0.lasts", "quta"]
    assert "did you mean quota?" in [one["hint"] for one in wrong.said["mistakes"]]
    for method, path, data, status, where in (
        ("PUT", "/behaviour", "{", 400, "body"),
        ("PUT", "/behaviour", "[]", 400, "body"),
        ("PATCH", "/behaviour", {"keys": {"K": "absent.pem"}}, 400, "keys"),
        ("POST", "/goaway", {"code": "NO_SUCH"}, 400, "code"),
        ("POST", "/goaway", {"raeson": "x"}, 400, "raeson"),
        ("POST", "/close", {"x": 1}, 400, "x"),
        ("POST", "/streams", {}, 400, "streams"),
        ("POST", "/streams", {"streams": -1}, 400, "streams"),
        ("POST", "/streams", {"streams": True}, 400, "streams"),
        ("POST", "/go", {"in_s": "soon"}, 400, "in_s"),
        ("POST", "/go", {"in_s": [1]}, 400, "in_s"),
        ("POST", "/go", {"go_ns": 1.5}, 400, "go_ns"),
        ("POST", "/go", {"go_ns": 5, "in_s": 1}, 400, "go_ns"),
        ("GET", "/witness", None, 404, "witness"),
        ("GET", "/witness/1", None, 404, "witness"),
        ("GET", "/nowhere", None, 404, "path"),
        ("DELETE", "/behaviour", None, 405, "method"),
        ("GET", "/close", None, 405, "method"),
    ):
        answer = await ask(facts, method, path, data)
        assert (answer.status, answer.where) == (status, [where]), (method, path, data)
    assert (await ask(facts, "GET", "/behaviour")).said == before
    assert (await ask(facts, "GET", "/", Origin="http://evil.example")).status == 403


async def test_the_control_api_tells_of_a_process_that_died(shop: Shop, provider):
    _, facts = provider("--no-tls", "--processes", "2")
    first, _ = (await ask(facts, "GET", "/")).said["processes"]
    os.kill(first["pid"], signal.SIGKILL)
    async with asyncio.timeout(HANG_S):
        while (state := (await ask(facts, "GET", "/")).said)["sums"]["dead"] == 0:
            continue
    assert state["processes"][0]["exit"] == -9
    assert state["processes"][1]["alive"]
    assert (await ask(facts, "POST", "/close")).status == 503


def test_who_hangs_up_in_mid_handshake_fills_no_screen(shop: Shop) -> None:
    program = shop.start("provider", "--json", *ANY)
    port = int(ready(program)["urls"][0].rpartition(":")[2])
    for words in (b"\x16\x03\x01\x02\x00\x01\x00", b"GET / HTTP/1.1\r\n\r\n"):
        for _ in range(5):
            with socket.create_connection(("127.0.0.1", port)) as rude:
                rude.send(words)
    time.sleep(0.5)
    program.signal(signal.SIGTERM)
    program.wait()
    assert "Traceback" not in program.err
