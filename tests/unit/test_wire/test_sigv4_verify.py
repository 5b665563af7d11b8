"""Verifying: what botocore signs is let in, whatever was changed is not, and the errors are those of AWS."""

import math
from datetime import UTC, datetime
from email.utils import formatdate
from unittest.mock import patch

import botocore.auth
import pytest
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from burst.model.secret import Secret
from burst.wire.sigv4 import Signer, sign
from burst.wire.sigv4_canonical import canonical_path, canonical_query, canonical_value
from burst.wire.sigv4_verify import CACHED, KeyPair, Verifier

NOW = 1_700_000_000
MINUTES_15 = 15 * 60
KEY, SECRET, TOKEN = "AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", "IQoJb3JpZ2luX2VjEXAMPLE//token=="
BODY = b'{"QueueUrl": "q"}'
FIELDS = [
    ("Host", "sqs.eu-west-1.amazonaws.com"),
    ("X-Amz-Target", "AmazonSQS.SendMessageBatch"),
    ("Content-Type", "application/x-amz-json-1.0"),
]

texts = st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=12)
lines = st.text(st.characters(min_codepoint=33, max_codepoint=126, exclude_characters="/,="), min_size=1, max_size=20)
labels = st.from_regex(r"\A[a-z][a-z0-9-]{0,15}\Z")
methods = st.sampled_from(["GET", "POST", "PUT"])
paths = st.text(st.characters(min_codepoint=33, max_codepoint=0x2FF, exclude_characters="?#"), max_size=12).map(
    "/{}".format
)
queries = st.text(st.characters(min_codepoint=33, max_codepoint=126, exclude_characters="#"), max_size=12)
fields = st.dictionaries(labels.map("x-{}".format).filter(lambda name: not name.startswith("x-am")), texts, max_size=3)
times = st.integers(0, 2**33)


def received(fields, added: bytes) -> dict[bytes, bytes]:
    """Return the fields as a server gets them."""
    read = [line.split(b": ", 1) for line in added.split(b"\r\n") if line]
    return {name.lower().encode(): value.encode() for name, value in fields} | {
        name.lower(): value for name, value in read
    }


def signed(fields=FIELDS, body=BODY, token=None, at=NOW, method="POST", path="/", query="", secret=SECRET, key=KEY,
           region="eu-west-1", service="sqs") -> dict[bytes, bytes]:  # fmt: skip
    own = Signer(key, Secret(secret), Secret(token) if token else None, region, service)
    return received(fields, sign(own, method, path, query, fields, body, at))


def verifier(token=None, expires_s=math.inf, region="eu-west-1") -> Verifier:
    return Verifier("sqs", region, {KEY: KeyPair(Secret(SECRET), Secret(token) if token else None, expires_s)})


def said(fields, body=BODY, now_s=NOW, by=None, target=b"/", method=b"POST"):
    """Return the code and status in both protocols, and the message."""
    by = by or verifier()
    query, json = (by.verify(method, target, fields, body, now_s, json=json) for json in (False, True))
    assert query.message == json.message
    assert query.query_code == json.query_code == query.code
    assert SECRET not in f"{query}{json}"
    return query.code, query.status, json.code, json.status, query.message


MISMATCH = ("SignatureDoesNotMatch", 403, "InvalidSignatureException", 403)
INCOMPLETE = ("IncompleteSignature", 400, "IncompleteSignatureException", 400)
UNKNOWN = ("InvalidClientTokenId", 403, "UnrecognizedClientException", 403)
DIFFERS = (
    "The request signature we calculated does not match the signature you provided. Check your AWS Secret Access Key "
    "and signing method. Consult the service documentation for details."
)


@given(methods, paths, queries, fields, st.binary(max_size=60), lines, texts, st.none() | lines, labels, labels, times)
@settings(deadline=None)
def test_what_was_signed_is_let_in(method, path, query, fields, body, key, secret, token, region, service, second):
    own = Signer(key, Secret(secret), Secret(token) if token else None, region, service)
    everything = [("host", "h"), *fields.items()]
    got = received(everything, sign(own, method, path, query, everything, body, second))
    target = (path + (f"?{query}" if query else "")).encode()
    by = Verifier(service, region, {key: KeyPair(own._secret, own.session_token)})
    for now_s in (second, second, second - MINUTES_15, second + MINUTES_15, second + 0.5):
        assert by.verify(method.encode(), target, got, body, now_s) is None


@given(st.data(), st.binary(min_size=1, max_size=20), st.none() | st.just(TOKEN), st.booleans(), times)
@settings(max_examples=600, deadline=None)
def test_a_single_changed_byte_is_refused(data, body, token, met_before, second):
    got = signed(body=body, token=token, at=second, path="/a b/ä", query="b=1&a=2")
    parts = {"method": b"POST", "target": "/a b/ä?b=1&a=2".encode(), "body": body} | got
    name = data.draw(st.sampled_from(list(parts)))
    old = parts[name]
    place = data.draw(st.integers(0, len(old) - 1))
    new = (
        old[:place] + bytes([data.draw(st.integers(0, 255).filter(lambda byte: byte != old[place]))]) + old[place + 1 :]
    )
    if name == "target":
        assume(canonical_target(new) != canonical_target(old))
    elif isinstance(name, bytes) and name != b"authorization":  # white space of another kind is no change
        assume(canonical(new) != canonical(old))
    by = verifier(token)
    if met_before:
        assert by.verify(parts["method"], parts["target"], got, body, second) is None
    changed = parts | {name: new}
    answer = by.verify(
        changed["method"], changed["target"], {name: changed[name] for name in got}, changed["body"], second
    )
    assert answer is not None
    assert answer.status in {400, 403}


def canonical(value: bytes) -> str:
    return canonical_value(value.decode("utf-8", "surrogateescape"))


def canonical_target(target: bytes) -> tuple[str, str]:
    path, _, query = target.decode("utf-8", "surrogateescape").partition("?")
    return canonical_path(path), canonical_query(query)


@pytest.mark.parametrize("token", [None, TOKEN])
@pytest.mark.parametrize("dated", [False, True])
def test_what_botocore_signs_is_let_in(token, dated):
    request = AWSRequest("POST", "https://sqs.eu-west-1.amazonaws.com/?Action=Send&B=%20", data=BODY)
    for name, value in FIELDS + [("User-Agent", "Boto3"), ("Date", "now")][: 2 if dated else 1]:
        request.headers[name] = value
    with patch.object(botocore.auth, "get_current_datetime", lambda: datetime.fromtimestamp(NOW, UTC)):
        botocore.auth.SigV4Auth(Credentials(KEY, SECRET, token), "sqs", "eu-west-1").add_auth(request)
    got = {name.lower().encode(): value.encode() for name, value in request.headers.items()}
    assert (b"date" in got, b"x-amz-date" in got) == (dated, not dated)
    by = verifier(token)
    for _ in range(2):
        assert by.verify(b"POST", b"/?Action=Send&B=%20", got, BODY, NOW) is None
    assert by.verify(b"POST", b"/?Action=Send&B=%20", got, BODY + b" ", NOW) is not None


def test_a_request_without_a_signature_is_told_so():
    expected = ("MissingAuthenticationToken", 403, "MissingAuthenticationTokenException", 403)
    for fields in ({}, {b"authorization": b""}, {b"authorization": b"Bearer secret"}):
        assert said(fields) == (*expected, "Request is missing Authentication Token")


def test_a_broken_authorization_is_incomplete_and_not_told_back():
    for value in (
        b"AWS4-HMAC-SHA256 nonsense",
        b"AWS4-HMAC-SHA256",
        b"AWS4-HMAC-SHA256 Credential= AKID/a, Signature=b",
    ):
        *kind, message = said(signed() | {b"authorization": value})
        assert tuple(kind) == INCOMPLETE
        assert message.startswith(
            "Invalid key=value pair (missing equal-sign) in Authorization header (hashed with SHA-256"
        )
        assert "AKID" not in message
        assert "nonsense" not in message


def test_everything_that_an_authorization_lacks_is_named():
    *kind, message = said({b"authorization": b"AWS4-HMAC-SHA256 Signature="})
    assert tuple(kind) == INCOMPLETE
    assert message.startswith(
        "Authorization header requires 'Credential' parameter. Authorization header requires 'Signature' parameter. "
        "Authorization header requires 'SignedHeaders' parameter. "
        "Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header. "
    )


@pytest.mark.parametrize(
    "date", [b"", b"yesterday", b"20231114T221320", b"20231314T221320Z", b"\xff", b"99999999T999999Z"]
)
def test_a_date_that_is_none_is_incomplete(date):
    *kind, message = said(signed() | {b"x-amz-date": date})
    assert tuple(kind) == INCOMPLETE
    assert message.startswith("Date must be in ISO-8601 'basic format'. Got '")


def test_a_signature_is_good_for_15_minutes_to_both_sides():
    by, got = verifier(), signed()
    assert by.verify(b"POST", b"/", got, BODY, NOW + MINUTES_15) is None
    assert by.verify(b"POST", b"/", got, BODY, NOW - MINUTES_15) is None
    # The form: aws-sdk-go #487 (SQS), aws-sdk-android #88.
    assert said(got, now_s=NOW + MINUTES_15 + 1, by=by) == (
        *MISMATCH,
        "Signature expired: 20231114T221320Z is now earlier than 20231114T221321Z (20231114T222821Z - 15 min.)",
    )
    assert said(got, now_s=NOW - MINUTES_15 - 1, by=by) == (
        *MISMATCH,
        "Signature not yet current: 20231114T221320Z is still later than 20231114T221319Z (20231114T215819Z + 15 min.)",
    )


@pytest.mark.parametrize(
    ("name", "shown"), [(b"x-amz-target", "'x-amz-target'"), (b"x-amz-security-token", "'x-amz-security-token'")]
)
@pytest.mark.parametrize("met_before", [False, True])
def test_what_decides_over_a_request_cannot_be_added_unsigned(name, shown, met_before):
    by, got = verifier(), signed(FIELDS[:1])
    if met_before:
        assert by.verify(b"POST", b"/", got, BODY, NOW) is None
    *kind, message = said(got | {name: b"AmazonSQS.PurgeQueue"}, by=by)
    assert tuple(kind) == MISMATCH
    assert message == f"{shown} must be a 'SignedHeader' in the AWS Authorization."


def test_a_signature_without_a_host_is_refused():
    got = signed()
    value = got[b"authorization"].replace(b"host;", b"")
    assert said(got | {b"authorization": value}) == (
        *MISMATCH,
        "'Host' or ':authority' must be a 'SignedHeader' in the AWS Authorization.",
    )


def test_a_field_that_was_signed_and_is_gone_is_a_mismatch():
    got = signed()
    del got[b"content-type"]
    assert said(got) == (*MISMATCH, DIFFERS)


def test_another_algorithm_is_incomplete():
    value = signed()[b"authorization"].replace(b"SHA256 ", b"SHA512 ")
    *kind, message = said(signed() | {b"authorization": value})
    assert tuple(kind) == INCOMPLETE
    assert message == "Unsupported AWS 'algorithm': 'AWS4-HMAC-SHA512' (only AWS4-HMAC-SHA256 for now). "


def test_a_credential_of_another_shape_is_incomplete():
    value = signed()[b"authorization"].replace(b"/aws4_request", b"")
    *kind, message = said(signed() | {b"authorization": value})
    assert tuple(kind) == INCOMPLETE
    assert message.endswith("e.g. keyid/date/region/service/term, got 'AKIDEXAMPLE/20231114/eu-west-1/sqs'")


def test_all_that_is_wrong_with_a_scope_is_told_at_once():
    value = signed()[b"authorization"].replace(b"20231114/eu-west-1/sqs/aws4_request", b"20231113/mars-1/sns/aws5")
    *kind, message = said(signed() | {b"authorization": value})
    assert tuple(kind) == MISMATCH
    assert message == (
        "Credential should be scoped to a valid region, not 'mars-1'. "
        "Credential should be scoped to correct service: 'sqs'. "
        "Credential should be scoped with a valid terminator: 'aws4_request', not 'aws5'. "
        "Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP: "
        "'20231113' != '20231114', from '20231114T221320Z'."
    )


def test_a_verifier_of_no_region_takes_any_but_checks_that_it_was_signed():
    by = verifier(region=None)
    got = signed(region="mars-1")
    assert by.verify(b"POST", b"/", got, BODY, NOW) is None
    other = got | {b"authorization": got[b"authorization"].replace(b"mars-1", b"mars-2")}
    assert said(other, by=by) == (*MISMATCH, DIFFERS)


def test_an_unknown_key_and_a_wrong_secret_are_told_apart():
    assert said(signed(key="AKIDOTHER")) == (*UNKNOWN, "The security token included in the request is invalid.")
    assert said(signed(secret="another")) == (*MISMATCH, DIFFERS)


@pytest.mark.parametrize(("known", "sent"), [(TOKEN, None), (None, TOKEN), (TOKEN, "another")])
def test_a_session_token_that_is_not_the_keys_is_invalid(known, sent):
    assert said(signed(token=sent), by=verifier(known)) == (
        *UNKNOWN,
        "The security token included in the request is invalid",
    )


def test_temporary_credentials_end():
    by, got = verifier(TOKEN, expires_s=NOW + 60.5), signed(token=TOKEN)
    for now_s in (NOW, NOW + 60.4):
        assert by.verify(b"POST", b"/", got, BODY, now_s) is None
    expected = ("ExpiredToken", 403, "ExpiredTokenException", 403)
    assert said(got, now_s=NOW + 60.5, by=by) == (*expected, "The security token included in the request is expired")


def test_a_key_that_was_taken_away_is_unknown_once_it_is_forgotten():
    keys = {KEY: KeyPair(Secret(SECRET))}
    by, got = Verifier("sqs", None, keys), signed()
    assert by.verify(b"POST", b"/", got, BODY, NOW) is None
    del keys[KEY]
    by.forget()
    assert said(got, by=by)[:4] == UNKNOWN


def test_what_is_remembered_is_bounded_and_what_was_wrong_is_not_remembered():
    by = verifier(region=None)
    for number in range(2 * CACHED + 50):
        fields = [*FIELDS, ("x-number", str(number))]
        got = signed(fields, region=f"r-{number}")
        assert by.verify(b"POST", b"/", got, b"wrong", NOW) is not None
        assert by.verify(b"POST", b"/", got, BODY, NOW) is None
        assert 0 < max(len(by._ready), len(by._pickers), len(by._signing)) <= CACHED
    held = dict(by._ready)
    for number in range(CACHED):
        assert by.verify(b"POST", b"/", signed(secret="wrong", at=NOW - number % 60), BODY, NOW) is not None
    assert by._ready == held


def test_nothing_of_a_verifier_tells_a_secret():
    by, got = verifier(TOKEN), signed(token=TOKEN)
    by.verify(b"POST", b"/", got, BODY, NOW)
    assert SECRET not in repr([vars(by), by._keys])


def test_a_date_of_http_has_to_be_signed_too():
    got = signed()
    del got[b"x-amz-date"]
    got[b"date"] = formatdate(NOW, usegmt=True).encode()
    assert said(got) == (*MISMATCH, "'date' must be a 'SignedHeader' in the AWS Authorization.")


@given(
    st.binary(max_size=80), st.dictionaries(st.sampled_from([b"host", b"x-amz-date", b"date"]), st.binary(max_size=20))
)
@settings(deadline=None)
def test_no_garbage_brings_the_verifier_down(garbage, fields):
    for value in (
        garbage,
        b"AWS4-" + garbage,
        b"AWS4-HMAC-SHA256 Credential=a/b/c/d/e, SignedHeaders=" + garbage + b", Signature=a",
    ):
        assert verifier().verify(garbage, garbage, fields | {b"authorization": value}, garbage, NOW) is not None
