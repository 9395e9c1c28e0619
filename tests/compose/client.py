"""A docker compose stack for tests: its own project, secrets and port, and what tests ask of it."""

import io
import json
import os
import shutil
import signal
import subprocess
from datetime import date
from functools import cached_property
from hashlib import sha1
from pathlib import Path

import httpx
import pandas as pd

from answers.stack import dotenv
from answers.stack.client import Airflow
from include.waiting import patience
from support import PROJECT, wait_for

DAG = "q01_flights_to_clickhouse"

# The monitoring's clocks, faster, so that an alert comes and goes within a test; and a threshold that any Spark job exceeds.
FASTER = {
    "prometheus/prometheus.yml": [("_interval: 10s", "_interval: 1s")],
    "prometheus/rules.yml": [("expr: vector(600)", "expr: vector(4)"), ("for: 1m", "for: 3s")],
    "alertmanager/alertmanager.yml": [
        ("group_wait: 10s", "group_wait: 1s"),
        ("group_interval: 1m", "group_interval: 2s"),
    ],
    "statsd/mapping.yml": [("max_age: 30m", "max_age: 20s")],
}


# A DAG that attacks Airflow from within, beside the project's.
ATTACK = json.dumps(
    [
        {"name": name, "classpath": "airflow.dag_processing.bundles.local.LocalDagBundle", "kwargs": kwargs}
        for name, kwargs in (("dags-folder", {}), ("attack", {"path": "/opt/airflow/attack"}))
    ]
)
BUNDLED = ("api-server", "scheduler", "dag-processor", "triggerer", "worker", "partner-worker")


def for_tests(folder: Path) -> Path:
    """A compose file with what only tests have: the monitoring with the numbers of FASTER, and the bundle of ATTACK."""
    mounts = {"prometheus": "prometheus", "alertmanager": "alertmanager", "statsd-exporter": "statsd"}
    for name in mounts.values():
        shutil.copytree(PROJECT / "config" / name, folder / name)
    for file, changes in FASTER.items():
        text = (folder / file).read_text()
        for find, replace in changes:
            assert find in text, f"{file} has no {find!r}"
            text = text.replace(find, replace)
        (folder / file).write_text(text)
    for path in folder.rglob("*"):  # the containers' user is another one
        path.chmod(0o755 if path.is_dir() else 0o644)
    services = {service: {"volumes": [f"{folder / name}:/etc/{name}:ro"]} for service, name in mounts.items()}
    bundle = {
        "environment": {"AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_CONFIG_LIST": ATTACK},
        "volumes": [f"{PROJECT / 'tests/attack'}:/opt/airflow/attack:ro"],
    }
    services |= {f"airflow-{part}": bundle for part in BUNDLED}
    services["clickhouse"] = {"ports": [f"{dotenv.LOOPBACK}::8123"]}  # tests/compose/test_warehouse_compose.py
    override = folder / "override.yaml"
    override.write_text(json.dumps({"services": services}))
    return override


class Stack:
    """One compose project. Nothing of it is shared with the stack that `make up` starts from the same checkout."""

    def __init__(self, folder: Path) -> None:
        # A name per checkout: what a killed run left behind is found, and removed, by the next.
        self.name = "airflow-answers-test-" + sha1(str(PROJECT).encode()).hexdigest()[:8]
        self.dotenv = folder / "compose.env"
        self.dotenv.write_text(f"UI_PORT={dotenv.free_port(0)}\n")
        dotenv.complete(self.dotenv)
        (folder / "monitoring").mkdir()
        self.override = for_tests(folder / "monitoring")
        self.settings = dotenv.read(self.dotenv)
        self.overlays: list[Path] = []  # further compose files, as long as they are in force
        self.url = f"http://127.0.0.1:{self.settings['UI_PORT']}"
        # A variable of the caller would win over the file.
        self.environment = {
            key: value
            for key, value in os.environ.items()
            if key not in dotenv.KEYS and (not key.startswith("COMPOSE_") or key == "COMPOSE_PARALLEL_LIMIT")
        }

    @property
    def project(self) -> list[str]:
        """Return what names this project to `docker compose`."""
        files = (PROJECT / "docker-compose.yaml", self.override, *self.overlays)
        given = [argument for file in files for argument in ("-f", str(file))]
        return ["-p", self.name, "--env-file", str(self.dotenv), *given]

    def run(self, *arguments: str, check: bool = True) -> bytes:
        """Standard output of `docker compose ARGUMENTS`; an error with all of its output if it fails."""
        command = ["docker", "compose", *self.project, *arguments]
        done = subprocess.run(command, cwd=PROJECT, env=self.environment, stdin=subprocess.DEVNULL, capture_output=True)
        if check and done.returncode:
            shown = " ".join(command[2:])
            raise AssertionError(
                f"{shown}: exit code {done.returncode}\n{(done.stdout + done.stderr).decode()[-6000:]}"
            )
        return done.stdout

    def up(self) -> None:
        """Remove what an earlier run left, build and start everything, wait until it is healthy."""
        self._remove(5)
        self.run("up", "--detach", "--build", "--wait", "--wait-timeout", f"{patience(300):.0f}")

    def _remove(self, seconds: int) -> None:
        """All of the project, the volume included that only an overlay names: its password is that of the stack which made it."""
        self.overlays = [PROJECT / "docker-compose.rabbitmq.yaml"]
        self.run("--profile", "*", "down", "--volumes", "--remove-orphans", "--timeout", str(seconds))
        self.overlays = []

    def down(self) -> None:
        """Remove containers, network and volumes. A second Ctrl-C does not leave half of them."""
        previous = signal.signal(signal.SIGINT, signal.SIG_IGN)
        try:
            self._remove(10)
        finally:
            signal.signal(signal.SIGINT, previous)

    def services(self) -> list[dict]:
        """`docker compose ps`, one dictionary a container, ended ones included."""
        return [json.loads(line) for line in self.run("ps", "--all", "--format", "json").splitlines()]

    def report(self) -> str:
        """State of the containers and the end of their logs, for a failed test."""
        state = self.run("ps", "--all", check=False).decode()
        return state + self.run("logs", "--no-color", "--tail", "25", check=False).decode(errors="replace")

    # -- Airflow

    @cached_property
    def airflow(self) -> Airflow:
        """The REST API through the published port."""
        return Airflow(self.url, self.settings["ADMIN_PASSWORD"])

    def get(self, path: str) -> dict:
        """JSON that the API has at `path`."""
        return self.airflow.request("GET", path).json()

    def wait_for_dag(self) -> None:
        """Wait until the DAG is parsed; a file that cannot be imported is an error at once."""

        def parsed() -> bool:
            errors = self.airflow.import_errors()
            assert not errors, "\n".join(error["stack_trace"] for error in errors)
            return DAG in self.airflow.dag_ids()

        wait_for(f"{DAG} to be parsed", parsed)

    def start_day(self, day: str) -> str:
        """Start a run of the DAG for a day and return the run's id; a day that ran before runs again."""
        return self.airflow.start(DAG, date.fromisoformat(day))

    def wait_for_success(self, run: str, within: float = 300) -> None:
        """Wait for the run's end. A task that fails is an error at once, without waiting for its retries."""
        for (state,) in self.airflow.watch(DAG, [run], within):
            for task, (ended, tries, _) in state.tasks.items():
                if ended in ("failed", "up_for_retry", "upstream_failed"):
                    raise AssertionError(f"{task} of {run} is {ended}:\n{self.log(run, task, tries)[-6000:]}")
        assert state.state == "success", f"{run} is {state.state}"

    def tasks(self, run: str) -> list[dict]:
        """The task instances of a run."""
        return self.airflow.task_instances(DAG, run)

    def log(self, run: str, task: str, attempt: int = 1) -> str:
        """The log of a task."""
        return self.airflow.log(DAG, run, task, attempt)

    # -- ClickHouse and Spark

    def sql(self, query: str) -> pd.DataFrame:
        """The result of a query, with its types, asked inside the ClickHouse container."""
        client = ("exec", "-T", "clickhouse", "clickhouse-client", "--query", f"{query} FORMAT Parquet")
        return pd.read_parquet(io.BytesIO(self.run(*client)))

    def spark_applications(self) -> list[dict]:
        """The applications that the Spark master knows, running and completed."""
        page = "import urllib.request as u; print(u.urlopen('http://localhost:8080/json/').read().decode())"
        state = json.loads(self.run("exec", "-T", "spark-master", "python", "-c", page))
        return state["activeapps"] + state["completedapps"]

    # -- Monitoring

    def fetch(self, service: str, url: str) -> str:
        """Return what the containers' own loopback answers at `url`."""
        return self.run("exec", "-T", service, "wget", "-qO-", url).decode()

    def published(self, service: str, port: int) -> str:
        """The address on this machine of a port that compose has published."""
        return f"http://{self.run('port', service, str(port)).decode().strip()}"

    def prometheus(self, query: str) -> list[dict]:
        """The result of an instant query; an error of PromQL is one here."""
        url = f"{self.published('prometheus', 9090)}/api/v1/query"
        answer = httpx.get(url, params={"query": query}, trust_env=False).json()
        assert answer["status"] == "success", f"{query}: {answer.get('error')}"
        return answer["data"]["result"]

    def alerts(self) -> list[dict]:
        """Return what Alertmanager holds, {"labels": ..., "status": {"state": "active" or "suppressed", ...}, ...} each."""
        return json.loads(self.fetch("alertmanager", "http://127.0.0.1:9093/api/v2/alerts"))

    def webhooks(self, path: str) -> list[dict]:
        """The messages that the catcher has for a path."""
        code = "import urllib.request as u; print(u.urlopen('http://localhost:9080/messages?path=%s').read().decode())"
        return json.loads(self.run("exec", "-T", "catcher", "python", "-I", "-c", code % path))

    def mails(self) -> list[dict]:
        """The e-mails in the mail sink."""
        return httpx.get(f"{self.published('maildev', 1080)}/email", trust_env=False).json()
