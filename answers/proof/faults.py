"""Faults: applied to a scratch copy of the project, each must make its claim's tests fail."""

import os
import shutil
import subprocess
import tempfile
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from answers.proof.anchors import claimed_tests
from answers.proof.catalog import Fault
from answers.proof.runner import TestRun, run_tests

FAST = ["-m", "not stack and not compose and not kubernetes", "-q", "-p", "no:cacheprovider"]
# Seconds for the tests of one fault. One that hangs fails after 600 (pyproject.toml), unless an event loop swallows that.
PATIENCE = 900.0
NOT_COPIED = {".git", ".venv", ".airflow", ".env", "results", "node_modules", "__pycache__"}
NOT_A_SYMPTOM = {"SyntaxError", "IndentationError", "ImportError", "ModuleNotFoundError"}


class FaultError(Exception):
    """A fault cannot be applied."""


@dataclass(frozen=True)
class Verdict:
    """Whether the claim's tests noticed a fault: `caught`, `not caught`, or `error` when that could not be told."""

    fault: Fault
    verdict: str
    seconds: float = 0.0
    failing_test: str | None = None
    reason: str | None = None

    def as_data(self) -> dict[str, Any]:
        """The verdict as it stands in the results file."""
        keys = ("verdict", "seconds", "failing_test", "reason")
        return {key: getattr(self, key) for key in keys}


def copy_project(root: Path, target: Path) -> None:
    """Copies the project's own files, tracked by git or at least not ignored, to an empty or missing folder.

    :raises FaultError: the folder holds something already.
    """
    if target.exists() and any(target.iterdir()):
        raise FaultError(f"{target} is not empty")
    for name in _project_files(root):
        destination = target / name
        destination.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(root / name, destination, follow_symlinks=False)


def _project_files(root: Path) -> list[str]:
    listing = ["git", "-C", str(root), "ls-files", "-co", "--exclude-standard", "-z"]
    try:
        listed = subprocess.run(listing, capture_output=True, text=True, check=True).stdout.split("\0")
    except (OSError, subprocess.CalledProcessError):
        listed = []
    # A deleted file is listed until the deletion is committed; a submodule is listed as its folder.
    files = [name for name in listed if name and ((root / name).is_file() or (root / name).is_symlink())]
    return files or list(_walked_files(root))


def _walked_files(root: Path) -> Iterator[str]:
    for folder, folders, names in os.walk(root):
        folders[:] = [name for name in folders if not _is_ignored(name)]
        for name in names:
            if not _is_ignored(name):
                yield Path(folder, name).relative_to(root).as_posix()


def _is_ignored(name: str) -> bool:
    return name in NOT_COPIED or name.endswith((".pyc", ".egg-info", "_cache"))


def faulted_text(root: Path, fault: Fault) -> str:
    """The content of the fault's file once the fault is in.

    :raises FaultError: the file is missing, or the text to find is not there exactly once.
    """
    try:
        text = (root / fault.file).read_text(encoding="utf-8")
    except OSError as error:
        raise FaultError(f"fault {fault.id}: file: cannot read {fault.file}") from error
    if (times := text.count(fault.find)) != 1:
        raise FaultError(f"fault {fault.id}: find: occurs {times} times in {fault.file}, must be exactly once")
    return text.replace(fault.find, fault.replace)


def apply_fault(root: Path, fault: Fault) -> None:
    """Writes the fault into the project at `root`.

    :raises FaultError: the file is missing, or the text to find is not there exactly once.
    """
    (root / fault.file).write_text(faulted_text(root, fault), encoding="utf-8")


def make_exercise(root: Path, fault: Fault, target: Path) -> None:
    """An interview exercise: a copy of the project that misbehaves, without the files that would tell how.

    :raises FaultError: the target holds something already, or the fault cannot be applied.
    """
    faulted_text(root, fault)
    copy_project(root, target)
    apply_fault(target, fault)
    shutil.rmtree(target / "tests" / "faults")


@contextmanager
def _scratch_copy(root: Path) -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="answers-fault-", ignore_cleanup_errors=True) as folder:
        copy_project(root, Path(folder))
        yield Path(folder)


def scratch_environment(root: Path, scratch: Path) -> dict[str, str]:
    """The environment of now, with the scratch copy's code first and no Airflow setting that leads back to `root`."""
    kept = {
        key: value
        for key, value in os.environ.items()
        if not (key.startswith("AIRFLOW") and str(root) in value) and key != "ANSWERS_RESULTS"
    }
    paths = [path for path in kept.get("PYTHONPATH", "").split(os.pathsep) if path and Path(path).resolve() != root]
    return kept | {"PYTHONPATH": os.pathsep.join([str(scratch), str(scratch / "packages/dag-integrity/src"), *paths])}


def prove_faults(
    root: Path,
    faults: list[Fault],
    jobs: int = 1,
    on_verdict: Callable[[Verdict], None] = lambda verdict: None,
    on_baseline: Callable[[TestRun], None] = lambda run: None,
) -> list[Verdict]:
    """Requires that the claims' fast tests pass on a copy of the project, and fail on one copy per fault.

    :param root: the project's folder.
    :param faults: the faults to try.
    :param jobs: how many copies are tested at a time, the one without a fault among them.
    :param on_verdict: called with each verdict as it is known, in this thread; after `on_baseline`.
    :param on_baseline: called with the run without any fault.
    :returns: the verdicts in the order of `faults`.
    :raises KeyboardInterrupt: after all runs have been ended and all copies removed.
    """
    if not faults:
        return []
    stop = threading.Event()
    pool = ThreadPoolExecutor(jobs)
    try:
        without = pool.submit(_run, root, None, faults, stop)
        tries = {pool.submit(_try, root, fault, stop): fault for fault in faults}
        baseline = without.result()
        on_baseline(baseline)
        verdicts: dict[str, Verdict] = {}
        for done in as_completed(tries):
            verdict = _judge(tries[done], done.result(), baseline)
            verdicts[verdict.fault.id] = verdict
            on_verdict(verdict)
    finally:
        stop.set()
        pool.shutdown(cancel_futures=True)
    return [verdicts[fault.id] for fault in faults]


def _run(root: Path, fault: Fault | None, faults: list[Fault], stop: threading.Event) -> TestRun:
    """Runs the fast tests of the faults' claims on a copy, with one fault or none."""
    with _scratch_copy(root) as scratch:
        if fault:
            apply_fault(scratch, fault)
        targets = _targets(scratch, [fault] if fault else faults)
        if not targets:
            return TestRun(exit_code=5, output="no test carries the claim's marker")
        extra = ["-x"] if fault else ["--continue-on-collection-errors"]
        chosen = [word for claim in sorted({fault.claim for fault in faults}) for word in ("--claim", claim)]
        environment, patience = scratch_environment(root, scratch), PATIENCE if fault else float("inf")
        return run_tests(scratch, [*targets, *chosen, *FAST, *extra], environment, stop=stop, patience=patience)


def _targets(scratch: Path, faults: list[Fault]) -> list[str]:
    """What pytest collects to try the faults: the tests they name, else each file with a fast test of their claim."""
    whole = {fault.claim for fault in faults if not fault.tests}
    files = {test.file for test in claimed_tests(scratch) if test.claim in whole and test.tier == "fast"}
    named = {name for fault in faults for name in fault.tests if name.partition("::")[0] not in files}
    chosen = files | {name for name in named if name.partition("::")[0] not in named - {name}}
    return sorted(chosen, key=lambda name: (not name.startswith("tests/unit/"), name))  # the cheapest tier first


def _try(root: Path, fault: Fault, stop: threading.Event) -> TestRun | FaultError:
    try:
        return _run(root, fault, [fault], stop)
    except FaultError as error:
        return error


def _judge(fault: Fault, run: TestRun | FaultError, baseline: TestRun) -> Verdict:
    if unfit := _why_unfit(fault, baseline):
        return Verdict(fault, "error", reason=unfit)
    if isinstance(run, FaultError):
        return Verdict(fault, "error", reason=str(run))
    if run.exit_code == 0:
        return Verdict(fault, "not caught", run.seconds, reason="the claim's tests pass all the same")
    failed = next((test for test in run.tests.values() if test.outcome == "failed"), None)
    if run.exit_code != 1 or failed is None:
        why = "; ".join(f"{file} cannot be collected" for file in run.uncollected) or run.tail()
        return Verdict(fault, "error", run.seconds, reason=f"pytest ended with {run.exit_code}, no test failed: {why}")
    if failed.exception in NOT_A_SYMPTOM:
        reason = f"{failed.exception}: code that cannot be imported shows nothing about the claim"
        return Verdict(fault, "error", run.seconds, failed.id, reason)
    return Verdict(fault, "caught", run.seconds, failed.id)


def _why_unfit(fault: Fault, baseline: TestRun) -> str | None:
    """Why the run without a fault says nothing about this one; None when its tests pass as they should."""
    tests = baseline.of(fault.claim)
    if fault.tests:
        named = [test for test in tests if any(_is_within(test.id, name) for name in fault.tests)]
        if missing := [name for name in fault.tests if not any(_is_within(test.id, name) for test in named)]:
            return f"tests: claim {fault.claim} has no test {missing[0]}"
        tests = named
    if bad := next((test for test in tests if test.outcome in ("failed", "unfinished")), None):
        return f"without the fault, {bad.id} {'fails' if bad.outcome == 'failed' else 'does not finish'} too"
    if not any(test.outcome == "passed" for test in tests):
        return f"without the fault, no fast test of claim {fault.claim} passes: {baseline.tail(3)}"
    return None


def _is_within(test_id: str, name: str) -> bool:
    return test_id == name or test_id.startswith((f"{name}[", f"{name}::"))
