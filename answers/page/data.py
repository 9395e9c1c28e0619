"""Says what the page shows of questions, claims and proof. Plain functions on the project's files, without Airflow."""

import re
import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

from answers.exercise.catalogue import ExerciseError, load_all
from answers.page import plots
from answers.page.evidence import dags_of, filled, has_all
from answers.proof.anchors import ClaimedTest, claimed_tests
from answers.proof.catalog import (
    QUESTIONS,
    ROOT,
    CatalogError,
    Claim,
    Fault,
    Question,
    Step,
    load_faults,
    load_questions,
)
from answers.proof.excerpts import excerpt
from answers.proof.results import CHANGED, Now, load_results, results_path, tree_digest, with_states
from answers.proof.walk import seconds_of, sentences

ROOMS = (".ci", ".github", "answers", "bench", "config", "dags", "deploy", "include", "packages", "plugins", "tests")
PROVEN, PROVEN_THEN, FAILING, NOT_PROVEN = "proven", f"proven, {CHANGED}", "failing", "not proven"
LOOKS_APART = 1.0  # seconds: pages that ask at once look at the files once
MAKES_RUNS = (
    "answers run ",
    "answers fleet run ",
    "answers kafka up",
    "answers kafka produce ",
    "answers flights generate ",
)
PROGRAMS = re.compile(r"`((?:answers|make|docker|pytest|python|curl|kubectl|[A-Z_]+=\S+) [^`]*)`")
ANYWHERE_ELSE = "none"  # the digest of a tree that nobody can compare: an image has no list of the project's files


class Site:
    """Holds what the page shows. It is read again when a file of the project has changed.

    :param root: the project's folder.
    """

    def __init__(self, root: Path = ROOT) -> None:
        self.root = root
        self._lock, self._catalogue = threading.Lock(), threading.Lock()
        self._seen: object = None
        self._looked = -LOOKS_APART
        self._known: dict[str, Any] | None = None
        self._questions: tuple[object, dict[str, Question]] = (None, {})

    def documents(self) -> dict[str, Any]:
        """Return every document of the page by its path: `questions`, `questions/q01`, `plots/throughput`.

        :raises CatalogError: a file of the catalogue is wrong. The message names the file and the line or field.
        """
        with self._lock:  # two requests at once read the project once
            if self._known and time.monotonic() - self._looked < LOOKS_APART:
                return self._known
            seen = fingerprint(self.root)
            if self._known is None or seen != self._seen:
                self._known = None
                self._known = documents(self.root, load_questions(self.root))
                self._seen = seen
            self._looked = time.monotonic()
            return self._known

    def question(self, id_: str) -> Question | None:
        """Return a question of the catalogue; None where there is none of this id.

        Looks at the files of the questions alone: the page polls, and a look at the whole project takes longer than the queries.

        :raises CatalogError: a file of the catalogue is wrong.
        """
        with self._catalogue:
            seen = tuple((str(file), _stat(file)) for file in _files(self.root / QUESTIONS))
            if seen != self._questions[0]:
                self._questions = seen, {each.id: each for each in load_questions(self.root)}
            return self._questions[1].get(id_)


def fingerprint(root: Path) -> object:
    """Return names, times and sizes of the project's files: it differs once any file does. Takes some milliseconds."""
    files = [root / name for name in ("Makefile", "Dockerfile", "pyproject.toml", "docker-compose.yaml")]
    files += [results_path(root), *(file for room in ROOMS for file in _files(root / room))]
    return tuple((str(file), _stat(file)) for file in files)


def _files(folder: Path) -> Iterator[Path]:
    for path in folder.rglob("*"):
        if path.suffix not in (".pyc", ".png") and "__pycache__" not in path.parts:
            yield path


def _stat(file: Path) -> tuple[int, int] | None:
    try:
        found = file.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size


def documents(root: Path, questions: list[Question]) -> dict[str, Any]:
    """Make every document of the page.

    :raises CatalogError: a test file or a fault is wrong.
    """
    marked = claimed_tests(root)
    known = load_faults(root)
    results, why = proof(root, questions, marked, known)
    tests: dict[str, list[ClaimedTest]] = {}
    for test in marked:
        tests.setdefault(test.claim, []).append(test)
    tickets = exercises(root)
    for fault in known:  # those that were never tried, too
        there = results["claims"].setdefault(fault.claim, {}).setdefault("faults", [])
        if fault.id not in {each["id"] for each in there}:
            there.append({"id": fault.id, "title": fault.title, "state": "not run"})
    made = {
        f"questions/{each.id}": question(each, root, results["claims"], tests) | {"exercises": tickets.get(each.id, [])}
        for each in questions
    }
    verdicts = [fault["state"] for each in results["claims"].values() for fault in each.get("faults", [])]
    overview = {
        "questions": [_short(made[f"questions/{each.id}"]) for each in questions],
        "commit": results.get("commit"),
        "proven_at": results.get("written_at"),
        "note": why,
        "faults": {"caught": verdicts.count("caught"), "known": len(verdicts)},
    }
    drawn = {f"plots/{name}": plot for name, plot in plots.plots(root).items()}
    return {"questions": overview, **made, **drawn}


def proof(
    root: Path, questions: list[Question], tests: list[ClaimedTest], faults: list[Fault]
) -> tuple[dict[str, Any], str | None]:
    """Return the results with states, and why there are none.

    :param tests: of the claims, in the project as it is.
    :param faults: likewise.
    :raises CatalogError: a test file is wrong.
    """
    nothing: dict[str, Any] = {"claims": {}}
    path = results_path(root)
    if not path.exists():
        return nothing, "Not proven here: no proof has run in this place. `make prove` runs it."
    # Outside of a checkout nothing tells which files are the project's: a proof of another place stays one of another place.
    digest = tree_digest(root) if (root / ".git").exists() else ANYWHERE_ELSE
    results = load_results(root)
    if not results["claims"]:
        return nothing, f"Not proven here: {path.name} cannot be read, or holds no proof. `make prove` writes it anew."
    try:
        return with_states(results, root, questions, faults, Now(digest, tests)), None
    except (KeyError, TypeError, AttributeError) as error:
        return nothing, f"Not proven here: {path.name} is damaged ({type(error).__name__}: {error})."


def state_of(word: str) -> str:
    """Return one of the four states of the page for the state of a result."""
    if word.startswith("failed"):
        return FAILING
    return word if word in (PROVEN, PROVEN_THEN) else NOT_PROVEN


def question(
    each: Question, root: Path, results: dict[str, Any], tests: dict[str, list[ClaimedTest]]
) -> dict[str, Any]:
    """Return what the page shows of one question.

    :param results: by claim id, with states.
    :param tests: by claim id, those of the project.
    """
    return {
        "id": each.id,
        "number": each.number,
        "title": each.title,
        "question": each.question.strip(),
        "answered": each.answered,
        "dag": next(iter(dags_of(each)), None),
        "file": f"dags/{each.dag}" if each.dag else None,
        "answer": [sentences(paragraph) for paragraph in (each.answer or "").strip().split("\n\n")],
        "words": len((each.answer or "").split()),
        "then_now": [pair.model_dump() for pair in each.then_now],
        "claims": [claim(one, root, results.get(one.id, {}), tests.get(one.id, [])) for one in each.claims],
        "makes": makes_runs(each),
        "plots": plots.of_question(each.id, root),
        "walk": [_step(root, step) for step in each.walk],
    }


def makes_runs(each: Question) -> list[str]:
    """Return the commands that leave something to see of a question: those of its walk, else a day's run."""
    walked = [command for step in each.walk for command in step.commands if command.startswith(MAKES_RUNS)]
    return list(dict.fromkeys(walked)) or [f"answers run {each.id} --date 2013-06-13"]


def _step(root: Path, step: Step) -> dict[str, Any]:
    lines = _anchor(root, step.show) if step.show else None
    return step.model_dump() | {"seconds": seconds_of(step), "excerpt": lines}


def claim(one: Claim, root: Path, result: dict[str, Any], tests: list[ClaimedTest]) -> dict[str, Any]:
    """Return what the page shows of one claim. Titles of faults are there; their ids and edits are not."""
    ran = {test["id"]: test for test in result.get("tests", [])}
    files = sorted(test.node_id for test in tests)
    there = [{"id": id_, "outcome": each["outcome"], "seconds": each["seconds"]} for id_, each in ran.items()]
    known = [id_.partition("[")[0] for id_ in ran]
    there += [{"id": id_, "outcome": "not run", "seconds": None} for id_ in files if id_ not in known]
    faults = [{"title": each["title"], "state": each["state"]} for each in result.get("faults", [])]
    state = state_of(result.get("state", ""))
    return {
        "id": one.id,
        "text": one.text,
        "see": one.see,
        "commands": PROGRAMS.findall(one.see),
        "measured": measured(one, root),
        "live": one.tier == "live",
        "state": state,
        "reason": result.get("reason") if state != PROVEN else None,
        "changed": result.get("changed", []),
        "elsewhere_changed": result.get("elsewhere_changed", False),
        "checked_at": result.get("checked_at"),
        "commit": result.get("commit"),
        "anchors": list(map(partial(_anchor, root), one.anchor)),
        "tests": there,
        "faults": faults,
    }


def _anchor(root: Path, anchor: str) -> dict[str, Any]:
    """Return an anchor with its lines; where it leads nowhere, with the reason."""
    try:
        found = excerpt(anchor, root)
    except CatalogError as error:
        return {"anchor": anchor, "file": anchor.partition(":")[0], "line": None, "first": None, "text": str(error)}
    return asdict(found)


def measured(one: Claim, root: Path) -> list[dict[str, str]]:
    """Return what was measured of a claim, with its source. A record that is missing or lacks a value says nothing."""
    said = []
    for each in (each for each in one.evidence if each.results):
        try:
            result, about = plots.record(root, each.results or "")
        except plots.UNREADABLE:
            continue
        if has_all(each, result):
            said.append({"text": filled(each, [result], {}), "source": f"{plots.RESULTS}/{each.results}.json: {about}"})
    return said


def _short(each: dict[str, Any]) -> dict[str, Any]:
    counts = Counter(one["state"] for one in each["claims"])
    worst = next((word for word in (FAILING, NOT_PROVEN, PROVEN_THEN) if counts[word]), PROVEN)
    kept = {key: each[key] for key in ("id", "number", "title", "dag", "answered")}
    return kept | {
        "claims": len(each["claims"]),
        "counts": dict(counts),
        "state": worst if each["claims"] else NOT_PROVEN,
    }


def exercises(root: Path) -> dict[str, list[dict[str, Any]]]:
    """Return what candidates may know of the exercises, by question: none of their hints, checks and solutions.

    A ticket that is wrong leaves the list empty: `answers exercise list` says what is wrong with it.
    """
    try:
        tickets = load_all(root)
    except ExerciseError:
        return {}
    found: dict[str, list[dict[str, Any]]] = {}
    for ticket in tickets:
        about = {"title": ticket.exercise.title, "minutes": ticket.exercise.level, "skills": ticket.exercise.skills}
        if not ticket.exercise.draft:
            found.setdefault(ticket.exercise.question, []).append(
                about | {"start": f"answers exercise start {ticket.id}"}
            )
    return found


def question_of_file(file: str) -> str | None:
    """Return the question that a DAG's file belongs to, by its name: `q04` for dags/q04_fleet.py."""
    found = re.search(r"(?:^|/)(q\d\d+)[_/.]", file)
    return found[1] if found else None
