"""Proves a ticket from both sides: right designs pass, wrong answers are convicted by the check meant for them."""

from __future__ import annotations

import re
import shutil
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Collection, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from queue import SimpleQueue
from typing import Any

from answers.exercise import leaks
from answers.exercise.catalogue import ExerciseError, Ticket
from answers.exercise.changes import Changes, counts
from answers.exercise.check import Result, check, make_start
from answers.exercise.judge import shown
from answers.exercise.model import GATES, NEVER_YOURS, Wrong
from answers.exercise.probing import INTERRUPTED
from answers.exercise.warm import Warm
from answers.exercise.workshop import Workshop

DESIGNS, WRONG_ANSWERS = 2, 3  # at least
MOST_SHARED = 0.6  # of the added lines of two designs


@dataclass(frozen=True)
class Case:
    """Names one state of the project that is checked: untouched, a design, or a wrong answer."""

    kind: str
    name: str
    wrong: Wrong | None = None


@dataclass
class Proof:
    """Holds what a ticket's proof has found; `problems` is empty where it is proven."""

    ticket: str
    variant: int = 1
    problems: list[str] = field(default_factory=list)
    cases: list[dict[str, Any]] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def proven(self) -> bool:
        """Tell whether the ticket may be handed out."""
        return not self.problems


def prove(
    root: Path,
    ticket: Ticket,
    number: int = 1,
    jobs: int = 1,
    only: Collection[str] = (),
    say: Callable[[dict[str, Any]], None] = lambda case: None,
) -> Proof:
    """Check the untouched project, every design twice, and every wrong answer.

    :param number: of the variant.
    :param jobs: how many checks are made at a time.
    :param only: names of designs and wrong answers; the rest is not looked at, and nothing is proven.
    :param say: is told of each case as it is known.
    """
    proof, began = Proof(ticket.id, number), time.monotonic()
    proof.problems += [] if only else [f"{ticket.folder}: {problem}" for problem in _form(ticket)]
    with tempfile.TemporaryDirectory(prefix="answers-prove-") as folder, ExitStack() as stack:
        start = Path(folder, "start")
        make_start(root, ticket, number, start)
        cases = [case for case in _cases(ticket) if not only or case.name in only]
        if unknown := set(only) - {case.name for case in cases}:
            raise ExerciseError(f"{ticket.id} has neither a design nor a wrong answer {', '.join(sorted(unknown))}")
        stop, free = threading.Event(), SimpleQueue[Workshop]()
        for job in range(jobs):
            probe, judge = (stack.enter_context(Warm(name)) for name in ("probe", "judge"))
            free.put(Workshop(Path(folder, f"check-{job}"), probe, judge))
        pool = ThreadPoolExecutor(jobs)
        try:
            tries = [pool.submit(_try, root, ticket, number, case, start, stop, free) for case in cases]
            for case, attempt in zip(cases, tries, strict=True):
                seen = attempt.result()
                proof.cases.append(seen)
                proof.problems += [f"{case.kind} {case.name}: {problem}" for problem in seen["problems"]]
                say(seen)
        except KeyboardInterrupt:
            INTERRUPTED.set()
            raise
        finally:
            stop.set()
            pool.shutdown(cancel_futures=True)
            INTERRUPTED.clear()
    if not only:
        proof.problems += _toothless(ticket, proof)
    proof.seconds = time.monotonic() - began
    return proof


def _cases(ticket: Ticket) -> Iterator[Case]:
    yield Case("untouched", "untouched")
    for name in ticket.designs:
        yield Case("design", name)
        yield Case("design", name)
    for wrong in ticket.wrong:
        yield Case("wrong", wrong.id, wrong)


def _try(
    root: Path,
    ticket: Ticket,
    number: int,
    case: Case,
    start: Path,
    stop: threading.Event,
    free: SimpleQueue[Workshop],
) -> dict[str, Any]:
    if stop.is_set():
        raise KeyboardInterrupt
    seen: dict[str, Any] = {"kind": case.kind, "name": case.name, "verdict": "", "by": "", "seen": "", "problems": []}
    try:
        changes = changes_of(ticket, case, start)
    except ExerciseError as error:
        return seen | {"seconds": 0.0, "problems": [str(error)]}
    quick = case.kind == "wrong"  # most are convicted before any test of the candidate has to run
    untouched = case.kind == "untouched"
    workshop = free.get()
    try:
        how: dict[str, Any] = {"prepared": start, "workshop": workshop}
        result = check(root, ticket, number, changes, untouched=untouched, quick=quick, **how)
        if quick and result.first_wrong is None:
            result = check(root, ticket, number, changes, **how)
    finally:
        free.put(workshop)
    first = result.first_wrong
    seen |= {"verdict": result.verdict, "by": first.id if first else "", "seen": first.seen if first else ""}
    seen |= {"convicts": [stage.id for stage in result.stages if stage.verdict == "wrong"]}
    judged = {"untouched": _untouched, "design": _design, "wrong": _wrong}[case.kind]
    problems = [*judged(ticket, case, result), *leaks.told_too_much(ticket.variant(number).told, result)]
    problems += leaks.typed(ticket, ticket.variant(number).told, result)
    return seen | {
        "seconds": round(result.seconds, 1),
        "parts": result.parts,
        "steps": result.steps,
        "problems": problems,
    }


def changes_of(ticket: Ticket, case: Case, start: Path) -> Changes:
    """Return what a design or a wrong answer changes.

    :raises ExerciseError: a patch or an edit does not fit the project.
    """
    with tempfile.TemporaryDirectory(prefix="answers-design-") as folder:
        tree = Path(folder, "tree")
        shutil.copytree(start, tree, symlinks=True)
        design = case.wrong.base if case.wrong else case.name if case.kind == "design" else None
        if design and design not in ticket.designs:
            raise ExerciseError(f"base: there is no solutions/{design}/changes.patch")
        if design:
            _apply(ticket.designs[design], tree)
        for edit in case.wrong.edits if case.wrong else ():
            file = tree / edit.file
            text = file.read_text(encoding="utf-8") if file.is_file() else ""
            if (times := text.count(edit.find)) != 1:
                raise ExerciseError(f"find: occurs {times} times in {edit.file}, must be exactly once: {edit.find!r}")
            file.write_text(text.replace(edit.find, edit.replace), encoding="utf-8")
        return _difference(ticket, start, tree)


def _apply(patch: Path, tree: Path) -> None:
    done = subprocess.run(
        ["git", "apply", "--whitespace=nowarn", str(patch)],
        cwd=tree,
        env={"GIT_CEILING_DIRECTORIES": str(tree.parent), "PATH": "/usr/local/bin:/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise ExerciseError(f"{patch} does not fit the project any more: {done.stderr.strip()}")


def _difference(ticket: Ticket, start: Path, tree: Path) -> Changes:
    names = {path.relative_to(top).as_posix() for top in (start, tree) for path in top.rglob("*") if path.is_file()}
    files: dict[str, bytes | None] = {}
    before: dict[str, bytes | None] = {}
    for name in sorted(names):
        old, new = ((top / name).read_bytes() if (top / name).is_file() else None for top in (start, tree))
        if old != new:
            files[name], before[name] = new, old
    outside = [name for name in files if not counts(name, ticket.exercise.bounds)]
    if outside:
        raise ExerciseError(
            f"changes {outside[0]}, which is not in `yours` of exercise.yaml (or is never: {', '.join(NEVER_YOURS[:3])}…)"
        )
    return Changes(files, before)


def _untouched(ticket: Ticket, case: Case, result: Result) -> Iterator[str]:
    convicted = [stage.id for stage in result.stages if stage.verdict == "wrong"]
    if set(convicted) & set(GATES) or result.verdict != "does not hold":
        why = next((s.because or s.seen for s in result.stages if s.verdict not in ("holds", "not looked at")), "")
        yield f"{result.verdict} ({', '.join(convicted) or 'no check convicts'}): {why}"
    for id_ in ticket.exercise.untouched:
        if id_ not in convicted:
            yield f"{id_} does not convict it, though `untouched` says so"


def _design(ticket: Ticket, case: Case, result: Result) -> Iterator[str]:
    for stage in result.stages:
        if stage.verdict != "holds":
            more = f"; expected {shown(stage.expected)}" if stage.expected is not None else ""
            yield f"{stage.id}: {stage.verdict}: {stage.seen or stage.because}{more} {stage.detail[-600:]}".strip()


def _wrong(ticket: Ticket, case: Case, result: Result) -> Iterator[str]:
    assert case.wrong
    first = result.first_wrong
    if first is None:
        why = next((stage.because for stage in result.stages if stage.verdict != "holds"), "every check holds")
        yield f"is not convicted, {result.verdict}: {why}"
    elif first.id != case.wrong.convicted_by:
        yield f"is convicted by {first.id} first ({first.seen}), not by {case.wrong.convicted_by}"
    elif not re.search(case.wrong.says, f"{first.seen}\n{first.because}"):
        yield f"the message does not say {case.wrong.says!r}: {first.seen} / {first.because}"


def _toothless(ticket: Ticket, proof: Proof) -> Iterator[str]:
    biting = {id_ for case in proof.cases if case["kind"] != "design" for id_ in case.get("convicts", ())}
    for item in ticket.exercise.checks:
        if item.id not in biting:
            yield f"the check {item.id} convicts nothing: neither the untouched project nor a wrong answer"


def _form(ticket: Ticket) -> Iterator[str]:
    """Say what a ticket lacks before anything is run."""
    for name in ("TICKET.md", "probe.py", "judge.py", "INTERVIEWER.md"):
        if not (ticket.folder / name).is_file():
            yield f"{name} is missing"
    if len(ticket.designs) < DESIGNS:
        yield f"{len(ticket.designs)} designs in solutions/, at least {DESIGNS} that share little are needed"
    for name, patch in ticket.designs.items():
        if not patch.with_name("WHY.md").is_file():
            yield f"solutions/{name}/WHY.md is missing"
    if len(ticket.wrong) < WRONG_ANSWERS:
        yield f"{len(ticket.wrong)} wrong answers in wrong.yaml, at least {WRONG_ANSWERS} are needed"
    for wrong in ticket.wrong:
        if wrong.base is not None and wrong.base not in ticket.designs:
            yield f"wrong.yaml: {wrong.id}: base: there is no solutions/{wrong.base}/changes.patch"
    judge = ticket.folder / "judge.py"
    if judge.is_file() and (
        found := re.search(r"^\s*(?:from|import) (dags|plugins|include)\b", judge.read_text(encoding="utf-8"), re.M)
    ):
        yield f"judge.py imports {found[1]}: it must decide without the code that it judges"
    yield from _too_alike(ticket)


def _too_alike(ticket: Ticket) -> Iterator[str]:
    lines = {name: _added(patch) for name, patch in ticket.designs.items()}
    pairs = [(a, b) for a in lines for b in lines if a < b]
    for a, b in pairs:
        shared = len(lines[a] & lines[b]) / max(1, min(len(lines[a]), len(lines[b])))
        if shared > MOST_SHARED:
            yield f"the designs {a} and {b} share {shared:.0%} of their lines, at most {MOST_SHARED:.0%} may be"


def _added(patch: Path) -> set[str]:
    text = patch.read_text(encoding="utf-8")
    lines = [line[1:].strip() for line in text.splitlines() if line.startswith("+") and not line.startswith("+++")]
    return {line for line in lines if len(line) > 3}
