"""Question 9 on the docker compose stack: the same DAG, with the connections that the parameter store's container has."""

import subprocess
from datetime import date

import httpx
import pytest

from answers.proof.catalog import load_questions
from support import PROJECT, expected

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


def reader(stack) -> httpx.Client:
    """A client of the Answers page that has signed in as admin."""
    sign_in = {"username": "admin", "password": stack.settings["ADMIN_PASSWORD"]}
    token = httpx.post(f"{stack.url}/auth/token", json=sign_in).raise_for_status().json()["access_token"]
    return httpx.Client(base_url=f"{stack.url}/answers/", headers={"Authorization": f"Bearer {token}"})


@pytest.mark.claim("6.8")
@pytest.mark.claim("9.7")
def test_the_image_serves_the_answers_page_and_calls_nothing_proven(stack):
    """No test has run in a container, whatever was proven elsewhere."""
    assert httpx.get(f"{stack.url}/answers/").status_code == 303
    assert httpx.get(f"{stack.url}/answers/api/questions").status_code == 401
    with reader(stack) as client:
        assert client.get("").status_code == 200
        overview = client.get("api/questions").raise_for_status().json()
        assert overview["note"].startswith("Not proven here")
        assert {each["id"]: each["state"] for each in overview["questions"]} == {
            each.id: "not proven" for each in load_questions()
        }
        evidence = client.get("api/evidence/q09").raise_for_status().json()
    assert evidence["dags"] == [Q09]


@pytest.mark.claim("6.8")
def test_the_image_has_the_page_and_nothing_that_tells_a_mistake_or_a_solution(stack):
    (image,) = {each["Image"] for each in stack.services() if each["Service"] == "airflow-api-server"}
    command = [
        "docker",
        "run",
        "--rm",
        "--network",
        "none",
        "--entrypoint",
        "find",
        image,
        "/opt/airflow",
        "-type",
        "f",
    ]
    found = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    names = {name.removeprefix("/opt/airflow/") for name in found}
    mine = [*(PROJECT / "answers/page").rglob("*"), *(PROJECT / "include/questions").glob("*.yaml")]
    wanted = {file.relative_to(PROJECT).as_posix() for file in mine if file.is_file() and file.suffix != ".pyc"}
    assert wanted <= names
    assert {name.partition("/")[0] for name in names} <= {"answers", "config", "dags", "include", "plugins"}
    assert [name for name in names if name.rpartition("/")[2] in (".env", "secrets.env", "prove.json")] == []
