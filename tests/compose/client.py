"""A docker compose stack for tests: its own project, secrets and port, and what tests ask of it."""

import io
import json
import os
import signal
import subprocess
from datetime import date
from functools import cached_property
from hashlib import sha1
from pathlib import Path

import pandas as pd

from include.stack import dotenv
from include.stack.client import Airflow
from support import PROJECT, wait_for

DAG = "q01_flights_to_clickhouse"


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
            errors = self.get("/importErrors")["import_errors"]
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
        return self.get(f"/dags/{DAG}/dagRuns/{run}/taskInstances")["task_instances"]

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
