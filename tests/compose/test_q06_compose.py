"""Question 6 on the docker compose stack: all credentials come from the parameter store's container, Celery and Spark cluster."""

import hmac
import subprocess

import pytest

from support import PROJECT, wait_for
from support.canary import ATTACK, CANARY, leaks

pytestmark = [pytest.mark.compose, pytest.mark.timeout(1800)]

Q06 = "q06_partner_delivery"
PARTNER, PSEUDONYM = CANARY.format("partner"), CANARY.format("pseudonym")
ASKING = ("dag-processor", "triggerer", "worker", "partner-worker")  # the parts that run the code of DAGs
AIRFLOW = ("api-server", "scheduler", *ASKING)


def rotate(stack, name: str, value: str) -> None:
    files = ["-f", str(PROJECT / "docker-compose.yaml"), "-f", str(stack.override)]
    command = ["docker", "compose", "-p", stack.name, "--env-file", str(stack.dotenv), *files, "exec", "-T"]
    command += ["parameter-store", "python", "-m", "answers.stack.parameters.client", "rotate", name]
    done = subprocess.run(command, cwd=PROJECT, env=stack.environment, input=f"{value}\n".encode(), capture_output=True)
    assert done.returncode == 0, done.stderr.decode()
    assert leaks(done.stdout + done.stderr, value) == []


def finish(stack, run_id: str) -> None:
    *_, (run,) = stack.airflow.watch(Q06, [run_id], 300)
    assert run.state == "success", run


def signed_with(stack, secret: str) -> bool:
    body = stack.webhooks("/partner")[-1]["body"]
    return body["signature"] == hmac.new(secret.encode(), body["manifest"].encode(), "sha256").hexdigest()


@pytest.fixture(scope="module")
def run(stack):
    """A finished run with canaries and a hostile note."""
    assert stack.airflow.find_dag("q06", patience=120) == Q06
    rotate(stack, "q06_partner", PARTNER)
    rotate(stack, "q06_pseudonym_secret", PSEUDONYM)
    run_id = "with_canaries"
    assert stack.airflow.trigger(Q06, run_id, {"note": ATTACK.format("/opt/airflow/data/marks")})
    finish(stack, run_id)
    return run_id


@pytest.mark.claim("6.1")
@pytest.mark.claim("6.3")
@pytest.mark.claim("6.4")
def test_canaries_are_used_on_celery_and_the_cluster_and_found_nowhere(stack, run):
    assert signed_with(stack, PARTNER)
    assert not stack.run("exec", "-T", "airflow-worker", "bash", "-c", "ls -d /opt/airflow/data/marks* || true").strip()
    logs = stack.run("exec", "-T", "airflow-worker", "bash", "-c", "cat $(find logs -name '*.log')")
    events = stack.run("exec", "-T", "airflow-worker", "bash", "-c", f"cat $(find 'data/q06/{run}' -type f)")
    dump = stack.run("exec", "-T", "postgres", "pg_dump", "--username=airflow", "--inserts", "airflow")
    for data, known in (
        (logs, b"sign_manifest.sh"),
        (events, b"SparkListenerEnvironmentUpdate"),
        (dump, b"sign_manifest.sh"),
    ):
        assert known in data, "it was searched"
        assert leaks(data, PARTNER, PSEUDONYM) == []
    assert leaks(stack.run("logs", "--no-color"), PARTNER, PSEUDONYM) == []


@pytest.mark.claim("6.1")
def test_no_airflow_container_has_a_password_of_a_connection_in_its_environment(stack, run):
    others = [stack.settings[name] for name in ("CLICKHOUSE_PASSWORD", "PARTNER_SECRET", "PARAMETER_WRITE_SECRET")]
    for part in AIRFLOW:
        # Processes of tasks do not let themselves be read, not even by their own user.
        command = "cat /proc/*/environ 2>/dev/null || true"
        environment = stack.run("exec", "-T", f"airflow-{part}", "bash", "-c", command).decode()
        assert ("AIRFLOW__SECRETS__BACKEND=plugins.secrets_backend" in environment) is (part in ASKING)
        assert "AIRFLOW_CONN_" not in environment
        assert not [secret for secret in others if secret in environment]


@pytest.mark.claim("6.4")
@pytest.mark.claim("6.5")
def test_the_store_is_replaced_and_nothing_that_was_rotated_is_lost(stack, run):
    stack.run("up", "--detach", "--no-deps", "--force-recreate", "--wait", "parameter-store")
    stack.airflow.clear(Q06, run, ["deliver"])
    finish(stack, run)
    assert signed_with(stack, PARTNER)
    rotate(stack, "q06_partner", PARTNER + "2")
    stack.airflow.clear(Q06, run, ["sign", "deliver"])
    finish(stack, run)
    assert signed_with(stack, PARTNER + "2")


@pytest.mark.claim("6.5")
def test_a_store_that_is_gone_is_a_clear_error_on_a_worker(stack, run):
    stack.run("stop", "parameter-store")
    try:
        stack.airflow.clear(Q06, run, ["deliver"])

        def failed() -> int:
            state, attempt, _ = stack.airflow.run(Q06, run).tasks["deliver"]
            return attempt if state == "up_for_retry" else 0

        attempt = wait_for("the task to fail", failed)
        log = stack.airflow.log(Q06, run, "deliver", attempt)
    finally:
        stack.run("start", "parameter-store")
    assert "secret /answers/connections/q06_partner: ParameterStoreBackend" in log
    assert "isn't defined" not in log
    stack.airflow.request("PATCH", f"/dags/{Q06}/dagRuns/{run}", json={"state": "failed"})
