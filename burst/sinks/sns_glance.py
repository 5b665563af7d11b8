"""What answers of SNS look like that say of all messages of a call that they were taken."""

from __future__ import annotations

from burst.sinks.aws_glance import UUID, Looks, evenly, with_others
from burst.sinks.sns_answers import takes_all


class SnsLooks(Looks):
    """Answers of one length. Their Ids are the same for every call."""

    def say(self, answers: bytes) -> list[bool]:
        """Return which answers look so; all end to end."""
        rows = self.rows(answers)
        return [True] * len(rows) if self.all_fit(rows) else self.fits(rows)


def sns_looks(answer: bytes, head: int, count: int) -> SnsLooks | None:
    """Return what answers look like that are like this one: nothing but UUIDs, of messages and requests, may differ.

    ``count`` is ``ONE`` for a Publish.
    """
    ahead = [found.span() for found in UUID.finditer(answer, 0, head)]
    within = [found.span() for found in UUID.finditer(answer, head)]
    if len(within) < max(count, 1) or not takes_all(with_others(answer, head, within), count):
        return None
    return SnsLooks(answer, [*evenly(ahead), *evenly(within)], [*ahead, *within], count)
