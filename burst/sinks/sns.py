"""Amazon SNS: ten messages a signed call to a topic, or one call for every device's endpoint, over HTTP/1.1."""

from __future__ import annotations

from collections.abc import Sequence

from burst.model.ports import SinkContext
from burst.sinks.aws_calls import AwsCalls
from burst.sinks.aws_sink import AwsSink
from burst.sinks.sns_answers import REASONS
from burst.sinks.sns_calls import SnsCalls
from burst.sinks.sns_settings import SnsSettings
from burst.sinks.sns_tracers import Tracers

_FIELDS = (("Content-Type", "application/x-www-form-urlencoded; charset=utf-8"),)


class Sns(AwsSink[SnsSettings, SnsCalls]):
    """The sink. One worker's connections, calls and answers."""

    reasons: Sequence[str] = REASONS

    def __init__(self, settings: SnsSettings) -> None:
        super().__init__(settings, _FIELDS)

    def _make_requests(self, calls: AwsCalls, context: SinkContext) -> SnsCalls:
        return SnsCalls(self._settings, calls, context)

    async def trace(self) -> str:
        """Send a few marked messages that must be taken before the rest may follow; return what was seen.

        Raises TracerError.
        """
        tracers = Tracers(self._settings, self._endpoint, self._requests, self._context)
        return await tracers.send(self.sender, self.calls)
