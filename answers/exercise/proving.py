"""Proves several tickets, one after the other, and chooses those that a change of the project touches."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection
from datetime import date
from pathlib import Path
from typing import Any

from answers.exercise.catalogue import ExerciseError, Ticket
from answers.exercise.changes import git, matches
from answers.exercise.prove import Proof, prove
from include.waiting import slowness

# A change of the machinery touches every ticket; one of each tier is proven then, the cheapest.
MACHINERY = ("answers/exercise/**", "tests/support/expected.py", "requirements.txt")
WARM = 0.6  # of what a check takes by itself: those of a proof are forked from a process that has imported Airflow


def prove_all(
    root: Path,
    tickets: list[Ticket],
    number: int,
    jobs: int,
    only: Collection[str],
    say: Callable[[str], None],
    minutes: float = 0,
) -> list[Proof]:
    """Prove tickets, and tell of each case as it is known.

    :param number: of the variant; 0: the one whose turn it is today
    :param minutes: that all of it may take: the shortest come first, and what would take longer is left out, by name. 0: no limit
    """
    proofs, began = [], time.monotonic()
    for ticket in sorted(tickets, key=lambda each: seconds_of(each, jobs)) if minutes else tickets:
        left = minutes * 60 - (time.monotonic() - began)
        if minutes and (needed := seconds_of(ticket, jobs)) > left:
            say(f"{ticket.id}: LEFT OUT, it takes {needed / 60:.0f} minutes and {max(left, 0) / 60:.0f} are left")
            continue

        def tell(case: dict[str, Any], id_: str = ticket.id) -> None:
            say(_line(id_, case))

        proofs.append(prove(root, ticket, number or turn_of(ticket, date.today()), jobs, only, tell))
    return proofs


def turn_of(ticket: Ticket, day: date) -> int:
    """Return the variant that is proven on a day: in as many days as a ticket has variants, each of them once."""
    return 1 + day.toordinal() % len(ticket.exercise.variants)


def seconds_of(ticket: Ticket, jobs: int) -> float:
    """Estimate what the proof of a ticket takes on this machine."""
    checks = 1 + 2 * len(ticket.designs) + len(ticket.wrong)
    return checks * ticket.exercise.seconds * WARM * slowness() / jobs


def _line(id_: str, case: dict[str, Any]) -> str:
    by = f" by {case['by']}: {case['seen']}" if case["by"] else ""
    good = "✗" if case["problems"] else "✓"
    return f"{good} {id_} {case['kind']} {case['name']}: {case['verdict']}{by} ({case['seconds']:.0f} s)"


def touched(root: Path, tickets: list[Ticket], since: str) -> list[Ticket]:
    """Return the tickets whose folder or whose code has changed since a commit; without drafts.

    :raises ExerciseError: Git does not know the commit.
    """
    changed = [name for name in git(root, "diff", "--name-only", "-z", since).decode().split("\0") if name]
    ready = [ticket for ticket in tickets if not ticket.exercise.draft]
    found = [ticket for ticket in ready if _touches(root, ticket, changed)]
    if any(matches(name, MACHINERY) for name in changed):
        cheapest: dict[str, Ticket] = {}
        for ticket in sorted(ready, key=lambda each: each.exercise.seconds):
            cheapest.setdefault(ticket.exercise.tier, ticket)
        found += [ticket for ticket in cheapest.values() if ticket not in found]
    return found


def _touches(root: Path, ticket: Ticket, changed: list[str]) -> bool:
    try:
        folder = ticket.folder.resolve().relative_to(root.resolve()).as_posix()
    except ValueError:
        folder = ""
    if folder and any(name.startswith(f"{folder}/") for name in changed):
        return True
    return any(name in _files_of(ticket) for name in changed)


def _files_of(ticket: Ticket) -> set[str]:
    """List the files that the ticket's designs and wrong answers change."""
    try:
        patches = [patch.read_text(encoding="utf-8") for patch in ticket.designs.values()]
    except OSError as error:
        raise ExerciseError(str(error)) from error
    lines = [line for text in patches for line in text.splitlines()]
    marked = {line[6:].split("\t")[0] for line in lines if line.startswith(("--- a/", "+++ b/"))}
    return marked | {edit.file for wrong in ticket.wrong for edit in wrong.edits} | set(ticket.exercise.keeps)
