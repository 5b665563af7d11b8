"""Where a run may shoot: loopback always, a staging network when file and command line name it, else live only.

The law: what could reach people who did not ask for it needs two yeses, one in the file and one typed. Whatever cannot
be told apart from such a place (a name with one address too many, a name without any) counts as such a place.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum

from burst.model.ports import Permit
from burst.model.scenario import plain_host

PROVIDERS = (
    "apple.com",
    "googleapis.com",
    "amazonaws.com",
    "amazonaws.com.cn",
    "amazonaws.eu",
    "c2s.ic.gov",
    "csp.hci.ic.gov",
)
"""Domains of the real providers: APNs, FCM, SNS and SQS (AWS, then AWS in China, the sovereign and isolated ones)."""

_Address = ipaddress.IPv4Address | ipaddress.IPv6Address
_Network = ipaddress.IPv4Network | ipaddress.IPv6Network

_APPLE: tuple[_Network, ...] = tuple(
    # All of 17/8 is Apple's; the rest is APNs by Apple's support page "If your Apple devices aren't getting Apple push
    # notifications". An address written out, or a name of one's own that points there, is Apple as well.
    ipaddress.ip_network(network)
    for network in ("17.0.0.0/8", "2620:149::/32", "2403:300::/32", "2a01:b740::/32")
)
_LOOPBACK: tuple[_Network, ...] = (ipaddress.ip_network("127.0.0.0/8"), ipaddress.ip_network("::1/128"))


class Reach(Enum):
    """How far a shot goes: no further than this machine, to a place both lists name, or to anywhere else."""

    LOOPBACK = "loopback"
    ALLOWED = "allowed"
    LIVE = "live"


@dataclass(frozen=True, slots=True)
class Permitted:
    """The run may shoot there."""

    reach: Reach


@dataclass(frozen=True, slots=True)
class Refused:
    """The run may not shoot there: why, and what to do."""

    what: str
    hint: str


@dataclass(frozen=True, slots=True)
class Aim:
    """One target: the host as its URL has it (a path for a unix socket), and every address that its name has now.

    ``addresses`` is empty for a unix socket and for a name that does not resolve. Raises ValueError for what is no
    address.
    """

    host: str
    addresses: tuple[str, ...] = ()

    @property
    def unix(self) -> bool:
        """Whether it is a socket of the file system."""
        return self.host.startswith("/")

    @property
    def ips(self) -> tuple[_Address, ...]:
        """Return its addresses, the host's own if it is one; an IPv4 address in IPv6 clothes is the former."""
        own = _address(self.host)
        written = () if own is None else (own,)
        return tuple(dict.fromkeys((*written, *map(_checked, self.addresses))))

    @property
    def loopback(self) -> bool:
        """Whether every address is this machine's own. No address is no proof."""
        return self.unix or (bool(self.ips) and all(_inside(ip, _LOOPBACK) for ip in self.ips))

    @property
    def provider(self) -> bool:
        """Whether it is a real provider, by its name or by one of its addresses."""
        return not self.unix and (real_provider(self.host) or any(_inside(ip, _APPLE) for ip in self.ips))

    def reach(self, allow_file: Iterable[str], allow_typed: Iterable[str]) -> Reach:
        """Classify it under the scenario's ``allow:`` entries and those of ``--allow``.

        A provider's name is live even where it resolves to loopback: on another machine, or a moment later, it may not.
        """
        if self.provider:
            return Reach.LIVE
        if self.loopback:
            return Reach.LOOPBACK
        return Reach.ALLOWED if self.listed(allow_file) and self.listed(allow_typed) else Reach.LIVE

    def named(self, entries: Iterable[str]) -> bool:
        """Whether entries have the host by its name."""
        return plain_host(self.host) in {plain_host(entry) for entry in entries}

    def listed(self, entries: Iterable[str]) -> bool:
        """Whether entries name the host, or cover every address of it that is not loopback."""
        names = {plain_host(entry) for entry in entries}
        if plain_host(self.host) in names:
            return True
        networks = tuple(network for network in map(_network, names) if network is not None)
        outside = [ip for ip in self.ips if not _inside(ip, _LOOPBACK)]
        return bool(outside) and all(_inside(ip, networks) for ip in outside)


def real_provider(host: str) -> bool:
    """Whether a host is a name of Apple, Google or AWS, however it is spelt, or an address of Apple's."""
    ip = _address(host)
    if ip is not None:
        return _inside(ip, _APPLE)
    name = plain_host(host)
    return any(name == domain or name.endswith(f".{domain}") for domain in PROVIDERS)


def verdict(
    aim: Aim,
    allow_file: Iterable[str],
    allow_typed: Iterable[str],
    live_file: bool,
    live_typed: bool,
    *,
    synthetic: bool,
) -> Permitted | Refused:
    """Judge whether a run may shoot at ``aim``; ``synthetic`` says that its tokens are made up.

    ``allow_file`` and ``live_file`` are what the scenario file says, the others what was typed.
    """
    allow_file, allow_typed = tuple(allow_file), tuple(allow_typed)
    reach = aim.reach(allow_file, allow_typed)
    if reach is not Reach.LIVE:
        return Permitted(reach)
    host = aim.host
    if synthetic and aim.provider:
        return Refused(
            f"synthetic tokens never go to a real provider, and {host} is one",
            "send to your own devices with an audience file (`audience: people.csv`), or rehearse on loopback",
        )
    if live_file and live_typed:
        if synthetic:
            return Refused(
                f"synthetic tokens never go to a live target, and {host} is one",
                f"use an audience file (`audience: people.csv`); if {host} is a staging system, {_allow(host)}",
            )
        return Permitted(reach)
    if aim.provider:
        return Refused(f"{host} is a real provider: what goes there reaches people", _live(live_file, live_typed))
    listed, typed = aim.listed(allow_file), aim.listed(allow_typed)
    if listed:
        return Refused(f"{host} is on the scenario's allow list, but was not typed", f"if you mean it: --allow {host}")
    if typed:
        return Refused(
            f"--allow {host} was typed, but the scenario's allow list does not have it",
            f"write `allow: [{host}]` in the scenario file, if it is a staging system that expects this",
        )
    return Refused(
        f"{host} is neither loopback nor on an allow list",
        f"if it is a staging system, {_allow(host)}; if it is the real thing, {_live(live_file, live_typed)}",
    )


def may_connect(aim: Aim, permit: Permit) -> bool:
    """Whether a permit covers a connection to ``aim``: asked again where one is opened, with the address it goes to."""
    if permit.live:
        return True
    if aim.provider:
        return False
    return aim.loopback or aim.listed(permit.hosts)


def _allow(host: str) -> str:
    return f"write `allow: [{host}]` in the scenario file and type --allow {host}"


def _live(live_file: bool, live_typed: bool) -> str:
    if live_file:
        return "type --live as well (the file says `live: true`)"
    typed = "as well (--live was typed)" if live_typed else "and type --live"
    return f"write `live: true` in the scenario file {typed}"


def _address(text: str) -> _Address | None:
    try:
        return _checked(text)
    except ValueError:
        return None


def _checked(text: str) -> _Address:
    ip = ipaddress.ip_address(text.removeprefix("[").removesuffix("]"))
    return (ip.ipv4_mapped or ip) if isinstance(ip, ipaddress.IPv6Address) else ip


def _network(entry: str) -> _Network | None:
    try:
        return ipaddress.ip_network(entry)
    except ValueError:
        return None


def _inside(ip: _Address, networks: Iterable[_Network]) -> bool:
    return any(ip in network for network in networks)
