"""Question 6 on a live stack: canaries in the parameter store are used, rotated, cut off, and hunted wherever anybody looks."""

import hmac
import json
import subprocess
import threading
import time
import uuid
from types import SimpleNamespace

import httpx
import psutil
import pytest

from answers.stack.client import ApiError
from include.waiting import Deadline, patience
from support import PROJECT, wait_for
from support.canary import ATTACK, CANARY, dump, leaking_files, leaks, process_list

Q06 = "q06_partner_delivery"
PARTNER, PSEUDONYM = CANARY.format("partner"), CANARY.format("pseudonym")


def rotate(stack, name: str, value: str) -> None:
    command = stack.command("secrets", "rotate", name, "--stdin")
    done = subprocess.run(
        command,
        env=stack.environment,
        cwd=PROJECT,
        input=f"{value}\n",
        capture_output=True,
        text=True,
        timeout=patience(60),
    )
    assert done.returncode == 0, done.stderr
    assert leaks((done.stdout + done.stderr).encode(), value) == []


def asked(stack) -> dict[str, int]:
    """Return how often each parameter was read."""
    counts = httpx.get(f"{stack.settings.parameter_store}/requests", trust_env=False).json()
    return {name.rsplit("/", 1)[1]: count for name, count in counts.items() if name.startswith("GetParameter ")}


def delivered(stack) -> list[dict]:
    url = f"http://127.0.0.1:{stack.settings.ports['catcher']}/messages?path=/partner"
    return [message["body"] for message in httpx.get(url, trust_env=False).json()]


def signed_with(message: dict, secret: str) -> bool:
    return message["signature"] == hmac.new(secret.encode(), message["manifest"].encode(), "sha256").hexdigest()


def start(stack, note: str = "", run_id: str | None = None) -> str:
    run_id = run_id or f"test_{uuid.uuid4().hex}"
    stack.airflow.trigger(Q06, run_id, {"note": note})
    return run_id


def finish(stack, *run_ids: str) -> None:
    *_, runs = stack.airflow.watch(Q06, list(run_ids), 300)
    assert [run.state for run in runs] == ["success"] * len(run_ids), runs


def clear_and_finish(stack, run_id: str, *tasks: str) -> None:
    stack.airflow.clear(Q06, run_id, list(tasks))


@pytest.fixture(scope="module")
def run(stack, tmp_path_factory):
    """A finished run with canaries and a hostile note; what the process list showed and the store was asked meanwhile."""
    assert stack.airflow.find_dag("q06") == Q06
    rotate(stack, "q06_partner", PARTNER)
    rotate(stack, "q06_pseudonym_secret", PSEUDONYM)
    marks = tmp_path_factory.mktemp("marks")
    before = asked(stack)
    with process_list() as seen:
        run_id = start(stack, ATTACK.format(marks))
        finish(stack, run_id)
    counts = {name: count - before.get(name, 0) for name, count in asked(stack).items()}
    yield SimpleNamespace(
        id=run_id,
        folder=stack.home / "data" / "q06" / run_id,
        marks=marks,
        processes=seen,
        asked={name: count for name, count in counts.items() if count},
        message=delivered(stack)[-1],
    )
    for name in ("q06_partner", "q06_pseudonym_secret"):
        stack.answers("secrets", "rotate", name)


@pytest.mark.claim("6.1")
@pytest.mark.claim("6.4")
@pytest.mark.claim("6.5")
def test_the_tasks_used_what_was_just_rotated_and_asked_for_nothing_in_vain(stack, run):
    assert signed_with(run.message, PARTNER)
    assert run.asked.pop("spark_default") >= 1
    assert run.asked == {"q06_pseudonym_secret": 1, "q06_partner": 2}
    shown = stack.answers("secrets", "list").stdout
    assert "/answers/connections/clickhouse_default" in shown
    assert shown.count("SecureString") == len(shown.splitlines()) >= 5


@pytest.mark.claim("6.3")
def test_the_canaries_are_in_no_log_page_table_or_process_list(stack, run):
    secrets = (PARTNER, PSEUDONYM)
    commands = b"\n".join(run.processes)
    assert all(known in commands for known in (b"sign_manifest.sh", b"java", b"pseudonymise.py")), "they were seen"
    assert leaks(commands, *secrets) == []

    for folder in (stack.home / "logs", stack.home / "airflow", run.folder):
        found, searched = leaking_files(folder, *secrets)
        assert found == {}
        assert searched
    events = b"".join(file.read_bytes() for file in (run.folder / "events").rglob("events_*"))
    assert b'"SparkListenerEnvironmentUpdate"' in events, "the properties that Spark's UI shows"

    tables = dump(stack)
    assert {table: leaks(data, *secrets) for table, data in tables.items() if leaks(data, *secrets)} == {}
    assert b"sign_manifest.sh" in tables["rendered_task_instance_fields"]
    assert run.message["signature"].encode() in tables["xcom"]

    path = f"/dags/{Q06}/dagRuns/{run.id}"
    pages = ["/connections", "/variables", "/config", "/eventLogs?limit=100", path, f"{path}/taskInstances"]
    pages += [f"/dags/{Q06}/details", f"/dags/{Q06}/tasks", f"/dagSources/{Q06}", "/providers", "/plugins"]
    for task in ("prepare", "pseudonymise", "sign", "deliver"):
        at = f"{path}/taskInstances/{task}"
        pages += [at, f"{at}/xcomEntries", f"{at}/xcomEntries/return_value", f"{at}/logs/1"]
    answers = {page: stack.airflow.request("GET", page, expect=(200, 403, 404)) for page in pages}
    assert {page: found for page, each in answers.items() if (found := leaks(each.content, *secrets))} == {}
    assert sum(each.status_code == 200 for each in answers.values()) >= 20
    assert "q06_partner" not in answers["/connections"].text


@pytest.mark.claim("6.3")
def test_a_strangers_text_did_nothing_but_arrive(run):
    assert list(run.marks.iterdir()) == []
    assert run.message["manifest"].partition("\nnote: ")[2] == ATTACK.format(run.marks) + "\n"


@pytest.mark.claim("6.1")
def test_no_process_of_the_stack_has_a_connection_in_its_environment(stack, run):
    own = ("PARAMETER_WRITE_SECRET", "PARTNER_SECRET", "PSEUDONYM_SECRET")
    secrets = [*(stack.settings.secrets[name] for name in own), PARTNER]
    seen = 0
    for process in stack.processes():
        try:
            environment = process.environ()
        except psutil.Error:
            continue  # it has ended
        seen += "ANSWERS_STACK" in environment
        assert not [name for name in environment if name.startswith("AIRFLOW_CONN_")]
        assert not [name for name, value in environment.items() if value in secrets]
    assert seen > 6


@pytest.mark.claim("6.4")
@pytest.mark.claim("6.5")
def test_an_outage_is_told_retried_and_loses_nothing_and_the_next_task_has_the_new_value(stack, run):
    from answers.stack import parts

    supervisor = parts.supervisor(stack.settings)
    rotated = CANARY.format("rotated")
    rotate(stack, "q06_partner", rotated)
    clear_and_finish(stack, run.id, "sign", "deliver")
    finish(stack, run.id)
    assert signed_with(delivered(stack)[-1], rotated)

    supervisor.stopProcess("parameter-store")
    try:
        clear_and_finish(stack, run.id, "deliver")

        def failed() -> int:
            tries = stack.airflow.run(Q06, run.id).tasks["deliver"]
            return tries[1] if tries[0] == "up_for_retry" else 0

        attempt = wait_for("the task to fail", failed, pause=0.05)
        log = stack.airflow.log(Q06, run.id, "deliver", attempt)
    finally:
        supervisor.startProcess("parameter-store")
    where = f"ParameterStoreBackend (SSM Parameter Store at {stack.settings.parameter_store})"
    assert f"secret /answers/connections/q06_partner: {where} not reached (EndpointConnectionError)" in log
    assert "isn't defined" not in log
    finish(stack, run.id)  # a later try: the store is back, with what was rotated
    assert signed_with(delivered(stack)[-1], rotated)


@pytest.mark.long("the rotation against a database, test_q06_fernet.py of the dag tier")
def test_the_fernet_key_is_rotated_under_running_dags_with_no_failed_read(stack, run):
    from answers.operate.fernet import can_decrypt, encrypted_texts

    # Two values: what is some connection's password the API shows as ***.
    secret, shown = CANARY.format("at-rest"), CANARY.format("shown")
    variable = {"key": "q06_at_rest", "value": shown}
    stack.airflow.request("POST", "/variables", json=variable)
    stack.airflow.add_connection("q06_at_rest", "http", password=secret, extra=json.dumps({"a": secret}))
    before = stack.settings.secrets["FERNET_KEY"]
    texts_before = list(encrypted_texts(stack.settings))
    assert len(texts_before) >= 3
    assert all(text.startswith("gAAAA") and can_decrypt(text, before) for _, text in texts_before)

    reads, over = [], threading.Event()
    airflow = stack.airflow
    airflow.variable("q06_at_rest")  # signed in

    def read() -> None:
        """As a user of the API would, all the time; an API server that restarts may refuse, but never answer wrongly."""
        client = httpx.Client(base_url=stack.settings.url, headers=dict(airflow._http.headers), trust_env=False)
        while not over.wait(0.1):
            try:
                answer = client.get("/api/v2/variables/q06_at_rest")
            except httpx.TransportError:
                continue
            reads.append((answer.status_code, answer.json().get("value")))

    reader = threading.Thread(target=read)
    reader.start()
    deadline = Deadline(400)
    rotation = subprocess.Popen(
        stack.command("secrets", "rotate-fernet"),
        env=stack.environment,
        cwd=PROJECT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    runs = []
    try:
        while rotation.poll() is None:
            assert not deadline.passed()
            try:
                states = [stack.airflow.run(Q06, each).state for each in runs]
                if states.count("success") == len(runs):
                    runs.append(start(stack, run_id=f"rotation_{len(runs)}_{uuid.uuid4().hex}"))
            except ApiError:
                continue  # the API server restarts
            time.sleep(0.5)
    finally:
        rotation.wait(patience(120))
        over.set()
        reader.join()
    assert rotation.returncode == 0, rotation.stdout.read()
    finish(stack, *runs)
    assert runs
    tries = {(each, task): seen for each in runs for task, seen in stack.airflow.run(Q06, each).tasks.items()}
    assert {seen[1] for seen in tries.values()} == {1}, tries
    assert len(reads) > 20
    assert set(reads) == {(200, shown)}

    after = stack.settings.secrets["FERNET_KEY"]
    rows = list(encrypted_texts(stack.settings))
    assert len(rows) >= 3
    assert "," not in after
    assert all(can_decrypt(text, after) and not can_decrypt(text, before) for _, text in rows)
    found = {table: leaks(data, secret, shown) for table, data in dump(stack).items()}
    assert not any(found.values()), found
    for path in ("/variables/q06_at_rest", "/connections/q06_at_rest"):
        stack.airflow.request("DELETE", path, expect=(204,))
