"""A live embedded stack of the tests' own, started with the `answers` command as a user would."""

import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from coverage import Coverage

from answers.stack import dotenv
from answers.stack.settings import PORTS, Settings
from include.waiting import VARIABLE, patience
from support import PROJECT, SOONER, wait_for

OWN = {
    # Two or three schedulers share two cores here, most of them idle.
    "AIRFLOW__SCHEDULER__SCHEDULER_IDLE_SLEEP_TIME": "0.2",
    # What a killed triggerer left is taken over by the next one (15 s).
    "AIRFLOW__TRIGGERER__JOB_HEARTBEAT_SEC": "2",
    "AIRFLOW__TRIGGERER__TRIGGERER_HEALTH_CHECK_THRESHOLD": "8",
}


def pytest_collection_modifyitems(items):
    """Mark what lies in this folder as the tier `stack`."""
    for item in items:
        if "tests/stack/" in item.nodeid:
            item.add_marker(pytest.mark.stack)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item):
    """Return what only a live stack runs does not count as covered."""
    measuring = Coverage.current() if item.get_closest_marker("stack") else None
    if measuring:
        measuring.stop()
    try:
        return (yield)
    finally:
        if measuring:
            measuring.start()


def free_ports() -> dict[str, int]:
    """A port for each part of a stack."""
    ports: dict[str, int] = {}
    for part in PORTS:
        ports[part] = dotenv.free_port(0, avoid=tuple(ports.values()))
    return ports


class Stack:
    """One embedded stack in a folder of its own."""

    def __init__(self, home: Path) -> None:
        self.home = home
        clean = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("AIRFLOW", "ANSWERS", "COV")) or name == VARIABLE
        }
        # Stacks that start at the same moment would all find the usual ports free.
        home.mkdir(mode=0o700)
        (home / "ports.json").write_text(json.dumps(free_ports()))
        self.environment = clean | {"ANSWERS_HOME": str(home)} | SOONER | OWN

    def command(self, *args: str) -> list[str]:
        return [sys.executable, "-m", "answers", *args]

    def answers(self, *args: str, check: bool = True) -> subprocess.CompletedProcess:
        """Run `answers ARGS`; fails with its output unless it succeeds."""
        done = subprocess.run(
            self.command(*args),
            env=self.environment,
            cwd=PROJECT,
            capture_output=True,
            text=True,
            timeout=patience(600),
        )
        assert not check or done.returncode == 0, f"answers {' '.join(args)}: {done.stdout}\n{done.stderr}"
        return done

    @property
    def settings(self):
        """The stack's settings: ports, secrets."""
        ports = self.home / "ports.json"
        return Settings(
            self.home,
            dotenv.read(self.home / "secrets.env"),
            json.loads(ports.read_text()) if ports.exists() else {},
        )

    @property
    def airflow(self):
        """A client of its REST API."""
        from answers.stack.client import Airflow

        return Airflow(self.settings.url, self.settings.secrets["ADMIN_PASSWORD"])

    def sql(self, query: str):
        """Rows of a query against its warehouse, as dicts."""
        return json.loads(self.answers("sql", query, "--format", "JSON").stdout)["data"]

    def frame(self, query: str):
        """A query's rows as pandas."""
        import io

        import pandas as pd

        command = self.command("sql", query, "--format", "Parquet")
        done = subprocess.run(
            command, env=self.environment, cwd=PROJECT, capture_output=True, timeout=patience(600), check=True
        )
        return pd.read_parquet(io.BytesIO(done.stdout))

    def healthy(self) -> bool:
        from answers.stack import parts

        running = all(part["state"] == "RUNNING" for part in parts.status(self.settings))
        return running and parts.healthy(self.settings)

    def processes(self):
        from answers.stack import processes

        return processes.stack_processes(self.settings)


@contextmanager
def torn_down(tmp_path_factory) -> Iterator[Callable[[], Stack]]:
    """Return what makes stacks that are torn down at the end, whatever happened to them."""
    made = []

    def make() -> Stack:
        made.append(Stack(tmp_path_factory.mktemp("stack") / "home"))
        return made[-1]

    yield make
    for stack in made:
        stack.answers("down", check=False)
        assert not stack.processes()


@pytest.fixture(scope="module")
def new_stack(tmp_path_factory) -> Iterator[Callable[[], Stack]]:
    """Make stacks beside the shared one; they go with the module."""
    with torn_down(tmp_path_factory) as make:
        yield make


@pytest.fixture(scope="session")
def datagrams() -> Iterator[tuple[list[str], int]]:
    """(Every line of metrics that came over UDP so far, the port that takes them)."""
    lines: list[str] = []
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver:
        receiver.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 21)
        receiver.bind(("127.0.0.1", 0))

        def receive() -> None:
            while data := receiver.recv(65536):
                lines.extend(data.decode().splitlines())

        thread = threading.Thread(target=receive)
        thread.start()
        yield lines, receiver.getsockname()[1]
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            sender.sendto(b"", receiver.getsockname())
        thread.join()


@pytest.fixture(scope="session")
def stack(tmp_path_factory, datagrams) -> Iterator[Stack]:
    """The stack that most tests share."""
    with torn_down(tmp_path_factory) as make:
        stack = make()
        stack.environment |= {
            "AIRFLOW__METRICS__STATSD_ON": "True",
            "AIRFLOW__METRICS__STATSD_HOST": "127.0.0.1",
            "AIRFLOW__METRICS__STATSD_PORT": str(datagrams[1]),
        }
        stack.answers("up")
        wait_for("q01 to be parsed", lambda: "q01_flights_to_clickhouse" in stack.airflow.dag_ids())
        yield stack
