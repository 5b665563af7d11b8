"""The messages of one queue: sent, received, hidden for a while, seen again, deleted, expired, given up."""

from __future__ import annotations

from heapq import heappop, heappush
from itertools import count
from typing import NamedTuple

from burst.model.ports import NEVER_NS
from burst.model.units import NS_PER_S
from burst.provider.sqs_message import wrong
from burst.provider.sqs_order import Groups, Line, Order
from burst.provider.sqs_receipts import Receipt
from burst.provider.sqs_settings import LONGEST_INVISIBLE_S
from burst.provider.sqs_shelf import SLOT_BITS, SLOT_MASK, Extra, Shelf, State

_numbers = count(1)


class Counts(NamedTuple):
    """How many messages there are, as GetQueueAttributes tells them."""

    ready: int
    flying: int
    later: int


class Store:
    """One queue's messages. Times are of the caller's clock, in nanoseconds; ``_ms`` are since the epoch."""

    def __init__(self, *, fifo: bool) -> None:
        self.number = next(_numbers)
        self.fifo = fifo
        self.shelf = Shelf()
        self._order: Order = Groups(self.shelf) if fifo else Line()
        self._due: list[
            int
        ] = []  # a heap of due_ns << SLOT_BITS | slot, of what is FLYING or LATER; old ones stay in it
        self._counts = [0] * len(State)

    def _enter(self, slot: int, state: State) -> None:
        states = self.shelf.states
        self._counts[states[slot]] -= 1
        self._counts[state] += 1
        states[slot] = state

    # -- sending ---------------------------------------------------------------------------------------------------

    def put(self, ident: str, body: bytes, extra: Extra | None, sent_ms: int, due_ns: int = 0) -> int:
        """Keep a message, hidden until ``due_ns`` where that is not 0; return its slot."""
        slot = self.shelf.add(ident, body, extra, sent_ms)
        self._counts[State.GONE] += 1  # the slot's own state, which _enter takes away
        if due_ns:
            self._hide(slot, State.LATER, due_ns)
        else:
            self._enter(slot, State.READY)
            self._order.push(slot)
        return slot

    def _hide(self, slot: int, state: State, due_ns: int) -> None:
        self._enter(slot, state)
        self.shelf.due_ns[slot] = due_ns
        heappush(self._due, due_ns << SLOT_BITS | slot)

    # -- time ------------------------------------------------------------------------------------------------------

    def settle(self, now_ns: int) -> None:
        """Let be seen again whatever was hidden until now."""
        due, shelf, limit = self._due, self.shelf, (now_ns + 1) << SLOT_BITS
        while due and due[0] < limit:
            row = heappop(due)
            slot = row & SLOT_MASK
            state = shelf.states[slot]
            if state < State.LATER or state == State.READY or shelf.due_ns[slot] != row >> SLOT_BITS:
                continue  # deleted, or hidden anew, since
            if state == State.FLYING:
                self._order.landed(slot)
            self._enter(slot, State.READY)
            self._order.push(slot)

    def next_ns(self) -> int:
        """Return when something may be seen again."""
        return self._due[0] >> SLOT_BITS if self._due else NEVER_NS

    # -- receiving -------------------------------------------------------------------------------------------------

    def take(self, most: int, now_ns: int, oldest_ms: int) -> list[int]:
        """Take out up to ``most`` messages that are ready; those sent before ``oldest_ms`` are let go."""
        self.settle(now_ns)
        order, shelf, taken = self._order, self.shelf, list[int]()
        while len(taken) < most:
            slot = order.pop()
            if slot is None:
                break
            if shelf.states[slot] != State.READY:  # deleted while it was ready
                self._release(slot)
            elif shelf.sent_ms[slot] < oldest_ms:
                self._drop(slot)
                self._release(slot)
            else:
                taken.append(slot)
        order.next_call()
        return taken

    def fly(self, slot: int, until_ns: int, now_ns: int, now_ms: int) -> Receipt:
        """Hide a message that was taken out; return what its handle says."""
        shelf = self.shelf
        shelf.receives[slot] += 1
        shelf.taken_ns[slot] = now_ns
        shelf.first_ms[slot] = shelf.first_ms[slot] or now_ms
        self._hide(slot, State.FLYING, until_ns)
        return Receipt(self.number, shelf.serials[slot], slot, shelf.receives[slot])

    def remove(self, slot: int) -> None:
        """Let a message go that was taken out."""
        self._drop(slot)
        self._release(slot)

    def _drop(self, slot: int) -> None:
        self._enter(slot, State.GONE)
        self._counts[State.GONE] -= 1
        if self.fifo:
            return  # its group is still to be told
        self.shelf.empty(slot)

    def _release(self, slot: int) -> None:
        self._order.landed(slot)
        if self.fifo:
            self.shelf.empty(slot)
        self.shelf.free(slot)

    # -- handles ---------------------------------------------------------------------------------------------------

    def delete(self, receipt: Receipt, handle: str, now_ns: int) -> None:
        """Delete a message. Of a standard queue an old handle does too; of a FIFO queue it has expired: SqsError."""
        self.settle(now_ns)
        shelf, slot = self.shelf, receipt.slot
        state = self._state_of(receipt)
        if state == State.GONE:
            return  # twice is as good as once
        if self.fifo and (state != State.FLYING or shelf.receives[slot] != receipt.number):
            raise wrong(
                f"Value {handle} for parameter ReceiptHandle is invalid. Reason: The receipt handle has expired."
            )
        self._drop(slot)
        if state == State.FLYING:
            self._release(slot)

    def change(self, receipt: Receipt, handle: str, timeout_s: int, now_ns: int) -> None:
        """Hide a message that is in flight for ``timeout_s`` from now. Raises SqsError."""
        self.settle(now_ns)
        slot = receipt.slot
        state = self._state_of(receipt)
        if state == State.GONE or (state == State.FLYING and self.shelf.receives[slot] != receipt.number):
            raise wrong(
                f"Value {handle} for parameter ReceiptHandle is invalid. Reason: Message does not exist or is not "
                "available for visibility timeout change."
            )
        if state != State.FLYING:
            return  # seen again already: AWS says yes and does nothing (localstack #9632, a test run against AWS)
        if now_ns + timeout_s * NS_PER_S > self.shelf.taken_ns[slot] + LONGEST_INVISIBLE_S * NS_PER_S:
            raise wrong(
                f"Value {timeout_s} for parameter VisibilityTimeout is invalid. Reason: Total VisibilityTimeout for "
                f"the message is beyond the limit [{LONGEST_INVISIBLE_S} seconds]."
            )
        self._hide(slot, State.FLYING, now_ns + timeout_s * NS_PER_S)
        self.settle(now_ns)

    def _state_of(self, receipt: Receipt) -> int:
        shelf, slot = self.shelf, receipt.slot
        if receipt.queue != self.number or slot >= len(shelf.serials) or shelf.serials[slot] != receipt.serial:
            return State.GONE
        return shelf.states[slot]

    # -- all of them -----------------------------------------------------------------------------------------------

    def counts(self, now_ns: int) -> Counts:
        """Count the messages."""
        self.settle(now_ns)
        return Counts(self._counts[State.READY], self._counts[State.FLYING], self._counts[State.LATER])

    @property
    def flying(self) -> int:
        """How many are in flight, as of the last look."""
        return self._counts[State.FLYING]
