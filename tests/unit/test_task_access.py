"""The rights of tasks: what config/task_access.yaml says, what is refused, and what a mistake in it does."""

import asyncio
import base64
import json
import runpy
from types import SimpleNamespace
from uuid import UUID, uuid4

import pytest

from plugins import task_access
from plugins.task_access import FILE, Rules, TaskAccess
from support import PROJECT

pytestmark = pytest.mark.claim("6.7")
Q06, OTHER = "q06_partner_delivery", "q10_canary"
RULES = Rules.read(FILE)
GIVEN = Rules(changed_variables={"mark": ["a"]}, runs={"b": ["a"]}, xcoms={"b": ["a"]})


@pytest.mark.parametrize(
    ("dag_id", "method", "path", "allowed"),
    [
        (Q06, "GET", "connections/q06_partner", True),
        (OTHER, "GET", "connections/q06_partner", False),
        ("", "GET", "connections/q06_partner", False),
        (OTHER, "GET", "connections/clickhouse_default", True),
        (Q06, "GET", "variables/q06_pseudonym_secret", True),
        (OTHER, "GET", "variables/q06_pseudonym_secret", False),
        (OTHER, "GET", "variables/data_root", True),
        (OTHER, "PUT", "variables/data_root", False),
        (OTHER, "DELETE", "variables/a/b", False),
        (OTHER, "POST", f"dag-runs/{Q06}/mine", False),
        (OTHER, "POST", f"dag-runs/{Q06}/mine/clear", False),
        (OTHER, "GET", f"dag-runs/{Q06}/mine/state", True),
        (OTHER, "POST", f"dag-runs/{OTHER}/mine", True),
        (OTHER, "GET", f"xcoms/{Q06}/run/sign/return_value", False),
        (OTHER, "POST", f"xcoms/{Q06}/run/sign/return_value", False),
        (OTHER, "POST", f"xcoms/{OTHER}/run/report/return_value", True),
        (OTHER, "PATCH", "task-instances/some/state", True),
    ],
)
def test_the_platforms_rules(dag_id, method, path, allowed):
    assert (RULES.refusal(dag_id, method, f"/execution/{path}") == "") is allowed


def test_a_dag_that_is_named_may():
    assert GIVEN.refusal("a", "PUT", "/execution/variables/mark") == ""
    assert GIVEN.refusal("c", "PUT", "/execution/variables/mark") == "change the Variable mark"
    assert GIVEN.refusal("a", "POST", "/prefix/execution/dag-runs/b/run") == ""
    assert GIVEN.refusal("c", "POST", "/prefix/execution/dag-runs/b/run") == "start or clear runs of b"
    assert GIVEN.refusal("a", "GET", "/execution/xcoms/b/run/task/key") == ""
    assert GIVEN.refusal("a", "DELETE", "/execution/xcoms/b/run/task/key") == "write XComs of b"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("connection: {a: [b]}", r"\n  connection: Extra inputs"),
        ("runs: {a: b}", r"\n  runs\.a: Input should be a valid list"),
        ("runs: {a: [7]}", r"\n  runs\.a\.0: Input should be a valid string"),
        ("runs:", r"\n  runs: Input should be a valid"),
        ("connections: {a: [b]}\nqueues: {}\nconnections: {}", "line 3: not valid YAML: connections occurs twice"),
        ("runs: {a: [b], a: [c]}", "a occurs twice"),
    ],
)
def test_a_mistake_is_an_error_and_no_right_that_nobody_gave(tmp_path, text, message):
    file = tmp_path / "task_access.yaml"
    file.write_text(text)
    with pytest.raises(ValueError, match=message):
        Rules.read(file)


def token(subject: str) -> bytes:
    """A token as a task has it, as far as its middle is concerned."""
    claims = base64.urlsafe_b64encode(json.dumps({"sub": subject}).encode()).rstrip(b"=").decode()
    return f"Bearer head.{claims}.tail".encode()


def status(monkeypatch, headers: list[tuple[bytes, bytes]], dags: dict[UUID, str]) -> int:
    """Return what the middleware answers to a question for question 6's connection; 200 where it passes it on."""
    monkeypatch.setattr(task_access, "_dag_of", lambda task: dags.get(task, ""))
    said: list[int] = []

    async def route(scope, receive, send) -> None:
        said.append(200)

    async def send(message) -> None:
        if message["type"] == "http.response.start":
            said.append(message["status"])

    scope = {"type": "http", "method": "GET", "path": "/execution/connections/q06_partner", "headers": headers}
    asyncio.run(TaskAccess(route)(scope, None, send))
    (only,) = said
    return only


def test_the_task_that_asks_is_the_one_of_the_token_that_the_route_checks(monkeypatch):
    mine, theirs = uuid4(), uuid4()
    dags = {mine: OTHER, theirs: Q06}
    assert status(monkeypatch, [(b"authorization", token(str(theirs)))], dags) == 200
    assert status(monkeypatch, [(b"authorization", token(str(mine)))], dags) == 403
    both = [(b"authorization", token(str(mine))), (b"authorization", token(str(theirs)))]
    assert status(monkeypatch, both, dags) == 403, "a second header changes nothing"


def test_a_task_that_the_database_has_no_more_is_refused(monkeypatch):
    """Each try has an id of its own, and a token outlives its try."""
    assert status(monkeypatch, [(b"authorization", token(str(uuid4())))], {}) == 403


@pytest.mark.parametrize("header", [None, b"Basic YTpi", b"Bearer nonsense", token("admin")])
def test_what_is_no_task_is_left_to_the_route(monkeypatch, header):
    assert status(monkeypatch, [(b"authorization", header)] if header else [], {}) == 200


def test_a_dag_that_puts_its_tasks_into_another_dags_queue_is_refused():
    from airflow.exceptions import AirflowClusterPolicyViolation

    policy = runpy.run_path(str(PROJECT / "config/airflow_local_settings.py"))["task_policy"]
    policy(SimpleNamespace(dag_id=Q06, task_id="sign", queue="partner"))
    policy(SimpleNamespace(dag_id=OTHER, task_id="look", queue="light"))
    with pytest.raises(AirflowClusterPolicyViolation, match=r"q10_canary\.look may not use the queue partner"):
        policy(SimpleNamespace(dag_id=OTHER, task_id="look", queue="partner"))
