"""What FCM checks, over both versions of HTTP, and the words in which it refuses."""

import json
import random
import time
from types import SimpleNamespace

import pytest
from google.auth import crypt, jwt

from burst.model.units import NS_PER_S
from burst.provider.cloud_keys import PROJECT
from burst.provider.google_tokens import GRANT
from tests.unit.test_provider.call_rig import SEND, Calls, Frames, connected, ident, message, serving, token

SCOPE = "https://www.googleapis.com/auth/firebase.messaging"
OWN = f"/v1/projects/{PROJECT}/messages:send"
FORM = "application/x-www-form-urlencoded"


async def ask(kind, house, body: bytes, **more):
    """Send one request on a connection of its own."""
    async with connected(kind, house) as client:
        if kind is Calls:
            return await client.send(body, **more)
        return (await client.send(client.request(body, **more)))[0]


def account_of(folder) -> dict[str, str]:
    return json.loads((folder / "service-account.json").read_text())


def assertion(folder, **claims) -> str:
    """Return an assertion as google-auth signs it; a claim of None is left out."""
    account, now_s = account_of(folder), int(time.time())
    signer = crypt.RSASigner.from_service_account_info(account)
    said = {"iss": account["client_email"], "aud": account["token_uri"], "scope": SCOPE}
    said |= {"iat": now_s, "exp": now_s + 3600} | claims
    return jwt.encode(signer, {name: value for name, value in said.items() if value is not None}).decode()


def form(assertion: str, grant: str = GRANT) -> bytes:
    return f"grant_type={grant.replace(':', '%3A')}&assertion={assertion}".encode()


@pytest.fixture(params=[Frames, Calls], ids=["h2", "http/1.1"])
def kind(request):
    """Return each kind of client."""
    return request.param


async def test_an_access_token_of_its_own_opens_the_door_and_no_other_does(tmp_path, kind):
    async with serving(tmp_path, "fcm") as house:
        body = message(random.Random(1), ident(5))
        told = await ask(kind, house, form(assertion(tmp_path)), path="/token", content_type=FORM)
        assert told.status == 200
        said = told.json()
        assert (said["token_type"], said["expires_in"]) == ("Bearer", 3599)
        good = f"Bearer {said['access_token']}"
        assert (await ask(kind, house, body, path=OWN, authorization=good)).status == 200
        for bad in (good[:-1] + "~", good[:-1], "Bearer x", "Bearer ya29.burst-99999999999.x.y", f"Basic {good[7:]}"):
            told = await ask(kind, house, body, path=OWN, authorization=bad)
            error = told.json()["error"]
            assert (told.status, error["code"], error["status"]) == (401, 401, "UNAUTHENTICATED")
            assert 'error="invalid_token"' in told.fields["www-authenticate"]
        told = await ask(kind, house, body, path=OWN)
        assert told.fields["www-authenticate"] == 'Bearer realm="https://accounts.google.com/"'
        assert told.json()["error"]["details"][0]["reason"] == "CREDENTIALS_MISSING"


async def test_any_process_of_a_stand_in_knows_the_tokens_of_another(tmp_path, kind):
    async with serving(tmp_path, "fcm", run="") as one, serving(tmp_path, "fcm", run="") as other:
        told = await ask(kind, one, form(assertion(tmp_path)), path="/token")
        authorization = f"Bearer {told.json()['access_token']}"
        body = message(random.Random(1), "x")
        assert (await ask(kind, other, body, path=OWN, authorization=authorization)).status == 200


async def test_an_access_token_ends_on_a_connection_that_goes_on(tmp_path, kind):
    async with serving(tmp_path, "fcm", fcm={"token_lifetime": "600s"}) as house, connected(kind, house) as client:
        ahead_s = 0.0
        house._wall_s = lambda: time.time() + ahead_s
        house.desks["fcm"].frames.front._clock = SimpleNamespace(
            now_ns=lambda: time.monotonic_ns() + int(ahead_s * NS_PER_S)
        )
        told = await ask(kind, house, form(assertion(tmp_path)), path="/token")
        assert told.json()["expires_in"] == 599
        authorization = f"Bearer {told.json()['access_token']}"
        for ahead_s, status in ((0.0, 200), (590.0, 200), (601.0, 401)):  # noqa: B007 (the clock reads it)
            body = message(random.Random(1), "x")
            if kind is Calls:
                answer = await client.send(body, path=OWN, authorization=authorization)
            else:
                (answer,) = await client.send(client.request(body, path=OWN, authorization=authorization))
            assert answer.status == status
        assert answer.json()["error"]["details"][0]["reason"] == "ACCESS_TOKEN_EXPIRED"


@pytest.mark.parametrize(
    ("claims", "error", "words"),
    [
        ({"iss": "nobody@example.com"}, "invalid_grant", "account not found"),
        ({"aud": "https://example.com/token"}, "invalid_grant", "audience"),
        ({"aud": None}, "invalid_grant", "audience"),
        ({"exp": int(time.time()) + 4000}, "invalid_grant", "short-lived"),
        ({"exp": int(time.time()) - 400, "iat": int(time.time()) - 4000}, "invalid_grant", "short-lived"),
        ({"iat": int(time.time()) + 4000, "exp": int(time.time()) + 5000}, "invalid_grant", "short-lived"),
        ({"iat": None}, "invalid_grant", "short-lived"),
        ({"exp": "soon"}, "invalid_grant", "short-lived"),
        ({"scope": None}, "invalid_scope", "missing scope"),
        ({"scope": "https://www.googleapis.com/auth/drive"}, "invalid_scope", "drive"),
    ],
)
async def test_an_assertion_must_be_what_google_wants(tmp_path, claims, error, words):
    async with serving(tmp_path, "fcm") as house:
        told = await ask(Calls, house, form(assertion(tmp_path, **claims)), path="/token")
        assert (told.status, told.json()["error"]) == (400, error)
        assert words in told.json()["error_description"]


async def test_an_assertion_with_another_signature_is_refused(tmp_path):
    async with serving(tmp_path, "fcm") as house:
        good = assertion(tmp_path)
        head, claims, signature = good.split(".")
        for bad in (f"{head}.{claims}.{signature[:-4]}AAAA", f"{head}.{claims}.", f"{head}.{claims}.é"):
            told = await ask(Calls, house, form(bad).decode().encode("utf-8"), path="/token")
            assert told.status == 400
            assert told.json()["error"] in ("invalid_grant", "invalid_request", "unsupported_grant_type")
        told = await ask(Calls, house, form(f"{head}.{claims}.{signature[:-4]}AAAA"), path="/token")
        assert told.json()["error_description"] == "Invalid JWT Signature."


@pytest.mark.parametrize(
    ("body", "error"),
    [
        (b"", "invalid_request"),
        (b"grant_type=password&assertion=x", "unsupported_grant_type"),
        (b"grant_type=" + GRANT.encode(), "invalid_request"),
        (b"grant_type=" + GRANT.encode() + b"&assertion=x", "invalid_grant"),
        (b"grant_type=" + GRANT.encode() + b"&assertion=a.b.c", "invalid_grant"),
        (b"\xff\xfe=1", "invalid_request"),
    ],
)
async def test_a_form_that_is_none_is_refused(tmp_path, kind, body, error):
    async with serving(tmp_path, "fcm") as house:
        told = await ask(kind, house, body, path="/token")
        assert (told.status, told.json()["error"]) == (400, error)


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", SEND, 404),
        ("POST", "/v1/projects//messages:send", 404),
        ("POST", "/v1/projects/shop/messages", 404),
        ("POST", "/fcm/send", 404),
        ("GET", "/token", 404),
        ("POST", "/v1/projects/other/messages:send", 403),
        ("POST", SEND + "?alt=json", 200),
    ],
)
async def test_paths_and_projects_that_are_not_are_told_so(tmp_path, kind, method, path, status):
    async with serving(tmp_path, "fcm", fcm={"auth": "any", "project": "shop"}) as house:
        body = message(random.Random(1), ident(1))
        told = await ask(kind, house, body, path=path, method=method, authorization="Bearer x")
        assert told.status == status
        if status == 403:
            assert told.json()["error"]["status"] == "PERMISSION_DENIED"


async def test_without_another_word_the_project_is_that_of_the_account(tmp_path, kind):
    async with serving(tmp_path, "fcm") as house:
        told = await ask(kind, house, form(assertion(tmp_path)), path="/token")
        authorization = f"Bearer {told.json()['access_token']}"
        assert (await ask(kind, house, message(random.Random(1), "x"), authorization=authorization)).status == 403


DEVICE = token(random.Random(9))
TO = {"token": DEVICE}


@pytest.mark.parametrize(
    ("said", "field"),
    [
        ({"message": TO | {"data": {"a": 1}}}, "message.data[0].value"),
        ({"message": TO | {"data": {"a": {"b": "c"}}}}, "message.data[0].value"),
        ({"message": TO | {"data": {"from": "x"}}}, "message.data[from]"),
        ({"message": TO | {"data": {"google.x": "x"}}}, "message.data[google.x]"),
        ({"message": TO | {"data": []}}, "message.data"),
        ({"message": TO | {"notification": {"title": 1}}}, "message.notification.title"),
        ({"message": TO | {"notification": {"sound": "x"}}}, "message.notification"),
        ({"message": TO | {"android": {"ttl": 60}}}, "message.android.ttl"),
        ({"message": TO | {"android": {"ttl": "2419201s"}}}, "message.android.ttl"),
        ({"message": TO | {"android": {"priority": "urgent"}}}, "message.android.priority"),
        ({"message": TO | {"android": "x"}}, "message.android"),
        ({"message": {"token": 5}}, "message.token"),
        ({"message": {"topic": "a b"}}, "message.topic"),
        ({"message": {"condition": ""}}, "message.condition"),
        ({"message": {"data": {}}}, "message"),
        ({"message": TO | {"topic": "x"}}, "message"),
        ({"message": TO | {"to": "x"}}, "message"),
        ({"message": TO | {"fid": "d" * 22}}, "message"),
        ({"message": {"fid": "a:b" * 8}}, "message.fid"),
        ({"massage": TO}, ""),
        ({"message": TO, "validate_only": 1}, "validate_only"),
        ({"message": [TO]}, "message"),
        ({"message": TO | {"data": {"a": "x" * 4096}}}, "message"),
        ({"message": {"topic": "x", "data": {"a": "x" * 2048}}}, "message"),
        ([], ""),
    ],
)
async def test_a_message_that_is_none_names_the_field_at_fault(tmp_path, kind, said, field):
    async with serving(tmp_path, "fcm", fcm={"auth": "none"}) as house:
        told = await ask(kind, house, json.dumps(said).encode())
        error = told.json()["error"]
        assert (told.status, error["code"], error["status"]) == (400, 400, "INVALID_ARGUMENT")
        kinds = {one["@type"].rpartition("/")[2]: one for one in error["details"]}
        assert kinds["google.rpc.BadRequest"]["fieldViolations"][0]["field"] == field


@pytest.mark.parametrize("device", ["", "short", "a" * 31, "a" * 1025, DEVICE[:50] + " " + DEVICE[51:], DEVICE + "é"])
async def test_a_token_of_another_form_is_no_registration_token(tmp_path, kind, device):
    async with serving(tmp_path, "fcm", fcm={"auth": "none"}) as house:
        told = await ask(kind, house, json.dumps({"message": {"token": device}}).encode())
        assert told.status == 400
        assert told.json()["error"]["message"] == "The registration token is not a valid FCM registration token"


@pytest.mark.parametrize(
    "more",
    [
        {"notification": {"title": "x", "body": "y", "image": "https://example.com/x.png"}},
        {"data": {"a": "x" * 4095}},
        {"android": {"ttl": "3.5s", "priority": "HIGH", "notification": {"sound": "default"}}},
        {"apns": {"headers": {"apns-priority": "10"}, "payload": {"aps": {"alert": "x"}}}},
        {"webpush": {"headers": {"TTL": "60"}}, "fcm_options": {"analytics_label": "x"}},
        {"fcmOptions": {"analyticsLabel": "x"}, "notification": None},
    ],
)
async def test_a_good_message_is_taken(tmp_path, kind, more):
    async with serving(tmp_path, "fcm", fcm={"auth": "none"}) as house:
        told = await ask(kind, house, json.dumps({"message": TO | more}).encode())
        assert told.status == 200
        assert told.json()["name"].startswith("projects/shop/messages/0:")
        assert told.fields["content-type"] == "application/json; charset=UTF-8"


async def test_a_message_to_be_looked_at_only_is_answered_and_sent_to_nobody(tmp_path, kind):
    async with serving(tmp_path, "fcm", fcm={"auth": "none"}) as house:
        body = json.dumps({"message": TO | {"data": {"burst": ident(3)}}, "validate_only": True}).encode()
        told = await ask(kind, house, body)
        assert (told.status, told.json()) == (200, {"name": "projects/shop/messages/fake_message_id"})
        assert house.desks["fcm"].sums.accepted == 0
        assert house.witness.counts[3] & 0x0F == 0


@pytest.mark.parametrize("size", [16_385, 40_000])
async def test_more_than_anybody_reads_is_refused_and_the_connection_goes_on(tmp_path, kind, size):
    async with serving(tmp_path, "fcm", fcm={"auth": "none"}) as house:
        body = message(random.Random(1), ident(4))
        long = body + b" " * (size - len(body))
        async with connected(kind, house) as client:
            for sent, status in ((long, 400), (body, 200)):
                told = await client.send(sent) if kind is Calls else (await client.send(client.request(sent)))[0]
                assert told.status == status
        assert house.witness.counts[4] == 0x11


REASONS = [
    ("UNREGISTERED", 404, "NOT_FOUND", "UNREGISTERED"),
    ("SENDER_ID_MISMATCH", 403, "PERMISSION_DENIED", "SENDER_ID_MISMATCH"),
    ("QUOTA_EXCEEDED", 429, "RESOURCE_EXHAUSTED", "QUOTA_EXCEEDED"),
    ("INTERNAL", 500, "INTERNAL", "INTERNAL"),
    ("UNAVAILABLE", 503, "UNAVAILABLE", "UNAVAILABLE"),
    ("INVALID_ARGUMENT", 400, "INVALID_ARGUMENT", "INVALID_ARGUMENT"),
    ("THIRD_PARTY_AUTH_ERROR", 401, "UNAUTHENTICATED", "THIRD_PARTY_AUTH_ERROR"),
    ("ServiceUnavailable", 503, "UNAVAILABLE", "UNAVAILABLE"),
    ("InternalServerError", 500, "INTERNAL", "INTERNAL"),
]


@pytest.mark.parametrize(("reason", "status", "code", "error_code"), REASONS)
async def test_each_reason_is_said_as_google_says_it(tmp_path, kind, reason, status, code, error_code):
    async with serving(tmp_path, "fcm", fcm={"auth": "none"}, answers=[{"share": 1, "reason": reason}]) as house:
        told = await ask(kind, house, message(random.Random(1), ident(2)))
        error = told.json()["error"]
        assert (told.status, error["code"], error["status"]) == (status, status, code)
        assert error["details"][0] == {
            "@type": "type.googleapis.com/google.firebase.fcm.v1.FcmError",
            "errorCode": error_code,
        }
        assert "retry-after" not in told.fields
        assert house.witness.counts[2] == 0x10


async def test_over_the_quota_it_is_429_and_says_when_to_come_again_only_where_told_to(tmp_path, kind):
    for wait, fields in (({}, None), ({"retry_after": "30s"}, "30")):
        folder = tmp_path / f"{fields}"
        quota = {"rate": "2/min", **wait}
        async with serving(folder, "fcm", fcm={"auth": "none", "quota": quota}) as house:
            told = [await ask(kind, house, message(random.Random(k), ident(k))) for k in range(3)]
            assert [one.status for one in told] == [200, 200, 429]
            assert told[2].fields.get("retry-after") == fields
            assert told[2].json()["error"]["status"] == "RESOURCE_EXHAUSTED"


async def test_both_versions_of_http_spend_one_quota(tmp_path):
    async with serving(tmp_path, "fcm", fcm={"auth": "none", "quota": {"rate": "4/min"}}) as house:
        told = [await ask((Frames, Calls)[k % 2], house, message(random.Random(k), ident(k))) for k in range(6)]
        assert [one.status for one in told] == [200] * 4 + [429] * 2
        sums = house.desks["fcm"].sums
        assert (sums.requests, sums.accepted, sums.refused, sums.opened) == (6, 4, 2, 6)
        assert house.witness.counts[:6].tolist() == [1, 1, 1, 1, 0x10, 0x10]


async def test_dead_devices_are_the_same_ones_over_both_versions(tmp_path):
    async with serving(tmp_path, "fcm", fcm={"auth": "none", "dead": 0.5}) as house:
        async with connected(Frames, house) as client:
            bodies = [message(random.Random(k), ident(k)) for k in range(60)]
            frames = [one.status for one in await client.send(*(client.request(body) for body in bodies))]
        async with connected(Calls, house) as calls:
            assert [(await calls.send(body)).status for body in bodies] == frames
        assert set(frames) == {200, 404}
