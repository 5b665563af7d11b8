"""What calls other than those that send may ask for, and what is answered, as JSON has it."""

from __future__ import annotations

from typing import Any

import msgspec

from burst.provider.sqs_message import Attributes as Named


class QueueCall(msgspec.Struct, gc=False):
    """Of one queue."""

    QueueUrl: str = ""


class CreateCall(msgspec.Struct, gc=False):
    """CreateQueue."""

    QueueName: str = ""
    Attributes: dict[str, Any] | None = None
    tags: dict[str, str] | None = None


class NameCall(msgspec.Struct, gc=False):
    """GetQueueUrl."""

    QueueName: str = ""


class ListCall(msgspec.Struct, gc=False):
    """ListQueues, and ListDeadLetterSourceQueues of one queue."""

    QueueUrl: str = ""
    QueueNamePrefix: str | None = None
    MaxResults: int | None = None
    NextToken: str | None = None


class GetCall(QueueCall):
    """GetQueueAttributes."""

    AttributeNames: list[str] | None = None


class SetCall(QueueCall):
    """SetQueueAttributes."""

    Attributes: dict[str, Any] | None = None


class TagCall(QueueCall):
    """TagQueue and UntagQueue."""

    Tags: dict[str, str] | None = None
    TagKeys: list[str] | None = None


class ReceiveCall(QueueCall):
    """ReceiveMessage."""

    AttributeNames: list[str] | None = None
    MessageSystemAttributeNames: list[str] | None = None
    MessageAttributeNames: list[str] | None = None
    MaxNumberOfMessages: int | None = None
    VisibilityTimeout: int | None = None
    WaitTimeSeconds: int | None = None


class HandleCall(QueueCall):
    """DeleteMessage and ChangeMessageVisibility; one entry of their batches."""

    Id: str = ""
    ReceiptHandle: str = ""
    VisibilityTimeout: int | None = None


class HandlesCall(QueueCall):
    """DeleteMessageBatch and ChangeMessageVisibilityBatch."""

    Entries: list[HandleCall] | None = None


class Message(msgspec.Struct, gc=False, omit_defaults=True):
    """A message as it is received."""

    MessageId: str
    ReceiptHandle: str
    MD5OfBody: str
    Body: str
    Attributes: dict[str, str] | None = None
    MD5OfMessageAttributes: str | None = None
    MessageAttributes: Named | None = None


class Received(msgspec.Struct, gc=False, omit_defaults=True):
    """The answer to ReceiveMessage; empty where nothing came."""

    Messages: list[Message] | None = None
