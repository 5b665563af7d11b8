"""The stand-in as a whole: its serving processes behind one address, what lets clients in, and orders to all."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import socket
import stat
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from burst.model.errors import BurstError
from burst.model.ports import StandIn
from burst.provider.authority import Authority
from burst.provider.behaviour import Behaviour
from burst.provider.cloud_keys import aws_credentials, google_account
from burst.provider.desks import split_listen
from burst.provider.provider_token import read_keys
from burst.provider.serving import LONGEST_ORDER, Brief, remove_unix_sockets

READY_WITHIN_S = 20.0
STOP_WITHIN_S = 5.0


@dataclass(frozen=True, slots=True)
class House:
    """What a stand-in is to be. ``listen`` are ``dialect=host:port`` (port 0: any) or ``dialect=unix:/path``.

    Without a dialect an address is APNs'.

    ``witness`` is the folder for the parts of a run's witness, None for none.
    """

    folder: Path  # private: keys and certificates
    behaviour: Mapping[str, Any]  # as a behaviour file writes it: durations and rates are read where it is used
    listen: tuple[str, ...] = ("127.0.0.1:0",)
    processes: int = 1
    tls: bool = False
    client_certificates: bool = False  # ask for them
    run: str = ""
    audience: int = 0
    witness: Path | None = None
    seed: int = 2024
    behaviour_folder: Path = Path()
    ephemeral: Path | None = None  # a folder, such as that of the keys' own, that ends with the stand-in
    names: tuple[str, ...] = ()  # host names that the certificate shall be good for, beside loopback's


class Supervisor:
    """Starts and stops the serving processes; they end with it, however it ends."""

    def __init__(self, house: House) -> None:
        self.house = house
        self.behaviour = house.behaviour
        self.authority: Authority | None = None
        self._listens = [split_listen(text) for text in house.listen]
        self.dialects = [dialect for dialect, _ in self._listens]
        self.addresses: list[str] = []  # one for each of ``dialects``
        self.aws_file = self.google_file = ""
        self._children: list[asyncio.subprocess.Process] = []
        self._held: list[socket.socket] = []
        self._next_id = 0
        self._stopping = self._failed = False
        self._lock = asyncio.Lock()
        self.started_ns = 0

    @property
    def url(self) -> str:
        """The first address as an endpoint."""
        return _url(self.addresses[0], tls=self.house.tls)

    @property
    def urls(self) -> list[str]:
        """All addresses as endpoints."""
        return [_url(address, tls=self.house.tls) for address in self.addresses]

    @property
    def url_of(self) -> dict[str, str]:
        """The first address of each dialect as an endpoint."""
        return dict(zip(reversed(self.dialects), reversed(self.urls), strict=True))

    def stand_in(self) -> StandIn:
        """Return what lets a sink in."""
        authority = self.authority
        assert authority is not None
        return StandIn(
            self.url,
            str(authority.ca) if self.house.tls else "",
            str(authority.p8),
            authority.key_id,
            authority.team_id,
            urls=self.url_of,
            aws_file=self.aws_file,
            google_file=self.google_file,
        )

    def parts(self) -> list[Path]:
        """Return the files of the witness, one a process."""
        folder = self.house.witness
        return [] if folder is None else [folder / f"witness-{number}.bin" for number in range(self.house.processes)]

    async def start(self) -> None:
        """Mint what is needed, start every process, wait until all listen. Raises BurstError."""
        house = self.house
        self.authority = await asyncio.to_thread(Authority.obtain, house.folder, names=house.names)
        try:
            for _, address in self._listens:
                self.addresses.append(self._reserved(address))
            await asyncio.to_thread(self._mint_cloud_keys)
            for number in range(house.processes):
                await self._start_one(number)
            for number in range(house.processes):
                await self._ready(number)
        except OSError as error:
            await self.stop()
            raise BurstError(f"the stand-in did not start: {error}") from None
        except BaseException:
            await self.stop()
            raise
        self.started_ns = time.monotonic_ns()

    def _mint_cloud_keys(self) -> None:
        """Make what clients of the clouds need, where there is anything for them."""
        if {"sqs", "sns"} & set(self.dialects):
            self.aws_file = str(aws_credentials(self.house.folder))
        if "fcm" in self.dialects:
            self.google_file = str(google_account(self.house.folder, f"{self.url_of['fcm']}/token"))

    def _reserved(self, address: str) -> str:
        """Return an address that is ours. Raises BurstError."""
        try:
            return self._reserve(address)
        except socket.gaierror as error:
            what, hint = error.strerror, "is the host spelled right? 127.0.0.1 is this machine alone"
        except (OSError, UnicodeError) as error:
            what, hint = getattr(error, "strerror", None) or str(error), "port 0 takes any free one"
            if isinstance(error, OSError) and error.errno == errno.EADDRINUSE:
                hint = f"somebody listens there already; {hint}"
        raise BurstError(f"the stand-in cannot listen on {address}: {what}", hint=hint)

    def _reserve(self, address: str) -> str:
        """Bind a port so that several processes can share it, and so that nobody else takes it meanwhile."""
        if address.startswith("unix:"):
            if self.house.processes > 1:
                raise BurstError(
                    f"{address} cannot be shared by {self.house.processes} processes",
                    hint="a unix socket belongs to one process: use one process, or a port",
                )
            if address in self.addresses:
                raise BurstError(f"{address} is given twice", hint="each dialect wants an address of its own")
            _free_unix_path(Path(address.removeprefix("unix:")))
            return address
        host, _, port = address.rpartition(":")
        if not port.isdigit() or int(port) > 65_535:
            raise BurstError(f"{address!r} is no address", hint="write it as 127.0.0.1:8443 or unix:/path")
        if int(port) and f"{host}:{int(port)}" in self.addresses:
            raise BurstError(f"{address} is given twice", hint="each dialect wants an address of its own")
        family, *_, where = socket.getaddrinfo(host.strip("[]") or "127.0.0.1", int(port), type=socket.SOCK_STREAM)[0]
        bound = _bound(family, where, shared=False)  # fails where anybody is, be it somebody who shares
        where = bound.getsockname()
        bound.close()
        if self.house.processes > 1:
            # Held, and never listened on: the port stays ours while the processes come.
            self._held.append(_bound(family, where, shared=True))
        return f"[{where[0]}]:{where[1]}" if family == socket.AF_INET6 else f"{where[0]}:{where[1]}"

    async def _start_one(self, number: int) -> None:
        house, authority = self.house, self.authority
        assert authority is not None
        parts = self.parts()
        brief = Brief(
            process=number,
            processes=house.processes,
            listen=[f"{dialect}={address}" for dialect, address in zip(self.dialects, self.addresses, strict=True)],
            run=house.run,
            audience=house.audience,
            witness=str(parts[number]) if parts else "",
            behaviour=dict(self.behaviour),
            seed=house.seed,
            certificate=str(authority.certificate) if house.tls else "",
            key=str(authority.key) if house.tls else "",
            client_ca=str(authority.ca) if house.tls and house.client_certificates else "",
            dead_since_ms=int(time.time() * 1000) - 86_400_000,
            folder=str(house.behaviour_folder),
            aws_file=self.aws_file,
            google_file=self.google_file,
            ephemeral=str(house.ephemeral) if house.ephemeral is not None and number == 0 else "",
        )
        child = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "burst.provider.serving",
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            limit=LONGEST_ORDER,
            start_new_session=True,  # Ctrl-C is ours to handle
            env=os.environ | {"PYTHONUNBUFFERED": "1"},
        )
        self._children.append(child)
        assert child.stdin is not None
        child.stdin.write(msgspec.json.encode(brief) + b"\n")

    async def _ready(self, number: int) -> None:
        answer = await self._read(self._children[number], READY_WITHIN_S)
        if "error" in answer:
            raise BurstError(f"the stand-in did not start: {answer['error']}", hint=answer.get("hint", ""))

    @staticmethod
    async def _read(child: asyncio.subprocess.Process, within_s: float) -> dict[str, Any]:
        assert child.stdout is not None
        try:
            async with asyncio.timeout(within_s):
                line = await child.stdout.readline()
        except TimeoutError:
            raise BurstError(f"a process of the stand-in did not answer within {within_s:.0f} s") from None
        if not line:
            raise BurstError("a process of the stand-in died", hint="what it wrote on standard error says why")
        answer: dict[str, Any] = msgspec.json.decode(line)
        return answer

    # -- orders ----------------------------------------------------------------------------------------------------

    async def order(self, name: str, **more: Any) -> list[dict[str, Any]]:
        """Give an order to every process; return their answers. Raises BurstError."""
        async with self._lock:
            self._next_id += 1
            line = msgspec.json.encode({"order": name, "id": self._next_id, **more}) + b"\n"
            for child in self._children:
                _tell(child, line)
            answers = [await self._answer(child, self._next_id) for child in self._children]
        for answer in answers:
            if "error" in answer:
                raise BurstError(f"the stand-in refused: {answer['error']}")
        return answers

    async def _answer(self, child: asyncio.subprocess.Process, wanted: int) -> dict[str, Any]:
        while (answer := await self._read(child, STOP_WITHIN_S)).get("id") != wanted:
            pass  # of an order whose waiter was cancelled
        return answer

    async def states(self) -> list[dict[str, Any]]:
        """Return what each process says of itself; of one that is dead, its exit status (negative: the signal)."""
        async with self._lock:
            self._next_id += 1
            line = msgspec.json.encode({"order": "state", "id": self._next_id}) + b"\n"
            for child in self._children:
                _tell(child, line)
            return [await self._state(number, child) for number, child in enumerate(self._children)]

    async def _state(self, number: int, child: asyncio.subprocess.Process) -> dict[str, Any]:
        about: dict[str, Any] = {"process": number, "pid": child.pid}
        try:
            return about | {"alive": True} | await self._answer(child, self._next_id)
        except BurstError as error:
            return about | {"alive": child.returncode is None, "exit": child.returncode, "error": str(error)}

    async def go(self, go_ns: int) -> None:
        """Tell the instant of GO (CLOCK_MONOTONIC)."""
        await self.order("go", go_ns=go_ns)

    async def behave(self, behaviour: Mapping[str, Any]) -> None:
        """Change what it does, from now on, to another behaviour as a file writes it.

        Raises
        ------
        ValueError
            the behaviour has mistakes (pydantic's ValidationError is one)
        BurstError
            a key cannot be read, or a process is dead
        """
        read_keys(Behaviour.model_validate(behaviour).keys, self.house.behaviour_folder)
        await self.order("behaviour", behaviour=dict(behaviour))
        self.behaviour = behaviour

    def dead(self) -> dict[int, int]:
        """Return the processes that have ended, each with its exit status; negative is the signal that killed it."""
        return {number: child.returncode for number, child in enumerate(self._children) if child.returncode is not None}

    @property
    def failed(self) -> bool:
        """Whether a process ended that nobody told to."""
        return self._failed

    async def stop(self) -> None:
        """End every process: asked first, then killed. Safe to call twice."""
        if not self._stopping:
            self._stopping, self._failed = True, bool(self.dead())
        for child in self._children:
            if child.stdin is not None:
                with contextlib.suppress(OSError):
                    child.stdin.close()
        for child in self._children:
            try:
                async with asyncio.timeout(STOP_WITHIN_S):
                    await child.wait()
            except TimeoutError:
                child.kill()
                await child.wait()
        for held in self._held:
            held.close()
        remove_unix_sockets(self.addresses)

    def kill(self) -> None:
        """Kill every process at once."""
        for child in self._children:
            if child.returncode is None:
                with contextlib.suppress(ProcessLookupError):
                    child.kill()


def _tell(child: asyncio.subprocess.Process, line: bytes) -> None:
    """Write to a process; one that is dead says so when its answer is read."""
    assert child.stdin is not None
    if child.returncode is None and not child.stdin.is_closing():
        child.stdin.write(line)


def _bound(family: int, where: Any, *, shared: bool) -> socket.socket:
    bound = socket.socket(family, socket.SOCK_STREAM)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if shared:
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        bound.bind(where)
    except OSError:
        bound.close()
        raise
    return bound


def _free_unix_path(path: Path) -> None:
    """Remove a socket that nobody listens on any more; whatever else is there is an error."""
    if not path.parent.is_dir() or not path.name:
        raise BurstError(f"unix:{path}: there is no such folder", hint="write it as unix:/path/of/a.sock")
    try:
        if not stat.S_ISSOCK(path.stat().st_mode):
            raise BurstError(f"{path} exists and is no socket", hint="choose another path")
    except FileNotFoundError:
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as knocking:
        try:
            knocking.connect(str(path))
        except ConnectionRefusedError:
            path.unlink()
            return
    raise BurstError(f"somebody listens on {path} already", hint="stop that one, or choose another path")


def _url(address: str, *, tls: bool) -> str:
    if address.startswith("unix:"):
        return f"{'https+unix' if tls else 'unix'}://{address.removeprefix('unix:')}"
    return f"{'https' if tls else 'http'}://{address}"
