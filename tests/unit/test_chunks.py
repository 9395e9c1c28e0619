"""Chunks of a day: counts, plans, paths, both ways of transforming them, and what is left of a rerun."""

import json
from datetime import UTC, datetime

import pytest

from include.chunks import chunks
from include.chunks.config import DEFAULT
from include.flights import days, engine
from include.flights import warehouse as loader
from include.flights.feed import count_flights, default_feed, land_interval
from support import PROJECT, expected, interval

DAY = "2013-06-13"
DEFAULTS = json.loads(DEFAULT.read_text())


# One chunk, of the layer of flights alone.
JUST_US = {
    "chunks": [{"carrier": "US", "rows": 8}, {"carrier": "HA", "rows": 1}],
    "thresholds": {"skip_up_to_rows": 1, "spark_from_rows": 99},
    "layers": ["flights"],
}


def in_pandas(day: str) -> dict:
    """Flights per airport and carrier, by pandas."""
    sizes = expected.flights(day, day).groupby(["origin", "carrier"]).size()
    return {airport: sizes[airport].to_dict() for airport in sorted(set(sizes.index.get_level_values(0)))}


@pytest.mark.claim("3.3")
@pytest.mark.parametrize("day", [DAY, "2013-03-10", "2013-11-03"], ids=["24 hours", "23 hours", "25 hours"])
def test_flights_are_counted_per_airport_and_carrier_of_a_local_day(day):
    assert count_flights(default_feed(), *interval(day)) == in_pandas(day)


@pytest.mark.claim("3.3")
def test_the_chunks_are_the_carriers_that_fly_on_the_day_largest_first():
    counts = in_pandas(DAY)["EWR"]
    planned = chunks.plan_chunks(DEFAULTS, "EWR", counts)
    assert {each["carrier"]: each["rows"] for each in planned["chunks"]} == counts
    assert [each["rows"] for each in planned["chunks"]] == sorted(counts.values(), reverse=True)


@pytest.mark.claim("3.4")
def test_the_document_says_which_airports_and_carriers_there_are():
    counts = in_pandas(DAY)["EWR"]
    assert chunks.plan_chunks(DEFAULTS | {"airports": ["JFK"]}, "EWR", counts)["chunks"] == []
    chosen = chunks.plan_chunks(DEFAULTS | {"carriers": ["OO", "UA"]}, "EWR", counts)
    assert chosen["chunks"] == [{"carrier": "UA", "rows": 141}, {"carrier": "OO", "rows": 0}]


@pytest.mark.claim("3.5")
def test_with_the_shipped_document_a_normal_day_takes_all_three_paths():
    taken = dict.fromkeys(chunks.PATHS, 0)
    for airport, counts in in_pandas(DAY).items():
        for path, some in chunks.group_by_path(chunks.plan_chunks(DEFAULTS, airport, counts)).items():
            taken[path] += len(some)
    assert taken == {"skip": 23, "light": 9, "spark": 1}


@pytest.mark.claim("3.5")
@pytest.mark.parametrize(
    ("rows", "path"), [(0, "skip"), (30, "skip"), (31, "light"), (129, "light"), (130, "spark"), (999, "spark")]
)
def test_a_chunks_rows_choose_its_path(rows, path):
    assert chunks.path_of(rows, DEFAULTS["thresholds"]) == path


@pytest.mark.claim("3.6")
def test_one_run_may_move_the_threshold_of_spark_but_not_revive_what_is_skipped():
    def path(rows: int, spark_from_rows: int) -> str:
        planned = chunks.plan_chunks(DEFAULTS, "EWR", {"UA": rows}, spark_from_rows)
        return chunks.path_of(rows, planned["thresholds"])

    assert (path(31, 1), path(30, 1), path(999, 1000)) == ("spark", "skip", "light")


@pytest.mark.claim("3.4")
def test_an_airport_may_have_thresholds_of_its_own():
    document = DEFAULTS | {"overrides": {"LGA": {"skip_up_to_rows": 0, "spark_from_rows": 5}}}
    found = {airport: chunks.plan_chunks(document, airport, {"UA": 9})["thresholds"] for airport in ("EWR", "LGA")}
    assert found == {"EWR": DEFAULTS["thresholds"], "LGA": {"skip_up_to_rows": 0, "spark_from_rows": 5}}


@pytest.mark.claim("3.1")
def test_the_macro_of_our_own_is_the_local_day_where_ds_is_the_day_in_utc():
    for day in (DAY, "2013-03-10", "2013-11-03"):
        start = interval(day)[0]
        assert days.local_day(start) == day
        assert days.local_day(start.astimezone(UTC)) == day
    # The last hours of a day in New York are already the next day in UTC.
    assert days.local_day(datetime(2013, 6, 14, 3, 59, tzinfo=UTC)) == DAY


def query(day: str) -> str:
    """published.sql as Airflow renders it."""
    from jinja2 import Environment

    text = (PROJECT / "include/chunks/sql/published.sql").read_text()
    macros = {"local_day": days.local_day, "data_interval_start": interval(day)[0]}
    return Environment(autoescape=False).from_string(text).render(macros)


@pytest.mark.claim("3.4")
def test_what_nobody_asks_for_any_more_is_emptied_and_nothing_else(warehouse, tmp_path):
    for day, airport, carrier in [
        (DAY, "JFK", "HA"),
        (DAY, "JFK", "US"),
        (DAY, "LGA", "YV"),
        ("2013-06-14", "JFK", "HA"),
    ]:
        landed = land_interval(default_feed(), tmp_path, *interval(day), "run", airport, carrier)
        engine.transform_and_publish(warehouse, landed, "run")
    counts = chunks.reconcile_with_plan(warehouse, "JFK", DAY, JUST_US, query(DAY))
    assert counts == {"chunks": 1, "rows": 8, "emptied": 3}
    left = {
        table: warehouse.query(
            f"SELECT DISTINCT toString(flight_date), origin, carrier FROM warehouse.chunk_{table} ORDER BY ALL"
        ).result_rows
        for table in loader.CHUNKS.tables
    }
    others = [("2013-06-13", "LGA", "YV"), ("2013-06-14", "JFK", "HA")]
    assert left == {"flights": [("2013-06-13", "JFK", "US"), *others], "daily_delays": others}


@pytest.mark.claim("3.5")
def test_the_join_notices_a_chunk_that_was_not_published(warehouse):
    with pytest.raises(loader.ValidationError, match=r"JFK, 2013-06-13: \('flights', 'US'\): 0 flights for 8"):
        chunks.reconcile_with_plan(warehouse, "JFK", DAY, JUST_US, query(DAY))


def test_a_layer_that_is_not_asked_for_is_validated_but_not_published(warehouse, tmp_path):
    landed = land_interval(default_feed(), tmp_path, *interval(DAY), "run", "JFK", "US")
    report = engine.transform_and_publish(warehouse, landed, "run", ["daily_delays"])
    assert report["published"] == {"flights": 8, "daily_delays": 1}
    rows = [warehouse.query(f"SELECT count() FROM warehouse.chunk_{t}").result_rows[0][0] for t in loader.CHUNKS.tables]
    assert rows == [0, 1]


def test_the_report_adds_up_the_airports_that_the_run_was_asked_for(tmp_path):
    config = {"version": "current", "digest": "sha256:1", "url": "file:///x", "why": None}
    jfk = {"airport": "JFK", "skip": 1, "light": 2, "spark": 3, "chunks": 5, "rows": 70, "emptied": 0}
    lga = {**jfk, "airport": "LGA"}
    file = tmp_path / "q03" / "day.json"
    found = chunks.summarise_run(config, [None, jfk, lga], file, "title")
    assert json.loads(file.read_text()) == found
    assert found["airports"] == ["JFK", "LGA"]
    assert (found["skip"], found["light"], found["spark"], found["rows"]) == (2, 4, 6, 140)
