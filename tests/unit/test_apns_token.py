"""Provider tokens: what PyJWT, which we did not write, verifies; and keys that are none say so without being told."""

import json
import pickle
import traceback
from base64 import urlsafe_b64decode

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from burst.model.errors import UsageError
from burst.model.secret import Secret
from burst.sinks.apns_token import SigningKey, mint

PKCS8, TRADITIONAL = PrivateFormat.PKCS8, PrivateFormat.TraditionalOpenSSL
KEY = ec.generate_private_key(ec.SECP256R1())
P8 = KEY.private_bytes(Encoding.PEM, PKCS8, NoEncryption())
SIGNING = "burst/sinks/apns_token.py"
NOW_S = 1_700_000_000
NO_EXPIRY_CHECK = {"verify_iat": False}


def of(key, form=PKCS8, password=b"") -> bytes:
    return key.private_bytes(Encoding.PEM, form, BestAvailableEncryption(password) if password else NoEncryption())


@given(st.text(min_size=1, max_size=20), st.text(min_size=1, max_size=20), st.floats(0, 2**33))
@settings(max_examples=50)
def test_a_minted_token_is_verified_by_another_library(key_id, team_id, now_s):
    token = mint(SigningKey.load(P8), key_id, team_id, now_s)
    claims = jwt.decode(token, KEY.public_key(), algorithms=["ES256"], options=NO_EXPIRY_CHECK)
    assert claims == {"iss": team_id, "iat": int(now_s)}
    assert jwt.get_unverified_header(token) == {"alg": "ES256", "kid": key_id}


def test_another_keys_token_is_not_verified():
    stranger = SigningKey.load(of(ec.generate_private_key(ec.SECP256R1())))
    with pytest.raises(jwt.InvalidSignatureError):
        jwt.decode(mint(stranger, "K", "T", NOW_S), KEY.public_key(), algorithms=["ES256"], options=NO_EXPIRY_CHECK)


def test_a_token_is_three_parts_of_url_safe_base64_without_padding():
    key = SigningKey.load(P8)
    for now_s in range(NOW_S, NOW_S + 200):  # r or s begins with a zero byte once in 128: it is padded to 32
        token = mint(key, "ABC123DEFG", "DEF123GHIJ", now_s)
        assert set(token) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.")
        header, claims, signature = (urlsafe_b64decode(part + "=" * (-len(part) % 4)) for part in token.split("."))
        assert json.loads(header) == {"alg": "ES256", "kid": "ABC123DEFG"}
        assert json.loads(claims) == {"iss": "DEF123GHIJ", "iat": now_s}
        assert len(signature) == 64


@pytest.mark.parametrize(
    "pem", [P8, of(KEY, TRADITIONAL), b"\n# a comment\n" + P8, P8.replace(b"\n", b"\r\n"), P8.strip()]
)
def test_a_p256_key_is_read_however_it_is_wrapped(pem):
    for given_as in (pem, Secret(pem)):
        assert mint(SigningKey.load(given_as), "K", "T", NOW_S)


BODY = P8.splitlines()[1]
CERTIFICATE = b"-----BEGIN CERTIFICATE-----\n" + BODY + b"\n-----END CERTIFICATE-----\n"
WRONG = {
    "empty": (b"", "is not PEM", "first and last line"),
    "a file's name": (b"/home/me/AuthKey_ABC123DEFG.p8", "is not PEM", "the file's name"),
    "no frame": (b"".join(P8.splitlines()[1:-1]), "is not PEM", "first and last line"),
    "DER": (KEY.private_bytes(Encoding.DER, PKCS8, NoEncryption()), "is not PEM", "first and last line"),
    "line ends lost": (P8.replace(b"\n", b"\\n"), "damaged", "line ends"),
    "half": (P8[: len(P8) // 2] + b"\n-----END PRIVATE KEY-----\n", "damaged", "line ends"),
    "torn": (P8.replace(BODY[10:20], b"AAAAAAAAAA"), "damaged", ".p8 file"),
    "encrypted": (of(KEY, password=b"pw"), "encrypted", "openssl pkcs8"),
    "encrypted the old way": (of(KEY, TRADITIONAL, b"pw"), "encrypted", "openssl pkcs8"),
    "RSA": (of(rsa.generate_private_key(65537, 2048)), "is an RSA key", ".p8 file"),
    "Ed25519": (of(ed25519.Ed25519PrivateKey.generate()), "is an Ed25519 key", ".p8 file"),
    "P-384": (of(ec.generate_private_key(ec.SECP384R1())), "on secp384r1, not on P-256", ".p8 file"),
    "public": (
        KEY.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo),
        "not a private key",
        ".p8",
    ),
    "a certificate": (CERTIFICATE, "a certificate, not a private key", "mutual TLS"),
}


def secret_words(pem: bytes) -> list[str]:
    """Return what of a key must not be told: each line of it, shortened to what a wrapped print would show."""
    return [line.decode("latin-1")[:16] for line in pem.splitlines() if len(line) > 40 and b"-----" not in line]


@pytest.mark.parametrize("case", WRONG)
def test_a_key_that_is_none_says_what_it_is_and_what_to_do_and_is_not_told(case):
    pem, what, hint = WRONG[case]
    secret = Secret(pem)
    with pytest.raises(UsageError) as caught:
        SigningKey.load(secret)
    assert what in caught.value.what
    assert hint in caught.value.hint
    error = caught.value
    assert error.__context__ is None
    told = "".join(traceback.TracebackException.from_exception(error, capture_locals=True).format())
    assert "load" in told
    # The test's own frame holds the key; ours must not.
    ours = told[told.index(SIGNING) :]
    assert not [word for word in (*secret_words(pem), *secret_words(P8)) if word in ours or word in str(error)]


def test_a_key_given_as_bytes_is_not_in_our_frames_either():
    torn = P8.replace(BODY[10:20], b"AAAAAAAAAA")

    class Reader:
        """Hands bytes over without keeping them in its frame."""

        def load(self):
            SigningKey.load(P8.replace(BODY[10:20], b"AAAAAAAAAA"))

    with pytest.raises(UsageError) as caught:
        Reader().load()
    frames = traceback.TracebackException.from_exception(caught.value, capture_locals=True)
    told = "".join(frames.format())
    assert not [word for word in secret_words(torn) if word in told[told.index("in load") :]]


def test_neither_key_nor_token_is_in_the_frames_of_a_mint_that_fails():
    key = SigningKey.load(Secret(P8))
    numbers = KEY.private_numbers()
    with pytest.raises(TypeError) as caught:
        mint(key, {1}, "T", NOW_S)
    told = "".join(traceback.TracebackException.from_exception(caught.value, capture_locals=True).format())
    assert "SigningKey(***)" in told
    assert str(numbers.private_value) not in told
    assert not [word for word in secret_words(P8) if word in told[told.index(SIGNING) :]]


def test_a_signing_key_is_neither_told_nor_pickled():
    key = SigningKey.load(P8)
    assert f"{key} {key!r}" == "SigningKey(***) SigningKey(***)"
    with pytest.raises(TypeError):
        pickle.dumps(key)
    with pytest.raises(TypeError):
        json.dumps(key)
