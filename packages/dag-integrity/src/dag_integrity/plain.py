"""Tells which DAGs are so plain that Airflow certainly can serialise them, and always alike: doing it is half of a file's time.

It errs on the side of no: then the DAG is serialised. It asks Airflow for the fields by its public get_serialized_fields().
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from datetime import date, datetime, time, timedelta
from enum import Enum
from operator import attrgetter
from typing import Any

import attrs
import pendulum
from airflow.sdk import DAG, Asset, TaskGroup
from airflow.sdk.bases.operator import BaseOperator
from pendulum import FixedTimezone, Timezone

TIMETABLES = {
    "ContinuousTimetable", "CronDataIntervalTimetable", "CronTriggerTimetable", "DeltaDataIntervalTimetable",
    "DeltaTriggerTimetable", "NullTimetable", "OnceTimetable",
}  # fmt: skip
# Looked at below, made by Airflow itself, or only there as a flag.
OF_TASKS = {"downstream_task_ids", "inlets", "outlets", "params", "start_trigger_args", "task_type", "template_fields",
            "template_ext", "weight_rule"}  # fmt: skip
SIMPLE = {type(None), bool, int, float, timedelta}
OF_DAGS = {"deadline", "edge_info", "fileloc", "relative_fileloc", "task_group", "timetable", "timezone"}


@functools.cache
def _names() -> tuple[tuple[str, ...], frozenset[str], tuple[str, ...]]:
    fields = BaseOperator.get_serialized_fields()
    tasks = [name for name in fields - OF_TASKS if not name.startswith("has_")]
    return tuple(sorted(tasks)), frozenset(fields), tuple(sorted(DAG.get_serialized_fields() - OF_DAGS))


@functools.cache
def _harmless(cls: Any) -> bool:
    if cls in (type(None), bool, int, float, date, datetime, time, timedelta):
        return True
    if cls.__module__.startswith("pendulum.") and issubclass(cls, datetime):
        return True
    if cls.__module__.startswith("airflow."):  # trigger rules: of airflow.utils in 3.0, of airflow.task since
        return issubclass(cls, Enum) or (cls.__name__ == "PlainXComArg" and cls.__module__.startswith("airflow.sdk."))
    return False


def _literal(value: Any, depth: int = 0) -> bool:
    """Tell whether it is made of numbers, texts and times: of nothing whose text could hold an address in memory."""
    kind: Any = type(value)
    if kind is str:
        return " at 0x" not in value
    if _harmless(kind):
        return True
    if depth > 6:
        return False
    if kind in (list, tuple):
        return all(_literal(each, depth + 1) for each in value)
    if kind is dict:
        return all(type(key) is str and _literal(each, depth + 1) for key, each in value.items())
    return False


def plain(dag: Any) -> bool:
    """Tell whether serialising the DAG can neither fail nor differ from one process to another, given literals in the file."""
    try:
        return _plain(dag)
    except (AttributeError, TypeError):  # another Airflow, whose DAGs have other fields, or a DAG that it will refuse
        return False


def _plain(dag: Any) -> bool:
    timetable = type(dag.timetable)
    if type(dag) is not DAG or timetable.__name__ not in TIMETABLES or not timetable.__module__.startswith("airflow."):
        return False
    if dag.params or getattr(dag, "deadline", None) or not _plain_timetable(dag.timetable):
        return False
    *_, names = _names()
    for name in names:
        value = getattr(dag, name)
        if not _literal(sorted(value) if name == "tags" and all(type(each) is str for each in value) else value):
            return False
    groups = [dag.task_group, *getattr(dag.task_group, "get_task_group_dict", dict)().values()]
    return all(type(each) is TaskGroup for each in groups) and all(map(_plain_task, dag.task_dict.values()))


def _plain_timetable(timetable: Any) -> bool:
    names = [each.name for each in attrs.fields(type(timetable))] if attrs.has(type(timetable)) else []
    parts = {name: getattr(timetable, name) for name in names}
    zone = parts.pop("timezone", "UTC")
    return _literal(list(parts.values())) and (
        isinstance(zone, (Timezone, FixedTimezone)) or (type(zone) is str and _known_zone(zone))
    )


@functools.cache
def _known_zone(name: str) -> bool:
    try:
        return bool(pendulum.timezone(name))
    except ValueError:
        return False


def _plain_task(task: Any) -> bool:
    if not isinstance(task, BaseOperator):
        return False
    _, fields, _ = _names()
    if task.params or task.start_trigger_args or task.operator_extra_links:
        return False
    if not type(task.weight_rule).__module__.startswith("airflow.") and not isinstance(task.weight_rule, str):
        return False
    templated = task.template_fields
    if not fields.isdisjoint(templated):
        return False
    if not all(_asset(each) for each in (*task.inlets, *task.outlets)):
        return False
    return all(type(value) in SIMPLE or _literal(value) for value in _reader(tuple(templated))(task))


@functools.cache
def _reader(templated: tuple[str, ...]) -> Callable[[Any], tuple[Any, ...]]:
    """Read all that is serialised of an operator in one call."""
    names, _, _ = _names()
    return attrgetter(*names, *templated)


def _asset(asset: Any) -> bool:
    return type(asset) is Asset and not asset.watchers and _literal([asset.name, asset.uri, asset.group, asset.extra])
