"""The command and its client against a real API server on the scratch database. No scheduler: the test says what ends."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from datetime import date
from fnmatch import fnmatch

import httpx
import jwt
import pytest
from rich.console import Console
from typer.testing import CliRunner

from answers.cli import app as cli
from answers.demo import Demo, q02
from answers.operate import audit, sla_history
from answers.operate import fleet as fleet_run
from answers.stack.client import Airflow, ApiError
from answers.stack.settings import Settings
from include.fleet.model import load_fleet
from include.flight_status import broker, process
from support import HOME, PROJECT, catching, open_warehouse, wait_for
from support.api_server import running_server

Q02, Q09, DAY = "q02_daily_punctuality_report", "q09_refunds", date(2013, 6, 13)
FLEET = load_fleet()


@pytest.fixture(scope="module")
def server(metadata_database, tmp_path_factory):
    """The address of an API server that knows the DAGs of questions 2, 4, 5 and 9."""
    files = [PROJECT / "dags" / f"{name}.py" for name in ("q04_fleet", Q02, "q05_kafka_events", Q09)]
    with running_server(tmp_path_factory.mktemp("api"), files) as server:
        yield server.url


@pytest.fixture
def airflow(server, monkeypatch):
    """A client, as the command makes one."""
    monkeypatch.setenv("ANSWERS_API_URL", server)
    monkeypatch.setenv("ANSWERS_API_PASSWORD", Settings.load().secrets["ADMIN_PASSWORD"])
    monkeypatch.setenv("COLUMNS", "300")
    client = Airflow()
    yield client
    for dag_id in (each for each in client.dag_ids() if client.runs(each)):
        for run in client.runs(dag_id):
            client.delete_run(dag_id, run["dag_run_id"])


def end(airflow, dag_id: str, run_id: str, state: str = "success") -> None:
    """End a run, as a person may in the UI. SQLite lets one write at a time: a server that is asked much says 500."""
    path = f"/dags/{dag_id}/dagRuns/{run_id}"
    body = {"state": state}
    wait_for("the write", lambda: airflow.request("PATCH", path, json=body, expect=(200, 500)).status_code == 200, 20)


def answers(*arguments: str, code: int = 0) -> str:
    done = CliRunner().invoke(cli.app, arguments)
    assert done.exit_code == code, f"{done.output}\n{done.exception!r}"
    return done.output


def test_a_wrong_password_and_a_server_that_is_gone_say_so(server):
    with pytest.raises(ApiError, match=r"signing in to .* was answered 401"):
        Airflow(server, "wrong").dag_ids()
    with pytest.raises(ApiError, match=r"does not answer .*: is the stack up\?"):
        Airflow("http://127.0.0.1:1", "x").request("POST", "/dags")


def test_a_token_that_has_expired_is_asked_for_again(airflow):
    airflow.dag_ids()
    token = airflow._http.headers["Authorization"].removeprefix("Bearer ")
    claims = jwt.decode(token, options={"verify_signature": False}) | {"exp": 1_000_000_000}
    old = jwt.encode(claims, os.environ["AIRFLOW__API_AUTH__JWT_SECRET"], jwt.get_unverified_header(token)["alg"])
    airflow._http.headers["Authorization"] = f"Bearer {old}"
    assert Q09 in airflow.dag_ids()
    assert airflow._http.headers["Authorization"] != f"Bearer {old}"


def test_every_dag_is_known_however_many_pages_there_are(airflow, monkeypatch):
    everything = airflow.dag_ids()
    assert {member.dag_id for member in load_fleet().members} | {Q02, Q09} <= set(everything)
    assert len(everything) == len(set(everything)) > 55
    monkeypatch.setattr("answers.stack.rest.PAGE", 7)
    assert airflow.dag_ids() == everything
    assert airflow.find_dag("q09") == Q09
    with pytest.raises(ApiError, match="no single DAG 'fleet' among"):
        airflow.find_dag("fleet", patience=0)


def test_a_day_is_started_with_its_interval_and_started_again_when_it_has_ended(airflow):
    run_id = airflow.start(Q09, DAY, {"now": "2013-07-03T12:00:00-04:00"})
    assert run_id == "answers__2013-06-13"
    detail = airflow.run_record(Q09, run_id)
    assert (detail["data_interval_start"], detail["data_interval_end"]) == (
        "2013-06-13T04:00:00Z",
        "2013-06-14T04:00:00Z",
    )
    assert airflow.start(Q09, DAY) == run_id, "it is under way"
    assert airflow.run(Q09, run_id).state == "queued"
    end(airflow, Q09, run_id)
    assert airflow.run(Q09, run_id).state == "success"
    assert list(airflow.run(Q09, run_id).tasks) == ["find_owed", "tell_airlines"], "upstream first"
    assert airflow.start(Q09, DAY) == run_id
    assert airflow.run(Q09, run_id).state == "queued", "it runs again"


def test_the_command_watches_until_the_end_and_fails_with_the_run(airflow):
    for state, code in (("success", 0), ("failed", 1)):
        run_id = airflow.start(Q09, DAY)
        process = subprocess.Popen(
            [sys.executable, "-m", "answers", "run", "q09", "--date", str(DAY), "--json"],
            cwd=PROJECT,
            stdout=subprocess.PIPE,
            text=True,
        )

        def ended(process=process, run_id=run_id, state=state) -> bool:
            end(airflow, Q09, run_id, state)  # the command starts it again where it comes later
            return process.poll() is not None

        wait_for("the command to end", ended)
        (told,) = json.loads(process.communicate()[0])
        assert (process.returncode, told["run_id"], told["state"]) == (code, run_id, state)


def test_a_run_that_does_not_end_is_told_after_a_while(airflow):
    assert "not finished after 1 s: answers__2013-06-13" in answers(
        "run", Q09, "--date", str(DAY), "--timeout", "1", code=1
    )


def test_a_bad_param_is_refused_with_its_reason(airflow):
    with pytest.raises(ApiError, match=r"answered 400: .*Invalid input for param now"):
        airflow.start(Q09, DAY, {"now": "yesterday"})


def test_an_xcom_is_read_and_a_missing_log_is_an_error_in_words(airflow):
    run_id = airflow.start(Q09, DAY)
    path = f"/dags/{Q09}/dagRuns/{run_id}/taskInstances/find_owed/xcomEntries"
    airflow.request("POST", path, json={"key": "return_value", "value": [{"carrier": "UA"}]})
    assert airflow.xcom(Q09, run_id, "find_owed") == [{"carrier": "UA"}]
    with pytest.raises(ApiError, match="answered 404"):
        airflow.xcom(Q09, run_id, "tell_airlines")


def test_a_day_of_the_fleet_is_started_joined_and_watched_to_its_end(airflow):
    members = [each for each in FLEET.members_needed("headline") if each.dated]
    assert not fleet_run.start_day(airflow, members, DAY)
    assert fleet_run.start_day(airflow, members, DAY), "it is under way: joined"
    looks = fleet_run.watch_day(airflow, members, DAY, 60)
    assert {each.state for each in next(looks)} <= {"queued", "none"}
    for member in members:
        end(airflow, member.dag_id, "answers__2013-06-13", "failed" if fnmatch(member.dag_id, "*_EV") else "success")
    *_, states = looks
    found = {each.member.dag_id: each.state for each in states}
    assert found["fleet_ingest_UA"] == found["fleet_rollup_headline"] == "success"
    assert found["fleet_ingest_EV"] == "failed"
    assert fleet_run.failed_tasks(airflow, states) == []
    done = CliRunner().invoke(
        cli.app, ["fleet", "run", "--date", str(DAY), "--for", "headline", "--timeout", "1", "--json"]
    )
    assert done.exit_code == 1, "started again, and not finished"
    assert "not finished after 1 s" in done.output


def test_the_command_tells_a_day_of_the_fleet_and_what_failed_first(airflow):
    """Nobody reports where no transform has ended well: no event comes."""
    members = {each.dag_id: each for each in FLEET.members_needed("headline")}
    run_id, broken = f"answers__{DAY}", "fleet_transform_UA"
    fleet_run.start_day(airflow, list(members.values()), DAY)
    (waits, *_) = [task for task in airflow.run(broken, run_id).tasks if task.startswith("wait_for_")]
    path = f"/dags/{broken}/dagRuns/{run_id}/taskInstances/{waits}"
    airflow.request("PATCH", path, json={"new_state": "failed"})
    *_, last = dated = [dag_id for dag_id, member in members.items() if member.dated]
    for dag_id in dated[:-1]:
        end(airflow, dag_id, run_id, "success" if members[dag_id].layer == "ingest" else "failed")
    command = [sys.executable, "-m", "answers", "fleet", "run", "--date", str(DAY), "--for", "headline"]
    process = subprocess.Popen(command, cwd=PROJECT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stderr.readline() == f"{DAY} is under way: watching it\n"

    def ended() -> bool:
        end(airflow, last, run_id, "failed")
        return process.poll() is not None

    wait_for("the command to end", ended)
    told, errors = process.communicate()
    assert process.returncode == 1
    assert f"{broken} {waits} failed at try" in errors
    ingested = [dag_id for dag_id, member in members.items() if member.layer == "ingest"]
    assert f"{DAY}: {len(ingested)} of {len(members)} DAGs succeeded in" in told
    assert all(f"{dag_id}: success" in told for dag_id in ingested)
    assert "fleet_report_UA: no event" in told


def test_a_history_is_read_as_it_is_judged(airflow):
    run_id = airflow.start(Q02, DAY)
    end(airflow, Q02, run_id)
    (run,) = sla_history.runs_of(airflow, Q02)
    assert (run.dag_id, run.state, run.start.isoformat()) == (Q02, "success", "2013-06-13T04:00:00+00:00")
    assert sla_history.deadline_interval(airflow, {"variable": "q02_report_within"}).total_seconds() == 1800
    assert sla_history.deadline_interval(airflow, 60).total_seconds() == 60
    told = json.loads(answers("sla", "--dag", Q02, "--from", "2013-06-13", "--to", "2013-06-14", "--json"))
    assert told[-1]["scheduled"] == 2
    assert told[-1]["missing"] == 1
    picture = HOME / "sla.png"
    told = answers("sla", "--dag", Q02, "--from", "2013-06-13", "--to", "2013-06-14", "--plot", str(picture))
    assert "2013-W24" in told
    assert "all" in told
    assert "0.00%" in told, "it ended years after its deadline"
    assert picture.read_bytes().startswith(b"\x89PNG")


# -- Kafka, by way of the API


@pytest.mark.claim("5.2")
def test_messages_become_runs_and_the_audit_follows_them_to_their_xcom(airflow, kafka, warehouse):
    process.create_tables(warehouse)
    warehouse.close()  # the command opens it
    topic, (dag_id, task_id) = broker.WAYS["webhook"], audit.DAGS["webhook"]
    answers("kafka", "produce", "--way", "webhook", "--count", "3")
    assert "3 relayed" in answers("kafka", "relay", "--most", "3", "--batch", "2", "--wait", "200")
    runs = airflow.runs(dag_id)
    slices = [
        broker.Slice(topic, run["conf"]["partition"], run["conf"]["offset"], run["conf"]["last"] + 1) for run in runs
    ]
    assert sum(each.stop - each.start for each in slices) == 3

    def account(code: int) -> dict:
        return {each["way"]: each for each in json.loads(answers("kafka", "audit", "--json", code=code))}["webhook"]

    assert (account(1)["lag"], account(1)["lost"]) == (3, []), "their runs have not ended"
    for run, handled in zip(runs, slices, strict=True):
        with open_warehouse() as client:
            done = process.process_slices(kafka.options, client, [handled], f"{dag_id}/{run['dag_run_id']}")
        end(airflow, dag_id, run["dag_run_id"])
        path = f"/dags/{dag_id}/dagRuns/{run['dag_run_id']}/taskInstances/{task_id}/xcomEntries"
        if run is not runs[-1]:
            airflow.request("POST", path, json={"key": "return_value", "value": done})
    assert (account(1)["applied"], account(1)["untracked"], account(1)["lag"]) == (3, handled.stop - handled.start, 0)
    airflow.request("POST", path, json={"key": "return_value", "value": done})
    assert account(0)["clean"]


# -- what the demonstration asks


@pytest.fixture
def demo(airflow, tmp_path):
    """The demonstration on this server, and on a catcher; who watches a run ends it."""

    def shown(looks):
        for runs in looks:
            for run in (each for each in runs if not each.done):
                end(airflow, run.dag_id, run.run_id)
            yield runs

    with catching(tmp_path) as catcher:
        ours = Settings.load()
        settings = Settings(ours.home, ours.secrets, {"api": 1, "catcher": catcher.server_port})
        yield Demo(airflow, settings, Console(), [DAY], shown)


def test_the_demonstration_runs_days_and_names_what_failed(airflow, demo):
    assert demo.run(Q09, [DAY]) == ["answers__2013-06-13"]
    failing = replace(
        demo, shown=lambda looks: (end(airflow, Q09, "answers__2013-06-13", "failed") or each for each in looks)
    )
    with pytest.raises(ApiError, match=f"answers__2013-06-13 failed: see {airflow.url}/dags/{Q09}"):
        failing.run(Q09, [DAY])
    assert audit.runs_of_way(airflow, "webhook", "success") == []


def test_the_demonstration_sets_variables_and_reads_what_was_delivered(airflow, demo):
    before = airflow.variable("q07_feed")
    airflow.set_variable("q07_feed", "elsewhere")
    assert airflow.variable("q07_feed") == "elsewhere"
    airflow.set_variable("q07_feed", before)
    assert q02._notified_miss(demo, "answers__1999-01-01", "") is None
    address = f"http://127.0.0.1:{demo.settings.ports['catcher']}"
    for path in ("/partner", "/refunds", "/mail"):
        httpx.post(f"{address}{path}", json={"to": path}, trust_env=False).raise_for_status()
        assert demo.messages(path) == [{"to": path}]
