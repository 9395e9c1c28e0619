"""Every DAG file of the project: parsing it does nothing else, and gives the same document each time."""

import os
import subprocess
import sys

import pytest

from support import PROJECT

FILES = sorted(PROJECT.glob("dags/*.py"))
each_file = pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)


def parse(code: str, **environment: str) -> str:
    """The last line that a fresh process prints. The DAGs folder is on its path, as a bundle's is."""
    environment["PYTHONPATH"] = os.pathsep.join((os.environ["PYTHONPATH"], str(PROJECT / "dags")))
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=PROJECT, env=os.environ | environment
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()[-1]


@pytest.mark.claim("1.1")
@each_file
def test_nothing_else_happens_at_parse(file):
    """Parsed in a fresh process whose Airflow is loaded: no connection, process, database, write or heavy module."""
    code = f"""
import sys, runpy
import airflow.sdk, airflow.sdk.io, airflow.providers.apache.spark.operators.spark_submit
import airflow.providers.standard.operators.bash, airflow.providers.standard.sensors.external_task
import croniter  # of the timetable; it runs `file` once, whoever imports it
from airflow.sdk.bases.hook import BaseHook
from airflow.sdk import Variable
loaded, seen = set(sys.modules), []
def watch(event, args):
    writes = event == "open" and isinstance(args[1], str) and set(args[1]) & set("wax+")
    if writes or event in ("socket.connect", "subprocess.Popen", "sqlite3.connect", "os.system", "os.posix_spawn"):
        seen.append((event, str(args)[:200]))
sys.addaudithook(watch)
sys.dont_write_bytecode = True
def forbidden(*args, **kwargs):
    seen.append(("looked up", args))
BaseHook.get_connection = Variable.get = forbidden
runpy.run_path({str(file)!r})
heavy = {{"pandas", "numpy", "pyspark", "pyarrow", "chdb", "clickhouse_connect", "kubernetes", "matplotlib", "boto3"}}
seen += sorted(heavy & {{name.partition(".")[0] for name in set(sys.modules) - loaded}})
print(seen)
"""
    assert parse(code) == "[]"


@pytest.mark.claim("1.1")
@each_file
def test_two_fresh_processes_serialise_the_same_document(file):
    code = f"""
import json
from airflow.dag_processing.dagbag import DagBag
from airflow.serialization.serialized_objects import DagSerialization
dags = DagBag(dag_folder={str(file)!r}).dags
print(json.dumps([DagSerialization.to_dict(dag) for _, dag in sorted(dags.items())], sort_keys=True, default=str))
"""
    first, second = (parse(code, PYTHONHASHSEED=seed) for seed in ("1", "2"))
    assert first == second
    assert len(first) > 1000


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
