"""What a parsed DAG says about itself: findings of one DAG, and the facts that are compared across DAGs."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

WEEK = timedelta(days=7).total_seconds()
IGNORED_ARGUMENTS = ("sla", "task_concurrency")
FAILURE_RULES = {"one_failed", "all_failed", "all_done_setup_success"}
EMPTY = {"EmptyOperator", "ExternalTaskMarker"}
VARIABLE = re.compile(r"\bvar\.(?:value|json)\.(?:get\(\s*['\"]([^'\"]+)|([A-Za-z_]\w*))")
CONNECTION = re.compile(r"\bconn\.(?:get\(\s*['\"]([^'\"]+)|([A-Za-z_]\w*))")

Entry = tuple[str, int, str]  # rule, line, message


def kinds(task: Any) -> set[str]:
    """The names of a task's operator class and its bases, mapped tasks included."""
    operator = getattr(task, "operator_class", None) or type(task)
    return {base.__name__ for base in operator.__mro__} if isinstance(operator, type) else {str(operator)}


def value(task: Any, name: str, default: Any = None) -> Any:
    """An argument of a task; of a mapped one, what was given to partial()."""
    if (partial := getattr(task, "partial_kwargs", None)) is not None:
        return partial.get(name, default)
    return getattr(task, name, default)


def conditional(task: Any) -> bool:
    """Whether the task may be left out of a run that succeeds."""
    return bool(
        getattr(task, "inherits_from_skipmixin", False)
        or getattr(task, "partial_kwargs", None) is not None
        or str(getattr(task, "trigger_rule", "")) in FAILURE_RULES
    )


def plain(text: Any) -> str | None:
    """A literal id: None for what a template or another task makes at run time."""
    return text if isinstance(text, str) and "{{" not in text and "{%" not in text else None


def facts(dag: Any, line: int, line_of: Callable[[Any], int]) -> dict[str, Any]:
    """What other DAGs may refer to, and what refers to others, as plain data for across.py."""
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
            ids = value(task, "external_task_ids") or [value(task, "external_task_id")]
            ids = [plain(each) for each in ids] if isinstance(ids, (list, tuple, set)) else [None]
            group = value(task, "external_task_group_id")
            sensors.append({
                "task": id_,
                "line": line_of(task),
                "dag": plain(value(task, "external_dag_id")),
                "tasks": sorted(each for each in ids if each),
                "whole": group is None and not any(value(task, n) for n in ("external_task_ids", "external_task_id")),
                "group": plain(group),
                "same_date": not value(task, "execution_delta") and value(task, "execution_date_fn") is None,
            })  # fmt: skip
        if "TriggerDagRunOperator" in names:
            date = value(task, "logical_date")
            given = date if isinstance(date, (str, datetime)) else None
            triggers.append({
                "task": id_,
                "line": line_of(task),
                "dag": plain(value(task, "trigger_dag_id")),
                "wait": bool(value(task, "wait_for_completion")),
                "same_date": given is None or str(given).replace(" ", "") in ("{{logical_date}}", "{{ts}}", "{{ds}}"),
                "once": given is not None or value(task, "trigger_run_id") is not None,
            })  # fmt: skip
        for outlet in value(task, "outlets") or ():
            if name := getattr(outlet, "name", None):
                alias = type(outlet).__name__ == "AssetAlias"
                outlets.append({"task": id_, "name": name, "uri": getattr(outlet, "uri", None), "alias": alias})
    return {
        "id": dag.dag_id,
        "line": line,
        "start": _start(dag),
        "tasks": tasks,
        "groups": sorted(each for each in getattr(dag.task_group, "get_task_group_dict", dict)() if each),
        "sensors": sensors,
        "triggers": triggers,
        "outlets": outlets,
    }


def _start(dag: Any) -> Any:
    """What starts a run: "none", "time", or a condition on assets: ["any"|"all", ...] and ["asset", name, uri]."""
    timetable = dag.timetable
    name = type(timetable).__name__
    if name == "NullTimetable":
        return "none"
    condition = getattr(timetable, "asset_condition", None)
    if condition is None:
        return "time"
    if getattr(timetable, "timetable", None) is not None:
        return ["any", "time", _condition(condition)]
    return _condition(condition)


def _condition(asset: Any) -> Any:
    name = type(asset).__name__
    if hasattr(asset, "objects"):
        return ["all" if name == "AssetAll" else "any", *(_condition(each) for each in asset.objects)]
    if getattr(asset, "watchers", None):
        return "time"  # events from outside start it as well
    return ["asset", getattr(asset, "name", None), getattr(asset, "uri", None)]


def inspect(
    dag: Any, line: int, line_of: Callable[[Any], int], module: str, options: dict[str, Any]
) -> Iterator[Entry]:
    """The findings of one DAG.

    :param line: where the DAG is defined
    :param line_of: where a task is defined
    :param module: the name that the DAG file has as a module
    :param options: the configuration, as config.Config.for_workers gives it
    """
    tasks = [task for task in dag.tasks if not kinds(task) & EMPTY]
    default_owner = options["default_owner"]
    ownerless = [task.task_id for task in dag.tasks if (task.owner or default_owner) == default_owner]
    if ownerless and len(ownerless) == len(dag.tasks):
        yield "AA302", line, f"no task has an owner (the default is {default_owner!r})"
    elif ownerless:
        yield "AA302", line, f"without an owner: {_some(ownerless)}"
    unretried = [task.task_id for task in tasks if not task.retries]
    if unretried:
        yield "AA303", line, f"never tried again: {_some(unretried) if len(unretried) < len(tasks) else 'every task'}"
    if not dag.tags:
        yield "AA304", line, "the DAG has no tags"
    if not (dag.description or dag.doc_md):
        yield "AA305", line, "the DAG has neither description nor doc_md"
    for name in IGNORED_ARGUMENTS:
        if name in (dag.default_args or {}):
            yield "AA602", line, f"{name} in default_args has no effect"
    for task in dag.tasks:
        yield from _task(task, line_of(task), options)
    yield from _deadlines(dag, line, module)
    yield from _schedule(dag, line, line_of, options)


def _some(names: list[str], most: int = 5) -> str:
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def _task(task: Any, line: int, options: dict[str, Any]) -> Iterator[Entry]:
    names = kinds(task)
    if "BaseSensorOperator" in names and "ExternalTaskMarker" not in names:
        timeout = value(task, "timeout")
        seconds = timeout.total_seconds() if isinstance(timeout, timedelta) else timeout
        bounded = value(task, "execution_timeout") and value(task, "mode", "poke") == "poke"
        if (seconds is None or seconds >= WEEK) and not bounded:
            yield "AA301", line, f"the sensor {task.task_id} waits up to seven days"
    if "ExternalTaskSensor" in names and value(task, "deferrable"):
        ids = value(task, "external_task_ids")
        if isinstance(ids, (list, tuple, set)) and len(ids) > 1:
            yield "AA206", line, f"the sensor {task.task_id} is deferrable and waits for {len(ids)} tasks"
    if options["known_pools"] is not None and (pool := value(task, "pool")) not in options["known_pools"]:
        yield "AA306", line, f"the pool {pool!r} of {task.task_id} is not known"
    if options["known_connections"] is not None:
        attributes = getattr(task, "partial_kwargs", None) or task.__dict__
        for name, conn_id in sorted(attributes.items()):
            if not name.endswith("conn_id") or name.startswith("_") or not plain(conn_id):
                continue
            if conn_id not in options["known_connections"]:
                yield "AA307", line, f"the connection {conn_id!r} ({name} of {task.task_id}) is not known"
    if options["known_connections"] is not None or options["known_variables"] is not None:
        text = "\n".join(_strings([value(task, name) for name in getattr(task, "template_fields", ())]))
        for kind, pattern, rule in (("variables", VARIABLE, "AA308"), ("connections", CONNECTION, "AA307")):
            known = options[f"known_{kind}"]
            for key in sorted({a or b for a, b in pattern.findall(text)} - {"get"}):
                if known is not None and key not in known:
                    yield rule, line, f"the {kind[:-1]} {key!r} (in a template of {task.task_id}) is not known"


def _strings(item: Any, depth: int = 0) -> Iterator[str]:
    if isinstance(item, str):
        yield item
    elif depth < 6 and isinstance(item, dict):
        for each in item.values():
            yield from _strings(each, depth + 1)
    elif depth < 6 and isinstance(item, (list, tuple, set)):
        for each in item:
            yield from _strings(each, depth + 1)


def _deadlines(dag: Any, line: int, module: str) -> Iterator[Entry]:
    deadlines = getattr(dag, "deadline", None) or []
    for deadline in deadlines if isinstance(deadlines, (list, tuple)) else [deadlines]:
        path = str(getattr(deadline.callback, "path", ""))
        if path.startswith((f"{module}.", "__main__.", "unusual_prefix_")):
            name = path.partition(f"{module}.")[2] or path
            yield "AA309", line, f"the callback {name} of a deadline is defined in this file"
        elif "<" in path:
            yield "AA309", line, f"the callback {path.rpartition('.')[2]} of a deadline is no function of a module"


def _schedule(dag: Any, line: int, line_of: Callable[[Any], int], options: dict[str, Any]) -> Iterator[Entry]:
    timetable, name = dag.timetable, type(dag.timetable).__name__
    first, last = dag.start_date, dag.end_date
    if name in ("CronTriggerTimetable", "DeltaTriggerTimetable") and not getattr(timetable, "interval", None):
        users = [task for task in dag.tasks if _uses_interval(task)]
        for task in users:
            yield (
                "AA501",
                line_of(task),
                f"{task.task_id} uses data_interval_start, which equals data_interval_end here",
            )
    if name != "NullTimetable" and first and last and last < first:
        yield "AA503", line, f"end_date {last:%Y-%m-%d} lies before start_date {first:%Y-%m-%d}"
    if not dag.catchup:
        return
    starts = [task.start_date for task in dag.tasks if getattr(task, "start_date", None)]
    if name in ("CronDataIntervalTimetable", "DeltaDataIntervalTimetable") and not first and not starts:
        yield "AA503", line, "catchup=True without a start_date"
    if first and (period := _period(timetable)):
        until = min(last or datetime.now(UTC), datetime.now(UTC))
        count = (until - first).total_seconds() / period.total_seconds()
        if count > options["max_catchup_runs"]:
            yield "AA502", line, f"catchup=True since {first:%Y-%m-%d} creates about {count:,.0f} runs"


def _uses_interval(task: Any) -> bool:
    fields = [value(task, name) for name in getattr(task, "template_fields", ())]
    if any("data_interval_start" in text for text in _strings(fields)):
        return True
    code = getattr(getattr(task, "python_callable", None), "__code__", None)
    return code is not None and "data_interval_start" in (*code.co_varnames[: code.co_argcount], *code.co_consts)


def _period(timetable: Any) -> timedelta | None:
    delta = getattr(timetable, "delta", None)
    if isinstance(delta, timedelta):
        return delta
    if not isinstance(expression := getattr(timetable, "expression", None), str):
        return None
    from croniter import croniter

    try:
        ticks = croniter(expression, datetime(2026, 1, 1))
        one = ticks.get_next(datetime)
        ten = [ticks.get_next(datetime) for _ in range(10)][-1]
    except (ValueError, KeyError):
        return None
    return (ten - one) / 10
