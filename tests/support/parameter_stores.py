"""Parameter stores for tests: the stacks' own program, and one that misbehaves as SSM may."""

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx
import pytest

from answers.stack import dotenv
from answers.stack.parameters.client import Parameters
from answers.stack.parameters.contents import READER
from answers.stack.parameters.names import airflow_settings
from support import PROJECT, wait_for

PARTNER, PSEUDONYM = "/answers/connections/q06_partner", "/answers/variables/q06_pseudonym_secret"
DECOY = "left-in-the-environment"
CANARY = "c4n4ry-8f1b"


@contextmanager
def asking_airflow(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., None]]:
    """Let Airflow in this process ask a store; a decoy of everything lies in the environment, the next place to look.

    Gives a function of a store's settings, and of what botocore's configuration should have beside its own.
    """
    from airflow.sdk.configuration import clear_secrets_backends_cache

    def use(settings: dict[str, str], **config) -> None:
        for name, value in settings.items():
            monkeypatch.setenv(name, value)
        if config:
            kwargs = json.loads(settings["AIRFLOW__SECRETS__BACKEND_KWARGS"]) | {"config_kwargs": config}
            monkeypatch.setenv("AIRFLOW__SECRETS__BACKEND_KWARGS", json.dumps(kwargs))
        clear_secrets_backends_cache()

    monkeypatch.setenv("AIRFLOW_CONN_Q06_PARTNER", json.dumps({"conn_type": "http", "password": DECOY}))
    monkeypatch.setenv("AIRFLOW_VAR_Q06_PSEUDONYM_SECRET", DECOY)
    yield use
    clear_secrets_backends_cache()


def connection(name: str = "q06_partner"):
    """Look a connection up as a task does."""
    from airflow.sdk import Connection

    return Connection.get(name)


def variable(name: str = "q06_pseudonym_secret") -> str:
    """Look a variable up as a task does."""
    from airflow.sdk import Variable

    return Variable.get(name)


class ParameterStore:
    """A running store, its home and what it is asked."""

    def __init__(self, home: Path, port: int) -> None:
        self.endpoint = f"http://127.0.0.1:{port}"
        self.secrets = dotenv.read(home / "secrets.env")
        self.writer = Parameters(self.endpoint, self.secrets["PARAMETER_WRITE_SECRET"])

    def asked(self) -> dict[str, int]:
        """Requests by action and parameter."""
        return httpx.get(f"{self.endpoint}/requests", trust_env=False).json()

    def settings(self) -> dict[str, str]:
        """The environment of an Airflow that asks it."""
        return airflow_settings(self.endpoint, READER, self.secrets["PARAMETER_READ_SECRET"])


@contextmanager
def running_store(home: Path) -> Iterator[ParameterStore]:
    """The embedded stack's program, with the connections of a stack whose catcher is on port 9."""
    home.mkdir(exist_ok=True)
    port = dotenv.free_port(0)
    (home / "ports.json").write_text(json.dumps({"catcher": 9, "parameters": port}))
    environment = os.environ | {"ANSWERS_HOME": str(home), "PYTHONPATH": str(PROJECT)}
    command = [
        sys.executable,
        "-m",
        "answers.stack.parameter_store",
        "--port",
        str(port),
        "--file",
        str(home / "parameters.json"),
    ]
    with subprocess.Popen(command, env=environment, cwd=PROJECT) as process:
        try:

            def answers() -> bool:
                assert process.poll() is None, "the parameter store ended"
                try:
                    return httpx.get(f"http://127.0.0.1:{port}/requests", trust_env=False).is_success
                except httpx.HTTPError:
                    return False

            wait_for("the parameter store", answers, 60)
            yield ParameterStore(home, port)
        finally:
            process.terminate()


class Misbehaving(ThreadingHTTPServer):
    """Speaks SSM's protocol: answers with `status` and `document` after `delay` seconds, and counts what it is asked."""

    daemon_threads = True

    def __init__(self) -> None:
        self.status, self.document, self.delay = 200, {}, 0.0
        self.asked: list[str] = []
        super().__init__(("127.0.0.1", 0), _Handler)
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def settings(self) -> dict[str, str]:
        """The environment of an Airflow that asks it."""
        return airflow_settings(f"http://127.0.0.1:{self.server_port}", READER, "any")


class _Handler(BaseHTTPRequestHandler):
    server: Misbehaving

    def do_POST(self) -> None:
        request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.asked.append(request.get("Name", self.headers["X-Amz-Target"]))
        time.sleep(self.server.delay)
        document = self.server.document
        body = document if isinstance(document, bytes) else json.dumps(document).encode()
        try:
            self.send_response(self.server.status)
            self.send_header("Content-Type", "application/x-amz-json-1.1")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)
        except BrokenPipeError:
            pass  # the caller did not wait

    def log_message(self, *_) -> None:
        """Quiet."""
