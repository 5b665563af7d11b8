"""What the sender may send: a rate in any second, requests at once, and the fleet's one provider token."""

import asyncio
import time

import numpy as np
import pytest
from redis import Redis

from burst.fleet.control import Control
from burst.fleet.share import FleetShare
from burst.queues.embedded import EmbeddedShards
from burst.sinks.apns_token import SigningKey, mint
from tests.e2e.apns_drive import Drive, drive

RATE = 20_000


def busiest_second(sent_ns: np.ndarray) -> int:
    """Return how many were sent in the busiest second, wherever it begins."""
    stamps = np.sort(sent_ns[sent_ns > 0])
    return int((np.arange(stamps.size) - np.searchsorted(stamps, stamps - 1_000_000_000, side="right") + 1).max())


@pytest.mark.parametrize("workers", [pytest.param(1, marks=pytest.mark.slow), 3])
async def test_no_second_sees_more_than_102_percent_of_the_rate_and_nearly_all_of_it_is_used(tmp_path, workers):
    for left in "210":  # the machine is shared: what others take from it is no fault of the sender's
        told = await drive(tmp_path / left, 50_000, {}, {"rate": f"{RATE}/s"}, workers=workers, trace=False)
        assert told.outcomes == {"ACCEPTED": 50_000}
        assert busiest_second(told.sent_ns) <= 1.02 * RATE
        used = 50_000 / ((told.sent_ns.max() - told.sent_ns.min()) / 1e9) / RATE
        if used >= 0.75:
            break
    assert used >= 0.75
    told.assert_books_agree()


@pytest.mark.slow
async def test_no_second_after_an_outage_sees_more_than_the_rate_either(tmp_path):
    stamps: list[tuple[int, int]] = []

    async def count(made: Drive) -> None:
        while True:
            (state,) = await made.house.order("state")
            stamps.append((time.monotonic_ns(), state["requests"]))
            await asyncio.sleep(0.01)

    behaviour = {"outages": [{"at": "300ms", "lasts": "700ms", "how": "close"}], "latency": {"p50": "2ms"}}
    told = await drive(
        tmp_path,
        40_000,
        behaviour,
        {"rate": f"{RATE}/s", "streams": 100},
        retry={"answer_within": "5s", "attempts": 9},
        during=count,
    )
    assert set(told.outcomes) <= {"ACCEPTED", "UNKNOWN"}
    when, seen = (np.array(column) for column in zip(*stamps, strict=True))
    later = np.searchsorted(when, when + 1_000_000_000)
    whole = later < when.size
    first = np.flatnonzero(whole)
    # Counted at the far end: looks are more than a second apart, and what a busy machine held up arrives in one.
    lasted_s = (when[later[whole]] - when[first]) / 1e9 + 0.05
    assert ((seen[later[whole]] - seen[first]) / lasted_s).max() <= 1.02 * RATE
    told.assert_books_agree()


async def test_a_limited_sender_that_has_nothing_to_send_sleeps(tmp_path):
    behaviour = {"latency": {"percentiles": {0: "1ms", 99: "2ms", 100: "3ms"}}, "silent": 0.02}
    begun_s = time.thread_time()
    told = await drive(tmp_path, 500, behaviour, {"rate": f"{RATE}/s"}, retry={"answer_within": "1500ms"}, trace=False)
    assert told.outcomes["UNKNOWN"] > 0  # it waited for these, a second and a half
    assert time.thread_time() - begun_s < 0.9


async def test_requests_at_once_keep_their_limits(tmp_path):
    peaks = []

    async def watch(made: Drive) -> None:
        while True:
            peaks.append([link.connection.streams.open for link in made.sinks[0].sender.pool.links])
            await asyncio.sleep(0)

    limits = {"in_flight": 70, "streams": 25}
    told = await drive(tmp_path, 5000, {"latency": {"p50": "2ms"}}, limits, during=watch, trace=False)
    assert told.outcomes == {"ACCEPTED": 5000}
    assert max(max(row) for row in peaks if row) == 25
    assert 60 <= max(sum(row) for row in peaks) <= 70


@pytest.mark.slow
async def test_an_expired_provider_token_is_made_anew_once_for_the_fleet_and_nothing_is_lost(tmp_path):
    """The token turns an hour old in mid-run; the fleet's share, by its own clock, has it for half an hour only."""
    shards = EmbeddedShards(1)
    await shards.start()
    shares = []
    minted = []
    try:
        controls = [await Control(shards.urls[0], "run").connect() for _ in range(3)]
        shares = [FleetShare(control) for control in controls]

        def plant(house):
            key = SigningKey.load(house.authority.p8.read_bytes())
            # Whole seconds are cut off: it has one to two left, and the run takes three.
            old = mint(key, house.authority.key_id, house.authority.team_id, time.time() - 3598)
            name = f"apns-{house.authority.key_id}"
            with Redis.from_url(shards.urls[0]) as client:
                made_us = int((time.time() - 1800) * 1e6)
                client.hset(
                    controls[0].keys.shared,
                    mapping={f"value:{name}": old, f"made:{name}": made_us, f"shown:{name}": made_us},
                )
            minted.append((name, old))
            return {"rate": "10k/s"}

        told = await drive(tmp_path, 30_000, {}, workers=3, shares=shares, settle_from=plant, retry={"attempts": 4})
        ((name, old),) = minted
        with Redis.from_url(shards.urls[0]) as client:
            assert client.hget(controls[0].keys.shared, f"value:{name}").decode() != old
        assert told.outcomes == {"ACCEPTED": 30_000}
        assert 0 < told.retries < 3000  # what was under way; nothing more went out with the old one
        assert {reason for _, reason in told.reasons} == {"ExpiredProviderToken"}
        told.assert_books_agree()
    finally:
        for share in shares:
            await share.close()
        for control in controls:
            await control.close()
        await shards.stop()


async def test_a_client_certificate_stands_in_for_a_token(tmp_path):
    def certificate(house):
        authority = house.authority
        return {"certificate": str(authority.client_certificate), "certificate_key": str(authority.client_key)}

    told = await drive(
        tmp_path,
        2000,
        {"auth": "certificate"},
        tls=True,
        client_certificates=True,
        settle_from=certificate,
    )
    assert told.outcomes == {"ACCEPTED": 2000}
    told.assert_books_agree()
