"""Checks a repaired fault: the claim's tests, run from the kit and not from the copy."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from answers.exercise.catalogue import ExerciseError
from answers.exercise.changes import CannotJudge, Changes, lay_over, matches
from answers.exercise.check import CANNOT_TELL, HOLDS, WRONG, Result, Stage
from answers.exercise.judge import said
from answers.exercise.probing import Overused, Rooms, run_tests
from answers.exercise.workshop import scratch
from answers.exercise.workspace import Workspace
from answers.proof.catalog import Fault, load_faults
from answers.proof.copies import copy_project
from answers.proof.faults import FAST, apply_fault, fault_token, targets

# Tests are the kit's, and what runs them; the file that has the fault may be among the latter.
NOT_YOURS = (
    "tests/**",
    "**/tests/**",
    "**/conftest.py",
    "answers/exercise/**",
    "answers/proof/**",
    "pyproject.toml",
    "requirements.txt",
)
SECONDS = 300.0  # that the claim's tests may take on the recorded machine
HOLDS_TEXT = "the tests of the claim pass"


def fault_of(root: Path, opened: Workspace) -> Fault:
    """Return the fault that is in a copy, which does not name it.

    :raises ExerciseError: the kit has it no more.
    """
    salt, token = str(opened.note.get("salt")), opened.note.get("fault")
    for fault in load_faults(root):
        if fault_token(fault.id, salt) == token:
            return fault
    raise ExerciseError(f"the fault in {opened.folder} is not among those of {root}: was the kit changed since?")


def counts(fault: Fault, path: str) -> bool:
    """Tell whether a change of this file is part of a repair."""
    return path == fault.file or not matches(path, NOT_YOURS)


def check(root: Path, opened: Workspace, changes: Changes, say: Callable[[Stage], None]) -> Result:
    """Run the claim's tests of the kit on the candidate's code."""
    fault, result, began = fault_of(root, opened), Result(outside=changes.outside), time.monotonic()
    with scratch() as rooms:
        copy_project(root, rooms.kept)
        apply_fault(rooms.kept, fault)
        try:
            lay_over(changes, rooms.kept)
            stage = _tests(rooms, fault)
        except CannotJudge as error:
            stage = Stage("claim", CANNOT_TELL, HOLDS_TEXT, because=str(error))
        except Overused as error:
            stage = Stage(
                "claim", WRONG, HOLDS_TEXT, f"the code {error}", "a check has limits of time, memory and disk"
            )
    result.stages.append(stage)
    result.seconds = time.monotonic() - began
    say(stage)
    return result


def _tests(rooms: Rooms, fault: Fault) -> Stage:
    run_tests(rooms, [*targets(rooms.kept, [fault]), "--claim", fault.claim, *FAST, "-x"], SECONDS)
    file = rooms.evidence / "keeps" / "keeps.json"
    if not file.exists():
        return Stage("claim", WRONG, HOLDS_TEXT, f"the tests were still running after {SECONDS:.0f} s", fault.symptom)
    recorded: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    if error := recorded.get("error"):
        return Stage("claim", WRONG, HOLDS_TEXT, said(error), fault.symptom)
    outcomes, code = recorded["value"]["tests"], recorded["value"]["exit"]
    if failed := [test for test, outcome in outcomes.items() if outcome in ("failed", "error")]:
        return Stage("claim", WRONG, HOLDS_TEXT, f"{failed[0]} fails", fault.symptom)
    if code == 0 and "passed" in outcomes.values():
        return Stage("claim", HOLDS, HOLDS_TEXT)
    return Stage("claim", CANNOT_TELL, HOLDS_TEXT, because=f"pytest ended with {code}, no test passed")
