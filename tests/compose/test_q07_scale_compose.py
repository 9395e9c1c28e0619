"""Question 7's DAG on the docker compose stack: a generated feed through the ClickHouse server and the Spark cluster."""

import json
from datetime import date

import pytest

from support import expected

pytestmark = [pytest.mark.compose, pytest.mark.timeout(1800)]

DAYS = ("2013-06-10", "2013-06-11")
GENERATE = (
    "import dataclasses, datetime, json, pathlib; from answers.operate.generate import generate; "
    f"days = [datetime.date.fromisoformat(day) for day in {DAYS}]; "
    "made = generate(pathlib.Path('/opt/airflow/data/q07/feed'), days, 6); "
    "print(json.dumps([dataclasses.asdict(each) for each in made]))"
)


@pytest.mark.claim("7.1")
@pytest.mark.claim("7.4")
def test_on_celery_the_engine_takes_every_row_of_a_generated_feed(stack):
    assert_taken(stack, "engine", 1)


@pytest.mark.long("the engine's path on Celery, question 1's job on the Spark cluster, both paths in the dag tier")
@pytest.mark.claim("7.1")
@pytest.mark.claim("7.4")
def test_on_celery_spark_takes_every_row_of_a_generated_feed(stack):
    assert_taken(stack, "spark", 2)


def assert_taken(stack, path: str, day: int) -> None:
    """A generated feed is taken by one of the paths; runs have a date, whatever they work on."""
    stack.wait_for_dag()
    made = json.loads(stack.run("exec", "-T", "airflow-worker", "python", "-c", GENERATE).splitlines()[-1])
    dag_id = stack.airflow.find_dag("q07")
    run_id = stack.airflow.start(dag_id, date(2013, 1, day), {"path": path})
    *_, (run,) = stack.airflow.watch(dag_id, [run_id], 600)
    assert run.state == "success", run.tasks
    assert {tries for state, tries, _ in run.tasks.values() if state == "success"} == {1}, run.tasks
    rows = sum(chunk["rows"] for chunk in made)
    assert stack.airflow.xcom(dag_id, run_id, "verify")["rows"] == rows
    found = stack.sql("SELECT * FROM warehouse.generated_flights WHERE flight < 10000")
    expected.assert_equal(found, expected.flights(*DAYS), expected.FLIGHT_KEY)
    assert stack.sql("SELECT count() AS rows FROM warehouse.generated_delay_features")["rows"][0] == rows
