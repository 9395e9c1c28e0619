"""Hands out a ticket, or a fault: to a folder on this machine, or as an archive to take home."""

from __future__ import annotations

import random
import secrets
import tempfile
from pathlib import Path
from typing import Any

from answers.checkout import is_exercise
from answers.exercise import catalogue, workspace
from answers.exercise.catalogue import ExerciseError
from answers.proof.catalog import load_faults
from answers.proof.copies import CopyError
from answers.proof.faults import make_exercise

FAULT = "fault:"
FAULT_MINUTES = 30


def start(
    root: Path,
    id_: str,
    to: Path | None,
    variant: int | None,
    seed: int | None,
    minutes: int | None,
    practice: bool,
    archive: Path | None,
) -> dict[str, Any]:
    """Make a working copy.

    :param id_: of a ticket, or `fault:` and the id of a fault.
    :param to: the new folder; or `archive`, a file to send.
    :param seed: chooses the variant where none is given.
    :returns: folder, archive, ticket, variant, minutes.
    :raises ExerciseError: the request is wrong, or the copy cannot be made.
    """
    if is_exercise(root):
        raise ExerciseError("this is a working copy: tickets are handed out by the checkout that has them")
    if (to is None) == (archive is None):
        raise ExerciseError("say where: --to DIR for this machine, or --archive FILE for a take-home")
    if archive and (archive.exists() or not archive.name.endswith(".tar.gz")):
        raise ExerciseError(f"{archive}: name a new file that ends with .tar.gz")
    if archive:
        with tempfile.TemporaryDirectory(prefix="answers-pack-") as folder:
            name = archive.name.removesuffix(".tar.gz")
            made = _make(root, id_, Path(folder, name), variant, seed, minutes, practice, lend=False)
            workspace.pack(Path(folder, name), archive)
        return made | {"folder": None, "archive": str(archive)}
    assert to
    return _make(root, id_, to, variant, seed, minutes, practice, lend=True)


def _make(
    root: Path,
    id_: str,
    to: Path,
    variant: int | None,
    seed: int | None,
    minutes: int | None,
    practice: bool,
    lend: bool,
) -> dict[str, Any]:
    if id_.startswith(FAULT):
        return _fault(root, id_.removeprefix(FAULT), to, minutes, practice, lend)
    ticket = catalogue.find(root, id_)
    count = len(ticket.exercise.variants)
    number = variant or (1 if seed is None else random.Random(seed).randint(1, count))  # noqa: S311
    ticket.variant(number)
    time = minutes or ticket.exercise.level
    made = workspace.start(root, ticket, number, to, time, practice, lend)
    return {"folder": str(made.folder), "archive": None, "ticket": id_, "variant": number, "minutes": time}


def _fault(root: Path, fault_id: str, to: Path, minutes: int | None, practice: bool, lend: bool) -> dict[str, Any]:
    fault = next((fault for fault in load_faults(root) if fault.id == fault_id), None)
    if fault is None:
        raise ExerciseError(f"no fault {fault_id}: tests/faults/q*.yaml has them")
    try:
        make_exercise(root, fault, to, lend)
    except CopyError as error:
        raise ExerciseError(str(error)) from error
    time = minutes or FAULT_MINUTES
    hints = [fault.symptom, f"It is about claim {fault.claim}: read it in include/questions.", f"Look at {fault.file}."]
    about = {
        "ticket": "fault",
        "variant": 1,
        "level": FAULT_MINUTES,
        "minutes": time,
        "mode": "practice" if practice else "pairing" if lend else "take-home",
        "token": secrets.token_hex(8),
        "hints": catalogue.opaque(hints),
        "hints_used": [],
    }
    workspace.begin(to, about | ({} if lend else {"kit": None}))
    return {"folder": str(to), "archive": None, "ticket": "fault", "variant": 1, "minutes": time}
