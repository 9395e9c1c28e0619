"""Publishes a day, corrects it, runs it again, and tries corrections that are wrong."""

from __future__ import annotations

from pathlib import Path

from answers.exercise.driver import load_module
from answers.exercise.probe import Probe

DAG = "q08_recovery"
COLUMNS = "year,month,day,sched_dep_time,carrier,flight,origin,dep_time,dep_delay,arr_delay,received_at"
KEY = COLUMNS.split(",")[:7]


def probe(p: Probe) -> None:
    """Record tables and versions after each run, and the errors of those that fail."""
    day, feed = p.hidden["day"], p.feed("feed", p.hidden["day"])
    p.variable("flights_feed", str(feed))
    sent = corrections(p)
    p.note("sent", sent)
    p.run("before", DAG, day)
    for table in ("flights", "daily_delays"):
        p.sql(f"before-{table}", f"SELECT * FROM warehouse.{table}")  # noqa: S608
    for file in ("second", "first"):
        write(feed, f"{'a' if file == 'second' else 'b'}-{file}", [each for each in sent if each["file"] == file])
    p.run("after", DAG, day)
    for table in ("flights", "daily_delays"):
        p.sql(f"after-{table}", f"SELECT * FROM warehouse.{table}")  # noqa: S608
    p.fingerprints("corrected")
    p.sql("versions", "SELECT version, action FROM warehouse_history.events")
    p.run("again", DAG, day)
    p.fingerprints("corrected-again")
    p.sql("versions-again", "SELECT version, action FROM warehouse_history.events")
    unknown = sent[0] | {"flight": "9999", "received_at": "2013-12-01T10:00:00Z"}
    for name, row in (("unknown", unknown), ("word", sent[0] | {"dep_delay": "soon"})):
        write(feed, name, [sent[-1], row])
        p.run(name, DAG, day)
        p.fingerprints(f"{name}-tables")
        (feed / "corrections" / f"{name}.csv").unlink(missing_ok=True)  # the code may have moved it


def write(feed: Path, name: str, rows: list[dict[str, str]]) -> None:
    """Write a file of corrections."""
    (feed / "corrections").mkdir(exist_ok=True)
    lines = [",".join(row[column] for column in COLUMNS.split(",")) for row in rows]
    (feed / "corrections" / f"{name}.csv").write_text("\n".join([COLUMNS, *lines]) + "\n")


def corrections(p: Probe) -> list[dict[str, str]]:
    """Choose flights of the day, and say what is corrected of them, by `file`; the last row is of another day."""
    raw = load_module("expected", p.project / "tests/support/expected.py").raw("flights.csv.zip")
    _, month, date = map(int, p.hidden["day"].split("-"))
    flights = raw[(raw["month"] == month) & (raw["day"] == date)].sort_values(["sched_dep_time", "carrier", "flight"])
    cancelled = flights[flights["dep_time"].isna()].iloc[0]
    same = flights[(flights["carrier"] == p.hidden["carrier"]) & (flights["flight"] == p.hidden["flight"])].iloc[-1]
    arrived = flights[flights["arr_delay"].notna() & (flights["flight"] != p.hidden["flight"])]
    twice, nowhere = arrived.iloc[10], arrived.iloc[40]
    other = raw[(raw["month"] == month) & (raw["day"] == date + 1) & raw["dep_time"].notna()].iloc[0]
    rows = [
        ("first", "flown", cancelled, "1215", "33", "", "2013-11-01T08:00:00Z"),
        ("second", "flown", cancelled, "", "", "41", "2013-11-02T08:00:00Z"),
        ("first", "two-flights", same, "", "177", "", "2013-11-01T09:00:00Z"),
        ("first", "last", twice, "", "201", "202", "2013-11-03T10:00:00Z"),
        ("second", "last", twice, "", "303", "", "2013-11-02T10:00:00Z"),
        ("second", "last", twice, "", "303", "", "2013-11-02T10:00:00Z"),
        ("first", "corrected", nowhere, "", "", "NA", "2013-11-04T10:00:00Z"),
        ("second", "other day", other, "", "999", "999", "2013-11-04T11:00:00Z"),
    ]
    found = []
    for file, what, flight, *values in rows:
        new = dict(zip(("dep_time", "dep_delay", "arr_delay", "received_at"), values, strict=True))
        found.append({"file": file, "what": what, **{name: str(flight[name]) for name in KEY}, **new})
    return found
