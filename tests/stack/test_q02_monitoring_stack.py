"""The metrics of a real run on a live embedded stack: what leaves it over UDP, and what statsd_exporter would make of it."""

from datetime import date

import pytest

from support import wait_for
from support.monitoring import mapped

DAG = "q01_flights_to_clickhouse"
TASKS = {"inspect_feed", "ingest", "transform", "publish", "summarise"}


@pytest.fixture(scope="module")
def sent_metrics(stack, datagrams):
    """(The datagrams while one day ran, the run's task instances as Airflow tells them)."""
    everything, _ = datagrams
    before = len(everything)
    run = stack.airflow.start(DAG, date(2013, 7, 4))
    *_, (state,) = stack.airflow.watch(DAG, [run], 600)
    assert state.state == "success"
    ended = f"airflow.dagrun.duration.success,dag_id={DAG}"
    wait_for("the run's duration", lambda: any(line.startswith(ended) for line in everything[before:]))
    instances = stack.airflow.task_instances(DAG, run)
    return everything[before:], {each["task_id"]: each for each in instances}


@pytest.fixture(scope="module")
def samples(sent_metrics):
    """The datagrams that the mapping keeps, as samples; of other DAGs none."""
    found = [sample for line in sent_metrics[0] if (sample := mapped(line))]
    return [sample for sample in found if dict(sample.labels).get("dag_id", DAG) == DAG]


@pytest.mark.claim("2.3")
def test_a_real_run_tells_each_tasks_duration_and_its_own(sent_metrics, samples):
    durations = {each["task_id"]: each for each in samples if each.name == "airflow_task_duration_seconds"}
    assert set(durations) == TASKS
    for task, sample in durations.items():
        assert dict(sample.labels) == {"dag_id": DAG, "task_id": task}
        # From when the API server has let the task start; its own duration has that call in it.
        assert 0 < sample.value < sent_metrics[1][task]["duration"] + 0.5
    assert durations["transform"].value > sent_metrics[1]["transform"]["duration"] / 2
    [run] = [each for each in samples if each.name == "airflow_dagrun_duration_seconds"]
    assert dict(run.labels) == {"dag_id": DAG, "run_type": "manual", "state": "success"}
    assert max(sample.value for sample in durations.values()) < run.value < 600


@pytest.mark.claim("2.4")
def test_a_real_run_tells_what_the_alerts_need(samples):
    outcomes = {
        (each["task_id"], each["operator_name"]) for each in samples if each.name == "airflow_task_outcomes_total"
    }
    assert ("transform", "SparkSubmitOperator") in outcomes
    assert {task for task, _ in outcomes} == TASKS
    waited = {each["task_id"] for each in samples if each.name == "airflow_task_scheduled_seconds"}
    assert waited == TASKS
    beats = {each["component"] for each in samples if each.name == "airflow_heartbeats_total"}
    assert beats == {"scheduler", "dag-processor", "triggerer"}


@pytest.mark.claim("2.3")
def test_no_datagram_of_a_real_run_names_the_run(sent_metrics):
    assert len(sent_metrics[0]) > 100
    assert [line for line in sent_metrics[0] if "answers__" in line or "run_id" in line] == []
    labels = {label for line in sent_metrics[0] if (sample := mapped(line)) for label, _ in sample.labels}
    assert labels <= {
        "dag_id",
        "task_id",
        "queue",
        "state",
        "outcome",
        "operator_name",
        "run_type",
        "component",
        "pool_name",
    }


def test_the_trap_the_time_with_the_executor_is_documented_but_never_told(sent_metrics):
    """Airflow 3.3.2: only the code of Airflow 2's task processes sends task.queued_duration."""
    names = {line.partition(":")[0].partition(",")[0] for line in sent_metrics[0]}
    assert "airflow.task.scheduled_duration" in names
    assert "airflow.task.queued_duration" not in names
