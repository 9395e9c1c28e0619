"""Judges what DAGs refer to: DAGs and tasks that are not there, dates that never come, DAGs that nobody sees."""

from __future__ import annotations

from collections.abc import Iterator
from fnmatch import fnmatch
from typing import Any

from dag_integrity.findings import Finding
from dag_integrity.model import Dag, misses


def lost(dags: dict[str, Dag], made: list[tuple[str, dict[str, Any]]]) -> Iterator[Finding]:
    """Find DAGs that no file shows to Airflow, also not another one that imports them."""
    called = {(file, line) for _, about in made for file, line in about.get("called", ())}
    for file, about in made:
        for line, id_ in about.get("lost", ()):
            if id_ not in dags:
                text = f"the DAG {id_!r} is made here and dropped: no name of the module holds it in the end"
                if about.get("program"):
                    text = f"{id_} makes a DAG only when the file is run as a program, which Airflow never does"
                yield Finding(file, line, "AA107", text)
        for line, name in about.get("functions", ()):
            if (file, line) not in called:
                yield Finding(file, line, "AA107", f"the @dag function {name} is never called: there is no such DAG")


def unknown(dags: dict[str, Dag], known: list[str], complete: bool) -> Iterator[Finding]:
    """Find references to DAGs and tasks that are not there."""
    for dag in dags.values():
        for kind, references in (("sensor", dag.sensors), ("trigger", dag.triggers)):
            for ref in references:
                if ref["dag"] in dags:
                    yield from _unknown_tasks(dag, ref, dags[ref["dag"]])
                elif ref["dag"] and complete and not any(fnmatch(ref["dag"], pattern) for pattern in known):
                    text = f"the {kind} {ref['task']} refers to the DAG {ref['dag']!r}, which is not there"
                    yield dag.finding("AA204", ref["line"], text)


def _unknown_tasks(dag: Dag, ref: dict[str, Any], other: Dag) -> Iterator[Finding]:
    for task in ref.get("tasks", ()):
        if task not in other.tasks:
            text = f"the sensor {ref['task']} waits for {other.id}.{task}: the DAG has no such task"
            yield dag.finding("AA205", ref["line"], text)
    if (group := ref.get("group")) and group not in other.groups:
        text = f"the sensor {ref['task']} waits for the group {group!r}, which {other.id} does not have"
        yield dag.finding("AA205", ref["line"], text)


def never_met(dags: dict[str, Dag]) -> Iterator[Finding]:
    """Find sensors that look for a date at which the other DAG never has a run."""
    # A trigger that gives no date starts a run at the moment of the trigger, which no schedule ever has.
    dated = [ref["dag"] for dag in dags.values() for ref in dag.triggers if ref["dated"]]
    triggered, unknown = set(dated), None in dated
    for dag in dags.values():
        for ref in dag.sensors:
            other = dags.get(ref["dag"] or "")
            if other is None or {other.id, dag.id} & triggered or unknown or not misses(dag, ref, other):
                continue
            if not dag.dates:
                why = "a run that an asset started looks for the moment of its start, at which the other has no run"
            elif not other.dates:
                why = "assets start it, so that its runs have no logical date"
            else:
                late = f"{ref['delta'] / 60:g} minutes before its own" if ref["delta"] else "of its own"
                why = f"it looks for the date {late}, and the two schedules never meet there"
            yield dag.finding("AA209", ref["line"], f"the sensor {ref['task']} waits in vain for {other.id}: {why}")
