"""Question 6 on the docker compose stack: what code in a task (tests/attack/attack.py) gets of what is not its own."""

import json
import subprocess

import pytest

from support import wait_for
from support.attacks import REFUSED, REFUSED_BY_THE_STORE, differences
from support.privileges import SECRETS

pytestmark = [pytest.mark.compose, pytest.mark.claim("6.6"), pytest.mark.timeout(1800)]
Q06, CANARY = "q06_partner_delivery", "q10_canary"
FOLDERS = "/opt/airflow /tmp /run /home /etc /var"


@pytest.fixture(scope="module")
def victim(stack) -> dict:
    """A finished task instance of another DAG."""
    stack.airflow.find_dag("q10_canary", patience=120)
    assert stack.airflow.trigger(CANARY, "victim")
    *_, (run,) = stack.airflow.watch(CANARY, ["victim"], 180)
    assert run.state == "success", run.tasks
    return stack.airflow.task_instances(CANARY, "victim")[0]


@pytest.fixture(scope="module")
def delivery(stack) -> str:
    """A run of question 6 whose secrets are in use."""
    stack.airflow.find_dag("q06", patience=120)
    assert stack.airflow.trigger(Q06, "delivery")
    return "delivery"


@pytest.fixture(scope="module")
def answers(stack, victim, delivery) -> dict[str, str]:
    """Return what each attack got, while question 6's Spark job runs on its own worker."""

    def working() -> bool:
        run = stack.airflow.run(Q06, delivery)
        assert not run.done, run.tasks
        return run.tasks["pseudonymise"][0] == "running"

    wait_for("question 6's Spark job to run", working, pause=0.5)
    stack.airflow.find_dag("attack", patience=120)
    assert stack.airflow.trigger("attack", "attack", {"victim": victim["id"]})
    *_, (run,) = stack.airflow.watch("attack", ["attack"], 180)
    assert run.state == "success", stack.airflow.log("attack", "attack", "attack", 1)
    return stack.airflow.xcom("attack", "attack", "attack")


def test_every_attack_from_within_a_task_is_refused(stack, answers, victim, delivery):
    assert differences(answers, REFUSED | REFUSED_BY_THE_STORE) == {}
    same = stack.get(f"/dags/{CANARY}/dagRuns/victim/taskInstances/{victim['task_id']}")
    assert same == victim, "the victim is as it was"
    runs = stack.airflow.runs(CANARY)
    assert "attacked" not in {each["dag_run_id"] for each in runs}
    *_, (run,) = stack.airflow.watch(Q06, [delivery], 300)
    assert run.state == "success", run.tasks


def secrets_in(stack, data: str) -> set[str]:
    """The keys of .env whose values are in a text."""
    return {key for key, value in stack.settings.items() if len(value) > 10 and value in data}


def test_the_processes_beside_a_task_show_what_its_worker_has_and_nothing_else(stack, answers):
    haul = stack.run("exec", "-T", "airflow-worker", "cat", "/opt/airflow/data/attack/attack.json").decode()
    assert sum("celery" in text for text in json.loads(haul).values()) > 2, "it saw the worker's processes"
    assert secrets_in(stack, haul) == SECRETS["airflow-worker"]


def test_no_file_that_a_task_can_read_has_a_secret(stack, answers):
    wanted = [value for value in stack.settings.values() if len(value) > 10]
    # The haul of the attack has what the processes have; /proc is no file.
    command = f"grep -rlF -f - {FOLDERS} 2>/dev/null | grep -v ^/opt/airflow/data/attack/ || true"
    done = subprocess.run(
        ["docker", "compose", *stack.project, "exec", "-T", "airflow-worker", "bash", "-c", command],
        input="\n".join(wanted).encode(),
        env=stack.environment,
        capture_output=True,
        check=True,
    )
    assert done.stdout.decode().split() == []
    found = stack.run(
        "exec", "-T", "airflow-worker", "bash", "-c", f"grep -rlF AIRFLOW__CORE {FOLDERS} 2>/dev/null | wc -l"
    )
    assert int(found) > 0, "it was searched"


@pytest.mark.parametrize("service", sorted(set(SECRETS) - {"airflow-spark-worker", "airflow-init"}))
def test_a_running_container_has_the_secrets_of_its_list(stack, service):
    """Its processes, with what their commands have made of their environment."""
    everything = "cat /proc/[0-9]*/environ /proc/[0-9]*/cmdline 2>/dev/null | tr '\\0' '\\n'"
    text = stack.run("exec", "-T", service, "bash", "-c", everything).decode(errors="replace")
    assert "AIRFLOW__CORE__EXECUTOR=CeleryExecutor" in text
    wanted = SECRETS[service] - ({"ADMIN_PASSWORD"} if service == "airflow-api-server" else set())
    assert secrets_in(stack, text) - {"ADMIN_PASSWORD"} == wanted
