"""Clients that nobody here wrote talk to the stand-in as they would to Apple: every one is answered and witnessed."""

import asyncio
import json
import shutil
import tempfile
import time
import uuid
from pathlib import Path

import httpx
import jwt
import numpy as np
import pytest
from aioapns import APNs, NotificationRequest, PushType
from aioapns.connection import APNsTLSClientProtocol

from burst.provider.supervisor import Supervisor
from burst.runs.witness import Counter, WitnessPart
from tests.provider_client import connected
from tests.provider_house import counter, ident, standing, trusting

GOOD, DEAD = "5e" * 32, "dead" * 16
TOPIC = "com.example.burst"
PAYLOAD = json.dumps({"aps": {"alert": {"title": "burst", "body": "x" * 140}, "sound": "default"}})
HANG_S = 90.0
#: What came of the five pushes that every client sends: person, status, reason.
FIVE = [(0, 200, ""), (1, 410, "Unregistered"), (2, 400, "BadDeviceToken"), (3, 413, "PayloadTooLarge")]
HOUSE = {"tls": True, "audience": 10, "behaviour": {"dead_tokens": [DEAD]}}


def program(name: str, package: str) -> str:
    found = shutil.which(name)
    if found is None:
        pytest.fail(f"{name} is not here, and this promise cannot be proved without it: apt-get install {package}")
    return found


async def said_by(*command: str) -> tuple[str, str]:
    """Run a program to its end; return what it wrote on both its outputs."""
    process = await asyncio.create_subprocess_exec(
        *command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    try:
        async with asyncio.timeout(HANG_S):
            out, err = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert process.returncode == 0, err.decode()
    return out.decode(), err.decode()


def bearer(house: Supervisor) -> str:
    assert house.authority is not None
    claims = {"iss": house.authority.team_id, "iat": int(time.time())}
    key = house.authority.p8.read_text()
    return "bearer " + jwt.encode(claims, key, algorithm="ES256", headers={"kid": house.authority.key_id})


def five_of(payload: str) -> list[tuple[int, str, str]]:
    """Return the pushes of ``FIVE``: person, device token, payload."""
    return [(0, GOOD, payload), (1, DEAD, payload), (2, "nonsense", payload), (3, GOOD, "x" * 4097)]


def assert_witnessed(house: Supervisor) -> None:
    (path,) = house.parts()
    part = WitnessPart.open(path)
    assert (part.counts[:6] & 15).tolist() == [1, 0, 0, 0, 0, 0]
    assert (part.counts[:6] >> 4).tolist() == [0, 1, 1, 1, 1, 0]
    assert np.flatnonzero(part.first_seen_ns).tolist() == [0, 1, 2, 3, 4]
    assert part.counter(Counter.ATTEMPTS) == part.counter(Counter.REQUESTS) == 5


async def test_aioapns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    async with standing(tmp_path, **HOUSE) as house:
        host, _, port = house.addresses[0].rpartition(":")
        monkeypatch.setattr(APNsTLSClientProtocol, "APNS_PORT", int(port))
        monkeypatch.setattr("aioapns.connection.APNsProductionClientProtocol.APNS_SERVER", host)
        assert house.authority is not None
        heard = []

        async def failed(request, result):
            heard.append((int(result.status), result.description, result.timestamp))

        clients = [
            APNs(
                key=house.authority.p8.read_text(),
                key_id=house.authority.key_id,
                team_id=house.authority.team_id,
                topic=TOPIC if number == 0 else "-bad topic-",
                ssl_context=trusting(house),
                max_connections=1,
                err_func=failed,
            )
            for number in range(2)
        ]
        apns = clients[0]
        for person, token, payload in five_of(PAYLOAD):
            message = json.loads(payload) if payload.startswith("{") else {"aps": {"alert": payload}}
            request = NotificationRequest(token, message, ident(person), push_type=PushType.ALERT, time_to_live=60)
            async with asyncio.timeout(HANG_S):
                result = await apns.send_notification(request)
            assert (int(result.status), result.description or "") == FIVE[person][1:]
            assert result.notification_id == ident(person)
        apns.pool.close()
        other = NotificationRequest(GOOD, {"aps": {}}, ident(4), apns_topic="-", push_type=PushType.ALERT)
        async with asyncio.timeout(HANG_S):
            assert (await clients[1].send_notification(other)).description == "BadTopic"
        clients[1].pool.close()
        assert [status for status, *_ in heard] == [410, 400, 413, 400]
        assert heard[0][2] > 1_600_000_000_000  # milliseconds, as Apple's
        assert_witnessed(house)


async def test_aioapns_with_a_key_that_is_not_the_teams(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    async with standing(tmp_path, tls=True) as house:
        host, _, port = house.addresses[0].rpartition(":")
        monkeypatch.setattr(APNsTLSClientProtocol, "APNS_PORT", int(port))
        monkeypatch.setattr("aioapns.connection.APNsProductionClientProtocol.APNS_SERVER", host)
        assert house.authority is not None
        await house.behave({"keys": {"OTHERKEY01": house.authority.p8_public.read_text()}})
        reasons = []
        for key_id in ("OTHERKEY01", house.authority.key_id):
            apns = APNs(
                key=house.authority.p8.read_text(),
                key_id=key_id,
                team_id=house.authority.team_id,
                topic=TOPIC,
                ssl_context=trusting(house),
                err_func=lambda *_: asyncio.sleep(0),
            )
            async with asyncio.timeout(HANG_S):
                result = await apns.send_notification(NotificationRequest(GOOD, {"aps": {}}))
            reasons.append((int(result.status), result.description))
            apns.pool.close()
    assert reasons == [(200, None), (403, "InvalidProviderToken")]


async def test_httpx(tmp_path: Path):
    async with (
        standing(tmp_path, **HOUSE) as house,
        httpx.AsyncClient(http2=True, verify=trusting(house), base_url=house.url, timeout=HANG_S) as client,
    ):
        headers = {"apns-topic": TOPIC, "authorization": bearer(house)}
        for person, token, payload in five_of(PAYLOAD):
            answer = await client.post(
                f"/3/device/{token}", content=payload, headers=headers | {"apns-id": ident(person)}
            )
            assert answer.http_version == "HTTP/2"
            reason = answer.json()["reason"] if answer.content else ""
            assert (answer.status_code, reason) == FIVE[person][1:]
            assert answer.headers["apns-id"] == ident(person)
        answer = await client.post(
            f"/3/device/{GOOD}", content=PAYLOAD, headers={"apns-topic": TOPIC, "apns-id": ident(4)}
        )
        assert (answer.status_code, answer.json()) == (403, {"reason": "MissingProviderToken"})
        assert_witnessed(house)


async def test_httpx_sends_hundreds_at_once(tmp_path: Path):
    async with (
        standing(tmp_path, tls=True, audience=400, behaviour={"max_concurrent_streams": 50}) as house,
        httpx.AsyncClient(http2=True, verify=trusting(house), base_url=house.url, timeout=HANG_S) as client,
    ):
        headers = {"apns-topic": TOPIC, "authorization": bearer(house)}

        async def post(person: int) -> int:
            more = headers | {"apns-id": ident(person)}
            return (await client.post(f"/3/device/{person:064x}", content=PAYLOAD, headers=more)).status_code

        assert await asyncio.gather(*(post(person) for person in range(400))) == [200] * 400
        (path,) = house.parts()
        assert (WitnessPart.open(path).counts == 1).all()


async def test_a_client_certificate_instead_of_a_token(tmp_path: Path):
    house_of = {"tls": True, "client_certificates": True, "behaviour": {"streams_until_accept": 1}}
    async with standing(tmp_path, **house_of) as house:
        for certificate, expected in ((True, 200), (False, 403)):
            async with httpx.AsyncClient(http2=True, verify=trusting(house, certificate=certificate)) as client:
                answer = await client.post(f"{house.url}/3/device/{GOOD}", content=PAYLOAD)
                assert answer.status_code == expected
        # Whoever shows one has all its streams at once; a provider token earns them.
        async with connected(house.url, trusting(house, certificate=True)) as known:
            await known.until(lambda: known.limit == 1000)
        async with connected(house.url, trusting(house)) as stranger:
            await stranger.push()
            assert stranger.limit == 1


async def test_curl(tmp_path: Path):
    curl = program("curl", "curl")
    async with standing(tmp_path, **HOUSE) as house:
        assert house.authority is not None

        async def post(token: str, payload: str, *headers: str) -> tuple[int, str, str]:
            fields = [part for header in (f"apns-topic: {TOPIC}", *headers) for part in ("-H", header)]
            out, _ = await said_by(
                curl, "-sS", "--http2", "--cacert", str(house.authority.ca), *fields, "--data-binary", payload,
                "-w", "\n%{http_code} %{http_version} %header{apns-id}", f"{house.url}/3/device/{token}",
            )  # fmt: skip
            body, _, facts = out.rpartition("\n")
            status, version, given = facts.split()
            assert version == "2"
            return int(status), json.loads(body)["reason"] if body else "", given

        token = f"authorization: {bearer(house)}"
        for person, device, payload in five_of(PAYLOAD):
            answer = await post(device, payload, token, f"apns-id: {ident(person)}")
            assert answer == (*FIVE[person][1:], ident(person))
        assert (await post(GOOD, PAYLOAD, f"apns-id: {ident(4)}"))[:2] == (403, "MissingProviderToken")
        assert_witnessed(house)
        assert uuid.UUID((await post(GOOD, PAYLOAD, token))[2]).version == 4


async def test_curl_without_tls_and_over_a_unix_socket(tmp_path: Path):
    curl = program("curl", "curl")
    path = Path(tempfile.mkdtemp(prefix="prov-")) / "s"
    listen = ("127.0.0.1:0", f"unix:{path}")
    async with standing(tmp_path, listen=listen, behaviour={"auth": "none"}) as house:
        common = [curl, "-sS", "--http2-prior-knowledge", "-d", "{}", "-w", "%{http_code}"]
        assert (await said_by(*common, f"{house.url}/3/device/{GOOD}"))[0] == "200"
        assert (await said_by(*common, "--unix-socket", str(path), f"http://x/3/device/{GOOD}"))[0] == "200"
    assert not path.exists()
    path.parent.rmdir()


def h2load(*options: str) -> list[str]:
    return [program("h2load", "nghttp2-client"), "-t", "1", "-H", f"apns-topic: {TOPIC}", *options]


async def test_h2load_twenty_thousand_requests(tmp_path: Path):
    body = tmp_path / "body"
    body.write_text(PAYLOAD)
    async with standing(tmp_path, audience=10, behaviour={"auth": "none"}) as house:
        url = f"{house.url}/3/device/{GOOD}"
        out, _ = await said_by(*h2load("-n", "20000", "-c", "10", "-m", "100", "-d", str(body), url))
        assert "20000 total, 20000 started, 20000 done, 20000 succeeded, 0 failed, 0 errored, 0 timeout" in out
        assert "status codes: 20000 2xx, 0 3xx, 0 4xx, 0 5xx" in out
        assert counter(house, Counter.REQUESTS) == counter(house, Counter.FOREIGN) == 20_000
        assert counter(house, Counter.PEAK_CONNECTIONS) == 10


async def test_h2load_with_an_id_of_the_run_over_tls(tmp_path: Path):
    """One person, thousands of times: what the byte cannot count, the counters do."""
    body = tmp_path / "body"
    body.write_text(PAYLOAD)
    async with standing(tmp_path, tls=True, audience=10) as house:
        url = f"{house.url}/3/device/{GOOD}"
        headers = ["-H", f"apns-id: {ident(4)}", "-H", f"authorization: {bearer(house)}"]
        out, _ = await said_by(*h2load("-n", "5000", "-c", "10", "-m", "100", "-d", str(body), *headers, url))
        assert "status codes: 5000 2xx, 0 3xx, 0 4xx, 0 5xx" in out
        (path,) = house.parts()
        part = WitnessPart.open(path)
        assert part.counts.tolist() == [0] * 4 + [15] + [0] * 5
        assert part.counter(Counter.ACCEPTED) == part.counter(Counter.ATTEMPTS) == 5000


async def test_h2load_with_many_paths_good_and_dead_and_bad(tmp_path: Path):
    body, uris = tmp_path / "body", tmp_path / "uris"
    body.write_text(PAYLOAD)
    async with standing(tmp_path, audience=10, behaviour={"auth": "none", "dead_tokens": [DEAD]}) as house:
        tokens = [f"{number:064x}" for number in range(7)] + [DEAD, "nonsense", "ab" * 80]
        uris.write_text("".join(f"{house.url}/3/device/{token}\n" for token in tokens))
        out, _ = await said_by(*h2load("-n", "10000", "-c", "10", "-m", "50", "-d", str(body), "-i", str(uris)))
        assert "status codes: 8000 2xx, 0 3xx, 2000 4xx, 0 5xx" in out
        (state,) = await house.states()
        assert (state["accepted"], state["refused"], state["hung"]) == (8000, 2000, 0)


async def test_h2load_against_two_processes_behind_one_port(tmp_path: Path):
    body = tmp_path / "body"
    body.write_text(PAYLOAD)
    async with standing(tmp_path, audience=10, processes=2, behaviour={"auth": "none"}) as house:
        url = f"{house.url}/3/device/{GOOD}"
        out, _ = await said_by(
            *h2load("-n", "20000", "-c", "40", "-m", "20", "-d", str(body), "-H", f"apns-id: {ident(3)}", url)
        )
        assert "status codes: 20000 2xx, 0 3xx, 0 4xx, 0 5xx" in out
        assert counter(house, Counter.ACCEPTED) == 20_000
        assert counter(house, Counter.OPENED) == 40
        assert all(state["requests"] for state in await house.states())
