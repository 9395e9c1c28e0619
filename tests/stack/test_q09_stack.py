"""Question 9's third tier: the DAG on a live stack, where only the clock is not the real one."""

from datetime import date

import httpx
import pytest

from support import expected, wait_for

Q01, Q09 = "q01_flights_to_clickhouse", "q09_refunds"
DAY, DUE, OVERDUE = "2013-06-13", "2013-07-03T23:00:00-04:00", "2013-07-04T00:00:00-04:00"


def finish(stack, dag_id: str, run_id: str, patience: float = 300):
    *_, (run,) = stack.airflow.watch(dag_id, [run_id], patience)
    return run


@pytest.fixture(scope="module", autouse=True)
def published(stack):
    """DAY is published (the tests of question 1 may have done so)."""
    wait_for("q09 to be parsed", lambda: Q09 in stack.airflow.dag_ids())
    there = stack.sql("SELECT name FROM system.tables WHERE database = 'warehouse' AND name = 'flights'")
    if not (there and stack.sql(f"SELECT 1 FROM warehouse.flights WHERE flight_date = '{DAY}' LIMIT 1")):
        assert finish(stack, Q01, stack.airflow.start(Q01, date.fromisoformat(DAY))).state == "success"


def run(stack, now: str):
    """A new run of DAY by this clock: (the run, the notices that came of it)."""
    run_id = f"answers__{DAY}"
    stack.airflow.delete_run(Q09, run_id)
    before = len(notices(stack))
    assert stack.airflow.start(Q09, date.fromisoformat(DAY), {"now": now}) == run_id
    return finish(stack, Q09, run_id), notices(stack)[before:]


def catcher(stack) -> str:
    return f"http://127.0.0.1:{stack.settings.ports['catcher']}"


def notices(stack) -> list[dict]:
    found = httpx.get(f"{catcher(stack)}/messages", params={"path": "/refunds"}, trust_env=False).json()
    return [each["body"] for each in found]


@pytest.mark.claim("9.1")
@pytest.mark.claim("9.2")
def test_the_notices_of_a_live_run_have_its_clock(stack):
    done, found = run(stack, DUE)
    assert done.state == "success"
    flights = expected.flights(DAY, DAY)
    counts = flights.assign(late=flights["arr_delay"] >= 180).groupby("carrier")[["cancelled", "late"]].sum()
    wanted = {carrier: (row.cancelled, row.late) for carrier, row in counts.iterrows() if row.cancelled or row.late}
    assert {each["carrier"]: (each["cancelled"], each["late"]) for each in found} == wanted
    assert {each["days_left"] for each in found} == {0}


@pytest.mark.claim("9.1")
def test_a_receiver_that_refuses_is_asked_again_and_knows_each_notice_by_its_id(stack):
    told = {"path": "/refunds", "code": 503, "times": 1}
    httpx.put(f"{catcher(stack)}/behaviour", json=told, trust_env=False).raise_for_status()
    done, found = run(stack, OVERDUE)
    tried = done.tasks["tell_airlines"][:2]
    last = stack.airflow.log(Q09, done.run_id, "tell_airlines", max(tried[1] - 1, 1))
    assert (done.state, tried) == ("success", ("success", 2)), last[-3000:]
    ids = [each["id"] for each in found]
    assert len(ids) == 2 * len(set(ids)) - 1, "all but the refused one came twice"
    assert {each["days_left"] for each in found} == {-1}
