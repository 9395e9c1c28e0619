"""Checks a repaired fault: the claim's tests, run from the kit and not from the copy."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from answers.exercise.catalogue import ExerciseError
from answers.exercise.changes import CannotJudge, Changes, lay_over
from answers.exercise.check import HOLDS, WRONG, Result, Stage, scratch
from answers.exercise.model import Bounds
from answers.exercise.workspace import Workspace
from answers.proof.catalog import Fault, load_faults
from answers.proof.copies import copy_project
from answers.proof.faults import FAST, PATIENCE, apply_fault, fault_token, scratch_environment, targets
from answers.proof.runner import run_tests

BOUNDS = Bounds(yours=["dags/**", "include/**", "plugins/**", "answers/**", "config/**"])
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


def check(root: Path, opened: Workspace, changes: Changes, say: Callable[[Stage], None]) -> Result:
    """Run the claim's tests of the kit on the candidate's code."""
    fault, result, began = fault_of(root, opened), Result(outside=changes.outside), time.monotonic()
    with scratch() as rooms:
        copy_project(root, rooms.project)
        apply_fault(rooms.project, fault)
        try:
            lay_over(changes, rooms.project)
        except CannotJudge as error:
            stage = Stage("claim", "cannot tell", HOLDS_TEXT, because=str(error))
        else:
            stage = _tests(root, rooms.project, fault)
    result.stages.append(stage)
    result.seconds = time.monotonic() - began
    say(stage)
    return result


def _tests(root: Path, project: Path, fault: Fault) -> Stage:
    arguments = [*targets(project, [fault]), "--claim", fault.claim, *FAST, "-x"]
    run = run_tests(project, arguments, scratch_environment(root, project), patience=PATIENCE)
    failed = [test for test in run.tests.values() if test.outcome in ("failed", "unfinished")]
    if failed:
        return Stage(
            "claim",
            WRONG,
            HOLDS_TEXT,
            f"{failed[0].id} {failed[0].outcome}",
            fault.symptom,
            detail=failed[0].message or "",
        )
    if run.exit_code == 0 and run.tests:
        return Stage("claim", HOLDS, HOLDS_TEXT)
    return Stage("claim", "cannot tell", HOLDS_TEXT, because=f"pytest ended with {run.exit_code}: {run.tail(3)}")
