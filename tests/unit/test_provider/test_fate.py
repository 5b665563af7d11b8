"""What becomes of a request is what the behaviour says: in the shares it says, for the tokens it says, when it says."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from burst.model.units import NS_PER_S
from burst.provider import fate
from burst.provider.behaviour import Behaviour
from burst.provider.fate import Act, Fates, Sight, token_key, token_keys

NOW_NS = 10**15
hex_tokens = st.integers(32, 100).flatmap(
    lambda width: st.lists(st.text("0123456789abcdefABCDEF", min_size=2 * width, max_size=2 * width), min_size=1)
)


def fates_of(seed=1, **file) -> Fates:
    return Fates(Behaviour.model_validate(file), seed)


def people(count: int) -> np.ndarray:
    """Return the keys of so many different tokens."""
    rng = np.random.default_rng(7)
    digits = np.frombuffer(rng.bytes(32 * count).hex().encode(), dtype=np.uint8)
    return token_keys(digits.reshape(count, 64))


@given(hex_tokens)
def test_a_token_has_one_key_alone_and_in_a_column_in_either_case(tokens):
    rows = np.array([list(token.encode()) for token in tokens], dtype=np.uint8)
    assert token_keys(rows).tolist() == [token_key(token.encode()) for token in tokens]
    assert token_keys(rows).tolist() == [token_key(token.swapcase().encode()) for token in tokens]


def test_tokens_that_differ_in_one_digit_have_different_keys():
    token = bytearray(b"0" * 64)
    keys = {token_key(token)}
    for place in range(64):
        for digit in b"123456789abcdef":
            keys.add(token_key(token[:place] + bytes([digit]) + token[place + 1 :]))
    assert len(keys) == 1 + 64 * 15


@pytest.mark.parametrize("width", [0, 1, 7, 9, 255, 256, 257, 100_000])
def test_what_is_no_token_at_all_has_a_key_too(width):
    row = np.full((1, width), ord("f"), dtype=np.uint8)
    assert token_keys(row).tolist() == [token_key(b"f" * width)]


def test_tokens_that_count_up_have_different_keys():
    numbers = [number << shift for shift in (0, 28, 100, 224) for number in range(1, 20_000)]
    digits = np.frombuffer("".join(f"{number:064x}" for number in numbers).encode(), dtype=np.uint8)
    assert np.unique(token_keys(digits.reshape(-1, 64))).size == len(set(numbers))


def test_a_column_cut_out_of_a_buffer_of_requests_is_read_as_well():
    requests = np.frombuffer(b"head" + b"ab" * 32 + b"tail" + b"head" + b"cd" * 32 + b"tail", dtype=np.uint8)
    digits = requests.reshape(2, 72)[:, 4:68]
    assert token_keys(digits).tolist() == [token_key(b"ab" * 32), token_key(b"cd" * 32)]


def test_a_healthy_apple_is_plain():
    healthy = fates_of()
    assert healthy.plain
    assert not healthy.judged
    assert not healthy.judge(people(100), NOW_NS, 0).any()
    assert not healthy.delays_ns(5).any()


@pytest.mark.parametrize(
    "file",
    [
        {"dead": "1%"},
        {"dead_tokens": ["ab"]},
        {"quota": {"rate": "1/s"}},
        {"per_token": {"rate": "1/s"}},
        {"answers": [{"share": "1%", "reason": "Shutdown"}]},
        {"silent": "1%"},
        {"hang": "1%"},
        {"reset_streams": "1%"},
        {"malformed": "1%"},
        {"outages": [{"at": "1s", "lasts": "1s"}]},
    ],
    ids=lambda file: next(iter(file)),
)
def test_whoever_misbehaves_is_judged(file):
    assert fates_of(**file).judged
    assert not fates_of(**file).plain


def test_a_slow_apple_is_not_plain_but_need_not_be_judged():
    slow = fates_of(latency={"p50": "2ms", "p99": "8ms"})
    assert (slow.plain, slow.judged) == (False, False)
    delays = slow.delays_ns(100_000)
    assert np.percentile(delays, 50) == pytest.approx(2e6, rel=0.05)
    assert np.percentile(delays, 99) == pytest.approx(8e6, rel=0.1)


def test_every_share_is_kept():
    size = 400_000
    mixed = fates_of(
        silent="3%",
        hang="2%",
        malformed="1%",
        reset_streams="4%",
        answers=[{"share": "5%", "reason": "TooManyRequests"}, {"share": "0.5%", "reason": "InternalServerError"}],
    )
    counts = np.bincount(mixed.judge(people(size), NOW_NS, 0), minlength=64) / size
    expected = {fate.SILENT: 0.03, fate.HANG: 0.02, fate.MALFORMED: 0.01, fate.RESET: 0.04, 32: 0.05, 33: 0.005}
    for code, share in expected.items():
        assert counts[code] == pytest.approx(share, abs=5 * (share / size) ** 0.5)
    assert counts[fate.OK] == pytest.approx(0.845, abs=0.003)


def test_shares_that_add_up_to_one_leave_nobody_ok():
    rows = [{"share": share, "reason": "Shutdown"} for share in (0.1, 0.2, 0.7)]
    assert (fates_of(answers=rows).judge(people(50_000), NOW_NS, 0) >= fate.OTHER).all()


def test_the_same_tokens_are_dead_for_a_seed_whenever_they_come():
    keys, behaviour = people(100_000), Behaviour(dead=0.05)
    first, other_process, other_seed = (
        Fates(behaviour, 3),
        Fates(behaviour, 3, process=1, processes=4),
        Fates(behaviour, 4),
    )
    dead = first.judge(keys, NOW_NS, 0) == fate.DEAD
    assert dead.mean() == pytest.approx(0.05, abs=0.004)
    assert (dead == (other_process.judge(keys[::-1], NOW_NS, 0)[::-1] == fate.DEAD)).all()
    assert (dead == first.dead(keys)).all()
    assert (dead & other_seed.dead(keys)).mean() < 0.01


def test_listed_tokens_are_dead_in_either_case_and_nobody_else():
    listed = ["AB" * 32, "cd" * 40]
    keys = np.array([token_key(token) for token in (b"ab" * 32, b"CD" * 40, b"ab" * 40)], dtype=np.uint64)
    assert fates_of(dead_tokens=listed).judge(keys, NOW_NS, 0).tolist() == [fate.DEAD, fate.DEAD, fate.OK]


def test_a_dead_token_says_since_when():
    answer = Fates(Behaviour(dead=1.0), 1, dead_since_ms=1_700_000_000_000).refusals[fate.DEAD]
    assert answer.status == 410
    assert json.loads(answer.body) == {"reason": "Unregistered", "timestamp": 1_700_000_000_000}


def test_a_quota_grants_its_burst_then_its_rate_and_is_divided_among_processes():
    behaviour = Behaviour.model_validate({"quota": {"rate": "1000/s", "burst": 200}, "dead": "100%"})
    for processes in (1, 4):
        one = Fates(behaviour, 1, processes=processes)
        first = one.judge(people(1000), NOW_NS, 0)
        assert (first == fate.QUOTA).tolist() == [False] * (200 // processes) + [True] * (1000 - 200 // processes)
        later = one.judge(people(1000), NOW_NS + NS_PER_S // 10, 0)
        assert np.count_nonzero(later != fate.QUOTA) == min(100, 200) // processes
        assert one.refusals[fate.QUOTA].status == 429


requests = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3 * NS_PER_S)), min_size=1, max_size=40)


@given(requests, st.integers(1, 4), st.sampled_from([0.5, 1.0, 3.0]))
def test_a_device_token_gets_its_burst_and_its_rate_like_a_bucket_of_its_own(plan, burst, rate):
    fates = Fates(Behaviour.model_validate({"per_token": {"rate": rate, "burst": burst}}), 1)
    tokens, at_ns, now_ns = {}, {}, NOW_NS
    for key, step in plan:
        now_ns += step
        held = tokens.get(key, float(burst)) + (now_ns - at_ns.get(key, now_ns)) * rate / NS_PER_S
        held, at_ns[key] = min(burst, held), now_ns
        got = fates.judge(np.array([key], dtype=np.uint64), now_ns, 0)[0]
        if abs(held - 1) > 1e-6:  # at the very edge either is right
            assert got == (fate.OK if held > 1 else fate.PER_TOKEN)
        tokens[key] = held - (got == fate.OK)


def test_one_device_tokens_flood_does_not_touch_another():
    fates = fates_of(per_token={"rate": "1/s", "burst": 2})
    keys = np.array([5, 5, 5, 6, 5, 6, 6], dtype=np.uint64)
    over = fate.PER_TOKEN
    assert fates.judge(keys, NOW_NS, 0).tolist() == [0, 0, over, 0, over, 0, over]


def test_token_quotas_forget_the_tokens_that_have_rested():
    fates = fates_of(per_token={"rate": "10/s"})
    for second in range(4):
        keys = np.arange(second * 50_000, (second + 1) * 50_000, dtype=np.uint64)
        assert not fates.judge(keys, NOW_NS + second * NS_PER_S, 0).any()
    assert len(fates._token_quotas._full_at_ns) <= 100_000


def test_outages_begin_and_end_when_they_should_and_the_first_counts():
    fates = fates_of(
        outages=[
            {"at": "1s", "lasts": "1s", "how": "hang"},
            {"at": "1500ms", "lasts": "2s", "reason": "Shutdown"},
        ]
    )
    keys = people(3)
    for since_ms, code in ((-1, 0), (999, 0), (1000, 8), (1999, 8), (2000, 9), (3499, 9), (3500, 0)):
        assert fates.judge(keys, NOW_NS, since_ms * 1_000_000).tolist() == [code] * 3
    assert fates.outage(2_000_000_000)[1].reason == "Shutdown"
    assert (fates.refusals[9].status, fates.refusals[9].body) == (503, b'{"reason":"Shutdown"}')


def test_what_is_done_and_what_the_witness_is_told_agree():
    fates = fates_of(
        silent="1%",
        hang="1%",
        malformed="1%",
        reset_streams={"share": "1%", "code": "CANCEL", "processed": True},
        answers=[{"share": "1%", "reason": "Odd", "status": 599}],
        dead="1%",
        outages=[{"at": 0, "lasts": "1s", "how": how} for how in ("refuse", "hang", "reset", "close", "goaway")],
    )
    known = {
        fate.OK: (Act.ANSWER, Sight.ACCEPT),
        fate.DEAD: (Act.REFUSE, Sight.REFUSE),
        fate.SILENT: (Act.NOTHING, Sight.ACCEPT),
        fate.HANG: (Act.NOTHING, Sight.HANG),
        fate.RESET: (Act.RESET, Sight.ACCEPT),
        fate.MALFORMED: (Act.GARBLE, Sight.ACCEPT),
        8: (Act.REFUSE, Sight.REFUSE),
        9: (Act.NOTHING, Sight.HANG),
        10: (Act.RESET, Sight.REFUSE),
        11: (Act.CLOSE, Sight.HANG),
        12: (Act.GOAWAY, Sight.REFUSE),
        32: (Act.REFUSE, Sight.REFUSE),
    }
    for code, (act, sight) in known.items():
        assert (fates.acts[code], fates.sights[code]) == (act, sight), code
        assert (fates.refusals[code] is not None) == (act in {Act.REFUSE, Act.GOAWAY} or 8 <= code <= 12), code
    assert fates.refusals[32].status == 599


@pytest.mark.parametrize(
    ("reset", "sight"),
    [("1%", Sight.REFUSE), ({"share": "1%", "code": "CANCEL"}, Sight.HANG)],
)
def test_only_refused_stream_promises_the_client_that_nothing_was_processed(reset, sight):
    fates = fates_of(reset_streams=reset)
    assert fates.sights[fate.RESET] == sight
    assert (fates.reset_code(fate.RESET) == "REFUSED_STREAM") == (sight == Sight.REFUSE)
    assert fates.reset_code(fate.OUTAGE) == "REFUSED_STREAM"
