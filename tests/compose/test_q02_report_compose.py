"""Question 2's report on the docker compose stack: Celery workers run it, the triggerer's container notices that it is late."""

import json
from datetime import date

import pytest

from support import wait_for

pytestmark = [pytest.mark.compose, pytest.mark.timeout(1800)]

Q02 = "q02_daily_punctuality_report"
DAY = "2013-06-14"
FEED = "/opt/airflow/data/delivered/airlines.csv"
FIND = (
    "import json, pathlib; folder = pathlib.Path('/opt/airflow/data/deadline_misses');"
    "print(json.dumps([json.loads(file.read_text()) for file in folder.glob('*/[!.]*.json')]))"
)


def set_variable(stack, key: str, value: str) -> None:
    stack.airflow.set_variable(key, value)


def python(stack, service: str, code: str) -> str:
    return stack.run("exec", "-T", service, "python", "-I", "-c", code).decode().strip()


def recorded(stack, run: str) -> list[dict]:
    """The records of this run's misses, as a worker sees them."""
    return [each for each in json.loads(python(stack, "airflow-worker", FIND)) if each["run_id"] == run]


def notified(stack, run: str) -> list[dict]:
    return [each["body"] for each in stack.webhooks("/deadline") if each["body"]["run_id"] == run]


def finish(stack, run: str) -> str:
    *_, (seen,) = stack.airflow.watch(Q02, [run], 300)
    return seen.state


def deliver(stack, register: str) -> None:
    """Bring the register of airlines to FEED, whole."""
    part = f"{FEED}.part"
    code = (
        f"import os, shutil; os.makedirs(os.path.dirname({FEED!r}), exist_ok=True); shutil.copy({register!r}, {part!r})"
    )
    python(stack, "airflow-worker", f"{code}; os.replace({part!r}, {FEED!r})")


@pytest.fixture(scope="module")
def variables(stack):
    """The two Variables of the report, put back at the end; its day is published."""
    stack.wait_for_dag()
    stack.wait_for_success(stack.start_day(DAY))
    before = {key: stack.airflow.variable(key) for key in ("airlines_feed", "q02_report_within")}
    yield before
    for key, value in before.items():
        set_variable(stack, key, value)


@pytest.mark.claim("2.1")
@pytest.mark.claim("2.5")
def test_a_late_run_is_recorded_and_notified_once_and_a_punctual_one_never(stack, variables):
    set_variable(stack, "q02_report_within", "1")
    set_variable(stack, "airlines_feed", f"file://{FEED}")
    late = stack.airflow.start(Q02, date.fromisoformat(DAY))
    wait_for("the late run's notification", lambda: notified(stack, late))
    assert stack.airflow.run(Q02, late).tasks["wait_for_airlines"][0] == "deferred"
    deliver(stack, variables["airlines_feed"].removeprefix("file://"))
    assert finish(stack, late) == "success"

    # The day that is not published fails long before its deadline, which is the last of all.
    set_variable(stack, "q02_report_within", "45")
    failed = stack.airflow.start(Q02, date(2013, 12, 30))
    assert finish(stack, failed) == "failed"
    wait_for("the failed run's notification", lambda: notified(stack, failed))
    for run, state in ((late, "running"), (failed, "failed")):
        (record,), (message,) = recorded(stack, run), notified(stack, run)
        assert message == record
        assert (record["state"], record["owner"]) == (state, "flight-reports")


@pytest.mark.claim("2.1")
def test_a_punctual_run_is_not_notified(stack, variables):
    set_variable(stack, "airlines_feed", variables["airlines_feed"])
    set_variable(stack, "q02_report_within", "60")
    day = "2013-06-15"
    stack.wait_for_success(stack.start_day(day))
    punctual = stack.airflow.start(Q02, date.fromisoformat(day))
    assert finish(stack, punctual) == "success"
    set_variable(stack, "q02_report_within", "70")  # a later deadline than the punctual run's
    failed = stack.airflow.start(Q02, date(2013, 12, 29))
    wait_for("the failed run's notification", lambda: notified(stack, failed), patience=180)
    assert recorded(stack, punctual) == notified(stack, punctual) == []


@pytest.mark.claim("2.6")
def test_answers_sla_judges_the_history_in_a_container(stack, variables):
    environment = ("-e", "ANSWERS_API_URL=http://airflow-api-server:8080")
    password = ("-e", f"ANSWERS_API_PASSWORD={stack.settings['ADMIN_PASSWORD']}")
    command = ("python", "-m", "answers", "sla", "--json", "--dag", Q02, "--from", DAY, "--to", DAY)
    done = stack.run("exec", "-T", *environment, *password, "airflow-worker", *command)
    *_, total = json.loads(done.decode().splitlines()[-1])
    assert (total["late"], total["scheduled"]) == (1, 1)
    kept = stack.sql(f"SELECT late, scheduled FROM warehouse.sla_compliance WHERE dag_id = '{Q02}'")
    assert kept.to_numpy().tolist() == [[1, 1]]
