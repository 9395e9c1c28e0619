"""Parses every DAG file of the project: nothing else happens, and each parse gives the same document."""

import json
import os
import subprocess
import sys

import pytest

from support import PROJECT

FILES = sorted(PROJECT.glob("dags/*.py"))
each_file = pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)


def parse(code: str) -> str:
    """Return the last line that a fresh process prints. The DAGs folder is on its path, as a bundle's is."""
    path = os.pathsep.join((os.environ["PYTHONPATH"], str(PROJECT / "dags")))
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=PROJECT, env=os.environ | {"PYTHONPATH": path}
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()[-1]


@pytest.fixture(scope="module")
def findings() -> list[dict]:
    """Return what the checker finds in the DAG files when it parses them (AA1 and AA4), each in two processes."""
    command = [sys.executable, "-m", "dag_integrity", "dags", "--select", "AA1,AA4", "--format", "json"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=PROJECT)
    assert f"{len(FILES)} DAG files in " in done.stderr, done.stderr
    return json.loads(done.stdout)


@pytest.mark.claim("1.1")
@each_file
def test_nothing_else_happens_at_parse_and_two_parses_give_the_same(findings, file):
    assert [found for found in findings if file.name in found["file"]] == []


WITHOUT_POLICY = {
    "q08_failure_matrix",
    "q10_canary",
}  # the one shows what Airflow does by itself; the other raises no error of ours


@pytest.mark.claim("1.5")
@pytest.mark.parametrize(
    "file", [file for file in FILES if file.stem not in WITHOUT_POLICY], ids=lambda file: file.stem
)
def test_every_task_knows_which_errors_are_not_worth_a_retry(file):
    code = f"""
from airflow.dag_processing.dagbag import DagBag
tasks = [task for dag in DagBag(dag_folder={str(file)!r}).dags.values() for task in dag.tasks]
print(bool(tasks), [task.task_id for task in tasks if not task.retry_policy])
"""
    assert parse(code) == "True []"
