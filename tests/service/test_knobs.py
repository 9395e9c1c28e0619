"""Tries what processes that fork tasks import first, and the scheduler's settings: those that `bench knobs` found to matter."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from answers.stack import dotenv
from support import PROJECT

RECORDED = json.loads((PROJECT / "bench/results/knobs.json").read_text())["result"]["knobs"]


def imported(preload: str, tell: str = "*sys.modules") -> set[str]:
    done = subprocess.run(
        [sys.executable, "-c", f"import sys, airflow_local_settings; print({tell})"],
        env={"PYTHONPATH": f"{PROJECT}:{PROJECT / 'config'}", "ANSWERS_PRELOAD": preload, "PATH": "/usr/bin:/bin"},
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    return set(done.stdout.splitlines()[-1].split())


@pytest.mark.claim("7.3")
def test_the_parent_of_all_tasks_has_the_operators_and_no_engine_with_threads():
    modules = imported("1")
    assert {"airflow.providers.apache.spark.operators.spark_submit", "clickhouse_connect", "pyarrow.csv"} <= modules
    assert not {"chdb", "confluent_kafka", "pyspark"} & modules
    assert "airflow.providers.apache.spark.operators.spark_submit" not in imported("0")


@pytest.mark.claim("7.3")
@pytest.mark.parametrize(("preload", "times"), [("1", {"1"}), ("0", {"0"})])
def test_the_parent_has_executed_the_plugins_that_each_task_would_look_for_listeners_in(preload, times):
    kept = "__import__('airflow.sdk.listener').sdk.listener.get_listener_manager.cache_info().currsize"
    assert imported(preload, kept) == times


IN_FORCE = """
from airflow.jobs.job import Job
from airflow.jobs.scheduler_job_runner import SchedulerJobRunner
from airflow.sdk.execution_time import supervisor
print(SchedulerJobRunner(Job())._scheduler_idle_sleep_time, supervisor.MIN_HEARTBEAT_INTERVAL)
"""


@pytest.mark.claim("7.3")
def test_airflows_scheduler_and_supervisor_of_tasks_have_the_short_pauses(tmp_path):
    """Asked of Airflow itself, in a process with the platform's settings and in one without."""

    def pauses(settings: dict[str, str]) -> tuple[float, float]:
        outer = {name: value for name, value in os.environ.items() if not name.startswith("AIRFLOW__")}
        own = {"AIRFLOW_HOME": str(tmp_path), "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{tmp_path}/airflow.db"}
        done = subprocess.run(
            [sys.executable, "-c", IN_FORCE], env=outer | own | settings, capture_output=True, text=True, check=True
        )
        idle, heartbeat = done.stdout.splitlines()[-1].split()
        return float(idle), float(heartbeat)

    assert pauses({}) == (1, 5)
    idle, heartbeat = pauses(dotenv.read(PROJECT / "config" / "airflow.env"))
    assert idle <= 0.1
    assert heartbeat <= 1


def environment_of(program: str, home: Path) -> dict[str, str]:
    """Return what supervisor adds to the environment of a program of the embedded stack, by its own reading of its file."""
    (home / "logs").mkdir()
    file = PROJECT / "config" / "supervisord.conf"
    outer = dict.fromkeys(re.findall(r"%\(ENV_(\w+)\)s", file.read_text()), "1")
    code = (
        "import json, sys; from supervisor.options import ServerOptions; options = ServerOptions();"
        f"options.realize(['-n', '-c', {str(file)!r}]);"
        "print(json.dumps({each.name: dict(each.environment) for group in options.process_group_configs"
        " for each in group.process_configs}))"
    )
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code],
        env=os.environ | outer | {"ANSWERS_STACK": str(home), "ANSWERS_PYTHON": sys.executable},
        cwd=PROJECT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])[program]


@pytest.mark.claim("7.3")
@pytest.mark.parametrize("program", ["scheduler", "dag-processor"])
def test_the_processes_that_fork_tasks_and_parsers_import_first(program, tmp_path):
    modules = imported(environment_of(program, tmp_path).get("ANSWERS_PRELOAD", ""))
    assert "airflow.providers.apache.spark.operators.spark_submit" in modules


def test_what_is_set_is_what_was_measured_to_be_faster():
    assert RECORDED["scheduler_idle_sleep_time 1 (default)"]["hop_ratio"] > 1.5
    assert RECORDED["min_heartbeat_interval 5 (default)"]["tasks_s_ratio"] < 0.8
    assert RECORDED["modules not imported in the parent (default)"]["hop_ratio"] > 1.2


def test_the_table_in_the_docs_is_the_recorded_one():
    page = (PROJECT / "docs" / "q07.md").read_text()
    for knob, found in RECORDED.items():
        assert f"| {knob} | {found['sequential']['hop_ms']} | {found['parallel']['tasks_s']} |" in page, knob
