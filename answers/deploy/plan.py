"""The plan of a deploy: the new commit checked and compared with the one in force, both away from the server."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from answers.deploy import shape
from answers.deploy.deploy import DeployError, Plan, Planner
from answers.deploy.shape import PROJECT, Change, ShapeError
from answers.stack.repository import Repository, RepositoryError

PLATFORM = ("answers", "config", "include", "plugins", "requirements.txt")
"""What the image brings and a deploy does not ship."""
LINKED = ("config", "include", "plugins", "pyproject.toml")


def planner(repository: Repository, back: bool = False) -> Planner:
    """A planner that checks commits of a repository with the code of this platform, which is what will run them.

    :param back: the new commit was in force before. It has to parse, and no finding stands in the way of going back to it
    """

    def plan(old: str, new: str) -> Plan:
        with tempfile.TemporaryDirectory(prefix="answers-deploy-") as scratch, ThreadPoolExecutor(2) as pool:
            ours, theirs = Path(scratch) / "old", Path(scratch) / "new"
            for commit, folder in ((old, ours), (new, theirs)):
                checkout(repository, commit, folder)
            before = pool.submit(shape.read, ours / "dags")
            after = pool.submit(shape.read, theirs / "dags")
            if not back and (found := check(theirs)):
                raise DeployError("the DAGs are not fit to be shipped:\n" + "\n".join(found))
            try:
                documents = after.result()
            except ShapeError as error:
                raise DeployError(f"the DAGs are not fit to be shipped:\n{error}") from error
            try:
                changes = shape.compare(before.result(), documents, _below_dags(repository.changed(old, new)))
            except ShapeError:
                # What is in force does not parse on this platform: a fix must not be stopped by what it fixes.
                why = ("what is in force cannot be parsed, so that nothing is known of the change",)
                changes = [Change(dag_id, "changed", why) for dag_id in sorted(documents)]
        return Plan(changes, sorted(documents), repository.differs(new, PROJECT, *PLATFORM))

    return plan


def checkout(repository: Repository, commit: str, folder: Path) -> None:
    """A commit's DAGs in a folder, with the platform's modules, plugins and rules around them."""
    folder.mkdir()
    try:
        repository.export(commit, folder, "dags")
    except RepositoryError as error:
        raise DeployError(f"{repository.name(commit)} has no folder dags: {error}") from error
    for name in LINKED:
        (folder / name).symlink_to(PROJECT / name)


def check(folder: Path) -> list[str]:
    """What `answers integrity` finds in a checkout, a line each; empty if it may be shipped.

    :raises DeployError: it could not be checked
    """
    environment = {name: value for name, value in os.environ.items() if not name.startswith("AIRFLOW")}
    done = subprocess.run(
        [sys.executable, "-m", "answers", "integrity", "dags", "--format", "json"],
        cwd=folder,
        env=environment | {"PYTHONPATH": str(PROJECT)},
        capture_output=True,
        text=True,
    )
    if done.returncode not in (0, 1):
        raise DeployError(f"the DAGs could not be checked: {done.stderr.strip()[-1000:]}")
    if done.returncode == 0:
        return []
    findings = json.loads(done.stdout)
    return [f"{each['file']}:{each['line']} {each['rule']} {each['message']}" for each in findings]


def _below_dags(paths: list[str]) -> list[str]:
    return [path.removeprefix("dags/") for path in paths if path.startswith("dags/")]
