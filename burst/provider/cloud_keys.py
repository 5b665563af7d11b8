"""What clients of the clouds must show a stand-in: an AWS access key, a Google service account, worth nothing else."""

from __future__ import annotations

import configparser
import json
import os
import secrets
from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from burst.model.errors import BurstError

AWS_FILE, GOOGLE_FILE = "aws-credentials", "service-account.json"
PROJECT = "burst-rehearsal"
_ID_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"


def aws_credentials(folder: Path) -> Path:
    """Return a shared credentials file with one key pair (profile ``default``), made unless it is there.

    Raises BurstError.
    """
    path = folder / AWS_FILE
    if not path.exists():
        access_key = "AKIA" + "".join(secrets.choice(_ID_LETTERS) for _ in range(16))
        secret = secrets.token_urlsafe(30)
        text = f"[default]\naws_access_key_id = {access_key}\naws_secret_access_key = {secret}\n"
        _write_private(path, text.encode())
    return path


def read_aws_credentials(path: Path) -> tuple[str, str]:
    """Return the access key id and the secret of a file of ``aws_credentials``. Raises BurstError."""
    parser = configparser.ConfigParser()
    try:
        parser.read_string(path.read_text(encoding="utf-8"))
        section = parser["default"]
        return section["aws_access_key_id"], section["aws_secret_access_key"]
    except (OSError, UnicodeDecodeError, configparser.Error, KeyError):
        raise BurstError(f"{path} holds no AWS credentials", hint="remove it and others are made") from None


def google_account(folder: Path, token_uri: str) -> Path:
    """Return a service-account file whose tokens come from ``token_uri``; its key is kept from one call to the next.

    Raises BurstError.
    """
    path = folder / GOOGLE_FILE
    account: dict[str, str] = {}
    if path.exists():
        try:
            account = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            raise BurstError(f"{path} holds no service account", hint="remove it and another is made") from None
        if account.get("token_uri") == token_uri:
            return path
        path.unlink()
    if "private_key" not in account:
        key = rsa.generate_private_key(public_exponent=65_537, key_size=2048)
        pem = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        email = f"burst@{PROJECT}.iam.gserviceaccount.com"
        account = {
            "type": "service_account",
            "project_id": PROJECT,
            "private_key_id": secrets.token_hex(20),
            "private_key": pem.decode(),
            "client_email": email,
            "client_id": str(secrets.randbelow(10**20)).zfill(21),
            "auth_uri": token_uri.removesuffix("/token") + "/auth",
        }
    account["token_uri"] = token_uri
    _write_private(path, json.dumps(account, indent=2).encode())
    return path


def _write_private(path: Path, content: bytes) -> None:
    """Write a new file that nobody else can read, not even for a moment."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except OSError as error:
        raise BurstError(f"{path}: {error.strerror}", hint="is the folder one's own to write to?") from None
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
