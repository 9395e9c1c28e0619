"""Runs one day on all three paths, then again with another document, and shows each claim (question 3)."""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from rich.table import Table

from answers.stack.client import ApiError
from include.files import write_atomically

if TYPE_CHECKING:
    from answers.demo import Demo

DAY = date(2013, 6, 13)  # thunderstorms; 141 flights of United from Newark, one of Hawaiian from Kennedy


def play_part(demo: Demo) -> None:
    """Run the day with the document as it is and with a smaller one, put the document back, and print the evidence."""
    dag_id = demo.airflow.find_dag("q03")
    first, xcoms = _run_day(demo, dag_id)
    versions = len(demo.airflow.dag_versions(dag_id))
    url = demo.airflow.variable("q03_config")
    file = Path(unquote(urlsplit(url).path))
    if not url.startswith("file:"):
        raise ApiError(f"the demonstration changes the document, which it does for file:// only: q03_config is {url}")
    before = file.read_text()
    smaller = json.loads(before) | {"airports": ["JFK"], "thresholds": {"skip_up_to_rows": 60, "spark_from_rows": 1000}}
    try:
        write_atomically(file, json.dumps(smaller))
        second, _ = _run_day(demo, dag_id)
        write_atomically(file, before[: len(before) // 2])
        third, _ = _run_day(demo, dag_id)
    finally:
        write_atomically(file, before)
    table = Table("document", "in force", "airports", "skipped", "light", "Spark", "rows published", "emptied")
    for name, report in (("as shipped", first), ("JFK alone, no Spark", second), ("half of it", third)):
        numbers = (report[key] for key in ("skip", "light", "spark", "rows", "emptied"))
        cells = (report["config"]["version"], " ".join(report["airports"]), *map(str, numbers))
        table.add_row(name, *cells)
    demo.out.print(table)
    tasks = demo.airflow.tasks(dag_id)
    refused = _trigger_refused(demo, dag_id)
    why = third["config"]["why"].splitlines()[1].strip()
    seen = {
        "3.1": f"{DAY}.json, by the interval; SQL of the local day {DAY}",
        "3.2": f"{len(xcoms)} XComs looked at, the largest of {max(xcoms)} bytes",
        "3.3": f"{len(tasks)} tasks in the graph; {sum_of(first)} chunks on this day, "
        f"{first['light'] + first['spark']} of them mapped over",
        "3.4": f"broken: {why}; {third['config']['version']} version in force; "
        f"versions of the DAG: {versions} before, {len(demo.airflow.dag_versions(dag_id))} after",
        "3.5": f"{first['skip']} chunks skipped, {first['light']} light, {first['spark']} Spark; joined each time",
        "3.6": f'airports ["SFO"] was {refused}',
    }
    demo.evidence("q03", seen)


def sum_of(report: dict[str, Any]) -> int:
    """Return the chunks of a run on all paths."""
    return sum(report[path] for path in ("skip", "light", "spark"))


def _run_day(demo: Demo, dag_id: str) -> tuple[dict[str, Any], list[int]]:
    """Return the report of a run of the day, and the sizes of the XComs that it is made from."""
    (run_id,) = demo.run(dag_id, [DAY])
    names = ("read_config", "count_flights", "EWR.plan", "JFK.plan", "LGA.plan", "report")
    values = {name: demo.airflow.xcom(dag_id, run_id, name) for name in names}
    return values["report"], [len(json.dumps(value)) for value in values.values()]


def _trigger_refused(demo: Demo, dag_id: str) -> str:
    try:
        demo.airflow.trigger(dag_id, "refused", {"airports": ["SFO"]})
    except ApiError as error:
        if error.status != 400:
            raise
        return f"answered {error.status}: {error.detail.splitlines()[0]}"
    raise ApiError(f"{dag_id} accepted an airport that it does not know: see {demo.airflow.link(dag_id, 'refused')}")
