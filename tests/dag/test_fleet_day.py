"""Runs a carrier's day of the fleet in this process, after a day before it that failed or succeeded."""

import re
from datetime import date, timedelta

import pytest

from include.fleet.model import load_fleet
from include.flights.feed import default_feed
from support import expected, open_warehouse

DAY = "2013-06-13"
FLEET = load_fleet()


BROKEN = {"flights": lambda text: re.sub(r"(?m)^(2013,.*,US,.*,)\d+(,\d+,\d+,2013-)", r"\1far\2", text, count=1)}


@pytest.mark.claim("4.1")
@pytest.mark.claim("4.6")
@pytest.mark.timeout(120)
def test_a_carriers_day_is_moved_though_the_day_before_it_failed(run_day, warehouse, make_feed):
    """Only the same date counts."""
    warehouse.close()
    day_before = str(date.fromisoformat(DAY) - timedelta(days=1))
    state, _, _ = run_day("q04_fleet", day_before, make_feed(day_before, **BROKEN), dag_id="fleet_ingest_US")
    assert state == "failed"
    state, _, _ = run_day("q04_fleet", DAY, default_feed(), dag_id="fleet_ingest_US")
    assert state == "success"
    state, tasks, _ = run_day("q04_fleet", DAY, dag_id="fleet_transform_US")
    assert state == "success", tasks
    with open_warehouse() as client:
        flights = client.query_df("SELECT * FROM warehouse.carrier_flights")
        wanted = expected.flights(DAY, DAY).query("carrier == 'US'")
        expected.assert_equal(flights, wanted, expected.FLIGHT_KEY)


@pytest.mark.claim("4.6")
@pytest.mark.timeout(120)
def test_when_the_upstream_failed_the_sensor_fails_at_once_though_the_day_before_succeeded(run_day, make_feed):
    day_before = str(date.fromisoformat(DAY) - timedelta(days=1))
    assert run_day("q04_fleet", day_before, default_feed(), dag_id="fleet_ingest_US")[0] == "success"
    state, tasks, _ = run_day("q04_fleet", DAY, make_feed(DAY, **BROKEN), dag_id="fleet_ingest_US")
    assert (state, tasks["land"][0], tasks["done"][0]) == ("failed", "failed", "upstream_failed")
    state, tasks, _ = run_day("q04_fleet", DAY, dag_id="fleet_transform_US")
    assert FLEET.settings.sensor_timeout > 600, "it has not waited for that: the test would have been ended before"
    assert (state, tasks["wait_for_ingest_US"][0]) == ("failed", "failed")
    assert tasks["transform"][0] == "upstream_failed"
