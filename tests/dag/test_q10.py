"""DAGs from Git by commit, as Airflow's own processor and executor see them, and the canary itself."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from answers.stack import bundles
from include.flights.feed import default_feed
from support import PROJECT, copy_fresh_database
from support.deploys import Project

STEP = """
import json, sys
from airflow.dag_processing.bundles.manager import DagBundlesManager
from airflow.dag_processing.manager import DagFileProcessorManager

DagBundlesManager().sync_bundles_to_db()
DagFileProcessorManager(max_runs=1).run()

from airflow.api.common.trigger_dag import trigger_dag
from airflow.executors.workloads import ExecuteTask
from airflow.models import DagRun
from airflow.models.dagbag import DBDagBag
from airflow.utils.session import create_session
from airflow.utils.types import DagRunTriggeredByType
from sqlalchemy import select

with create_session() as session:
    trigger_dag("q10_canary", triggered_by=DagRunTriggeredByType.TEST, run_id=sys.argv[1], session=session)
found = {}
with create_session() as session:
    runs = list(session.scalars(select(DagRun.run_id).where(DagRun.dag_id == "q10_canary")))
for run_id in runs:
    with create_session() as session:  # as the scheduler: the tasks of the version that the run was made for
        run = session.scalar(select(DagRun).where(DagRun.run_id == run_id))
        run.dag = DBDagBag().get_dag_for_run(run, session=session)
        tasks = sorted(run.dag.task_ids)
        if not run.task_instances:
            run.verify_integrity(dag_version_id=run.created_dag_version_id, session=session)
    with create_session() as session:
        run = session.scalar(select(DagRun).where(DagRun.run_id == run_id))
        told = ExecuteTask.make(run.task_instances[0]).bundle_info
        bundle = DagBundlesManager().get_bundle(told.name, told.version)
        bundle.initialize()
        file = (bundle.path / "q10/seats.py").read_text()
        found[run_id] = {"commit": run.bundle_version, "executor": told.version, "tasks": tasks, "file": file}
print("FOUND", json.dumps(found))
"""


@pytest.fixture
def git_bundle(tmp_path, metadata_database):
    """Make a bundle of the canary at two commits; the second is the breaking change of the demonstration."""
    project = Project(tmp_path)
    files = {f"dags/{name}": (PROJECT / "dags" / name).read_text() for name in ("q10_canary.py", "q10/seats.py")}
    project.commit("one", files)
    repository = bundles.create_repository(tmp_path / "dags.git", project.folder)
    new = repository.apply(repository.head(bundles.BRANCH), PROJECT / "answers/demo/breaking.patch", "two")
    database = tmp_path / "airflow.db"
    copy_fresh_database(database)
    environment = os.environ | bundles.bundle_settings(repository.path, tmp_path / "bundles")
    environment |= {"AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{database}"}

    def step(run_id: str) -> dict:
        """Parse the bundle as it is now, start a run, and tell of each run what the executor is told."""
        command = [sys.executable, "-c", STEP, run_id]
        done = subprocess.run(command, env=environment, cwd=PROJECT, capture_output=True, text=True)
        lines = [line for line in done.stdout.splitlines() if line.startswith("FOUND ")]
        assert lines, f"{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
        return json.loads(lines[-1].removeprefix("FOUND "))

    return repository, new, step


@pytest.mark.claim("10.1")
@pytest.mark.claim("10.2")
def test_a_run_keeps_the_commit_it_began_on_while_the_next_one_takes_the_new(git_bundle):
    repository, new, step = git_bundle
    old = repository.head(bundles.BRANCH)
    first = step("first")["first"]
    assert (first["commit"], first["executor"]) == (old, old)
    assert "report" in first["tasks"]
    repository.move(bundles.BRANCH, old, new)
    both = step("second")
    assert both["first"] == first
    assert (both["second"]["commit"], both["second"]["executor"]) == (new, new)
    assert "publish" in both["second"]["tasks"]
    assert "report" not in both["second"]["tasks"]
    # The module beside the DAG file is pinned with it.
    assert both["second"]["file"] != first["file"] == (PROJECT / "dags/q10/seats.py").read_text()


@pytest.mark.claim("10.1")
def test_every_stack_keeps_its_copies_in_a_place_of_its_own(git_bundle, tmp_path):
    _, _, step = git_bundle
    commit = step("first")["first"]["commit"]
    assert (tmp_path / "bundles" / bundles.NAME / "versions" / commit / "dags" / "q10_canary.py").is_file()


@pytest.mark.claim("10.4")
def test_the_canary_counts_the_seats_of_the_feed(dag_of):
    result = dag_of("q10_canary").test()
    assert str(result.state) == "success"
    report = Path(os.environ["AIRFLOW_VAR_DATA_ROOT"]) / "q10" / f"{result.run_id}.json"
    planes = pd.read_csv(default_feed() / "planes.csv")
    expected = planes.groupby("manufacturer").seats.sum().nlargest(12)
    assert json.loads(report.read_text()) == expected.to_dict()
