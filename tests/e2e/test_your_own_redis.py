"""Servers that are not burst's: used with care, refused with advice, left as they were."""

import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.e2e.conftest import Shop, assert_sums, wait_for


def test_a_run_on_your_own_server_leaves_your_keys_and_none_of_its_own(shop: Shop) -> None:
    url, client = shop.server()
    client.set("yours", "1")
    program = shop.burst("run", "smoke", "--redis", url)
    assert program.process.returncode == 0, program.err
    assert_sums(shop.result())
    left = {key for key in client.keys("*") if not key.startswith(b"burst:latch:")}
    assert left == {b"yours"}


def test_a_password_is_needed_said_so_and_never_written_down(shop: Shop) -> None:
    url, _ = shop.server("--requirepass", "s3cret-of-yours")
    refused = shop.burst("run", "smoke", "--redis", url)
    assert refused.process.returncode == 1
    assert "password" in refused.err
    with_password = url.replace("unix://", "unix://:s3cret-of-yours@")
    program = shop.start("run", "smoke", "--redis", with_password, "--set", "rate=50000/s", "--event", "e")
    # The command that a person typed holds it; no process that burst starts may.
    pids = wait_for("workers", shop.workers)
    for pid in pids:
        assert b"s3cret" not in Path(f"/proc/{pid}/cmdline").read_bytes()
    assert program.wait() == 0, program.err
    for file in shop.reports.rglob("*"):
        assert file.is_dir() or b"s3cret" not in file.read_bytes(), file
    assert "s3cret" not in program.out + program.err


def test_a_wrong_password_is_refused_without_being_repeated(shop: Shop) -> None:
    url, _ = shop.server("--requirepass", "right")
    program = shop.burst("run", "smoke", "--redis", url.replace("unix://", "unix://:wr0ngpass@"))
    assert program.process.returncode == 1
    assert "refuses us" in program.err
    assert "wr0ngpass" not in program.err


def test_a_redis_that_is_not_there_is_said_so_at_once(shop: Shop) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound but not listening: nobody answers there
        begun = time.monotonic()
        program = shop.burst("run", "smoke", "--redis", f"redis://127.0.0.1:{taken.getsockname()[1]}")
        print(f"refused after {time.monotonic() - begun:.2f} s; the promise is 3 s")
    assert program.process.returncode == 1
    assert "cannot be reached" in program.err
    shop.assert_nothing_left()


def test_a_socket_occupied_by_something_else_is_told(shop: Shop) -> None:
    path = shop.tmp / "other.sock"
    code = (
        "import socket,sys\n"
        "s=socket.socket(socket.AF_UNIX); s.bind(sys.argv[1]); s.listen(8)\n"
        "while True:\n c,_=s.accept(); c.recv(100); c.sendall(b'HTTP/1.1 400 Bad Request\\r\\n\\r\\n'); c.close()\n"
    )
    other = subprocess.Popen([sys.executable, "-c", code, str(path)])
    try:
        wait_for("the other server", path.exists)
        program = shop.burst("run", "smoke", "--redis", f"unix://{path}")
        assert program.process.returncode == 1
        assert "Redis at unix:" in program.err
        assert "Traceback" not in program.err
    finally:
        other.kill()
        other.wait()
        path.unlink(missing_ok=True)


def test_shards_that_run_out_of_memory_while_staging_end_the_run_with_advice(shop: Shop) -> None:
    program = shop.burst("run", "smoke", "--set", "queue.memory=4MB", "--set", "audience=1M")
    assert program.process.returncode == 1
    assert "out of memory" in program.err
    assert "queue.memory" in program.err
    shop.assert_nothing_left()


@pytest.mark.slow
def test_clean_removes_what_a_killed_run_left_and_nothing_else(shop: Shop) -> None:
    url, client = shop.server()
    client.set("yours", "1")
    program = shop.start("run", "smoke", "--redis", url, "--set", "rate=10000/s")
    shop.wait_until("go")
    program.process.kill()
    program.process.wait()
    wait_for("the workers' own end", lambda: not shop.workers(), 20)
    wait_for("the coordinator's last sign of life", lambda: not client.keys("*coordinator"), 20)
    assert client.keys("{burst:*")
    cleaned = shop.burst("clean", "--redis", url)
    assert cleaned.process.returncode == 0, cleaned.err
    assert not client.keys("{burst:*")
    assert client.get("yours") == b"1"
