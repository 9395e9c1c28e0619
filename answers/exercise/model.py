"""Models a ticket's files, exercise.yaml and wrong.yaml, strictly: a key that is misspelt is an error."""

from __future__ import annotations

import re
from datetime import date, datetime
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, StringConstraints, model_validator

from answers.proof.catalog import ClaimId, QuestionId, Text
from include.documents import Strict

# Whatever a ticket's bounds say: the machinery that judges, what it computes with, and what starts by itself are never changed
# by a candidate's edit.
NEVER_YOURS = (
    "answers/__init__.py",
    "answers/__main__.py",
    "answers/checkout.py",
    "answers/exercise/**",
    "answers/proof/**",
    "config/airflow_local_settings.py",
    "exercises/**",
    "packages/**",
    "pyproject.toml",
    "requirements.txt",
    "tests/exercises/**",
    "tests/faults/**",
    "tests/support/**",
    "conftest.py",
    "**/conftest.py",
    "TICKET.md",
)
GATES = ("delivered", "bounds", "parses", "keeps")


def _plain(value: Any) -> Any:
    """Turn what YAML reads as a day into text, as JSON has it. All else stays."""
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return value.isoformat() if isinstance(value, date | datetime) else value


def _below_a_folder(pattern: str) -> str:
    if not re.match(r"[\w.-]+/", pattern) or ".." in pattern:
        raise ValueError(f"{pattern!r} should begin with a folder of the project, such as dags/**")
    return pattern


def _compiles(pattern: str) -> str:
    try:
        re.compile(pattern)
    except re.error as error:
        raise ValueError(f"{pattern!r} is no regular expression: {error}") from None
    return pattern


Values = Annotated[dict[str, Any], BeforeValidator(_plain)]
Slug = Annotated[str, StringConstraints(pattern=r"^[a-z0-9]+([-_][a-z0-9]+)*$")]
TicketId = Annotated[str, StringConstraints(pattern=r"^q[0-9]{2,}(-[a-z0-9]+)+$")]


class Variant(Strict):
    """Gives the values of one form of a ticket: `told` is in TICKET.md, `hidden` is for probe and judge only."""

    told: Values = Field(default={})
    hidden: Values = Field(default={})


class Bounds(Strict):
    """Says which files are the candidate's to change. Patterns are those of `pathlib`; `**` matches any folders."""

    yours: Annotated[list[Annotated[Text, AfterValidator(_below_a_folder)]], Field(min_length=1)]
    not_yours: list[Text] = Field(default=[])


class Check(Strict):
    """States one thing that must hold. It is looked at only if the checks in `after` hold."""

    id: Slug
    holds: Text
    after: list[Slug] = Field(default=[])


class Exercise(Strict):
    """Describes a ticket: exercise.yaml."""

    id: TicketId
    title: Text
    question: QuestionId
    claims: list[ClaimId] = Field(default=[])
    level: Literal[15, 30, 60]  # minutes
    kind: Literal["change", "tests"] = "change"
    tier: Literal["parse", "call", "dag", "broker", "stack"]
    seconds: Annotated[int, Field(gt=0, le=90)]  # what a check takes on two idle cores
    skills: list[Text] = Field(default=[])
    variants: Annotated[list[Variant], Field(min_length=1)]
    bounds: Bounds
    checks: Annotated[list[Check], Field(min_length=1)]
    keeps: list[Text] = Field(default=[])
    public: list[Slug] = Field(default=[])
    not_graded: list[Text] = Field(default=[])
    hints: Annotated[list[Text], Field(min_length=3, max_length=3)]
    untouched: list[Slug] = Field(default=[])
    tests_of_the_candidate: list[Text] = Field(default=[])
    draft: bool = False

    @model_validator(mode="after")
    def _names_its_checks(self) -> Self:
        ids = [check.id for check in self.checks]
        if twice := sorted({id_ for id_ in ids if ids.count(id_) > 1}):
            raise ValueError(f"checks: {', '.join(twice)} is there twice")
        if gates := sorted(set(ids) & set(GATES)):
            raise ValueError(f"checks: {', '.join(gates)} is the name of a gate, choose another")
        for index, check in enumerate(self.checks):
            if unknown := [id_ for id_ in check.after if id_ not in ids[:index]]:
                raise ValueError(f"checks.{index}.after: no check {unknown[0]} stands before {check.id}")
        for field, named in (("public", self.public), ("untouched", self.untouched)):
            if unknown := [id_ for id_ in named if id_ not in ids]:
                raise ValueError(f"{field}: there is no check {unknown[0]}")
        names = [(set(variant.told), set(variant.hidden)) for variant in self.variants]
        if any(each != names[0] for each in names):
            raise ValueError("variants: all need the same names, in told and in hidden")
        return self


class Edit(Strict):
    """Replaces a text that a file has exactly once."""

    file: Text
    find: Annotated[str, StringConstraints(min_length=1)]
    replace: str


class Wrong(Strict):
    """Describes a plausible wrong answer: a design with one thing changed, and who must notice it."""

    id: Slug
    title: Text
    base: Slug | None = None
    edits: Annotated[list[Edit], Field(min_length=1)]
    convicted_by: Slug
    says: Annotated[Text, AfterValidator(_compiles)]
    why: Text


class WrongAnswers(Strict):
    """Lists a ticket's wrong answers: wrong.yaml."""

    wrong: list[Wrong]
