"""Deploys on a live stack: DAGs from a Git repository, a breaking change in the middle of a run, kills, undoing, cleaning."""

import json
import signal
import subprocess
from pathlib import Path

import pandas as pd
import pytest

from answers.deploy.journal import Journal
from answers.stack import bundles
from answers.stack.repository import Repository
from include.flights.feed import default_feed
from support import PROJECT, wait_for
from support.deploys import Project

FILES = {f"dags/{name}": (PROJECT / "dags" / name).read_text() for name in ("q10_canary.py", "q10/seats.py")}
DAILY = '''"""A DAG that a person or a deploy pauses."""

from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import DAG
from pendulum import datetime

for dag_id in ("daily", "paused_by_hand"):
    with DAG(dag_id, schedule="{schedule}", start_date=datetime(2013, 1, 1), catchup=False, tags=["q10"],
             default_args={{"owner": "us"}}, description="d", doc_md="d"):  # fmt: skip
        EmptyOperator(task_id="a")
'''
EVENTS = '''"""A DAG whose event starts another one."""

from airflow.sdk import DAG, Asset, task

common = {{"tags": ["q10"], "default_args": {{"owner": "us"}}, "description": "d", "doc_md": "d"}}
with DAG("producer", schedule=None, **common):

    @task(outlets=[Asset("q10.made")])
    def make(**context):
        context["outlet_events"][Asset("q10.made")].extra = context["dag_run"].conf

    make()

with DAG("consumer", schedule=[Asset("q10.made")], **common):

    @task
    def take{version}(triggering_asset_events=None) -> list:
        return [event.extra["number"] for of in triggering_asset_events.values() for event in of]

    take{version}()
'''
CLEANING = {"INTERVAL": "5", "AGE_THRESHOLD": "5", "MIN_VERSIONS": "1"}


def files(schedule: str = "0 0 1 1 *", version: str = "", **changes: str) -> dict[str, str]:
    own = {"dags/daily.py": DAILY.format(schedule=schedule), "dags/events.py": EVENTS.format(version=version)}
    return FILES | own | changes


class Live:
    """A stack whose DAGs are from a repository of the test's own."""

    def __init__(self, stack, project: Project) -> None:
        self.stack, self.project = stack, project
        self.first = project.commit("one", files())
        self.repository = bundles.create_repository(stack.home / "dags.git", project.folder)
        self.journal = Journal(stack.home / "deploys")

    @property
    def head(self) -> str:
        return self.repository.head(bundles.BRANCH)

    def deploy(self, tag: str, *options: str, check: bool = True) -> subprocess.CompletedProcess:
        return self.stack.answers("deploy", "--to", tag, *options, "--json", check=check)

    def run(self, run_id: str, dag_id: str = "q10_canary") -> dict:
        return self.stack.airflow.run_record(dag_id, run_id)

    def start(self, run_id: str, hold: Path) -> None:
        assert self.stack.airflow.trigger("q10_canary", run_id, {"hold": str(hold)})

    def succeeds(self, run_id: str) -> dict:
        def ended():
            run = self.run(run_id)
            assert run["state"] != "failed", self.stack.airflow.run("q10_canary", run_id).tasks
            return run if run["state"] == "success" else None

        return wait_for(f"{run_id} to succeed", ended)

    def paused(self) -> set[str]:
        return {each["dag_id"] for each in self.stack.airflow.dags() if each["is_paused"]}

    def commits(self) -> set[str]:
        """The commits that Airflow has the DAGs at."""
        return {each["bundle_version"] for each in self.stack.airflow.dags()}


@pytest.fixture(scope="module")
def live(new_stack, tmp_path_factory) -> Live:
    stack = new_stack()
    stack.environment |= {
        f"AIRFLOW__DAG_PROCESSOR__STALE_BUNDLE_CLEANUP_{name}": value for name, value in CLEANING.items()
    }
    live = Live(stack, Project(tmp_path_factory.mktemp("q10")))
    stack.answers("up", "--dags", "git")
    wait_for("the DAGs", lambda: {"q10_canary", "daily", "paused_by_hand", "consumer"} <= set(stack.airflow.dag_ids()))
    stack.airflow.pause("paused_by_hand")
    return live


def seats() -> dict[str, int]:
    planes = pd.read_csv(default_feed() / "planes.csv")
    return planes.groupby("manufacturer").seats.sum().nlargest(12).to_dict()


@pytest.mark.claim("10.1")
@pytest.mark.claim("10.2")
@pytest.mark.claim("10.4")
def test_a_run_finishes_on_its_commit_while_a_breaking_change_is_deployed_in_its_middle(live, tmp_path):
    hold = tmp_path / "hold"
    hold.touch()
    live.start("before", hold)
    wait_for(
        "the run to be in its middle",
        lambda: (
            live.stack.airflow.run("q10_canary", "before").tasks.get("wait_until_released", ("",))[0]
            == "up_for_reschedule"
        ),
    )
    project = Repository(live.project.folder / ".git")
    new = project.apply(live.first, PROJECT / "answers/demo/breaking.patch", "breaking")
    answer = json.loads(live.deploy("breaking", "--leave").stdout)
    assert [(each["dag_id"], each["why"]) for each in answer["changes"]] == [
        ("q10_canary", ["the task report is gone"])
    ]
    assert live.head == new
    assert live.commits() == {new}
    canary = f"deploy__{answer['deploy']}"
    assert live.run("before")["state"] == "running"
    hold.unlink()
    runs = {run_id: live.succeeds(run_id) for run_id in ("before", canary)}
    for run_id, commit, task in (("before", live.first, "report"), (canary, new, "publish")):
        assert runs[run_id]["bundle_version"] == commit
        tasks = live.stack.airflow.run("q10_canary", run_id).tasks
        assert {name: state for name, (state, _, _) in tasks.items()} == dict.fromkeys(
            ("count", "wait_until_released", task), "success"
        )
        report = live.stack.home / "data" / "q10" / f"{run_id}.json"
        assert json.loads(report.read_text()) == seats()
    assert live.paused() == {"paused_by_hand"}


@pytest.mark.claim("4.8")
@pytest.mark.claim("10.4")
def test_a_consumer_that_a_deploy_paused_is_given_the_events_that_came_meanwhile(live, tmp_path):
    """The deploy pauses it at once, and then waits for a run of the canary, which loses a task, too."""
    airflow, hold = live.stack.airflow, tmp_path / "hold"
    hold.touch()
    live.start("held", hold)
    new = live.project.commit("events", files(version="_all"))
    process = subprocess.Popen(
        live.stack.command("deploy", "--to", "events", "--json"),
        env=live.stack.environment, cwd=PROJECT, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    wait_for("the consumer to be paused", lambda: "consumer" in live.paused())
    for number in (1, 2):
        assert airflow.trigger("producer", f"made-{number}", {"number": number})
        wait_for("its event", lambda: len(airflow.asset_events()) == number)  # noqa: B023
    assert process.poll() is None
    hold.unlink()
    answer = json.loads(process.communicate(timeout=120)[0])
    assert (answer["result"], live.head) == ("done", new)
    assert answer["missed"] == {"consumer": ["2 of q10.made"]}

    def taken() -> list[int] | None:
        runs = airflow.runs("consumer", state="success")
        return runs and airflow.xcom("consumer", runs[0]["dag_run_id"], "take_all")

    # Airflow gives them in no order.
    assert sorted(wait_for("the consumer", taken)) == [1, 2, 2], "the last one was announced again"
    assert live.paused() == {"paused_by_hand"}


@pytest.mark.claim("10.4")
def test_a_broken_dag_never_reaches_the_server(live):
    before = live.head
    live.project.commit("broken", files(**{"dags/broken.py": "from airflow.sdk import DAG\nimport nothing_like_it\n"}))
    refused = live.deploy("broken", check=False)
    assert refused.returncode == 1
    assert "dags/broken.py:2 AA101" in refused.stderr
    assert live.head == before
    assert live.stack.airflow.import_errors() == []


@pytest.mark.claim("10.4")
def test_a_commit_whose_canary_fails_is_rolled_back(live):
    before = live.head
    failing = FILES["dags/q10/seats.py"].replace('seats[plane["manufacturer"]] +=', 'seats[plane["maker"]] +=')
    assert failing != FILES["dags/q10/seats.py"]
    live.project.commit("failing", files(schedule="0 0 2 1 *", **{"dags/q10/seats.py": failing}))
    refused = live.deploy("failing", check=False)
    assert refused.returncode == 1
    assert "of q10_canary failed: http" in refused.stderr
    assert "failing is not deployed" in refused.stderr
    assert live.head == before
    assert live.commits() == {before}
    assert live.paused() == {"paused_by_hand"}


@pytest.mark.claim("10.4")
def test_a_deploy_that_is_killed_is_finished_by_the_same_command(live):
    """Each deploy gives `daily` another schedule, so that it is paused; the one paused by a person stays so."""
    for day, step in enumerate(("planned", "pausing", "shipping", "verified"), start=3):
        tag = f"killed-{step}"
        new = live.project.commit(tag, files(schedule=f"0 0 {day} 1 *"))
        process = subprocess.Popen(
            live.stack.command("deploy", "--to", tag), env=live.stack.environment, cwd=PROJECT, stdout=subprocess.PIPE
        )

        def reached(step=step, tag=tag):
            return any(each.tag == tag and step in each.steps for each in live.journal.deploys())

        wait_for(f"the step {step}", reached, pause=0.01)
        process.send_signal(signal.SIGKILL)
        process.communicate()
        live.deploy(tag)
        assert live.head == new
        assert live.commits() == {new}
        assert live.paused() == {"paused_by_hand"}
        assert live.journal.unfinished() is None


@pytest.mark.claim("10.4")
def test_rollback_goes_back_deploy_by_deploy(live):
    # A deploy that was not killed in time has ended, and the same command again deploys what is in force.
    changing = [each for each in live.journal.deploys() if each.end == "done" and each.old != each.new]
    before_last, last = changing[-2:]
    for done in (last, before_last):
        live.stack.answers("deploy", "--rollback")
        assert live.head == done.old
        assert live.commits() == {done.old}
    assert before_last.old[:10] in live.stack.answers("deploy", "--status").stdout


@pytest.mark.claim("10.1")
def test_the_copies_of_old_commits_are_cleaned(live):
    """The first commit's copy, which a run has used, goes; the one in force stays usable."""
    copies = live.stack.home / "bundles" / bundles.NAME / "versions"
    wait_for("the copy of the first commit to be removed", lambda: not (copies / live.first).exists())
    live.start("after-cleaning", live.stack.home / "no-such-file")
    assert live.succeeds("after-cleaning")["bundle_version"] == live.head
