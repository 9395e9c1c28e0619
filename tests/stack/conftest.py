"""A live embedded stack of the tests' own, started with the `answers` command as a user would."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from support import PROJECT, wait_for


def pytest_collection_modifyitems(items):
    """Mark what lies in this folder as the tier `stack`."""
    for item in items:
        if "tests/stack/" in item.nodeid:
            item.add_marker(pytest.mark.stack)


class Stack:
    """One embedded stack in a folder of its own."""

    def __init__(self, home: Path) -> None:
        self.home = home
        clean = {name: value for name, value in os.environ.items() if not name.startswith(("AIRFLOW", "ANSWERS"))}
        # Retries are the platform's, only sooner.
        self.environment = clean | {"ANSWERS_HOME": str(home), "AIRFLOW__CORE__DEFAULT_TASK_RETRY_DELAY": "1"}

    def command(self, *args: str) -> list[str]:
        return [sys.executable, "-m", "include.cli", *args]

    def answers(self, *args: str, check: bool = True) -> subprocess.CompletedProcess:
        """Run `answers ARGS`; fails with its output unless it succeeds."""
        done = subprocess.run(
            self.command(*args), env=self.environment, cwd=PROJECT, capture_output=True, text=True, timeout=600
        )
        assert not check or done.returncode == 0, f"answers {' '.join(args)}: {done.stdout}\n{done.stderr}"
        return done

    @property
    def settings(self):
        """The stack's settings: ports, secrets."""
        from include.stack import dotenv
        from include.stack.settings import Settings

        ports = self.home / "ports.json"
        return Settings(
            self.home,
            dotenv.read(self.home / "secrets.env"),
            json.loads(ports.read_text()) if ports.exists() else {},
        )

    @property
    def airflow(self):
        """A client of its REST API."""
        from include.stack.client import Airflow

        return Airflow(self.settings.url, self.settings.secrets["ADMIN_PASSWORD"])

    def sql(self, query: str):
        """Rows of a query against its warehouse, as dicts."""
        return json.loads(self.answers("sql", query, "--format", "JSON").stdout)["data"]

    def frame(self, query: str):
        """A query's rows as pandas."""
        import io

        import pandas as pd

        command = self.command("sql", query, "--format", "Parquet")
        done = subprocess.run(command, env=self.environment, cwd=PROJECT, capture_output=True, timeout=600, check=True)
        return pd.read_parquet(io.BytesIO(done.stdout))

    def healthy(self) -> bool:
        from include.stack import lifecycle

        running = all(part["state"] == "RUNNING" for part in lifecycle.status(self.settings))
        return running and lifecycle.healthy(self.settings)

    def processes(self):
        from include.stack import lifecycle

        return lifecycle.leftovers(self.settings)


@pytest.fixture(scope="session")
def new_stack(tmp_path_factory) -> Iterator[Callable[[], Stack]]:
    """Make stacks that are torn down at the end, whatever happened to them."""
    made = []

    def make() -> Stack:
        made.append(Stack(tmp_path_factory.mktemp("stack") / "home"))
        return made[-1]

    yield make
    for stack in made:
        stack.answers("down", check=False)
        assert not stack.processes()


@pytest.fixture(scope="session")
def stack(new_stack) -> Stack:
    """The stack that most tests share."""
    stack = new_stack()
    stack.answers("up")
    wait_for("q01 to be parsed", lambda: "q01_flights_to_clickhouse" in stack.airflow.dag_ids())
    return stack
