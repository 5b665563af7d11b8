"""Who may call a stand-in of AWS: its own key pair alone, anybody who signs in good form, or anybody at all."""

from __future__ import annotations

import re
from pathlib import Path

from burst.model.secret import Secret
from burst.provider.cloud_keys import read_aws_credentials
from burst.wire.h1_server import Request
from burst.wire.sigv4_verify import KeyPair, Ready, Refusal, Verifier

_GOOD_FORM = re.compile(
    rb"AWS4-HMAC-SHA256 Credential=[^/,\s]+/[0-9]{8}/[^/,\s]+/[^/,\s]+/aws4_request, *"
    rb"SignedHeaders=[^,\s]+, *Signature=[0-9a-f]{64}"
).fullmatch
_MISSING = "Request is missing Authentication Token"


class AwsAuth:
    """Checks the calls of one service. ``auth`` is as in the behaviour file: signature, any, none."""

    def __init__(self, service: str, auth: str, aws_file: str) -> None:
        """Read the keys. Raises BurstError when there are none to check by."""
        self._auth = auth
        self._verifier: Verifier | None = None
        if auth == "signature":
            access_key, secret = read_aws_credentials(Path(aws_file))
            self._verifier = Verifier(service, None, {access_key: KeyPair(Secret(secret))})

    def ready(self, request: Request) -> Ready | None:
        """Return what is remembered of calls with this one's head; None where signatures are not checked."""
        if self._verifier is None:
            return None
        return self._verifier.ready(request.method, request.target, request.fields)

    def fault(self, request: Request, now_s: float, *, json: bool = False) -> Refusal | None:
        """Return what AWS would say against a call, None if nothing; ``now_s`` is seconds since the epoch.

        ``json`` asks for the names that JSON services give their errors.
        """
        if self._verifier is not None:
            return self._verifier.verify(request.method, request.target, request.fields, request.body, now_s, json=json)
        if self._auth == "none" or _GOOD_FORM(request.fields.get(b"authorization", b"")):
            return None
        code = "MissingAuthenticationToken"
        return Refusal(f"{code}Exception" if json else code, _MISSING, 403, code)
