"""The queues there are: by name, made when they are asked for, or only when they are created."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from burst.policy.bucket import TokenBucket
from burst.provider.behaviour import QuotaSettings
from burst.provider.sqs_dedup import Memory
from burst.provider.sqs_faults import SqsError
from burst.provider.sqs_message import wrong
from burst.provider.sqs_settings import FIFO, TOLD, Redrive, check_name, defaults, read_attributes, read_redrive
from burst.provider.sqs_store import Store

ACCOUNT = "000000000000"
MOST_QUEUES = 100_000  # a client that asks for ever other names is told that there are no more


class Limits:
    """What holds for all queues of a stand-in: a rate for each action on a FIFO queue, bytes that all of them keep."""

    def __init__(self) -> None:
        self.fifo: QuotaSettings | None = None
        self.most_kept = 1 << 30
        self.queues: dict[str, Queue] = {}


class Queue:
    """A queue as it was created. Attributes are texts, as SQS writes them; those that matter often are numbers too."""

    def __init__(self, name: str, region: str, attributes: Mapping[str, str], now_s: float, limits: Limits) -> None:
        self.name = name
        self.fifo = name.endswith(FIFO)
        self.arn = f"arn:aws:sqs:{region}:{ACCOUNT}:{name}"
        self.attributes = defaults(fifo=self.fifo) | dict(attributes)
        self.tags: dict[str, str] = {}
        self.created_s = self.modified_s = int(now_s)
        self.purged_s = 0.0
        self.sequence = 0  # of a FIFO queue's messages
        self.memory = Memory()  # of a FIFO queue
        self.store = Store(fifo=self.fifo)
        self.limits = limits
        self._buckets: dict[str, TokenBucket] = {}
        self._apply()

    def _apply(self) -> None:
        of = self.attributes
        self.visibility_s = int(of["VisibilityTimeout"])
        self.delay_s = int(of["DelaySeconds"])
        self.most_bytes = int(of["MaximumMessageSize"])
        self.retention_s = int(of["MessageRetentionPeriod"])
        self.wait_s = int(of["ReceiveMessageWaitTimeSeconds"])
        self.by_content = of.get("ContentBasedDeduplication") == "true"
        self.by_group = of.get("DeduplicationScope") == "messageGroup"
        self.redrive: Redrive | None = read_redrive(of.get("RedrivePolicy", ""))

    def change(self, attributes: Mapping[str, str], now_s: float) -> None:
        """Take other attributes; an empty policy takes one back."""
        self.attributes |= attributes
        for name in [name for name, value in self.attributes.items() if not value]:
            del self.attributes[name]
        self.modified_s = int(now_s)
        self._apply()

    def room_for(self, size: int) -> bool:
        """Say whether so many bytes more may be kept."""
        kept = self.store.shelf.size + size
        return kept <= self.limits.most_kept and (
            len(self.limits.queues) == 1
            or kept + sum(queue.store.shelf.size for queue in self.limits.queues.values() if queue is not self)
            <= self.limits.most_kept
        )

    def check_rate(self, action: str, now_ns: int) -> None:
        """Count a call of an action on a FIFO queue. Raises SqsError where there are too many."""
        quota = self.limits.fifo
        if not self.fifo or quota is None or self.attributes["FifoThroughputLimit"] == "perMessageGroupId":
            return
        bucket = self._buckets.get(action)
        if bucket is None or bucket.rate_per_s != quota.rate_per_s or bucket.burst != quota.burst:
            bucket = self._buckets[action] = TokenBucket(quota.rate_per_s, quota.burst)
        if not bucket.take(1, now_ns):
            raise SqsError("ThrottlingException", "Rate exceeded")

    def next_sequence(self) -> str:
        """Return the next message's number: 20 digits, ever growing."""
        self.sequence += 1
        return f"188{self.sequence:017d}"


class Queues:
    """All queues. ``made`` says whether one that nobody created is made when it is asked for."""

    def __init__(self, wall_s: Callable[[], float]) -> None:
        self._wall_s = wall_s
        self.limits = Limits()
        self.by_name = self.limits.queues
        self._by_url: dict[str, Queue] = {}
        self._deleted: set[str] = set()
        self.made = True

    def known(self, url: str) -> Queue | None:
        """Return the queue of a URL that was asked for before."""
        return self._by_url.get(url)

    def find(self, url: str, region: str) -> Queue:
        """Return the queue of a URL, whatever its host. Raises SqsError."""
        queue = self._by_url.get(url)
        if queue is None:
            queue = self.named(url.rstrip("/").rpartition("/")[2], region)
            if len(self._by_url) >= MOST_QUEUES:
                self._by_url.clear()
            self._by_url[url] = queue
        return queue

    def named(self, name: str, region: str) -> Queue:
        """Return a queue by its name. Raises SqsError."""
        queue = self.by_name.get(name)
        if queue is None:
            if not self.made or name in self._deleted or len(self.by_name) >= MOST_QUEUES:
                raise SqsError("QueueDoesNotExist", "")
            try:
                check_name(name)
            except SqsError:
                raise SqsError("QueueDoesNotExist", "") from None
            queue = self.by_name[name] = Queue(name, region, {}, self._wall_s(), self.limits)
        return queue

    def create(self, name: str, region: str, given: Mapping[str, Any]) -> Queue:
        """Create a queue, or return the one there is if it has these attributes. Raises SqsError."""
        check_name(name)
        fifo = name.endswith(FIFO)
        if "FifoQueue" in given and not fifo:
            if str(given["FifoQueue"]).lower() == "true":
                raise wrong(
                    "The name of a FIFO queue can only include alphanumeric characters, hyphens, or underscores, "
                    "must end with .fifo suffix and be 1 to 80 in length."
                )
            raise SqsError("InvalidAttributeName", "Unknown Attribute FifoQueue.")
        if fifo and str(given.get("FifoQueue", "")).lower() != "true":
            raise wrong("Can only include alphanumeric characters, hyphens, or underscores. 1 to 80 in length")
        attributes = read_attributes(given, fifo=fifo)
        self._refuse_told(attributes)
        known = self.by_name.get(name)
        if known is not None:
            for key, value in attributes.items():
                if known.attributes.get(key, "") != value:
                    raise SqsError(
                        "QueueNameExists",
                        "A queue already exists with the same name and a different value for attribute " + key,
                    )
            return known
        self._check_redrive(attributes, fifo=fifo)
        if len(self.by_name) >= MOST_QUEUES:
            raise SqsError("OverLimit", f"There are {MOST_QUEUES} queues already.")
        queue = self.by_name[name] = Queue(name, region, attributes, self._wall_s(), self.limits)
        self._deleted.discard(name)
        return queue

    def change(self, queue: Queue, given: Mapping[str, Any]) -> None:
        """Set attributes of a queue. Raises SqsError."""
        attributes = read_attributes(given, fifo=queue.fifo)
        self._refuse_told(attributes)
        self._check_redrive(attributes, fifo=queue.fifo)
        queue.change(attributes, self._wall_s())

    def delete(self, queue: Queue) -> None:
        """Delete a queue, messages and all. It is not made again by being asked for."""
        del self.by_name[queue.name]
        self._by_url = {url: known for url, known in self._by_url.items() if known is not queue}
        self._deleted.add(queue.name)

    def _refuse_told(self, attributes: Mapping[str, str]) -> None:
        for name in attributes:
            if name in TOLD:
                raise SqsError("InvalidAttributeName", f"Unknown Attribute {name}.")

    def _check_redrive(self, attributes: Mapping[str, str], *, fifo: bool) -> None:
        """Check that a dead-letter queue is there and of the same kind. Raises SqsError."""
        value = attributes.get("RedrivePolicy", "")
        redrive = read_redrive(value)
        if redrive is None:
            return
        start = f"Value {value} for parameter RedrivePolicy is invalid. Reason: "
        if redrive.target not in self.by_name:
            raise wrong(start + "Dead letter target does not exist.")
        if redrive.target.endswith(FIFO) != fifo:
            raise wrong(start + "Dead-letter queue must be same type of queue as the source.")
