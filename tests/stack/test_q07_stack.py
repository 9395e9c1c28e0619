"""Question 7 on a live stack: a generated feed in mapped chunks, by both paths, through the commands that a user has."""

import json
from datetime import date

import pytest

from support import expected

DAYS = ("2013-06-10", "2013-06-11")


@pytest.mark.claim("7.4")
def test_a_generated_feed_is_in_the_warehouse_by_the_engine_and_its_files_are_gone(stack):
    assert_taken(stack, "engine")


@pytest.mark.long("both paths in this process, test_q07.py of the dag tier; question 1's Spark job on this stack")
@pytest.mark.claim("7.4")
def test_a_generated_feed_is_in_the_warehouse_by_spark_and_its_files_are_gone(stack):
    assert_taken(stack, "spark")


def assert_taken(stack, path: str) -> None:
    """A generated feed is taken by one of the paths: every row is in the warehouse, and no file stays."""
    made = json.loads(stack.answers("flights", "generate", "--size", "1", "--days", "2", "--json").stdout)
    dag_id = stack.airflow.find_dag("q07")
    day = date(2013, 1, 1 if path == "engine" else 2)  # runs have a date, whatever they work on
    *_, (run,) = stack.airflow.watch(dag_id, [stack.airflow.start(dag_id, day, {"path": path})], 300)
    assert run.state == "success", run.tasks
    assert stack.airflow.xcom(dag_id, run.run_id, "verify") == {
        "chunks": 2,
        "rows": sum(chunk["rows"] for chunk in made),
        "raw_bytes": sum(chunk["raw_bytes"] for chunk in made),
    }
    copies = made[0]["copies"]
    found = stack.frame("SELECT * FROM warehouse.generated_flights WHERE flight < 10000")
    expected.assert_equal(found, expected.flights(*DAYS), expected.FLIGHT_KEY)
    (counted,) = stack.sql("SELECT count() AS rows FROM warehouse.generated_delay_features")
    assert int(counted["rows"]) == copies * len(found)
    landed = [stack.airflow.xcom(dag_id, run.run_id, f"by_{path}.land[{n}]")["folder"] for n in range(2)]
    assert [folder for folder in landed if (stack.home / "data" / "runs" / folder).exists()] == []
