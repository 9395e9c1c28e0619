"""Leads one candidate's checks: takes a snapshot, checks it, and keeps what was found on the interviewer's side."""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, NoReturn

from answers.checkout import is_exercise
from answers.exercise import catalogue, fault, measured, workspace
from answers.exercise.catalogue import ExerciseError, Ticket
from answers.exercise.changes import between, counts, git
from answers.exercise.check import Result, Stage
from answers.exercise.check import check as check_changes
from answers.exercise.workspace import Workspace, alone, snapshot
from include.files import write_atomically

COPY = "ANSWERS_COPY"  # the copy that asks its kit
KEPT = ".answers/interviews"  # in the kit's checkout, by the token of the copy
NO_KIT = (
    "the checks are with your interviewer. `make test` and the examples in TICKET.md are yours; "
    "`answers exercise submit` packs your work"
)


def ask_kit(folder: Path, arguments: list[str], by: str | None = None) -> NoReturn:
    """Let the checkout that made this copy do what the copy cannot: it becomes this process.

    :param by: the variable that names the copy there, where it is no argument.
    :raises ExerciseError: the copy has no kit, or it is gone.
    """
    opened = workspace.find(folder)
    kit = opened.note.get("kit")
    if not kit:
        raise ExerciseError(NO_KIT)
    python = Path(kit) / ".venv" / "bin" / "python"
    if not python.exists():
        raise ExerciseError(
            f"the checkout that made this copy, {kit}, is gone or has no environment: `make setup` there"
        )
    named = [] if by else [str(opened.folder)]
    command = [str(python), "-m", "answers", "exercise", arguments[0], *named, *arguments[1:]]
    environment = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "VIRTUAL_ENV")}
    sys.stdout.flush()
    os.chdir(kit)
    os.execve(python, command, environment | {"PYTHONPATH": str(kit)} | ({by: str(opened.folder)} if by else {}))  # noqa: S606


def heading(opened: Workspace) -> str:
    """Write the ticket, the time used and the number of the check."""
    note = opened.note
    used = f"{opened.minutes_used:.0f} of {note.get('minutes', '?')} minutes"
    return f"{note.get('ticket', 'fault')} · {used} · check {len(workspace.snapshots(opened)) + 1}"


def kept_at(root: Path, opened: Workspace) -> Path:
    """Return the folder in the kit where what belongs to a copy is kept.

    :raises ExerciseError: the copy's note has no token.
    """
    token = str(opened.note.get("token", ""))
    if not re.fullmatch(r"[0-9a-f]{16}", token):
        raise ExerciseError(f"{opened.folder} was not made by `answers exercise start`: it has no token")
    return root / KEPT / token


def check(root: Path, opened: Workspace, say: Callable[[Stage], None] | None = None) -> Result:
    """Check a working copy as it is now, and keep the outcome.

    :raises ExerciseError: another check of it is at work, or the ticket is gone.
    """
    told = say or (lambda stage: None)
    kept = kept_at(root, opened)
    with alone(opened):
        began = opened.minutes_used
        ticket = ticket_of(root, opened)
        number, commit = submitted_commit(opened) or snapshot(opened)
        changes = between(opened.folder, workspace.start_commit(opened), commit, counted_by(root, opened, ticket))
        keep = kept / "checks" / str(number)
        if ticket is None:
            result = fault.check(root, opened, changes, told)
        else:
            result = check_changes(root, ticket, int(opened.note["variant"]), changes, told, keep=keep / "evidence")
        about = {
            "number": number,
            "at": datetime.now(UTC).isoformat(timespec="seconds"),
            "minute": round(began, 1),
            "commit": commit,
            "files": sorted(changes.files),
        }
        write_atomically(
            keep / "verdict.json", json.dumps(about | result.as_data(public=False), default=str) + "\n", 0o600
        )
        public = about | result.as_data(public=True)
        write_atomically(opened.folder / ".answers" / "checks" / f"{number}.json", json.dumps(public, indent=2) + "\n")
    return result


def submitted_commit(opened: Workspace) -> tuple[int, str] | None:
    """Return the commit of a submission, numbered after the candidate's own checks; None for a copy that is worked in."""
    if opened.note.get("mode") != "submission":
        return None
    commit = git(opened.folder, "rev-parse", "--verify", "refs/answers/submitted^{commit}").decode().strip()
    return len(workspace.snapshots(opened)) + 1, commit


def ticket_of(root: Path, opened: Workspace) -> Ticket | None:
    """Return the ticket of a copy; None for a fault."""
    id_ = opened.ticket_id
    return None if id_ == "fault" else catalogue.find(root, id_)


def counted_by(root: Path, opened: Workspace, ticket: Ticket | None) -> Callable[[str], bool]:
    """Return what tells whether a path is the candidate's to change: the ticket's bounds, or a fault's."""
    if ticket is None:
        return partial(fault.counts, fault.fault_of(root, opened))
    return partial(counts, bounds=ticket.exercise.bounds)


def status(opened: Workspace) -> dict[str, Any]:
    """Return ticket, minutes, checks, hints and the last public verdict."""
    files = sorted((opened.folder / ".answers" / "checks").glob("*.json"), key=lambda file: int(file.stem))
    last = json.loads(files[-1].read_text(encoding="utf-8")) if files else None
    note = opened.note
    return {
        "ticket": note.get("ticket", "fault"),
        "variant": note.get("variant"),
        "minutes": note.get("minutes"),
        "minutes_used": round(opened.minutes_used, 1),
        "checks": len(files),
        "hints": len(note.get("hints_used", [])),
        "last": last,
    }


def require_kit(root: Path, what: str) -> None:
    """Refuse a command that a copy does not have.

    :raises ExerciseError: the checkout is a copy that was handed out.
    """
    if is_exercise(root):
        raise _not_here(what)


def _not_here(what: str) -> ExerciseError:
    return ExerciseError(f"{what} is with the checkout that made this copy: ask for it there")


def solutions(root: Path, id_: str | None, design: str | None, give_up: bool) -> dict[str, str]:
    """Return the designs of a ticket: why each is right, or one as a patch.

    :raises ExerciseError: the copy that asks is no practice, or nothing in it holds yet.
    """
    if asking := os.environ.get(COPY):
        opened = workspace.find(Path(asking))
        last = status(opened)["last"]
        if opened.note.get("mode") != "practice":
            raise _not_here("the solution")
        if not give_up and not (last and last["verdict"] == "holds"):
            raise ExerciseError("nothing holds yet: check again, take a hint, or add --give-up")
        id_ = opened.ticket_id
    if not id_ or id_ == "fault":
        raise ExerciseError("name a ticket of `answers exercise list`; a fault's repair is told in tests/faults")
    ticket = catalogue.find(root, id_)
    if design is None:
        return {name: _why(patch) for name, patch in ticket.designs.items()}
    if design not in ticket.designs:
        raise ExerciseError(f"{id_} has the designs {', '.join(ticket.designs) or 'none'}, not {design}")
    return {design: f"{_why(ticket.designs[design])}\n{ticket.designs[design].read_text(encoding='utf-8')}"}


def _why(patch: Path) -> str:
    file = patch.with_name("WHY.md")
    return file.read_text(encoding="utf-8") if file.is_file() else ""


def measure_tests(root: Path, opened: Workspace) -> None:
    """Measure the candidate's tests as of the last check, for the report.

    :raises ExerciseError: it is a fault, or was never checked.
    """
    ticket, handed_in = ticket_of(root, opened), submitted_commit(opened)
    commits = [handed_in[1]] if handed_in else workspace.snapshots(opened)
    if ticket is None or not commits:
        raise ExerciseError("tests are measured on the wrong answers of a ticket, after a check")
    changes = between(opened.folder, workspace.start_commit(opened), commits[-1], counted_by(root, opened, ticket))
    measured.measure(root, ticket, int(opened.note["variant"]), changes, kept_at(root, opened) / "tests.json")
