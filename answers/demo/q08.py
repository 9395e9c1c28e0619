"""Publishes a day that lacks an airline; it is found, rolled back and reported, and a person can undo that (question 8)."""

from __future__ import annotations

import csv
import shutil
import zipfile
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

from answers.stack.client import ApiError
from include.flights import versions
from include.flights.feed import default_feed

if TYPE_CHECKING:
    from answers.demo import Demo

LOST = "UA"
FEED = "flights_feed"  # the Variable that says where the feed is
PATHS = ("/slack/services/T000/B000/catcher", "/mail")


def play_part(demo: Demo) -> None:
    """Publish the first day, publish it again from a feed without an airline, and show the result."""
    airflow, day = demo.airflow, demo.days[0]
    dag_id = airflow.find_dag("q08_recovery")
    (run_id,) = demo.run(dag_id, [day])
    before = airflow.variable(FEED)
    folder = demo.settings.home / "data" / "feed_without_an_airline"
    feed_without(LOST, day, folder)
    try:
        airflow.set_variable(FEED, str(folder))
        airflow.start(dag_id, day)
        *_, (run,) = demo.shown(airflow.watch(dag_id, [run_id], patience=300))
    finally:
        airflow.set_variable(FEED, before)
        shutil.rmtree(folder)
    if (run.state, run.tasks["rollback"][0]) != ("failed", "success"):
        raise ApiError(f"{run_id} was not taken back: see {airflow.link(dag_id)}")
    report = airflow.xcom(dag_id, run_id, "rollback")
    with demo.warehouse() as client:
        undone = versions.undo_rollback(client, day, "the demonstration")
        again = versions.rollback_day(client, day, "the demonstration")
    told = {path: [each for each in demo.messages(path) if run_id in each["text"]] for path in PATHS}
    if not all(told.values()):
        raise ApiError(f"nobody was told of {run_id}: see the log of its task check")
    demo.out.print(told["/mail"][-1]["text"].replace("<pre>", "").replace("</pre>", ""), highlight=False, markup=False)
    demo.evidence(
        "q08",
        {
            "8.1": f"Slack {len(told[PATHS[0]])}, e-mail {len(told['/mail'])}: "
            f"“{told['/mail'][-1]['subject']}” to {', '.join(told['/mail'][-1]['to'])}",
            "8.4": f"version {report['from']} -> {report['to']} by the run's own task; undone: version {undone['to']} with "
            f"{undone['rows']['flights']} flights; rolled back: version {again['to']} with {again['rows']['flights']}",
        },
    )


def feed_without(carrier: str, day: date, folder: Path) -> None:
    """Write a feed with the flights of one day only, without those of an airline."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for name in ("weather", "planes", "airports"):
        shutil.copy(default_feed() / f"{name}.csv", folder)
    wanted = [str(day.year), str(day.month), str(day.day)]
    with zipfile.ZipFile(default_feed() / "flights.csv.zip") as archive:
        rows = csv.reader(archive.read("flights.csv").decode().splitlines())
    with (folder / "flights.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        header = next(rows)
        writer.writerow(header)
        writer.writerows(row for row in rows if row[:3] == wanted and row[header.index("carrier")] != carrier)
