"""Question 3 on the docker compose stack: the document in S3, the light path on a ClickHouse server, Spark on the cluster."""

import json
from datetime import date

import pytest

from support import expected

pytestmark = [pytest.mark.compose, pytest.mark.timeout(1800)]

Q03 = "q03_partitions"
DAY = "2013-06-13"
BUCKET = "answers-config"
URL = f"s3://object_store@{BUCKET}/q03.json"
DOCUMENT = {
    "version": 1,
    "airports": ["EWR"],
    "carriers": ["UA", "B6", "OO"],
    "thresholds": {"skip_up_to_rows": 8, "spark_from_rows": 140},
    "layers": ["flights", "daily_delays"],
}
PUT = f"""
import sys
from plugins.object_storage import object_at
path = object_at({URL!r})
path.fs.makedirs({BUCKET!r}, exist_ok=True)
with path.open("wb") as stream:
    stream.write(sys.argv[1].encode())
"""


@pytest.fixture(scope="module")
def put_document(stack):
    """A function that writes the document to S3 from a worker; the Variable leads there."""
    assert stack.airflow.find_dag("q03", patience=120) == Q03
    before = stack.airflow.variable("q03_config")

    def point(url: str) -> None:
        stack.airflow.set_variable("q03_config", url)

    point(URL)
    yield lambda document: stack.run("exec", "-T", "airflow-worker", "python", "-c", PUT, json.dumps(document))
    point(before)


def finish(stack) -> dict:
    run_id = stack.airflow.start(Q03, date.fromisoformat(DAY))
    *_, (run,) = stack.airflow.watch(Q03, [run_id], 300)
    assert run.state == "success", run
    return stack.airflow.xcom(Q03, run_id, "report")


def assert_published(stack, carriers: set) -> None:
    def chosen(table):
        return table[(table["origin"] == "EWR") & table["carrier"].isin(carriers)]

    query = f"SELECT * FROM warehouse.chunk_{{}} WHERE flight_date = '{DAY}'"
    flights = stack.sql(query.format("flights"))
    expected.assert_equal(flights, chosen(expected.flights(DAY, DAY)), expected.FLIGHT_KEY)
    delays = stack.sql(query.format("daily_delays"))
    expected.assert_equal(delays, chosen(expected.daily_delays(DAY, DAY)), expected.DAILY_DELAYS_KEY)


def test_the_document_in_s3_shapes_the_run_and_another_one_the_next(stack, put_document):
    put_document(DOCUMENT)
    report = finish(stack)
    assert (report["skip"], report["light"], report["spark"]) == (1, 1, 1)
    assert (report["config"]["version"], report["config"]["url"]) == ("current", URL)
    assert_published(stack, {"UA", "B6"})
    put_document(DOCUMENT | {"carriers": ["B6"]})
    report = finish(stack)
    assert (report["light"], report["spark"], report["emptied"]) == (1, 0, 2)
    assert_published(stack, {"B6"})
