"""`make demo`: question 1 for some real days on the embedded stack, and what each claim looks like in the data."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import date
from typing import Any

import clickhouse_connect
from rich.console import Console
from rich.table import Table

from include.answers.catalog import load_questions
from include.flights import warehouse
from include.stack import lifecycle
from include.stack.client import Airflow, ApiError
from include.stack.settings import Settings

TABLES = tuple(warehouse.KEYS)


def play(days: list[date], out: Console, shown: Callable[[Iterator[Any]], Iterator[Any]]) -> None:
    """Bring the stack up, run the days, run one of them again, and print the evidence.

    :param shown: wraps the watching of runs with a display
    :raises ApiError: a run failed; :raises StackError: the stack does not come up
    """
    settings = lifecycle.up(lambda line: out.print(line, style="dim", markup=False))
    airflow = Airflow(settings.url, settings.secrets["ADMIN_PASSWORD"])
    dag_id = airflow.find_dag("q01")

    def run(some: list[date]) -> list[str]:
        run_ids = [airflow.start(dag_id, day) for day in some]
        *_, runs = shown(airflow.watch(dag_id, run_ids, patience=1800))
        if failed := [each.run_id for each in runs if each.state != "success"]:
            raise ApiError(f"{', '.join(failed)} failed: see {settings.url}/dags/{dag_id}")
        return run_ids

    out.rule(f"{dag_id}, {days[0]} to {days[-1]}")
    reports = [airflow.xcom(dag_id, run_id, "publish") for run_id in run(days)]
    before = _fingerprints(settings, days)
    out.rule(f"{days[-1]} once more")
    run(days[-1:])
    after = _fingerprints(settings, days)

    kept = {"no plane": "without_plane", "no weather": "without_weather", "no zone": "without_arrival_zone"}
    table = Table("day", "rows in", "published", "cancelled", "worst delay", *kept)
    for report in reports:
        cells = (report["rows_in"], report["published"]["flights"], report["cancelled"], report["worst_dep_delay"])
        unmatched = (report[key] for key in kept.values())
        table.add_row(report["first_day"], *(str(cell) for cell in (*cells, *unmatched)))
    out.print(table)
    if before != after:
        raise ApiError(f"the second run of {days[-1]} changed the warehouse: {before} became {after}")
    out.print(_claims(airflow, settings, dag_id, reports, before))
    out.print(f"Airflow: {settings.url}/dags/{dag_id}  (user admin, password: `answers open`)", highlight=False)


def _claims(airflow: Airflow, settings: Settings, dag_id: str, reports: list[Any], prints: dict[str, Any]) -> Table:
    tasks = {task["task_id"]: task for task in airflow.request("GET", f"/dags/{dag_id}/tasks").json()["tasks"]}
    with _warehouse(settings) as client:
        clocks = client.query(
            "SELECT min(c), max(c), countIf(toDate(t) != flight_date) FROM (SELECT flight_date, "
            "toTimeZone(sched_dep_utc, 'America/New_York') AS t, formatDateTime(t, '%H:%i') AS c FROM warehouse.flights)"
        ).result_rows[0]
    rows_in = sum(report["rows_in"] for report in reports)
    published = sum(report["published"]["flights"] for report in reports)
    evidence = {
        "1.1": ", ".join(f"{name}: {task['operator_name']}" for name, task in tasks.items()),
        "1.2": f"set_downstream: transform -> {', '.join(tasks['transform']['downstream_task_ids'])}",
        "1.3": f"{rows_in:,} rows in, {published:,} published in {len(reports)} days",
        "1.4": "second run of a day: same contents, fingerprint " + prints[str(reports[-1]["first_day"])]["flights"][1],
        "1.5": f"transform: {tasks['transform']['retries']:.0f} retries, "
        f"{tasks['transform']['retry_delay']['seconds'] / 60:.0f} minutes apart, from config/airflow.env",
        "1.6": f"departures from {clocks[0]} to {clocks[1]} New York time, {clocks[2]} on another day than their run's",
    }
    table = Table("claim", "says", "seen here")
    for question in load_questions():
        for claim in question.claims:
            if claim.id in evidence:
                table.add_row(claim.id, claim.text, evidence[claim.id])
    return table


def _fingerprints(settings: Settings, days: list[date]) -> dict[str, dict[str, tuple[int, str]]]:
    """Rows and a hash over all columns, per day and table; the order of the rows does not matter."""
    prints: dict[str, dict[str, tuple[int, str]]] = {}
    with _warehouse(settings) as client:
        for table in TABLES:
            sql = f"SELECT flight_date, {warehouse.FINGERPRINT} FROM warehouse.{table} GROUP BY flight_date"
            for day, rows, hashed in client.query(sql).result_rows:
                prints.setdefault(str(day), {})[table] = (rows, hashed)
    return {str(day): prints.get(str(day), {}) for day in days}


def _warehouse(settings: Settings) -> Any:
    def client() -> Any:
        return clickhouse_connect.get_client(interface="chdb", path=str(settings.warehouse))

    return warehouse.connect(client, str(settings.warehouse))
