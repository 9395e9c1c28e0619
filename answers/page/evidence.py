"""Says what the last runs of a question left behind, in the metadata database and in documents below the data root.

The database is asked three queries, however many runs there are. The warehouse is not asked: the page must answer while it is
down. What is said of tables comes from what the tasks returned.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from answers.proof.catalog import Evidence, Question
from include.flights.days import local_day

if TYPE_CHECKING:
    from sqlalchemy import Row
    from sqlalchemy.orm import Session

RUNS = 10
SENTENCES = 3  # a claim's, of the newest days
LONGEST = 200  # characters of a value
LARGEST = 64 * 1024  # bytes of a document


def dags_of(question: Question) -> list[str]:
    """List the ids of the DAGs whose runs are evidence of a question: those that its claims name, else its own."""
    own = _own_dag(question)
    named = [each.dag or own for claim in question.claims for each in claim.evidence if not each.results] or [own]
    return [dag for dag in dict.fromkeys(named) if dag]


def _own_dag(question: Question) -> str | None:
    return question.dag.rpartition("/")[2].removesuffix(".py") if question.dag else None


def evidence(question: Question, dags: list[str], session: Session, data_root: Path | None = None) -> dict[str, Any]:
    """Return the last runs of these DAGs, and a sentence for each claim and day that they are evidence of.

    :param dags: those of `dags_of` that the reader may see.
    :param data_root: the folder that all runs share; no document is read when None.
    """
    runs = _runs(dags, session)
    pairs = [(run.dag_id, run.run_id) for run in runs]
    tasks = _tasks(pairs, session) if pairs else {}
    returned = _returned(question, pairs, session) if pairs else {}
    shown = [_shown(run, tasks.get((run.dag_id, run.run_id), [])) for run in runs]

    def told(each: Evidence) -> tuple[str, list[str]]:
        if each.task:
            return f"returned by {each.task}", _sentences(each, each.dag, shown, returned)
        if each.file and data_root and (each.dag or _own_dag(question)) in dags:
            return f"from {each.file}, below the data root", _of_files(each, data_root)
        return "", []

    known = [(claim.id, *told(each)) for claim in question.claims for each in claim.evidence]
    said = [{"claim": id_, "text": text, "source": source} for id_, source, texts in known for text in texts]
    return {"question": question.id, "dags": dags, "runs": shown, "said": said}


def _runs(dags: list[str], session: Session) -> list[Row[Any]]:
    from airflow.models import DagRun
    from sqlalchemy import select

    columns = (DagRun.dag_id, DagRun.run_id, DagRun.run_type, DagRun.state, DagRun.run_after)
    query = select(*columns, DagRun.data_interval_start, DagRun.start_date, DagRun.end_date)
    newest = query.where(DagRun.dag_id.in_(dags)).order_by(DagRun.run_after.desc(), DagRun.id.desc()).limit(RUNS)
    return list(session.execute(newest))


def _tasks(pairs: list[tuple[str, str]], session: Session) -> dict[tuple[str, str], list[dict[str, Any]]]:
    """Return the tasks of the runs. The database counts the instances of a mapped task by state, however many there are."""
    from airflow.models import TaskInstance
    from sqlalchemy import func, select, tuple_

    kind = (TaskInstance.dag_id, TaskInstance.run_id, TaskInstance.task_id, TaskInstance.state)
    told = (
        func.count(),
        func.max(TaskInstance.try_number),
        func.min(TaskInstance.start_date),
        func.max(TaskInstance.duration),
    )
    query = select(*kind, *told).where(tuple_(TaskInstance.dag_id, TaskInstance.run_id).in_(pairs)).group_by(*kind)
    found: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for dag_id, run_id, task, state, count, tries, began, seconds in session.execute(query):
        about = {"task": task, "state": str(state or "none"), "count": count, "tries": tries or 0}
        about |= {"began": began.isoformat() if began else None, "seconds": seconds and round(seconds, 1)}
        found.setdefault((dag_id, run_id), []).append(about)
    for tasks in found.values():
        tasks.sort(key=lambda each: (each["began"] or "9", each["task"]))
    return found


def _returned(question: Question, pairs: list[tuple[str, str]], session: Session) -> dict[tuple[str, str, str], Any]:
    """Return what the tasks that the catalogue names returned, by DAG, run and task."""
    from airflow.models.xcom import XComModel
    from sqlalchemy import select, tuple_

    tasks = {each.task for claim in question.claims for each in claim.evidence if each.task}
    if not tasks:
        return {}
    query = select(XComModel.dag_id, XComModel.run_id, XComModel.task_id, XComModel.value).where(
        tuple_(XComModel.dag_id, XComModel.run_id).in_(pairs),
        XComModel.task_id.in_(tasks),
        XComModel.key == "return_value",
        XComModel.map_index == -1,
    )
    return {(dag_id, run_id, task): _value(value) for dag_id, run_id, task, value in session.execute(query)}


def _value(stored: Any) -> Any:
    """Return the value of an XCom. Airflow keeps it as JSON, in a text or in a column of that type."""
    try:
        return json.loads(stored) if isinstance(stored, str) else stored
    except ValueError:
        return stored


def _shown(run: Row[Any], tasks: list[dict[str, Any]]) -> dict[str, Any]:
    began, ended = run.start_date, run.end_date
    return {
        "dag": run.dag_id,
        "run": run.run_id,
        "type": str(run.run_type),
        "state": str(run.state),
        "day": local_day(run.data_interval_start or run.run_after),
        "began": began.isoformat() if began else None,
        "seconds": round((ended - began).total_seconds(), 1) if began and ended else None,
        "tasks": tasks,
    }


def _sentences(
    each: Evidence, dag: str | None, runs: list[dict[str, Any]], returned: dict[tuple[str, str, str], Any]
) -> list[str]:
    """Return what the catalogue says of the newest days, with their numbers in it.

    :param dag: whose runs; of all that are shown when None, which are the question's own.
    """
    by_day: dict[str, list[tuple[int, Any]]] = {}
    for run in runs:
        value = returned.get((run["dag"], run["run"], each.task or ""))
        if dag in (None, run["dag"]) and value is not None:
            tries = max((task["tries"] for task in run["tasks"] if task["task"] == each.task), default=1)
            by_day.setdefault(run["day"], []).append((tries, value))
    said = []
    for day, values in by_day.items():
        n = sum(tries for tries, _ in values)
        if n >= each.at_least:
            said.append(filled(each, [value for _, value in values], {"n": n, "day": day}))
    return said[:SENTENCES]


def _of_files(each: Evidence, data_root: Path) -> list[str]:
    """Return what the catalogue says of the newest document that fits its pattern.

    A document that is too large, no JSON, or lacks a value says nothing. Nor does one that a link leads to from outside of the
    folder: tasks may write there, and the API server may read more than they.
    """
    try:
        newest, *others = sorted(data_root.glob(each.file or ""), key=os.path.getmtime, reverse=True)
        if not newest.resolve().is_relative_to(data_root.resolve()) or newest.stat().st_size > LARGEST:
            return []
        document = json.loads(newest.read_text(encoding="utf-8"))
    except (OSError, ValueError):  # none is there, or it has gone meanwhile
        return []
    n = 1 + len(others)
    if n < each.at_least or not has_all(each, document):
        return []
    return [filled(each, [document], {"n": n})]


def has_all(each: Evidence, value: Any) -> bool:
    """Tell whether a value has everything that is shown of it."""
    return all(_inside(value, name) is not None for name in each.show)


def filled(each: Evidence, values: list[Any], names: dict[str, Any]) -> str:
    """Return the sentence of the catalogue with its names replaced.

    :param values: that have what is shown; one for each run.
    :param names: further ones.
    """
    names = {name: _told(_inside(value, name) for value in values) for name in each.show} | names
    # At one go, and not by str.format: a value that has braces in it stays as it is, and no attribute is followed.
    return re.sub(r"\{([^}]*)\}", lambda found: str(names[found[1]]), each.says)


def _told(values: Iterable[Any]) -> str:
    """Join the values of several runs: one where all are the same."""
    return " and ".join(dict.fromkeys("nothing" if value is None else str(value)[:LONGEST] for value in values))


def _inside(value: Any, name: str) -> Any:
    """Return what a dotted name leads to: `published.flights`. None where there is no such value."""
    for key in name.split("."):
        if not isinstance(value, dict):
            return None
        value = value.get(key)
    return value
