"""Amazon SQS: ten messages a signed call over HTTP/1.1, one person or many people a message."""

from __future__ import annotations

from collections.abc import Sequence

from burst.model.ports import SinkContext
from burst.sinks.aws_calls import AwsCalls
from burst.sinks.aws_sink import AwsSink
from burst.sinks.sqs_answers import REASONS
from burst.sinks.sqs_calls import SqsCalls
from burst.sinks.sqs_queue import fields, queue_url
from burst.sinks.sqs_settings import SqsSettings
from burst.sinks.sqs_tracers import Tracers


class Sqs(AwsSink[SqsSettings, SqsCalls]):
    """The sink. One worker's connections, calls and answers."""

    reasons: Sequence[str] = REASONS

    def __init__(self, settings: SqsSettings) -> None:
        super().__init__(settings, fields("SendMessageBatch"))

    def _make_requests(self, calls: AwsCalls, context: SinkContext) -> SqsCalls:
        return SqsCalls(self._settings, calls, context)

    async def open(self, context: SinkContext) -> None:
        """Find keys and queue, and connect. Raises BurstError."""
        await super().open(context)
        self._requests.to(await queue_url(self._settings, self._endpoint, self.sender, self.calls))

    async def trace(self) -> str:
        """Send a marked message of each kind that must be taken before the rest may follow; return what was seen.

        Raises TracerError.
        """
        tracers = Tracers(self._settings, self._endpoint, self._requests, self._context)
        return await tracers.send(self.sender, self.calls)
