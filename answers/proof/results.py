"""The results file: what is proven, by which tests, at which commit. The Answers page and the README read it."""

import importlib.metadata
import json
import os
import platform
import subprocess
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from answers.proof.anchors import resolve_anchor
from answers.proof.catalog import Claim, Fault, Question
from answers.proof.runner import TestResult

SCHEMA = 1
LONGEST_MESSAGE = 4000  # characters; the end of a traceback says what went wrong
PACKAGES = ("apache-airflow", "pyspark", "chdb-core", "clickhouse-connect", "pytest")


def results_path(root: Path) -> Path:
    """The results file: prove.json in the folder that ANSWERS_RESULTS names, else in results/ of the project."""
    return Path(os.environ.get("ANSWERS_RESULTS") or root / "results") / "prove.json"


def load_results(root: Path) -> dict[str, Any]:
    """What the results file holds; without a file of this schema, no claim."""
    try:
        results: dict[str, Any] = json.loads(results_path(root).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        results = {}
    return results if results.get("schema") == SCHEMA else {"schema": SCHEMA, "claims": {}}


def save_results(
    root: Path,
    questions: list[Question],
    faults: list[Fault],
    proofs: dict[str, dict[str, Any]],
    verdicts: dict[str, dict[str, Any]],
) -> dict[str, Any]:
    """Merges new proofs and verdicts into the results file and returns its whole content.

    What was not asked for keeps its last result, with the time and commit of then. Claims and faults that no longer
    exist are dropped.

    :param root: the project's folder.
    :param questions: the whole catalogue.
    :param faults: all faults.
    :param proofs: by claim id, status, reason and tests.
    :param verdicts: by fault id, verdict, reason, seconds and failing test.
    :raises CatalogError: an anchor does not resolve.
    """
    results = load_results(root)
    old, now = results["claims"], stamp(root)
    results |= {"written_at": now["checked_at"], "versions": versions(), "claims": {}}
    for claim in (claim for question in questions for claim in question.claims):
        before = old.get(claim.id, {})
        known = {fault["id"]: fault for fault in before.get("faults", [])}
        unproven: dict[str, Any] = {"status": "unproven", "reason": "its tests were not run yet", "tests": []}
        kept = {key: before[key] for key in (*unproven, *now) if key in before}
        results["claims"][claim.id] = {
            "question": claim.question_id,
            "text": claim.text,
            "anchors": anchor_lines(claim, root),
            **(proofs[claim.id] | now if claim.id in proofs else unproven | kept),
            "faults": [
                {"id": fault.id, "title": fault.title, "file": fault.file}
                | (verdicts[fault.id] | now if fault.id in verdicts else _verdict_of(known.get(fault.id, {})))
                for fault in faults
                if fault.claim == claim.id
            ],
        }
    path = results_path(root)
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_suffix(f".{os.getpid()}.new")
    new.write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")
    new.replace(path)
    return results


def _verdict_of(known: dict[str, Any]) -> dict[str, Any]:
    return {"verdict": "not run"} | {key: value for key, value in known.items() if key not in ("id", "title", "file")}


def anchor_lines(claim: Claim, root: Path) -> list[dict[str, Any]]:
    """Anchors of a claim with the file and the line they point at.

    :raises CatalogError: an anchor does not resolve.
    """
    return [
        {"anchor": anchor, "file": anchor.partition(":")[0], "line": resolve_anchor(anchor, root)}
        for anchor in claim.anchor
    ]


def tests_as_data(tests: Iterable[TestResult]) -> list[dict[str, Any]]:
    """Tests as they stand in the results file: id, outcome, duration in seconds, message of a failure or skip."""
    return [
        {"id": t.id, "outcome": t.outcome, "seconds": t.seconds, "message": t.message and t.message[-LONGEST_MESSAGE:]}
        for t in tests
    ]


def stamp(root: Path) -> dict[str, Any]:
    """When, and of which code: UTC time, git commit (None outside git), and whether there were uncommitted changes."""
    commit, changes = _git(root, "rev-parse", "HEAD"), _git(root, "status", "--porcelain")
    return {"checked_at": datetime.now(UTC).isoformat(timespec="seconds"), "commit": commit, "dirty": bool(changes)}


def _git(root: Path, *arguments: str) -> str | None:
    try:
        return subprocess.run(
            ["git", "-C", str(root), *arguments], capture_output=True, text=True, check=True
        ).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return None


def versions() -> dict[str, str | None]:
    """Versions of Python and of the packages that the answers rest on."""
    found: dict[str, str | None] = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            found[package] = None
    return found
