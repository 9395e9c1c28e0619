"""The Answers page, asked as a browser asks it: by the API server's own app, on a scratch database, without a server."""

import inspect
import json
import os
import shutil
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import yaml
from fastapi import FastAPI
from fastapi.routing import APIRoute
from fastapi.testclient import TestClient

from answers.page.evidence import dags_of
from answers.proof.catalog import load_questions
from support import PROJECT
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
def page(airflow):
    (mounted,) = [route.app for route in airflow.app.routes if getattr(route, "path", "") == "/answers"]
    assert mounted.title == "Answers"
    return mounted


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


def paths(app) -> list[str]:  # with something in the place of their parameters
    names = {"name": "page.js", "question_id": "q01", "dag_id": "q10_canary"}
    return [route.path.format(**names) for route in app.routes if isinstance(route, APIRoute)]


@pytest.mark.claim("6.8")
def test_every_route_of_data_refuses_who_is_not_signed_in(airflow, page):
    data = [path for path in paths(page) if path.startswith("/api/")]
    assert len(data) >= 5
    for path in data:
        answer = airflow.get(f"/answers{path}")
        assert (answer.status_code, "claims" in answer.text) == (401, False), path
    assert sorted(set(paths(page)) - set(data)) == ["/", "/static/page.js"], "a route that is not below /api is public"


@pytest.mark.claim("6.8")
def test_a_session_that_has_ended_gets_no_data(airflow, page):
    """The page's script then reloads Airflow, which leads to its sign-in."""
    for path in paths(page):
        answer = airflow.get(f"/answers{path}", headers=token("viewer", seconds=-60))
        expected = 401 if path.startswith("/api/") else 303 if path == "/" else 200
        assert (answer.status_code, "claims" in answer.text) == (expected, False) or path.startswith("/static"), path


@pytest.mark.claim("6.8")
def test_the_page_changes_and_runs_nothing(airflow, page):
    assert {method for route in page.routes for method in route.methods} <= {"GET", "HEAD"}
    assert page.openapi_url is None
    for path in paths(page):
        assert airflow.post(f"/answers{path}", headers=token("admin")).status_code in (401, 405), path


def test_the_shell_is_for_who_is_signed_in(airflow):
    answer = airflow.get("/answers/?q=q05")
    assert answer.status_code == 303
    assert "/login" in answer.headers["location"]
    assert "q%3Dq05" in answer.headers["location"]
    answer = airflow.get("/answers/?q=q05", headers=token("viewer"))
    assert answer.status_code == 200
    assert "static/page.js?v=" in answer.text
    files = [airflow.get(f"/answers/static/{name}") for name in ("page.js", "page.css", "icon.svg")]
    assert {file.status_code for file in files} == {200}
    assert len(answer.content) + sum(len(file.content) for file in files) < 60_000


@pytest.mark.claim("6.8")
def test_each_answer_forbids_what_the_page_does_not_need(airflow):
    for path in ("/", "/api/questions", "/static/page.js", "/static/nothing", "/api/nothing"):
        headers = airflow.get(f"/answers{path}", headers=token("viewer")).headers
        policy = headers["content-security-policy"]
        assert "default-src 'none'; script-src 'self'; style-src 'self'" in policy
        assert "frame-ancestors 'self'" in policy
        assert "unsafe" not in policy
        assert headers["x-content-type-options"] == "nosniff"
    assert "immutable" in airflow.get("/answers/static/page.css").headers["cache-control"]
    assert airflow.get("/answers/", headers=token("viewer")).headers["cache-control"] == "no-cache"


@pytest.mark.claim("6.8")
@pytest.mark.parametrize(
    "path",
    [
        "/static/app.py",
        "/static/..%2fapp.py",
        "/static/%2e%2e/app.py",
        "/static/..%2f..%2f..%2fpyproject.toml",
        "/static/%2fetc%2fpasswd",
        "/api/questions/..%2fquestions",
        "/api/questions/%2e%2e%2f%2e%2e%2fpyproject.toml",
        "/api/plots/..%2f..%2fload",
    ],
)
def test_no_path_from_outside_is_opened(airflow, path):
    answer = airflow.get(f"/answers{path}", headers=token("admin"))
    assert (answer.status_code, "import" in answer.text, "root:" in answer.text) == (404, False, False)


def test_what_the_reader_has_already_is_not_sent_again(airflow):
    for path in ("questions", "questions/q01", "plots/knobs"):
        first = airflow.get(f"/answers/api/{path}", headers=token("viewer"))
        assert first.status_code == 200
        known = {"If-None-Match": first.headers["etag"]}
        again = airflow.get(f"/answers/api/{path}", headers=token("viewer") | known)
        assert (again.status_code, again.content) == (304, b"")
        other = airflow.get(f"/answers/api/{path}", headers=token("viewer") | {"If-None-Match": '"another"'})
        assert other.json() == first.json()


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
    """What a task returned is shown as it is: no markup, no name of the sentence, no attribute is read from it."""
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


def test_a_dag_is_told_its_question(airflow, metadata_database):
    from airflow.dag_processing.dagbag import DagBag, sync_bag_to_db
    from airflow.models.dagbundle import DagBundleModel
    from airflow.utils.session import create_session

    with create_session() as session:
        if session.get(DagBundleModel, "dags-folder") is None:
            session.add(DagBundleModel(name="dags-folder"))
    bag = DagBag(PROJECT / "dags", bundle_path=PROJECT / "dags", bundle_name="dags-folder")
    assert not bag.import_errors
    sync_bag_to_db(bag, "dags-folder", None)
    assert len(bag.dags) > 60
    told = {}
    for dag_id in bag.dags:
        answer = airflow.get(f"/answers/api/of-dag/{dag_id}", headers=token("viewer"))
        told[dag_id] = answer.json()["question"]
    known = {yaml.safe_load(file.read_text())["id"] for file in (PROJECT / "include/questions").glob("q*.yaml")}
    assert set(told.values()) == known
    assert (told["fleet_transform_MQ"], told["q10_canary"], told["q05_kafka_webhook"]) == ("q04", "q10", "q05")
    assert {dag for question in load_questions() for dag in dags_of(question)} <= set(bag.dags)
    assert airflow.get("/answers/api/of-dag/sales", headers=token("viewer")).json()["question"] is None


@pytest.mark.claim("9.7")
def test_a_mistake_in_a_question_is_shown_and_airflow_stays(of_one_question, tmp_path, airflow):
    from answers.page.app import build
    from answers.page.data import Site

    project = Project(tmp_path / "broken")
    project.write("include/questions/q01.yaml", "id: q01\ntitle: [\n")
    client = TestClient(build(Site(project.root)), raise_server_exceptions=False)
    for path in ("/api/questions", "/api/questions/q01", "/api/evidence/q01"):
        answer = client.get(path, headers=token("viewer"))
        assert answer.status_code == 500
        assert "q01.yaml, line 3: not valid YAML" in answer.json()["detail"]
    assert client.get("/", headers=token("viewer")).status_code == 200


def test_no_route_waits_for_the_database_in_the_event_loop(page):
    blocking = [
        route.path
        for route in page.routes
        if route.path.startswith("/api") and inspect.iscoroutinefunction(route.endpoint)
    ]
    assert blocking == []
