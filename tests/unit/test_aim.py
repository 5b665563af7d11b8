"""Where a run may shoot: loopback always, staging when both lists name it, the rest with two yeses and real tokens."""

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from burst.model.ports import Permit
from burst.model.scenario import read_allowed
from burst.policy.aim import Aim, Permitted, Reach, Refused, may_connect, real_provider, verdict

STAGING = Aim("push.staging.example", ("10.1.2.3",))
PUBLIC = Aim("push.example", ("93.184.216.34", "2606:2800:220:1::1"))
APPLE = Aim("api.push.apple.com", ("17.188.143.1",))
APPLE_ON_LOOPBACK = Aim("api.sandbox.push.apple.com", ("127.0.0.1",))

names = st.from_regex(r"[a-z]([a-z0-9-]{0,8}[a-z0-9])?(\.[a-z]{2,8}){0,3}", fullmatch=True)
addresses = st.ip_addresses().map(str)


def judge(aim, *, file=(), typed=(), live_file=False, live_typed=False, synthetic=True):
    return verdict(aim, file, typed, live_file, live_typed, synthetic=synthetic)


@pytest.mark.parametrize(
    "aim",
    [
        Aim("127.0.0.1"),
        Aim("127.0.0.1", ("127.0.0.1",)),
        Aim("127.8.9.10", ("127.8.9.10",)),
        Aim("::1", ("::1",)),
        Aim("::ffff:127.0.0.1", ("::ffff:127.0.0.1",)),
        Aim("localhost", ("127.0.0.1", "::1")),
        Aim("provider.test", ("127.0.0.1",)),
        Aim("/run/provider.sock"),
    ],
)
def test_loopback_is_always_permitted(aim):
    assert judge(aim) == Permitted(Reach.LOOPBACK)


@pytest.mark.parametrize(
    "aim",
    [
        Aim("localhost", ("127.0.0.1", "10.0.0.1")),
        Aim("localhost", ("10.0.0.1",)),
        Aim("localhost"),
        Aim("127.0.0.1", ("10.0.0.1",)),
        Aim("127.0.0.1.nip.example", ("93.184.216.34",)),
        Aim("0.0.0.0", ("0.0.0.0",)),
        Aim("::", ("::",)),
        Aim("128.0.0.1", ("128.0.0.1",)),
        Aim("::2", ("::2",)),
        Aim("::ffff:10.0.0.1", ("::ffff:10.0.0.1",)),
        Aim(""),
    ],
)
def test_one_address_too_many_or_none_at_all_is_not_loopback(aim):
    assert isinstance(judge(aim), Refused)


@given(st.sets(addresses, min_size=1, max_size=4))
def test_a_name_is_loopback_exactly_when_every_address_is(found):
    aim = Aim("somewhere.test", tuple(found))
    assert aim.loopback == all(ipaddress.ip_address(one).is_loopback for one in found)


@pytest.mark.parametrize(
    ("file", "typed", "permitted"),
    [
        (("push.staging.example",), ("push.staging.example",), True),
        (("push.staging.example",), ("PUSH.Staging.Example.",), True),
        (("10.1.0.0/16",), ("push.staging.example",), True),
        (("push.staging.example",), ("10.1.2.3",), True),
        (("10.1.2.3",), ("10.1.0.0/16",), True),
        (("other.example", "10.1.0.0/16"), ("push.staging.example",), True),
        (("push.staging.example",), (), False),
        ((), ("push.staging.example",), False),
        (("push.staging.example",), ("other.example",), False),
        (("staging.example",), ("staging.example",), False),
        (("ush.staging.example",), ("ush.staging.example",), False),
        (("10.2.0.0/16",), ("push.staging.example",), False),
    ],
)
def test_a_staging_host_is_permitted_when_file_and_command_line_both_name_it(file, typed, permitted):
    found = judge(STAGING, file=file, typed=typed)
    assert found == Permitted(Reach.ALLOWED) if permitted else isinstance(found, Refused)


def test_a_network_permits_a_name_only_with_all_its_addresses():
    strays = Aim("push.staging.example", ("10.1.2.3", "10.2.2.3"))
    assert isinstance(judge(strays, file=("10.1.0.0/16",), typed=("10.1.0.0/16",)), Refused)
    both = ("10.1.0.0/16", "10.2.0.0/16")
    assert judge(strays, file=both, typed=both) == Permitted(Reach.ALLOWED)
    partly_here = Aim("push.staging.example", ("127.0.0.1", "10.1.2.3"))
    assert judge(partly_here, file=both, typed=both) == Permitted(Reach.ALLOWED)
    assert isinstance(judge(Aim("unknown.example"), file=both, typed=both), Refused)


@pytest.mark.parametrize("aim", [STAGING, PUBLIC, APPLE, APPLE_ON_LOOPBACK])
@pytest.mark.parametrize(("live_file", "live_typed"), [(False, False), (True, False), (False, True), (True, True)])
def test_anything_else_needs_both_yeses_and_real_tokens(aim, live_file, live_typed):
    found = judge(aim, live_file=live_file, live_typed=live_typed, synthetic=False)
    if live_file and live_typed:
        assert found == Permitted(Reach.LIVE)
        refused = judge(aim, live_file=True, live_typed=True, synthetic=True)
        assert isinstance(refused, Refused)
        assert "synthetic tokens never go to a" in refused.what
        assert "audience file" in refused.hint
    else:
        assert isinstance(found, Refused)
        assert ("--live" in found.hint, "live: true" in found.hint) == (True, True)


@given(
    st.booleans(), st.booleans(), st.sampled_from([APPLE, APPLE_ON_LOOPBACK, Aim("17.1.2.3"), Aim("sqs.amazonaws.com")])
)
def test_no_allow_list_makes_a_real_provider_a_staging_system(live_file, live_typed, aim):
    listed = (aim.host, "17.0.0.0/8", "127.0.0.0/8")
    found = judge(aim, file=listed, typed=listed, live_file=live_file, live_typed=live_typed, synthetic=False)
    assert found == Permitted(Reach.LIVE) if live_file and live_typed else isinstance(found, Refused)
    assert isinstance(judge(aim, file=listed, typed=listed, live_file=live_file, live_typed=live_typed), Refused)


def test_allowed_hosts_stay_allowed_in_a_live_run():
    found = judge(STAGING, file=(STAGING.host,), typed=(STAGING.host,), live_file=True, live_typed=True)
    assert found == Permitted(Reach.ALLOWED)


@pytest.mark.parametrize(
    "host",
    [
        "apple.com",
        "api.push.apple.com",
        "API.Push.Apple.COM",
        "api.push.apple.com.",
        "api.push.apple\u3002com",
        "\uff41pi.push.apple.com",
        "fcm.googleapis.com",
        "sns.eu-west-1.amazonaws.com",
        "sqs.cn-north-1.amazonaws.com.cn",
        "17.249.0.1",
        "::ffff:17.249.0.1",
        "2620:149:a44::1",
    ],
)
def test_real_providers_are_known_however_they_are_spelt(host):
    assert real_provider(host)


@pytest.mark.parametrize(
    "host", ["pineapple.com", "apple.com.example", "notgoogleapis.com", "com", "", "18.0.0.1", "apple", "127.0.0.1"]
)
def test_others_are_not_taken_for_providers(host):
    assert not real_provider(host)


@given(names)
def test_whatever_is_under_a_providers_domain_is_that_provider(name):
    assert real_provider(f"{name}.apple.com")
    assert real_provider(f"{name}.googleapis.com".upper())


def test_a_name_of_ones_own_that_points_at_apple_is_apple():
    alias = Aim("push.mine.example", ("17.188.143.1",))
    found = judge(alias, file=(alias.host,), typed=(alias.host,))
    assert isinstance(found, Refused)
    assert "real provider" in found.what


@pytest.mark.parametrize(
    ("options", "what", "hint"),
    [
        ({}, "neither loopback nor on an allow list", "write `allow: [push.staging.example]` in the scenario file and"),
        ({"file": (STAGING.host,)}, "was not typed", "--allow push.staging.example"),
        ({"typed": (STAGING.host,)}, "allow list does not have it", "write `allow: [push.staging.example]`"),
        ({"live_file": True}, "neither loopback", "type --live as well"),
        ({"live_typed": True}, "neither loopback", "write `live: true` in the scenario file as well"),
        ({"live_file": True, "live_typed": True}, "synthetic tokens never", "`audience: people.csv`"),
    ],
)
def test_a_refusal_says_what_to_do(options, what, hint):
    found = judge(STAGING, **options)
    assert what in found.what
    assert STAGING.host in found.what
    assert hint in found.hint


@given(names, st.lists(addresses, max_size=3), st.lists(names | addresses, max_size=3), st.booleans(), st.booleans())
def test_without_a_second_hand_nothing_off_this_machine_is_permitted(name, found, listed, live, synthetic):
    aim = Aim(name, tuple(found))
    everything = (name, *found, *listed)
    for one_hand in (
        judge(aim, file=everything, live_file=live, synthetic=synthetic),
        judge(aim, typed=everything, live_typed=live, synthetic=synthetic),
    ):
        assert isinstance(one_hand, Refused) or (one_hand.reach is Reach.LOOPBACK and aim.loopback)


@pytest.mark.parametrize(
    ("aim", "permit", "may"),
    [
        (Aim("localhost", ("127.0.0.1",)), Permit(), True),
        (Aim("/run/provider.sock"), Permit(), True),
        (Aim("localhost", ("10.0.0.1",)), Permit(), False),
        (STAGING, Permit(), False),
        (STAGING, Permit(("Push.staging.example",)), True),
        (STAGING, Permit(("other.example",)), False),
        # A name that was allowed by its network is held to the addresses it had then.
        (Aim("push.staging.example", ("10.1.2.3",)), Permit(("10.1.2.3",)), True),
        (Aim("push.staging.example", ("203.0.113.9",)), Permit(("10.1.2.3",)), False),
        (APPLE, Permit(("api.push.apple.com",)), False),
        (APPLE_ON_LOOPBACK, Permit(), False),
        (APPLE, Permit(("api.push.apple.com",), live=True), True),
        (Aim("push.staging.example", ("17.1.1.1",)), Permit(("push.staging.example",)), False),
    ],
)
def test_a_connection_is_asked_about_once_more_with_the_address_it_goes_to(aim, permit, may):
    assert may_connect(aim, permit) is may


@pytest.mark.parametrize(
    ("text", "entry"),
    [
        ("Push.Staging.Example.", "push.staging.example"),
        (" 10.1.2.3 ", "10.1.2.3"),
        ("10.0.0.0/8", "10.0.0.0/8"),
        ("[FD00::1]", "fd00::1"),
        ("fd00:0::/64", "fd00::/64"),
        ("my_service", "my_service"),
    ],
)
def test_an_allow_entry_is_a_host_an_address_or_a_network(text, entry):
    assert read_allowed(text) == entry


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "https://host",
        "host:443",
        "10.1.2.3:443",
        "10.1.2.3/8",
        "10.0.0.0/33",
        "0.0.0.0/0",
        "::/0",
        "*.example",
        "a b",
    ],
)
def test_other_allow_entries_are_refused(text):
    with pytest.raises(ValueError, match=r"is no host|much of the world"):
        read_allowed(text)
