"""Finds and reads the tickets: those of a company's own folder (ANSWERS_EXERCISES) first, then the project's."""

from __future__ import annotations

import base64
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from jinja2 import Environment, StrictUndefined, TemplateError
from pydantic import BaseModel, ValidationError

from answers.exercise.model import Exercise, Variant, Wrong, WrongAnswers
from include.documents import DocumentError, error_lines, read_yaml

FOLDER = "exercises"
PRIVATE = "ANSWERS_EXERCISES"
PLAIN_TEXT = Environment(undefined=StrictUndefined, keep_trailing_newline=True, autoescape=False)  # noqa: S701  # no HTML
Model = TypeVar("Model", bound=BaseModel)


class ExerciseError(Exception):
    """Reports a wrong request, or a ticket that is wrong. The message says what to do."""


@dataclass(frozen=True)
class Ticket:
    """Holds a ticket: its folder and what its files say.

    :param designs: the right designs by name, each with its patch.
    :param wrong: the wrong answers.
    """

    folder: Path
    exercise: Exercise
    designs: dict[str, Path]
    wrong: list[Wrong]

    @property
    def id(self) -> str:
        """Return the ticket's id, which is the name of its folder."""
        return self.exercise.id

    def variant(self, number: int) -> Variant:
        """Return a variant, counted from 1.

        :raises ExerciseError: there is none of this number.
        """
        if not 1 <= number <= len(self.exercise.variants):
            raise ExerciseError(f"{self.id} has the variants 1 to {len(self.exercise.variants)}, not {number}")
        return self.exercise.variants[number - 1]

    def story(self, number: int) -> str:
        """Return what TICKET.md says in a variant.

        :raises ExerciseError: the file is missing, or names a value that the variant does not tell.
        """
        try:
            text = (self.folder / "TICKET.md").read_text(encoding="utf-8")
            template = PLAIN_TEXT.from_string(text)
            return str(template.render(self.variant(number).told))
        except (OSError, TemplateError) as error:
            raise ExerciseError(f"{self.folder / 'TICKET.md'}: {error}") from error

    def opaque_hints(self) -> list[str]:
        """Return the hints as a copy has them: not to be read by chance."""
        return opaque(self.exercise.hints)


def opaque(hints: list[str]) -> list[str]:
    """Write hints so that nobody reads them by chance. They are no secret."""
    return [base64.b64encode(hint.encode()).decode() for hint in hints]


def folders(root: Path) -> list[Path]:
    """List the folders that hold tickets.

    :raises ExerciseError: the one that ANSWERS_EXERCISES names does not exist.
    """
    own = os.environ.get(PRIVATE)
    if own and not Path(own).is_dir():
        raise ExerciseError(f"{PRIVATE}={own}: there is no such folder")
    return [*([Path(own).absolute()] if own else []), root / FOLDER]


def names(root: Path) -> dict[str, Path]:
    """Return the folder of each ticket by its id. A company's own ticket hides one of the project with the same id."""
    found: dict[str, Path] = {}
    for folder in folders(root):
        for file in sorted(folder.glob("*/exercise.yaml")):
            found.setdefault(file.parent.name, file.parent)
    return found


def load_all(root: Path) -> list[Ticket]:
    """Read all tickets, by id.

    :raises ExerciseError: a ticket is wrong.
    """
    return [load(folder) for _, folder in sorted(names(root).items())]


def find(root: Path, id_: str) -> Ticket:
    """Read one ticket.

    :raises ExerciseError: there is none of this id, or it is wrong.
    """
    known = names(root)
    if id_ not in known:
        raise ExerciseError(f"no ticket {id_}; `answers exercise list` shows: {', '.join(sorted(known)) or 'none'}")
    return load(known[id_])


def load(folder: Path) -> Ticket:
    """Read a ticket's folder.

    :raises ExerciseError: naming the file and the field.
    """
    exercise = _read(folder / "exercise.yaml", Exercise)
    if exercise.id != folder.name:
        raise ExerciseError(f"{folder / 'exercise.yaml'}: id: {exercise.id} is not the name of the folder")
    wrong = _read(folder / "wrong.yaml", WrongAnswers).wrong if (folder / "wrong.yaml").exists() else []
    designs = {file.parent.name: file for file in sorted((folder / "solutions").glob("*/changes.patch"))}
    ticket = Ticket(folder, exercise, designs, wrong)
    if problems := list(_problems(ticket)):
        raise ExerciseError("\n".join(f"{folder / 'wrong.yaml'}: {problem}" for problem in problems))
    return ticket


def _read(file: Path, model: type[Model]) -> Model:
    try:
        data: Any = read_yaml(file, file)
        return model.model_validate({"wrong": data} if model is WrongAnswers else data)
    except OSError as error:
        raise ExerciseError(f"{file}: cannot be read: {error.strerror}") from error
    except DocumentError as error:
        raise ExerciseError(str(error)) from error
    except ValidationError as error:
        raise ExerciseError("\n".join(f"{file}: {line}" for line in error_lines(error))) from error


def _problems(ticket: Ticket) -> Iterator[str]:
    """Say what does not fit between the files of a ticket."""
    checks = {check.id for check in ticket.exercise.checks} | {"keeps"}
    ids = [wrong.id for wrong in ticket.wrong]
    for wrong in ticket.wrong:
        if ids.count(wrong.id) > 1:
            yield f"{wrong.id}: is there twice"
        if wrong.convicted_by not in checks:
            yield f"{wrong.id}: convicted_by: there is no check {wrong.convicted_by}"
