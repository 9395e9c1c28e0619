"""Records which callbacks and tasks of dags/q08_failure_matrix.py ran."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from include.alerts import failure_matrix


def witness(context: dict[str, Any], effect: str) -> None:
    """Record below the Variable data_root that `effect` happened in this run, and in which process."""
    import psutil
    from airflow.sdk import Variable

    parent = " ".join(psutil.Process(os.getppid()).cmdline()).replace("_", "-")
    seen = {
        "dag_id": context["dag"].dag_id,
        "run_id": context["run_id"],
        "process": "DAG processor" if "dag-processor" in parent else "task",
        "reason": context.get("reason"),
        "error": repr(context.get("exception")),
    }
    failure_matrix.record_effect(Path(Variable.get("data_root")), seen["dag_id"], seen["run_id"], effect, seen)


def task_failed(context: dict[str, Any]) -> None:
    """Serve as the on_failure_callback of a task."""
    witness(context, "task_callback")


def dag_failed(context: dict[str, Any]) -> None:
    """Serve as the on_failure_callback of a DAG."""
    witness(context, "dag_callback")
