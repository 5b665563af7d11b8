"""A request is refused with the reason that Apple gives, and a good one is not refused."""

import json
import time
import uuid

import jwt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from burst.provider.apple import PUSH_TYPES, REASONS, check_head, check_payload, duplicated, largest_payload
from burst.provider.authority import Authority
from burst.provider.behaviour import Behaviour
from burst.provider.provider_token import TokenCheck, read_keys
from burst.provider.refusal import refusal

TOKEN = b"0123456789abcdef" * 4
GOOD = {
    b":method": b"POST",
    b":scheme": b"https",
    b":path": b"/3/device/" + TOKEN,
    b":authority": b"localhost",
    b"authorization": b"bearer a.b.c",
    b"apns-topic": b"com.example.app",
    b"apns-push-type": b"alert",
    b"apns-priority": b"10",
    b"apns-expiration": b"0",
    b"apns-id": b"123e4567-e89b-42d3-a456-426614174000",
    b"apns-collapse-id": b"c" * 64,
}


def reason(behaviour=None, *, without=(), certificate=False, token=lambda _: None, **changes):
    """Return the reason for which GOOD, changed, is refused; `path` is `:path`, `apns_id` is `apns-id`."""
    fields = {name: value for name, value in GOOD.items() if name.decode() not in without}
    for name, value in changes.items():
        fields[(f":{name}" if name in {"path", "method"} else name.replace("_", "-")).encode()] = value
    found = check_head(fields, behaviour or Behaviour(), token, certificate=certificate)
    if found is None:
        return None
    assert found.status == REASONS[found.reason]
    assert json.loads(found.body) == {"reason": found.reason}
    return found.reason


def test_a_good_request_is_not_refused():
    assert reason() is None


def test_what_is_optional_may_be_left_out():
    optional = ("apns-push-type", "apns-priority", "apns-expiration", "apns-id", "apns-collapse-id", ":authority")
    assert reason(without=optional) is None


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"method": b"GET"}, "MethodNotAllowed"),
        ({"method": b"post"}, "MethodNotAllowed"),
        ({"path": b"/"}, "BadPath"),
        ({"path": b"/2/device/" + TOKEN}, "BadPath"),
        ({"path": b"/3/devices/" + TOKEN}, "BadPath"),
        ({"path": b"/3/device"}, "MissingDeviceToken"),
        ({"path": b"/3/device/"}, "MissingDeviceToken"),
        ({"path": b"/3/device/" + TOKEN[:-2]}, "BadDeviceToken"),
        ({"path": b"/3/device/" + TOKEN + b"0"}, "BadDeviceToken"),
        ({"path": b"/3/device/" + TOKEN[:-1] + b"g"}, "BadDeviceToken"),
        ({"path": b"/3/device/" + TOKEN + b"\n"}, "BadDeviceToken"),
        ({"path": b"/3/device/" + TOKEN + b"/x"}, "BadDeviceToken"),
        ({"path": b"/3/device/" + b"ab" * 101}, "BadDeviceToken"),
        ({"path": b"/3/device/" + b"AB" * 100}, None),
        ({"path": b"/3/device/" + b"Ab" * 80}, None),
        ({"apns_push_type": b"shout"}, "InvalidPushType"),
        ({"apns_push_type": b"Alert"}, "InvalidPushType"),
        ({"apns_push_type": b""}, "InvalidPushType"),
        ({"apns_priority": b"5"}, None),
        ({"apns_priority": b"1"}, None),
        ({"apns_priority": b"7"}, "BadPriority"),
        ({"apns_priority": b"05"}, "BadPriority"),
        ({"apns_priority": b""}, "BadPriority"),
        ({"apns_push_type": b"background"}, "BadPriority"),
        ({"apns_push_type": b"background", "apns_priority": b"5"}, None),
        ({"apns_expiration": b"1800000000"}, None),
        ({"apns_expiration": b"-1"}, "BadExpirationDate"),
        ({"apns_expiration": b"tomorrow"}, "BadExpirationDate"),
        ({"apns_expiration": b"1.5"}, "BadExpirationDate"),
        ({"apns_expiration": b""}, "BadExpirationDate"),
        ({"apns_id": b"123E4567-E89B-42D3-A456-426614174000"}, None),
        ({"apns_id": b"123e4567e89b42d3a456426614174000"}, "BadMessageId"),
        ({"apns_id": b"123e4567-e89b-42d3-a456-42661417400"}, "BadMessageId"),
        ({"apns_id": b"123e4567-e89b-42d3-a456-42661417400g"}, "BadMessageId"),
        ({"apns_id": b""}, "BadMessageId"),
        ({"apns_collapse_id": b"c" * 65}, "BadCollapseId"),
        ({"apns_topic": b""}, "MissingTopic"),
        ({"apns_topic": b"com example"}, "BadTopic"),
        ({"apns_topic": b".com"}, "BadTopic"),
        ({"apns_topic": b"\xff"}, "BadTopic"),
        ({"apns_topic": b"a" * 256}, "BadTopic"),
        ({"apns_push_type": b"voip"}, "DeviceTokenNotForTopic"),
        ({"apns_push_type": b"voip", "apns_topic": b"com.example.app.voip"}, None),
    ],
)
def test_every_fault_has_apples_reason(changes, expected):
    assert reason(**changes) == expected


@pytest.mark.parametrize("push_type", PUSH_TYPES)
def test_every_push_type_is_known_with_its_topic(push_type):
    topic = b"com.example.app" + PUSH_TYPES[push_type]
    assert reason(apns_push_type=push_type, apns_topic=topic, apns_priority=b"5") is None
    # Whoever allows an app allows what is derived from its bundle id.
    allowed = Behaviour(topics=("com.example.app",))
    assert reason(allowed, apns_push_type=push_type, apns_topic=topic, apns_priority=b"5") is None


def test_only_topics_that_are_allowed_may_be_pushed_to():
    assert reason(Behaviour(topics=("com.example.app", "other"))) is None
    assert reason(Behaviour(topics=("com.example",))) == "TopicDisallowed"
    exact = Behaviour(topics=("com.example.app.voip",))
    assert reason(exact, apns_push_type=b"voip", apns_topic=b"com.example.app.voip") is None
    assert reason(exact) == "TopicDisallowed"


def invalid(_: bytes) -> str:
    return "InvalidProviderToken"


@pytest.mark.parametrize(
    ("auth", "certificate", "header", "expected"),
    [
        ("any", False, True, "InvalidProviderToken"),
        ("any", False, False, "MissingProviderToken"),
        ("any", True, True, None),
        ("any", True, False, None),
        ("token", False, True, "InvalidProviderToken"),
        ("token", True, True, "InvalidProviderToken"),
        ("token", True, False, "MissingProviderToken"),
        ("certificate", False, True, "BadCertificate"),
        ("certificate", True, False, None),
        ("none", False, True, None),
        ("none", False, False, None),
    ],
)
def test_credentials_are_asked_for_as_the_behaviour_says(auth, certificate, header, expected):
    without = () if header else ("authorization",)
    assert reason(Behaviour(auth=auth), certificate=certificate, without=without, token=invalid) == expected


def test_a_certificate_says_the_topic_and_a_provider_token_does_not():
    assert reason(without=("apns-topic",)) == "MissingTopic"
    assert reason(without=("apns-topic",), certificate=True) is None
    assert reason(Behaviour(auth="none"), without=("apns-topic",)) is None


def test_a_bad_path_and_missing_credentials_are_told_before_a_bad_device_token():
    assert reason(path=b"/x", without=("authorization",)) == "BadPath"
    assert reason(path=b"/3/device/x", without=("authorization",)) == "MissingProviderToken"


def test_a_real_provider_token_passes_and_expires(tmp_path):
    authority = Authority.create(tmp_path)
    check = TokenCheck(read_keys({authority.key_id: str(authority.p8_public)}, tmp_path), authority.team_id)
    now_s = int(time.time())
    claims = {"iss": authority.team_id, "iat": now_s}
    token = jwt.encode(claims, authority.p8.read_text(), algorithm="ES256", headers={"kid": authority.key_id})
    header = b"bearer " + token.encode()
    assert reason(authorization=header, token=lambda value: check.check(value, now_s)) is None
    assert reason(authorization=header, token=lambda value: check.check(value, now_s + 4000)) == "ExpiredProviderToken"
    assert reason(authorization=header[:-8], token=lambda value: check.check(value, now_s)) == "InvalidProviderToken"


@given(st.uuids())
def test_every_uuid_is_a_message_id(ident: uuid.UUID):
    assert reason(apns_id=str(ident).encode()) is None


@given(st.dictionaries(st.sampled_from(list(GOOD)), st.binary(max_size=80)))
def test_no_bytes_whatever_make_the_check_fail(changes):
    found = check_head({**GOOD, **changes}, Behaviour(topics=("com.example.app",)), invalid)
    assert found is not None
    assert found.reason in REASONS


@pytest.mark.parametrize(
    ("length", "push_type", "expected"),
    [
        (0, b"alert", "PayloadEmpty"),
        (1, b"alert", None),
        (4096, b"alert", None),
        (4097, b"alert", "PayloadTooLarge"),
        (4097, b"", "PayloadTooLarge"),
        (5120, b"voip", None),
        (5121, b"voip", "PayloadTooLarge"),
    ],
)
def test_a_payload_has_something_in_it_and_not_too_much(length, push_type, expected):
    found = check_payload(length, push_type, Behaviour())
    assert (found and found.reason) == expected


def test_the_limit_of_a_payload_is_the_behaviours():
    assert largest_payload(b"alert", Behaviour(max_payload=100)) == 100
    assert check_payload(101, b"alert", Behaviour(max_payload=100)).status == 413


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        ([], False),
        (list(GOOD), False),
        ([*GOOD, b"apns-topic"], True),
        ([b"cookie", b"cookie", b"apns-id"], False),
        ([b":path", b":path"], True),
    ],
)
def test_a_field_that_is_given_twice_is_found(names, expected):
    assert duplicated(names) == expected


def test_a_refusal_has_apples_status_and_body():
    assert {REASONS[name] for name in REASONS} == {400, 403, 404, 405, 410, 413, 429, 500, 503}
    gone = refusal("Unregistered", timestamp_ms=1_700_000_000_123)
    assert (gone.status, gone.body) == (410, b'{"reason":"Unregistered","timestamp":1700000000123}')
    assert refusal("Something", status=599).status == 599
    assert refusal("Something").status == 400
