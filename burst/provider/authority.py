"""A certificate authority of one's own, for a rehearsal: server, client and signing keys that live for days.

What it mints is worth nothing elsewhere: no system trusts its CA, and Apple knows none of its keys.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from burst.model.errors import BurstError

#: Ten characters each, as Apple's are.
KEY_ID = "BURSTKEY01"
TEAM_ID = "BURSTTEAM1"
_LOOPBACK = ("localhost", "127.0.0.1", "::1")
_CLOCKS_APART = timedelta(hours=1)  # a client whose clock is behind must not find the certificate too young


@dataclass(frozen=True, slots=True)
class Authority:
    """Paths of what was minted, all in one folder; private files are readable by their owner only.

    Attributes
    ----------
    ca, certificate, client_certificate, p8_public : PEM, public
    key, client_key, p8 : PEM (PKCS #8, unencrypted), private; ``p8`` signs provider tokens (ES256)
    key_id, team_id : what such a provider token says as ``kid`` and ``iss``
    """

    ca: Path
    certificate: Path
    key: Path
    client_certificate: Path
    client_key: Path
    p8: Path
    p8_public: Path
    key_id: str = KEY_ID
    team_id: str = TEAM_ID

    @classmethod
    def create(
        cls, folder: Path, *, names: Sequence[str] = (), topic: str = "com.example.burst", days: int = 7
    ) -> Authority:
        """Mint everything into ``folder``, made if it is not there; what is there already is not overwritten.

        ``names`` are host names and addresses of the server beside localhost, 127.0.0.1 and ::1; ``topic`` is the
        client certificate's user id, as Apple has it.

        Raises
        ------
        BurstError
            the folder cannot be written, or holds an authority already
        """
        made: Authority = cls._in(folder)
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            made._mint([*_LOOPBACK, *names], topic, timedelta(days=days))
        except OSError as error:
            raise BurstError(
                f"{error.filename}: {error.strerror}", hint="an authority wants a folder of its own to write to"
            ) from error
        return made

    @classmethod
    def obtain(cls, folder: Path, *, names: Sequence[str] = (), topic: str = "com.example.burst") -> Authority:
        """Return the authority that ``folder`` holds, or mint one there.

        Raises
        ------
        BurstError
            it has ended, is not good for all of ``names``, is not whole, or the folder cannot be written
        """
        found = cls._in(folder)
        files: list[Path] = [found.ca, found.certificate, found.key, found.client_certificate, found.client_key]
        files += [found.p8, found.p8_public]
        there = [path for path in files if path.exists()]
        if not there:
            return cls.create(folder, names=names, topic=topic)
        hint = f"remove {folder} and another is made"
        missing = [path.name for path in files if path not in there]
        if missing:
            raise BurstError(f"{folder} holds a part of an authority only: no {', '.join(missing)}", hint=hint)
        try:
            certificate = x509.load_pem_x509_certificate(found.certificate.read_bytes())
            alternatives = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        except (OSError, ValueError, x509.ExtensionNotFound) as error:
            raise BurstError(f"{found.certificate}: no certificate of burst's ({error})", hint=hint) from None
        if certificate.not_valid_after_utc <= datetime.now(UTC):
            raise BurstError(f"the certificates in {folder} have ended", hint=hint)
        strange = [
            name
            for name, wanted in zip(dict.fromkeys(names), _alternatives(names), strict=True)
            if wanted not in alternatives
        ]
        if strange:
            raise BurstError(f"the certificate in {folder} is not good for {', '.join(strange)}", hint=hint)
        return found

    @classmethod
    def _in(cls, folder: Path) -> Authority:
        return cls(
            ca=folder / "ca.pem",
            certificate=folder / "server.pem",
            key=folder / "server.key",
            client_certificate=folder / "client.pem",
            client_key=folder / "client.key",
            p8=folder / f"AuthKey_{KEY_ID}.p8",
            p8_public=folder / f"AuthKey_{KEY_ID}.pem",
        )

    def _mint(self, names: Sequence[str], topic: str, lifetime: timedelta) -> None:
        root_key = ec.generate_private_key(ec.SECP256R1())
        root_name = _named("burst rehearsal CA")
        root = (
            _certificate(root_name, root_name, root_key.public_key(), lifetime)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(_key_usage(authority=True), critical=True)
            .sign(root_key, hashes.SHA256())
        )
        # The CA's own key is never written: once these are minted, nobody can mint more.
        _write(self.ca, root.public_bytes(serialization.Encoding.PEM), private=False)
        leaves = (
            (self.certificate, self.key, _named("burst stand-in provider"), ExtendedKeyUsageOID.SERVER_AUTH, names),
            (self.client_certificate, self.client_key, _named(topic, topic), ExtendedKeyUsageOID.CLIENT_AUTH, ()),
        )
        for certificate_path, key_path, subject, usage, hosts in leaves:
            key = ec.generate_private_key(ec.SECP256R1())
            builder = (
                _certificate(subject, root_name, key.public_key(), lifetime)
                .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
                .add_extension(_key_usage(authority=False), critical=True)
                .add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
                .add_extension(
                    x509.AuthorityKeyIdentifier.from_issuer_public_key(root_key.public_key()), critical=False
                )
            )
            if hosts:
                builder = builder.add_extension(x509.SubjectAlternativeName(_alternatives(hosts)), critical=False)
            _write(
                certificate_path,
                builder.sign(root_key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM),
                private=False,
            )
            _write(key_path, _private_pem(key), private=True)
        signing_key = ec.generate_private_key(ec.SECP256R1())
        _write(self.p8, _private_pem(signing_key), private=True)
        public = signing_key.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        _write(self.p8_public, public, private=False)


def _certificate(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, lifetime: timedelta
) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _CLOCKS_APART)
        .not_valid_after(now + lifetime)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
    )


def _named(common_name: str, user_id: str = "") -> x509.Name:
    attributes = [x509.NameAttribute(NameOID.COMMON_NAME, common_name[:64])]  # X.520: at most 64 characters
    if user_id:
        attributes.append(x509.NameAttribute(NameOID.USER_ID, user_id))
    return x509.Name(attributes)


def _alternatives(names: Sequence[str]) -> list[x509.GeneralName]:
    alternatives: list[x509.GeneralName] = []
    for name in dict.fromkeys(names):
        try:
            alternatives.append(x509.IPAddress(ip_address(name)))
        except ValueError:
            alternatives.append(x509.DNSName(name))
    return alternatives


def _key_usage(*, authority: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not authority,
        key_cert_sign=authority,
        crl_sign=authority,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _private_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _write(path: Path, content: bytes, *, private: bool) -> None:
    """Write a new file; a private one is never readable by others, not even for a moment."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600 if private else 0o644)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
