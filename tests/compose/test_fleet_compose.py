"""Question 4 on the docker compose stack: the headline's part of the fleet on Celery workers and a ClickHouse server."""

from datetime import date

import pytest

from answers.operate.fleet import failed_tasks, start_day, watch_day
from include.fleet.model import load_fleet
from support import expected, fleet

pytestmark = [pytest.mark.compose, pytest.mark.timeout(1800)]

DAY = date(2013, 6, 13)
FLEET = load_fleet()


@pytest.mark.claim("4.1")
@pytest.mark.claim("4.6")
def test_a_part_of_the_fleet_equals_pandas(stack):
    members = FLEET.members_needed("headline")
    start_day(stack.airflow, members, DAY)
    *_, states = watch_day(stack.airflow, members, DAY, 600)
    assert {each.state for each in states} == {"success"}, failed_tasks(stack.airflow, states)
    carriers = FLEET.carriers_of("headline")
    flights = stack.sql(f"SELECT * FROM warehouse.carrier_flights WHERE flight_date = '{DAY}'")
    wanted = expected.flights(str(DAY), str(DAY))
    expected.assert_equal(flights, wanted[wanted["carrier"].isin(carriers)], expected.FLIGHT_KEY)
    airports = stack.sql(f"SELECT * FROM warehouse.fleet_airports WHERE flight_date = '{DAY}' AND rollup = 'headline'")
    expected.assert_equal(airports, fleet.totals(str(DAY), carriers, ["origin"])[fleet.AIRPORTS], ["origin"])
    assert len(airports) == 3
