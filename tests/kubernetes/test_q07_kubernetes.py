"""Celery and Kubernetes side by side: question 1's Spark job in a pod of its own, its other tasks on Celery's workers."""

from datetime import date

import pytest

from support import expected, wait_for

pytestmark = [pytest.mark.kubernetes, pytest.mark.claim("7.2"), pytest.mark.timeout(1800)]

Q01 = "q01_flights_to_clickhouse"
SUMMER = "2013-06-13"  # thunderstorms: 95 flights cancelled
CLOCK_CHANGE = "2013-03-10"  # 23 hours long in New York


@pytest.fixture(scope="session")
def airflow(cluster):
    """Its API, once every DAG is there."""
    wanted = {Q01, "q10_canary", "tried_memory", "tried_disk", "tried_patience"}
    wait_for("the DAGs to be parsed", lambda: wanted <= set(cluster.airflow.dag_ids()), 180)
    return cluster.airflow


def succeed(airflow, dag_id, run_id, within=300):
    *_, (run,) = airflow.watch(dag_id, [run_id], within)
    logs = {task: airflow.log(dag_id, run_id, task, tries)[-3000:] for task, (_, tries, _) in run.tasks.items()}
    assert run.state == "success", f"{run.tasks}\n{logs}"


def pod_is_gone(cluster, pod) -> bool:
    """Tell whether a pod is no longer there."""
    return not cluster.kubectl("get", "pod", pod, "--ignore-not-found", "--output=name")


def test_nothing_of_airflow_has_a_password_that_it_does_not_need(cluster, airflow):
    for pod in cluster.part("worker"):
        names = cluster.kubectl("exec", pod["metadata"]["name"], "--", "sh", "-c", "env | cut -d= -f1").decode().split()
        assert "AIRFLOW__CELERY__BROKER_URL" in names
        assert not [
            each for each in names if each.startswith("AIRFLOW_CONN_") or "SQL_ALCHEMY" in each or "JWT" in each
        ]


def test_a_day_goes_through_celery_and_a_pod_of_its_own(cluster, airflow):
    """The Spark task chooses its executor; its pod has what the configuration says; its log outlives it."""
    run_id = airflow.start(Q01, date.fromisoformat(SUMMER))
    pod = cluster.task_pod(Q01, "transform", run_id)
    spec, (container,) = pod["spec"], pod["spec"]["containers"]
    assert container["resources"] == cluster.resources[f"{Q01}.transform"]
    assert container["image"] == "airflow-answers:kubernetes-old"
    assert spec["automountServiceAccountToken"] is False
    assert not [volume for volume in spec["volumes"] if "projected" in volume], "no token of Kubernetes is in the pod"
    assert (spec["securityContext"]["runAsNonRoot"], spec["restartPolicy"]) == (True, "Never")
    succeed(airflow, Q01, run_id)
    tasks = cluster.tasks(Q01, run_id)
    workers = {each["metadata"]["name"] for each in cluster.part("worker")}
    transform = tasks.pop("transform")
    assert (transform["executor"], transform["hostname"]) == ("KubernetesExecutor", pod["metadata"]["name"])
    assert {each["executor"] for each in tasks.values()} == {None}  # the first of [core] executor
    assert {each["hostname"] for each in tasks.values()} <= workers
    expected.assert_published(cluster.sql, SUMMER, SUMMER)
    wait_for("the pod to be removed", lambda: pod_is_gone(cluster, pod["metadata"]["name"]))
    log = airflow.log(Q01, run_id, "transform", 1)
    assert "Spark 4" in log
    assert "local[*]" in log


def test_a_killed_pod_is_retried_and_the_day_is_whole(cluster, airflow):
    run_id = airflow.start(Q01, date.fromisoformat(CLOCK_CHANGE))
    pod = cluster.task_pod(Q01, "transform", run_id)["metadata"]["name"]
    wait_for("the task to begin", lambda: cluster.tasks(Q01, run_id)["transform"]["state"] == "running")
    cluster.kubectl("delete", "pod", pod, "--grace-period=0", "--force")
    succeed(airflow, Q01, run_id)
    transform = cluster.tasks(Q01, run_id)["transform"]
    assert transform["try_number"] == 2
    assert transform["hostname"] != pod
    expected.assert_published(cluster.sql, CLOCK_CHANGE, CLOCK_CHANGE)
    (told,) = [each for each in cluster.events(Q01, run_id) if each.startswith("state mismatch")]
    assert "Executor KubernetesExecutor" in told
    assert "finished with state failed" in told


def test_a_task_that_runs_out_of_memory_says_so_in_its_log(cluster, airflow):
    run_id = cluster.start("tried_memory", "too-much")
    *_, (run,) = airflow.watch("tried_memory", [run_id], 180)
    assert run.state == "failed"
    log = airflow.log("tried_memory", run_id, "eat", 1)
    assert "Process terminated by signal. Likely out of memory error (OOM)" in log


def test_an_evicted_pod_is_explained_in_the_event_log(cluster, airflow):
    run_id = cluster.start("tried_disk", "too-much")
    *_, (run,) = airflow.watch("tried_disk", [run_id], 300)
    assert run.state == "failed"
    (pod,) = cluster.pods(kubernetes_executor="True", dag_id="tried_disk")
    assert (pod["status"]["phase"], pod["status"]["reason"]) == ("Failed", "Evicted")
    assert "ephemeral local storage" in pod["status"]["message"]
    told = cluster.events("tried_disk", run_id)
    assert any(each.startswith("state mismatch") and each.endswith("Pod failed because of Evicted") for each in told)
