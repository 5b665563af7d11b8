"""Answers written hundreds at a time: each is whole, and no id comes twice."""

import uuid
from xml.etree import ElementTree as ET

from burst.provider.sns_receipts import Receipts


def test_every_answer_names_each_entry_with_an_id_of_its_own():
    receipts, seen = Receipts(["a", "b-c", "9"], "x:y"), set()
    for _ in range(600):
        body, request_id = receipts.take()
        root = ET.fromstring(body)
        assert root.findtext("{x:y}ResponseMetadata/{x:y}RequestId") == request_id.decode()
        members = root.findall("{x:y}PublishBatchResult/{x:y}Successful/{x:y}member")
        assert [member.findtext("{x:y}Id") for member in members] == ["a", "b-c", "9"]
        ids = [request_id.decode(), *(member.findtext("{x:y}MessageId") for member in members)]
        assert all(uuid.UUID(one).version == 4 for one in ids)
        assert root.find("{x:y}PublishBatchResult/{x:y}Failed") is not None
        seen.update(ids)
    assert len(seen) == 600 * 4
