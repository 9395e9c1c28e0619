"""Computes the tables of a corrected feed with pandas, and compares."""

import json
from functools import cache
from typing import Any

import pandas as pd

from answers.exercise.judge import Evidence, Variant, check, expected, wrong

CHANGED = ("dep_time", "dep_delay", "arr_delay")
KEY = ["year", "month", "day", "sched_dep_time", "carrier", "flight", "origin"]


def require_success(seen: Evidence, name: str, because: str) -> None:
    """Convict where a run has failed."""
    run = seen.value(name, because)
    if run["state"] != "success":
        text = next(iter(run["errors"].values()), "")
        wrong(seen=f"the run ended as {run['state']}: {text}", because=because)


@cache
def corrected_module(sent: str) -> Any:
    """Return tests/support/expected.py over raw flights that have the corrections: cell by cell, in their order."""
    module = expected()
    table = module.raw("flights.csv.zip").copy()
    for row in sorted(json.loads(sent), key=lambda each: each["received_at"]):
        meant = (table[KEY].astype(str) == [row[name] for name in KEY]).all(axis="columns")
        assert meant.sum() == 1
        for name in CHANGED:
            if row[name]:
                table.loc[meant, name] = float("nan") if row[name] == "NA" else float(row[name])
    original, module.raw = module.raw, lambda name: table if name == "flights.csv.zip" else original(name)
    module._year.cache_clear()
    return module


def compare(seen: Evidence, name: str, module: Any, day: str, because: str) -> None:
    """Convict where the tables are not those of pandas."""
    for table, wanted, key in (
        ("flights", module.flights(day, day), module.FLIGHT_KEY),
        ("daily_delays", module.daily_delays(day, day), module.DAILY_DELAYS_KEY),
    ):
        assert len(wanted) > 1
        try:
            module.assert_equal(seen.table(f"{name}-{table}", because), wanted, key)
        except AssertionError as error:
            wrong(seen=f"{table} has other rows", because=because, expected=str(error)[:2000])


@check("old")
def old(seen: Evidence, v: Variant) -> None:
    """Want the tables of the feed as it is."""
    because = "nobody had sent a correction, so the day is the feed's"
    require_success(seen, "before", because)
    day, module = v.hidden["day"], expected()
    wanted = module.raw("flights.csv.zip")
    _, month, date = map(int, day.split("-"))
    wanted = wanted[(wanted["month"] == month) & (wanted["day"] == date)]
    found = seen.table("before-flights", because)
    for column in ("dep_delay", "arr_delay"):
        if found[column].sum() != wanted[column].sum() or len(found) != len(wanted):
            wrong(seen=f"{len(found)} flights with {found[column].sum()} minutes of {column}", because=because)


def corrected_rows(seen: Evidence, what: str, because: str) -> pd.DataFrame:
    """Return the published rows of the flights that a kind of correction is about: same carrier and number."""
    require_success(seen, "after", because)
    meant = next(each for each in seen.value("sent") if each["what"] == what)
    table = seen.table("after-flights", because)
    return table[(table["carrier"] == meant["carrier"]) & (table["flight"].astype(str) == meant["flight"])]


@check("flown")
def flown(seen: Evidence, v: Variant) -> None:
    """Want the flight not cancelled, with the values of both corrections."""
    because = "two corrections say that it departed, and how late it arrived; together they make a flight that flew"
    rows = corrected_rows(seen, "flown", because)
    meant = [each for each in seen.value("sent") if each["what"] == "flown"]
    wanted = {name: next(float(each[name]) for each in meant if each[name]) for name in ("dep_delay", "arr_delay")}
    row = rows[rows["origin"] == meant[0]["origin"]].iloc[0]
    if bool(row["cancelled"]):
        wrong(seen=f"{row['carrier']} {row['flight']} is still cancelled", because=because)
    for name, minutes in wanted.items():
        if row[name] != minutes:
            wrong(seen=f"{row['carrier']} {row['flight']} has {name} {row[name]}", because=because, expected=wanted)


@check("two-flights")
def two_flights(seen: Evidence, v: Variant) -> None:
    """Want one of the two flights corrected, the one that is meant."""
    because = "the flight is the one with the scheduled departure and the origin of the correction"
    rows = corrected_rows(seen, "two-flights", because)
    meant = next(each for each in seen.value("sent") if each["what"] == "two-flights")
    if len(rows) != len(rows["origin"].unique()):
        wrong(seen=f"there are {len(rows)} flights {meant['carrier']} {meant['flight']}", because=because)
    for row in rows.itertuples():
        if (row.dep_delay == float(meant["dep_delay"])) != (row.origin == meant["origin"]):
            wrong(seen=f"{row.carrier} {row.flight} from {row.origin} has dep_delay {row.dep_delay}", because=because)


@check("last")
def last(seen: Evidence, v: Variant) -> None:
    """Want the values that were received last, cell by cell."""
    because = "corrections are applied in the order in which they were received, not in that of files or lines"
    sent = sorted((each for each in seen.value("sent") if each["what"] == "last"), key=lambda each: each["received_at"])
    row = corrected_rows(seen, "last", because)
    row = row[row["origin"] == sent[0]["origin"]].iloc[0]
    for name in ("dep_delay", "arr_delay"):
        wanted = next(float(each[name]) for each in reversed(sent) if each[name])
        if row[name] != wanted:
            wrong(seen=f"{row['carrier']} {row['flight']} has {name} {row[name]}", because=because, expected=wanted)


@check("corrected")
def corrected(seen: Evidence, v: Variant) -> None:
    """Want all rows of a corrected feed."""
    because = "the day is to look as if the feed had been right from the start, in every table"
    require_success(seen, "after", because)
    compare(seen, "after", corrected_module(json.dumps(seen.value("sent"))), v.hidden["day"], because)
    if "delay_features" not in seen.value("corrected"):
        wrong(seen="delay_features has no rows", because=because)


@check("again")
def again(seen: Evidence, v: Variant) -> None:
    """Want the same rows, and no new version."""
    because = "a rerun begins with the feed, and so do its corrections: nothing may get lost, nothing may be added"
    require_success(seen, "again", because)
    for table, found in seen.value("corrected").items():
        if seen.value("corrected-again").get(table) != found:
            wrong(seen=f"{table} has other contents after the day was run again", because=because)
    if (count := len(seen.table("versions-again"))) != len(seen.table("versions")):
        wrong(seen=f"the second run has made a version, there are {count}", because=because)


def require_refusal(seen: Evidence, name: str, words: list[str], because: str) -> None:
    """Want a failed run, an error with some words, and tables as they were."""
    run = seen.value(name, because)
    if run["state"] == "success":
        wrong(seen="the run was a success", because=because)
    said = " ".join(run["errors"].values())
    if missing := [word for word in words if word not in said]:
        wrong(seen=f"the error does not name {', '.join(missing)}: {said or 'nothing'}", because=because)
    if seen.value(f"{name}-tables") != seen.value("corrected-again"):
        wrong(seen="the run failed, and the tables were changed", because=because)


@check("unknown")
def unknown(seen: Evidence, v: Variant) -> None:
    """Want a correction of no flight to be refused."""
    because = "somebody has sent it for a flight of that day: whoever mends it has to find it"
    require_refusal(seen, "unknown", ["unknown.csv", "row 3"], because)


@check("contract")
def contract(seen: Evidence, v: Variant) -> None:
    """Want a word in the cell of a number to be refused."""
    because = "the feed's own files are held to their contract in this way, by file, row and column"
    require_refusal(seen, "word", ["word.csv", "row 3", "dep_delay"], because)
