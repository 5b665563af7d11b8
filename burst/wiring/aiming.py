"""Whether a run may shoot where its sinks point: asked before anything else of the run exists."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol, runtime_checkable
from urllib.parse import unquote, urlsplit

from pydantic import TypeAdapter, ValidationError

from burst.audience.opening import open_audience
from burst.model.errors import UsageError
from burst.model.ports import Permit
from burst.model.scenario import AllowList, Scenario, SyntheticAudience, read_allowed
from burst.model.units import format_count
from burst.policy.aim import Aim, Permitted, Reach, Refused, real_provider, verdict
from burst.policy.routing import Router
from burst.wiring.scenario_file import LoadedScenario
from burst.wiring.sinks import sink_settings
from burst.wiring.yaml_text import read_yaml


@runtime_checkable
class Aimed(Protocol):
    """Settings of a sink that leaves the process."""

    def targets(self) -> tuple[str, ...]:
        """Return the URLs that the sink will connect to; none when it talks to the run's own stand-in."""
        ...


@runtime_checkable
class Asking(Protocol):
    """Settings of a sink that also connects to where no notification goes: a token endpoint."""

    def asked(self) -> tuple[str, ...]:
        """Return those of its targets."""
        ...


@dataclass(frozen=True, slots=True)
class _Target:
    """A URL of a route, and its host in the URL's own letters; a path for a unix socket."""

    route: int
    url: str
    host: str
    asked: bool = False  # and sent no notification


@dataclass(frozen=True, slots=True)
class _Said:
    """The two lists and the two yeses: what the file says and what was typed."""

    allow_file: tuple[str, ...]
    allow_typed: tuple[str, ...]
    live_file: bool
    live_typed: bool
    synthetic: bool

    def verdict(self, aim: Aim) -> Permitted | Refused:
        return verdict(
            aim, self.allow_file, self.allow_typed, self.live_file, self.live_typed, synthetic=self.synthetic
        )


def check_aim(
    loaded: LoadedScenario, allowed: tuple[str, ...], live: bool, say: Callable[[str], None] = lambda _: None
) -> Permit:
    """Return where the run may shoot: hosts off this machine that were permitted, and whether any is live.

    ``allowed`` and ``live`` are what was typed. Before a live run ``say`` is told, endpoint by endpoint, how many
    notifications are to go there; for that the audience is read. Loopback needs no permit, and so is not in it.
    Raises UsageError for a target that is refused, or that cannot be found.
    """
    said = _said(loaded, allowed, live)
    reaches: dict[str, Reach] = {}
    permitted: list[str] = []
    targets = list(_targets(loaded.scenario))
    for target in targets:
        if target.host not in reaches:
            reaches[target.host], entries = _reach(target.host, said)
            permitted += entries
    aimed_live = [target for target in targets if reaches[target.host] is Reach.LIVE]
    if aimed_live:
        for line in _announced(loaded, aimed_live):
            say(line)
    return Permit(tuple(dict.fromkeys(permitted)), bool(aimed_live))


def host_of(url: str) -> str:
    """Return the host of a target's URL, in small letters and without brackets; for a unix socket its path.

    Unix sockets are ``unix:///path`` or any scheme with ``unix`` in it. Raises UsageError, telling no password.
    """
    try:
        parts = urlsplit(url)
        host, port_fits = parts.hostname, parts.port is None or parts.port > 0
    except ValueError:
        parts, host, port_fits = urlsplit(""), None, False
    unix = "unix" in parts.scheme.split("+")
    if unix and not parts.netloc and parts.path.startswith("/"):
        return unquote(parts.path)
    if "@" in parts.netloc:
        raise UsageError(
            f"the URL of {host or 'a target'} holds a user or password",
            hint="put secrets into environment variables or files",
        )
    if unix or not host or not parts.scheme or not port_fits or "\\" in url or any(letter <= " " for letter in url):
        shown = "a target" if "@" in url else repr(url)
        raise UsageError(f"{shown} is not a URL", hint="such as https://host:443 or unix:///path")
    return host


def _targets(scenario: Scenario) -> Iterator[_Target]:
    for number, route in enumerate(scenario.routes):
        settings = sink_settings(route.sink)
        if isinstance(settings, Aimed):
            asked = settings.asked() if isinstance(settings, Asking) else ()
            for url in settings.targets():
                yield _Target(number, url, host_of(url), url in asked)


def _said(loaded: LoadedScenario, allowed: tuple[str, ...], live: bool) -> _Said:
    """Gather both lists and both yeses.

    ``--set live=true`` is the same hand as ``--live``: of ``allow`` and ``live`` only what stands in the file itself
    counts. What is set above the file can take away, but not add.
    """
    typed = []
    for entry in allowed:
        try:
            typed.append(read_allowed(entry))
        except ValueError as error:
            raise UsageError(f"--allow: {error}") from None
    scenario = loaded.scenario
    written = read_yaml(loaded.text, str(loaded.path)).value
    written = written if isinstance(written, dict) else {}
    try:
        in_file = TypeAdapter(AllowList).validate_python(written.get("allow") or ())
    except ValidationError:  # set right from above
        in_file = ()
    return _Said(
        tuple(entry for entry in scenario.allow if entry in in_file),
        tuple(typed),
        scenario.live and written.get("live") is True,
        live,
        isinstance(scenario.audience, SyntheticAudience),
    )


def _reach(host: str, said: _Said) -> tuple[Reach, tuple[str, ...]]:
    """Return how far a host is, and what a permit for it has to name.

    A name that both lists have is permitted wherever it leads; one that was covered by a network is permitted at the
    addresses that it has now.
    """
    aim = Aim(host)
    if real_provider(host):  # no look-up can change it
        found = said.verdict(aim)
        if isinstance(found, Refused):
            raise UsageError(found.what, hint=found.hint)
    why = ""
    if not aim.unix:
        try:
            aim = Aim(host, _addresses(host))
        except (OSError, UnicodeError) as error:
            why = (error.strerror if isinstance(error, OSError) else "") or "it is no host name"
    found = said.verdict(aim)
    if isinstance(found, Refused):
        raise UsageError(found.what + (f" (and does not resolve: {why})" if why else ""), hint=found.hint)
    if why:
        raise UsageError(f"{host} does not resolve: {why}", hint="is the name right, and does DNS answer here?")
    if found.reach is Reach.LOOPBACK:
        return found.reach, ()
    named = aim.named(said.allow_file) and aim.named(said.allow_typed)
    pinned = found.reach is Reach.ALLOWED and not named
    return found.reach, tuple(map(str, aim.ips)) if pinned else (host,)


def _addresses(host: str) -> tuple[str, ...]:
    found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    return tuple(dict.fromkeys(str(address[0]) for *_, address in found))


def _announced(loaded: LoadedScenario, targets: list[_Target]) -> list[str]:
    """Return a line for each live endpoint: how many notifications are to go there.

    An endpoint that shares its route with others may get all of the route.
    """
    scenario = loaded.scenario
    router = Router(scenario.routes, scenario.seed)
    people = [0] * len(scenario.routes)
    for batch in open_audience(scenario.audience, loaded.base).batches(scenario.batching):
        route = router.route_of(batch.number, batch.platform, batch.tenant, batch.lane)
        if route is not None:
            people[route] += batch.count
    routes: dict[str, set[int]] = {}
    for target in targets:
        if not target.asked:
            routes.setdefault(target.url, set()).add(target.route)
    asked = dict.fromkeys(target.url for target in targets if target.asked)
    return [
        f"LIVE: {format_count(sum(people[route] for route in numbers))} notifications to {url}"
        for url, numbers in routes.items()
    ] + [f"LIVE: access tokens from {url}" for url in asked]
