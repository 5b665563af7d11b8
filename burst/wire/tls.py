"""TLS settings: verification always on, ALPN h2 unless others are named, TLS 1.2 at least (RFC 9113, section 9.2)."""

from __future__ import annotations

import ssl
from collections.abc import Sequence
from pathlib import Path

from burst.model.errors import UsageError


def client_context(
    ca_file: str = "", certificate: str = "", key: str = "", *, protocols: Sequence[str] = ("h2",)
) -> ssl.SSLContext:
    """Return a context that verifies the server, by the system's authorities or by ``ca_file`` alone.

    ``certificate`` (and ``key``, where it is a file of its own) is shown for mutual TLS; ``protocols`` are offered
    (ALPN). Raises UsageError.
    """
    try:
        context = ssl.create_default_context(cafile=ca_file or None)
    except (OSError, ssl.SSLError) as error:
        raise UsageError(f"CA file {ca_file}: {_reason(error)}", hint="it must be PEM certificates") from None
    _harden(context, protocols)
    if certificate:
        _load(context, certificate, key)
    return context


def server_context(
    certificate: str, key: str, client_ca: str = "", *, demand: bool = False, protocols: Sequence[str] = ("h2",)
) -> ssl.SSLContext:
    """Return a server's context; with ``client_ca`` it asks clients for a certificate, with ``demand`` it insists.

    Raises UsageError.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    _harden(context, protocols)
    _load(context, certificate, key)
    if client_ca:
        try:
            context.load_verify_locations(client_ca)
        except (OSError, ssl.SSLError) as error:
            raise UsageError(f"CA file {client_ca}: {_reason(error)}", hint="it must be PEM certificates") from None
        context.verify_mode = ssl.CERT_REQUIRED if demand else ssl.CERT_OPTIONAL
    return context


def _harden(context: ssl.SSLContext, protocols: Sequence[str]) -> None:
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(list(protocols))
    context.options |= ssl.OP_NO_COMPRESSION


def _load(context: ssl.SSLContext, certificate: str, key: str) -> None:
    try:
        # Without a password callback OpenSSL would ask on the terminal for an encrypted key.
        context.load_cert_chain(certificate, key or None, password=lambda: b"")
    except (OSError, ssl.SSLError) as error:
        files = certificate if not key else f"{certificate} with {key}"
        missing = next((path for path in (certificate, key) if path and not Path(path).is_file()), "")
        hint = f"{missing} does not exist" if missing else "PEM, the key without a password, certificate and key a pair"
        raise UsageError(f"certificate {files}: {_reason(error)}", hint=hint) from None


def _reason(error: OSError) -> str:
    return str(getattr(error, "reason", "") or error.strerror or "cannot be read")
