"""Loads the fleet as it was and as it is, and computes the new roll-up's totals from its carriers' published flights."""

import shutil
from pathlib import Path

from answers.exercise.driver import load_module
from answers.exercise.probe import Probe


def probe(p: Probe) -> None:
    """Record who waits for whom and what each task weighs, then what the roll-up publishes."""
    old = p.home / "old"
    for name in ("dags", "include", "plugins", "config"):
        shutil.copytree(p.start / name, old / name)
    p.inside("fleet-before", fleet, str(old))
    found = p.inside("fleet", fleet, str(p.project))
    dag_id = f"fleet_rollup_{p.told['id']}"
    if dag_id not in found.get("value", {}):
        return
    day, expected = p.hidden["day"], load_module("expected", p.project / "tests/support/expected.py")
    for name, rows in (("flights", expected.flights(day, day)), ("daily_delays", expected.daily_delays(day, day))):
        rows.to_parquet(p.home / f"{name}.parquet")
    p.require(p.inside("carriers", publish_carriers, str(p.home)))
    p.database()
    sensors = [task for task, about in found["value"][dag_id]["tasks"].items() if about["waits_for"]]
    p.inside("run", run, str(p.project / "dags"), dag_id, day, sensors)
    for table in ("airports", "hours"):
        p.sql(table, f"SELECT * FROM warehouse.fleet_{table} WHERE rollup = '{p.told['id']}'")  # noqa: S608


def fleet(tree: str) -> dict:
    """Load all DAGs of a tree: {id: {"owners", "tasks": {id: what it waits for, how, and its weight}}}."""
    import os
    import sys

    from airflow import settings
    from airflow.dag_processing.dagbag import DagBag

    project = Path(os.environ["AIRFLOW__CORE__DAGS_FOLDER"]).parent
    others = [path for path in sys.path if Path(path) not in (project, project / "dags", project / "plugins")]
    sys.path[:] = [tree, f"{tree}/dags", *others]
    settings.PLUGINS_FOLDER = f"{tree}/plugins"
    bag = DagBag(dag_folder=f"{tree}/dags")
    if bag.import_errors:
        raise ImportError(next(iter(bag.import_errors.values())).strip().splitlines()[-1])
    return {
        dag_id: {
            "owners": sorted({task.owner for task in dag.tasks}),
            "tasks": {task.task_id: about(task) for task in dag.tasks},
        }
        for dag_id, dag in bag.dags.items()
    }


def about(task) -> dict:
    """Say what a task weighs and, of a sensor for another DAG, what it waits for and how."""
    upstream = getattr(task, "external_dag_id", None)
    found = {"weight": task.priority_weight, "rule": type(task.weight_rule).__name__, "waits_for": upstream}
    if upstream:
        ids = [*(getattr(task, "external_task_ids", None) or ()), getattr(task, "external_task_id", None)]
        how = {name: getattr(task, name, None) for name in ("deferrable", "timeout", "pool")}
        states = [str(getattr(state, "value", state)) for state in getattr(task, "failed_states", None) or ()]
        found |= {"how": how | {"tasks": sorted({id_ for id_ in ids if id_})}, "failed_states": sorted(states)}
    return found


def publish_carriers(folder: str) -> None:
    """Put the carriers' partitions of a day into the warehouse."""
    from pyarrow import parquet

    from answers.exercise.steps import _warehouse
    from include.flights import warehouse

    client = _warehouse()
    try:
        warehouse.create_tables(client, warehouse.CARRIERS)
        for name in ("flights", "daily_delays"):
            client.insert_df(f"warehouse.carrier_{name}", parquet.read_table(f"{folder}/{name}.parquet").to_pandas())
    finally:
        client.close()


def run(folder: str, dag_id: str, day: str, sensors: list[str]) -> dict[str, str]:
    """Run a DAG for a local day as if all that it waits for were there: the states of its tasks."""
    import re
    from datetime import date, datetime, timedelta
    from zoneinfo import ZoneInfo

    from airflow.dag_processing.dagbag import DagBag

    dag = DagBag(dag_folder=folder).dags[dag_id]
    midnight = datetime.combine(date.fromisoformat(day) + timedelta(days=1), datetime.min.time())
    result = dag.test(
        logical_date=midnight.replace(tzinfo=ZoneInfo("America/New_York")),
        mark_success_pattern="|".join(re.escape(sensor) for sensor in sensors),
    )
    return {task.task_id: str(task.state) for task in result.get_task_instances()}
