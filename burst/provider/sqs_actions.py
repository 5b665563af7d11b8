"""The actions of SQS but those that send: each reads its call and returns what is answered."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, NamedTuple

import msgspec

from burst.provider.sqs_calls import (
    CreateCall,
    GetCall,
    HandleCall,
    HandlesCall,
    ListCall,
    NameCall,
    QueueCall,
    ReceiveCall,
    Received,
    SetCall,
    TagCall,
)
from burst.provider.sqs_faults import SqsError
from burst.provider.sqs_message import missing, wrong
from burst.provider.sqs_queues import ACCOUNT, Queue, Queues
from burst.provider.sqs_receive import Receiver
from burst.provider.sqs_settings import NAMES
from burst.provider.sqs_store import Store

_PURGE_EVERY_S = 60
_MOST_LISTED = 1000
_MOST_TAGS = 50


class Asked(NamedTuple):
    """Who asks, when, and where from."""

    region: str
    base: str  # scheme and host, as the client knows them: URLs of queues begin with it
    caller: int
    now_ns: int


Answer = dict[str, Any] | Received | asyncio.Future[Any]


class Actions:
    """Every action, by its name. Raise SqsError."""

    def __init__(self, queues: Queues, receiver: Receiver, now_s: Callable[[], float]) -> None:
        self._queues = queues
        self._receiver = receiver
        self._now_s = now_s
        self._table: dict[str, tuple[type[msgspec.Struct], Callable[[Any, Asked], Answer]]] = {
            "CreateQueue": (CreateCall, self._create),
            "GetQueueUrl": (NameCall, self._url),
            "ListQueues": (ListCall, self._list),
            "ListDeadLetterSourceQueues": (ListCall, self._sources),
            "DeleteQueue": (QueueCall, self._delete_queue),
            "PurgeQueue": (QueueCall, self._purge),
            "GetQueueAttributes": (GetCall, self._get),
            "SetQueueAttributes": (SetCall, self._set),
            "TagQueue": (TagCall, self._tag),
            "UntagQueue": (TagCall, self._untag),
            "ListQueueTags": (QueueCall, self._tags),
            "ReceiveMessage": (ReceiveCall, self._receive),
            "DeleteMessage": (HandleCall, self._delete),
            "DeleteMessageBatch": (HandlesCall, self._delete_batch),
            "ChangeMessageVisibility": (HandleCall, self._change),
            "ChangeMessageVisibilityBatch": (HandlesCall, self._change_batch),
        }

    def call_of(self, action: str) -> type[msgspec.Struct] | None:
        """Return what an action's parameters are; None for an action that is not known."""
        found = self._table.get(action)
        return None if found is None else found[0]

    def do(self, action: str, call: Any, asked: Asked) -> Answer:
        """Do an action. Raises SqsError."""
        return self._table[action][1](call, asked)

    def _queue(self, call: QueueCall, asked: Asked) -> Queue:
        return self._queues.find(call.QueueUrl, asked.region)

    @staticmethod
    def _url_of(queue: Queue, asked: Asked) -> str:
        return f"{asked.base}/{ACCOUNT}/{queue.name}"

    # -- queues ----------------------------------------------------------------------------------------------------

    def _create(self, call: CreateCall, asked: Asked) -> Answer:
        if not call.QueueName:
            raise missing("QueueName")
        queue = self._queues.create(call.QueueName, asked.region, call.Attributes or {})
        if call.tags:
            queue.tags |= call.tags
        return {"QueueUrl": self._url_of(queue, asked)}

    def _url(self, call: NameCall, asked: Asked) -> Answer:
        return {"QueueUrl": self._url_of(self._queues.named(call.QueueName, asked.region), asked)}

    def _list(self, call: ListCall, asked: Asked) -> Answer:
        start = call.QueueNamePrefix or ""
        names = [name for name in self._queues.by_name if name.startswith(start)]
        return self._page("QueueUrls", names, call, asked)

    def _sources(self, call: ListCall, asked: Asked) -> Answer:
        target = self._queues.find(call.QueueUrl, asked.region).name
        queues = self._queues.by_name.values()
        names = [queue.name for queue in queues if queue.redrive is not None and queue.redrive.target == target]
        return self._page("queueUrls", names, call, asked)

    def _page(self, key: str, names: list[str], call: ListCall, asked: Asked) -> Answer:
        """Return a page of queues; the token is the last name of the page before."""
        most = _MOST_LISTED if call.MaxResults is None else call.MaxResults
        if not 1 <= most <= _MOST_LISTED:
            raise wrong(
                f"Value {most} for parameter MaxResults is invalid. Reason: Must be between 1 and {_MOST_LISTED}."
            )
        left = sorted(name for name in names if name > (call.NextToken or ""))
        page: dict[str, Any] = {}
        if left:
            page[key] = [f"{asked.base}/{ACCOUNT}/{name}" for name in left[:most]]
        if len(left) > most and call.MaxResults is not None:
            page["NextToken"] = left[most - 1]
        return page

    def _delete_queue(self, call: QueueCall, asked: Asked) -> Answer:
        queue = self._queue(call, asked)
        self._queues.delete(queue)
        self._receiver.forget(queue)
        return {}

    def _purge(self, call: QueueCall, asked: Asked) -> Answer:
        queue, now_s = self._queue(call, asked), self._now_s()
        if now_s - queue.purged_s < _PURGE_EVERY_S:
            raise SqsError(
                "PurgeQueueInProgress",
                f"Only one PurgeQueue operation on {queue.name} is allowed every {_PURGE_EVERY_S} seconds.",
            )
        queue.purged_s, queue.store = now_s, Store(fifo=queue.fifo)
        return {}

    def _get(self, call: GetCall, asked: Asked) -> Answer:
        queue, names = self._queue(call, asked), set(call.AttributeNames or ())
        unknown = names - NAMES - {"All"}
        if unknown:
            raise SqsError("InvalidAttributeName", f"Unknown Attribute {min(unknown)}.")
        counts = queue.store.counts(asked.now_ns)
        told = {
            "QueueArn": queue.arn,
            "ApproximateNumberOfMessages": str(counts.ready),
            "ApproximateNumberOfMessagesNotVisible": str(counts.flying),
            "ApproximateNumberOfMessagesDelayed": str(counts.later),
            "CreatedTimestamp": str(queue.created_s),
            "LastModifiedTimestamp": str(queue.modified_s),
            **queue.attributes,
        }
        chosen = {name: value for name, value in told.items() if name in names or "All" in names}
        return {"Attributes": chosen} if chosen else {}

    def _set(self, call: SetCall, asked: Asked) -> Answer:
        self._queues.change(self._queue(call, asked), call.Attributes or {})
        return {}

    def _tag(self, call: TagCall, asked: Asked) -> Answer:
        queue = self._queue(call, asked)
        tags = queue.tags | (call.Tags or {})
        if len(tags) > _MOST_TAGS:
            raise wrong(f"Too many tags: {len(tags)}, and {_MOST_TAGS} are allowed.")
        queue.tags = tags
        return {}

    def _untag(self, call: TagCall, asked: Asked) -> Answer:
        queue = self._queue(call, asked)
        for name in call.TagKeys or ():
            queue.tags.pop(name, None)
        return {}

    def _tags(self, call: QueueCall, asked: Asked) -> Answer:
        tags = self._queue(call, asked).tags
        return {"Tags": tags} if tags else {}

    # -- messages --------------------------------------------------------------------------------------------------

    def _receive(self, call: ReceiveCall, asked: Asked) -> Answer:
        return self._receiver.receive(self._queue(call, asked), call, asked.caller, asked.now_ns)

    def _delete(self, call: HandleCall, asked: Asked) -> Answer:
        self._receiver.delete(self._queue(call, asked), call, asked.now_ns)
        return {}

    def _change(self, call: HandleCall, asked: Asked) -> Answer:
        self._receiver.change(self._queue(call, asked), call, asked.now_ns)
        return {}

    def _delete_batch(self, call: HandlesCall, asked: Asked) -> Answer:
        return self._receiver.batch(self._receiver.delete, self._queue(call, asked), call, asked.now_ns)

    def _change_batch(self, call: HandlesCall, asked: Asked) -> Answer:
        return self._receiver.batch(self._receiver.change, self._queue(call, asked), call, asked.now_ns)
