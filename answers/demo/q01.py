"""Runs some real days, one of them twice, and shows each claim in the data (question 1)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rich.table import Table

from answers.stack.client import ApiError
from include.flights import warehouse

if TYPE_CHECKING:
    from datetime import date

    from answers.demo import Demo

AT_ONCE = 2  # days that Spark transforms at the same time: the slots of its pool on two cores


def play_part(demo: Demo) -> None:
    """Run the days, the first one again, and print the evidence."""
    dag_id, out = demo.airflow.find_dag("q01"), demo.out
    first, rest = demo.days[:AT_ONCE], demo.days[AT_ONCE:]
    reports = _run(demo, dag_id, first)
    before = _fingerprints(demo, first)
    out.print(f"{', '.join(map(str, rest))}{' and ' if rest else ''}{first[0]} once more")
    reports += _run(demo, dag_id, [*rest, first[0]])[:-1]
    after = _fingerprints(demo, first)

    kept = {"no plane": "without_plane", "no weather": "without_weather", "no zone": "without_arrival_zone"}
    table = Table("day", "rows in", "published", "cancelled", "worst delay", *kept)
    for report in reports:
        cells = (report["rows_in"], report["published"]["flights"], report["cancelled"], report["worst_dep_delay"])
        unmatched = (report[key] for key in kept.values())
        table.add_row(report["first_day"], *(str(cell) for cell in (*cells, *unmatched)))
    out.print(table)
    if before != after:
        raise ApiError(f"the second run of {first[0]} changed the warehouse: {before} became {after}")
    _claims(demo, dag_id, reports, before)


def _claims(demo: Demo, dag_id: str, reports: list[Any], prints: dict[str, Any]) -> None:
    tasks = {task["task_id"]: task for task in demo.airflow.tasks(dag_id)}
    with demo.warehouse() as client:
        clocks = client.query(
            "SELECT min(c), max(c), countIf(toDate(t) != flight_date) FROM (SELECT flight_date, "
            "toTimeZone(sched_dep_utc, 'America/New_York') AS t, formatDateTime(t, '%H:%i') AS c FROM warehouse.flights)"
        ).result_rows[0]
    rows_in = sum(report["rows_in"] for report in reports)
    published = sum(report["published"]["flights"] for report in reports)
    seen = {
        "1.1": ", ".join(f"{name}: {task['operator_name']}" for name, task in tasks.items()),
        "1.2": f"set_downstream: transform -> {', '.join(tasks['transform']['downstream_task_ids'])}",
        "1.3": f"{rows_in:,} rows in, {published:,} published in {len(reports)} days",
        "1.4": "second run of a day: same contents, fingerprint " + prints[str(reports[0]["first_day"])]["flights"][1],
        "1.5": f"transform: {tasks['transform']['retries']:.0f} retries, "
        f"{tasks['transform']['retry_delay']['seconds'] / 60:.0f} minutes apart, from config/airflow.env",
        "1.6": f"departures from {clocks[0]} to {clocks[1]} New York time, {clocks[2]} on another day than their run's",
    }
    demo.evidence("q01", seen)


def _run(demo: Demo, dag_id: str, days: list[date]) -> list[Any]:
    """Return the reports of the days' finished runs."""
    return [demo.airflow.xcom(dag_id, run_id, "publish") for run_id in demo.run(dag_id, days)]


def _fingerprints(demo: Demo, days: list[date]) -> dict[str, dict[str, tuple[int, str]]]:
    """Return the rows and a hash over all columns for each day and table. The order of the rows does not matter."""
    prints: dict[str, dict[str, tuple[int, str]]] = {}
    with demo.warehouse() as client:
        for table in warehouse.DAYS.tables:
            sql = f"SELECT flight_date, {warehouse.FINGERPRINT} FROM warehouse.{table} GROUP BY flight_date"
            for day, rows, hashed in client.query(sql).result_rows:
                prints.setdefault(str(day), {})[table] = (rows, hashed)
    return {str(day): prints.get(str(day), {}) for day in days}
