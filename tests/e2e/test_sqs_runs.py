"""`burst run` through a queue: the run's own stand-in bears witness, anybody else's queue is only an entrance."""

import pytest

from tests.e2e.conftest import Shop, assert_sums
from tests.e2e.sqs_drive import KEY, REGION, SECRET, client, moto, received

SCENARIO = """
name: it
audience: {{ios: 1500, android: 700}}
sink:
  sqs: {{{sqs}}}
workers: 2
queue: {{shards: 1}}
criteria: ["accepted == 100%"]
"""


LISTS = '{ios: 500}, body: {to: [ "${tokens}" ], who: "${ids}"}, attributes: {all: "${ids}"}'


@pytest.mark.parametrize("packing", ["1", "{ios: 500, android: 250}", LISTS], ids=["one", "many", "lists of one"])
def test_the_stand_ins_witness_counts_everybody_once(shop: Shop, packing) -> None:
    text = SCENARIO.format(sqs=f"tokens_per_message: {packing}").replace('"]', '", "lost == 0", "duplicates == 0"]')
    run = shop.burst("run", shop.scenario(text))
    assert run.process.returncode == 0, run.err
    result = shop.result()
    assert_sums(result)
    assert (result["judge"], result["outcomes"]["accepted"]) == ("witness", 2200)
    shop.assert_nothing_left()


def test_a_run_that_ends_at_a_queue_is_called_entrance_only_and_tells_no_secret(shop: Shop) -> None:
    shop.environment |= {"AWS_ACCESS_KEY_ID": KEY, "AWS_SECRET_ACCESS_KEY": SECRET}
    with moto() as url:
        queues = client(url)
        queue = queues.create_queue(QueueName="q")["QueueUrl"]
        run = shop.burst(
            "run",
            shop.scenario(
                SCENARIO.format(sqs=f"endpoint: '{url}', queue: q, region: {REGION}, connections: 2").replace(
                    "1500, android: 700", "120, android: 80"
                )
            ),
        )
        assert run.process.returncode == 0, run.err
        assert shop.result()["judge"] == "entrance"
        assert len(received(queues, queue)) == 200 + 2
    page = (shop.folder / "report.html").read_text()
    assert "entrance only" in page
    for path in shop.folder.rglob("*"):
        if path.is_file():
            assert SECRET.encode() not in path.read_bytes(), path.name
    assert SECRET not in run.out + run.err
    shop.assert_nothing_left()


def test_made_up_people_never_go_to_a_real_queue(shop: Shop) -> None:
    text = SCENARIO.format(sqs="endpoint: aws, queue: q, region: eu-west-1") + "live: true\n"
    run = shop.burst("run", shop.scenario(text), "--live")
    assert run.process.returncode == 2
    assert "sqs.eu-west-1.amazonaws.com" in run.err
