"""`answers deploy` against a real API server, from a real repository. The test follows the branch, as the DAG processor does."""

import json
import threading
from datetime import UTC, datetime, timedelta

import pytest
from typer.testing import CliRunner

from answers.cli import app as cli
from answers.deploy.server import Server
from answers.stack.bundles import BRANCH, NAME, create_repository
from answers.stack.client import Airflow, ApiError
from answers.stack.repository import Repository
from answers.stack.settings import Settings
from support import running_beside
from support.api_server import ApiServer, running_server
from support.deploys import Project

pytestmark = pytest.mark.claim("10.4")

DAG = '''"""One DAG."""

from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import DAG

with DAG("small", schedule=None, default_args={{"owner": "us"}}, tags=["q10"], description="d", doc_md="d") as dag:
    EmptyOperator(task_id="{task}")
'''


class World:
    """A project of the tags one and two, its bare repository, and a server that has the first."""

    def __init__(self, folder, server: ApiServer, project: Project, repository: Repository) -> None:
        self.folder, self.server, self.project, self.repository = folder, server, project, repository
        self.airflow = Airflow(server.url, Settings.load().secrets["ADMIN_PASSWORD"])
        self.followed = repository.head(BRANCH)

    def answers(self, *arguments: str, code: int = 0):
        """Run the command; its result, of which the standard output is apart."""
        done = CliRunner().invoke(cli.app, ["deploy", *arguments, "--repository", str(self.repository.path)])
        assert done.exit_code == code, f"{done.output}\n{done.exception!r}"
        return done

    def follow(self, stop: threading.Event) -> None:
        """Parse what is deployed, and end the runs that are started."""
        while not stop.wait(0.2):
            if (head := self.repository.head(BRANCH)) != self.followed:
                self.server.store([checkout(self.repository, head, self.folder)], NAME, head)
                self.followed = head
            for run in self.airflow.runs("small", state="queued"):
                path = f"/dags/small/dagRuns/{run['dag_run_id']}"
                self.airflow.request("PATCH", path, json={"state": "success"})


def checkout(repository: Repository, commit: str, folder):
    (folder / commit).mkdir(exist_ok=True)
    repository.export(commit, folder / commit, "dags")
    return folder / commit / "dags" / "small.py"


@pytest.fixture(scope="module")
def world(metadata_database, tmp_path_factory):
    folder = tmp_path_factory.mktemp("deploy_api")
    project = Project(folder)
    old = project.commit("one", {"dags/small.py": DAG.format(task="a")})
    repository = create_repository(folder / "dags.git", project.folder)
    project.commit("two", {"dags/small.py": DAG.format(task="b")})
    with running_server(folder, [checkout(repository, old, folder)], NAME, old) as server:
        yield World(folder, server, project, repository)


@pytest.fixture(autouse=True)
def environment(world, monkeypatch):
    monkeypatch.setenv("ANSWERS_API_URL", world.server.url)
    monkeypatch.setenv("ANSWERS_API_PASSWORD", Settings.load().secrets["ADMIN_PASSWORD"])
    monkeypatch.setenv("COLUMNS", "300")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ((), "say one of --to TAG, --rollback, --status"),
        (("--to", "two", "--status"), "say one of --to TAG, --rollback, --status"),
        (("--to", "nine"), "nine"),
        (("--rollback",), "nothing to roll back to: no deploy has shipped this commit"),
    ],
)
def test_what_cannot_be_done_is_refused_and_changes_nothing(world, arguments, says):
    before = world.repository.head(BRANCH)
    assert says in world.answers(*arguments, code=1).stderr
    assert world.repository.head(BRANCH) == before


def test_without_a_repository_the_command_names_what_makes_one(world, tmp_path):
    done = CliRunner().invoke(cli.app, ["deploy", "--status", "--repository", str(tmp_path / "none.git")])
    assert done.exit_code == 1
    assert "`answers up --dags git` makes it" in done.stderr


def test_a_deploy_asks_a_real_server_what_it_needs_to_know(world):
    server, now = Server(world.airflow), datetime.now(UTC)
    head = world.repository.head(BRANCH)
    assert server.versions() == {"small": head}
    assert server.scheduled_from("small") == head
    assert server.import_errors(now - timedelta(days=1)) == {}
    server.ask_to_refresh(["small"])
    server.ask_to_refresh([])
    dag = world.airflow.dag("small")
    world.airflow.request("PUT", f"/parseDagFile/{dag['file_token']}", expect=(409,))  # its file is asked for already
    assert not server.is_paused("nowhere")
    assert server.under_way("nowhere") == []
    server.pause("nowhere", True)
    for paused in (True, False):
        server.pause("small", paused)
        assert server.is_paused("small") is paused
    server.start("small", "by_hand:1")
    server.start("small", "by_hand:1")
    assert server.under_way("small") == ["by_hand:1"]
    run = server.run("small", "by_hand:1")
    assert (run["state"], run["bundle_version"]) == ("queued", head)
    assert server.link("small", "by_hand:1") == f"{world.server.url}/dags/small/runs/by_hand%3A1"
    world.airflow.delete_run("small", "by_hand:1")


def test_a_tag_is_planned_deployed_verified_told_and_rolled_back(world):
    one, two = (world.repository.commit(tag) for tag in ("one", "two"))
    planned = world.answers("--to", "two", "--dry-run", "--canary", "none").stdout
    assert "the task a is gone" in planned
    assert "nothing was done" in planned
    assert world.repository.head(BRANCH) == one

    with running_beside(world.follow):
        told = world.answers("--to", "two", "--canary", "small").stdout
        assert "small: the task a is gone" in told
        assert "two is in force" in told
        assert world.repository.head(BRANCH) == two
        (run,) = world.airflow.runs("small")
        assert (run["state"], run["bundle_version"]) == ("success", two)
        assert not Server(world.airflow).is_paused("small"), "it was paused for the deploy, and resumed"

        status = world.answers("--status").stdout
        assert "in force: two" in status
        assert f"{one[:10]} -> {two[:10]}" in status

        back = json.loads(world.answers("--rollback", "--canary", "none", "--json").stdout)
        assert (back["result"], back["old"], back["new"]) == ("done", two, one)
        assert Server(world.airflow).versions() == {"small": one}
    told = json.loads(world.answers("--status", "--json").stdout)
    assert [each["state"] for each in told["deploys"]] == ["done", "done"]
    assert told["in_force"] == one
    assert "nothing to roll back to" in world.answers("--rollback", code=1).stderr


def test_an_airflow_that_has_its_dags_from_elsewhere_is_not_deployed_to(world, metadata_database, tmp_path):
    (tmp_path / "other").mkdir()
    file = checkout(world.repository, world.repository.head(BRANCH), tmp_path)
    with running_server(tmp_path / "other", [file]) as server:
        airflow = Airflow(server.url, Settings.load().secrets["ADMIN_PASSWORD"])
        with pytest.raises(ApiError, match="has its DAGs from dags-folder, not from Git: start it with"):
            Server(airflow).versions()
