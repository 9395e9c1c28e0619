"""Question 1 on the docker compose stack: Celery workers, Spark standalone, ClickHouse server."""

import re

import httpx
import pytest

from include.flights.warehouse import FINGERPRINT, KEYS
from support import expected

# The first test also waits for image, containers and health.
pytestmark = [pytest.mark.compose, pytest.mark.timeout(1800)]

SUMMER = "2013-06-13"  # thunderstorms: 95 flights cancelled
CLOCK_CHANGE = "2013-03-10"  # 23 hours long in New York


@pytest.fixture(scope="session")
def runs(stack):
    """The two days, run once, at the same time: {day: run id}."""
    stack.wait_for_dag()
    started = {day: stack.start_day(day) for day in (SUMMER, CLOCK_CHANGE)}
    for run in started.values():
        stack.wait_for_success(run)
    return started


def contents(stack, day):
    """All columns of all tables for a day: {table: (rows, hash)}."""
    query = f"SELECT {FINGERPRINT} FROM warehouse.{{}} WHERE flight_date = '{day}'"
    return {table: tuple(stack.sql(query.format(table)).iloc[0]) for table in KEYS}


def test_every_service_is_healthy_and_pages_are_published_on_loopback_only(stack):
    services = {container["Service"]: container for container in stack.services()}
    init = services.pop("airflow-init")
    assert (init["State"], init["ExitCode"]) == ("exited", 0)
    assert {name: container["Health"] for name, container in services.items()} == dict.fromkeys(services, "healthy")
    assert len(services) == 20
    published = {
        (name, port["URL"], port["TargetPort"])
        for name, container in services.items()
        for port in container["Publishers"]
        if port["PublishedPort"]
    }
    assert published == {
        ("airflow-api-server", "127.0.0.1", 8080),
        ("prometheus", "127.0.0.1", 9090),
        ("maildev", "127.0.0.1", 1080),
        ("clickhouse", "127.0.0.1", 8123),  # of the tests alone: tests/compose/client.py
    }
    assert stack.published("airflow-api-server", 8080) == stack.url


def test_the_ui_port_refuses_strangers_and_wrong_passwords(stack):
    assert httpx.get(f"{stack.url}/api/v2/dags").status_code == 401
    forged = {"Authorization": "Bearer made.up.token"}
    assert httpx.get(f"{stack.url}/api/v2/dags", headers=forged).status_code in (401, 403)
    guess = {"username": "admin", "password": "admin"}
    assert httpx.post(f"{stack.url}/auth/token", json=guess).status_code == 401


def test_no_container_can_change_the_project(stack):
    for folder in ("answers", "config", "dags", "include", "plugins"):
        for service in ("airflow-worker", "airflow-dag-processor"):
            attempt = f"touch /opt/airflow/{folder}/intruder 2>&1 && echo written || true"
            assert b"Read-only file system" in stack.run("exec", "-T", service, "sh", "-c", attempt)


def test_all_dags_are_imported(stack):
    stack.wait_for_dag()
    assert stack.airflow.import_errors() == []


@pytest.mark.parametrize("day", [SUMMER, CLOCK_CHANGE])
def test_a_day_equals_an_independent_computation(stack, runs, day):
    flights = expected.assert_published(stack.sql, day, day)
    features = stack.sql(f"SELECT * FROM warehouse.delay_features WHERE flight_date = '{day}'")
    late = expected.flights(day, day)["arr_delay"].dropna() > 15
    assert (len(features), features["late"].sum()) == (len(flights), late.sum())


def test_tasks_run_on_celery_and_the_transformation_on_the_spark_cluster(stack, runs):
    worker = stack.run("exec", "-T", "airflow-worker", "hostname").decode().strip()
    assert {task["hostname"] for task in stack.tasks(runs[SUMMER])} == {worker}
    log = stack.log(runs[SUMMER], "transform")
    assert "spark://spark-master:7077" in log
    # The master knows the application that the task's log names.
    applications = {application["id"]: application for application in stack.spark_applications()}
    [name] = set(re.findall(r"app-\d{14}-\d{4}", log))
    application = applications[name]
    assert (application["state"], application["cores"]) == ("FINISHED", 1)


def test_a_cleared_run_leaves_identical_contents(stack, runs):
    days = "SELECT DISTINCT toString(flight_date) AS day FROM warehouse.flights ORDER BY day"
    published = list(stack.sql(days)["day"])
    before = contents(stack, SUMMER)
    assert before["flights"][0] == len(expected.flights(SUMMER, SUMMER))
    assert stack.start_day(SUMMER) == runs[SUMMER]
    stack.wait_for_success(runs[SUMMER])
    assert {task["try_number"] for task in stack.tasks(runs[SUMMER])} == {2}
    assert contents(stack, SUMMER) == before
    assert list(stack.sql(days)["day"]) == published


def test_no_secret_is_in_any_log(stack, runs):
    logs = stack.run("logs", "--no-color").decode(errors="replace")
    logs += "".join(stack.log(run, task["task_id"]) for run in runs.values() for task in stack.tasks(run))
    assert len(logs) > 10_000
    secrets = {key: value for key, value in stack.settings.items() if key != "UI_PORT"}
    assert [key for key, value in secrets.items() if value in logs] == []
