"""What the authority mints is trusted by whoever trusts its CA, and by nobody else."""

import ssl
import stat
import threading
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_pem_private_key, load_pem_public_key

from burst.model.errors import BurstError
from burst.provider.authority import Authority


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    return Authority.create(tmp_path_factory.mktemp("authority") / "ca", names=["push.test", "192.0.2.7"])


def shake_hands(server: ssl.SSLContext, client: ssl.SSLContext, name: str) -> tuple[ssl.SSLObject, ssl.SSLObject]:
    """Let two ends shake hands over memory and exchange a word; raises what either raises."""
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    ends = [
        client.wrap_bio(to_client, to_server, server_hostname=name),
        server.wrap_bio(to_server, to_client, server_side=True),
    ]
    waiting = list(ends)
    for _ in range(20):
        for end in list(waiting):
            try:
                end.do_handshake()
                waiting.remove(end)
            except ssl.SSLWantReadError:
                pass
    assert not waiting
    ends[0].write(b"hello")
    assert ends[1].read(5) == b"hello"
    return ends[0], ends[1]


def server_context(authority: Authority, *, mutual: bool = False) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=authority.ca if mutual else None)
    context.load_cert_chain(authority.certificate, authority.key)
    if mutual:
        context.verify_mode = ssl.CERT_REQUIRED
    return context


def client_context(authority: Authority, *, certificate: bool = False) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=authority.ca)
    context.verify_flags |= ssl.VERIFY_X509_STRICT  # the default from Python 3.13 on
    if certificate:
        context.load_cert_chain(authority.client_certificate, authority.client_key)
    return context


@pytest.mark.parametrize("name", ["localhost", "127.0.0.1", "::1", "push.test", "192.0.2.7"])
def test_a_client_that_trusts_the_ca_verifies_the_server_by_each_of_its_names(authority, name):
    shake_hands(server_context(authority), client_context(authority), name)


def test_a_name_that_was_not_asked_for_is_refused(authority):
    with pytest.raises(ssl.SSLCertVerificationError, match="mismatch"):
        shake_hands(server_context(authority), client_context(authority), "api.push.apple.com")


def test_a_client_that_trusts_the_system_alone_refuses(authority):
    with pytest.raises(ssl.SSLCertVerificationError):
        shake_hands(server_context(authority), ssl.create_default_context(), "localhost")


def test_mutual_tls_lets_its_own_client_in(authority):
    _, server = shake_hands(
        server_context(authority, mutual=True), client_context(authority, certificate=True), "localhost"
    )
    subject = {key: value for ((key, value),) in server.getpeercert()["subject"]}
    assert subject == {"commonName": "com.example.burst", "userId": "com.example.burst"}


def test_mutual_tls_keeps_out_a_client_without_a_certificate(authority):
    with pytest.raises(ssl.SSLError, match=r"(?i)did not return a certificate"):
        shake_hands(server_context(authority, mutual=True), client_context(authority), "localhost")


def test_mutual_tls_keeps_out_another_authoritys_client(authority, tmp_path):
    other = Authority.create(tmp_path)
    stranger = ssl.create_default_context(cafile=authority.ca)
    stranger.load_cert_chain(other.client_certificate, other.client_key)
    with pytest.raises(ssl.SSLError, match=r"(?i)verify failed"):
        shake_hands(server_context(authority, mutual=True), stranger, "localhost")


def test_a_server_certificate_is_no_client_certificate(authority):
    pretender = ssl.create_default_context(cafile=authority.ca)
    pretender.load_cert_chain(authority.certificate, authority.key)
    with pytest.raises(ssl.SSLError, match=r"(?i)verify failed"):
        shake_hands(server_context(authority, mutual=True), pretender, "localhost")


def test_private_files_are_their_owners_alone_and_the_cas_key_is_nowhere(authority):
    private = {authority.key, authority.client_key, authority.p8}
    holds_key = {path for path in authority.ca.parent.iterdir() if b"PRIVATE KEY" in path.read_bytes()}
    assert holds_key == private
    assert all(stat.S_IMODE(path.stat().st_mode) == 0o600 for path in private)
    assert stat.S_IMODE(authority.ca.parent.stat().st_mode) == 0o700
    ca = x509.load_pem_x509_certificate(authority.ca.read_bytes())
    for path in private:
        assert load_pem_private_key(path.read_bytes(), None).public_key() != ca.public_key()


def test_what_it_mints_is_short_lived(authority):
    for path in (authority.ca, authority.certificate, authority.client_certificate):
        certificate = x509.load_pem_x509_certificate(path.read_bytes())
        left = certificate.not_valid_after_utc - datetime.now(UTC)
        assert timedelta(days=6) < left <= timedelta(days=7)


def test_the_signing_pair_belongs_together(authority):
    public = load_pem_public_key(authority.p8_public.read_bytes())
    assert load_pem_private_key(authority.p8.read_bytes(), None).public_key() == public
    assert public.curve.name == "secp256r1"
    assert len(authority.key_id) == len(authority.team_id) == 10


def test_an_authority_that_exists_is_not_overwritten(authority):
    before = authority.ca.read_bytes()
    with pytest.raises(BurstError, match=r"ca\.pem: File exists"):
        Authority.create(authority.ca.parent)
    assert authority.ca.read_bytes() == before


def test_a_handshake_over_a_real_socket(authority):
    import socket

    client_end, server_end = socket.socketpair()
    received = []

    def serve() -> None:
        with server_context(authority, mutual=True).wrap_socket(server_end, server_side=True) as tls:
            received.append(tls.recv(5))
            tls.sendall(b"there")

    thread = threading.Thread(target=serve)
    thread.start()
    with client_context(authority, certificate=True).wrap_socket(client_end, server_hostname="localhost") as tls:
        tls.sendall(b"hello")
        assert tls.recv(5) == b"there"
    thread.join(30)
    assert received == [b"hello"]
