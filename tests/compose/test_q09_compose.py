"""Question 9 on the docker compose stack: the same DAG, with the connections that the parameter store's container has."""

from datetime import date

import pytest

from support import expected

pytestmark = [pytest.mark.compose, pytest.mark.timeout(1800)]

Q09 = "q09_refunds"
DAY, DUE = "2013-06-13", "2013-07-03T23:00:00-04:00"


@pytest.mark.claim("9.1")
@pytest.mark.claim("9.2")
def test_on_celery_the_notices_have_the_clock_of_their_run(stack):
    stack.wait_for_dag()
    parts = f"system.parts WHERE active AND database = 'warehouse' AND table = 'flights' AND partition = '{DAY}'"
    if stack.sql(f"SELECT count() AS parts FROM {parts}")["parts"][0] == 0:
        stack.wait_for_success(stack.start_day(DAY))
    before = len(stack.webhooks("/refunds"))
    run_id = stack.airflow.start(stack.airflow.find_dag("q09"), date.fromisoformat(DAY), {"now": DUE})
    *_, (run,) = stack.airflow.watch(Q09, [run_id], 300)
    assert run.state == "success", run
    found = [each["body"] for each in stack.webhooks("/refunds")[before:]]
    flights = expected.flights(DAY, DAY)
    counts = flights.assign(late=flights["arr_delay"] >= 180).groupby("carrier")[["cancelled", "late"]].sum()
    wanted = {carrier: (row.cancelled, row.late) for carrier, row in counts.iterrows() if row.cancelled or row.late}
    assert {each["carrier"]: (each["cancelled"], each["late"]) for each in found} == wanted
    assert {each["days_left"] for each in found} == {0}
