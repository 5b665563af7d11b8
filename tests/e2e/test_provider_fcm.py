"""Clients of FCM that nobody here wrote: each gets its token from the stand-in, sends, and sees what it would there."""

import asyncio
import contextlib
import json
import ssl
from pathlib import Path

import httpx
import numpy as np
import pytest
import requests
import urllib3
from async_firebase import AsyncFirebaseClient, errors
from async_firebase.messages import AndroidConfig, Message, Notification
from google.auth.exceptions import RefreshError
from google.auth.transport.requests import AuthorizedSession, Request
from google.auth.transport.urllib3 import AuthorizedHttp
from google.oauth2 import service_account
from pyfcm import FCMNotification
from pyfcm.errors import FCMNotRegisteredError

from burst.model.identity import TRACER, id_prefix, index_digits
from burst.provider.cloud_keys import PROJECT
from burst.provider.supervisor import House, Supervisor
from burst.runs.witness import Counter, WitnessPart

RUN = "fcm-clients"
SCOPES = ["https://www.googleapis.com/auth/firebase.messaging"]
LETTERS = "d7_-x" * 4 + "ab:APA91b"
GOOD, DEAD, SHORT = LETTERS + "x" * 123, LETTERS + "y" * 123, "short"
HANG_S = 90.0


def ident(index: int, kind: int = 0) -> str:
    return (id_prefix(RUN, kind) + index_digits(np.array([index])).tobytes()).decode()


@contextlib.asynccontextmanager
async def standing(folder: Path, *, processes: int = 1, tls: bool = True, **behaviour):
    said = {"dead_tokens": [DEAD]} | behaviour
    house = Supervisor(
        House(
            folder / "keys",
            said,
            listen=("fcm=127.0.0.1:0",),
            tls=tls,
            processes=processes,
            run=RUN,
            audience=20,
            witness=folder,
        )
    )
    await house.start()
    await house.go(1)
    try:
        async with asyncio.timeout(HANG_S):
            yield house
    finally:
        await house.stop()


def send_url(house: Supervisor, project: str = PROJECT) -> str:
    return f"{house.url_of['fcm']}/v1/projects/{project}/messages:send"


def seen(house: Supervisor) -> list[int]:
    """Return how often each person was accepted (low) and refused (high), over all processes."""
    parts = [WitnessPart.open(path) for path in house.parts()]
    counts = sum(part.counts.astype(int) for part in parts).tolist()
    for part in parts:
        part.close()
    return counts


def counter(house: Supervisor, which: Counter) -> int:
    parts = [WitnessPart.open(path) for path in house.parts()]
    total = sum(int(part.counters[which]) for part in parts)
    for part in parts:
        part.close()
    return total


def message(device: str, index: int) -> dict:
    return {"message": {"token": device, "notification": {"title": "Goal"}, "data": {"burst": ident(index)}}}


def credentials_of(house: Supervisor) -> service_account.Credentials:
    return service_account.Credentials.from_service_account_file(house.stand_in().google_file, scopes=SCOPES)


async def test_a_google_auth_session_gets_its_token_and_sends(tmp_path):
    def use(house: Supervisor) -> list[tuple[int, str]]:
        told = []
        plain = requests.Session()
        plain.trust_env, plain.verify = False, house.stand_in().ca_file
        with AuthorizedSession(credentials_of(house), auth_request=Request(plain)) as session:
            session.trust_env, session.verify = False, plain.verify
            for index, device in enumerate((GOOD, DEAD, SHORT)):
                answer = session.post(send_url(house), json=message(device, index))
                told.append((answer.status_code, answer.json().get("error", {}).get("status", "")))
            told.append((session.post(send_url(house, "another"), json=message(GOOD, 3)).status_code, ""))
        plain.close()
        return told

    async with standing(tmp_path) as house:
        told = await asyncio.to_thread(use, house)
        assert told == [(200, ""), (404, "NOT_FOUND"), (400, "INVALID_ARGUMENT"), (403, "")]
        assert seen(house)[:5] == [1, 0x10, 0x10, 0x10, 0]


async def test_a_google_auth_pool_of_urllib3_sends_by_several_processes(tmp_path):
    def use(house: Supervisor) -> list[int]:
        told = []
        for index in range(12):  # a connection each: the kernel deals them to the processes
            with urllib3.PoolManager(ca_certs=house.stand_in().ca_file) as pool:
                http = AuthorizedHttp(credentials, http=pool)
                body = json.dumps(message(GOOD, index)).encode()
                told.append(http.request("POST", send_url(house), body=body).status)
        return told

    async with standing(tmp_path, processes=2) as house:
        credentials = credentials_of(house)
        assert await asyncio.to_thread(use, house) == [200] * 12
        assert seen(house)[:13] == [1] * 12 + [0]


async def test_an_account_that_is_not_the_stand_ins_gets_no_token(tmp_path):
    async with standing(tmp_path / "one") as house, standing(tmp_path / "other") as other:
        account = json.loads(Path(other.stand_in().google_file).read_text())  # noqa: ASYNC240
        account["token_uri"] = f"{house.url_of['fcm']}/token"
        strange = service_account.Credentials.from_service_account_info(account, scopes=SCOPES)
        session = requests.Session()
        session.trust_env, session.verify = False, house.stand_in().ca_file
        with session, pytest.raises(RefreshError, match="invalid_grant"):
            await asyncio.to_thread(strange.refresh, Request(session))


@pytest.mark.filterwarnings("ignore:Message.token is deprecated")
@pytest.mark.parametrize("http2", [True, False])
async def test_async_firebase_is_told_what_became_of_each_message(tmp_path, monkeypatch, http2):
    async with standing(tmp_path) as house:
        monkeypatch.setenv("SSL_CERT_FILE", house.stand_in().ca_file)
        # It asks Google, whatever the account file says.
        monkeypatch.setattr("async_firebase._credentials.TOKEN_URL", f"{house.url_of['fcm']}/token")
        async with AsyncFirebaseClient(use_http2=http2) as client:
            client.BASE_URL = house.url_of["fcm"]
            client.creds_from_service_account_file(house.stand_in().google_file)
            messages = [
                Message(
                    token=device,
                    notification=Notification(title="Goal", body="2:1"),
                    android=AndroidConfig(priority="high", ttl="60s"),
                    data={"burst": ident(index)},
                )
                for index, device in enumerate((GOOD, GOOD, DEAD, SHORT))
            ]
            messages.append(Message(fid="dGhpc2lzYW5pbnN0YWxsSQ", data={"burst": ident(4)}))
            told = await client.send_each(messages)
        assert [one.success for one in told.responses] == [True, True, False, False, True]
        assert len({one.message_id for one in told.responses[:2]}) == 2
        assert [type(one.exception) for one in told.responses[2:4]] == [
            errors.UnregisteredError,
            errors.InvalidArgumentError,
        ]
        assert seen(house)[:6] == [1, 1, 0x10, 0x10, 1, 0]


async def test_pyfcm_sends_and_is_told_who_has_gone(tmp_path, monkeypatch):
    def use(house: Supervisor) -> dict:
        client = FCMNotification(service_account_file=house.stand_in().google_file, project_id=PROJECT)
        with client.requests_session:
            told = client.notify(fcm_token=GOOD, notification_title="Goal", data_payload={"burst": ident(1)})
            with pytest.raises(FCMNotRegisteredError):
                client.notify(fcm_token=DEAD, notification_title="Goal", data_payload={"burst": ident(2)})
        return told

    async with standing(tmp_path) as house:
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", house.stand_in().ca_file)
        monkeypatch.setattr(FCMNotification, "FCM_END_POINT_BASE", f"{house.url_of['fcm']}/v1/projects")
        told = await asyncio.to_thread(use, house)
        assert told["name"].startswith(f"projects/{PROJECT}/messages/0:")
        assert seen(house)[:4] == [0, 1, 0x10, 0]


@pytest.mark.parametrize("tls", [True, False])
@pytest.mark.parametrize("http2", [True, False])
async def test_one_port_speaks_both_versions_of_http(tmp_path, tls, http2):
    async with standing(tmp_path, tls=tls, fcm={"auth": "any"}) as house:
        verify = ssl.create_default_context(cafile=house.stand_in().ca_file) if tls else False
        async with httpx.AsyncClient(http1=not http2, http2=http2, verify=verify, trust_env=False) as client:
            tasks = [
                client.post(send_url(house), json=message(GOOD, k), headers={"authorization": "Bearer x"})
                for k in range(20)
            ]
            answers = await asyncio.gather(*tasks)
        assert {answer.http_version for answer in answers} == {"HTTP/2" if http2 else "HTTP/1.1"}
        assert [answer.status_code for answer in answers] == [200] * 20
        assert seen(house) == [1] * 20


async def test_a_tracer_comes_back_from_a_stand_in_that_refuses_everybody(tmp_path):
    async with standing(tmp_path, fcm={"auth": "any"}, answers=[{"share": 1, "reason": "UNAVAILABLE"}]) as house:
        verify = ssl.create_default_context(cafile=house.stand_in().ca_file)
        for http2 in (True, False):
            async with httpx.AsyncClient(http1=not http2, http2=http2, verify=verify, trust_env=False) as client:
                body = message(GOOD, 0)
                for who, status in ((ident(0, TRACER), 200), (ident(4), 503)):
                    body["message"]["data"]["burst"] = who
                    answer = await client.post(send_url(house), json=body, headers={"authorization": "Bearer x"})
                    assert answer.status_code == status
        assert counter(house, Counter.TRACERS) == 2
        assert seen(house)[4] == 0x20
