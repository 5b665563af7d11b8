"""ReceiveMessage, DeleteMessage and ChangeMessageVisibility, one by one and in batches; polls that wait."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from burst.model.ports import NEVER_NS
from burst.model.units import NS_PER_S
from burst.provider.sqs_calls import HandleCall, HandlesCall, Message, ReceiveCall, Received
from burst.provider.sqs_digest import md5_hex
from burst.provider.sqs_entries import check_ids
from burst.provider.sqs_faults import SqsError
from burst.provider.sqs_message import Attributes, digest_of, missing, wrong
from burst.provider.sqs_queues import Queue, Queues
from burst.provider.sqs_receipts import Receipts
from burst.provider.sqs_sends import Failed
from burst.provider.sqs_settings import LONGEST_INVISIBLE_S, LONGEST_WAIT_S
from burst.provider.sqs_shelf import Extra

MOST_MESSAGES = 10
SENDER = "AIDABURSTREHEARSAL00"


@dataclass(slots=True)
class _Poll:
    """A receive that waits."""

    call: ReceiveCall
    caller: int
    until_ns: int
    future: asyncio.Future[Received | SqsError]


class Receiver:
    """Gives messages out and takes them back."""

    def __init__(self, queues: Queues, wall_s: Callable[[], float]) -> None:
        self._queues = queues
        self._wall_s = wall_s
        self._receipts = Receipts()
        self._polls: dict[Queue, deque[_Poll]] = {}
        self.most_in_flight = 120_000

    # -- receiving -------------------------------------------------------------------------------------------------

    def receive(
        self, queue: Queue, call: ReceiveCall, caller: int, now_ns: int
    ) -> Received | asyncio.Future[Received | SqsError]:
        """Receive what there is; wait for it where nothing is and the call or the queue says so. Raises SqsError."""
        most = _number("MaxNumberOfMessages", call.MaxNumberOfMessages, 1, 1, MOST_MESSAGES)
        wait_s = _number("WaitTimeSeconds", call.WaitTimeSeconds, queue.wait_s, 0, LONGEST_WAIT_S)
        _number("VisibilityTimeout", call.VisibilityTimeout, queue.visibility_s, 0, LONGEST_INVISIBLE_S)
        call.MaxNumberOfMessages = most
        if not queue.fifo and not wait_s:
            queue.store.settle(now_ns)
            if queue.store.flying >= self.most_in_flight:  # who polls for long is not told, and simply gets nothing
                raise SqsError("OverLimit", f"There are {self.most_in_flight} messages in flight for the queue.")
        received = self._take(queue, call, now_ns)
        if received.Messages or not wait_s:
            return received
        poll = _Poll(call, caller, now_ns + wait_s * NS_PER_S, asyncio.get_running_loop().create_future())
        self._polls.setdefault(queue, deque()).append(poll)
        return poll.future

    def _take(self, queue: Queue, call: ReceiveCall, now_ns: int) -> Received:
        now_ms, store = int(self._wall_s() * 1000), queue.store
        most = min(call.MaxNumberOfMessages or 1, max(0, self.most_in_flight - store.flying))
        hidden_s = queue.visibility_s if call.VisibilityTimeout is None else call.VisibilityTimeout
        until_ns = now_ns + hidden_s * NS_PER_S
        messages: list[Message] = []
        while len(messages) < most:
            taken = store.take(most - len(messages), now_ns, now_ms - queue.retention_s * 1000)
            for slot in taken:
                if not self._given_up(queue, slot):
                    handle = self._receipts.write(store.fly(slot, until_ns, now_ns, now_ms))
                    messages.append(_message(queue, slot, handle, call))
            if not taken:
                break
        return Received(messages or None)

    def _given_up(self, queue: Queue, slot: int) -> bool:
        """Move a message to the dead-letter queue that was received too often; say whether it was."""
        redrive, store = queue.redrive, queue.store
        shelf = store.shelf
        if redrive is None or shelf.receives[slot] < redrive.most_receives:
            return False
        target = self._queues.by_name.get(redrive.target)
        if target is None or target is queue:  # a queue that is its own would never come to an end
            return False
        old = shelf.more(slot)
        sequence = target.next_sequence() if target.fifo else ""
        extra = Extra(old.attributes, old.trace, old.group, old.deduplication, sequence, queue.arn)
        ident, body, sent_ms = shelf.ident(slot), shelf.bodies[slot], shelf.sent_ms[slot]
        receives, first_ms = shelf.receives[slot], shelf.first_ms[slot]
        store.remove(slot)
        there = target.store.put(ident, body, extra, sent_ms)
        target.store.shelf.receives[there], target.store.shelf.first_ms[there] = receives, first_ms
        return True

    # -- polls -----------------------------------------------------------------------------------------------------

    def wake(self, queue: Queue, now_ns: int) -> None:
        """Serve those who wait for a queue, in the order in which they came."""
        polls = self._polls.get(queue)
        while polls:
            poll = polls[0]
            received = self._take(queue, poll.call, now_ns)
            if not received.Messages and now_ns < poll.until_ns:
                break
            polls.popleft()
            poll.future.set_result(received)
        if polls is not None:
            late = [poll for poll in polls if poll.until_ns <= now_ns]
            for poll in late:
                polls.remove(poll)
                poll.future.set_result(Received())
            if not polls:
                del self._polls[queue]

    def release(self, now_ns: int) -> None:
        """Serve all who wait whatever can be seen again, or tell them that nothing came."""
        for queue in list(self._polls):
            self.wake(queue, now_ns)

    def next_ns(self) -> int:
        """Return when there may be something to tell; ``NEVER_NS`` where nobody waits."""
        if not self._polls:
            return NEVER_NS
        ends = min(poll.until_ns for polls in self._polls.values() for poll in polls)
        return min(ends, *(queue.store.next_ns() for queue in self._polls))

    def waiting(self) -> int:
        """Return how many wait."""
        return sum(map(len, self._polls.values()))

    def hang_up(self, caller: int) -> None:
        """Give nothing to a caller who is gone."""
        for queue, polls in list(self._polls.items()):
            stay = deque(poll for poll in polls if poll.caller != caller)
            for poll in polls:
                if poll.caller == caller:
                    poll.future.cancel()
            if stay:
                self._polls[queue] = stay
            else:
                del self._polls[queue]

    def forget(self, queue: Queue) -> None:
        """Tell those who wait for a queue that it is gone."""
        for poll in self._polls.pop(queue, ()):
            poll.future.set_result(SqsError("QueueDoesNotExist", ""))

    # -- handles ---------------------------------------------------------------------------------------------------

    def delete(self, queue: Queue, call: HandleCall, now_ns: int) -> None:
        """Delete a message. Raises SqsError."""
        if not call.ReceiptHandle:
            raise missing("ReceiptHandle")
        queue.store.delete(self._receipts.read(call.ReceiptHandle), call.ReceiptHandle, now_ns)
        self.wake(queue, now_ns)

    def change(self, queue: Queue, call: HandleCall, now_ns: int) -> None:
        """Hide a message for another time. Raises SqsError."""
        if not call.ReceiptHandle:
            raise missing("ReceiptHandle")
        if call.VisibilityTimeout is None:
            raise missing("VisibilityTimeout")
        timeout_s = _number("VisibilityTimeout", call.VisibilityTimeout, 0, 0, LONGEST_INVISIBLE_S)
        queue.store.change(self._receipts.read(call.ReceiptHandle), call.ReceiptHandle, timeout_s, now_ns)
        self.wake(queue, now_ns)

    def batch(
        self, do: Callable[[Queue, HandleCall, int], None], queue: Queue, call: HandlesCall, now_ns: int
    ) -> dict[str, Any]:
        """Do the same for several messages. Raises SqsError for what is wrong with all of them together."""
        entries = call.Entries or []
        check_ids(tuple([entry.Id for entry in entries]))
        done: list[dict[str, str]] = []
        failed: list[Failed] = []
        for entry in entries:
            try:
                do(queue, entry, now_ns)
                done.append({"Id": entry.Id})
            except SqsError as error:
                failed.append(Failed.of(entry.Id, error.refusal))
        lists: dict[str, list[Any]] = {"Successful": done, "Failed": failed}
        return {name: rows for name, rows in lists.items() if rows}


def _number(name: str, given: int | None, default: int, least: int, most: int) -> int:
    if given is None:
        return default
    if not least <= given <= most:
        raise wrong(
            f"Value {given} for parameter {name} is invalid. Reason: Must be between {least} and {most}, if provided."
        )
    return given


def _message(queue: Queue, slot: int, handle: str, call: ReceiveCall) -> Message:
    """Return a message as its receiver asked for it."""
    shelf = queue.store.shelf
    body, extra = shelf.bodies[slot], shelf.more(slot)
    message = Message(shelf.ident(slot), handle, md5_hex(body), body.decode())
    asked = {*(call.AttributeNames or ()), *(call.MessageSystemAttributeNames or ())}
    if asked:
        told = {
            "SenderId": SENDER,
            "SentTimestamp": str(shelf.sent_ms[slot]),
            "ApproximateReceiveCount": str(shelf.receives[slot]),
            "ApproximateFirstReceiveTimestamp": str(shelf.first_ms[slot]),
            "SequenceNumber": extra.sequence,
            "MessageDeduplicationId": extra.deduplication,
            "MessageGroupId": extra.group,
            "AWSTraceHeader": extra.trace,
            "DeadLetterQueueSourceArn": extra.source,
        }
        message.Attributes = {
            name: value for name, value in told.items() if value and (name in asked or "All" in asked)
        } or None
    if extra.attributes and call.MessageAttributeNames:
        chosen = _chosen(extra.attributes, call.MessageAttributeNames)
        if chosen:
            message.MessageAttributes, message.MD5OfMessageAttributes = chosen, digest_of(chosen)
    return message


def _chosen(attributes: Attributes, names: Iterable[str]) -> Attributes:
    """Return the attributes that names select: all, a name, or a beginning before its end."""
    wanted = set(names)
    if wanted & {"All", ".*", "*"}:
        return attributes
    starts = tuple(name.removesuffix(".*") for name in wanted if name.endswith(".*"))
    return {name: value for name, value in attributes.items() if name in wanted or (starts and name.startswith(starts))}
