"""Shows what the Answers page says of runs: from a scratch database and from files, for one user, in three queries."""

import json
import os
import shutil
import socket
import subprocess
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from support.answers_page import api_server, token
from support.tiny_project import Project

HOSTILE = "<script>alert(1)</script>"
SAYS = "{n} counts of {day}: {BOEING} seats of Boeing"
COUNTED = {"task": "count", "show": ["BOEING"], "says": SAYS}
KEPT = {"file": "kept/*.json", "show": ["of.run"], "says": "{n} kept, the last of {of.run}"}


@pytest.fixture(scope="module")
def airflow(metadata_database):
    with api_server() as client:
        yield client


@pytest.fixture(scope="module")
def of_one_question(airflow, tmp_path_factory):
    """A client of a page with one question, whose DAG is q10_canary.py."""
    from answers.page.app import build
    from answers.page.data import Site

    project = Project(tmp_path_factory.mktemp("tiny"))
    claims = [project.claim("1.1") | {"evidence": [COUNTED, COUNTED | {"at_least": 2, "says": "twice"}, KEPT]}]
    project.write_question(claims=claims, dag="q10_canary.py")
    root = FastAPI()
    root.mount("/answers", build(Site(project.root)))
    return TestClient(root)


def row(run_id: str, state: str, after: datetime) -> dict:
    """A row of the table of runs."""
    about = {"dag_id": "q10_canary", "run_id": run_id, "run_type": "manual", "state": state, "run_after": after}
    return about | {"clear_number": 0, "log_template_id": None}


def store(rows: list[dict]) -> None:
    """Put runs into the table as they are: Airflow itself would refuse some names."""
    from airflow import settings
    from airflow.models import DagRun
    from sqlalchemy import insert

    with settings.engine.begin() as connection:
        connection.execute(insert(DagRun.__table__), rows)


@pytest.fixture(scope="module")
def ran(of_one_question, dag_of):
    """A run of q10_canary, and one more with a hostile name that has only begun."""
    dag = dag_of("q10_canary")
    done = dag.test(logical_date=datetime(2013, 6, 14, 4, tzinfo=UTC))
    assert str(done.state) == "success"
    began = datetime(2013, 6, 13, 4, tzinfo=UTC)
    store([row(HOSTILE, "running", began) | {"start_date": began}])
    return done.run_id


def test_evidence_is_what_the_runs_left_behind(of_one_question, ran):
    answer = of_one_question.get("/answers/api/evidence/q01", headers=token("viewer"))
    assert answer.status_code == 200
    runs = {run["run"]: run for run in answer.json()["runs"]}
    assert list(runs)[:2] == sorted(runs, key=lambda run: runs[run]["day"], reverse=True)[:2], "newest first"
    done = runs[ran]
    assert (done["state"], done["dag"]) == ("success", "q10_canary")
    assert {task["task"]: task["state"] for task in done["tasks"]} == dict.fromkeys(
        ("count", "wait_until_released", "report"), "success"
    )
    import pandas as pd

    from include.flights.feed import default_feed

    planes = pd.read_csv(default_feed() / "planes.csv")
    seats = planes[planes.manufacturer == "BOEING"].seats.sum()
    said = [each["text"] for each in answer.json()["said"] if done["day"] in each["text"]]
    assert said == [f"1 counts of {done['day']}: {seats} seats of Boeing"]


@pytest.mark.claim("6.8")
def test_a_hostile_name_is_a_text_like_any_other(of_one_question, ran):
    answer = of_one_question.get("/answers/api/evidence/q01", headers=token("viewer"))
    assert answer.headers["content-type"] == "application/json"
    assert HOSTILE in {run["run"] for run in answer.json()["runs"]}


@pytest.mark.claim("6.8")
def test_a_hostile_value_is_a_text_like_any_other(of_one_question, ran):
    """Show what a task returned as it is: no markup, no name of the sentence, no attribute is read from it."""
    from airflow.models.xcom import XComModel
    from airflow.utils.session import create_session
    from sqlalchemy import select, update

    mine = (XComModel.run_id == ran, XComModel.task_id == "count", XComModel.key == "return_value")
    hostile = f"{HOSTILE}{{day}}{{n.__class__}}"
    with create_session() as session:
        before = session.scalar(select(XComModel.value).where(*mine))
        session.execute(update(XComModel).where(*mine).values(value=json.dumps({"BOEING": hostile})))
    try:
        answer = of_one_question.get("/answers/api/evidence/q01", headers=token("viewer"))
        assert answer.headers["content-type"] == "application/json"
        assert [each for each in answer.json()["said"] if f": {hostile} seats" in each["text"]]
    finally:
        with create_session() as session:
            session.execute(update(XComModel).where(*mine).values(value=before))


@pytest.fixture
def kept():
    """The folder of documents below the data root, empty."""
    folder = Path(os.environ["AIRFLOW_VAR_DATA_ROOT"]) / "kept"
    folder.mkdir(parents=True)
    yield folder
    shutil.rmtree(folder)


def told_of_files(of_one_question) -> list[str]:
    said = of_one_question.get("/answers/api/evidence/q01", headers=token("viewer")).json()["said"]
    return [each["text"] for each in said if "kept/*.json" in each["source"]]


def test_the_newest_document_of_a_pattern_is_evidence(of_one_question, kept, ran):
    assert told_of_files(of_one_question) == []
    for age, name in ((10, "old"), (0, "new")):
        file = kept / f"{name}.json"
        file.write_text(json.dumps({"of": {"run": f"{name} {HOSTILE}"}}))
        os.utime(file, (file.stat().st_mtime - age,) * 2)
    assert told_of_files(of_one_question) == [f"2 kept, the last of new {HOSTILE}"]


@pytest.mark.claim("6.8")
@pytest.mark.parametrize(
    "text", ['{"of": {"run": "half', "[]", '{"of": {}}', json.dumps({"of": {"run": "x" * 70_000}})]
)
def test_a_document_that_is_not_as_it_should_be_tells_nothing(of_one_question, kept, ran, text):
    (kept / "one.json").write_text(text)
    assert told_of_files(of_one_question) == []


@pytest.mark.claim("6.8")
def test_a_link_that_leads_out_of_the_data_is_not_followed(of_one_question, kept, ran, tmp_path):
    """A task may write there. The API server may read more than it."""
    (tmp_path / "secret.json").write_text(json.dumps({"of": {"run": "a secret"}}))
    (kept / "one.json").symlink_to(tmp_path / "secret.json")
    assert told_of_files(of_one_question) == []


@pytest.mark.claim("6.8")
def test_evidence_needs_the_right_to_the_runs(of_one_question, ran):
    assert of_one_question.get("/answers/api/evidence/q01", headers=token(None)).status_code == 403
    assert of_one_question.get("/answers/api/of-dag/q10_canary", headers=token(None)).status_code == 403
    answer = of_one_question.get("/answers/api/questions/q01", headers=token(None))
    assert answer.json()["title"] == "Prices", "the answer stays"


@pytest.fixture
def refused(monkeypatch):
    """Have Airflow's auth manager refuse one kind of thing."""
    from airflow.api_fastapi.app import get_auth_manager

    def refuse(entity: str) -> None:
        def may(*, access_entity=None, **kwargs) -> bool:
            return access_entity is None or access_entity.value != entity

        monkeypatch.setattr(get_auth_manager(), "is_authorized_dag", may)

    return refuse


@pytest.mark.claim("6.8")
@pytest.mark.parametrize("entity", ["RUN", "TASK_INSTANCE", "XCOM"])
def test_evidence_needs_each_right_that_its_parts_need(of_one_question, ran, refused, entity):
    refused(entity)
    assert of_one_question.get("/answers/api/evidence/q01", headers=token("admin")).status_code == 403


@contextmanager
def counted_queries():
    """Collect the statements that the database is asked meanwhile."""
    from airflow import settings
    from sqlalchemy import event

    asked: list[str] = []

    def note(connection, cursor, statement, *rest) -> None:
        asked.append(statement)

    event.listen(settings.engine, "before_cursor_execute", note)
    try:
        yield asked
    finally:
        event.remove(settings.engine, "before_cursor_execute", note)


@pytest.mark.claim("6.8")
@pytest.mark.claim("9.7")
def test_the_page_asks_its_database_and_nobody_else(of_one_question, ran, monkeypatch):
    """It answers while the warehouse is down, and it starts no process."""
    asked = []

    def refuse(*arguments, **options):
        asked.append(arguments)
        raise ConnectionRefusedError

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(subprocess, "Popen", refuse)
    for path in ("evidence/q01", "questions", "questions/q01", "of-dag/q10_canary"):
        answer = of_one_question.get(f"/answers/api/{path}", headers=token("viewer"))
        assert (answer.status_code, asked) == (200, []), path


@pytest.mark.claim("9.7")
def test_two_api_servers_give_the_same(of_one_question, airflow, ran):
    """Behind a balancer, what the reader has from one of them is known to the other."""
    from answers.page.app import build

    root = FastAPI()
    root.mount("/answers", build(of_one_question.app.routes[-1].app.state.site))
    other = TestClient(root)
    for path in ("questions", "questions/q01", "evidence/q01"):
        first = of_one_question.get(f"/answers/api/{path}", headers=token("viewer"))
        known = {"If-None-Match": first.headers["etag"]}
        assert other.get(f"/answers/api/{path}", headers=token("viewer") | known).status_code == 304, path


@pytest.mark.claim("9.7")
def test_a_poll_asks_three_queries_however_many_runs_there_are(of_one_question, ran):
    from airflow.models import DagRun
    from airflow.utils.session import create_session
    from sqlalchemy import delete

    began = datetime(2012, 1, 1, tzinfo=UTC)
    many = [row(f"old{n}", "success", began + timedelta(minutes=n)) for n in range(10_000)]
    store(many)
    try:
        with counted_queries() as asked:
            answer = of_one_question.get("/answers/api/evidence/q01", headers=token("viewer"))
        assert len(answer.json()["runs"]) == 10
        assert ran in {run["run"] for run in answer.json()["runs"]}
        ours = [statement for statement in asked if "revoked_token" not in statement]  # which Airflow asks of any user
        assert len(ours) <= 3, ours
        etag = {"If-None-Match": answer.headers["etag"]}
        again = of_one_question.get("/answers/api/evidence/q01", headers=token("viewer") | etag)
        assert again.status_code == 304
    finally:
        with create_session() as session:
            session.execute(delete(DagRun).where(DagRun.run_id.like("old%")))
