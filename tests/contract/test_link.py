"""One connection: every way in which a server can fail us has a plain text, and none of them tells a password."""

import contextlib
import socket
import socketserver
import threading
import time
from urllib.parse import quote, urlsplit, urlunsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from burst.fleet.heartbeat import Heartbeat
from burst.model.errors import QueueError, UsageError
from burst.queues.keys import ShardKeys
from burst.queues.link import Link, check_url, owner_of, redacted
from burst.queues.scripts import _script
from burst.queues.shard import Lease

GUARD_S = 30.0
secrets = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=20).map(
    lambda text: f"s3cret{text}"
)


def closed_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@given(secrets, secrets, st.sampled_from(["redis", "rediss"]), st.sampled_from(["", "/0", "/3"]))
def test_a_redacted_url_tells_neither_user_nor_password(user, password, scheme, path):
    parts = f"{quote(user, safe='')}:{quote(password, safe='')}"
    for credentials in (parts, parts.rpartition(":")[0], ":" + parts.partition(":")[2]):
        told = redacted(f"{scheme}://{credentials}@redis.example:6379{path}")
        assert told == f"{scheme}://redis.example:6379{path}"
        assert "s3cret" not in told


@given(secrets, secrets)
def test_secrets_that_hold_an_at_sign_or_come_by_query_stay_secret_too(user, password):
    for url in (
        f"redis://u@x:s3cret@{'h'}:6379/0",
        f"redis://h:6379/0?username={quote(user, safe='')}&password={quote(password, safe='')}",
        f"unix://{quote(user, safe='')}:{quote(password, safe='')}@/tmp/s.sock",
        f"unix:///tmp/s.sock?password={quote(password, safe='')}",
        f"redis://u:{password}@h:6379",  # not percent-encoded
        f"{user}:{password}@h:6379",  # the scheme was forgotten
        f"redis://h:6379/0?password={password}@{user}",
    ):
        assert "s3cret" not in redacted(url)


@pytest.mark.parametrize(
    "url",
    [
        "http://u:s3cret@h:6379",
        "h:6379",
        "",
        "redis://u:s3cret@h:port/0",
        "redis://u:s3cret@h:99999",
        "rediss//s3cret@h",
    ],
)
def test_what_is_not_a_redis_url_is_refused_without_telling_its_secrets(url):
    with pytest.raises(UsageError) as told:
        check_url(url)
    assert "s3cret" not in str(told.value)


async def refusal(url: str) -> str:
    """Connect where it must fail; return the text, after a hang guard."""
    begun, link = time.monotonic(), Link(url)

    async def speak() -> None:
        await link.connect()
        await link.call("PING", within_s=5.0)

    with pytest.raises(QueueError) as told:
        await speak()
    await link.close()
    assert time.monotonic() - begun < GUARD_S
    text = repr(told.value) + str(told.value)
    assert "s3cret" not in text
    assert told.value.hint
    return text


async def test_a_server_that_is_absent_is_told_with_what_to_do():
    text = await refusal(f"redis://ada:s3cret-p@127.0.0.1:{closed_port()}/0")
    assert "cannot be reached" in text
    assert "brings its own servers" in text


async def test_a_socket_that_does_not_exist_is_told(tmp_path):
    assert "cannot be reached" in await refusal(f"unix://{tmp_path}/none.sock")


async def test_a_wrong_password_is_told_without_it(password_url):
    parts = urlsplit(password_url)
    for credentials in (":s3cret-wrong@", "ada:s3cret-wrong@", ""):
        wrong = urlunsplit(parts._replace(netloc=f"{credentials}127.0.0.1:{parts.port}"))
        text = await refusal(wrong)
        assert "refuses us" in text
        assert "user:password@host" in text


async def test_a_heartbeat_refused_tells_no_password(password_url):
    wrong = f"redis://ada:s3cret-wrong@127.0.0.1:{urlsplit(password_url).port}"
    heart = Heartbeat([(wrong, ShardKeys("run", 0))], Lease("a", 1), 10**9)
    with pytest.raises(QueueError) as told:
        heart.begin()
    assert "s3cret" not in str(told.value)
    heart.end()


@contextlib.contextmanager
def pretender(respond):
    """Something on a socket that is not Redis; ``respond(data)`` returns its answer, or None to hang up."""

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            with contextlib.suppress(OSError):
                while data := self.request.recv(4096):
                    answer = respond(data)
                    if answer is None:
                        return
                    self.request.sendall(answer)

    class Server(socketserver.ThreadingTCPServer):
        daemon_threads = True

    with Server(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()
        try:
            yield f"redis://:s3cret-p@127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join(GUARD_S)


@pytest.mark.parametrize(
    "answer",
    [b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n", b"SSH-2.0-OpenSSH_9.6\r\n", b"\x00\xff" * 50, None, b""],
    ids=["http", "ssh", "binary", "hangs-up", "silent"],
)
async def test_something_that_is_not_redis_is_told_and_not_waited_for(answer):
    with pretender(lambda _data: answer) as url:
        assert "127.0.0.1" in await refusal(url)


async def test_a_server_that_stops_answering_is_not_waited_for_longer_than_the_deadline():
    def respond(data: bytes) -> bytes:
        return b"" if b"BLPOP" in data else b"+OK\r\n" * data.count(b"*")

    with pretender(respond) as url:
        link = await Link(url).connect()
        begun = time.monotonic()
        with pytest.raises(QueueError, match="cannot be reached"):
            await link.call("BLPOP", "x", 0, within_s=0.2)
        assert time.monotonic() - begun < GUARD_S
        await link.close()


async def test_the_right_password_lets_us_in_and_stays_out_of_the_name(password_url):
    link = await Link(password_url).connect()
    assert await link.call("PING") == b"PONG"
    assert link.server == redacted(password_url)
    assert "s3cret" not in link.server
    assert await owner_of(password_url, "key") == password_url
    with pytest.raises(QueueError, match="answers") as told:
        await link.call("NONSENSE")
    assert "s3cret" not in str(told.value)
    await link.close()
    await link.close()


async def test_the_password_stays_in_the_url_of_a_clusters_node(cluster_url):
    parts = urlsplit(cluster_url)
    # The cluster wants none; the default user without a password takes any.
    owner = await owner_of(parts._replace(netloc=f"default:x@{parts.netloc}").geturl(), "key")
    assert owner.startswith("redis://default:x@127.0.0.1:")


async def test_a_script_the_server_has_forgotten_is_sent_again(password_url):
    link, script = await Link(password_url).connect(), _script("return ARGV[1]")
    assert await link.run(script, [], ["one"]) == b"one"
    await link.call("SCRIPT", "FLUSH")
    assert await link.run(script, [], ["two"]) == b"two"
    await link.close()


async def test_a_full_server_says_so_and_what_to_do(servers):
    link = await Link(f"redis://127.0.0.1:{servers.start('--maxmemory', '3mb')}").connect()

    async def fill() -> None:
        for number in range(100):
            await link.call("SET", f"key-{number}", b"x" * 100_000)

    with pytest.raises(QueueError, match="out of memory"):
        await fill()
    await link.close()
