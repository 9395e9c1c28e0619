"""Tells what the fleet computes from the carriers' partitions, against pandas on the raw files."""

from datetime import date
from pathlib import Path

import pytest

from include.fleet import totals
from include.fleet.model import load_fleet
from include.flights import engine, feed
from include.flights import warehouse as loader
from include.flights.publish import publish_day
from support import expected, fleet, interval

DAY = "2013-06-13"
FLEET = load_fleet()
LEGACY = FLEET.carriers_of("legacy")


@pytest.fixture
def carriers(warehouse, tmp_path):
    """A client of a warehouse that has the day of some carriers."""
    start, end = interval(DAY)
    for carrier in ("UA", "DL", "AA", "US", "OO"):
        landed = feed.land_interval(feed.default_feed(), tmp_path, start, end, "test", carrier=carrier)
        folder = Path(landed["folder"])
        engine.transform_files(warehouse, folder)
        day = date.fromisoformat(DAY)
        publish_day(warehouse, folder, day, day, landed["rows"], "test", loader.CARRIERS, landed["slice"])
    return warehouse


def publish(client, table, carriers, **keys):
    return totals.publish_totals(client, table, date.fromisoformat(DAY), carriers, "test", keys)


@pytest.mark.claim("4.1")
def test_roll_ups_reports_and_ranking_equal_pandas(carriers):
    publish(carriers, "airports", LEGACY, rollup="legacy")
    publish(carriers, "hours", LEGACY, rollup="legacy")
    publish(carriers, "reports", ["UA"], carrier="UA")
    publish(carriers, "scorecard", LEGACY)
    found = {table: carriers.query_df(f"SELECT * FROM warehouse.fleet_{table}") for table in totals.PARTITIONS}
    expected.assert_equal(found["airports"], fleet.totals(DAY, LEGACY, ["origin"])[fleet.AIRPORTS], ["origin"])
    expected.assert_equal(found["hours"], fleet.totals(DAY, LEGACY, ["hour"])[fleet.HOURS], ["hour"])
    expected.assert_equal(found["reports"], fleet.totals(DAY, ["UA"], ["carrier"])[fleet.REPORT], ["carrier"])
    ranked = fleet.totals(DAY, LEGACY, ["carrier"]).sort_values("on_time_share", ascending=False)
    assert list(found["scorecard"].sort_values("place")["carrier"]) == list(ranked["carrier"])
    assert len(ranked) == 4


@pytest.mark.claim("4.1")
def test_a_second_time_changes_nothing_and_no_other_partition(carriers):
    def contents():
        return [
            carriers.query(f"SELECT {loader.FINGERPRINT} FROM warehouse.fleet_{table}").result_rows
            for table in ("airports", "hours")
        ]

    for _ in range(2):
        for table in ("airports", "hours"):
            publish(carriers, table, ["UA"], rollup="headline")
            publish(carriers, table, LEGACY, rollup="legacy")
        if _ == 0:
            before = contents()
    assert contents() == before
    names = carriers.query("SELECT name FROM system.tables WHERE database = 'warehouse'").result_rows
    assert not [name for (name,) in names if name.startswith(loader.STAGING)]


def test_a_carrier_without_flights_has_an_empty_report(carriers):
    assert publish(carriers, "reports", ["OO"], carrier="OO")["rows"] == 0


@pytest.mark.claim("4.1")
def test_totals_that_lack_flights_are_not_published(carriers):
    publish(carriers, "airports", LEGACY, rollup="legacy")
    before = carriers.query(f"SELECT {loader.FINGERPRINT} FROM warehouse.fleet_airports").result_rows
    carriers.command("ALTER TABLE warehouse.carrier_flights DROP PARTITION ('2013-06-13', 'DL')")
    with pytest.raises(loader.ValidationError, match=r"fleet_airports: [0-9]+ flights, the carriers have [0-9]+"):
        publish(carriers, "airports", LEGACY, rollup="legacy")
    assert carriers.query(f"SELECT {loader.FINGERPRINT} FROM warehouse.fleet_airports").result_rows == before
