"""What processes that fork tasks import beforehand, and the scheduler's settings: those that `bench knobs` found to matter."""

import json
import subprocess
import sys

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


@pytest.mark.claim("7.3")
def test_the_settings_in_force_are_those_that_were_measured_to_be_faster():
    settings = dotenv.read(PROJECT / "config" / "airflow.env")
    assert RECORDED["scheduler_idle_sleep_time 1 (default)"]["hop_ratio"] > 1.5
    assert float(settings["AIRFLOW__SCHEDULER__SCHEDULER_IDLE_SLEEP_TIME"]) <= 0.1
    assert RECORDED["min_heartbeat_interval 5 (default)"]["tasks_s_ratio"] < 0.8
    assert float(settings["AIRFLOW__WORKERS__MIN_HEARTBEAT_INTERVAL"]) <= 1


@pytest.mark.claim("7.3")
@pytest.mark.parametrize("program", ["scheduler", "dag-processor"])
def test_the_processes_that_fork_tasks_and_parsers_import_first(program):
    assert RECORDED["modules not imported in the parent (default)"]["hop_ratio"] > 1.2
    supervised = (PROJECT / "config" / "supervisord.conf").read_text()
    section = supervised.partition(f"[program:{program}]")[2].partition("[program:")[0]
    assert 'ANSWERS_PRELOAD="%(ENV_ANSWERS_FORKS_PRELOAD)s"' in section


@pytest.mark.claim("7.3")
def test_the_table_in_the_docs_is_the_recorded_one():
    page = (PROJECT / "docs" / "q07.md").read_text()
    for knob, found in RECORDED.items():
        assert f"| {knob} | {found['sequential']['hop_ms']} | {found['parallel']['tasks_s']} |" in page, knob
