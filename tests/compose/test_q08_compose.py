"""Question 8 on the docker compose stack: Slack and maildev, kills on a Celery worker, rollbacks on a ClickHouse server."""

import inspect
import json
import threading
from datetime import date

import pytest

from support import PROJECT, death_table, expected, wait_for

pytestmark = [pytest.mark.compose, pytest.mark.timeout(1800)]

Q08 = "q08_recovery"
DAY = "2013-07-09"
FEED = "/opt/airflow/data/feed_without_an_airline"
MEASURED = json.loads((PROJECT / "bench/results/failure_matrix.json").read_text())["result"]
# The first table is restored; then it waits until the server is gone, as a rollback that meets a crash would.
INTERRUPTED = f"""
from include.flights import versions, warehouse
from include.waiting import wait_until
real = versions.replace_partition
def interrupted(client, *args):
    real(client, *args)
    print("the first table is restored", flush=True)
    wait_until(lambda: not client.ping(), 60, "the server to be gone", pause=0.1)
versions.replace_partition = interrupted
from answers.cli.app import app
app(["rollback", "--date", "{DAY}"])
"""


@pytest.fixture(scope="module")
def killed(stack) -> str:
    """Two deaths of the matrix, started before all else: a deadline takes half a minute, a lost worker longer."""
    for scenario in ("sigkill", "sigkill_worker"):
        stack.airflow.find_dag(f"q08_matrix_{scenario}", patience=120)
        assert stack.airflow.trigger(f"q08_matrix_{scenario}", "killed")
    return "killed"


def python(stack, code: str, *arguments: str, check: bool = True) -> str:
    return stack.run("exec", "-T", "airflow-worker", "python", "-c", code, *arguments, check=check).decode()


def answers(stack, *arguments: str) -> dict:
    command = ("python", "-m", "answers", *arguments, "--json")
    return json.loads(stack.run("exec", "-T", "airflow-worker", *command).decode().splitlines()[-1])


def finish(stack) -> object:
    run_id = stack.airflow.start(Q08, date.fromisoformat(DAY))
    *_, (run,) = stack.airflow.watch(Q08, [run_id], 240)
    return run


def assert_live(stack, lost: tuple = ()) -> None:
    for table, wanted, key in (
        ("flights", expected.flights(DAY, DAY), expected.FLIGHT_KEY),
        ("daily_delays", expected.daily_delays(DAY, DAY), expected.DAILY_DELAYS_KEY),
    ):
        actual = stack.sql(f"SELECT * FROM warehouse.{table} WHERE flight_date = '{DAY}'")
        expected.assert_equal(actual, wanted[~wanted["carrier"].isin(lost)], key)


@pytest.fixture(scope="module")
def taken_back(stack, killed):
    """A good day, and the same from a feed that lost an airline."""
    assert finish(stack).state == "success"
    before = stack.airflow.variable("flights_feed")

    def point(feed: str) -> None:
        stack.airflow.set_variable("flights_feed", feed)

    code = "import datetime, pathlib, sys; from answers.demo.q08 import feed_without; "
    code += "feed_without('UA', datetime.date.fromisoformat(sys.argv[1]), pathlib.Path(sys.argv[2]))"
    python(stack, code, DAY, FEED)
    point(FEED)
    try:
        return finish(stack)
    finally:
        point(before)


@pytest.mark.claim("8.1")
@pytest.mark.claim("8.4")
def test_an_implausible_day_is_taken_back_and_told_on_slack_and_by_e_mail(stack, taken_back):
    run = taken_back
    assert (run.state, run.tasks["check"][0], run.tasks["rollback"][0]) == ("failed", "failed", "success")
    assert_live(stack)
    what = f"run: {run.run_id}\n"
    (text,) = [
        each["body"]["text"]
        for each in stack.webhooks("/slack/services/T000/B000/catcher")
        if what in each["body"]["text"]
    ]
    (mail,) = [each for each in stack.mails() if each["subject"] == "q08_recovery check failed"]
    assert mail["to"][0]["address"] == "data-platform@example.org"
    port = stack.settings["UI_PORT"]
    link = f"http://localhost:{port}/dags/{Q08}/runs/{run.run_id}/tasks/check?try_number=2"
    for fact in ("DAG: q08_recovery", "task: check", "try: 2 of ", "next try: none", "owner: data-platform", link):
        assert fact in text
        assert fact in mail["html"]


@pytest.mark.claim("8.4")
def test_a_server_that_is_killed_in_the_middle_of_a_rollback_costs_a_second_command(stack, taken_back):
    assert answers(stack, "rollback", "--date", DAY, "--undo")["to"] == 2
    assert_live(stack, ("UA",))
    said = []
    rolling = threading.Thread(target=lambda: said.append(interrupted(stack)))
    rolling.start()
    try:
        live = f"SELECT count() AS rows FROM warehouse.flights WHERE flight_date = '{DAY}'"
        whole = len(expected.flights(DAY, DAY))
        wait_for("the first table's restoration", lambda: stack.sql(live)["rows"].iloc[0] == whole)
        stack.run("kill", "--signal", "KILL", "clickhouse")
        rolling.join(120)
    finally:
        stack.run("up", "--detach", "--wait", "--no-recreate", "clickhouse")
    assert "run the same command again to complete the rollback" in " ".join(said[0].split())
    with pytest.raises(AssertionError):
        assert_live(stack)
    assert answers(stack, "rollback", "--date", DAY)["action"] == "repair"
    assert_live(stack)


def interrupted(stack) -> str:
    """Return what a rollback says whose server goes away; it must fail."""
    try:
        stack.run("exec", "-T", "airflow-worker", "python", "-c", INTERRUPTED)
    except AssertionError as error:
        return str(error)
    return "it succeeded"


@pytest.mark.claim("8.5")
@pytest.mark.parametrize("scenario", ["sigkill", "sigkill_worker"])
def test_a_kill_on_a_celery_worker_is_noticed_as_on_the_embedded_stack(stack, killed, scenario):
    dag_id = f"q08_matrix_{scenario}"
    code = inspect.getsource(death_table)  # the image has no tests
    code += "\nimport json, sys\nprint(json.dumps(observed_effects(Path('/opt/airflow/data'), *sys.argv[1:])))"
    wanted = MEASURED[scenario]["effects"]

    def observed() -> dict:
        return json.loads(python(stack, code, dag_id, killed).splitlines()[-1])

    wait_for("the death to be noticed", lambda: set(observed()) >= set(wanted), patience=180, pause=2)
    run = stack.airflow.run(dag_id, killed)
    assert (run.state, observed()) == (MEASURED[scenario]["state"], wanted)
