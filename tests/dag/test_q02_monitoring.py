"""Reads the metrics of a DAG's tasks, as they leave the process that runs them."""

import socket

import pytest

from support.monitoring import mapped, send_metrics

DAG_FILE = """
from datetime import datetime
from airflow.sdk import DAG, TaskGroup, task
from airflow.providers.standard.operators.bash import BashOperator

with DAG("measured", schedule=None, start_date=datetime(2013, 1, 1), default_args={"retries": 0}) as dag:
    @task
    def part(number: int) -> int:
        return number

    @task(trigger_rule="all_done")
    def broken(numbers) -> None:
        raise ValueError("as intended")

    with TaskGroup("group"):
        wait = BashOperator(task_id="wait", bash_command="sleep 0.3")
    wait >> part.expand(number=[1, 2, 3]) >> broken([1])
"""


@pytest.fixture
def receiver(monkeypatch):
    """Open a UDP socket to which the metrics of tasks that run in this process go."""
    from airflow.sdk._shared.observability.metrics import stats
    from airflow.sdk.observability.metrics.stats_utils import get_stats_factory

    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver:
        receiver.bind(("127.0.0.1", 0))
        send_metrics(stats, get_stats_factory, receiver, monkeypatch)
        yield receiver


@pytest.mark.claim("2.3")
@pytest.mark.claim("2.4")
def test_every_try_reports_its_duration_and_its_operator(metadata_database, receiver, tmp_path, monkeypatch):
    """Run a task in a group, three mapped instances and a failure: a series a task, whichever the run and the instance."""
    from airflow.dag_processing.dagbag import DagBag

    (tmp_path / "measured.py").write_text(DAG_FILE)
    monkeypatch.setattr("airflow.settings.DAGS_FOLDER", str(tmp_path))  # dag.test() runs what lies in a bundle
    (dag,) = DagBag(dag_folder=tmp_path).dags.values()
    run = dag.test()
    assert str(run.state) == "failed"

    receiver.setblocking(False)
    samples = []
    try:
        while True:
            samples += map(mapped, receiver.recv(65536).decode().splitlines())
    except BlockingIOError:
        samples = [sample for sample in samples if sample]

    durations = [sample for sample in samples if sample.name == "airflow_task_duration_seconds"]
    assert sorted(sample["task_id"] for sample in durations) == ["broken", "group.wait", "part", "part", "part"]
    assert {label for sample in durations for label, _ in sample.labels} == {"dag_id", "task_id"}
    assert {sample["dag_id"] for sample in durations} == {"measured"}
    [wait] = [sample.value for sample in durations if sample["task_id"] == "group.wait"]
    assert 0.3 <= wait < 30
    outcomes = [sample for sample in samples if sample.name == "airflow_task_outcomes_total"]
    assert {(sample["task_id"], sample["operator_name"], sample["outcome"]) for sample in outcomes} == {
        ("group.wait", "BashOperator", "success"),
        ("part", "_PythonDecoratedOperator", "success"),
        ("broken", "_PythonDecoratedOperator", "failure"),
    }
    # What a rule joins, it finds: each duration has an outcome with the same two labels.
    assert {sample.labels for sample in durations} == {
        frozenset((key, value) for key, value in sample.labels if key in ("dag_id", "task_id")) for sample in outcomes
    }
