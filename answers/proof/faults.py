"""Applies faults to scratch copies of the project. Each must make its claim's tests fail."""

import hashlib
import os
import secrets
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
from answers.proof.copies import copy_project, hand_out
from answers.proof.runner import TestRun, run_tests

FAST = ["-m", "not stack and not compose and not kubernetes", "-q", "-p", "no:cacheprovider"]
# Seconds for the tests of one fault. A hanging test fails after 600 (pyproject.toml), but an event loop may swallow that error.
PATIENCE = 900.0
TICKET = """# What is wrong here?

{symptom}

Find out why, and repair it. How is up to you; what else the project promises must still hold.

- `git diff` shows what you have changed.
- `make test ARGS=tests/unit` (or another folder, or file) runs tests.
- `.venv/bin/answers prove {question}` runs the tests of what is claimed about this part of the project, some of them on a live
  stack. It fails now, and passes once the copy is repaired.
- `.venv/bin/answers --help` lists what else there is: a live Airflow, its runs, its warehouse.
"""
NOT_A_SYMPTOM = {"SyntaxError", "IndentationError", "ImportError", "ModuleNotFoundError"}


class FaultError(Exception):
    """Reports that a fault cannot be applied."""


@dataclass(frozen=True)
class Verdict:
    """Says whether the claim's tests noticed a fault: `caught`, `not caught`, or `error` when they show neither."""

    fault: Fault
    verdict: str
    seconds: float = 0.0
    failing_test: str | None = None
    reason: str | None = None

    def as_data(self) -> dict[str, Any]:
        """Return the verdict as it is written into the results file."""
        keys = ("verdict", "seconds", "failing_test", "reason")
        return {key: getattr(self, key) for key in keys}


def faulted_text(root: Path, fault: Fault) -> str:
    """Return the content of the fault's file with the fault in it.

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
    """Write the fault into the project at `root`.

    :raises FaultError: the file is missing, or the text to find is not there exactly once.
    """
    (root / fault.file).write_text(faulted_text(root, fault), encoding="utf-8")


def make_exercise(root: Path, fault: Fault, target: Path, lend: bool = True) -> None:
    """Hands out a copy of the project with the fault. Its ticket tells the symptom; nothing in it tells the fault.

    The copy notes the fault as a salted hash, so that the checkout which made it can tell which one it is.

    :raises FaultError: the fault cannot be applied.
    :raises CopyError: the target holds something already, or cannot be written.
    """
    faulted_text(root, fault)
    question = f"q{int(fault.claim.partition('.')[0]):02}"
    salt = secrets.token_hex(8)
    about = {"kind": "fault", "question": question, "salt": salt, "fault": fault_token(fault.id, salt)}
    hand_out(
        root,
        target,
        TICKET.format(symptom=fault.symptom, question=question),
        lambda copy: apply_fault(copy, fault),
        about,
        lend,
    )


def fault_token(fault_id: str, salt: str) -> str:
    """Return a hash that stands for a fault in a copy. The copy must not name it."""
    return hashlib.sha256(f"{salt} {fault_id}".encode()).hexdigest()


@contextmanager
def _scratch_copy(root: Path) -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="answers-fault-", ignore_cleanup_errors=True) as folder:
        copy_project(root, Path(folder))
        yield Path(folder)


def scratch_environment(root: Path, scratch: Path) -> dict[str, str]:
    """Return this environment with the scratch copy's code first, and without Airflow settings that lead back to `root`."""
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
    """Require that the claims' fast tests pass on a copy of the project, and fail on one copy per fault.

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
    """Run the fast tests of the faults' claims on a copy, with one fault or none."""
    with _scratch_copy(root) as scratch:
        if fault:
            apply_fault(scratch, fault)
        files = targets(scratch, [fault] if fault else faults)
        if not files:
            return TestRun(exit_code=5, output="no test carries the claim's marker")
        extra = ["-x"] if fault else ["--continue-on-collection-errors"]
        chosen = [word for claim in sorted({fault.claim for fault in faults}) for word in ("--claim", claim)]
        environment, patience = scratch_environment(root, scratch), PATIENCE if fault else float("inf")
        return run_tests(scratch, [*files, *chosen, *FAST, *extra], environment, stop=stop, patience=patience)


def targets(scratch: Path, faults: list[Fault]) -> list[str]:
    """Return what pytest collects for the faults: the tests that they name, else each file with a fast test of their claim."""
    whole = {fault.claim for fault in faults if not fault.tests}
    files = {test.file for test in claimed_tests(scratch) if test.claim in whole and test.tier == "fast"}
    named = {name for fault in faults for name in fault.tests if name.partition("::")[0] not in files}
    chosen = files | {name for name in named if name.partition("::")[0] not in named - {name}}
    # The cheapest tier first.
    return sorted(chosen, key=lambda name: (not name.startswith("tests/unit/"), name.startswith("tests/dag/"), name))


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
    """Says why the run without a fault is no baseline for this one. Returns None when it is."""
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
