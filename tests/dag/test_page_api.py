"""The Answers page, asked as a browser asks it: by the API server's own app, on a scratch database, without a server."""

import inspect

import pytest
import yaml
from fastapi.routing import APIRoute
from fastapi.testclient import TestClient

from answers.page.evidence import dags_of
from answers.proof.catalog import load_questions
from support import PROJECT
from support.answers_page import api_server, token
from support.tiny_project import Project


@pytest.fixture(scope="module")
def airflow(metadata_database):
    with api_server() as client:
        yield client


@pytest.fixture(scope="module")
def page(airflow):
    (mounted,) = [route.app for route in airflow.app.routes if getattr(route, "path", "") == "/answers"]
    assert mounted.title == "Answers"
    return mounted


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
def test_a_mistake_in_a_question_is_shown_and_airflow_stays(tmp_path, airflow):
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
