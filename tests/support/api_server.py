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


class ApiServer:
    """Holds the server's address, and its database."""

    def __init__(self, database: Path, path: str = "") -> None:
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

    def store(self, files: list[Path], bundle: str = "dags-folder", version: str = "") -> None:
        """Have it know the DAGs of these files, as of a version of their bundle."""
        command = [sys.executable, "-c", STORE, bundle, version, *map(str, files)]
        subprocess.run(command, env=self.environment, cwd=PROJECT, check=True)


@contextmanager
def running_server(
    folder: Path, files: list[Path], bundle: str = "dags-folder", version: str = "", path: str = ""
) -> Iterator[ApiServer]:
    """Run a server that knows these DAGs, for as long as the block lasts. Needs the fixture `metadata_database`.

    :param path: that it is served below, as behind a proxy: "/airflow"
    """
    database = folder / "airflow.db"
    copy_fresh_database(database)
    server = ApiServer(database, path)
    server.store(files, bundle, version)
    Settings.load().write_passwords()
    command = [sys.executable, "-m", "airflow", "api-server", "--host", "127.0.0.1"]
    command += ["--port", str(server.port), "--workers", "1"]
    log = database.with_name("log")
    with log.open("w") as output:
        process = subprocess.Popen(command, env=server.environment, stdout=output, stderr=output)

        def check() -> None:
            code = process.poll()
            assert code is None, f"the API server has ended with {code}:\n{log.read_text()[-5000:]}"

        def answers() -> bool:
            check()
            try:
                return httpx.get(f"{server.url}/api/v2/version", trust_env=False).is_success
            except httpx.TransportError:
                return False

        try:
            wait_for("the API server", answers)
            yield server
            check()
        finally:
            process.terminate()
            process.wait(30)
