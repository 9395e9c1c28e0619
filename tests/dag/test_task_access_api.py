"""Asks for the rights of tasks, of a real API server with real tokens. No scheduler: the runs' tasks only exist."""

import runpy
from uuid import uuid4

import httpx
import pytest

from answers.stack.client import Airflow
from answers.stack.settings import Settings
from support import PROJECT
from support.api_server import running_server

pytestmark = pytest.mark.claim("6.7")
Q06, OTHER = "q06_partner_delivery", "q09_refunds"


@pytest.fixture(scope="module")
def server(metadata_database, tmp_path_factory):
    """Return the address of an API server that knows two DAGs."""
    files = [PROJECT / "dags" / f"{name}.py" for name in (Q06, OTHER)]
    with pytest.MonkeyPatch.context() as patch:
        for name in ("Q06_PARTNER", "ANYBODYS"):
            patch.setenv(f"AIRFLOW_CONN_{name}", '{"conn_type": "http", "password": "password-of-a-partner"}')
        with running_server(tmp_path_factory.mktemp("api"), files) as server:
            yield server.url


@pytest.fixture(scope="module")
def tasks(server):
    """DAG -> the id of a task instance of it; "name" -> the task of the last one."""
    airflow = Airflow(server, Settings.load().secrets["ADMIN_PASSWORD"])
    found = {}
    for dag_id in (Q06, OTHER):
        assert airflow.trigger(dag_id, "asked")
        first = airflow.task_instances(dag_id, "asked")[0]
        found |= {dag_id: first["id"], "name": first["task_id"]}
    return found


def ask(server: str, method: str, path: str, task: str, **options) -> tuple[int, str]:
    """Return the status and the words of an answer to a task, with a token as the scheduler's executor makes it."""
    from airflow.api_fastapi.auth.tokens import JWTGenerator, get_signing_args
    from airflow.configuration import conf

    generator = JWTGenerator(
        valid_for=600,
        audience=conf.get("execution_api", "jwt_audience"),
        **get_signing_args(make_secret_key_if_needed=False),
    )
    headers = {"Authorization": f"Bearer {generator.generate({'sub': task, 'scope': 'execution'})}"}
    answer = httpx.request(
        method, f"{server}/execution/{path}", headers=headers, trust_env=False, timeout=60, **options
    )
    return answer.status_code, answer.text


def test_a_connection_of_a_dag_is_for_its_tasks(server, tasks):
    code, text = ask(server, "GET", "connections/q06_partner", tasks[Q06])
    assert (code, "password-of" in text) == (200, True)
    code, text = ask(server, "GET", "connections/q06_partner", tasks[OTHER])
    assert (code, "password-of" in text) == (403, False)
    assert "a task of DAG q09_refunds may not use the connection q06_partner" in text
    assert ask(server, "GET", "connections/anybodys", tasks[OTHER])[0] == 200


def test_a_token_of_a_task_that_is_gone_gets_nothing(server, tasks):
    code, text = ask(server, "GET", "connections/q06_partner", str(uuid4()))
    assert (code, "password-of" in text) == (403, False)


def test_a_run_of_another_dag_is_neither_started_nor_cleared(server, tasks):
    airflow = Airflow(server, Settings.load().secrets["ADMIN_PASSWORD"])

    def runs() -> dict[str, str]:  # those of other tests, too: they share the metadata database
        return {each["dag_run_id"]: each["state"] for each in airflow.runs(Q06)}

    before = runs()
    assert "asked" in before
    assert ask(server, "POST", f"dag-runs/{Q06}/theirs", tasks[OTHER], json={})[0] == 403
    assert ask(server, "POST", f"dag-runs/{Q06}/asked/clear", tasks[OTHER])[0] == 403
    assert ask(server, "POST", f"dag-runs/{OTHER}/mine", tasks[OTHER], json={})[0] == 204, "its own it may"
    assert runs() == before


def test_a_variable_is_changed_by_no_task_and_an_xcom_by_its_own_dag(server, tasks):
    value = {"value": "mine", "description": None}
    assert ask(server, "PUT", "variables/flights_feed", tasks[OTHER], json=value)[0] == 403
    theirs, mine = f"xcoms/{Q06}/asked/sign/return_value", f"xcoms/{OTHER}/asked/{tasks['name']}/return_value"
    assert ask(server, "POST", theirs, tasks[OTHER], json="mine")[0] == 403
    assert ask(server, "GET", theirs, tasks[OTHER])[0] == 403
    assert ask(server, "POST", mine, tasks[OTHER], json="mine")[0] == 201


@pytest.mark.parametrize(
    "key",
    [None, "airflow" * 8, Settings.load().secrets["PARAMETER_WORKER_SECRET"] * 2],
    ids=["no signature", "a guess", "what a worker has"],
)
def test_a_forged_token_and_that_of_another_task_change_no_task(server, tasks, key):
    """Try what tests/attack/attack.py tries in a task: no signature, a guess, what a worker has."""
    attack = runpy.run_path(str(PROJECT / "tests/attack/attack.py"))
    victim, body = tasks[Q06], {"state": "failed", "end_date": "2013-06-13T00:00:00Z"}
    headers = {"Authorization": f"Bearer {attack['forged'](victim, key)}"}
    path = f"task-instances/{victim}/state"
    answer = httpx.patch(f"{server}/execution/{path}", json=body, headers=headers, trust_env=False, timeout=60)
    assert answer.status_code == 403, answer.text
    assert ask(server, "PATCH", path, tasks[OTHER], json=body)[0] == 403
