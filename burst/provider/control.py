"""The control API of a stand-in: HTTP and JSON, on this machine only, to look at it and to change it while it runs."""

from __future__ import annotations

import asyncio
import json
import socket
import time
from collections.abc import Awaitable, Callable
from ipaddress import ip_address
from typing import Any

import numpy as np
from aiohttp import web
from pydantic import ValidationError

from burst.model.errors import BurstError, UsageError
from burst.model.units import NS_PER_S, parse_duration_ns
from burst.provider.behaviour import Behaviour, explain
from burst.provider.provider_token import read_keys
from burst.provider.state import summed
from burst.provider.supervisor import Supervisor
from burst.runs.witness import Counter, WitnessPart
from burst.runs.witness_part import NIBBLE
from burst.wire.frames import ErrorCode

_MOST_STREAMS = 2**31 - 1
_LARGEST_BODY = 64 * 2**20  # a behaviour may name many dead tokens
_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Control:
    """Serves the control API of one supervisor."""

    def __init__(self, supervisor: Supervisor) -> None:
        self._supervisor = supervisor
        self._runner: web.AppRunner | None = None
        self.url = ""

    async def start(self, address: str) -> None:
        """Listen on ``host:port``, which must be of this machine: whoever reaches it may change everything.

        Raises
        ------
        UsageError
            the address is none, or not loopback's
        BurstError
            it is taken
        """
        host, port = _loopback(address)
        app = web.Application(middlewares=[_explain_errors], client_max_size=_LARGEST_BODY)
        app.add_routes(
            [
                web.get("/", self._state),
                web.get("/behaviour", self._behaviour),
                web.put("/behaviour", self._replace_behaviour),
                web.patch("/behaviour", self._change_behaviour),
                web.post("/goaway", self._goaway),
                web.post("/close", self._close),
                web.post("/reset", self._reset),
                web.post("/streams", self._streams),
                web.post("/go", self._go),
                web.get("/witness", self._witness),
                web.get("/witness/{index}", self._person),
            ]
        )
        self._runner = web.AppRunner(app, access_log=None)
        await self._runner.setup()
        site = web.TCPSite(self._runner, host, port)
        try:
            await site.start()
        except OSError as error:
            await self.stop()
            raise BurstError(
                f"the control API cannot listen on {address}: {error.strerror or error}",
                hint="--control 127.0.0.1:0 takes any free port",
            ) from None
        bound = self._runner.addresses[0]
        self.url = f"http://[{bound[0]}]:{bound[1]}" if ":" in bound[0] else f"http://{bound[0]}:{bound[1]}"

    async def stop(self) -> None:
        """Listen no more."""
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    # -- looking ---------------------------------------------------------------------------------------------------

    async def _state(self, _request: web.Request) -> web.Response:
        supervisor = self._supervisor
        states = await supervisor.states()
        return web.json_response(
            {
                "addresses": supervisor.urls,
                "run": supervisor.house.run,
                "behaviour": dict(supervisor.behaviour),
                "sums": summed(states),
                "processes": states,
            }
        )

    async def _behaviour(self, _request: web.Request) -> web.Response:
        return web.json_response(dict(self._supervisor.behaviour))

    async def _witness(self, _request: web.Request) -> web.Response:
        return web.json_response(await asyncio.to_thread(_count, self._parts()))

    async def _person(self, request: web.Request) -> web.Response:
        index = request.match_info["index"]
        parts = self._parts()
        if not index.isascii() or not index.isdigit() or int(index) >= parts[0].audience:
            raise _Refused(404, "index", f"{index!r} is nobody's index", f"people are 0 to {parts[0].audience - 1}")
        return web.json_response(_look(parts, int(index)))

    def _parts(self) -> list[WitnessPart]:
        paths = self._supervisor.parts()
        if not paths:
            raise _Refused(
                404, "witness", "this stand-in keeps no witness", "start it with --run, --audience, --witness"
            )
        return [WitnessPart.open(path) for path in paths]

    # -- changing --------------------------------------------------------------------------------------------------

    async def _replace_behaviour(self, request: web.Request) -> web.Response:
        return await self._behave(await _object_of(request))

    async def _change_behaviour(self, request: web.Request) -> web.Response:
        """Change some keys; null takes a key back to its default."""
        merged = {**self._supervisor.behaviour, **await _object_of(request)}
        return await self._behave({key: value for key, value in merged.items() if value is not None})

    async def _behave(self, behaviour: dict[str, Any]) -> web.Response:
        keys = Behaviour.model_validate(behaviour).keys
        try:
            read_keys(keys, self._supervisor.house.behaviour_folder)
        except BurstError as error:
            raise _Refused(400, "keys", error.what, error.hint) from None
        await self._supervisor.behave(behaviour)
        return web.json_response(behaviour)

    async def _goaway(self, request: web.Request) -> web.Response:
        given = await _object_of(request, "reason", "code")
        if given.get("code", "NO_ERROR") not in ErrorCode.__members__:
            raise _Refused(
                400, "code", f"{given['code']!r} is no error code of HTTP/2", ", ".join(ErrorCode.__members__)
            )
        return await self._order("goaway", **{key: str(value) for key, value in given.items()})

    async def _close(self, request: web.Request) -> web.Response:
        await _object_of(request, "")
        return await self._order("close")

    async def _reset(self, request: web.Request) -> web.Response:
        await _object_of(request, "")
        return await self._order("reset")

    async def _streams(self, request: web.Request) -> web.Response:
        given = await _object_of(request, "streams")
        streams = given.get("streams")
        if isinstance(streams, bool) or not isinstance(streams, int) or not 0 <= streams <= _MOST_STREAMS:
            raise _Refused(400, "streams", f"{streams!r} is no number of streams", f"0 to {_MOST_STREAMS}")
        return await self._order("streams", streams=streams)

    async def _go(self, request: web.Request) -> web.Response:
        given = await _object_of(request, "go_ns", "in_s")
        if len(given) > 1:
            raise _Refused(400, "go_ns", "go_ns and in_s are two words for one thing", "give one of them")
        go_ns = given.get("go_ns", 0)
        if "in_s" in given:
            try:
                go_ns = time.monotonic_ns() + parse_duration_ns(given["in_s"])
            except (ValueError, TypeError, AttributeError):
                raise _Refused(400, "in_s", f"{given['in_s']!r} is no duration", "such as 5 or 1.5") from None
        if isinstance(go_ns, bool) or not isinstance(go_ns, int) or not 0 <= go_ns < 2**63:
            raise _Refused(400, "go_ns", f"{go_ns!r} is no instant", "nanoseconds of CLOCK_MONOTONIC")
        go_ns = go_ns or time.monotonic_ns()
        await self._supervisor.go(go_ns)
        return web.json_response({"go_ns": go_ns, "in_s": (go_ns - time.monotonic_ns()) / NS_PER_S})

    async def _order(self, name: str, **more: Any) -> web.Response:
        answers = await self._supervisor.order(name, **more)
        return web.json_response({"connections": sum(int(answer.get("connections", 0)) for answer in answers)})


class _Refused(Exception):  # noqa: N818 (an answer)
    """What was asked cannot be; ``where`` is the field or path at fault."""

    def __init__(self, status: int, where: str, what: str, hint: str = "") -> None:
        super().__init__(what)
        self.status = status
        self.mistakes = [(where, what, hint)]


@web.middleware
async def _explain_errors(request: web.Request, handler: _Handler) -> web.StreamResponse:
    """Make every error one JSON object: ``mistakes``, each with where, what and hint."""
    try:
        if "Origin" in request.headers:  # a page in a browser on this machine is not the person at it
            raise _Refused(403, "Origin", "this API is not for web pages", "leave the Origin header out")
        return await handler(request)
    except _Refused as refused:
        return _mistaken(refused.status, refused.mistakes)
    except ValidationError as error:
        return _mistaken(400, explain(error))
    except web.HTTPMethodNotAllowed as error:
        allowed = ", ".join(sorted(error.allowed_methods))
        return _mistaken(405, [("method", f"{request.method} {request.path} is not offered", f"use {allowed}")])
    except web.HTTPNotFound:
        hint = "/, /behaviour, /goaway, /close, /reset, /streams, /go, /witness, /witness/INDEX"
        return _mistaken(404, [("path", f"{request.path} is no path of this API", hint)])
    except web.HTTPException as error:
        return _mistaken(error.status, [("request", error.reason, "")])
    except ValueError as error:
        return _mistaken(400, [("request", str(error), "")])
    except BurstError as error:
        return _mistaken(503, [("stand-in", error.what, error.hint)])


def _mistaken(status: int, mistakes: list[tuple[str, str, str]]) -> web.Response:
    found = [{"where": where, "what": what, "hint": hint} for where, what, hint in mistakes]
    return web.json_response({"mistakes": found}, status=status)


async def _object_of(request: web.Request, *known: str) -> dict[str, Any]:
    """Return the JSON object of a request, {} for an empty body; with ``known`` keys, no others may be in it."""
    text = await request.text()
    try:
        value = json.loads(text) if text.strip() else {}
    except ValueError as error:
        raise _Refused(400, "body", f"no JSON: {error}") from None
    if not isinstance(value, dict):
        raise _Refused(400, "body", "not a JSON object", 'such as {"streams": 1}')
    strange = [key for key in value if key not in known] if known else []
    if strange:
        words = ", ".join(word for word in known if word)
        raise _Refused(400, strange[0], f"unknown key {strange[0]!r}", f"keys here: {words or 'none'}")
    return value


def _loopback(address: str) -> tuple[str, int]:
    host, _, port = address.rpartition(":")
    host = host.strip("[]") or "127.0.0.1"
    if not port.isascii() or not port.isdigit() or int(port) > 65_535:
        raise UsageError(f"--control {address!r} is no address", hint="write it as 127.0.0.1:8444")
    try:
        found = {str(info[4][0]) for info in socket.getaddrinfo(host, int(port), type=socket.SOCK_STREAM)}
    except OSError as error:
        raise UsageError(f"--control {address}: {error.strerror}", hint="write it as 127.0.0.1:8444") from None
    if not all(ip_address(one).is_loopback for one in found):
        raise UsageError(
            f"--control {address} is not of this machine alone",
            hint="whoever reaches the control API may change everything: it listens on loopback only",
        )
    return host, int(port)


def _count(parts: list[WitnessPart]) -> dict[str, Any]:
    counters = {counter.name.lower(): sum(part.counter(counter) for part in parts) for counter in Counter}
    seen = accepted = refused = 0
    for start in range(0, parts[0].audience, 1 << 18):
        people = slice(start, start + (1 << 18))
        seen += int(np.count_nonzero(np.any([part.first_seen_ns[people] > 0 for part in parts], axis=0)))
        accepted += int(np.count_nonzero(np.any([part.counts[people] & NIBBLE for part in parts], axis=0)))
        refused += int(np.count_nonzero(np.any([part.counts[people] >> 4 for part in parts], axis=0)))
    return {
        "run": parts[0].run,
        "audience": parts[0].audience,
        "people": {"seen": seen, "accepted": accepted, "refused": refused},
        "counters": counters,
    }


def _look(parts: list[WitnessPart], index: int) -> dict[str, Any]:
    seen = [int(part.first_seen_ns[index]) for part in parts if part.first_seen_ns[index]]
    return {
        "index": index,
        "count": sum(int(part.counts[index] & NIBBLE) for part in parts),
        "refused": sum(int(part.counts[index] >> 4) for part in parts),
        "first_seen_ns": min(seen, default=None),
    }
