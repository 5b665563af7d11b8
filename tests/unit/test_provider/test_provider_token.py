"""A provider token is judged as Apple judges it, by a check that PyJWT's tokens pass."""

import json
from base64 import urlsafe_b64encode

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given
from hypothesis import strategies as st

from burst.model.errors import BurstError
from burst.provider.authority import Authority
from burst.provider.provider_token import TokenCheck, read_keys

NOW_S = 1_800_000_000
KEY = ec.generate_private_key(ec.SECP256R1())
OTHER_KEY = ec.generate_private_key(ec.SECP256R1())
HEAD = {"kid": "ABC1234567"}
CLAIMS = {"iss": "TEAM123456", "iat": NOW_S}


def bearer(claims=None, head=None, key=KEY) -> bytes:
    token = jwt.encode({**CLAIMS, **(claims or {})}, key, algorithm="ES256", headers={**HEAD, **(head or {})})
    return b"bearer " + token.encode()


def made_by_hand(head, claims, signature=b"s" * 64) -> bytes:
    parts = [urlsafe_b64encode(json.dumps(part).encode()) for part in (head, claims)]
    return b"bearer " + b".".join(part.rstrip(b"=") for part in (*parts, urlsafe_b64encode(signature)))


@pytest.fixture
def check():
    return TokenCheck({"ABC1234567": KEY.public_key()}, "TEAM123456")


@pytest.mark.parametrize("scheme", [b"bearer", b"Bearer", b"BEARER"])
def test_a_token_of_pyjwt_is_good_for_an_hour(check, scheme):
    authorization = bearer().replace(b"bearer", scheme)
    for _ in range(2):  # the second time out of the cache
        assert check.check(authorization, NOW_S) is None
        assert check.check(authorization, NOW_S + 3600) is None
        assert check.check(authorization, NOW_S + 3601) == "ExpiredProviderToken"


def test_a_signing_key_of_the_authority_is_verified_with_its_public_half(tmp_path):
    authority = Authority.create(tmp_path)
    keys = read_keys({authority.key_id: authority.p8_public.name}, tmp_path)
    token = jwt.encode(
        {"iss": authority.team_id, "iat": NOW_S},
        authority.p8.read_text(),
        algorithm="ES256",
        headers={"kid": authority.key_id},
    )
    assert TokenCheck(keys, authority.team_id).check(b"bearer " + token.encode(), NOW_S) is None


def test_a_clock_a_little_ahead_is_forgiven_and_no_more(check):
    authorization = bearer({"iat": NOW_S + 60})
    assert check.check(authorization, NOW_S) is None
    assert check.check(authorization, NOW_S - 1) == "InvalidProviderToken"
    assert check.check(authorization, NOW_S + 30) is None


@pytest.mark.parametrize("authorization", [b"", b"bearer", b"bearer  ", b"basic abc", b"eyJ.eyJ.abc"])
def test_no_token_is_a_missing_one(check, authorization):
    assert check.check(authorization, NOW_S) == "MissingProviderToken"


@pytest.mark.parametrize(
    "authorization",
    [
        bearer(key=OTHER_KEY),
        bearer(head={"kid": "UNKNOWN000"}),
        bearer({"iss": "ANOTHER000"}),
        bearer({"iat": None}),
        made_by_hand(HEAD, CLAIMS),
        made_by_hand({**HEAD, "alg": "none"}, CLAIMS, b""),
        made_by_hand({**HEAD, "alg": "HS256"}, CLAIMS),
        made_by_hand({**HEAD, "alg": "ES256"}, CLAIMS),
        b"bearer a.b",
        b"bearer a.b.c.d",
        b"bearer ..",
        b"bearer \xff\xfe.\x00.\x80",
        b"bearer " + b"a" * 5000 + b".b.c",
        bearer() + b"x",
        bearer()[:-2],
        b"bearer " + jwt.encode(CLAIMS, KEY, algorithm="ES256").encode(),
        b"bearer " + jwt.encode(CLAIMS, "x" * 32, algorithm="HS256", headers=HEAD).encode(),
    ],
)
def test_whatever_is_wrong_with_a_token_makes_it_invalid(check, authorization):
    for _ in range(2):
        assert check.check(authorization, NOW_S) == "InvalidProviderToken"


@given(st.integers(0, 63), st.integers(1, 255))
def test_a_signature_with_a_byte_changed_is_invalid(place, change):
    text, _, signature = bearer().rpartition(b".")
    raw = bytearray(jwt.utils.base64url_decode(signature))
    raw[place] ^= change
    check = TokenCheck({"ABC1234567": KEY.public_key()})
    assert check.check(text + b"." + jwt.utils.base64url_encode(bytes(raw)), NOW_S) == "InvalidProviderToken"


@given(st.binary(max_size=300), st.booleans())
def test_no_bytes_whatever_make_it_fail(noise, with_keys):
    check = TokenCheck({"ABC1234567": KEY.public_key()} if with_keys else None)
    assert check.check(noise, NOW_S) in {"MissingProviderToken", "InvalidProviderToken"}
    assert check.check(b"bearer " + noise, NOW_S) in {"MissingProviderToken", "InvalidProviderToken"}


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
)


@given(json_values, json_values)
def test_no_json_whatever_makes_it_fail(head, claims):
    assert TokenCheck().check(made_by_hand(head, claims), NOW_S) == "InvalidProviderToken"
    odd = made_by_hand({"alg": "ES256", "kid": head}, {"iss": "T", "iat": claims})
    assert TokenCheck().check(odd, NOW_S) in {"InvalidProviderToken", "ExpiredProviderToken"}


def test_without_keys_form_and_age_alone_count():
    check = TokenCheck()
    assert check.check(bearer(key=OTHER_KEY, claims={"iss": "ANYBODY"}), NOW_S) is None
    assert check.check(made_by_hand({**HEAD, "alg": "ES256"}, CLAIMS), NOW_S + 3601) == "ExpiredProviderToken"
    assert check.check(made_by_hand(HEAD, CLAIMS), NOW_S) == "InvalidProviderToken"


def test_a_token_seen_before_is_not_verified_again(check, monkeypatch):
    authorization = bearer()
    assert check.check(authorization, NOW_S) is None
    monkeypatch.setattr(check, "_verify", None)  # calling it would raise
    assert check.check(authorization, NOW_S + 5) is None


def test_a_flood_of_tokens_takes_bounded_memory(check):
    good = bearer()
    for number in range(5000):
        check.check(b"bearer x.y.%d" % number, NOW_S)
    assert check.check(good, NOW_S) is None
    assert len(check._verified) <= 1024


def test_a_token_may_be_replaced_after_twenty_minutes_and_not_before(check):
    first, second, third = (bearer({"iat": NOW_S + step}) for step in (0, 1, 2))
    assert not check.updates_too_fast(first, NOW_S)
    assert check.updates_too_fast(second, NOW_S + 1199)
    assert not check.updates_too_fast(first, NOW_S + 1199)
    assert not check.updates_too_fast(second, NOW_S + 1200)
    assert not check.updates_too_fast(first, NOW_S + 1201)  # still under way
    assert check.updates_too_fast(third, NOW_S + 2399)
    assert not check.updates_too_fast(third, NOW_S + 2400)


def test_workers_that_mint_each_their_own_are_told_so(check):
    mine, theirs = bearer(), bearer()  # ES256 signs with chance: same claims, other bytes
    assert mine != theirs
    assert not check.updates_too_fast(mine, NOW_S)
    assert check.updates_too_fast(theirs, NOW_S)


def test_scopes_do_not_know_of_each_other_and_can_be_forgotten(check):
    assert not check.updates_too_fast(b"a", NOW_S, "one")
    assert not check.updates_too_fast(b"b", NOW_S, "two")
    assert check.updates_too_fast(b"b", NOW_S, "one")
    check.forget("one")
    assert not check.updates_too_fast(b"b", NOW_S, "one")


def test_keys_are_read_from_text_and_from_files(tmp_path):
    pem = KEY.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    (tmp_path / "key.pem").write_bytes(pem)
    read = read_keys({"A": pem.decode(), "B": "key.pem"}, tmp_path)
    assert read == {"A": KEY.public_key(), "B": KEY.public_key()}


def test_a_key_that_is_none_is_named(tmp_path):
    large = ec.generate_private_key(ec.SECP384R1()).public_key()
    (tmp_path / "large.pem").write_bytes(large.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    (tmp_path / "noise.pem").write_bytes(b"\x00noise")
    for name, said in (("large.pem", "P-256"), ("noise.pem", "P-256"), ("absent.pem", "No such file")):
        with pytest.raises(BurstError, match=rf"keys\.K: .*{said}"):
            read_keys({"K": name}, tmp_path)
    with pytest.raises(BurstError, match="the text is no public key"):
        read_keys({"K": "-----BEGIN nothing"}, tmp_path)
