"""Runs a real API server of the tests' own, on a database of its own. No scheduler: the test says what ends."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

from answers.stack import dotenv
from answers.stack.settings import Settings
from support import PROJECT, copy_fresh_database, wait_for

# Stores DAGs as the DAG processor would, in the database of the environment.
STORE = """
import sys
from pathlib import Path
from airflow.dag_processing.dagbag import DagBag, sync_bag_to_db
from airflow.models.dagbundle import DagBundleModel
from airflow.utils.session import create_session
bundle, version, *files = sys.argv[1:]
with create_session() as session:
    if session.get(DagBundleModel, bundle) is None:
        session.add(DagBundleModel(name=bundle))
for file in map(Path, files):
    bag = DagBag(file, bundle_path=file.parent, bundle_name=bundle)
    assert not bag.import_errors
    sync_bag_to_db(bag, bundle, version or None)
"""
# The same server, whose Answers page shows the project in another folder.
SERVE = """
import sys
from pathlib import Path
import uvicorn
from airflow.api_fastapi.main import app
from answers.page.data import Site
host, port, folder = sys.argv[1:]
(page,) = [route.app for route in app.routes if getattr(route, "path", "") == "/answers"]
page.state.site = Site(Path(folder))
uvicorn.run(app, host=host, port=int(port), log_level="warning")
"""


class ApiServer:
    """Holds the server's address, and its database.

    :param path: that it is served below, as behind a proxy: "/airflow"
    :param site: the project that its Answers page shows, if not this one
    """

    def __init__(self, database: Path, path: str = "", site: Path | None = None) -> None:
        self.database = database
        self.port = dotenv.free_port(0)
        self.url = f"http://127.0.0.1:{self.port}{path}"
        # Its lines are not counted: under coverage's tracer the server, which has threads, has crashed (Python 3.11).
        unmeasured = {name: value for name, value in os.environ.items() if not name.startswith("COV")}
        self.environment = unmeasured | {
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{database}",
            "PYTHONFAULTHANDLER": "1",
        }
        if path:
            self.environment["AIRFLOW__API__BASE_URL"] = self.url
        self._command = [sys.executable, "-m", "airflow", "api-server", "--host", "127.0.0.1"]
        self._command += ["--port", str(self.port), "--workers", "1"]
        if site:
            self.environment.pop("ANSWERS_RESULTS", None)  # those of the project that it shows count
            self._command = [sys.executable, "-c", SERVE, "127.0.0.1", str(self.port), str(site)]
        self._log = database.with_name("log")
        self._process: subprocess.Popen | None = None

    def store(self, files: list[Path], bundle: str = "dags-folder", version: str = "") -> None:
        """Have it know the DAGs of these files, as of a version of their bundle."""
        command = [sys.executable, "-c", STORE, bundle, version, *map(str, files)]
        subprocess.run(command, env=self.environment, cwd=PROJECT, check=True)

    def start(self) -> None:
        """Start it, and wait until it answers."""
        with self._log.open("a") as output:
            self._process = subprocess.Popen(
                self._command, env=self.environment, cwd=PROJECT, stdout=output, stderr=output
            )
        wait_for("the API server", self._answers)

    def stop(self) -> None:
        """Stop it, where it runs."""
        if self._process:
            self._process.terminate()
            self._process.wait(30)
            self._process = None

    def check(self) -> None:
        """Fail where it has ended by itself."""
        code = self._process.poll() if self._process else None
        assert code is None, f"the API server has ended with {code}:\n{self._log.read_text()[-5000:]}"

    def _answers(self) -> bool:
        self.check()
        try:
            return httpx.get(f"{self.url}/api/v2/version", trust_env=False).is_success
        except httpx.TransportError:
            return False


@contextmanager
def running_server(
    folder: Path,
    files: list[Path],
    bundle: str = "dags-folder",
    version: str = "",
    path: str = "",
    site: Path | None = None,
) -> Iterator[ApiServer]:
    """Run a server that knows these DAGs, for as long as the block lasts. Needs the fixture `metadata_database`."""
    database = folder / "airflow.db"
    copy_fresh_database(database)
    server = ApiServer(database, path, site)
    server.store(files, bundle, version)
    Settings.load().write_passwords()
    try:
        server.start()
        yield server
        server.check()
    finally:
        server.stop()
