"""Workers rolled to another image tag under load, and DAGs from Git, on the containers."""

import json
import os
import subprocess
import sys

import pytest

from answers.deploy.roll import IMAGE, Compose, roll_workers
from answers.stack import bundles
from answers.stack.repository import Repository
from include.waiting import patience
from support import PROJECT, longest_gap, under_load, wait_for
from support.deploys import Project

pytestmark = [pytest.mark.compose, pytest.mark.timeout(1500)]
CANARY = "q10_canary"
DAYS = ("2013-03-01", "2013-03-02")
TAG = "rolled"


def start(stack, run_id: str) -> None:
    stack.airflow.trigger(CANARY, run_id)


def tasks(stack, dag_id: str, run_id: str) -> list[dict]:
    return stack.airflow.task_instances(dag_id, run_id)


@pytest.fixture
def two_workers(stack):
    """Two workers of the present image, and a second tag of that."""
    command = ("up", "--detach", "--no-deps", "--no-recreate", "--wait", "--scale", "airflow-worker=2")
    stack.run(*command, "airflow-worker")
    subprocess.run(["docker", "tag", f"{IMAGE}:latest", f"{IMAGE}:{TAG}"], check=True)
    yield Compose(*stack.project, environment=stack.environment)
    stack.run(
        "up",
        "--detach",
        "--no-deps",
        "--wait",
        "--scale",
        "airflow-worker=1",
        "airflow-worker",
        "airflow-partner-worker",
    )
    subprocess.run(["docker", "rmi", f"{IMAGE}:{TAG}"], check=True)


@pytest.mark.claim("10.3")
def test_workers_are_rolled_to_another_tag_under_load_and_no_task_fails_or_is_lost(stack, two_workers):
    """Short tasks all the time, and two Spark jobs that are under way when their worker gets its SIGTERM."""
    stack.wait_for_dag()
    before = {worker.id[:12] for worker in two_workers.workers()}
    spark = [stack.start_day(day) for day in DAYS]
    wait_for(
        "a Spark job to be under way",
        lambda: any(each["task_id"] == "transform" and each["state"] == "running" for each in stack.tasks(spark[0])),
        300,
    )
    with under_load(lambda run_id: start(stack, run_id)) as short:
        replaced = roll_workers(two_workers, TAG, print)
    assert {each["worker"] for each in replaced} == before
    assert [each["exit_code"] for each in replaced] == [0, 0, 0], "two, and that of the partner's queue"
    assert {worker.image for worker in two_workers.workers()} == {f"{IMAGE}:{TAG}"}
    for run_id in spark:
        stack.wait_for_success(run_id)
    runs = [("q01_flights_to_clickhouse", run_id) for run_id in spark] + [(CANARY, run_id) for run_id in short]
    *_, ended = stack.airflow.watch(CANARY, short, 300)
    assert {run.state for run in ended} == {"success"}
    instances = [each for dag_id, run_id in runs for each in tasks(stack, dag_id, run_id)]
    assert {(each["state"], each["try_number"]) for each in instances} <= {("success", 1), ("skipped", 0)}
    on_the_old = [each for each in instances if each["hostname"] in before]
    assert any(each["task_id"] == "transform" for each in on_the_old)
    assert {each["hostname"] for each in instances} - before, "the new workers have done nothing"
    gap = longest_gap([each for each in instances if each["dag_id"] == CANARY])
    print(f"ROLL {json.dumps(replaced)} runs {len(short)} tasks {len(instances)} longest gap {gap:.1f} s")
    assert gap < patience(30)


@pytest.mark.claim("10.1")
@pytest.mark.claim("10.2")
@pytest.mark.claim("10.4")
def test_a_tag_is_deployed_from_git_to_the_containers_while_a_run_is_in_its_middle(stack, tmp_path):
    """The last test of the stack: it leaves Airflow with DAGs from Git."""
    project = Project(tmp_path)
    files = {f"dags/{name}": (PROJECT / "dags" / name).read_text() for name in ("q10_canary.py", "q10/seats.py")}
    old = project.commit("one", files)
    repository = bundles.create_repository(tmp_path / "dags.git", project.folder)
    new = Repository(project.folder / ".git").apply(old, PROJECT / "answers/demo/breaking.patch", "two")
    stack.environment["DAGS_REPOSITORY"] = str(repository.path)
    services = [f"airflow-{part}" for part in ("scheduler", "dag-processor", "triggerer", "worker", "api-server")]
    stack.run("-f", str(PROJECT / "docker-compose.git.yaml"), "up", "--detach", "--no-deps", "--wait", *services)

    def dags() -> dict[str, str]:
        return {each["dag_id"]: each["bundle_version"] for each in stack.airflow.dags()}

    wait_for("Airflow to have its DAGs from Git", lambda: dags() == {CANARY: old}, 180, seen=dags)
    hold = "/opt/airflow/data/q10-hold"
    stack.run("exec", "-T", "airflow-worker", "touch", hold)
    assert stack.airflow.trigger(CANARY, "before", {"hold": hold})
    middle = ("wait_until_released", "up_for_reschedule")
    wait_for(
        "the run to be in its middle",
        lambda: middle in {(each["task_id"], each["state"]) for each in tasks(stack, CANARY, "before")},
    )
    environment = os.environ | {
        "ANSWERS_API_URL": stack.url,
        "ANSWERS_API_PASSWORD": stack.settings["ADMIN_PASSWORD"],
    }
    command = [sys.executable, "-m", "answers", "deploy", "--to", "two", "--leave", "--json"]
    done = subprocess.run(
        [*command, "--repository", repository.path], cwd=PROJECT, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    stack.run("exec", "-T", "airflow-worker", "rm", hold)
    canary = f"deploy__{json.loads(done.stdout)['deploy']}"
    *_, ended = stack.airflow.watch(CANARY, ["before", canary], 120)
    assert [run.state for run in ended] == ["success", "success"]
    for run_id, commit, task in (("before", old, "report"), (canary, new, "publish")):
        assert stack.airflow.run_record(CANARY, run_id)["bundle_version"] == commit
        assert task in {each["task_id"] for each in tasks(stack, CANARY, run_id)}
