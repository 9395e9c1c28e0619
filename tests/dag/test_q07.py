"""Question 7: a generated feed in mapped chunks, by Spark and by the engine, in this process."""

import json
import os
import subprocess
import sys
from datetime import date

import pandas as pd
import pytest

from answers.operate import generate as generator
from answers.stack import dotenv
from support import PROJECT, expected, open_warehouse

Q07 = "q07_scale"
DAYS = ("2013-06-12", "2013-06-13")
COPIES = 3
VARIED = ["dep_delay", "arr_delay", "air_time"]


@pytest.fixture
def feed(tmp_path, monkeypatch):
    """The generated feed that the DAG looks at."""
    folder = tmp_path / "feed"
    generator.generate(folder, [date.fromisoformat(day) for day in DAYS], COPIES)
    monkeypatch.setenv("AIRFLOW_VAR_Q07_FEED", str(folder))
    monkeypatch.setenv("AIRFLOW_VAR_DATA_ROOT", str(tmp_path / "data"))
    return folder


@pytest.fixture
def run(dag_of):
    """Run the DAG with dag.test(): (state, {task[map index]: state}, run)."""

    def play(path: str):
        from airflow.models import DagRun
        from airflow.utils.session import create_session

        result = dag_of(Q07).test(run_conf={"path": path})
        with create_session() as session:
            found = session.get(DagRun, result.id)
            states = {
                each.task_id if each.map_index < 0 else f"{each.task_id}[{each.map_index}]": str(each.state)
                for each in found.task_instances
            }
        return str(found.state), states, found

    return play


def assert_equals_pandas() -> dict:
    """The real days are there, computed by pandas, and each copy of them differs in what the generator varies."""
    with open_warehouse() as client:
        tables = {
            table: client.query_df(f"SELECT * FROM warehouse.generated_{table} ORDER BY ALL")
            for table in ("flights", "daily_delays", "delay_features")
        }
    wanted = expected.flights(*DAYS)
    flights = tables["flights"]
    assert len(flights) == len(tables["delay_features"]) == COPIES * len(wanted)
    copy = flights["flight"] // generator.FLIGHT_NUMBERS
    flights = flights.assign(flight=flights["flight"] % generator.FLIGHT_NUMBERS)
    expected.assert_equal(flights[copy == 0], wanted, expected.FLIGHT_KEY)
    for number in range(1, COPIES):
        expected.assert_equal(flights[copy == number], wanted.drop(columns=VARIED), expected.FLIGHT_KEY)
        assert not flights.loc[copy == number, "dep_delay"].equals(flights.loc[copy == 0, "dep_delay"])
    delays = expected.daily_delays(*DAYS)
    counts = ["flights", "cancelled"]
    delays = delays.assign(**{name: delays[name] * COPIES for name in counts})
    expected.assert_equal(
        tables["daily_delays"], delays[[*expected.DAILY_DELAYS_KEY, *counts]], ["flight_date", "origin", "carrier"]
    )
    return tables


@pytest.mark.claim("7.4")
def test_both_paths_publish_what_pandas_computes_and_leave_no_files(run, feed, warehouse, tmp_path):
    warehouse.close()
    state, tasks, _ = run("engine")
    assert state == "success"
    assert {tasks[f"by_engine.load_by_engine[{n}]"] for n in range(len(DAYS))} == {"success"}
    engine = assert_equals_pandas()
    state, tasks, _ = run("spark")
    assert state == "success"
    assert {tasks[f"by_spark.{task}[{n}]"] for n in range(2) for task in ("transform", "publish")} == {"success"}
    for table, rows in assert_equals_pandas().items():
        pd.testing.assert_frame_equal(rows, engine[table])
    assert not list((tmp_path / "data" / "runs").iterdir()), "landed and transformed files are gone"


@pytest.mark.claim("7.4")
def test_a_flight_too_few_fails_the_run(run, feed, warehouse):
    warehouse.close()
    file = feed / DAYS[0] / generator.CONTROL_FILE
    file.write_text(json.dumps(json.loads(file.read_text()) | {"rows": 1}))
    state, tasks, _ = run("engine")
    assert (state, tasks["verify"]) == ("failed", "failed")
    assert tasks["by_engine.load_by_engine[0]"] == "success"


@pytest.mark.claim("7.1")
def test_tasks_that_start_spark_have_a_queue_of_their_own_and_no_other_task_is_in_it(metadata_database, monkeypatch):
    from airflow.dag_processing.dagbag import DagBag

    monkeypatch.syspath_prepend(PROJECT / "dags")  # as a bundle's folder is
    bag = DagBag(dag_folder=PROJECT / "dags")
    assert not bag.import_errors
    tasks = [task for dag in bag.dags.values() for task in dag.tasks]
    spark = {(task.dag_id, task.task_id) for task in tasks if "SparkSubmit" in task.task_type}
    assert len(spark) >= 4
    # Question 6's tasks, that with Spark too, have a worker of their own: it alone may read their secrets.
    own = {(task.dag_id, task.task_id) for task in tasks if task.dag_id == "q06_partner_delivery"}
    assert {(task.dag_id, task.task_id) for task in tasks if task.queue == "partner"} == own
    assert {(task.dag_id, task.task_id) for task in tasks if task.queue == "spark"} == spark - own
    shared = dotenv.read(PROJECT / "config/airflow.env")
    assert {task.queue for task in tasks} == {"spark", "partner", shared["AIRFLOW__OPERATORS__DEFAULT_QUEUE"]}


def parsed_with(executors: str, spark: str) -> str:
    """Return {task: executor} of question 1's DAG on a platform with these executors, or its import errors."""
    code = """
from airflow.dag_processing.dagbag import DagBag
bag = DagBag(dag_folder="dags/q01_flights_to_clickhouse.py")
print("ANSWER", {task.task_id: task.executor for dag in bag.dags.values() for task in dag.tasks} or bag.import_errors)
"""
    environment = os.environ | {"AIRFLOW__CORE__EXECUTOR": executors, "ANSWERS_SPARK_EXECUTOR": spark}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=PROJECT, env=environment, capture_output=True, text=True, check=True
    )
    return next(line for line in done.stdout.splitlines() if line.startswith("ANSWER"))


@pytest.mark.claim("7.2")
def test_each_task_chooses_its_executor_and_the_platform_names_that_of_spark(metadata_database):
    both = "CeleryExecutor,KubernetesExecutor"
    everywhere = dict.fromkeys(("inspect_feed", "ingest", "transform", "publish", "summarise"))
    assert parsed_with("LocalExecutor", "") == f"ANSWER {everywhere}"
    assert parsed_with(both, "KubernetesExecutor") == f"ANSWER {everywhere | {'transform': 'KubernetesExecutor'}}"
    refused = parsed_with("LocalExecutor", "KubernetesExecutor")
    assert "UnknownExecutorException" in refused, "a platform without it refuses the DAG at once"
