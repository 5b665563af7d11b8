"""The topics of a stand-in for SNS, and their subscriptions. Nothing is ever delivered to those.

A serving process keeps them by itself: where several stand behind one port, what was created in one is not known to
the others. That is why any topic exists, unless the behaviour file names those that do, or somebody has deleted it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from burst.provider.sns_words import SnsError, wrong

ACCOUNT = "000000000000"
"""The account that everything belongs to; those of other accounts are taken for good, too."""

FIFO = ".fifo"
_PROTOCOLS = (*("application", "email", "email-json", "firehose", "http", "https", "lambda", "sms", "sqs"),)
_READ_ONLY = frozenset(("TopicArn", "Owner", "FifoTopic"))
_ATTRIBUTES = frozenset(
    (
        *("ArchivePolicy", "ContentBasedDeduplication", "DeliveryPolicy", "DisplayName", "FifoThroughputScope"),
        *("FifoTopic", "KmsMasterKeyId", "Policy", "SignatureVersion", "TracingConfig"),
    )
)
_FEEDBACK = re.compile(r"(?:HTTP|Firehose|Lambda|Application|SQS)(?:Success|Failure)Feedback(?:RoleArn|SampleRate)")
_is_name = re.compile(r"[A-Za-z0-9_\-]{1,256}").fullmatch
_is_topic_arn = re.compile(r"arn:aws[a-z\-]*:sns:[a-z0-9\-]+:[0-9]{12}:([A-Za-z0-9_\-]{1,256}(?:\.fifo)?)").fullmatch


@dataclass(slots=True)
class Topic:
    """One topic."""

    arn: str
    attributes: dict[str, str] = field(default_factory=dict)
    subscriptions: dict[str, dict[str, str]] = field(default_factory=dict)

    @property
    def fifo(self) -> bool:
        """Whether it is a FIFO topic."""
        return self.arn.endswith(FIFO)

    @property
    def by_content(self) -> bool:
        """Whether messages without a deduplication id are told apart by their content."""
        return self.attributes.get("ContentBasedDeduplication") == "true"

    def told(self) -> dict[str, str]:
        """Return its attributes, as SNS tells them."""
        policy = {"Version": "2008-10-17", "Id": "__default_policy_ID", "Statement": []}
        said = {
            "TopicArn": self.arn,
            "Owner": self.arn.split(":")[4],
            "DisplayName": "",
            "Policy": json.dumps(policy),
            "SubscriptionsConfirmed": str(len(self.subscriptions)),
            "SubscriptionsPending": "0",
            "SubscriptionsDeleted": "0",
        }
        if self.fifo:
            said |= {"FifoTopic": "true", "ContentBasedDeduplication": "false", "FifoThroughputScope": "Topic"}
        return said | self.attributes


class Topics:
    """All topics that there are."""

    def __init__(self) -> None:
        self._named: frozenset[str] = frozenset()
        self.known: dict[str, Topic] = {}
        self._deleted: set[str] = set()

    def name(self, names: Collection[str]) -> None:
        """Name the only topics that there are beside those that are created; without one any exists."""
        self._named = frozenset(names)

    def find(self, arn: str) -> Topic:
        """Return a topic. Raises SnsError."""
        topic = self.known.get(arn)
        if topic is not None:
            return topic
        found = _is_topic_arn(arn)
        if found is None:
            raise wrong("TopicArn Reason: no value for required parameter" if not arn else f"TopicArn: {arn}")
        if arn in self._deleted or (self._named and found[1] not in self._named):
            raise SnsError("NotFound", "Topic does not exist")
        topic = self.known[arn] = Topic(arn)
        return topic

    def create(self, name: str, attributes: Mapping[str, str], region: str) -> Topic:
        """Create a topic, or return the one that there is. Raises SnsError."""
        fifo = attributes.get("FifoTopic") == "true"
        if not _is_name(name.removesuffix(FIFO) if fifo else name) or fifo != name.endswith(FIFO) or len(name) > 256:
            raise wrong("Topic Name")
        arn = f"arn:aws:sns:{region}:{ACCOUNT}:{name}"
        topic = self.known.get(arn)
        if topic is not None and any(topic.attributes.get(key, value) != value for key, value in attributes.items()):
            raise wrong("Attributes Reason: Topic already exists with different attributes")
        topic = topic or Topic(arn)
        for key, value in attributes.items():
            _check_attribute(key)
            topic.attributes[key] = value
        self._deleted.discard(arn)
        self.known[arn] = topic
        return topic

    def delete(self, arn: str) -> None:
        """Delete a topic; one that is not there is no error."""
        if _is_topic_arn(arn) is None:
            raise wrong("TopicArn")
        self.known.pop(arn, None)
        self._deleted.add(arn)

    def set_attribute(self, arn: str, name: str, value: str) -> None:
        """Set an attribute. Raises SnsError."""
        topic = self.find(arn)
        if name in _READ_ONLY:
            raise wrong("AttributeName")
        _check_attribute(name)
        topic.attributes[name] = value

    def subscribe(self, arn: str, protocol: str, endpoint: str) -> str:
        """Return a subscription's ARN. Raises SnsError."""
        topic = self.find(arn)
        if protocol not in _PROTOCOLS:
            raise wrong(f"Amazon SNS does not support this protocol string: {protocol}")
        if not endpoint:
            raise wrong("Endpoint")
        for known, said in topic.subscriptions.items():
            if (said["Protocol"], said["Endpoint"]) == (protocol, endpoint):
                return known
        number = f"{len(topic.subscriptions):012x}"
        subscription = f"{arn}:00000000-0000-4000-8000-{number}"
        topic.subscriptions[subscription] = {
            "SubscriptionArn": subscription,
            "Owner": arn.split(":")[4],
            "Protocol": protocol,
            "Endpoint": endpoint,
            "TopicArn": arn,
        }
        return subscription

    def unsubscribe(self, subscription: str) -> None:
        """End a subscription; one that is not there is no error."""
        topic = self.known.get(subscription.rpartition(":")[0])
        if topic is not None:
            topic.subscriptions.pop(subscription, None)


def _check_attribute(name: str) -> None:
    if name not in _ATTRIBUTES and not _FEEDBACK.fullmatch(name):
        raise wrong("AttributeName")
