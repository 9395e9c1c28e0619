"""Makes small projects to check, and runs the command that checks them. Needs nothing but the package, pytest and psutil."""

import json
import os
import re
import subprocess
import sys
import time
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

import dag_integrity

CHECKER = [sys.executable, "-m", "dag_integrity"]
PACKAGE = Path(__file__).resolve().parents[1]
SOURCE = Path(dag_integrity.__file__).resolve().parents[1]
AIRFLOW = tuple(map(int, version("apache-airflow-core").split(".")[:2]))
# Names of airflow.sdk that earlier versions lack, and modules that do not come with Airflow alone.
SINCE = {"BaseHook": (3, 1), "literal": (3, 1), "DeadlineAlert": (3, 2), "AssetOrTimeSchedule": (3, 2)}
PROVIDERS = tuple(f"airflow.providers.{name}" for name in ("amazon", "cncf", "common.sql", "http", "smtp"))
NOT_OF_AIRFLOW = ("psycopg2", "requests", *PROVIDERS)
TIMETABLES = "airflow.sdk" if AIRFLOW >= (3, 2) else "airflow.timetables.interval"
HEAD = f"""
from datetime import timedelta
from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.providers.standard.operators.bash import BashOperator
from airflow.providers.standard.operators.trigger_dagrun import TriggerDagRunOperator
from airflow.providers.standard.sensors.external_task import ExternalTaskSensor
from airflow.sdk import DAG, Asset, task
from {TIMETABLES} import CronDataIntervalTimetable
from pendulum import datetime

GOOD = dict(schedule=None, start_date=datetime(2026, 1, 1), tags=["t"], description="d",
            default_args={{"owner": "team", "retries": 1}})
"""


def dag(body: str, name: str, arguments: str = "**GOOD") -> str:
    lines = "\n".join(f"    {line}" for line in body.strip().splitlines())
    return f'{HEAD}\nwith DAG("{name}", {arguments}) as dag:\n{lines or "    pass"}\n'


def bash(extra: str = "", name: str = "a") -> str:
    return f'{name} = BashOperator(task_id="{name}", bash_command="true"{", " + extra if extra else ""})'


def can_be_imported(text: str) -> bool:
    """Tell whether what a file imports is here: an earlier Airflow lacks some names, one that is alone some modules."""
    lacks_name = any(version > AIRFLOW and re.search(rf"import .*\b{name}\b", text) for name, version in SINCE.items())
    needed = [name for name in NOT_OF_AIRFLOW if f"import {name}" in text or f"from {name}." in text]
    return not lacks_name and all(map(_installed, needed))


def _installed(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:  # nor the package that it is in
        return False


def two_dags(down: str, up: str, extra: str = "") -> str:
    """Return a DAG with a sensor, and the DAG that it waits for, with these schedules."""
    return (
        HEAD + f'with DAG("NAME", **{{**GOOD, "schedule": {down}}}):\n    '
        f'ExternalTaskSensor(task_id="s", external_dag_id="NAME_up", external_task_id="a", timeout=60{extra})\n'
        f'with DAG("NAME_up", **{{**GOOD, "schedule": {up}}}):\n    {bash()}\n'
    )


def environment(**more: str) -> dict[str, str]:
    """Return the environment of the command: nothing of an Airflow or a CI system that this process runs in."""
    left_out = ("AIRFLOW", "CI")
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(left_out)}
    path = {} if SOURCE.name == "site-packages" else {"PYTHONPATH": str(SOURCE)}
    return {**inherited, **path, **more}


def run(*arguments: object, code: int | None = None, cwd: Path | None = None, **more: str):
    """Run the command as a person would; return the finished process."""
    done = subprocess.run(
        [*CHECKER, *map(str, arguments)], capture_output=True, text=True, cwd=cwd or PACKAGE, env=environment(**more), timeout=300
    )  # fmt: skip
    assert code is None or done.returncode == code, (done.stdout[-3000:], done.stderr[-3000:])
    return done


def check(*arguments: object, code: int | None = None, cwd: Path | None = None, **more: str):
    """Run the command; return its findings, exit code and errors."""
    done = run("--format", "json", *arguments, code=code, cwd=cwd, **more)
    return (json.loads(done.stdout) if done.stdout else []), done.returncode, done.stderr


def wait_for(what: str, ready, patience: float = 120):
    """Wait for the first true answer of `ready`; fail when there is none within `patience` seconds."""
    deadline = time.monotonic() + patience
    while not (answer := ready()):
        assert time.monotonic() < deadline, f"waited {patience:.0f} s in vain for {what}"
        time.sleep(0.05)
    return answer
