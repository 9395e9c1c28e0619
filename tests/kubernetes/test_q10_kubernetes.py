"""Airflow's parts on Kubernetes are rolled to another image tag under load."""

from datetime import UTC, datetime

import pytest

from support import longest_gap, under_load, wait_for
from tests.kubernetes.cluster import IMAGE, NEW, within

pytestmark = [pytest.mark.kubernetes, pytest.mark.claim("10.3"), pytest.mark.timeout(1800)]
CANARY, PATIENT = "q10_canary", "tried_patience"


def ready(pods: list[dict]) -> list[str]:
    """Names of those that are there for requests or tasks: ready, and not told to end."""
    return [
        pod["metadata"]["name"]
        for pod in pods
        if not pod["metadata"].get("deletionTimestamp")
        and any((each["type"], each["status"]) == ("Ready", "True") for each in pod["status"].get("conditions", []))
    ]


def test_workers_are_rolled_to_another_tag_under_load_and_no_task_fails_or_is_lost(cluster):
    """Short tasks all the time, and long ones on each old worker, which end only after both have had their SIGTERM."""
    airflow = cluster.airflow
    wait_for("the DAGs to be parsed", lambda: {CANARY, PATIENT} <= set(airflow.dag_ids()), 180)
    old = {pod["metadata"]["name"] for pod in cluster.part("worker")}
    assert len(old) == 2
    long = [cluster.start(PATIENT, f"long-{number}") for number in range(6)]  # of eight slots

    def hosts() -> set[str]:
        found = [cluster.tasks(PATIENT, run_id).get("last", {}) for run_id in long]
        return {each.get("hostname") if each.get("state") == "running" else "" for each in found}

    wait_for("every long task to run, on both workers", lambda: hosts() == old, 120)
    with under_load(lambda run_id: cluster.start(CANARY, run_id)) as short:
        cluster.kubectl("set", "image", "deployment/airflow-worker", f"worker={IMAGE}:{NEW}")
        counts = []  # how many workers are there for tasks, looked at all the time

        def ending() -> bool:
            there = ready(cluster.part("worker"))
            counts.append(len(there))
            return old.isdisjoint(there) and len(there) == 2

        wait_for("both old workers to have got their SIGTERM", ending, 240, pause=1)
        assert min(counts) >= 2
        assert {each["metadata"]["name"] for each in cluster.part("worker")} > old, "they end their tasks first"
        seen = len(short)
        wait_for("runs that begin on the new workers alone", lambda: len(short) >= seen + 3, 60)
        (cluster.folder / "airflow-data/release").touch()
        cluster.kubectl("rollout", "status", "deployment/airflow-worker", within(120))
        gone = [f"pod/{name}" for name in old]
        cluster.kubectl("wait", "--for=delete", *gone, within(120))
    new = cluster.part("worker")
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
    print(f"ROLL runs {len(short)} tasks {len(instances)} ready {min(counts)} to {max(counts)} longest gap {gap:.1f} s")
    assert gap < 30


def test_scheduler_and_api_server_are_rolled_under_load_and_no_task_fails_or_is_lost(cluster):
    """Tasks start, report and end all the time: what they need of either part is there throughout."""
    airflow = cluster.airflow
    wait_for("the DAG to be parsed", lambda: CANARY in airflow.dag_ids(), 180)
    spans, runs = {}, []
    for part in ("scheduler", "api-server"):
        load = [cluster.start(CANARY, f"{part}-{number}") for number in range(60)]
        runs += load
        wait_for("the first to end", lambda load=load: airflow.run(CANARY, load[0]).done)
        (old,) = (pod["metadata"]["name"] for pod in cluster.part(part))
        counts, began = [], datetime.now(UTC)
        cluster.kubectl("set", "image", f"deployment/airflow-{part}", f"{part}={IMAGE}:{NEW}")

        def replaced(part=part, old=old, counts=counts) -> bool:
            pods = cluster.part(part)
            counts.append(len(ready(pods)))
            return old not in {pod["metadata"]["name"] for pod in pods} and counts[-1] == 1

        wait_for(f"another {part} in the place of {old}", replaced, 240, pause=0.5)
        assert set(counts) <= {1, 2}, "one is always ready"
        (pod,) = cluster.part(part)
        assert pod["spec"]["containers"][0]["image"] == f"{IMAGE}:{NEW}"
        spans[part] = (began, datetime.now(UTC))
    cluster.hang_up()
    *_, ended = cluster.airflow.watch(CANARY, runs, 300)
    assert {run.state for run in ended} == {"success"}
    instances = [each for run_id in runs for each in cluster.tasks(CANARY, run_id).values()]
    assert {(each["state"], each["try_number"]) for each in instances} == {("success", 1)}
    starts = [datetime.fromisoformat(each["start_date"]) for each in instances]
    meanwhile = {part: sum(began < each < end for each in starts) for part, (began, end) in spans.items()}
    assert min(meanwhile.values()) > 5, "tasks started while each was replaced"
    gap = longest_gap(instances)
    print(f"ROLL tasks {len(instances)}, started meanwhile {meanwhile}, longest gap {gap:.1f} s")
    assert gap < 30
