"""When to dial again after a dial that failed, and what to tell of it."""

from __future__ import annotations

import asyncio
import random
import ssl

DIAL_WITHIN_S = 15.0  # TCP and TLS together
FIRST_BACKOFF_S = 0.1
LONGEST_BACKOFF_S = 10.0


class WrongProtocolError(ConnectionError):
    """TLS stands, and what the server speaks over it is not what we speak."""


#: What the next attempt will not mend: whoever waits for the first connection need not wait for another.
LASTING = (ssl.SSLCertVerificationError, PermissionError, WrongProtocolError)


class Redial:
    """Lets the dials of one pool begin: after failures with full jitter, and never two of those within a gap."""

    def __init__(self, gap_s: float) -> None:
        self._gap_s = gap_s
        self._next_s = 0.0
        self._random = random.Random()  # noqa: S311 (jitter)

    async def back_off(self, failures: int) -> None:
        """Wait as long as so many failures in a row ask for, which for none is not at all."""
        if failures:
            ceiling = min(LONGEST_BACKOFF_S, FIRST_BACKOFF_S * 2 ** min(failures - 1, 10))
            await asyncio.sleep(self._random.uniform(0, ceiling))

    async def turn(self) -> None:
        """Wait until no other dial has begun within the gap."""
        loop = asyncio.get_running_loop()
        begins_s = max(loop.time(), self._next_s)
        self._next_s = begins_s + self._gap_s
        await asyncio.sleep(begins_s - loop.time())


def reason_of(error: BaseException) -> str:
    """Return why a dial failed, in a few words."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not to be trusted: {error.verify_message}"
    if isinstance(error, TimeoutError) and not str(error):
        return "no answer in time"
    text = getattr(error, "strerror", None) or str(error)
    return str(text) or type(error).__name__


def advice_on(error: BaseException | None, speaks: str) -> str:
    """Return what to look at after a dial that failed; ``speaks`` is the protocol that was to be spoken."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return "name its authority with ca_file, or use the host name that its certificate is for"
    if isinstance(error, ssl.SSLError) and "CERTIFICATE" in (error.reason or ""):
        return "it asks for a client certificate that it trusts: see certificate and certificate_key"
    if isinstance(error, ssl.SSLError):
        return "does it speak TLS there? for plain text write http:// in endpoint"
    if isinstance(error, ConnectionRefusedError):
        return "does anything listen there? check endpoint"
    if isinstance(error, PermissionError):
        return "what a run may reach is decided before it begins"
    return f"does it speak {speaks} there? for plain text write http://, for TLS https://"
