"""Measures how many of a ticket's wrong answers a candidate's own tests notice."""

from __future__ import annotations

import json
import shutil
import tempfile
from pathlib import Path
from typing import Any

from answers.exercise.catalogue import Ticket
from answers.exercise.changes import Changes, lay_over
from answers.exercise.check import make_start
from answers.exercise.probing import run_probe
from answers.exercise.prove import Case, changes_of
from answers.exercise.workshop import scratch
from include.files import write_atomically

OWN_NAMES = (
    "They cannot be measured: they pass on none of the ticket's designs, since they call names of the candidate's own."
)
NONE = "There are none: no test file was changed or added."


def measure(root: Path, ticket: Ticket, number: int, changes: Changes, file: Path) -> dict[str, Any]:
    """Run the tests that a candidate brought on the ticket's designs and wrong answers, and keep what was found.

    A wrong answer is noticed where a test fails that passes on the design which the answer is made of.

    :returns: {"why": text if they cannot be measured, "tried": {wrong answer: title}, "noticed": [wrong answer]}.
    """
    brought = {
        path: content for path, content in changes.files.items() if path.startswith("tests/") and content is not None
    }
    names = [path for path in brought if Path(path).name.startswith("test_")]
    found: dict[str, Any] = {"why": "" if names else NONE, "tried": {}, "noticed": []}
    if names:
        with tempfile.TemporaryDirectory(prefix="answers-measure-") as folder:
            start = Path(folder, "start")
            make_start(root, ticket, number, start)
            passing: dict[str, set[str]] = {}
            for name in ticket.designs:
                outcomes = _outcomes(ticket, number, Case("design", name), start, brought, names)
                passing[name] = {test for test, outcome in outcomes.items() if outcome == "passed"}
            for wrong in ticket.wrong:
                if not (base := passing.get(wrong.base or "", set())):
                    continue
                outcomes = _outcomes(ticket, number, Case("wrong", wrong.id, wrong), start, brought, names)
                found["tried"][wrong.id] = wrong.title
                if any(outcomes.get(test) != "passed" for test in base):
                    found["noticed"].append(wrong.id)
        found["why"] = "" if found["tried"] else OWN_NAMES
    write_atomically(file, json.dumps(found, indent=2) + "\n", 0o600)
    return found


def _outcomes(
    ticket: Ticket, number: int, case: Case, start: Path, brought: dict[str, bytes], names: list[str]
) -> dict[str, str]:
    with scratch() as rooms:
        shutil.copytree(start, rooms.start, symlinks=True)
        kept = rooms.kept
        shutil.copytree(start, kept, symlinks=True)
        lay_over(changes_of(ticket, case, start), kept)
        for path, content in brought.items():
            (kept / path).parent.mkdir(parents=True, exist_ok=True)
            (kept / path).write_bytes(content)
        run_probe(ticket, number, rooms, names)
        recorded = json.loads((rooms.evidence / "keeps" / "keeps.json").read_text(encoding="utf-8"))
    outcomes: dict[str, str] = recorded.get("value", {}).get("tests", {})
    return outcomes
