"""Signed calls to a service of AWS: what SQS and SNS share, whatever they say in their bodies.

A signature is made at the moment of sending, so it is never stale; keys that are renewed meanwhile sign from then on.
"""

from __future__ import annotations

import asyncio
import configparser
import os
import time
from collections.abc import Callable, Sequence
from email.utils import parsedate_to_datetime
from pathlib import Path

from burst.model.errors import BurstError, UsageError
from burst.model.outcome import Answer
from burst.model.ports import SinkContext
from burst.model.secret import Secret
from burst.sinks.aws_credentials import AwsCredentials
from burst.sinks.aws_errors import EXPIRED, SIGNATURE, meaning
from burst.sinks.aws_settings import AwsSettings
from burst.sinks.aws_sources import AwsKeys, KeySource, checked_keys, key_source
from burst.sinks.endpoint import Endpoint
from burst.wire.h1_client import Head
from burst.wire.sigv4 import Shape, Signer, sign

LARGEST_SKEW_S = 4 * 60
"""A clock that differs by more is corrected: the service accepts 15 minutes, the AWS SDKs take note from 4 or 5 on."""

FIND_KEYS_EVERY_S = 10.0
"""Keys that the service calls expired are looked for again, no more often than this (a bound of our own)."""

_ONE_PIECE = 256 * 1024  # bytes: a longer body is not copied to stand behind its head


class AwsCalls:
    """Makes one worker's requests to one service: ``open`` first, then ``request`` for each body.

    ``tell`` hears what a person should know.
    """

    def __init__(
        self,
        settings: AwsSettings,
        endpoint: Endpoint,
        fields: Sequence[tuple[str, str]],
        context: SinkContext,
        *,
        tell: Callable[[str], None] = lambda _: None,
    ) -> None:
        r"""``fields`` are those of every request beside Host, Content-Length and the signature's own. No ``\r\n``."""
        self._settings = settings
        self._context = context
        self._tell = tell
        self._region = settings.region_found()
        path, _, query = (endpoint.target or b"/").decode().partition("?")
        self._path, self._query = path or "/", query
        self._host = endpoint.authority.decode()
        self.url, self.named_by = f"{endpoint.shown}{self._path.rstrip('/')}", settings.named_by()  # for advice
        self._fields = [("Host", self._host), *fields]
        self._start = self._line_and(self._fields)
        self._credentials: AwsCredentials | None = None
        self._signer: Signer | None = None
        self._shape: Shape | None = None
        self._looking: asyncio.Task[None] | None = None
        self._looked_s = float("-inf")
        self.skew_s = 0.0

    def __repr__(self) -> str:
        return f"AwsCalls({self._settings.service}, {self._region})"

    async def open(self) -> None:
        """Find the keys. Raises UsageError."""
        self._credentials = await self._found()

    async def _found(self) -> AwsCredentials:
        credentials = AwsCredentials(self._source(), renewed=self._sign_with, tell=self._tell)
        self._sign_with(await credentials.open())
        return credentials

    def _source(self) -> KeySource:
        own = None
        if self._settings.endpoint == "stand-in" and self._context.stand_in is not None:
            own = stand_in_keys(Path(self._context.stand_in.aws_file))
        return key_source(self._settings.key_variables, self._settings.profile, os.environ, own)

    def _sign_with(self, keys: AwsKeys) -> None:
        service = self._settings.service
        self._signer = Signer(keys.access_key, keys.secret, keys.session_token, self._region, service)
        self._shape = self._signer.prepare("POST", self._path, self._query, self._fields)

    # -- requests --------------------------------------------------------------------------------------------------

    def headers(self, body: bytes, now_s: float) -> bytes:
        """Return a request's head, from its request line to its empty line, signed for ``now_s`` (s since epoch)."""
        assert self._shape is not None, "open() comes first"
        return b"%b%bContent-Length: %d\r\n\r\n" % (self._start, self._shape.lines(body, now_s), len(body))

    def request(self, body: bytes) -> bytes | list[bytes]:
        """Return a whole request, signed now. ``open`` comes first."""
        now_s = time.time() + self.skew_s
        size = len(body)
        if size > _ONE_PIECE:
            return [self.headers(body, now_s), body]
        lines = self._shape.lines(body, now_s)  # type: ignore[union-attr]  # one frame less a call than by _whole
        return b"%b%bContent-Length: %d\r\n\r\n%b" % (self._start, lines, size, body)

    def _whole(self, body: bytes, now_s: float) -> bytes:
        assert self._shape is not None, "open() comes first"
        return b"%b%bContent-Length: %d\r\n\r\n%b" % (self._start, self._shape.lines(body, now_s), len(body), body)

    def whole(self, body: bytes, fields: Sequence[tuple[str, str]] | None = None) -> bytes:
        """Return a whole request, signed now, in one piece: what ``H1Sender.ask`` takes. ``fields`` replace the usual.

        The usual ones are those that this was made with.
        """
        now_s = time.time() + self.skew_s
        if fields is None:
            return self._whole(body, now_s)
        assert self._signer is not None, "open() comes first"
        all_fields = [("Host", self._host), *fields]
        lines = sign(self._signer, "POST", self._path, self._query, all_fields, body, now_s)
        return b"%b%bContent-Length: %d\r\n\r\n%b" % (self._line_and(all_fields), lines, len(body), body)

    def _line_and(self, fields: Sequence[tuple[str, str]]) -> bytes:
        """Return the request line and the lines of fields."""
        target = self._path + (f"?{self._query}" if self._query else "")
        lines = "".join(f"{name}: {value}\r\n" for name, value in fields)
        return f"POST {target} HTTP/1.1\r\n{lines}".encode()

    # -- what errors say of the sender -----------------------------------------------------------------------------

    def meaning(self, status: int, code: str, head: Head) -> Answer:
        """Return what an error means; look for new keys, set the clock right, where it says so.

        ``code`` is as ``aws_errors.plain_code`` gives it.
        """
        if code in EXPIRED:
            self._find_keys()
        elif code in SIGNATURE and self._corrected(head):
            return Answer.REFUSED
        return meaning(status, code)

    def _corrected(self, head: Head) -> bool:
        """Take the service's clock for ours if that is why a signature was refused; say whether it was."""
        said = head.get(b"date")
        try:
            theirs_s = parsedate_to_datetime((said or b"").decode("ascii", "replace")).timestamp()
        except ValueError:
            return False
        if abs(theirs_s - time.time() - self.skew_s) > LARGEST_SKEW_S:
            self.skew_s = theirs_s - time.time()
            self._tell(f"this machine's clock is {-self.skew_s:+.0f} s off AWS's: requests are signed for AWS's time")
            return True
        # Signed before the clock was corrected, and answered after.
        return abs(self.skew_s) > LARGEST_SKEW_S

    def _find_keys(self) -> None:
        """Look for newer keys, from the beginning of the chain: the service says that those in use have expired."""
        now_s = time.monotonic()
        if self._looking is None and now_s - self._looked_s >= FIND_KEYS_EVERY_S:
            self._looked_s = now_s
            self._looking = asyncio.create_task(self._find_newer())
            self._looking.add_done_callback(self._looked)

    async def _find_newer(self) -> None:
        before = self._credentials
        try:
            self._credentials = await self._found()
        except BurstError as error:
            self._tell(f"AWS calls the credentials expired, and there are no others: {error.what}")
            return
        if before is not None:
            await before.close()

    def _looked(self, task: asyncio.Task[None]) -> None:
        self._looking = None
        if not task.cancelled():
            task.result()

    async def close(self) -> None:
        """Renew no more. Safe to call twice."""
        looking, self._looking = self._looking, None
        if looking is not None:
            looking.cancel()
            await asyncio.wait([looking])
        credentials, self._credentials = self._credentials, None
        if credentials is not None:
            await credentials.close()


def stand_in_keys(file: Path) -> AwsKeys:
    """Return the keys that let a sink into the run's stand-in. Raises UsageError, which tells none of them."""
    parser = configparser.RawConfigParser()
    why = ""
    try:
        parser.read_string(file.read_text(encoding="utf-8"))
        section = parser["default"]
        key, secret = section["aws_access_key_id"], Secret(section["aws_secret_access_key"])
    except (OSError, UnicodeDecodeError, configparser.Error, KeyError) as error:
        why = type(error).__name__
    # Raised out here: what was caught may quote the file's lines.
    if why:
        raise UsageError(f"the stand-in's AWS keys cannot be read ({why})", hint="does it speak sqs or sns?")
    return checked_keys(key, secret.reveal(), section.get("aws_session_token"), float("inf"), "the stand-in")
