"""Defines scenarios and the recorder of dags/q08_failure_matrix.py: how a task may end, and which parts of Airflow notice it.

bench/results/failure_matrix.json is what a live stack showed. docs/q08.md has its table.
"""

from __future__ import annotations

import os
import resource
import signal
import time
from pathlib import Path
from typing import Any

from include.alerts import records

FOLDER = "failure_matrix"
SCENARIOS = {
    "raise": "an exception",
    "fail": "AirflowFailException",
    "task_timeout": "execution_timeout",
    "dagrun_timeout": "dagrun_timeout",
    "out_of_memory": "out of memory, as MemoryError",
    "sigterm": "SIGTERM of the task's process",
    "sigkill": "SIGKILL of the task's process",
    "sigkill_worker": "SIGKILL of the task and its worker",
}
SLEEP_SECONDS = 25.0  # seconds; longer than any timeout of the matrix


def run_scenario(scenario: str) -> str:
    """End the running task's process in the way that the scenario names.

    :raises Exception: in those scenarios that consist of one
    """
    from airflow.sdk.exceptions import AirflowFailException

    if scenario == "raise":
        raise ValueError("as it was told")
    if scenario == "fail":
        raise AirflowFailException("as it was told, not to be retried")
    if scenario == "out_of_memory":
        used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (used + (64 << 20), resource.RLIM_INFINITY))
        return f"{len(bytearray(1 << 30))} bytes were there"
    if scenario == "sigterm":
        os.kill(os.getpid(), signal.SIGTERM)
        return "went on after SIGTERM"
    if scenario == "sigkill_worker":
        os.kill(os.getppid(), signal.SIGKILL)
    if scenario.startswith("sigkill"):
        os.kill(os.getpid(), signal.SIGKILL)
    time.sleep(SLEEP_SECONDS)
    return "nothing has stopped it"


def record_effect(data_root: Path, dag_id: str, run_id: str, effect: str, seen: dict[str, Any]) -> None:
    """Record that an effect of a failure was seen in a run."""
    records.write_once(records.record_path(data_root / FOLDER, dag_id, run_id, effect), seen | {"effect": effect})
