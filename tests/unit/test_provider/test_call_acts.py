"""What a call without an answer did: only those whom an answer would have called accepted were."""

import numpy as np
import pytest
from botocore.exceptions import BotoCoreError

from burst.model.identity import id_prefix, write_ids
from burst.runs.witness import Counter
from tests.sqs_cloud import Cloud

RUN = "queues"
PREFIX = id_prefix(RUN)


ACTS = [{"malformed": 1.0}, {"reset_streams": {"share": 1.0, "processed": True, "code": "CANCEL"}}]


@pytest.mark.parametrize("behaviour", ACTS, ids=["malformed", "reset"])
async def test_an_entry_that_is_wrong_is_not_processed_because_nobody_is_answered(tmp_path, behaviour):
    async with Cloud(tmp_path, behaviour, run=RUN) as cloud:
        bodies = [write_ids(PREFIX, np.array([person])).decode() for person in (1, 2)]
        entries = [{"Id": "a", "MessageBody": bodies[0]}, {"Id": "b", "MessageBody": bodies[1] + "\x01"}]
        with pytest.raises(BotoCoreError):
            await cloud.ask(cloud.client().send_message_batch, QueueUrl=cloud.url(), Entries=entries)
        witness = cloud.witness()
        assert witness.counts[1:3].tolist() == [1, 0]
        assert (witness.first_seen_ns[1:3] > 0).all()
        assert witness.counters[Counter.ATTEMPTS] == 2


async def test_entries_that_fall_out_are_not_processed_because_another_garbles_the_answer(tmp_path):
    refusing = [{"reason": "ServiceUnavailable", "share": 0.5}]
    async with Cloud(tmp_path, {"malformed": 0.5, "answers": refusing}, run=RUN) as cloud:
        people = range(100)
        entries = [{"Id": str(one), "MessageBody": write_ids(PREFIX, np.array([one])).decode()} for one in people]
        client = cloud.client()
        for lo in range(0, 100, 10):  # of ten entries that one at least is garbled is as good as certain
            with pytest.raises(BotoCoreError):
                await cloud.ask(client.send_message_batch, QueueUrl=cloud.url(), Entries=entries[lo : lo + 10])
        witness = cloud.witness()
        assert 20 < np.count_nonzero(witness.counts) < 80
        assert set(witness.counts.tolist()) == {0, 1}
        assert (witness.first_seen_ns > 0).all()
