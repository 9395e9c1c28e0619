"""Keeps the results: what is proven, by which tests, for which code. Hashes tell what has changed since."""

import hashlib
import importlib.metadata
import json
import os
import platform
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from answers.checkout import is_exercise
from answers.proof.anchors import ClaimedTest, claimed_tests, resolve_anchor
from answers.proof.catalog import CatalogError, Claim, Fault, Question
from answers.proof.copies import git, project_files
from answers.proof.runner import TestResult
from include.files import write_atomically

SCHEMA = 2
CHANGED = "code changed since"
UNPROVEN: dict[str, Any] = {"status": "unproven", "reason": "its tests were not run yet", "tests": []}
NOT_CODE = ("docs/", "bench/results/", "results/")
LONGEST_MESSAGE = 4000  # characters; the end of a traceback says what went wrong
PACKAGES = ("apache-airflow", "pyspark", "chdb-core", "clickhouse-connect", "pytest")


def results_path(root: Path) -> Path:
    """Return the path of the results file: prove.json in the folder that ANSWERS_RESULTS names, else in results/."""
    return Path(os.environ.get("ANSWERS_RESULTS") or root / "results") / "prove.json"


def load_results(root: Path) -> dict[str, Any]:
    """Read the results file. Without a file of this schema there is no claim in it."""
    try:
        results: dict[str, Any] = json.loads(results_path(root).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        results = {}
    known = isinstance(results, dict) and results.get("schema") == SCHEMA
    return results if known else {"schema": SCHEMA, "claims": {}}


@dataclass(frozen=True)
class Snapshot:
    """Holds the state of the code that a proof is about. It is taken before the tests run: a later edit counts as a change.

    :param root: the project's folder.
    :param questions: its whole catalogue.
    :param faults: all of its faults.
    :param stamp: when and of which tree: `checked_at` (UTC), `commit` (None outside of Git), `dirty` (uncommitted changes),
        `tree` with the folder's `path` and the `digest` of the project's files.
    :param files: by claim id, SHA-256 by path of what the claim rests on (see `files_of`).
    :param anchors: by claim id, where its anchors lead (see `anchor_lines`).
    """

    root: Path
    questions: list[Question]
    faults: list[Fault]
    stamp: dict[str, Any]
    files: dict[str, dict[str, str | None]]
    anchors: dict[str, list[dict[str, Any]]]

    def of(self, claim: Claim) -> dict[str, Any]:
        """Return what a proof or a verdict records of its code."""
        return {**self.stamp, "files": self.files[claim.id], "proven_text": claim.text}


def take_snapshot(root: Path, questions: list[Question], faults: list[Fault]) -> Snapshot:
    """Take the state of a project's code.

    :raises CatalogError: an anchor does not resolve, or a test file is not valid Python.
    """
    tests, hashes = claimed_tests(root), Hashes(root)
    claims = [claim for question in questions for claim in question.claims]
    files = {claim.id: {path: hashes.of(path) for path in files_of(claim, faults, tests)} for claim in claims}
    anchors = {claim.id: anchor_lines(claim, root) for claim in claims}
    return Snapshot(root, questions, faults, stamp(root), files, anchors)


def files_of(claim: Claim, faults: list[Fault], tests: list[ClaimedTest]) -> list[str]:
    """List the files that a claim rests on: those of its anchors, of its tests and of its faults."""
    anchored = {anchor.partition(":")[0] for anchor in claim.anchor}
    tested = {test.file for test in tests if test.claim == claim.id}
    return sorted(anchored | tested | {fault.file for fault in faults if fault.claim == claim.id})


class Hashes:
    """Computes the SHA-256 of files of a project. Each file is read once."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._known: dict[str, str | None] = {}

    def of(self, path: str) -> str | None:
        """Return the hash of a file, given relative to the project's root; None when there is no such file."""
        if path not in self._known:
            try:
                self._known[path] = hashlib.sha256((self.root / path).read_bytes()).hexdigest()
            except OSError:
                self._known[path] = None
        return self._known[path]


def tree_digest(root: Path) -> str:
    """Compute a hash of all that may change a test's outcome: the files without documents and recorded measurements."""
    hashes = Hashes(root)
    paths = [path for path in project_files(root) if not path.endswith(".md") and not path.startswith(NOT_CODE)]
    lines = [f"{hashes.of(path)} {path}" for path in sorted(paths)]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def save_results(
    snapshot: Snapshot, proofs: dict[str, dict[str, Any]], verdicts: dict[str, dict[str, Any]]
) -> dict[str, Any]:
    """Merge new proofs and verdicts into the results file and return its whole content, with states.

    What was not asked for keeps its last result, with the time, tree and hashes of then. Claims and faults that no longer
    exist are dropped.

    :param snapshot: the code as it was before the tests ran.
    :param proofs: by claim id, status, reason and tests.
    :param verdicts: by fault id, verdict, reason, seconds and failing test.
    """
    results = _merged(snapshot, proofs, verdicts)
    write_atomically(results_path(snapshot.root), json.dumps(results, indent=2) + "\n")
    return with_states(results, snapshot.root, snapshot.questions, snapshot.faults)


def recorded(root: Path, questions: list[Question], faults: list[Fault]) -> dict[str, Any]:
    """Return what the results file has of each claim and fault, with states. The file stays as it is.

    :raises CatalogError: an anchor does not resolve, or a test file is not valid Python.
    """
    results = _merged(take_snapshot(root, questions, faults), {}, {})
    return with_states(results | {"written_at": load_results(root).get("written_at")}, root, questions, faults)


def _merged(
    snapshot: Snapshot, proofs: dict[str, dict[str, Any]], verdicts: dict[str, dict[str, Any]]
) -> dict[str, Any]:
    """Return the content of the results file with the new proofs and verdicts in it."""
    results = load_results(snapshot.root)
    old = results["claims"]
    now = {key: value for key, value in snapshot.stamp.items() if key != "checked_at"}
    results |= {"written_at": snapshot.stamp["checked_at"], **now, "versions": versions(), "claims": {}}
    for claim in (claim for question in snapshot.questions for claim in question.claims):
        before = old.get(claim.id, {})
        known = {fault["id"]: fault for fault in before.get("faults", [])}
        about = snapshot.of(claim)
        kept = {key: before[key] for key in ("status", "reason", "tests", *about) if key in before}
        results["claims"][claim.id] = {
            "question": claim.question_id,
            "text": claim.text,
            "anchors": snapshot.anchors[claim.id],
            **(proofs[claim.id] | about if claim.id in proofs else UNPROVEN | kept),
            "faults": [
                {"id": fault.id, "title": fault.title, "file": fault.file}
                | (verdicts[fault.id] | about if fault.id in verdicts else _verdict_of(known.get(fault.id, {})))
                for fault in snapshot.faults
                if fault.claim == claim.id
            ],
        }
    return results


def _verdict_of(known: dict[str, Any]) -> dict[str, Any]:
    return {"verdict": "not run"} | {key: value for key, value in known.items() if key not in ("id", "title", "file")}


@dataclass(frozen=True)
class Now:
    """Holds what a state is judged by: the digest of the tree as it is, and the tests of its claims."""

    digest: str
    tests: list[ClaimedTest]


def with_states(
    results: dict[str, Any], root: Path, questions: list[Question], faults: list[Fault], now: Now | None = None
) -> dict[str, Any]:
    """Add the state of each claim and fault as of now.

    `state` is the recorded status or verdict, with ", code changed since" where a file that the claim rests on, or its text,
    is not as it was; `changed` names those. In an exercise any other code counts as well. `elsewhere_changed` tells that they
    are as they were and other code is not. What
    was seen in another tree than this one says nothing about it, and is "unproven" or "not run".

    :param results: of the file; not changed.
    :param root: the project as it is now.
    :param now: what it is judged by, where the caller has it.
    """
    claims = {claim.id: claim for question in questions for claim in question.claims}
    judged, hashes = now or Now(tree_digest(root), claimed_tests(root)), Hashes(root)

    def state(entry: dict[str, Any], word: str, without: str, claim: Claim) -> dict[str, Any]:
        if word == without or "tree" not in entry:
            return {"state": word, "changed": [], "elsewhere_changed": False}
        same = entry["tree"]["digest"] == judged.digest
        if not same and entry["tree"]["path"] != str(root):
            why = f"seen in {entry['tree']['path']}, whose code is not that of {root}"
            return {"state": without, "changed": [], "elsewhere_changed": False, "reason": why}
        paths = {*entry["files"], *files_of(claim, faults, judged.tests)}
        now = {path: hashes.of(path) for path in paths}
        changed = sorted(path for path in now if path not in entry["files"] or entry["files"][path] != now[path])
        changed += ["its text"] if entry["proven_text"] != claim.text else []
        if not (same or changed) and is_exercise(root):
            changed = [
                "other code"
            ]  # faults are withheld from an exercise: whether the code is that of one, nobody can tell
        told = f"{word}, {CHANGED}" if changed else word
        return {"state": told, "changed": changed, "elsewhere_changed": not changed and not same}

    shown = {}
    for id_, entry in results["claims"].items():
        if claim := claims.get(id_):
            verdicts = [fault | state(fault, fault["verdict"], "not run", claim) for fault in entry["faults"]]
            shown[id_] = entry | state(entry, entry["status"], "unproven", claim) | {"faults": verdicts}
    return results | {"claims": shown}


def anchor_lines(claim: Claim, root: Path) -> list[dict[str, Any]]:
    """Return the anchors of a claim with file and line. In an exercise the line is None where the repair has moved the code.

    :raises CatalogError: an anchor does not resolve.
    """
    lines = []
    for anchor in claim.anchor:
        try:
            line = resolve_anchor(anchor, root)
        except CatalogError:
            if not is_exercise(root):
                raise
            line = None
        lines.append({"anchor": anchor, "file": anchor.partition(":")[0], "line": line})
    return lines


def tests_as_data(tests: Iterable[TestResult]) -> list[dict[str, Any]]:
    """Returns tests as the results file has them: id, outcome, duration in seconds, message of a failure or skip."""
    return [
        {"id": t.id, "outcome": t.outcome, "seconds": t.seconds, "message": t.message and t.message[-LONGEST_MESSAGE:]}
        for t in tests
    ]


def stamp(root: Path) -> dict[str, Any]:
    """Return time and tree: UTC time, folder and digest, Git commit (None outside of Git), uncommitted changes or not."""
    commit, changes = _git(root, "rev-parse", "HEAD"), _git(root, "status", "--porcelain")
    tree = {"path": str(root), "digest": tree_digest(root)}
    checked_at = datetime.now(UTC).isoformat(timespec="seconds")
    return {"checked_at": checked_at, "commit": commit, "dirty": bool(changes), "tree": tree}


def _git(root: Path, *arguments: str) -> str | None:
    try:
        return git(root, *arguments).strip()
    except (OSError, subprocess.CalledProcessError):
        return None


def versions() -> dict[str, str | None]:
    """Return the versions of Python and of the packages that the answers rest on."""
    found: dict[str, str | None] = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            found[package] = None
    return found
