"""The desk that stands in for Amazon SQS."""

from __future__ import annotations

from burst.provider.behaviour import Behaviour, Conduct
from burst.provider.call_desk import CallDesk
from burst.provider.call_link import CallLink
from burst.provider.desk import Means
from burst.provider.dialect import Dialect
from burst.provider.fate import Fates
from burst.provider.sqs import Sqs


class SqsDesk(CallDesk):
    """Calls to SQS over HTTP/1.1."""

    def __init__(self, behaviour: Behaviour, means: Means) -> None:
        def make(behaviour: Behaviour, before: Dialect | None) -> Dialect:
            return Sqs(behaviour.sqs, means, before if isinstance(before, Sqs) else None)

        super().__init__(behaviour, means, make)

    def make_fates(self, conduct: Conduct) -> Fates:
        """Return the fates of a conduct: a queue knows nothing of devices, so none is dead and none has a quota."""
        return super().make_fates(conduct.model_copy(update={"dead": 0.0, "dead_tokens": (), "per_token": None}))

    def opened(self, link: CallLink) -> None:
        """Welcome a connection."""
        super().opened(link)
        dialect = self.dialect
        assert isinstance(dialect, Sqs)
        dialect.scheme = "http" if link.transport.get_extra_info("ssl_object") is None else "https"
