"""Offers the steps of a probe, which runs a candidate's code and records what it does. Decides nothing, knows no expected value.

A ticket's probe.py has a function `probe(p)` of steps. Each step forks a child that is confined and imports the candidate's code
(driver.py); the step's function imports it in its body.

Run as `python -P -m answers.exercise.probe REQUEST` by probing.py, with the candidate's project first on the path.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from answers.exercise import confine, steps
from answers.exercise.driver import SECONDS, CannotTell, Driver, Recorded, load_module
from answers.process_tree import kill_descendants

_prepared = False  # whether this process has what `preload` imports


class Probe(Driver):
    """Offers the steps. `told` and `hidden` are the variant's values; `project` and `start` the trees; `home` is for files."""

    def __init__(self, request: dict[str, Any]) -> None:
        super().__init__(request)
        self._files: dict[str, str] = {}
        self._has_database = False
        self._runs: bool = request["tier"] not in ("parse", "call")
        self.quick: bool = request["quick"]  # leave out what takes long and convicts few: tests of the candidate

    def parse(self, name: str = "parsed", project: Path | None = None) -> Recorded:
        """Parse all DAG files as the scheduler does: {"dags": documents by id, "errors": {file: text}}."""
        recorded = self.inside(name, steps.parse, str((project or self.project) / "dags"))
        if project is None and "value" in recorded:
            dags = recorded["value"]["dags"]
            self._files = {dag_id: document["relative_fileloc"] for dag_id, document in dags.items()}
        return recorded

    def run(
        self,
        name: str,
        dag_id: str,
        day: str,
        conf: dict[str, Any] | None = None,
        engine: bool = False,
        seconds: float = 60,
    ) -> Recorded:
        """Run a DAG for a local day with dag.test(): {"state", "tasks": {id: [state, tries]}, "xcoms": {id: value}, "errors"}.

        :param engine: the warehouse's engine does the work of Spark's applications; "spark" has the tasks of those
        """
        self.database()
        file = str(self.project / "dags" / self._files.get(dag_id, ""))
        return self.inside(name, steps.run, file, dag_id, day, conf, engine, seconds=seconds)

    def sql(self, name: str, query: str) -> Recorded:
        """Record the rows of a query to the embedded warehouse."""
        return self.inside(name, steps.sql, query)

    def fingerprints(self, name: str, *tables: str) -> Recorded:
        """Record rows and checksum of each partition: {table: {partition: [rows, checksum]}}. Parts do not matter."""
        return self.inside(name, steps.fingerprints, list(tables))

    def publish(self, first: str, last: str) -> None:
        """Put the flights of some days into the warehouse, computed from the raw files by other code than the project's.

        :raises CannotTell: the project's tables cannot be made.
        """
        expected = load_module("expected", self.project / "tests/support/expected.py")
        file = self.home / f"flights-{first}-{last}.parquet"
        expected.flights(first, last).to_parquet(file)
        self.require(self.inside(f"published-{first}-{last}", steps.publish, str(file)))

    def variable(self, name: str, value: str) -> None:
        """Set an Airflow Variable for the steps that follow."""
        os.environ[f"AIRFLOW_VAR_{name.upper()}"] = value

    def connection(self, name: str, **fields: Any) -> None:
        """Set an Airflow connection for the steps that follow."""
        os.environ[f"AIRFLOW_CONN_{name.upper()}"] = json.dumps(fields)

    def feed(self, name: str, day: str, **changes: Callable[[str], str]) -> Path:
        """Make a feed of one day's real files. A change maps a file's text to another: flights=lambda text: ..."""
        expected = load_module("expected", self.project / "tests/support/expected.py")
        return steps.feed(self.home / name, expected.raw, day, changes)

    @contextmanager
    def catcher(self, *connections: str) -> Iterator[Any]:
        """Serve a receiver of webhooks for as long as the block lasts, and point connections to it."""
        import threading

        from answers.stack.catcher import Catcher

        with Catcher(("127.0.0.1", 0), self.home / "caught" / "catcher.jsonl") as server:
            thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
            thread.start()
            if self.ports is not None:
                self.ports.append(server.server_port)
            for name in connections:
                self.connection(name, conn_type="http", host="127.0.0.1", port=server.server_port)
            try:
                yield server
            finally:
                server.shutdown()
                thread.join()

    def tests(self, name: str, files: Sequence[str], on: str = "project", seconds: float = SECONDS) -> Recorded:
        """Run tests of the candidate: {"tests": {id: "passed" | "failed" | "error" | "skipped"}, "exit": code}.

        :param on: "project", or "start": the candidate's tests on the project as it was handed out.
        """
        if self.quick:
            return {}
        tree = self.project
        if on == "start":
            tree = self.home / "start-with-tests"
            shutil.rmtree(tree, ignore_errors=True)
            shutil.copytree(self.start, tree, symlinks=True)
            shutil.copytree(self.project / "tests", tree / "tests", symlinks=True, dirs_exist_ok=True)
        self.ports = None  # tests have servers of their own
        return self.inside(name, steps.tests, str(tree), str(self.home), list(files), seconds=seconds)

    def changed_tests(self) -> list[str]:
        """List the test files that the candidate has changed or added."""
        files = sorted(self.project.glob("tests/**/test_*.py"))
        names = [file.relative_to(self.project).as_posix() for file in files]
        return [name for name in names if _content(self.start / name) != _content(self.project / name)]

    def database(self) -> None:
        """Make Airflow's database ready, with the project's pools and Variables. The first call takes seconds.

        :raises CannotTell: it cannot be made.
        """
        if self._has_database:
            return
        self._has_database = True
        if (template := steps.template()) and template.exists():
            shutil.copy(template, self.home / "airflow.db")
        self.inside("set-up", steps.bootstrap, seconds=120)

    def require(self, recorded: Recorded) -> Any:
        """Return what a step has recorded.

        :raises CannotTell: it has an error, though it does not run the candidate's code.
        """
        if "error" in recorded:
            raise CannotTell(f"{recorded['error']['type']}: {recorded['error']['message']}")
        return recorded.get("value")

    def settle_in(self) -> None:
        """Give this process the environment that Airflow needs, and import what no candidate can change."""
        recorded = self.inside("surroundings", steps.surroundings, str(self.project))
        os.environ.update(self.require(recorded))
        if not _prepared:
            steps.preload(runs=self._runs)

    @property
    def of_this_project(self) -> bool:
        """Tell whether the code has DAGs, and so needs Airflow."""
        return (self.project / "dags").is_dir() and (self.project / "config").is_dir()


def _content(file: Path) -> bytes | None:
    return file.read_bytes() if file.is_file() else None


def _work(p: Probe, keeps: list[str], seconds: float) -> None:
    """Run the tests that are asked for, or else the ticket's probe where the project's DAG files can be imported."""
    if keeps:
        p.tests("keeps", keeps, seconds=seconds)
        return
    if p.of_this_project:
        p.settle_in()
        recorded = p.parse()
        if "error" in recorded or recorded["value"]["errors"]:
            return
    load_module("probe", p.ticket / "probe.py").probe(p)


def prepare(request: dict[str, Any]) -> None:
    """Import what every probe of a ticket needs, before one is forked (warm.py)."""
    global _prepared
    p = Probe(request)
    if p.of_this_project and not request["keeps"]:
        p.settle_in()
        _prepared = True


def main() -> None:
    """Do the steps of a ticket. Prints a line of JSON: {"ended": "done" | "cannot tell" | "broken", "why", "seals", "costs"}."""
    request = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    confine.gather_orphans()
    confine.die_with_parent()
    answer = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # whatever is printed from here on is for the log
    alone = confine.leave_network()
    p, ended, why = Probe(request), "done", ""
    p.ports = None if alone else p.ports
    # What is shared with the machine is closed: a candidate's code could fill it, and leave something there.
    p.shared_memory = [confine.SHARED_MEMORY] if confine.own_shared_memory() else []
    try:
        _work(p, request["keeps"], request["seconds"])
    except CannotTell as error:
        ended, why = "cannot tell", str(error)
    except OSError as error:
        ended, why = "cannot tell", f"{type(error).__name__}: {error}"
    except Exception:
        ended, why = "broken", traceback.format_exc()
    kill_descendants(os.getpid())
    answer.write(json.dumps({"ended": ended, "why": why, "seals": p.seals, "costs": p.costs}) + "\n")
    answer.flush()
    os._exit(0)


if __name__ == "__main__":
    # A ticket's probe.py imports this module by its name; it must be the same one, or its CannotTell would be another class.
    from answers.exercise.probe import main as named_main

    named_main()
