"""What can be asked of SNS beside publishing: topics, subscriptions (which get nothing), applications, endpoints."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from burst.provider.aws_query import Node, entries, listed, mapping
from burst.provider.sns_devices import Devices
from burst.provider.sns_topics import Topics
from burst.provider.sns_words import SnsError, wrong

Form = Mapping[str, str]
PAGE = 100
_VERSION = "2010-03-31"


class Actions:
    """The actions by name; each takes a form and the caller's region, and returns its result (None: it has none)."""

    def __init__(self, topics: Topics, devices: Devices) -> None:
        self._topics = topics
        self._devices = devices
        self._table: dict[str, Callable[[Form, str], Node | None]] = {
            "CreateTopic": self._create_topic,
            "DeleteTopic": self._delete_topic,
            "ListTopics": self._list_topics,
            "GetTopicAttributes": self._get_topic_attributes,
            "SetTopicAttributes": self._set_topic_attributes,
            "Subscribe": self._subscribe,
            "Unsubscribe": self._unsubscribe,
            "ListSubscriptionsByTopic": self._list_subscriptions,
            "CreatePlatformApplication": self._create_application,
            "DeletePlatformApplication": self._delete_application,
            "GetPlatformApplicationAttributes": self._get_application_attributes,
            "SetPlatformApplicationAttributes": self._set_application_attributes,
            "CreatePlatformEndpoint": self._create_endpoint,
            "GetEndpointAttributes": self._get_endpoint_attributes,
            "SetEndpointAttributes": self._set_endpoint_attributes,
            "DeleteEndpoint": self._delete_endpoint,
        }

    def do(self, form: Form, region: str) -> Node | None:
        """Do what a form asks for. Raises SnsError."""
        name = form.get("Action", "")
        if not name:
            raise SnsError("MissingAction", "Could not find parameter Action in the request", 400)
        action = self._table.get(name)
        if action is None or form.get("Version", _VERSION) != _VERSION:
            raise SnsError(
                "InvalidAction",
                f"Could not find operation {name} for version {form.get('Version', 'NO_VERSION_SPECIFIED')}",
                400,
            )
        return action(form, region)

    # -- topics ----------------------------------------------------------------------------------------------------

    def _create_topic(self, form: Form, region: str) -> Node:
        topic = self._topics.create(form.get("Name", ""), mapping(form, "Attributes"), region)
        return {"TopicArn": topic.arn}

    def _delete_topic(self, form: Form, _: str) -> None:
        self._topics.delete(form.get("TopicArn", ""))

    def _list_topics(self, form: Form, _: str) -> Node:
        names, more = _page(sorted(self._topics.known), form)
        topics: list[Node] = [{"TopicArn": arn} for arn in names]
        return {"Topics": listed(topics)} | more

    def _get_topic_attributes(self, form: Form, _: str) -> Node:
        return {"Attributes": entries(self._topics.find(form.get("TopicArn", "")).told())}

    def _set_topic_attributes(self, form: Form, _: str) -> None:
        value = form.get("AttributeValue", "")
        self._topics.set_attribute(form.get("TopicArn", ""), form.get("AttributeName", ""), value)

    def _subscribe(self, form: Form, _: str) -> Node:
        arn = self._topics.subscribe(form.get("TopicArn", ""), form.get("Protocol", ""), form.get("Endpoint", ""))
        return {"SubscriptionArn": arn}

    def _unsubscribe(self, form: Form, _: str) -> None:
        self._topics.unsubscribe(form.get("SubscriptionArn", ""))

    def _list_subscriptions(self, form: Form, _: str) -> Node:
        topic = self._topics.find(form.get("TopicArn", ""))
        names, more = _page(sorted(topic.subscriptions), form)
        found: list[Node] = [topic.subscriptions[name] for name in names]
        return {"Subscriptions": listed(found)} | more

    # -- devices ---------------------------------------------------------------------------------------------------

    def _create_application(self, form: Form, region: str) -> Node:
        attributes = mapping(form, "Attributes")
        arn = self._devices.create_application(form.get("Name", ""), form.get("Platform", ""), attributes, region)
        return {"PlatformApplicationArn": arn}

    def _delete_application(self, form: Form, _: str) -> None:
        self._devices.delete_application(form.get("PlatformApplicationArn", ""))

    def _get_application_attributes(self, form: Form, _: str) -> Node:
        return {"Attributes": entries(self._devices.application(form.get("PlatformApplicationArn", "")))}

    def _set_application_attributes(self, form: Form, _: str) -> None:
        self._devices.application(form.get("PlatformApplicationArn", "")).update(mapping(form, "Attributes"))
        self._devices.told = True

    def _create_endpoint(self, form: Form, _: str) -> Node:
        given = mapping(form, "Attributes") | {name: form[name] for name in ("Token", "CustomUserData") if name in form}
        return {"EndpointArn": self._devices.create_endpoint(form.get("PlatformApplicationArn", ""), given)}

    def _get_endpoint_attributes(self, form: Form, _: str) -> Node:
        return {"Attributes": entries(self._devices.attributes(form.get("EndpointArn", "")))}

    def _set_endpoint_attributes(self, form: Form, _: str) -> None:
        self._devices.set_attributes(form.get("EndpointArn", ""), mapping(form, "Attributes"))

    def _delete_endpoint(self, form: Form, _: str) -> None:
        self._devices.delete_endpoint(form.get("EndpointArn", ""))


def _page(names: list[str], form: Form) -> tuple[list[str], dict[str, Node]]:
    """Return a page of names, and what says where the next one begins."""
    after = form.get("NextToken", "0")
    if not after.isdecimal():
        raise wrong("NextToken")
    lo, hi = int(after), int(after) + PAGE
    return names[lo:hi], {"NextToken": str(hi)} if hi < len(names) else {}
