"""The behaviour file: how the stand-in provider answers, what it checks, and how it misbehaves.

Without a file it is a healthy and fast provider without limits.
"""

from __future__ import annotations

from collections.abc import Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BeforeValidator, Field, ValidationError, model_validator

from burst.model.errors import Mistake, ScenarioError
from burst.model.latency import LatencySettings
from burst.model.scenario import Count, DurationNs, RatePerS, Settings, Share, SizeBytes
from burst.provider.reasons import KNOWN

#: What a stand-in can stand in for: the rows of ``desks.DESKS``.
DIALECTS = ("apns", "fcm", "sqs", "sns", "http")
#: RFC 9113, section 7.
ErrorCode = Literal[
    "NO_ERROR",
    "PROTOCOL_ERROR",
    "INTERNAL_ERROR",
    "FLOW_CONTROL_ERROR",
    "SETTINGS_TIMEOUT",
    "STREAM_CLOSED",
    "FRAME_SIZE_ERROR",
    "REFUSED_STREAM",
    "CANCEL",
    "COMPRESSION_ERROR",
    "CONNECT_ERROR",
    "ENHANCE_YOUR_CALM",
    "INADEQUATE_SECURITY",
    "HTTP_1_1_REQUIRED",
]
HttpStatus = Annotated[int, Field(ge=400, le=599)]


class QuotaSettings(Settings):
    """A token bucket over all requests; what finds it empty is answered 429 TooManyRequests."""

    rate_per_s: RatePerS = Field(alias="rate", description="how much is granted, over all processes, as 30000/s")
    burst: Count = Field(1000, ge=1, description="how many may come at once after a rest")
    retry_after_ns: DurationNs | None = Field(
        None, alias="retry_after", description="a retry-after header of this wait; default: it does not say, as Apple"
    )


class TokenQuotaSettings(Settings):
    """Apple's own rule: too many requests for one device token are answered 429 TooManyRequests."""

    rate_per_s: RatePerS = Field(alias="rate", description="how much one device token is granted, such as 1/s")
    burst: Count = Field(1, ge=1, description="how many may come at once for one device token")


class AnswerSettings(Settings):
    """An answer that befalls a share of the requests at random; they are not processed."""

    share: Share = Field(description="share of all requests")
    reason: str = Field("", description="one of Apple's reasons, or any other text")
    status: HttpStatus | None = Field(None, description="default: the reason's own status")

    @model_validator(mode="after")
    def _known(self) -> AnswerSettings:
        _check_status(self.status, self.reason)
        return self


def _check_status(status: int | None, reason: str) -> None:
    if status is None and reason not in KNOWN:
        near = get_close_matches(reason, KNOWN, n=1)
        hint = f"did you mean {near[0]}?" if near else "give a status, or one of the provider's reasons"
        raise ValueError(f"{reason!r} is no provider's reason, so its status is unknown; {hint}")


def _read_reset(value: object) -> object:
    """Read the short form: a share alone."""
    return value if value is None or isinstance(value, (Mapping, ResetSettings)) else {"share": value}


class ResetSettings(Settings):
    """Streams that are reset in place of an answer."""

    share: Share = Field(description="share of all requests")
    code: ErrorCode = Field("REFUSED_STREAM", description="REFUSED_STREAM says: certainly not processed")
    processed: bool = Field(False, description="whether the push was delivered all the same (never: REFUSED_STREAM)")

    @model_validator(mode="after")
    def _honest(self) -> ResetSettings:
        if self.processed and self.code == "REFUSED_STREAM":
            raise ValueError("REFUSED_STREAM promises that nothing was processed (RFC 9113, 8.7); choose another code")
        return self


class OutageSettings(Settings):
    """A time when the provider takes nothing."""

    at_ns: DurationNs = Field(alias="at", description="begins this long after GO; without a run, after the start")
    lasts_ns: DurationNs = Field(alias="lasts", description="and lasts this long")
    how: Literal["refuse", "hang", "reset", "close", "goaway"] = Field(
        "refuse",
        description="refuse: answered with the reason; hang: never answered; reset: streams are reset; "
        "close: connections are closed; goaway: GOAWAY with the reason, then closed",
    )
    reason: str = Field("ServiceUnavailable", description="what is answered, or stands in the GOAWAY")
    status: HttpStatus | None = Field(None, description="default: the reason's own status")

    @model_validator(mode="after")
    def _known(self) -> OutageSettings:
        _check_status(self.status, self.reason)
        return self


class StreamLimitSettings(Settings):
    """A new MAX_CONCURRENT_STREAMS for every connection, while it runs."""

    at_ns: DurationNs = Field(alias="at", description="this long after GO; without a run, after the start")
    streams: Count = Field(le=2**31 - 1, description="how many streams a connection may have open")


class GoawaySettings(Settings):
    """Connections that are told to go; their open streams are still answered."""

    after_requests: Annotated[Count, Field(ge=1)] | None = Field(None, description="after so many on a connection")
    every_ns: DurationNs | None = Field(None, alias="every", description="when a connection is this old")
    code: ErrorCode = Field("NO_ERROR", description="the error code in the frame")
    reason: str = Field("", description="stands as JSON in the frame's debug data, such as Shutdown")

    @model_validator(mode="after")
    def _some(self) -> GoawaySettings:
        if self.after_requests is None and not self.every_ns:
            raise ValueError("give after_requests or every: else no connection ever goes")
        return self


class SlowBytesSettings(Settings):
    """Answers that dribble."""

    bytes: SizeBytes = Field(1, ge=1, description="so many bytes of a connection's answers at a time")
    every_ns: DurationNs = Field(alias="every", description="and so long until the next")


def _read_share_or_flag(value: object) -> object:
    return float(value) if isinstance(value, bool) else value


class Conduct(Settings):
    """How any provider behaves, whichever it stands in for. Every share is of requests, if nothing else is said."""

    latency: LatencySettings | None = Field(None, description="how long an answer takes; default: at once")
    quota: QuotaSettings | None = Field(None, description="a rate over all requests; default: no limit")
    per_token: TokenQuotaSettings | None = Field(None, description="a rate for each device token; default: no limit")
    dead: Share = Field(0.0, description="share of the device tokens that are 410 Unregistered, the same for a seed")
    dead_tokens: tuple[str, ...] = Field((), description="device tokens, in hex, that are 410 Unregistered")
    answers: tuple[AnswerSettings, ...] = Field((), max_length=200, description="other answers, at random")
    silent: Share = Field(0.0, description="processed, and never answered")
    hang: Share = Field(0.0, description="neither processed nor answered")
    reset_streams: Annotated[ResetSettings | None, BeforeValidator(_read_reset)] = Field(
        None, description="a share, or share, code and processed: RST_STREAM in place of an answer"
    )
    malformed: Share = Field(0.0, description="processed, and answered with bytes that are no HTTP/2")
    outages: tuple[OutageSettings, ...] = Field(
        (), max_length=24, description="when it takes nothing; the first counts"
    )

    max_concurrent_streams: Count = Field(1000, le=2**31 - 1, description="streams a connection may have open")
    stream_limits: tuple[StreamLimitSettings, ...] = Field((), description="changes of that limit while it runs")
    streams_until_accept: Annotated[Count, Field(ge=1)] | None = Field(
        None, description="the limit until a connection's first accepted push; Apple's is 1 with a provider token"
    )
    initial_window: SizeBytes = Field(
        65_535, le=2**31 - 1, description="SETTINGS_INITIAL_WINDOW_SIZE; 0: no body ever comes"
    )
    connection_window: SizeBytes = Field(
        16 * 2**20, ge=65_535, le=2**31 - 1, description="flow-control window of a connection; it begins at 65,535"
    )
    max_frame_size: SizeBytes = Field(16_384, ge=16_384, le=2**24 - 1, description="SETTINGS_MAX_FRAME_SIZE")
    header_table_size: SizeBytes = Field(4096, le=2**20, description="SETTINGS_HEADER_TABLE_SIZE")
    goaway: GoawaySettings | None = Field(None, description="connections that are told to go; default: none")
    close_after_requests: Annotated[Count, Field(ge=1)] | None = Field(
        None, description="a connection is closed, without GOAWAY, after so many requests"
    )
    reset_after_requests: Annotated[Count, Field(ge=1)] | None = Field(
        None, description="a connection is reset (TCP RST) after so many requests"
    )
    slow_bytes: SlowBytesSettings | None = Field(None, description="answers that dribble; default: none do")
    closed_windows: Annotated[Share, BeforeValidator(_read_share_or_flag)] = Field(
        0.0, description="share of the connections whose windows are never opened again; true is all of them"
    )


class FcmBehaviour(Conduct):
    """Firebase Cloud Messaging's own; what is not said here is as at the top."""

    auth: Literal["oauth", "any", "none"] = Field(
        "oauth", description="oauth: an access token of its own token endpoint; any: any bearer token; none: nothing"
    )
    project: str | None = Field(None, description="the only project there is; default: any")
    max_payload: SizeBytes = Field(4096, description="bytes of a message's notification and data together")
    quota_refill: Literal["minute", "evenly"] = Field(
        "minute",
        description="minute: what rate allows in a minute may come at once, and is there again when the minute, which "
        "began with the first message, is over; evenly: refilled all the time up to burst, as for the others",
    )
    token_lifetime_ns: DurationNs = Field(
        3_600_000_000_000, alias="token_lifetime", description="how long an access token is good; Google's are 1h"
    )


class SqsBehaviour(Conduct):
    """Amazon SQS's own; what is not said here is as at the top."""

    auth: Literal["signature", "any", "none"] = Field(
        "signature", description="signature: SigV4 by its own key; any: any signature of good form; none: nothing"
    )
    queues: dict[str, dict[str, Any]] = Field(
        default_factory=dict, description="queue: attributes as SQS names them; default: any queue that is asked for"
    )
    keep: bool | None = Field(
        None, description="whether messages wait to be received; default: yes, but in a run's own stand-in"
    )
    unknown_queues: Literal["made", "refused"] | None = Field(
        None, description="a queue that nobody created; default: made, or refused where ``queues`` names some"
    )
    max_kept: SizeBytes = Field(2**30, description="bytes of messages that wait in all queues; above it 503")
    max_in_flight: Count = Field(120_000, ge=1, description="messages of a queue received and not deleted")
    fifo_quota: QuotaSettings | None = Field(
        None, description="calls of each action on each FIFO queue; Amazon's is 300/s; default: no limit"
    )


class SnsBehaviour(Conduct):
    """Amazon SNS's own; what is not said here is as at the top."""

    auth: Literal["signature", "any", "none"] = Field(
        "signature", description="signature: SigV4 by its own key; any: any signature of good form; none: nothing"
    )
    region: str | None = Field(
        None,
        pattern=r"^[a-z]{2}(-[a-z]+)+-[0-9]$",
        description="it has the messages a second that every account has there, such as us-east-1; default: no limit",
    )
    throttles: Literal["calls", "entries"] = Field(
        "calls", description="what finds too little quota left: the call as a whole, or those entries that are too many"
    )
    topics: tuple[str, ...] = Field((), description="topics that there are; default: any that is published to")


class HttpBehaviour(Conduct):
    """A webhook's own; what is not said here is as at the top."""

    auth: Literal["none", "bearer", "basic"] = Field(
        "none", description="what a client must show: nothing, any bearer token, or any user and password"
    )
    authorization_env: str | None = Field(
        None, description="the environment variable that holds the one authorization header that is good"
    )
    status: Annotated[int, Field(ge=200, le=299)] = Field(200, description="the answer to what is taken")
    max_payload: SizeBytes = Field(2**20, description="bytes of a body; more is answered 413")


class Behaviour(Conduct):
    """What a stand-in does: what stands at the top is everybody's, or Apple's alone where only Apple has it."""

    echo_id: bool = Field(True, description="whether an answer carries the request's apns-id")

    auth: Literal["any", "token", "certificate", "none"] = Field(
        "any", description="what a client must show; any: a provider token or a certificate; none: nothing"
    )
    token_updates: Literal["connection", "key"] = Field(
        "connection",
        description="where a second provider token within 20 minutes is refused: on one connection, as seen of Apple, "
        "or for one key on all of them, as a whole fleet should have one token",
    )
    topics: tuple[str, ...] = Field((), description="apns-topics that are allowed; default: all")
    keys: dict[str, str] = Field(
        default_factory=dict,
        description="key id: PEM public key or its path; default: form and age of a provider token are checked only",
    )
    team: str | None = Field(None, description="the issuer of provider tokens; default: any")
    max_payload: SizeBytes = Field(4096, description="bytes; a voip push may have 1,024 more, as Apple says")

    fcm: FcmBehaviour = Field(default_factory=FcmBehaviour, description="what is different for FCM")
    sqs: SqsBehaviour = Field(default_factory=SqsBehaviour, description="what is different for SQS")
    sns: SnsBehaviour = Field(default_factory=SnsBehaviour, description="what is different for SNS")
    http: HttpBehaviour = Field(default_factory=HttpBehaviour, description="what is different for webhooks")

    def conduct(self, dialect: str) -> Conduct:
        """Return how a dialect behaves as any provider does: its section over what stands at the top."""
        section = getattr(self, dialect, None)
        if not isinstance(section, Conduct):
            return self
        said = {name: getattr(section, name) for name in Conduct.model_fields if name in section.model_fields_set}
        return self.model_copy(update=said)

    @model_validator(mode="after")
    def _together(self) -> Behaviour:
        for dialect in DIALECTS:
            _check_shares(self.conduct(dialect))
        return self

    @classmethod
    def read(cls, path: Path) -> Behaviour:
        """Read a behaviour file (YAML).

        Raises
        ------
        ScenarioError
            the file is absent, is no YAML, or has mistakes: all of them, each with its line
        """
        try:
            text = path.read_text()
            root = yaml.compose(text, Loader=yaml.SafeLoader)
            value = yaml.safe_load(text)
        except (OSError, UnicodeDecodeError) as error:
            raise ScenarioError((Mistake(str(path), 0, 0, f"cannot be read: {error}"),)) from error
        except yaml.MarkedYAMLError as error:
            mark = error.problem_mark
            place = (mark.line + 1, mark.column + 1) if mark else (0, 0)
            raise ScenarioError((Mistake(str(path), *place, f"no YAML: {error.problem}"),)) from error
        except yaml.YAMLError as error:
            raise ScenarioError((Mistake(str(path), 0, 0, f"no YAML: {error}"),)) from error
        try:
            return cls.model_validate({} if value is None else value)
        except ValidationError as error:
            mistakes = [
                Mistake(str(path), *_place(root, one["loc"]), *_said(one)) for one in error.errors(include_url=False)
            ]
            raise ScenarioError(tuple(sorted(mistakes, key=lambda mistake: (mistake.line, mistake.column)))) from error

    def changed(self, changes: Mapping[str, Any]) -> Behaviour:
        """Return this behaviour with other values for the keys of ``changes``, which are written as in a file.

        Raises
        ------
        ValueError
            the changes have mistakes (pydantic's ValidationError is one), or do not go with what there is
        """
        given = type(self).model_validate(changes)
        changed = self.model_copy(update={name: getattr(given, name) for name in given.model_fields_set})
        for dialect in DIALECTS:
            _check_shares(changed.conduct(dialect))
        return changed


def explain(error: ValidationError) -> list[tuple[str, str, str]]:
    """Return every mistake of a behaviour as (where, what, hint)."""
    found = error.errors(include_url=False)
    return [(".".join(str(step) for step in one["loc"]), *_said(one)) for one in found]


def _check_shares(behaviour: Conduct) -> None:
    """One draw decides among these, so that every share is kept exactly."""
    total = behaviour.silent + behaviour.hang + behaviour.malformed + sum(row.share for row in behaviour.answers)
    total += behaviour.reset_streams.share if behaviour.reset_streams else 0
    if total > 1 + 1e-9:
        raise ValueError(
            f"silent, hang, malformed, reset_streams and answers add up to {total:.4g}: more than all requests"
        )


def _place(root: yaml.Node | None, location: tuple[int | str, ...]) -> tuple[int, int]:
    """Return where the value at ``location`` stands (line, column; 1-based), or the nearest thing above it."""
    node, place = root, (1, 1)
    for step in location:
        if isinstance(node, yaml.MappingNode):
            found = [(key, value) for key, value in node.value if key.value == str(step)]
            if not found:
                break
            key, node = found[0]
            place = (key.start_mark.line + 1, key.start_mark.column + 1)
        elif isinstance(node, yaml.SequenceNode) and isinstance(step, int) and step < len(node.value):
            node = node.value[step]
            place = (node.start_mark.line + 1, node.start_mark.column + 1)
    return place


def _said(error: Mapping[str, Any]) -> tuple[str, str]:
    """Return a pydantic error as (what, hint)."""
    path = ".".join(str(step) for step in error["loc"]) or "the file"
    if error["type"] == "extra_forbidden":
        key, known = str(error["loc"][-1]), _keys_at(error["loc"][:-1])
        near = get_close_matches(key, known, n=1)
        return f"unknown key {path!r}", f"did you mean {near[0]}?" if near else f"keys here: {', '.join(sorted(known))}"
    if error["type"] == "missing":
        return f"{path!r} is missing", ""
    if error["type"] == "value_error":
        return f"{path}: {error['ctx']['error']}", ""
    words = error["msg"].removeprefix("Input ")
    return f"{path}: {error['input']!r} {words}", ""


def _keys_at(location: tuple[int | str, ...]) -> list[str]:
    """Return the keys that a behaviour file may have below ``location``."""
    if location and location[0] in _OF_DIALECTS:
        own = _OF_DIALECTS[str(location[0])]
        return _keys_at(location[1:]) if len(location) > 1 else _names(own)
    sections: dict[str, type[Settings]] = {
        "latency": LatencySettings,
        "quota": QuotaSettings,
        "per_token": TokenQuotaSettings,
        "answers": AnswerSettings,
        "reset_streams": ResetSettings,
        "outages": OutageSettings,
        "stream_limits": StreamLimitSettings,
        "goaway": GoawaySettings,
        "slow_bytes": SlowBytesSettings,
    }
    return _names(sections.get(str(location[0]), Behaviour) if location else Behaviour)


def _names(model: type[Settings]) -> list[str]:
    return [field.alias or name for name, field in model.model_fields.items()]


_OF_DIALECTS: dict[str, type[Conduct]] = {
    "fcm": FcmBehaviour,
    "sqs": SqsBehaviour,
    "sns": SnsBehaviour,
    "http": HttpBehaviour,
}
