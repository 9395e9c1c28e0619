"""Celery workers on Kubernetes are rolled to another image tag under load."""

import pytest

from support import longest_gap, under_load, wait_for
from tests.kubernetes.cluster import IMAGE, NEW

pytestmark = [pytest.mark.kubernetes, pytest.mark.claim("10.3"), pytest.mark.timeout(1800)]
CANARY, PATIENT = "q10_canary", "tried_patience"


def test_workers_are_rolled_to_another_tag_under_load_and_no_task_fails_or_is_lost(cluster):
    """Short tasks all the time, and long ones on each old worker, which end only after both have had their SIGTERM."""
    airflow = cluster.airflow
    wait_for("the DAGs to be parsed", lambda: {CANARY, PATIENT} <= set(airflow.dag_ids()), 180)
    old = {pod["metadata"]["name"] for pod in cluster.workers()}
    assert len(old) == 2
    long = [cluster.start(PATIENT, f"long-{number}") for number in range(6)]  # of eight slots

    def hosts() -> set[str]:
        found = [cluster.tasks(PATIENT, run_id).get("last", {}) for run_id in long]
        return {each.get("hostname") if each.get("state") == "running" else "" for each in found}

    wait_for("every long task to run, on both workers", lambda: hosts() == old, 120)
    with under_load(lambda run_id: cluster.start(CANARY, run_id)) as short:
        cluster.kubectl("set", "image", "deployment/airflow-worker", f"worker={IMAGE}:{NEW}")
        ready = []  # how many workers are there for tasks, looked at all the time

        def ending() -> bool:
            pods = cluster.workers()
            alive = [pod for pod in pods if not pod["metadata"].get("deletionTimestamp")]
            conditions = [{each["type"]: each["status"] for each in pod["status"]["conditions"]} for pod in alive]
            ready.append(sum(each.get("Ready") == "True" for each in conditions))
            return {pod["metadata"]["name"] for pod in alive}.isdisjoint(old) and ready[-1] == 2

        wait_for("both old workers to have got their SIGTERM", ending, 240, pause=1)
        assert min(ready) >= 2
        assert {each["metadata"]["name"] for each in cluster.workers()} > old, "they end their tasks first"
        seen = len(short)
        wait_for("runs that begin on the new workers alone", lambda: len(short) >= seen + 3, 60)
        (cluster.folder / "airflow-data/release").touch()
        cluster.kubectl("rollout", "status", "deployment/airflow-worker", "--timeout=120s")
        gone = [f"pod/{name}" for name in old]
        cluster.kubectl("wait", "--for=delete", *gone, "--timeout=120s")
    new = cluster.workers()
    assert {pod["spec"]["containers"][0]["image"] for pod in new} == {f"{IMAGE}:{NEW}"}
    instances = []
    for dag_id, runs in ((PATIENT, long), (CANARY, short)):
        *_, ended = airflow.watch(dag_id, runs, 180)
        assert {run.state for run in ended} == {"success"}
        instances += [each | {"dag": dag_id} for run_id in runs for each in cluster.tasks(dag_id, run_id).values()]
    assert {(each["state"], each["try_number"]) for each in instances} <= {("success", 1), ("skipped", 0)}
    assert {each["hostname"] for each in instances if each["dag"] == PATIENT} == old
    on_the_new = {each["hostname"] for each in instances if each["hostname"]} - old
    assert on_the_new
    assert on_the_new <= {pod["metadata"]["name"] for pod in new}
    gap = longest_gap([each for each in instances if each["dag"] == CANARY])
    print(f"ROLL runs {len(short)} tasks {len(instances)} ready {min(ready)} to {max(ready)} longest gap {gap:.1f} s")
    assert gap < 30
