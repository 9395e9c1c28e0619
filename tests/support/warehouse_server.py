"""Runs the embedded warehouse as a process of its own, as supervisor does, and connects to it."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import clickhouse_connect
import httpx

from answers.stack.dotenv import free_port
from answers.stack.settings import Settings
from support import PROJECT, wait_for


class Server:
    """The part `warehouse` of a home of its own. `endpoint` is how it is reached."""

    def __init__(self, home: Path, **environment: str) -> None:
        home.mkdir(exist_ok=True, mode=0o700)
        self.home, self.environment = home, environment
        port = free_port(0)
        (home / "ports.json").write_text(json.dumps({"warehouse": port}))
        self.log = home / "warehouse.log"
        self.start()
        self.endpoint = {
            "host": "127.0.0.1",
            "port": port,
            "username": "answers",
            "password": self.settings.secrets["CLICKHOUSE_PASSWORD"],
        }

    @property
    def settings(self) -> Settings:
        """The settings of its home."""
        before = os.environ["ANSWERS_HOME"]
        os.environ["ANSWERS_HOME"] = str(self.home)
        try:
            return Settings.load()
        finally:
            os.environ["ANSWERS_HOME"] = before

    def start(self) -> None:
        """Start it, and wait until it answers."""
        environment = os.environ | {"ANSWERS_HOME": str(self.home)} | self.environment
        with self.log.open("a") as log:
            command = [sys.executable, "-m", "answers.stack.warehouse"]
            self.process = subprocess.Popen(command, cwd=PROJECT, env=environment, stdout=log, stderr=log)
        url = f"http://127.0.0.1:{json.loads((self.home / 'ports.json').read_text())['warehouse']}/ping"

        def answers() -> bool:
            assert self.process.poll() is None, self.log.read_text()
            try:
                return httpx.get(url, trust_env=False).text == "Ok.\n"
            except httpx.HTTPError:
                return False

        wait_for("the warehouse to answer", answers, 60, seen=self.log.read_text)

    def kill(self) -> None:
        """SIGKILL."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def stop(self) -> int:
        """End it as supervisor does; returns its exit code."""
        self.process.terminate()
        return self.process.wait()

    def client(self, **options):
        """A client of clickhouse-connect."""
        return clickhouse_connect.get_client(**self.endpoint | options)
