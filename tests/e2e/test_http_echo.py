"""What the HTTP sink sends, as a server that nobody here wrote (aiohttp) receives it; and what it makes of answers."""

import asyncio
import base64
import contextlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass
from urllib.parse import parse_qs, unquote
from xml.etree import ElementTree as ET

import pytest
from aiohttp import web

from burst.model.batch import Platform
from burst.model.errors import BurstError, TracerError, UsageError
from burst.model.identity import TRACER, IdText, id_prefix
from burst.model.outcome import Answer
from tests.e2e.http_drive import EVENT, RUN, batch, ident, people, shoot

ODD_TENANTS = ["acme", 'Zoë & "Co"', "a/b?c#d%e f", "line\nend\\", "中文 <x>", "100%", "'"]
TOKENS = ["a:b_c-" + "d" * 58, "e" * 64, "F:" + "0" * 62]


@dataclass
class Received:
    """One request."""

    method: str
    path: str  # as it came
    headers: Mapping[str, str]  # whose names may be asked for in any case
    body: bytes

    @property
    def json(self):
        return json.loads(self.body)


class Echo:
    """A server that keeps what it receives, and answers as it is told."""

    def __init__(self) -> None:
        self.received: list[Received] = []
        self.answer: Callable[[Received], web.Response] = lambda _: web.Response(text="ok")
        self.later: Callable[[Received], Awaitable[web.Response]] | None = None
        self.url = ""
        self.peers: set[object] = set()

    async def handle(self, request: web.Request) -> web.Response:
        got = Received(request.method, request.raw_path, request.headers, await request.read())
        assert len(set(got.headers)) == len(got.headers)
        self.received.append(got)
        self.peers.add(request.transport.get_extra_info("peername"))
        return await self.later(got) if self.later else self.answer(got)


@contextlib.asynccontextmanager
async def echoing(path: str | None = None) -> AsyncIterator[Echo]:
    echo = Echo()
    application = web.Application(client_max_size=2**24)
    application.router.add_route("*", r"/{any:[\s\S]*}", echo.handle)
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0) if path is None else web.UnixSite(runner, path)
    await site.start()
    try:
        echo.url = f"unix://{path}" if path else f"http://127.0.0.1:{runner.addresses[0][1]}"
        yield echo
    finally:
        await runner.cleanup()


@pytest.fixture
async def echo():
    async with echoing() as made:
        yield made


async def test_the_default_body_says_who_it_is_for(echo):
    said = await shoot({"endpoint": echo.url}, [batch(TOKENS, 7, platform=Platform.ANDROID, tenant="acme", lane="vip")])
    assert said.counts == {"ACCEPTED": 3}
    by_id = {got.headers["burst-id"]: got for got in echo.received}
    assert len(echo.received) == len(by_id) == 3
    for position, token in enumerate(TOKENS):
        got = by_id[ident(7 + position)]
        assert (got.method, got.path) == ("POST", "/")
        assert got.headers["Content-Type"] == "application/json"
        assert got.headers["Host"] == echo.url.removeprefix("http://")
        assert got.headers["User-Agent"].startswith("burst/")
        assert got.json == {
            "id": ident(7 + position),
            "event": EVENT,
            "run": RUN,
            "index": str(7 + position).zfill(1),
            "token": token,
            "platform": "android",
            "tenant": "acme",
            "lane": "vip",
        }


@pytest.mark.parametrize("tenant", ODD_TENANTS)
async def test_odd_tenants_arrive_as_they_are_wherever_they_stand(echo, tenant):
    settings = {
        "endpoint": echo.url + "/hook/${tenant}/x?t=${tenant}&i=${index}&d=$$5",
        "headers": {"X-Tenant": "<${tenant}>", "X-Token": "${token}"},
        "body": {"tenant": "${tenant}", "list": ["${token}", {"i": "${index}"}], "$$": "$${id}"},
    }
    said = await shoot(settings, [batch(TOKENS, tenant=tenant)])
    assert said.counts == {"ACCEPTED": 3}
    for got in echo.received:
        index = int(got.headers["burst-id"][-12:], 16)
        path, _, query = got.path.partition("?")
        assert [unquote(part) for part in path.split("/")] == ["", "hook", tenant, "x"]
        assert parse_qs(query) == {"t": [tenant], "i": [str(index)], "d": ["$5"]}
        assert unquote(got.headers["X-Tenant"]) == f"<{tenant}>"
        assert all("!" <= letter <= "~" for letter in got.headers["X-Tenant"])
        assert got.headers["X-Token"] == TOKENS[index]
        assert got.json == {"tenant": tenant, "list": [TOKENS[index], {"i": str(index)}], "$": "${id}"}


@pytest.mark.parametrize("tenant", ODD_TENANTS)
async def test_bodies_are_written_in_their_own_language(echo, tenant):
    form = {"body": "id=${id}&t=${tenant}&k=${token}", "content_type": "application/x-www-form-urlencoded"}
    await shoot({"endpoint": echo.url, **form}, [batch(TOKENS, tenant=tenant)])
    for got in echo.received:
        index = int(got.headers["burst-id"][-12:], 16)
        assert parse_qs(got.body.decode()) == {"id": [ident(index)], "t": [tenant], "k": [TOKENS[index]]}
    echo.received.clear()
    await shoot({"endpoint": echo.url, "body": "${tenant} ${index}"}, [batch(TOKENS[:1], tenant=tenant)])
    assert echo.received[0].body.decode() == f"{tenant} 0"
    xml = {"body": '<p t="${tenant}">${tenant}</p>', "content_type": "text/xml"}
    await shoot({"endpoint": echo.url, **xml}, [batch(TOKENS[:1], tenant=tenant)])
    read = ET.fromstring(echo.received[1].body)
    assert read.text == tenant
    assert read.get("t") == tenant.replace("\n", " ")  # as XML reads line ends in attributes


async def test_tokens_of_any_width_each_get_their_own(echo):
    tokens = [("x" * (1 + index % 7)) + f":{index}" for index in range(60)]
    said = await shoot({"endpoint": echo.url}, [batch(tokens, platform=Platform.ANDROID)])
    assert said.counts == {"ACCEPTED": 60}
    told = {int(got.headers["burst-id"][-12:], 16): got.json["token"] for got in echo.received}
    assert told == dict(enumerate(tokens))
    echo.received.clear()
    several = {"people_per_request": 60, "body": {"i": ["${items}"], "t": ["${tokens}"]}, "connections": 1}
    await shoot({"endpoint": echo.url, **several}, [batch(tokens, platform=Platform.ANDROID)])
    (got,) = echo.received
    assert got.json["t"] == [item["token"] for item in got.json["i"]] == tokens


@pytest.mark.parametrize("method", ["PUT", "PATCH", "GET", "DELETE"])
async def test_every_method(echo, method):
    assert (await shoot({"endpoint": echo.url, "method": method}, [batch(TOKENS)])).counts == {"ACCEPTED": 3}
    assert {got.method for got in echo.received} == {method}
    for got in echo.received:
        assert bool(got.body) == (method in {"PUT", "PATCH"}) == ("Content-Type" in got.headers)
        assert ("Content-Length" in got.headers) == (method in {"PUT", "PATCH"})


async def test_several_people_share_a_request(echo):
    said = await shoot({"endpoint": echo.url, "people_per_request": 100, "connections": 2}, people(1234))
    assert said.counts == {"ACCEPTED": 1234}
    found = IdText(RUN)
    seen = []
    for got in echo.received:
        people_here = found.people(got.body).tolist()
        assert found.people(got.headers["burst-id"].encode()).tolist() == people_here
        assert got.json["count"] == len(people_here) <= 100
        assert got.json["tokens"] == [f"{index:064x}" for index in people_here]
        seen += people_here
    assert sorted(seen) == list(range(1234))
    assert len(echo.received) <= 20


async def test_items_are_an_array_in_json_and_lines_elsewhere(echo):
    item = {"to": "${token}", "i": "${index}", "of": "${tenant}"}
    body = {"messages": ["${items}"], "n": "${count}", "who": "${ids}"}
    settings = {"endpoint": echo.url, "people_per_request": 50, "item": item, "connections": 1}
    await shoot({**settings, "body": body}, [batch(TOKENS, tenant='a"b')])
    (got,) = echo.received
    assert got.json["messages"] == [{"to": t, "i": str(i), "of": 'a"b'} for i, t in enumerate(TOKENS)]
    assert got.json["n"] == "3"
    assert got.json["who"] == f"{ident(0)}+3"
    lines = {"item": "${token};${index}", "body": "${count} ${tokens}\n${items}\n", "content_type": "text/csv"}
    await shoot({**settings, **lines}, [batch(TOKENS)])
    assert echo.received[1].body.decode().splitlines() == [
        "3 " + ",".join(TOKENS),
        *(f"{token};{index}" for index, token in enumerate(TOKENS)),
    ]


async def test_people_who_are_not_neighbours_do_not_outgrow_a_header(echo):
    odd = list(range(0, 500, 2))
    said = await shoot({"endpoint": echo.url, "people_per_request": 500}, people(500), take=odd)
    assert said.counts == {"ACCEPTED": 250}
    names = [got.headers["burst-id"] for got in echo.received]
    assert max(map(len, names)) < 4096
    assert sorted(IdText(RUN).people(",".join(names).encode()).tolist()) == odd


async def test_secrets_come_from_the_environment_and_are_told_to_the_server_alone(echo, monkeypatch):
    for name, value in {"T": "s3cret-token", "K": "s3cret-key", "P": "s3cret-pässword", "H": "/s3cret/${lane}"}.items():
        monkeypatch.setenv(name, value)
    bearer = {"endpoint": echo.url, "bearer_env": "T", "header_env": {"X-Key": "K"}, "path_env": "H"}
    await shoot(bearer, [batch(TOKENS, lane="vip")], trace=True)
    for got in echo.received:
        assert got.headers["Authorization"] == "Bearer s3cret-token"
        assert got.headers["X-Key"] == "s3cret-key"
        assert got.path == "/s3cret/vip" or IdText(RUN).has_tracer(got.headers["burst-id"].encode())
    echo.received.clear()
    await shoot({"endpoint": echo.url, "basic_user": "Zoë", "basic_password_env": "P"}, [batch(TOKENS)])
    scheme, _, shown = echo.received[0].headers["Authorization"].partition(" ")
    assert (scheme, base64.b64decode(shown).decode()) == ("Basic", "Zoë:s3cret-pässword")


@pytest.mark.parametrize(
    ("settings", "value", "said"),
    [
        ({"bearer_env": "BURST_TEST_NONE"}, None, "BURST_TEST_NONE is not set"),
        ({"bearer_env": "BURST_TEST_T"}, "s3cret\nInjected: yes", "cannot stand in a header"),
        ({"header_env": {"X": "BURST_TEST_T"}}, "s3crét", "cannot stand in a header"),
        ({"path_env": "BURST_TEST_T"}, "s3cret", "holds no path"),
        ({"path_env": "BURST_TEST_T"}, "/s3cret path", "holds no path"),
        ({"path_env": "BURST_TEST_T"}, "/s3cret/${who}", "holds no path"),
    ],
)
async def test_secrets_that_cannot_be_sent_are_told_without_being_told(echo, monkeypatch, settings, value, said):
    if value is not None:
        monkeypatch.setenv("BURST_TEST_T", value)
    with pytest.raises(UsageError) as caught:
        await shoot({"endpoint": echo.url, **settings}, [batch(TOKENS)])
    told = f"{caught.value.what} {caught.value.hint} {caught.value!r}"
    assert said in told
    assert "s3cr" not in told
    assert not echo.received


async def test_answers_mean_what_their_status_says(echo):
    statuses = [200, 204, 301, 404, 408, 409, 429, 500, 503, 504]

    def answer(got: Received) -> web.Response:
        status = statuses[int(got.json["index"])]
        fields = {"Location": "/elsewhere"} if status == 301 else {}
        return web.Response(status=status, headers=fields | ({"Retry-After": "3"} if status in {429, 503} else {}))

    echo.answer = answer
    settings = {"endpoint": echo.url, "statuses": {409: "accepted"}}
    said = await shoot(settings, [batch([f"{n:064x}" for n in range(len(statuses))])])
    assert {statuses[index]: answer.name for index, answer in said.answers.items()} == {
        200: "ACCEPTED",
        204: "ACCEPTED",
        301: "REJECTED",
        404: "REJECTED",
        408: "REFUSED",
        409: "ACCEPTED",
        429: "THROTTLED",
        500: "REFUSED",
        503: "THROTTLED",
        504: "DOUBTFUL",
    }
    assert said.reasons[2] == "redirect"
    assert said.reasons[5] == ""
    assert said.reasons[7] == "500 Internal Server Error"
    assert {statuses[index]: wait for index, wait in said.waits_ns.items() if wait} == {429: 3 * 10**9, 503: 3 * 10**9}
    assert len(echo.received) == len(statuses), "a redirect is not followed, and nothing is sent twice"


async def test_a_date_to_come_again_at_is_read_by_the_servers_clock(echo):
    fields = {"Retry-After": "Fri, 31 Dec 1999 23:59:59 GMT", "Date": "Fri, 31 Dec 1999 23:59:49 GMT"}
    echo.answer = lambda _: web.Response(status=429, headers=fields)
    said = await shoot({"endpoint": echo.url}, [batch(TOKENS)])
    assert set(said.waits_ns.values()) == {10 * 10**9}
    assert said.counts == {"THROTTLED": 3}


async def test_a_server_that_closes_after_each_answer_serves_everybody(echo):
    def answer(_: Received) -> web.Response:
        made = web.Response(text="bye")
        made.force_close()
        return made

    echo.answer = answer
    said = await shoot({"endpoint": echo.url, "connections": 8}, people(400), trace=True)
    assert said.counts == {"ACCEPTED": 400}
    assert len(echo.received) == 401
    assert len(echo.peers) == 401


async def test_connections_are_kept_and_no_more_than_were_asked_for(echo):
    said = await shoot({"endpoint": echo.url, "connections": 5}, people(1000))
    assert said.counts == {"ACCEPTED": 1000}
    assert len(echo.peers) == 5


@pytest.mark.parametrize("several", [{}, {"people_per_request": 10}])
async def test_a_tracer_is_a_request_like_the_others_for_nobody(echo, several):
    said = await shoot({"endpoint": echo.url, **several}, [batch(TOKENS)], trace=True)
    assert "1 tracer(s) accepted" in said.tracer
    tracer = echo.received[0]
    assert tracer.headers["burst-id"] == id_prefix(RUN, TRACER).decode() + "0" * 12
    assert tracer.headers["burst-id"] in {tracer.json.get("id"), tracer.json.get("ids")}
    assert not IdText(RUN).people(tracer.body).size
    assert set(tracer.json) == set(echo.received[1].json)


async def test_a_refused_tracer_says_so_and_nobody_gets_anything(echo):
    echo.answer = lambda _: web.Response(status=401)
    with pytest.raises(TracerError) as caught:
        await shoot({"endpoint": echo.url}, [batch(TOKENS)], trace=True)
    assert "401 Unauthorized" in caught.value.what
    assert len(echo.received) == 1


async def test_a_tracer_may_be_of_ones_own(echo):
    await shoot({"endpoint": echo.url, "tracer_tokens": ["mine", "yours"]}, [batch(TOKENS)], trace=True)
    assert [got.json["token"] for got in echo.received[:2]] == ["mine", "yours"]


async def test_an_answer_that_does_not_come_leaves_a_doubt(echo):
    held = asyncio.Event()

    async def answer(got: Received) -> web.Response:
        if got.json["index"] == "1":
            await held.wait()
        return web.Response()

    echo.later = answer
    said = await shoot({"endpoint": echo.url}, [batch(TOKENS)], answer_within_s=0.3)
    held.set()
    assert said.counts == {"ACCEPTED": 2, "DOUBTFUL": 1}
    assert said.answers[1] is Answer.DOUBTFUL


async def test_it_goes_through_a_unix_socket(tmp_path):
    async with echoing(str(tmp_path / "hook.sock")) as echo:
        said = await shoot({"endpoint": echo.url, "path": "/deep/${platform}?x"}, [batch(TOKENS)], trace=True)
        assert said.counts == {"ACCEPTED": 3}
        assert echo.received[1].path == "/deep/ios?x"
        assert echo.received[1].headers["Host"] == "localhost"


async def test_nobody_there_is_told_with_the_endpoints_name(echo):
    async with echoing() as gone:
        pass
    with pytest.raises(BurstError) as caught:
        await shoot({"endpoint": gone.url, "connect_within": "200ms"}, [batch(TOKENS)])
    assert gone.url.removeprefix("http://") in caught.value.what
