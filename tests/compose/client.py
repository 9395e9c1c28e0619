"""A docker compose stack for tests: its own project, secrets and port, and what tests ask of it."""

import io
import json
import os
import signal
import subprocess
import time
from collections.abc import Callable
from datetime import date, datetime, timedelta
from hashlib import sha1
from pathlib import Path
from zoneinfo import ZoneInfo

import httpx
import pandas as pd

from include.stack import dotenv

PROJECT = Path(__file__).resolve().parents[2]
NEW_YORK = ZoneInfo("America/New_York")
DAG = "q01_flights_to_clickhouse"


def eventually(condition: Callable, within: float, what: str):
    """The first truthy value of `condition()`, which is asked again until `within` seconds have passed."""
    deadline = time.monotonic() + within
    while not (value := condition()):
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {within:.0f} s: {what}")
        time.sleep(0.5)
    return value


class Stack:
    """One compose project. Nothing of it is shared with the stack that `make up` starts from the same checkout."""

    def __init__(self, folder: Path) -> None:
        # A name per checkout: what a killed run left behind is found, and removed, by the next.
        self.name = "airflow-answers-test-" + sha1(str(PROJECT).encode()).hexdigest()[:8]
        self.dotenv = folder / "compose.env"
        self.dotenv.write_text(f"UI_PORT={dotenv.free_port(0)}\n")
        dotenv.complete(self.dotenv)
        self.settings = dotenv.read(self.dotenv)
        self.url = f"http://127.0.0.1:{self.settings['UI_PORT']}"
        # A variable of the caller would win over the file.
        self.environment = {
            key: value
            for key, value in os.environ.items()
            if key not in dotenv.KEYS and (not key.startswith("COMPOSE_") or key == "COMPOSE_PARALLEL_LIMIT")
        }
        self._api: httpx.Client | None = None

    def run(self, *arguments: str, check: bool = True) -> bytes:
        """Standard output of `docker compose ARGUMENTS`; an error with all of its output if it fails."""
        command = ["docker", "compose", "-p", self.name, "--env-file", str(self.dotenv), *arguments]
        done = subprocess.run(command, cwd=PROJECT, env=self.environment, stdin=subprocess.DEVNULL, capture_output=True)
        if check and done.returncode:
            shown = " ".join(command[2:])
            raise AssertionError(
                f"{shown}: exit code {done.returncode}\n{(done.stdout + done.stderr).decode()[-6000:]}"
            )
        return done.stdout

    def up(self) -> None:
        """Remove what an earlier run left, build and start everything, wait until it is healthy."""
        self.run("down", "--volumes", "--remove-orphans", "--timeout", "5")
        self.run("up", "--detach", "--build", "--wait", "--wait-timeout", "300")

    def down(self) -> None:
        """Remove containers, network and volumes. A second Ctrl-C does not leave half of them."""
        previous = signal.signal(signal.SIGINT, signal.SIG_IGN)
        try:
            self.run("down", "--volumes", "--remove-orphans", "--timeout", "10")
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

    @property
    def api(self) -> httpx.Client:
        """A client of the REST API, signed in as admin, through the published port."""
        if self._api is None:
            login = {"username": "admin", "password": self.settings["ADMIN_PASSWORD"]}
            token = httpx.post(f"{self.url}/auth/token", json=login).raise_for_status().json()["access_token"]
            headers = {"Authorization": f"Bearer {token}"}
            self._api = httpx.Client(base_url=f"{self.url}/api/v2", headers=headers, timeout=30)
        return self._api

    def get(self, path: str, **parameters) -> dict:
        """JSON that the API has at `path`."""
        return self.api.get(path, params=parameters).raise_for_status().json()

    def wait_for_dag(self) -> None:
        """Wait until the DAG is parsed; a file that cannot be imported is an error at once."""

        def parsed() -> bool:
            errors = self.get("/importErrors")["import_errors"]
            assert not errors, "\n".join(error["stack_trace"] for error in errors)
            return self.api.get(f"/dags/{DAG}").is_success

        eventually(parsed, 120, f"{DAG} is parsed")

    def start_day(self, day: str) -> str:
        """Start a run of the DAG for a day, given as its data interval, and return the run's id."""
        start = datetime.combine(date.fromisoformat(day), datetime.min.time(), NEW_YORK)
        end = datetime.combine(start.date() + timedelta(days=1), datetime.min.time(), NEW_YORK)
        # Without the interval Airflow would infer the last one that ended before the logical date.
        body = {
            "logical_date": start.isoformat(),
            "data_interval_start": start.isoformat(),
            "data_interval_end": end.isoformat(),
        }
        return self.api.post(f"/dags/{DAG}/dagRuns", json=body).raise_for_status().json()["dag_run_id"]

    def clear(self, run: str) -> None:
        """Run all tasks of a finished run again and wait until they have succeeded."""
        body = {"dry_run": False, "only_failed": False}
        self.api.post(f"/dags/{DAG}/dagRuns/{run}/clear", json=body).raise_for_status()
        self.wait_for_success(run)

    def wait_for_success(self, run: str, within: float = 300) -> None:
        """Wait for the run's end. A task that fails is an error at once, without waiting for its retries."""

        def succeeded() -> bool:
            for task in self.tasks(run):
                if task["state"] in ("failed", "up_for_retry", "upstream_failed"):
                    log = self.log(run, task["task_id"], max(task["try_number"], 1))
                    raise AssertionError(f"{task['task_id']} of {run} is {task['state']}:\n{log[-6000:]}")
            state = self.get(f"/dags/{DAG}/dagRuns/{run}")["state"]
            assert state != "failed", f"{run} failed"
            return state == "success"

        eventually(succeeded, within, f"{run} succeeds")

    def tasks(self, run: str) -> list[dict]:
        """The task instances of a run."""
        return self.get(f"/dags/{DAG}/dagRuns/{run}/taskInstances")["task_instances"]

    def log(self, run: str, task: str, attempt: int = 1) -> str:
        """The log of a task as the user interface shows it."""
        content = self.get(f"/dags/{DAG}/dagRuns/{run}/taskInstances/{task}/logs/{attempt}")["content"]
        return "\n".join(str(line.get("event", line)) if isinstance(line, dict) else str(line) for line in content)

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
