"""Describes a parsed DAG as plain data: what other DAGs may refer to, and what refers to others."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from dag_integrity import schedules
from dag_integrity.effective import instances, kinds, sure, value

ENDED = {"success", "failed", "skipped", "upstream_failed", "removed"}
Entry = tuple[str, int, str]  # rule, line, message
LineOf = Callable[[Any], int]
FAILURE_RULES = {"one_failed", "all_failed", "all_done_setup_success"}


def facts(dag: Any, line: int, line_of: LineOf) -> dict[str, Any]:
    """Return what other DAGs may refer to, and what refers to others, as plain data for across.py."""
    tasks, sensors, triggers, outlets = {}, [], [], []
    for task in dag.tasks:
        names, id_ = kinds(task), task.task_id
        entry: dict[str, Any] = {"up": sorted(task.upstream_task_ids), "rule": str(getattr(task, "trigger_rule", ""))}
        if conditional(task):
            entry["maybe"] = True
        if "BaseSensorOperator" in names:
            entry["sensor"] = True
        tasks[id_] = entry
        if "ExternalTaskSensor" in names:
            sensors += [_sensor(id_, line_of(task), each) for each in instances(task)]
        if "TriggerDagRunOperator" in names:
            triggers += [_trigger(id_, line_of(task), each) for each in instances(task)]
        for outlet in value(task, "outlets") or ():
            if name := getattr(outlet, "name", None):
                alias = type(outlet).__name__ == "AssetAlias"
                outlets.append({"task": id_, "name": name, "uri": getattr(outlet, "uri", None), "alias": alias})
    return {
        "id": dag.dag_id,
        "line": line,
        "start": _start(dag),
        "dates": schedules.dates(dag),
        "tasks": tasks,
        "groups": sorted(each for each in getattr(dag.task_group, "get_task_group_dict", dict)() if each),
        "sensors": sensors,
        "triggers": triggers,
        "outlets": outlets,
    }


def plain(text: Any) -> str | None:
    """Return a literal id: None for what a template or another task makes at run time."""
    return text if isinstance(text, str) and "{{" not in text and "{%" not in text else None


def conditional(task: Any) -> bool:
    """Tell whether the task may be left out of a run that succeeds."""
    return bool(
        getattr(task, "inherits_from_skipmixin", False)
        or not sure(task)
        or _in_mapped_group(task)
        or str(getattr(task, "trigger_rule", "")) in FAILURE_RULES
    )


def _in_mapped_group(task: Any) -> bool:
    group = getattr(task, "task_group", None)
    while group is not None:
        if type(group).__name__ == "MappedTaskGroup":
            return True
        group = getattr(group, "parent_group", None) or getattr(group, "task_group", None)
    return False


def _sensor(task_id: str, line: int, task: Any) -> dict[str, Any]:
    ids = task.external_task_ids
    listed = [plain(each) for each in ids] if isinstance(ids, list | tuple | set) else []
    delta, group = task.execution_delta, task.external_task_group_id
    known = delta is None or isinstance(delta, timedelta)
    return {
        "task": task_id,
        "line": line,
        "dag": plain(task.external_dag_id),
        "tasks": sorted(each for each in listed if each),
        "whole": not ids and group is None,
        "group": plain(group),
        # Seconds that the awaited run lies before; None: only known at run time.
        "delta": (delta.total_seconds() if delta else 0.0) if known and task.execution_date_fn is None else None,
        "waits_for_end": {str(getattr(each, "value", each)) for each in task.allowed_states} <= ENDED,
    }


def _trigger(task_id: str, line: int, task: Any) -> dict[str, Any]:
    date = getattr(task, "logical_date", None)
    given = date if isinstance(date, str | datetime) else None
    return {
        "task": task_id,
        "line": line,
        "dag": plain(task.trigger_dag_id),
        "wait": bool(task.wait_for_completion),
        "same_date": given is None or str(given).replace(" ", "") in ("{{logical_date}}", "{{ts}}", "{{ds}}"),
        "once": given is not None or getattr(task, "trigger_run_id", None) is not None,
        "dated": given is not None,
    }


def _start(dag: Any) -> Any:
    """Return what starts a run: "none", "time", or a condition on assets: ["any"|"all", ...] and ["asset", name, uri]."""
    timetable = dag.timetable
    name = type(timetable).__name__
    if name == "NullTimetable":
        return "none"
    condition = getattr(timetable, "asset_condition", None)
    if not condition:  # Airflow 3.0 and 3.1 have an empty one
        return "time"
    if getattr(timetable, "timetable", None) is not None:
        return ["any", "time", _condition(condition)]
    return _condition(condition)


def _condition(asset: Any) -> Any:
    name = type(asset).__name__
    if hasattr(asset, "objects"):
        return ["all" if name == "AssetAll" else "any", *(_condition(each) for each in asset.objects)]
    if getattr(asset, "watchers", None) or name == "AssetAlias":
        return "time"  # events from outside start it as well; what an alias stands for shows at run time
    return ["asset", getattr(asset, "name", None), getattr(asset, "uri", None)]
