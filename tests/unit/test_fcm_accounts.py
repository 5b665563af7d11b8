"""Service accounts: read, or told what they are instead; their keys and assertions are told to nobody."""

import json
import pickle
import traceback

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from google.auth import crypt, jwt

from burst.model.errors import UsageError
from burst.model.secret import Secret
from burst.sinks.google_account import ServiceAccount
from tests.e2e.fcm_google import PRIVATE, PUBLIC

GOOD = {
    "type": "service_account",
    "project_id": "demo",
    "private_key_id": "k1",
    "private_key": PRIVATE,
    "client_email": "a@demo.iam.gserviceaccount.com",
    "token_uri": "https://oauth2.googleapis.com/token",
}
ELLIPTIC = (
    ec.generate_private_key(ec.SECP256R1())
    .private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    .decode()
)


def read(**other) -> ServiceAccount:
    fields = {name: value for name, value in (GOOD | other).items() if value is not None}
    return ServiceAccount.read(Secret(json.dumps(fields).encode()))


def test_an_account_is_read():
    made = read()
    assert (made.email, made.key_id, made.project) == ("a@demo.iam.gserviceaccount.com", "k1", "demo")
    assert made.token_uri == "https://oauth2.googleapis.com/token"
    assert read(token_uri=None).token_uri == "https://oauth2.googleapis.com/token"
    assert read(project_id=None).project == ""


def test_an_assertion_is_what_googles_own_library_makes():
    made = read()
    assertion = made.assertion("the scope", 1_700_000_000.9).reveal()
    claims = {
        "iss": made.email,
        "scope": "the scope",
        "aud": made.token_uri,
        "iat": 1_700_000_000,
        "exp": 1_700_003_600,
    }
    theirs = jwt.encode(crypt.RSASigner.from_string(PRIVATE, "k1"), claims).decode()
    header, said, signature = assertion.split(".")
    assert jwt.decode_header(assertion) == jwt.decode_header(theirs)
    assert jwt.decode(assertion, verify=False) == jwt.decode(theirs, verify=False) == claims
    signed = f"{header}.{said}".encode()
    assert crypt.RSAVerifier.from_string(PUBLIC).verify(signed, jwt._helpers.padded_urlsafe_b64decode(signature))


WRONG = {
    "nothing": ("", "not the JSON of one"),
    "a list": ("[]", "not the JSON of one"),
    "a key": (PRIVATE, "a bare private key"),
    "a login": (json.dumps({"type": "authorized_user"}), "the login of a person"),
    "a federation": (json.dumps({"type": "external_account"}), "a federated identity"),
    "a web app": (json.dumps({"web": {}}), "something else"),
    "no email": (json.dumps(GOOD | {"client_email": ""}), "no client_email"),
    "no key": (json.dumps({k: v for k, v in GOOD.items() if k != "private_key"}), "no private_key"),
    "damaged": (json.dumps(GOOD | {"private_key": PRIVATE.replace("M", "N")}), "no RSA key"),
    "elliptic": (json.dumps(GOOD | {"private_key": ELLIPTIC}), "no RSA key"),
    "plain text": (json.dumps(GOOD | {"token_uri": "http://example.com/token"}), "does not travel in plain text"),
    "no url": (json.dumps(GOOD | {"token_uri": "oauth2.googleapis.com"}), "no URL"),
    "a user": (json.dumps(GOOD | {"token_uri": "https://me:it@x/token"}), "no URL"),
    "a line": (json.dumps(GOOD | {"token_uri": "https://x/a\r\nb: c"}), "no URL"),
}


@pytest.mark.parametrize(("text", "told"), WRONG.values(), ids=WRONG)
def test_what_is_no_account_is_told_what_it_is_and_the_key_is_not_told(text, told):
    with pytest.raises(UsageError) as caught:
        ServiceAccount.read(Secret(text.encode()))
    assert told in caught.value.what
    shown = "".join(traceback.TracebackException.from_exception(caught.value).format())
    frames = [frame for frame, _ in traceback.walk_tb(caught.value.__traceback__)][1:]
    shown += "".join(repr(value) for frame in frames for value in frame.f_locals.values())
    for line in PRIVATE.splitlines()[1:-1]:
        assert line not in shown
    assert caught.value.__context__ is None


def test_loopback_may_be_asked_in_plain_text():
    for host in ("127.0.0.1:9", "localhost", "[::1]:9"):
        assert read(token_uri=f"http://{host}/token").token_uri == f"http://{host}/token"


def test_an_account_is_neither_told_nor_pickled():
    made = read()
    for line in PRIVATE.splitlines()[1:-1]:
        assert line not in repr(made)
    with pytest.raises(TypeError):
        pickle.dumps(made.key)
