"""Models and loads the questions, claims and faults. An error names the file and the field."""

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any, Literal, Self, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    Field,
    StringConstraints,
    ValidationError,
    model_validator,
)

from include.documents import DocumentError, Strict, dotted, error_lines, read_yaml

ROOT = Path(__file__).resolve().parents[2]
QUESTIONS = "include/questions"
FAULTS = "tests/faults"
MOST_SPOKEN_WORDS = 170  # a calm speaker needs 60 seconds for them


class CatalogError(Exception):
    """Reports that a file of the catalogue is wrong. The message names the file and the field."""


def _speakable(text: str) -> str:
    if (words := len(text.split())) > MOST_SPOKEN_WORDS:
        raise ValueError(f"{words} words: a 60-second answer has at most {MOST_SPOKEN_WORDS}")
    return text


def _inside_project(path: str) -> str:
    if path.startswith("/") or ".." in Path(path).parts:
        raise ValueError("must be a path inside the project, relative to its root")
    return path


def _has_symbol(anchor: str) -> str:
    path, _, symbol = anchor.partition(":")
    if not path or not symbol:
        raise ValueError(f"{anchor!r} should be 'path/file:symbol'")
    _inside_project(path)
    return anchor


Text = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]
Anchor = Annotated[Text, AfterValidator(_has_symbol)]
QuestionId = Annotated[str, StringConstraints(pattern=r"^q(0[1-9]|[1-9][0-9]+)$")]
ClaimId = Annotated[str, StringConstraints(pattern=r"^[1-9][0-9]*\.[1-9][0-9]?$")]


class ThenNow(Strict):
    """Pairs what was said of Airflow 1 and 2 with what is true today."""

    then: Text
    now: Text


def _listed(value: Any) -> Any:
    """Take a single text for a list of one."""
    return [value] if isinstance(value, str) else value


class Evidence(Strict):
    """Says in a sentence what can be seen of a claim: what a task returned, what runs left in a file, what was measured."""

    dag: Text | None = None
    """The DAG's id; the question's own DAG when None."""
    task: Text | None = None
    """The task that returned the values."""
    file: Annotated[Text, AfterValidator(_inside_project)] | None = None
    """A pattern of JSON documents below the data root; the newest one has the values: `failures/*/*.json`."""
    results: Annotated[str, StringConstraints(pattern=r"^\w+$")] | None = None
    """The record of a measurement that has the values: `q07_kills` for bench/results/q07_kills.json."""
    show: Annotated[list[Text], Field(min_length=1)]
    """Names in the value or document, dotted for what is inside: `published.flights`."""
    at_least: Annotated[int, Field(ge=1)] = 1
    """So many tries of the task there must be for a day, or so many files, before there is a sentence about it."""
    says: Text
    """The sentence, with shown values in braces. `{n}` is the number of tries or files, `{day}` a task's local day."""

    @model_validator(mode="after")
    def _names_what_it_shows(self) -> Self:
        if sum(kind is not None for kind in (self.task, self.file, self.results)) != 1:
            raise ValueError("evidence has one source: task, file or results")
        known = {"n", *self.show} - ({"n"} if self.results else set()) | ({"day"} if self.task else set())
        if unknown := sorted(set(re.findall(r"\{([^}]*)\}", self.says)) - known):
            raise ValueError(f"says: {', '.join(unknown)} should be one of {', '.join(sorted(known))}")
        return self


class Expected(Strict):
    """Says what a command of a walk should do."""

    exit: int = 0
    seconds: Annotated[int, Field(ge=1)]
    """It takes so long on the recorded machine, at most."""
    says: Text | None = None
    """It prints this, among others."""


class Step(Strict):
    """Describes one step of a walk: something to say, and what to show or run meanwhile."""

    say: Text
    show: Anchor | None = None
    run: Text | None = None
    then: Text | None = None
    """A second command, which looks at what the first one did."""
    expect: Expected | None = None
    ask: Text | None = None
    """What an interviewer asks at this point."""
    claim: Annotated[list[ClaimId], BeforeValidator(_listed)] = Field(default_factory=list)

    @property
    def commands(self) -> list[str]:
        """Return the commands of the step, in their order."""
        return [command for command in (self.run, self.then) if command]

    @model_validator(mode="after")
    def _is_whole(self) -> Self:
        if bool(self.run) != bool(self.expect):
            raise ValueError("a step that runs something needs both: run and expect")
        if self.then and not self.run:
            raise ValueError("then: comes after a run")
        for command in self.commands:
            if not command.startswith("answers "):
                raise ValueError(f"{command!r}: a walk runs commands of `answers` alone")
        return self


class Claim(Strict):
    """States one thing about the project that is true or false."""

    id: ClaimId
    text: Text
    anchor: Annotated[
        list[Anchor],
        Field(min_length=1),
        BeforeValidator(_listed),
    ]
    see: Text
    break_it: Text = Field(alias="break")
    evidence: list[Evidence] = Field(default_factory=list)
    tier: Literal["live"] | None = None
    """`live` where only a running stack can show the claim. Such a claim needs a test of a tier with a stack."""

    @property
    def question_id(self) -> str:
        """Return the question's id: `q04` for the claim `4.2`."""
        return f"q{int(self.id.partition('.')[0]):02}"


class Question(Strict):
    """Holds one interview question with its answer and the claims behind it."""

    id: QuestionId
    title: Text
    answered: bool
    dag: Text | None = None
    question: Text
    answer: Annotated[Text, AfterValidator(_speakable)] | None = None
    then_now: list[ThenNow] = Field(default_factory=list)
    claims: list[Claim] = Field(default_factory=list)
    walk: list[Step] = Field(default_factory=list)

    @property
    def number(self) -> int:
        """Return the question's number: 4 for `q04`."""
        return int(self.id[1:])

    @model_validator(mode="after")
    def _is_whole(self) -> Self:
        if self.answered and not (self.answer and self.dag and self.claims and self.then_now):
            raise ValueError("an answered question needs answer, dag, then_now and claims")
        for claim in self.claims:
            if claim.question_id != self.id:
                raise ValueError(f"claim {claim.id} does not belong to {self.id}")
        return self


class Fault(Strict):
    """Describes a change to one file that removes a claim's mechanism. The claim's tests must fail with it."""

    id: Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9.-]*$")]
    claim: ClaimId
    title: Text
    file: Annotated[Text, AfterValidator(_inside_project)]
    find: Annotated[str, StringConstraints(min_length=1)]
    replace: str
    symptom: Text
    tests: list[Text] = Field(default_factory=list)

    @model_validator(mode="after")
    def _changes_the_product(self) -> Self:
        if self.find == self.replace:
            raise ValueError("find and replace are the same text")
        if self.file.startswith("tests/"):
            raise ValueError("a fault is in the product, not in its tests")
        return self


def load_questions(root: Path | None = None) -> list[Question]:
    """Load every question of include/questions/q*.yaml, in order.

    :param root: the project's folder; this project when None.
    :raises CatalogError: a file is not YAML, a field is wrong (both are named), or an id occurs twice.
    """
    folder = (root or ROOT) / QUESTIONS
    questions = []
    for path in sorted(folder.glob("q*.yaml")):
        question = _validated(Question, _read(path), f"{QUESTIONS}/{path.name}")
        if question.id != path.stem:
            raise CatalogError(f"{QUESTIONS}/{path.name}: id: is {question.id!r}, the file's name says {path.stem!r}")
        questions.append(question)
    _require_unique((claim.id for question in questions for claim in question.claims), QUESTIONS)
    return questions


def load_faults(root: Path | None = None) -> list[Fault]:
    """Load every fault of tests/faults/*.yaml, ordered by file. Each file is a list of faults.

    :param root: the project's folder; this project when None.
    :raises CatalogError: a file is not a YAML list, a field is wrong (both are named), or an id occurs twice.
    """
    folder = (root or ROOT) / FAULTS
    faults = []
    for path in sorted(folder.glob("*.yaml")):
        name = f"{FAULTS}/{path.name}"
        entries = _read(path)
        if not isinstance(entries, list):
            raise CatalogError(f"{name}: should be a list of faults")
        faults += [_validated(Fault, entry, name, f"[{number}]") for number, entry in enumerate(entries)]
    _require_unique((fault.id for fault in faults), FAULTS)
    return faults


def select_claims(questions: list[Question], asked: list[str]) -> list[Claim]:
    """Return the claims that `asked` names by claim ids (`1.4`) or questions (`q01`, `Q1`, `1`); all when it is empty.

    :raises CatalogError: something asked for is neither a question nor a claim; the message lists what exists.
    """
    by_word: dict[str, list[Claim]] = {}
    for question in questions:
        for word in (question.id, f"q{int(question.id[1:])}", str(int(question.id[1:]))):
            by_word[word] = question.claims
        by_word |= {claim.id: [claim] for claim in question.claims}
    unknown = [word for word in asked if word.lower() not in by_word]
    if unknown:
        claims = ", ".join(claim.id for question in questions for claim in question.claims) or "none"
        names = ", ".join(question.id for question in questions) or "none"
        raise CatalogError(f"unknown: {', '.join(unknown)}. Questions: {names}. Claims: {claims}.")
    words = [word.lower() for word in asked] or [question.id for question in questions]
    return list({claim.id: claim for word in words for claim in by_word[word]}.values())


Model = TypeVar("Model", bound=BaseModel)


def _read(path: Path) -> Any:
    try:
        return read_yaml(path, f"{path.parent.name}/{path.name}")
    except DocumentError as error:
        raise CatalogError(str(error)) from error


def _validated(model: type[Model], value: Any, name: str, prefix: str = "") -> Model:
    try:
        return model.model_validate(value)
    except ValidationError as error:
        lines = error_lines(error, lambda location: dotted((prefix, *location) if prefix else location))
        raise CatalogError("\n".join(f"{name}: {line}" for line in lines)) from error


def _require_unique(ids: Iterable[str], where: str) -> None:
    seen: set[str] = set()
    for id_ in ids:
        if id_ in seen:
            raise CatalogError(f"{where}: the id {id_} occurs twice")
        seen.add(id_)
