"""What Google answers, and what becomes of the people: its whole error model, over a real connection."""

import asyncio
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import numpy as np
import pytest

from burst.model.outcome import Answer
from burst.model.units import NS_PER_S
from tests.e2e.fcm_drive import QUICK, drive, opened, people
from tests.e2e.fcm_google import Google, Push, error, google

FINAL = {
    "unregistered": (error(404, "NOT_FOUND", "UNREGISTERED"), "UNREGISTERED"),
    "another project's token": (error(403, "PERMISSION_DENIED", "SENDER_ID_MISMATCH"), "SENDER_ID_MISMATCH"),
    "no right to send": (error(403, "PERMISSION_DENIED"), "PERMISSION_DENIED"),
    "no such project": (error(404, "NOT_FOUND"), "NOT_FOUND"),
    "an argument": (error(400, "INVALID_ARGUMENT", "INVALID_ARGUMENT"), "INVALID_ARGUMENT"),
    "a token that is none": (
        error(
            400,
            "INVALID_ARGUMENT",
            "INVALID_ARGUMENT",
            message="The registration token is not a valid FCM registration token",
        ),
        "INVALID_ARGUMENT: message.token",
    ),
    "a field": (
        error(400, "INVALID_ARGUMENT", field="message.data[0].value"),
        "INVALID_ARGUMENT: message.data",
    ),
    "a field elsewhere": (error(400, "INVALID_ARGUMENT", field="message.huh"), "INVALID_ARGUMENT: another field"),
    "no key for APNs": (error(401, "UNAUTHENTICATED", "THIRD_PARTY_AUTH_ERROR"), "THIRD_PARTY_AUTH_ERROR"),
    "what nobody knows": ((418, {}, b"<html>teapot</html>"), "no reason given"),
    "a new code": (error(409, "ABORTED"), "another reason"),
}


@pytest.mark.parametrize(("reply", "reason"), FINAL.values(), ids=FINAL)
async def test_what_would_be_refused_again_is_rejected_with_its_reason(tmp_path, reply, reason):
    async with google(tmp_path, answering=lambda push: reply if push.index % 10 == 0 else None) as there:
        told = await drive(tmp_path, people(android=1000), there.settings)
        assert told.outcomes == {"ACCEPTED": 900, "REJECTED": 100}
        assert told.reasons == {("REJECTED", reason): 100}
        assert len(there.pushes) == 1000


class Once:
    """Refuses everybody the first time."""

    def __init__(self, reply) -> None:
        self.reply = reply
        self.seen: set[int] = set()

    def __call__(self, push: Push):
        if push.index in self.seen:
            return None
        self.seen.add(push.index)
        return self.reply


FOR_NOW = {
    "unavailable": error(503, "UNAVAILABLE", "UNAVAILABLE", retry_after="0"),
    "internal": error(500, "INTERNAL", "INTERNAL"),
    "internal without words": (500, {}, b""),
    "quota": error(429, "RESOURCE_EXHAUSTED", "QUOTA_EXCEEDED", retry_after="0"),
    "a page of the front end's": (503, {"retry-after": "0"}, b"<!DOCTYPE html><title>Error 503</title>"),
}


@pytest.mark.parametrize("reply", FOR_NOW.values(), ids=FOR_NOW)
async def test_what_was_refused_for_now_is_sent_again_until_it_is_taken(tmp_path, reply):
    async with google(tmp_path, answering=Once(reply)) as there:
        told = await drive(tmp_path, people(android=500), there.settings)
        assert told.outcomes == {"ACCEPTED": 500}
        assert (told.attempts == 2).all()
        assert len(there.pushes) == 1000


@pytest.mark.parametrize(("status", "canonical"), [(504, "DEADLINE_EXCEEDED"), (502, "")])
async def test_what_a_gateway_has_lost_sight_of_may_have_been_taken(tmp_path, status, canonical):
    async with google(tmp_path, answering=Once(error(status, canonical))) as there:
        told = await drive(tmp_path, people(android=100), there.settings)
        assert told.outcomes == {"UNKNOWN": 100}
        assert len(there.pushes) == 100


async def test_a_quota_is_waited_for_as_long_as_google_says(tmp_path):
    async with google(tmp_path, answering=Once(error(429, "X", "QUOTA_EXCEEDED", retry_after="1"))) as there:
        told = await drive(tmp_path, people(android=50), there.settings)
        assert told.outcomes == {"ACCEPTED": 50}
        at_s = [push.at_s for push in there.pushes]
        assert min(at_s[50:]) - max(at_s[:50]) >= 0.9


async def _answers_to(there: Google, reply) -> tuple[Answer, int, str]:
    """Return what one push is answered with, as the engine hears it."""
    there.answering = lambda _: reply
    (batch,) = people(android=1)
    async with opened(there.settings) as sink:
        prepared = sink.prepare(batch, np.array([7]), np.array([0]))
        assert sink.send(prepared, 0, 1) == 1
        async with asyncio.timeout(10):
            while not (found := sink.answers()):  # noqa: ASYNC110 (the engine is what is woken)
                await asyncio.sleep(0.005)
        (said,) = found
        after = 0 if said.retry_after_ns is None else int(said.retry_after_ns[0])
        reason = "" if said.reasons is None else sink.reasons[said.reasons[0]]
        return Answer(int(said.codes[0])), after, reason


WAITS = {
    "429 in seconds": (429, "7", Answer.THROTTLED, 7),
    "429 without": (429, None, Answer.THROTTLED, 60),
    "429 with nonsense": (429, "soon", Answer.THROTTLED, 60),
    "503 in seconds": (503, "7", Answer.REFUSED, 7),
    "503 without": (503, None, Answer.REFUSED, 60),
    "500 in seconds": (500, "7", Answer.REFUSED, 7),
    "500 without": (500, None, Answer.REFUSED, 0),
}


@pytest.mark.parametrize(("status", "after", "answer", "waits_s"), WAITS.values(), ids=WAITS)
async def test_how_long_google_asks_to_wait_is_told(tmp_path, status, after, answer, waits_s):
    more = {} if after is None else {"retry_after": after}
    code = {429: "QUOTA_EXCEEDED", 503: "UNAVAILABLE", 500: "INTERNAL"}[status]
    async with google(tmp_path) as there:
        assert await _answers_to(there, error(status, "X", code, **more)) == (answer, waits_s * NS_PER_S, code)


async def test_a_date_to_come_again_at_is_counted_from_now(tmp_path):
    at = format_datetime(datetime.now(UTC) + timedelta(seconds=30), usegmt=True)
    async with google(tmp_path) as there:
        _, after_ns, _ = await _answers_to(there, error(429, "X", "QUOTA_EXCEEDED", retry_after=at))
        assert 25 * NS_PER_S < after_ns <= 30 * NS_PER_S


async def test_attempts_end_and_the_last_reason_is_told(tmp_path):
    reply = error(500, "INTERNAL", "INTERNAL")
    async with google(tmp_path, answering=lambda push: reply if push.index < 20 else None) as there:
        told = await drive(tmp_path, people(android=100), there.settings, retry=QUICK | {"attempts": 3})
        assert told.outcomes == {"ACCEPTED": 80, "FAILED": 20}
        assert told.reasons == {("FAILED", "INTERNAL"): 20}
        assert len(there.pushes) == 80 + 3 * 20
