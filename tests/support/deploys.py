"""A repository with commits to deploy, and what stands in for Airflow's REST API where only the deploy itself is tested.

`Seam` keeps its state in a file, so that it outlives a deploy that is killed. It follows the real repository's branch, as
Airflow's DAG processor does; the real one is under test in tests/stack/test_q10_stack.py.
"""

import json
import os
import signal
import subprocess
from pathlib import Path

from answers.deploy import shape
from answers.deploy.deploy import Deploy, Options, Plan
from answers.deploy.journal import Journal
from answers.stack.bundles import BRANCH, create_repository
from answers.stack.repository import Repository

AUTHOR = ("-c", "user.name=t", "-c", "user.email=t@localhost")


def git(folder: Path, *arguments: str) -> str:
    done = subprocess.run(["git", "-C", folder, *AUTHOR, *arguments], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def document(dag_id: str, *tasks: str, **changes: object) -> dict:
    """A DAG as `shape.read` returns it, with these tasks."""
    made = [{"__type": "operator", "__var": {"task_id": task, "task_type": "EmptyOperator"}} for task in tasks]
    return {"dag_id": dag_id, "relative_fileloc": f"{dag_id}.py", "tasks": made, "timetable": "@daily", **changes}


class Project:
    """A Git repository with a commit a tag, and the bare one that is made from its first."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "project"
        self.folder.mkdir(parents=True)
        git(self.folder, "init", "--quiet")

    def commit(self, tag: str, files: dict[str, str]) -> str:
        """Commit exactly these files."""
        for file in [path for path in self.folder.iterdir() if path.name != ".git"]:
            git(self.folder, "rm", "-r", "--quiet", "--cached", "--ignore-unmatch", file.name)
            subprocess.run(["rm", "-rf", file], check=True)
        for name, text in files.items():
            (self.folder / name).parent.mkdir(parents=True, exist_ok=True)
            (self.folder / name).write_text(text)
        git(self.folder, "add", "--all")
        git(self.folder, "commit", "--quiet", "--allow-empty", "--message", tag)
        git(self.folder, "tag", tag)
        return git(self.folder, "rev-parse", "HEAD")

    def documents(self, tag: str, *documents: dict) -> str:
        """Commit DAGs as documents."""
        return self.commit(tag, {"dags.json": json.dumps({each["dag_id"]: each for each in documents})})


class Seam:
    """Airflow's part, on a file: paused DAGs, runs under way, runs that were started."""

    def __init__(self, file: Path, repository: Repository) -> None:
        self.file, self.repository = file, repository
        if not file.exists():
            self.save({"paused": [], "under_way": {}, "runs": {}, "calls": [], "missed": {}})

    @property
    def state(self) -> dict:
        return json.loads(self.file.read_text())

    def save(self, state: dict) -> None:
        part = self.file.with_suffix(".part")
        part.write_text(json.dumps(state))
        os.replace(part, self.file)

    def change(self, **values: object) -> None:
        self.save(self.state | values)

    def documents(self, commit: str) -> dict:
        return json.loads(self.repository.git("show", f"{commit}:dags.json"))

    def versions(self):
        commit = self.repository.head(BRANCH)
        return dict.fromkeys(self.documents(commit), commit)

    def scheduled_from(self, dag_id):
        return self.repository.head(BRANCH)

    def ask_to_refresh(self, behind):
        return None

    def import_errors(self, since):
        return {}

    def is_paused(self, dag_id):
        return dag_id in self.state["paused"]

    def pause(self, dag_id, paused):
        state = self.state
        state["paused"] = sorted({*state["paused"]} - {dag_id} | ({dag_id} if paused else set()))
        state["calls"].append(["pause" if paused else "resume", dag_id])
        if paused:  # and an event comes
            state["missed"][dag_id] = ["1 of asset"]
        self.save(state)

    def under_way(self, dag_id):
        return self.state["under_way"].get(dag_id, [])

    def hand_over_missed_events(self, dag_id):
        state = self.state
        missed = state["missed"].pop(dag_id, [])
        self.save(state)
        return missed

    def start(self, dag_id, run_id):
        state, commit = self.state, self.repository.head(BRANCH)
        fate = "failed" if "breaks" in json.dumps(self.documents(commit).get(dag_id)) else "success"
        state["runs"].setdefault(run_id, {"state": fate, "bundle_version": commit})
        self.save(state)

    def run(self, dag_id, run_id):
        run = self.state["runs"][run_id]
        return run | {"state": "running"} if self.is_paused(dag_id) else run

    def link(self, dag_id, run_id):
        return f"{dag_id}/{run_id}"


class World:
    """A project, its bare repository at the project's first commit, a journal, and the seam."""

    def __init__(self, folder: Path, first: list[dict]) -> None:
        self.project = Project(folder)
        self.old = self.project.documents("one", *first)
        self.repository = create_repository(folder / "dags.git", self.project.folder)
        self.journal = Journal(folder / "deploys")
        self.seam = Seam(folder / "seam.json", self.repository)
        self.said: list[str] = []

    def plan(self, old: str, new: str) -> Plan:
        before, after = (self.seam.documents(each) for each in (old, new))
        return Plan(shape.compare_dags(before, after), sorted(after), [])

    def engine(self, **options: object) -> Deploy:
        defaults = {"wait": 0.0, "canary": None, "patience": 0.0}
        return Deploy(
            self.repository, self.journal, self.seam, self.plan, Options(**(defaults | options)), self.said.append
        )

    def deploy(self, tag: str, **options: object):
        self.repository.fetch()
        with self.journal.locked():
            return self.engine(**options).deploy_tag(tag)

    @property
    def head(self) -> str:
        return self.repository.head(BRANCH)


def killed(world: World, point: int, action) -> bool:
    """Do it in a process that is killed at the `point`-th of the instants before and after each effect; False if it ended."""
    pid = os.fork()
    if pid == 0:
        left = [point]

        def tick() -> None:
            left[0] -= 1
            if left[0] < 0:
                os.kill(os.getpid(), signal.SIGKILL)

        def around(owner, name: str) -> None:
            original = getattr(owner, name)

            def wrapped(*args, **kwargs):
                tick()
                result = original(*args, **kwargs)
                tick()
                return result

            setattr(owner, name, wrapped)

        for owner, names in (
            (world.journal, ["write"]),
            (world.seam, ["pause", "start", "hand_over_missed_events"]),
            (world.repository, ["move"]),
        ):
            for name in names:
                around(owner, name)
        try:
            action()
            os._exit(0)
        finally:
            os._exit(1)
    _, status = os.waitpid(pid, 0)
    assert os.WIFSIGNALED(status) or os.WEXITSTATUS(status) == 0
    return os.WIFSIGNALED(status)
