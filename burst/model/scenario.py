"""One burst, as one YAML file describes it. Attribute names carry units; the file's keys (aliases) do not."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Mapping
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    StrictBool,
    Tag,
    WithJsonSchema,
    model_validator,
)

from burst.model.batch import Platform
from burst.model.units import parse_count, parse_duration_ns, parse_rate_per_s, parse_share, parse_size


def _quantity(
    parse: Callable[[Any], Any],
    description: str,
    examples: list[str | int | float],
    number: Literal["integer", "number"] = "number",
) -> tuple[Any, Any]:
    def read(value: object) -> object:
        if isinstance(value, bool) or not isinstance(value, (str, int, float)):
            raise ValueError(f"{value!r} is not {description}; write it like {examples[0]}")  # noqa: TRY004 (pydantic turns ValueError into a mistake)
        return parse(value)

    schema = {"type": ["string", number], "pattern": r"^\s*\d", "minimum": 0, "examples": examples}
    return BeforeValidator(read), WithJsonSchema(schema)


DurationNs = Annotated[int, *_quantity(parse_duration_ns, "a duration", ["5s", "250ms", "1m30s"])]
Count = Annotated[int, *_quantity(parse_count, "a count", ["4_000_000", "4M", 100], "integer")]
SizeBytes = Annotated[int, *_quantity(parse_size, "a size in bytes", ["64MiB", "16KiB"], "integer")]
RatePerS = Annotated[float, *_quantity(parse_rate_per_s, "a rate", ["30000/s", "600k/min"])]
Share = Annotated[float, *_quantity(parse_share, "a share", ["5%", 0.05])]


class Settings(BaseModel):
    """Frozen, strict about unknown keys: the parent of a scenario's parts and of every sink's settings."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)


class SyntheticAudience(Settings):
    """People who do not exist: the same seed gives the same tokens, batch by batch, on any machine."""

    ios: Count = Field(0, description="people with an iOS device (32-byte APNs tokens)")
    android: Count = Field(0, description="people with an Android device (152-character FCM tokens)")
    seed: Count = Field(2024, ge=0, lt=2**64, description="the seed of every token")

    @model_validator(mode="after")
    def _somebody(self) -> SyntheticAudience:
        if self.ios + self.android == 0:
            raise ValueError("nobody to send to: give ios and android a count above zero")
        return self


class FileAudience(Settings):
    """People from a file: columns ``token`` and ``platform``, optional ``tenant`` and ``lane``."""

    file: str = Field(description="path of a CSV, NDJSON or Parquet file, relative to the scenario file", min_length=1)
    format: Literal["auto", "csv", "ndjson", "parquet"] = Field("auto", description="auto goes by the file's ending")
    broken_rows: Literal["stop", "set_aside"] = Field(
        "stop", description="a row that cannot be sent to: stop the run, or set it aside with its reason"
    )


def read_audience(value: object) -> object:
    """Turn a short form into the long one: a number of people (three in five have iOS), or a file's path."""
    if isinstance(value, (str, int)) and not isinstance(value, bool):
        try:
            people = parse_count(value)
        except ValueError:
            return {"file": value}
        ios = people * 3 // 5
        return {"ios": ios, "android": people - ios}
    if isinstance(value, Mapping) and set(value) == {"synthetic"}:
        return value["synthetic"]
    return value


def _kind_of_audience(value: object) -> str:
    has_file = "file" in value if isinstance(value, Mapping) else isinstance(value, FileAudience)
    return "file" if has_file else "synthetic"


class Batching(Settings):
    """How many people share one queue entry."""

    ios: Count = Field(500, ge=1, le=4096, description="iOS people in a batch")
    android: Count = Field(250, ge=1, le=4096, description="Android people in a batch")

    def size(self, platform: Platform) -> int:
        """Return the people in a full batch of ``platform``."""
        return self.ios if platform is Platform.IOS else self.android


def _read_list(value: object) -> object:
    """Read ``a, b`` as a list: what an environment variable can hold."""
    return [part.strip() for part in value.split(",") if part.strip()] if isinstance(value, str) else value


def plain_host(host: str) -> str:
    """Return a host as it is compared: as it goes over the wire (IDNA), small letters, no brackets, no final dot."""
    try:
        wire = host.encode("idna").decode("ascii")
    except UnicodeError:  # nobody can resolve it either
        wire = host
    return wire.lower().removeprefix("[").removesuffix("]").rstrip(".")


def read_allowed(text: str) -> str:
    """Return an entry of an allow list as it is compared: a host name, an address or a network. Raises ValueError."""
    entry = plain_host(text.strip())
    try:
        if "/" not in entry and ":" not in entry and re.fullmatch(r"[a-z0-9_.-]+", entry):
            return entry
        network = ipaddress.ip_network(entry)
    except ValueError:
        network = None
    if network is None:
        examples = "push.staging.example, 10.1.2.3 or 10.1.0.0/16"
        raise ValueError(f"{text!r} is no host, address or network; write it like {examples}")
    if network.prefixlen < (8 if network.version == 4 else 7):
        # 10.0.0.0/8 and fc00::/7 are the widest networks that are anybody's own (RFC 1918, RFC 4193).
        raise ValueError(f"{text!r} is much of the world; name a staging network, like 10.1.0.0/16")
    return str(network) if "/" in entry else str(network.network_address)


AllowList = Annotated[tuple[Annotated[str, AfterValidator(read_allowed)], ...], BeforeValidator(_read_list)]


class QueueSettings(Settings):
    """The sharded Redis streams between staging and the workers."""

    shards: Count = Field(2, ge=1, le=256, description="how many streams; each embedded shard is a server of its own")
    redis: Annotated[tuple[str, ...], BeforeValidator(_read_list)] = Field(
        (), description="servers that exist already; shards are dealt out over them in turn"
    )
    outlive: bool = Field(False, description="leave embedded servers running after the run, until `burst clean`")
    memory: SizeBytes | None = Field(None, description="maxmemory of each embedded server; default: no limit")
    lease_ns: DurationNs = Field(1_200_000_000, alias="lease", description="how long a silent worker keeps its batches")


class WorkerSettings(Settings):
    """The fleet."""

    count: Annotated[Count, Field(ge=1, le=1024)] | None = Field(
        None, description="worker processes; default: one a core"
    )
    window: Count = Field(65_536, ge=1024, le=4_194_304, description="notifications a worker holds at once, at most")


class ArmSettings(Settings):
    """What must be true before GO."""

    prefetch: Share = Field(0.05, description="share of the audience that may leave the queue before GO, at most")
    quorum: Share = Field(1.0, description="share of the workers that must be ready")
    deadline_ns: DurationNs = Field(
        30_000_000_000, alias="deadline", description="NO-GO if the quorum is not ready by then"
    )


class RetrySettings(Settings):
    """What happens to a notification that the provider refused: full jitter, bounded attempts."""

    attempts: Count = Field(4, ge=1, le=255, description="sends of one notification, the first included")
    base_ns: DurationNs = Field(
        50_000_000, alias="base", description="longest wait before the first retry; doubles each time"
    )
    cap_ns: DurationNs = Field(5_000_000_000, alias="cap", description="longest wait before any retry")
    answer_within_ns: DurationNs = Field(
        10_000_000_000,
        alias="answer_within",
        description="an answer later than this leaves the outcome unknown",
    )
    on_unknown: Literal["settle", "resend"] = Field(
        "settle",
        description="perhaps it was processed: settle it as unknown, or send again and risk a duplicate",
    )


class SinkChoice(Settings):
    """A sink by name with its own settings: ``sink: modelled`` or ``sink: {modelled: {latency: ...}}``."""

    name: str
    settings: dict[str, Any] = Field(default_factory=dict)

    @model_validator(mode="before")
    @classmethod
    def _short_form(cls, value: object) -> object:
        if isinstance(value, str):
            return {"name": value}
        if isinstance(value, Mapping) and len(value) == 1 and "name" not in value:
            ((name, settings),) = value.items()
            return {"name": name, "settings": {} if settings is None else settings}
        if isinstance(value, Mapping) and set(value) <= {"name", "settings"}:
            return value
        raise ValueError("a sink is a name, or one name with its settings below it")


class RouteMatch(Settings):
    """Which people a route is for; what is left out matches all."""

    platform: Literal["ios", "android"] | None = None
    tenant: str | None = None
    lane: str | None = None
    share: Share = Field(1.0, description="share of what matches, chosen batch by batch; the rest goes to later routes")


class Route(Settings):
    """Who goes to which sink; the first route that matches wins."""

    match: RouteMatch = RouteMatch()
    sink: SinkChoice


class ProviderSettings(Settings):
    """The run's own stand-in provider, for sinks whose endpoint is ``stand-in``. It witnesses what arrives."""

    processes: Count = Field(1, ge=1, le=64, description="serving processes behind one port")
    tls: bool = Field(True, description="TLS with a certificate of the run's own; false: plain text")
    control: str | None = Field(
        None, description="host:port on loopback for its control API while the run lasts, such as 127.0.0.1:8444"
    )
    behaviour: str | dict[str, Any] = Field(
        default_factory=dict, description="how it answers: a behaviour file's path, or its keys right here"
    )


class Projection(Settings):
    """A burst that takes minutes, told from a small one: everything in ``divide`` is divided by ``scale``.

    What is bound by a rate then takes a ``scale``-th of the time, and the times of the small run are multiplied.
    """

    scale: Count = Field(ge=2, le=1_000_000, description="how many times smaller the run is that is really made")
    divide: tuple[str, ...] = Field(
        min_length=1,
        description="counts that are divided, as --set names them: the audience, and the bursts of limits and quotas",
    )


class Scenario(Settings):
    """One burst."""

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$", description="letters, digits, . _ -")
    description: str = Field("", description="what the burst is, for the report's head")
    audience: Annotated[
        Annotated[SyntheticAudience, Tag("synthetic")] | Annotated[FileAudience, Tag("file")],
        Discriminator(_kind_of_audience),
        Field(description="a number of synthetic people, a file of tokens, or one of them in full"),
        BeforeValidator(read_audience),
    ]
    batching: Batching = Batching()
    queue: QueueSettings = QueueSettings()
    routes: tuple[Route, ...] = Field(min_length=1, description="who goes to which sink; `sink:` is the short form")
    provider: ProviderSettings = Field(
        ProviderSettings(), description="the stand-in provider, where a sink's endpoint is stand-in"
    )
    workers: WorkerSettings = WorkerSettings()
    arm: ArmSettings = ArmSettings()
    retry: RetrySettings = RetrySettings()
    rate_per_s: RatePerS | None = Field(None, alias="rate", description="paced load; default: all are due at GO")
    deadline_ns: DurationNs = Field(5_000_000_000, alias="deadline", description="the promise the report draws in")
    expire_after_ns: DurationNs | None = Field(
        None, alias="expire_after", description="after GO by this much a push is not worth sending any more"
    )
    criteria: tuple[str, ...] = Field(
        ("accepted within 5s >= 99%",),
        min_length=1,
        description="what must hold for a pass, as `lost == 0`; default: 99 % accepted by the deadline",
    )
    projection: Projection | None = Field(
        None, description="run a small part of it and project the whole; `burst run --full` runs all of it"
    )
    allow: AllowList = Field(
        (), description="staging hosts, addresses or networks that may be shot at when --allow names them too"
    )
    live: StrictBool = Field(
        False, description="real people may be reached, when --live is typed too; counts in the file only"
    )
    seed: Count = Field(2024, ge=0, lt=2**63, description="the seed of modelled behaviour and jitter")

    @model_validator(mode="before")
    @classmethod
    def _short_forms(cls, value: object) -> object:
        if not isinstance(value, Mapping):
            return value
        known = dict(value)
        if "sink" in known and "routes" in known:
            raise ValueError("give `sink` or `routes`, not both: `sink` is the short form of one route")
        if "sink" in known:
            known["routes"] = [{"sink": known.pop("sink")}]
        if isinstance(known.get("workers"), (int, str)) and not isinstance(known["workers"], bool):
            known["workers"] = {"count": known["workers"]}
        if "criteria" not in known:
            known["criteria"] = default_criteria(known.get("deadline", known.get("deadline_ns", "5s")))
        return known


def default_criteria(deadline: object) -> list[str]:
    """Return the criterion that a scenario without criteria has: 99 % accepted within its deadline."""
    readable = isinstance(deadline, (str, int, float)) and not isinstance(deadline, bool)
    return [f"accepted within {deadline if readable else '5s'} >= 99%"]
