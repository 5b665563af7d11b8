"""Signatures: byte for byte those of botocore, which we did not write, and telling no secret."""

import traceback
from datetime import UTC, datetime
from hashlib import sha256
from unittest.mock import patch
from urllib.parse import urlsplit

import botocore.auth
import pytest
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from hypothesis import example, given, settings
from hypothesis import strategies as st

from burst.model.secret import Secret
from burst.wire.sigv4 import Signer, sign, signing_key
from burst.wire.sigv4_canonical import canonical_path, canonical_query, encoded_query

NOON = 1_700_000_000
MIDNIGHT = 1_699_920_000  # 2023-11-14T00:00:00Z
HOST = ("Host", "sqs.eu-west-1.amazonaws.com")
SECRET = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
TOKEN = "IQoJb3JpZ2luX2VjEXAMPLE//////////token=="

texts = st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=12)
lines = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=30)
labels = st.from_regex(r"\A[a-z][a-z0-9-]{0,15}\Z")
methods = st.sampled_from(["GET", "POST", "put", "DELETE", "Patch", "HEAD"])
# What ends a path or a query, or what urlsplit strips, cannot stand in one.
paths = st.text(st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="?#"), max_size=20) | st.lists(
    st.sampled_from(["", ".", "..", "a", "b c", "%20", "ä", "~", "-_.", "+&="]), max_size=6
).map("/".join)
queries = st.text(st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="#"), max_size=20) | st.lists(
    st.tuples(st.sampled_from(["a", "b", "A", "a%20", "", "X-Amz"]), st.sampled_from(["", "1", "0", "=", "%C3%A4"])),
    max_size=5,
).map(lambda pairs: "&".join(f"{name}={value}" for name, value in pairs))
names = st.sampled_from(
    ["X-Amz-Target", "Content-Type", "x-amz-meta-a", "X-AMZ-META-A", "User-Agent", "Expect", "Accept"]
) | (labels.filter(lambda name: name not in {"date", "host", "authorization"}))
values = texts | st.sampled_from(["  two  spaces\tand a tab ", "", " ", "ä \u3000 ö", "a,b"])
fields = st.lists(st.tuples(names, values), max_size=5)
times = st.integers(0, 2**33) | st.integers(MIDNIGHT - 3, MIDNIGHT + 3)


def botocore_signs(signer, method, path, query, fields, body, second):
    """Return the Authorization field and the dates and tokens that botocore adds to the same request."""
    url = f"https://{HOST[1]}/{path}" + (f"?{query}" if query else "")
    request = AWSRequest(method, url, data=body)
    for name, value in fields:
        request.headers[name] = value
    token = signer.session_token and signer.session_token.reveal()
    auth = botocore.auth.SigV4Auth(
        Credentials(signer.access_key, signer._secret.reveal(), token), signer.service, signer.region
    )
    with patch.object(botocore.auth, "get_current_datetime", lambda: datetime.fromtimestamp(second, UTC)):
        auth.add_auth(request)
    added = {name: request.headers.get_all(name) for name in ("X-Amz-Date", "X-Amz-Security-Token", "Authorization")}
    return {name: found[0] for name, found in added.items() if found}


def read(lines: bytes) -> dict[str, str]:
    assert lines.endswith(b"\r\n")
    return dict(line.split(": ", 1) for line in lines.decode().split("\r\n")[:-1])


def signer(token: str | None = None, secret: str = SECRET) -> Signer:
    return Signer("AKIDEXAMPLE", Secret(secret), Secret(token) if token else None, "eu-west-1", "sqs")


@given(methods, paths, queries, fields, st.binary(max_size=100), lines, texts, st.none() | lines, labels, labels, times)
@settings(max_examples=400, deadline=None)
@example("GET", "", "", [], b"", "A", "", None, "r", "s", MIDNIGHT - 1)
@example("GET", "a//b/../c/", "b=2&a=1&a=0&a", [("A", " x  y "), ("a", "z")], b"b", "A", "s", "t", "r", "s", MIDNIGHT)
@example("PUT", "", "", [("X-Amz-Content-Sha256", "UNSIGNED-PAYLOAD")], b"b", "A", "s", "t", "r", "s", MIDNIGHT)
def test_signatures_are_botocores_to_the_byte(
    method, path, query, fields, body, access_key, secret, token, region, service, second
):
    own = Signer(access_key, Secret(secret), Secret(token) if token else None, region, service)
    url = urlsplit(f"https://{HOST[1]}/{path}" + (f"?{query}" if query else ""))
    expected = botocore_signs(own, method, path, query, fields, body, second)
    assert read(sign(own, method, url.path, url.query, [HOST, *fields], body, second + 0.75)) == expected


@given(st.lists(st.tuples(st.binary(max_size=300), times), min_size=1, max_size=8), st.none() | lines)
@settings(deadline=None)
def test_a_prepared_shape_signs_each_body_at_each_time_as_if_it_were_the_only_one(requests, token):
    own = signer(token)
    fields = [HOST, ("X-Amz-Target", "AmazonSQS.SendMessageBatch"), ("Content-Type", "application/x-amz-json-1.0")]
    shape = own.prepare("POST", "/", "", fields)
    for body, second in [*requests, *requests[::-1]]:
        expected = botocore_signs(own, "POST", "", "", fields[1:], body, second)
        assert read(shape.lines(body, second)) == expected
        assert read(shape.lines(memoryview(body), second + 0.999)) == expected


def test_the_signing_key_is_that_of_the_documentation():
    # AWS, "Examples of how to derive a signing key for Signature Version 4".
    key = signing_key(Secret("wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"), "20120215", "us-east-1", "iam")
    assert key.reveal().hex() == "f4780e2d9f65fa895f9c67b32ce1baf0b0d8a43505a000a1a9e090d414db404d"


def test_the_signing_key_changes_at_midnight_utc():
    own = signer()
    shape = own.prepare("POST", "/", "", [HOST])
    before, after = (read(shape.lines(b"", MIDNIGHT + s)) for s in (-0.5, 0))
    assert before["X-Amz-Date"] == "20231113T235959Z"
    assert after["X-Amz-Date"] == "20231114T000000Z"
    assert "/20231113/eu-west-1/sqs/aws4_request," in before["Authorization"]
    assert "/20231114/eu-west-1/sqs/aws4_request," in after["Authorization"]
    assert own.key("20231113") != own.key("20231114")


def test_fields_that_the_signer_writes_itself_are_replaced_not_signed_twice():
    stale = [("Authorization", "AWS4 old"), ("x-amz-date", "19700101T000000Z"), ("X-Amz-Security-Token", "old")]
    assert sign(signer(TOKEN), "POST", "/", "", [HOST, *stale], b"", NOON) == sign(
        signer(TOKEN), "POST", "/", "", [HOST], b"", NOON
    )


@pytest.mark.parametrize(
    ("fields", "told"),
    [([], "without a host"), ([HOST, ("Date", "Tue, 14 Nov 2023 22:13:20 GMT")], "leave the field date")],
)
def test_what_would_make_a_signature_weak_or_wrong_is_refused(fields, told):
    with pytest.raises(ValueError, match=told):
        signer().prepare("POST", "/", "", fields)


@pytest.mark.parametrize("place", [0, 2, 3, 4])
@pytest.mark.parametrize("text", ["", "two\r\nX-Injected: 1", "with space", "ä"])
def test_what_would_break_out_of_its_line_is_refused_and_not_told(place, text):
    arguments = ["AKID", Secret(SECRET), Secret(TOKEN), "eu-west-1", "sqs"]
    arguments[place] = Secret(text) if place == 2 else text
    with pytest.raises(ValueError, match="no printable ASCII") as caught:
        Signer(*arguments)
    assert "Injected" not in str(caught.value)


@pytest.mark.parametrize(
    ("path", "signed"),
    [
        ("", "/"),
        ("/", "/"),
        ("//", "/"),
        ("/..", "/"),
        ("/a/./b/../c/", "/a/c/"),
        ("/a%20b", "/a%2520b"),
        ("/a b", "/a%20b"),
    ],
)
def test_a_path_is_resolved_and_encoded_once_more(path, signed):
    assert canonical_path(path) == signed


def test_a_query_is_sorted_by_encoded_name_and_value():
    assert canonical_query("b=2&a=1&a=0&A=&c") == "A=&a=0&a=1&b=2&c="
    assert encoded_query([("a b", "ä/+~"), ("", "")]) == "a%20b=%C3%A4%2F%2B~&="


def test_a_body_that_is_signed_by_its_declared_hash_is_not_hashed_again():
    declared = ("X-Amz-Content-SHA256", sha256(b"body").hexdigest())
    shape = signer().prepare("POST", "/", "", [HOST, declared])
    assert shape.lines(b"body", NOON) == shape.lines(b"another", NOON)


def test_no_representation_tells_a_secret_or_a_token():
    own = signer(TOKEN)
    shape = own.prepare("POST", "/", "", [HOST])
    shape.lines(b"", NOON)
    told = f"{own!r} {shape!r}"
    for thing in (own, shape):
        told += repr([getattr(thing, name) for name in thing.__slots__])
    assert "AKIDEXAMPLE" in told
    assert SECRET not in told
    assert TOKEN not in told


def test_a_traceback_with_its_variables_tells_no_secret():
    shape = signer(TOKEN).prepare("POST", "/", "", [HOST])
    with pytest.raises(TypeError) as caught:
        shape.lines("text", NOON)
    told = "".join(traceback.TracebackException.from_exception(caught.value, capture_locals=True).format())
    assert "shape" in told
    assert SECRET not in told
    assert TOKEN not in told
