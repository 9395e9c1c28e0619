"""Reads back which parts of Airflow noticed a task's death (question 8), and writes the table of docs/q08.md."""

from pathlib import Path
from typing import Any

from include.alerts import failure_matrix, records

EFFECTS = {
    "task_callback": "task callback",
    "dag_callback": "DAG callback",
    "teardown": "teardown",
    "one_failed": "`one_failed` task",
    "deadline": "deadline",
}


def observed_effects(data_root: Path, dag_id: str, run_id: str) -> dict[str, str]:
    """Return the effects that were seen in a run: effect -> the process that it happened in."""
    folder = records.record_path(data_root / failure_matrix.FOLDER, dag_id, run_id, "x").parent
    found = [
        each for each in records.read_records(folder.parent) if (each["dag_id"], each["run_id"]) == (dag_id, run_id)
    ]
    seen = {each["effect"]: each["process"] for each in found}
    if any((each["dag_id"], each["run_id"]) == (dag_id, run_id) for each in records.recorded_misses(data_root)):
        seen["deadline"] = "triggerer"
    return seen


def matrix_table(rows: dict[str, dict[str, Any]]) -> str:
    """Write the matrix as Markdown.

    :param rows: scenario -> {"state" of the run, "effects": {effect: process}}
    """
    lines = [" | ".join(["| how the task ends", *EFFECTS.values(), "run |"]), "|---" * (len(EFFECTS) + 2) + "|"]
    for scenario, title in failure_matrix.SCENARIOS.items():
        seen = rows[scenario]["effects"]
        cells = [_cell(seen.get(effect)) for effect in EFFECTS]
        lines.append(" | ".join([f"| {title}", *cells, f"{rows[scenario]['state']} |"]))
    return "\n".join(lines) + "\n"


def _cell(process: str | None) -> str:
    return "no" if process is None else f"yes, in the {process}" if process == "DAG processor" else "yes"
