"""Compares a commit's DAGs as the scheduler sees them, and finds the differences that a run or a schedule cannot survive.

As a program, `python -m answers.deploy.shape DAGS_FOLDER` prints {"dags": {dag id: document}, "errors": {file: text}}; it
runs in a process of its own because parsing DAG files is running them. Documents are Airflow's own serialisation.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from answers.printed import last_document
from answers.stack import dotenv
from include.waiting import patience

PROJECT = Path(__file__).resolve().parents[2]
TIMEOUT = 300  # seconds
NO_DEFAULT = {"__type": "arg_not_set", "__var": None}  # how Airflow serialises a Param that was given none


class ShapeError(RuntimeError):
    """A commit's DAGs cannot be parsed."""


@dataclass(frozen=True)
class Change:
    """Names what a deploy changes about a DAG. `why`: what makes it incompatible, empty if nothing does.

    `must_end`: its runs under way cannot go on once it is shipped, whatever commit they started on.
    """

    dag_id: str
    kind: str  # added, removed, changed, or code: its document is the same, its file is not
    why: tuple[str, ...] = ()
    must_end: bool = field(default=False)


def compare_dags(old: dict[str, Any], new: dict[str, Any], files: list[str] = ()) -> list[Change]:  # type: ignore[assignment]
    """Return the DAGs that differ between two commits.

    :param old: documents by DAG id, as `read` returns them; `new` likewise
    :param files: the paths below the DAGs folder that differ
    """
    changes = []
    for dag_id in sorted({*old, *new}):
        before, after = old.get(dag_id), new.get(dag_id)
        if before is None:
            changes.append(Change(dag_id, "added"))
        elif after is None:
            changes.append(Change(dag_id, "removed", ("the DAG is gone",), must_end=True))
        elif before != after:
            why = tuple(_incompatible(before, after))
            moved = before["relative_fileloc"] != after["relative_fileloc"]
            changes.append(Change(dag_id, "changed", why, must_end=moved))
        elif after["relative_fileloc"] in files:
            changes.append(Change(dag_id, "code"))
    return changes


def _incompatible(before: dict[str, Any], after: dict[str, Any]) -> list[str]:
    """Say why two versions of a DAG cannot be in force one beside the other."""
    found = []
    if before["relative_fileloc"] != after["relative_fileloc"]:
        # Airflow looks for a run's file in the commit of the run, but by the name that it has now.
        found.append(f"its file moves from {before['relative_fileloc']} to {after['relative_fileloc']}")
    for key, what in (
        ("timetable", "schedule"),
        ("start_date", "start date"),
        ("end_date", "end date"),
        ("catchup", "catchup"),
    ):
        if before.get(key) != after.get(key):
            found.append(f"its {what} changes")
    ours, theirs = _tasks(before), _tasks(after)
    found += [f"the task {task_id} is gone" for task_id in ours if task_id not in theirs]
    found += [
        f"the task {task_id} is another kind: {ours[task_id]} before, {theirs[task_id]} now"
        for task_id in ours
        if task_id in theirs and ours[task_id] != theirs[task_id]
    ]
    old_params, new_params = dict(before.get("params") or ()), dict(after.get("params") or ())
    for name in sorted({*old_params, *new_params}):
        if name not in new_params:
            found.append(f"the param {name} is gone")
        elif name not in old_params:
            if new_params[name].get("default") in (None, NO_DEFAULT):
                found.append(f"the param {name} is new and has no default")
        elif old_params[name].get("schema") != new_params[name].get("schema"):
            found.append(f"the param {name} accepts other values")
    if (were := _edges(before)) != (are := _edges(after)):
        found += [f"no longer {each}" for each in sorted(were - are)] + [f"now {each}" for each in sorted(are - were)]
    return found


def _tasks(document: dict[str, Any]) -> dict[str, str]:
    """Return the tasks of a DAG: id -> its operator, and whether it is mapped."""
    tasks = [each["__var"] for each in document["tasks"]]
    return {
        task[
            "task_id"
        ]: f"{'mapped ' if task.get('_is_mapped') else ''}{task.get('_operator_name') or task['task_type']}"
        for task in tasks
    }


def _edges(document: dict[str, Any]) -> set[str]:
    """Return what ties the DAG to others: assets, triggers, sensors."""
    edges = {
        f"{each['source']} -> {each['target']} by {each.get('label') or each.get('dependency_id') or 'itself'}"
        for each in document.get("dag_dependencies") or ()
    }
    for task in (each["__var"] for each in document["tasks"]):
        for side in ("inlets", "outlets"):
            for asset in task.get(side) or task.get("partial_kwargs", {}).get(side) or ():
                edges.add(f"{side[:-1]} of {task['task_id']}: {json.dumps(asset, sort_keys=True)[:200]}")
    return edges


@dataclass(frozen=True)
class Parsed:
    """Holds a folder's DAGs: documents by DAG id, and for each file that cannot be parsed the last line of its error."""

    documents: dict[str, Any] = field(default_factory=dict)
    errors: dict[str, str] = field(default_factory=dict)


def read_dags(dags: Path) -> Parsed:
    """Parse the DAG files of a folder with the platform's plugins and modules.

    :raises ShapeError: parsing as a whole fails or does not end
    """
    from dag_integrity.pool import parser_environment

    with tempfile.TemporaryDirectory(prefix="answers-shape-") as home:
        extra = dotenv.read(PROJECT / "config" / "airflow.env")
        own = parser_environment(Path(home), str(dags), str(PROJECT / "plugins"), extra)
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("AIRFLOW")}
        path = {"PYTHONPATH": os.pathsep.join((str(PROJECT), str(PROJECT / "config")))}
        seconds = patience(TIMEOUT)
        try:
            done = subprocess.run(
                [sys.executable, "-m", "answers.deploy.shape", str(dags)],
                env=inherited | own | path,
                cwd=home,
                capture_output=True,
                text=True,
                timeout=seconds,
            )
        except subprocess.TimeoutExpired:
            raise ShapeError(f"the DAGs are still being parsed after {seconds:.0f} s") from None
    if done.returncode:
        raise ShapeError(f"the DAGs cannot be parsed: {done.stderr.strip()[-2000:]}")
    answer: dict[str, Any] = last_document(done.stdout)
    errors = {file: text.strip().splitlines()[-1] for file, text in answer["errors"].items()}
    return Parsed(answer["dags"], errors)


def parse_folder(folder: Path) -> dict[str, Any]:
    """Parse the DAG files of a folder in this process: {"dags": {dag id: document}, "errors": {file: text}}."""
    from airflow.dag_processing.dagbag import BundleDagBag
    from airflow.serialization.serialized_objects import DagSerialization

    bag = BundleDagBag(dag_folder=folder, bundle_path=folder, bundle_name="dags")
    documents = {}
    for dag_id, dag in bag.dags.items():
        dag.relative_fileloc = str(Path(dag.fileloc).relative_to(folder))
        text = json.dumps(DagSerialization.to_dict(dag)["dag"], sort_keys=True, default=str)
        # Where this copy lies is no difference between two commits.
        documents[dag_id] = json.loads(text.replace(str(folder.parent), ""))
    return {"dags": documents, "errors": dict(bag.import_errors)}


def main() -> None:
    """Print the documents of the folder that the command line names."""
    print(json.dumps(parse_folder(Path(sys.argv[1]))))


if __name__ == "__main__":
    main()
