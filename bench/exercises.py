"""Measures what a check of each ticket takes: `python -m bench exercises`, on a machine that does nothing else."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from bench.harness import PROJECT

MOST = 90.0  # seconds that a check may take on two idle cores


def exercises() -> dict[str, Any]:
    """Measure the seconds of one check of a right change, ticket by ticket: all of it, its parts, and the steps of its probe."""
    from answers.exercise import catalogue
    from answers.exercise.check import check, make_start
    from answers.exercise.prove import Case, changes_of

    found: dict[str, Any] = {}
    for ticket in (each for each in catalogue.load_all(PROJECT) if not each.exercise.draft):
        design = min(ticket.designs)
        with tempfile.TemporaryDirectory(prefix="answers-bench-") as folder:
            start = Path(folder, "start")
            make_start(PROJECT, ticket, 1, start)
            result = check(PROJECT, ticket, 1, changes_of(ticket, Case("design", design), start), prepared=start)
        if result.verdict != "holds":
            raise SystemExit(f"{ticket.id}: the design {design} {result.verdict}: nothing to measure")
        steps = {name: {"seconds": clock, "cpu_s": cpu} for name, (clock, cpu) in result.steps.items()}
        found[ticket.id] = {
            "tier": ticket.exercise.tier,
            "seconds": round(result.seconds, 1),
            "said": ticket.exercise.seconds,
            "parts": result.parts,
            "steps": steps,
        }
        print(f"{ticket.id}: {result.seconds:.0f} s", flush=True)
    slowest = max((each["seconds"] for each in found.values()), default=0.0)
    return {"tickets": found, "slowest_s": slowest, "at_most_s": MOST, "within": slowest <= MOST}
