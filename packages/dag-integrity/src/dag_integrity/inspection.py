"""Tells what a parsed DAG says about itself: findings of one DAG, and the facts that are compared across DAGs."""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

from dag_integrity import schedules, template_rules
from dag_integrity.cycles import find_cycle
from dag_integrity.effective import arguments, fields, instances, kinds, value
from dag_integrity.facts import Entry, LineOf, plain
from dag_integrity.template_rules import is_known
from dag_integrity.templates import strings

WEEK = timedelta(days=7).total_seconds()
IGNORED_ARGUMENTS = ("sla", "task_concurrency")
EMPTY = {"EmptyOperator", "ExternalTaskMarker"}
# They wait for the clock, which always comes.
CLOCKS = {"TimeSensor", "TimeDeltaSensor", "DateTimeSensor", "DayOfWeekSensor", "WaitSensor"}
# Connections that may be missing: the hook goes on without (argument -> ids; None: any id). Read in the providers' hooks.
FALLS_BACK: dict[str, set[str] | None] = {
    "aws_conn_id": None,  # boto3's own credentials
    "emr_conn_id": None,
    "kubernetes_conn_id": {"kubernetes_default"},  # the cluster that it runs in
    "spark_conn_id": {"spark_default"},  # spark-submit's own defaults
    "conn_id": {"spark_default", "kubernetes_default", "aws_default"},
}


def inspect(dag: Any, line: int, line_of: LineOf, module: str, options: dict[str, Any]) -> Iterator[Entry]:
    """Return the findings of one DAG.

    :param line: where the DAG is defined
    :param line_of: where a task is defined
    :param module: the name that the DAG file has as a module
    :param options: the configuration, as config.Config.for_workers gives it
    """
    yield from _care(dag, line, options)
    for name in IGNORED_ARGUMENTS:
        if name in (dag.default_args or {}):
            yield "AA602", line, f"{name} in default_args has no effect"
    for task in dag.tasks:
        yield from _task(dag, task, line_of(task), options)
    yield from template_rules.templates(dag, line_of, options)
    yield from template_rules.context(dag, line_of, module)
    if crossing := _crossing_groups(dag):
        yield "AA208", line, f"{' -> '.join(crossing)}: the edges between these groups and tasks go round"
    yield from _searchpath(dag, line)
    yield from _deadlines(dag, line, module)
    yield from _schedule(dag, line, line_of, options)


def _care(dag: Any, line: int, options: dict[str, Any]) -> Iterator[Entry]:
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


def _some(names: list[str], most: int = 5) -> str:
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def _task(dag: Any, task: Any, line: int, options: dict[str, Any]) -> Iterator[Entry]:
    names = kinds(task)
    if "BaseSensorOperator" in names and not names & CLOCKS and not _run_is_bounded(dag):
        longest = max((_patience(each) for each in instances(task)), default=0.0)
        if longest >= WEEK:
            yield "AA301", line, f"the sensor {task.task_id} waits up to {longest / 86400:.0f} days"
    if "ExternalTaskSensor" in names:
        for each in instances(task):
            ids = each.external_task_ids
            if each.deferrable is True and isinstance(ids, list | tuple | set) and len(ids) > 1:
                yield "AA206", line, f"the sensor {task.task_id} is deferrable and waits for {len(ids)} tasks"
                break
    if (
        options["known_pools"] is not None
        and (pool := value(task, "pool", "default_pool")) not in options["known_pools"]
    ):
        yield "AA306", line, f"the pool {pool!r} of {task.task_id} is not known"
    if options["known_connections"] is not None:
        yield from _connections(task, line, options["known_connections"])


def _run_is_bounded(dag: Any) -> bool:
    """Tell whether somebody hears of a run that takes a week: the scheduler fails it, or a deadline is missed."""
    limit = getattr(dag, "dagrun_timeout", None)
    return (limit is not None and limit.total_seconds() < WEEK) or bool(getattr(dag, "deadline", None))


def _patience(sensor: Any) -> float:
    """Return the seconds that a sensor waits; 0 if that is only known at run time."""
    timeout = sensor.timeout
    seconds = timeout.total_seconds() if isinstance(timeout, timedelta) else timeout
    if not isinstance(seconds, int | float):
        return 0.0
    if sensor.execution_timeout and getattr(sensor, "mode", "poke") == "poke":
        seconds = min(seconds, sensor.execution_timeout.total_seconds())
    return float(seconds)


def _connections(task: Any, line: int, known: list[str]) -> Iterator[Entry]:
    given = {(name, each) for attributes in arguments(task) for name, each in attributes.items() if plain(each)}
    for name, conn_id in sorted(pair for pair in given if pair[0].endswith("conn_id") and pair[0][0] != "_"):
        falls_back = FALLS_BACK.get(name, set())
        if falls_back is not None and conn_id not in falls_back and not is_known("connection", conn_id, known):
            yield "AA307", line, f"the connection {conn_id!r} ({name} of {task.task_id}) is not known"


def _searchpath(dag: Any, line: int) -> Iterator[Entry]:
    for path in template_rules.search_paths(dag):
        if not os.path.isabs(path):
            yield (
                "AA409",
                line,
                f"template_searchpath {path!r} is looked for in the folder where the task happens to run",
            )


def _crossing_groups(dag: Any) -> list[str]:
    """Return a cycle among the groups and tasks within one group, though the tasks have none."""
    groups: dict[str, Any] = getattr(dag.task_group, "get_task_group_dict", dict)()
    if len(groups) < 2:
        return []
    for group in groups.values():
        place = {}  # task -> the child of this group that it belongs to
        for label, child in group.children.items():
            inside = child.iter_tasks() if hasattr(child, "iter_tasks") else [child]
            place.update({task.task_id: label for task in inside})
        edges: dict[str, set[str]] = {}
        for task in dag.tasks:
            if (above := place.get(task.task_id)) is not None:
                below = {place[each] for each in task.downstream_task_ids if each in place}
                edges.setdefault(above, set()).update(below - {above})
        if cycle := find_cycle(edges):
            return cycle
    return []


def _deadlines(dag: Any, line: int, module: str) -> Iterator[Entry]:
    deadlines = getattr(dag, "deadline", None) or []
    for deadline in deadlines if isinstance(deadlines, list | tuple) else [deadlines]:
        path = str(getattr(deadline.callback, "path", ""))
        if path.startswith((f"{module}.", "__main__.", "unusual_prefix_")):
            if "SyncCallback" in {each.__name__ for each in type(deadline.callback).__mro__} and _loads_dag_files():
                continue
            name = path.partition(f"{module}.")[2] or path
            yield "AA309", line, f"the callback {name} of a deadline is defined in this file"
        elif "<" in path:
            yield "AA309", line, f"the callback {path.rpartition('.')[2]} of a deadline is no function of a module"


def _loads_dag_files() -> bool:
    """Tell whether this Airflow loads the DAG file for a callback that an executor runs: since 3.3."""
    try:
        from airflow.sdk.execution_time import callback_supervisor
    except ImportError:
        return False
    return hasattr(callback_supervisor, "UNUSUAL_MODULE_PREFIX")


def _schedule(dag: Any, line: int, line_of: LineOf, options: dict[str, Any]) -> Iterator[Entry]:
    timetable, name = dag.timetable, type(dag.timetable).__name__
    first, last = dag.start_date, dag.end_date
    interval = schedules.timetable_part(timetable, "interval")
    if name in ("CronTriggerTimetable", "DeltaTriggerTimetable") and not interval:
        for task in dag.tasks:
            if _uses_interval(task):
                text = f"{task.task_id} uses data_interval_start, which equals data_interval_end here"
                yield "AA501", line_of(task), text
    if name != "NullTimetable" and first and last and last < first:
        yield "AA503", line, f"end_date {last:%Y-%m-%d} lies before start_date {first:%Y-%m-%d}"
    if not dag.catchup:
        return
    starts = [task.start_date for task in dag.tasks if getattr(task, "start_date", None)]
    if name in ("CronDataIntervalTimetable", "DeltaDataIntervalTimetable") and not first and not starts:
        yield "AA503", line, "catchup=True without a start_date"
    if first and (period := schedules.period(timetable)):
        until = min(last or datetime.now(UTC), datetime.now(UTC))
        count = (until - first).total_seconds() / period.total_seconds()
        if count > options["max_catchup_runs"]:
            yield "AA502", line, f"catchup=True since {first:%Y-%m-%d} creates about {count:,.0f} runs"


def _uses_interval(task: Any) -> bool:
    if any("data_interval_start" in text for text in strings(fields(task))):
        return True
    code = getattr(getattr(task, "python_callable", None), "__code__", None)
    return code is not None and "data_interval_start" in (*code.co_varnames[: code.co_argcount], *code.co_consts)
