"""The real program, in processes of its own, with a temporary folder that only its processes know."""

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from redis import Redis, RedisError

from burst.queues.servers import find_server

HANG_S = 60.0


def wait_for(what: str, condition: Callable[[], Any], within_s: float = HANG_S) -> Any:
    """Poll until a condition gives something true; return that."""
    deadline = time.monotonic() + within_s
    while True:
        found = condition()
        if found:
            return found
        if time.monotonic() > deadline:
            pytest.fail(f"{what}: not within {within_s:.0f} s")
        time.sleep(0.01)


class Program:
    """One ``burst`` process. Its output goes to files, so that nobody has to read a pipe in time."""

    def __init__(self, shop: "Shop", arguments: tuple[str, ...], stdin: Any, env: dict[str, str]) -> None:
        number = len(shop.programs)
        self._out, self._err = (shop.path / f"{kind}-{number}.txt" for kind in ("out", "err"))
        with self._out.open("wb") as out, self._err.open("wb") as err:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "burst", *arguments],
                cwd=shop.path,
                env=shop.environment | env,
                stdin=stdin,
                stdout=out,
                stderr=err,
            )

    @property
    def out(self) -> str:
        return self._out.read_text()

    @property
    def err(self) -> str:
        return self._err.read_text()

    def wait(self, within_s: float = HANG_S) -> int:
        try:
            return self.process.wait(within_s)
        except subprocess.TimeoutExpired:
            pytest.fail(f"still running after {within_s:.0f} s; it said:\n{self.out}\n{self.err}")

    def signal(self, number: int) -> None:
        self.process.send_signal(number)


class Shop:
    """A folder to run burst in, and a TMPDIR that marks every process that comes of it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.reports = path / "reports"
        # Not below tmp_path: a unix socket's path has 107 characters at most.
        self.tmp = Path(tempfile.mkdtemp(prefix="e2e-"))
        settings = {name: value for name, value in os.environ.items() if not name.startswith("BURST_")}
        self.environment = settings | {"TMPDIR": str(self.tmp), "NO_COLOR": "1", "COLUMNS": "200"}
        self._marker = f"TMPDIR={self.tmp}".encode()
        self.programs: list[Program] = []
        self.servers: list[subprocess.Popen[bytes]] = []
        self.clients: list[Redis] = []

    # -- doing -----------------------------------------------------------------------------------------------------

    def start(self, *arguments: str, stdin: Any = subprocess.DEVNULL, **env: str) -> Program:
        program = Program(self, arguments, stdin, env)
        self.programs.append(program)
        return program

    def burst(self, *arguments: str, within_s: float = HANG_S) -> Program:
        program = self.start(*arguments)
        program.wait(within_s)
        return program

    def scenario(self, text: str, name: str = "scenario.yaml") -> str:
        (self.path / name).write_text(text)
        return name

    def server(self, *options: str) -> tuple[str, Redis]:
        """Start a server that is not burst's own; return its URL (without a password) and a client."""
        number = len(self.servers)
        folder = self.path / f"server-{number}"
        folder.mkdir()
        socket = folder / "s.sock"
        with (folder / "log").open("wb") as log:
            process = subprocess.Popen(
                [
                    find_server(),
                    "--port",
                    "0",
                    "--unixsocket",
                    str(socket),
                    "--save",
                    "",
                    "--dir",
                    str(folder),
                    *options,
                ],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        self.servers.append(process)
        wait_for("a server", socket.exists, 10)
        password = options[options.index("--requirepass") + 1] if "--requirepass" in options else None
        client = Redis(unix_socket_path=str(socket), password=password)
        self.clients.append(client)
        wait_for("a server's answer", client.ping, 10)
        return f"unix://{socket}", client

    # -- looking ---------------------------------------------------------------------------------------------------

    @property
    def folders(self) -> list[Path]:
        return sorted(folder for folder in self.reports.glob("*") if folder.is_dir() and folder.name[0] != ".")

    @property
    def folder(self) -> Path:
        (folder,) = self.folders
        return folder

    def result(self) -> dict[str, Any]:
        return json.loads((self.folder / "result.json").read_text())

    def journal(self) -> list[dict[str, Any]]:
        """Entries of the newest run's journal so far."""
        if not self.folders:
            return []
        journal = self.folders[-1] / "journal.ndjson"
        text = journal.read_text() if journal.exists() else ""
        return [json.loads(line) for line in text.splitlines(keepends=True) if line.endswith("\n")]

    def wait_until(self, kind: str, word: str = "") -> dict[str, Any]:
        """Wait for a journal entry."""

        def found() -> dict[str, Any] | None:
            entries = [entry for entry in self.journal() if entry["kind"] == kind and word in entry["what"]]
            return entries[0] if entries else None

        try:
            return wait_for(f"journal entry {kind} {word}", found)
        except BaseException:
            print(*(program.err for program in self.programs), sep="\n")
            raise

    def processes(self) -> dict[int, str]:
        """Return every living process that came of this shop, with its command line.

        Servers write their title over their environment; they are known by the folder they are in.
        """
        found = {}
        for entry in Path("/proc").iterdir():
            try:
                if entry.name.isdigit() and (
                    self._marker in (entry / "environ").read_bytes().split(b"\0")
                    or (entry / "cwd").readlink().is_relative_to(self.tmp)
                ):
                    command = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode().strip()
                    found[int(entry.name)] = command
            except OSError:
                continue
        return found

    def shards(self) -> list[Redis]:
        """Return clients of the embedded servers that are up."""
        clients = [Redis(unix_socket_path=str(path)) for path in sorted(self.tmp.glob("burst-shards-*/s*.sock"))]
        self.clients += clients
        return clients

    def staged_bytes(self) -> int:
        """Return what the embedded servers hold; 0 while they are not up."""
        try:
            return sum(int(client.info("memory")["used_memory"]) for client in self.shards())
        except RedisError:
            return 0

    def workers(self) -> list[int]:
        return sorted(pid for pid, command in self.processes().items() if " burst worker " in command)

    def assert_nothing_left(self, within_s: float = 15.0) -> None:
        """No process, no socket, no folder of any kind."""
        deadline = time.monotonic() + within_s
        while (left := [*self.processes().items(), *self.tmp.iterdir()]) and time.monotonic() < deadline:
            time.sleep(0.02)
        assert left == []

    def close(self) -> None:
        for client in self.clients:
            client.close()
        for program in self.programs:
            if program.process.stdin is not None:
                program.process.stdin.close()
        for pid in self.processes():  # whoever a failed test has left
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        for program in self.programs:
            program.process.wait()
        for server in self.servers:
            server.kill()
            server.wait()
        shutil.rmtree(self.tmp, ignore_errors=True)


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    shop = Shop(tmp_path)
    yield shop
    shop.close()


def assert_sums(result: dict[str, Any]) -> None:
    """Everybody has one outcome."""
    assert sum(result["outcomes"].values()) == result["audience"]
