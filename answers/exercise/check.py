"""Checks one state of a candidate's work: gates, probe, tests to keep, judge. Says of each check what it found."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from answers.exercise.catalogue import Ticket
from answers.exercise.changes import CannotJudge, Changes, lay_over
from answers.exercise.judge import said
from answers.exercise.probing import Overused, Rooms, run_judge, run_probe
from answers.exercise.workshop import Workshop, scratch
from answers.proof.copies import fill

HOLDS, WRONG, CANNOT_TELL, NOT_LOOKED_AT = "holds", "wrong", "cannot tell", "not looked at"
EXIT = {"holds": 0, "does not hold": 1, "could not be told": 2}


@dataclass(frozen=True)
class Stage:
    """Says what one gate or check has found. `expected` and `detail` are for the interviewer only."""

    id: str
    verdict: str
    holds: str = ""
    seen: str = ""
    because: str = ""
    expected: Any = None
    detail: str = ""

    def public(self) -> dict[str, str]:
        """Return what the candidate may read."""
        return {"id": self.id, "verdict": self.verdict, "holds": self.holds, "seen": self.seen, "because": self.because}


@dataclass
class Result:
    """Holds the outcome of a check: its stages in their order."""

    stages: list[Stage] = field(default_factory=list)
    outside: list[str] = field(default_factory=list)
    seconds: float = 0.0
    parts: dict[str, float] = field(default_factory=dict)
    steps: dict[str, list[float]] = field(default_factory=dict)
    log: str = ""

    @property
    def verdict(self) -> str:
        """Return holds, does not hold, or could not be told."""
        verdicts = {stage.verdict for stage in self.stages}
        if WRONG in verdicts:
            return "does not hold"
        return "holds" if verdicts == {HOLDS} else "could not be told"

    @property
    def exit_code(self) -> int:
        """Return the exit code of the command."""
        return EXIT[self.verdict]

    @property
    def first_wrong(self) -> Stage | None:
        """Return the first stage that convicts."""
        return next((stage for stage in self.stages if stage.verdict == WRONG), None)

    def as_data(self, public: bool) -> dict[str, Any]:
        """Return the outcome as JSON has it; `public` leaves out what is for the interviewer."""
        stages = [stage.public() if public else asdict(stage) for stage in self.stages]
        data = {"verdict": self.verdict, "seconds": round(self.seconds, 1), "outside": self.outside, "stages": stages}
        return data if public else data | {"parts": self.parts, "steps": self.steps, "log": self.log}


Say = Callable[[Stage], None]


class Done(Exception):
    """Ends a check early: the stages that follow are not looked at."""


def make_start(root: Path, ticket: Ticket, number: int, target: Path) -> None:
    """Write the tree that a candidate begins with, without Git and packages."""
    fill(root, target, ticket.story(number), lambda copy: lay_overlay(ticket, copy))


def lay_overlay(ticket: Ticket, copy: Path) -> None:
    """Lay the ticket's own files over a copy: a given module, examples."""
    for name in ("overlay", "examples"):
        if (ticket.folder / name).is_dir():
            shutil.copytree(ticket.folder / name, copy, dirs_exist_ok=True)


def check(
    root: Path,
    ticket: Ticket,
    number: int,
    changes: Changes,
    say: Say = lambda stage: None,
    prepared: Path | None = None,
    untouched: bool = False,
    keep: Path | None = None,
    quick: bool = False,
    workshop: Workshop | None = None,
) -> Result:
    """Check a candidate's changes.

    :param number: of the variant.
    :param say: is told each stage as it is known.
    :param prepared: the tree that the candidate began with, where it was made already.
    :param untouched: do not ask for a change.
    :param keep: a new folder for the evidence.
    :param quick: leave out the tests to keep and those of the candidate.
    :param workshop: of a proof, which makes many checks.
    """
    result, began = Result(outside=changes.outside), time.monotonic()

    def add(stage: Stage) -> None:
        result.stages.append(stage)
        say(stage)
        if stage.verdict != HOLDS and stage.id in ("delivered", "bounds", "parses"):
            raise Done

    with scratch(workshop.folder if workshop else None) as rooms:
        try:
            if not untouched:
                add(_delivered(changes))
                add(_bounds(changes))
            _prepare(root, ticket, number, changes, rooms, prepared, result)
            _look(ticket, number, changes, rooms, result, add, quick, workshop)
        except Done:
            pass
        except CannotJudge as error:
            add(Stage("machine", CANNOT_TELL, "the check itself can be done", because=str(error)))
        except Overused as error:
            add(
                Stage(
                    "limits",
                    WRONG,
                    "the code keeps to its limits",
                    f"the code {error}",
                    "a check has limits of time, memory and disk",
                )
            )
        for item in ticket.exercise.checks:
            if item.id not in {stage.id for stage in result.stages}:
                add(Stage(item.id, NOT_LOOKED_AT, item.holds))
        result.log = rooms.log.read_text(encoding="utf-8", errors="replace")[-20000:] if rooms.log.exists() else ""
        if keep and rooms.evidence.exists():
            shutil.copytree(rooms.evidence, keep, dirs_exist_ok=True)
    result.seconds = time.monotonic() - began
    return result


def _delivered(changes: Changes) -> Stage:
    holds = "something was changed"
    if changes.files:
        return Stage("delivered", HOLDS, f"{len(changes.files)} files changed")
    aside = f" that counts: {', '.join(changes.outside[:5])} is not yours to change" if changes.outside else " yet"
    return Stage("delivered", WRONG, holds, f"nothing was changed{aside}", "there is nothing to check")


def _bounds(changes: Changes) -> Stage:
    aside = f"; not used, as not yours to change: {', '.join(changes.outside[:8])}" if changes.outside else ""
    return Stage("bounds", HOLDS, f"the changes are within the ticket's bounds{aside}")


def _prepare(
    root: Path, ticket: Ticket, number: int, changes: Changes, rooms: Rooms, prepared: Path | None, result: Result
) -> None:
    began = time.monotonic()
    if prepared:
        shutil.copytree(prepared, rooms.start, symlinks=True)
    else:
        make_start(root, ticket, number, rooms.start)
    shutil.copytree(rooms.start, rooms.project, symlinks=True)
    lay_over(changes, rooms.project)
    result.parts["copy"] = round(time.monotonic() - began, 1)


def _look(
    ticket: Ticket,
    number: int,
    changes: Changes,
    rooms: Rooms,
    result: Result,
    add: Callable[[Stage], None],
    quick: bool,
    workshop: Workshop | None,
) -> None:
    """Run probe and tests beside each other, then the judge, and add what they found."""
    add_syntax = _syntax(changes)
    if add_syntax:
        add(add_syntax)
    keeps = [] if quick else ticket.exercise.keeps
    if keeps:
        shutil.copytree(rooms.project, rooms.kept, symlinks=True)
        shutil.copytree(rooms.start / "tests", rooms.kept / "tests", dirs_exist_ok=True)
    with ThreadPoolExecutor(2) as pool:
        kept = pool.submit(_timed, result, "keeps", run_probe, ticket, number, rooms, keeps) if keeps else None
        late, result.steps = _timed(
            result, "probe", run_probe, ticket, number, rooms, None, quick, workshop.probe if workshop else None
        )
        late_keeps = kept.result()[0] if kept else ""
    add(_parses(rooms))
    if keeps:
        add(_keeps(rooms, late_keeps))
    wanted = {check.id: check.holds for check in ticket.exercise.checks}
    warm = workshop.judge if workshop else None
    for found in _timed(result, "judge", run_judge, ticket, number, rooms, warm):
        because = found["because"]
        if late and found["verdict"] == CANNOT_TELL:
            because = f"{because}: {late}"
        parts = {key: found[key] for key in ("seen", "expected", "detail")}
        add(Stage(found["check"], found["verdict"], wanted[found["check"]], because=because, **parts))


def _timed(result: Result, part: str, work: Callable[..., Any], *arguments: Any) -> Any:
    began = time.monotonic()
    try:
        return work(*arguments)
    finally:
        result.parts[part] = round(time.monotonic() - began, 1)


def _syntax(changes: Changes) -> Stage | None:
    """Find the first changed file that is no valid Python."""
    for path, content in changes.files.items():
        if content is not None and path.endswith(".py"):
            try:
                compile(content, path, "exec", dont_inherit=True)
            except (SyntaxError, ValueError) as error:
                line = f", line {error.lineno}" if isinstance(error, SyntaxError) and error.lineno else ""
                text = error.msg if isinstance(error, SyntaxError) else str(error)
                return Stage(
                    "parses", WRONG, "the code can be imported", f"{path}{line}: {text}", "it is not valid Python"
                )
    return None


def _recorded(rooms: Rooms, part: str, name: str) -> dict[str, Any] | None:
    try:
        recorded: dict[str, Any] = json.loads((rooms.evidence / part / f"{name}.json").read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    return recorded


def _parses(rooms: Rooms) -> Stage:
    recorded, holds = _recorded(rooms, "probe", "parsed"), "the DAG files can be imported"
    if recorded is None:
        return Stage("parses", HOLDS, holds)
    if error := recorded.get("error"):
        return Stage("parses", WRONG, holds, said(error), "the scheduler could not read the DAG files")
    for file, text in recorded["value"]["errors"].items():
        last = text.strip().splitlines()[-1] if text.strip() else "?"
        return Stage(
            "parses", WRONG, holds, f"{Path(file).name}: {last}", "the scheduler cannot import this file", detail=text
        )
    return Stage("parses", HOLDS, holds)


def _keeps(rooms: Rooms, late: str) -> Stage:
    holds = "tests of what must not change still pass"
    recorded = _recorded(rooms, "keeps", "keeps")
    if recorded is None or late:
        return Stage("keeps", CANNOT_TELL, holds, because=late or "the tests were not run")
    if error := recorded.get("error"):
        return Stage("keeps", WRONG, holds, said(error), "these tests pass on the project as it was handed out")
    outcomes = recorded["value"]["tests"]
    failed = [test for test, outcome in outcomes.items() if outcome in ("failed", "error")]
    if failed:
        return Stage(
            "keeps", WRONG, holds, f"fails: {', '.join(failed[:3])}", "it passes on the project as it was handed out"
        )
    if recorded["value"]["exit"] != 0 or "passed" not in outcomes.values():
        return Stage(
            "keeps", CANNOT_TELL, holds, because=f"pytest ended with {recorded['value']['exit']}, no test passed"
        )
    return Stage("keeps", HOLDS, holds)
