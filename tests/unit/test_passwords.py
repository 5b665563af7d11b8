"""Copies of a scenario in the run folder hold no password."""

import pytest

from burst.queues.link import without_passwords


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("redis: redis://:hunter2@10.0.0.5:6379", "redis: redis://***@10.0.0.5:6379"),
        ('{"redis":["rediss://me:p@ss@a:1","unix:///s"]}', '{"redis":["rediss://***@a:1","unix:///s"]}'),
        ("redis://a:b@one:1,redis://c:d@two:2", "redis://***@one:1,redis://***@two:2"),
        ("see https://example.com/a@b and me@example.com", "see https://example.com/a@b and me@example.com"),
        ("nothing here", "nothing here"),
    ],
)
def test_passwords_are_masked_and_nothing_else(text: str, kept: str) -> None:
    assert without_passwords(text) == kept
