"""Question 6 on Kubernetes: what code in a task (tests/attack/attack.py) gets that is not its own, on a worker and in a pod."""

import json

import pytest

from support import wait_for
from support.attacks import ALLOWED, REFUSED, differences
from tests.kubernetes.cluster import SERVICES

pytestmark = [pytest.mark.kubernetes, pytest.mark.claim("6.6"), pytest.mark.claim("6.7"), pytest.mark.timeout(1800)]
CANARY = "q10_canary"
# The API server has these here, not a store: by any way they are refused as they are to the supervisor.
REFUSED_HERE = {"their connection": "AccessDenied", "their Variable": "AccessDenied"}
BROKER = ("own queue", "own token for another task")


@pytest.fixture(scope="module")
def victim(cluster) -> dict:
    """A finished task instance of another DAG."""
    wait_for("the DAGs to be parsed", lambda: {CANARY, "attack"} <= set(cluster.airflow.dag_ids()), 180)
    *_, (run,) = cluster.airflow.watch(CANARY, [cluster.start(CANARY, "victim")], 180)
    assert run.state == "success", run.tasks
    return next(iter(cluster.tasks(CANARY, "victim").values()))


@pytest.mark.parametrize("executor", ["CeleryExecutor", "KubernetesExecutor"])
def test_every_attack_from_within_a_task_is_refused(cluster, victim, executor):
    conf = {"victim": victim["id"], "database": f"postgres.{SERVICES}"}
    dag_id = "attack" if executor == "CeleryExecutor" else "attack_in_a_pod"
    assert cluster.airflow.trigger(dag_id, "attack", conf)
    *_, (run,) = cluster.airflow.watch(dag_id, ["attack"], 240)
    assert run.state == "success", cluster.airflow.log(dag_id, "attack", "attack", 1)
    answers = cluster.airflow.xcom(dag_id, "attack", "attack")
    wanted, allowed = REFUSED | REFUSED_HERE, ALLOWED
    answers.pop("the store as a writer")  # there is none
    if executor == "KubernetesExecutor":
        for name, said in list(answers.items()):  # a pod has no broker: no address, no password
            if "AIRFLOW__CELERY__BROKER_URL" in said:
                wanted.pop(name, None)
                del answers[name]
        assert not set(BROKER) & set(answers), "none was answered by a broker"
        allowed = tuple(name for name in ALLOWED if name not in BROKER)
    assert differences(answers, wanted, allowed) == {}
    assert cluster.tasks(CANARY, "victim")[victim["task_id"]] == victim, "the victim is as it was"
    haul = (cluster.folder / f"airflow-data/attack/{dag_id}.json").read_text()
    assert len(json.loads(haul)) > 2
    found = {key for key, value in cluster.secrets.items() if len(value) > 10 and value in haul}
    assert found == ({"WORKER_BROKER_PASSWORD"} if executor == "CeleryExecutor" else set())
