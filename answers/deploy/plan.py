"""Plans a deploy: checks the new commit and compares it with the one in force, both away from the server."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, fields
from pathlib import Path

from answers.deploy import shape
from answers.deploy.deploy import DeployError, Plan, Planner
from answers.deploy.shape import PROJECT, Change, Parsed, ShapeError
from answers.stack.repository import Repository, RepositoryError

PLATFORM = ("answers", "config", "include", "plugins", "requirements.txt")
"""What the image brings and a deploy does not ship."""
SLOWNESS = ("AA405", "AA406")
"""Rules about the time that parsing takes: a busy machine breaks them, and such a DAG is slow, not wrong."""
LINKED = ("config", "include", "plugins", "pyproject.toml")


def planner(repository: Repository, rolling_back: bool = False) -> Planner:
    """Return a planner that checks commits of a repository with the code of this platform, which is what will run them.

    What stands in the way is what is new and wrong. What the DAGs in force have as well, or what is only slow, is told.

    :param rolling_back: the new commit was in force before. It has to parse, and no finding stands in the way of going back to it
    """

    def plan(old: str, new: str) -> Plan:
        with tempfile.TemporaryDirectory(prefix="answers-deploy-") as scratch, ThreadPoolExecutor(2) as pool:
            ours, theirs = Path(scratch) / "old", Path(scratch) / "new"
            for commit, folder in ((old, ours), (new, theirs)):
                checkout(repository, commit, folder)
            parsing = [pool.submit(shape.read_dags, folder / "dags") for folder in (ours, theirs)]
            told = [] if rolling_back else _tolerated_findings(ours, theirs)
            before, after = _parsed(*parsing)
            broken = sorted(after.errors)
            told += [f"cannot be parsed, as in what is in force: {file}: {after.errors[file]}" for file in broken]
            changes = _changes(before, after, _below_dags(repository.changed(old, new)))
        return Plan(changes, sorted(after.documents), repository.differs(new, PROJECT, *PLATFORM), told, broken)

    return plan


def _tolerated_findings(ours: Path, theirs: Path) -> list[str]:
    """Return what the checker finds in the new checkout and what does not stop a deploy.

    :raises DeployError: it finds what is new and wrong
    """
    if not (found := check(theirs)):
        return []
    slow = [each for each in found if each.rule in SLOWNESS]
    new, inherited = compare_findings([each for each in found if each.rule not in SLOWNESS], lambda: check(ours))
    if new:
        raise DeployError("the DAGs are not fit to be shipped:\n" + "\n".join(map(str, new)))
    return [f"slow here, which is no reason to stop: {each}" for each in slow] + [
        f"as in what is in force: {each}" for each in inherited
    ]


def compare_findings(
    found: list[Finding], in_force: Callable[[], list[Finding]]
) -> tuple[list[Finding], list[Finding]]:
    """Separate new findings from those that the DAGs in force have as well: the same rule, the same file, the same DAG.

    Where one of two such findings is new, the one with the words of before is the inherited one.

    :param in_force: finds those of the DAGs in force; is asked only if there is something to compare
    """
    old = in_force() if found else []
    left, words = Counter(each.place for each in old), {(each.place, each.message) for each in old}
    new: list[Finding] = []
    inherited: list[Finding] = []
    for each in sorted(found, key=lambda each: (each.place, each.message) not in words):
        (inherited if left[each.place] > 0 else new).append(each)
        left[each.place] -= 1
    return new, inherited


def _parsed(before: Future[Parsed], after: Future[Parsed]) -> tuple[Parsed | None, Parsed]:
    """Parse what is in force (None if it cannot be parsed at all) and what is new.

    :raises DeployError: the new one has a file that cannot be parsed and that can be in what is in force
    """
    ours: Parsed | None = None
    with suppress(ShapeError):  # a fix must not be stopped by what it fixes
        ours = before.result()
    try:
        theirs = after.result()
    except ShapeError as error:
        raise DeployError(f"the DAGs are not fit to be shipped:\n{error}") from error
    if new := [f"{file}: {error}" for file, error in theirs.errors.items() if not ours or file not in ours.errors]:
        raise DeployError("the DAGs are not fit to be shipped:\n" + "\n".join(new))
    return ours, theirs


def _changes(before: Parsed | None, after: Parsed, paths: list[str]) -> list[Change]:
    """Return the changes of the DAGs. Of one whose file could not be parsed before, nothing is known."""
    unknown = {
        dag_id
        for dag_id, document in after.documents.items()
        if before is None or document.get("relative_fileloc") in before.errors
    }
    known = {dag_id: document for dag_id, document in after.documents.items() if dag_id not in unknown}
    why = ("what is in force cannot be parsed, so that nothing is known of the change",)
    ours = before.documents if before else {}
    changes = [*shape.compare_dags(ours, known, paths), *(Change(each, "changed", why) for each in unknown)]
    return sorted(changes, key=lambda change: change.dag_id)


def checkout(repository: Repository, commit: str, folder: Path) -> None:
    """Put a commit's DAGs into a folder, with the platform's modules, plugins and rules around them."""
    folder.mkdir()
    try:
        repository.export(commit, folder, "dags")
    except RepositoryError as error:
        raise DeployError(f"{repository.name(commit)} has no folder dags: {error}") from error
    for name in LINKED:
        (folder / name).symlink_to(PROJECT / name)


@dataclass(frozen=True)
class Finding:
    """Holds one finding of the checker."""

    file: str
    line: int
    rule: str
    message: str
    dag_id: str | None

    @property
    def place(self) -> tuple[str, str, str]:
        """Return what stays the same when lines move."""
        return self.rule, self.file, self.dag_id or ""

    def __str__(self) -> str:
        return f"{self.file}:{self.line} {self.rule} {self.message}"


def check(folder: Path) -> list[Finding]:
    """Return what `answers integrity` finds in a checkout.

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
    names = [each.name for each in fields(Finding)]
    return [Finding(**{name: each[name] for name in names}) for each in json.loads(done.stdout)]


def _below_dags(paths: list[str]) -> list[str]:
    return [path.removeprefix("dags/") for path in paths if path.startswith("dags/")]
