"""Writes the folder of a new ticket, whose proof fails with a list of what is missing."""

from __future__ import annotations

from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from answers.exercise import catalogue
from answers.exercise.catalogue import ExerciseError
from answers.exercise.model import TicketId

EXERCISE = """\
id: {id}
title: One line, as in a list of tickets
question: {question}
claims: []
level: 15                 # 15, 30 or 60 minutes
tier: call                # parse, call, dag, broker or stack: the dearest thing the probe does
seconds: 30               # what a check takes on two idle cores
skills: []
variants:                 # the first is the default; all have the same names
  - told: {{day: 2013-06-13}}      # TICKET.md writes them as {{{{ day }}}}
    hidden: {{day: 2013-02-09}}    # probe and judge use others
bounds:
  yours: [dags/**, include/**, plugins/**, tests/**, docs/**]
checks:                   # in the order of looking; `after` names those that must hold first
  - {{id: works, holds: "One sentence that is true of every right design"}}
keeps: []                 # fast tests that no right design may break
not_graded: []
hints: ["Where to look.", "What to change.", "How, nearly the code."]
draft: true               # not listed; remove this line once `answers exercise prove {id}` says proven
"""
TICKET = """\
# One line

The story, as a colleague tells it: at most 65 words. Name whatever a check needs by name.

## Done when

- …

## Example

…

## Not judged

- …

Use what you use at work, AI included; every line will be talked about.
"""
PROBE = '''"""Observes what the change does. Knows no expected value."""


def probe(p):
    """Record what the checks need."""
    p.inside("works", works, p.hidden["day"])


def works(day):
    """Runs in a confined child with the candidate's code; return what JSON can hold, or a table."""
    raise NotImplementedError("call the code")
'''
JUDGE = '''"""Decides from what the probe has recorded."""

from answers.exercise.judge import check, same


@check("works")
def works(seen, v):
    """State what every right design does."""
    same(seen.value("works"), ["compute it from the raw files: expected()"], "the result", because="the story says so")
'''
WRONG = """\
# At least three. Each is a design with one thing changed: `find` occurs exactly once in the file.
[]
"""
INTERVIEWER = """\
# For the interviewer

## Ask

- A question. Listen for: …

## How people go about it

…
"""


def write(root: Path, id_: str, to: Path | None) -> Path:
    """Write the files of a ticket.

    :param to: the folder of all tickets; the first of `catalogue.folders` without.
    :raises ExerciseError: the id is none, or the folder exists.
    """
    try:
        TypeAdapter(TicketId).validate_python(id_)
    except ValidationError:
        raise ExerciseError(f"{id_!r} is no id of a ticket: write it as q03-exclude-carriers") from None
    folder = (to or catalogue.folders(root)[0]) / id_
    if folder.exists():
        raise ExerciseError(f"{folder} exists: choose another id")
    (folder / "solutions").mkdir(parents=True)
    texts = {
        "exercise.yaml": EXERCISE.format(id=id_, question=id_.partition("-")[0]),
        "TICKET.md": TICKET,
        "probe.py": PROBE,
        "judge.py": JUDGE,
        "wrong.yaml": WRONG,
        "INTERVIEWER.md": INTERVIEWER,
    }
    for name, text in texts.items():
        (folder / name).write_text(text, encoding="utf-8")
    return folder
