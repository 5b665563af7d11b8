"""What a region grants, and that a call finds all of its messages granted or none."""

import pytest

from burst.model.units import NS_PER_S
from burst.provider.behaviour import QuotaSettings
from burst.provider.sns_quotas import MessageQuota, default_rates


@pytest.mark.parametrize(
    ("region", "rates"),
    [
        ("us-east-1", (30_000, 30_000)),
        ("us-west-2", (9_000, 9_000)),
        ("eu-west-1", (9_000, 9_000)),
        ("us-east-2", (1_500, 3_000)),
        ("eu-central-1", (1_500, 3_000)),
        ("ap-northeast-1", (1_500, 3_000)),
        ("sa-east-1", (300, 3_000)),
    ],
)
def test_a_region_grants_what_aws_says(region, rates):
    assert default_rates(region) == rates


def test_without_quota_and_region_there_is_no_limit():
    quota = MessageQuota(None, None, 1)
    assert not quota.limited
    assert quota.granted(10**9, 0, fifo=False) == 10**9


def test_calls_that_find_too_little_take_nothing_so_the_rate_is_still_granted():
    quota = MessageQuota(QuotaSettings(rate=1000, burst=10), None, 1)
    granted = sum(quota.granted(10, at * NS_PER_S // 10_000, fifo=False) for at in range(10_000))
    assert 1000 <= granted <= 1010


def test_a_call_of_more_than_may_ever_come_at_once_passes_when_nothing_else_has():
    quota = MessageQuota(QuotaSettings(rate=100, burst=4), None, 1)
    assert quota.granted(10, 0, fifo=False) == 10
    assert quota.granted(10, 1, fifo=False) == 0


def test_entries_may_be_granted_in_part():
    quota = MessageQuota(QuotaSettings(rate=1, burst=14), None, 1)
    assert [quota.granted(10, 0, fifo=False, partly=True) for _ in range(3)] == [10, 4, 0]


def test_fifo_topics_have_a_quota_of_their_own_unless_aws_has_granted_one_for_all():
    quota = MessageQuota(None, "sa-east-1", 2)
    assert quota.granted(150, 0, fifo=False) == 150
    assert quota.granted(1, 0, fifo=False) == 0
    assert quota.granted(1500, 0, fifo=True) == 1500
    assert quota.granted(1, 0, fifo=True) == 0
    one = MessageQuota(QuotaSettings(rate=1, burst=10), "sa-east-1", 1)
    assert one.granted(10, 0, fifo=False) == 10
    assert one.granted(1, 0, fifo=True) == 0
