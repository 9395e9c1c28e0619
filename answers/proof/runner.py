"""Runs pytest in a process of its own, follows its events, and ends it with everything that it started."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from include.waiting import Deadline, WaitTimeout, wait_until

Event = dict[str, Any]

# Seconds that pytest has to tear down its fixtures, perhaps a whole stack, before the next and harder signal.
SECONDS_UNTIL_NEXT_SIGNAL = ((signal.SIGINT, 30), (signal.SIGTERM, 10))


@dataclass
class TestResult:
    """Records the outcome of one test."""

    __test__ = False  # pytest would take it for a test class by its name

    id: str
    claims: list[str]
    outcome: str = "unfinished"  # passed, failed, skipped, or unfinished: collected but never ended
    seconds: float = 0.0
    message: str | None = None
    exception: str | None = None


@dataclass
class TestRun:
    """Records one run of pytest."""

    __test__ = False

    exit_code: int = 0
    seconds: float = 0.0
    tests: dict[str, TestResult] = field(default_factory=dict)
    uncollected: dict[str, str] = field(default_factory=dict)  # file -> why it could not be collected
    output: str = ""

    def note(self, event: Event) -> None:
        """Record an event of the plugin `pytest_claims`."""
        match event:
            case {"event": "collected", "tests": tests}:
                self.tests = {id_: TestResult(id_, claims) for id_, claims in tests.items()}
            case {"event": "collection failed", "file": file, "message": message}:
                self.uncollected[file] = message
            case {"event": "finished", "test": id_, "outcome": outcome, "seconds": seconds}:
                test = self.tests[id_]
                test.outcome, test.seconds = outcome, seconds
                test.message, test.exception = event["message"], event["exception"]

    def of(self, claim: str) -> list[TestResult]:
        """Return the results of one claim's tests."""
        return [test for test in self.tests.values() if claim in test.claims]

    def tail(self, lines: int = 15) -> str:
        """Return the last lines that pytest wrote."""
        return "\n".join(self.output.strip().splitlines()[-lines:])


def run_tests(
    folder: Path,
    arguments: list[str],
    environment: dict[str, str],
    on_event: Callable[[Event, TestRun], None] = lambda event, run: None,
    stop: threading.Event | None = None,
    patience: float = float("inf"),
) -> TestRun:
    """Run pytest with this interpreter and return what its tests did.

    :param folder: where pytest runs, and whose pytest loads `answers.proof.pytest_claims`.
    :param arguments: pytest's, without its name.
    :param environment: the whole environment of the process.
    :param on_event: called in this thread with each event of the plugin, after the run has taken it in.
    :param stop: when it gets set, pytest is ended and KeyboardInterrupt raised.
    :param patience: seconds (include/waiting.py) after which pytest is ended; what has not finished by then is "unfinished".
    :raises KeyboardInterrupt: the user wants to end it; pytest and all it started are gone by then.
    """
    run, deadline = TestRun(), Deadline(patience)
    with tempfile.TemporaryDirectory(prefix="answers-prove-") as scratch:
        events, output = Path(scratch, "events"), Path(scratch, "output")
        events.touch()
        # With "=": pytest does not know this option yet. Without it, pytest takes the file for a test, its folder for the
        # root, and then never reads the pyproject.toml that defines the option.
        told = [f"--rootdir={folder}", f"--claim-events={events}"]
        command = [sys.executable, "-m", "pytest", *arguments, *told]
        with events.open(encoding="utf-8") as source, output.open("wb") as sink:
            process = subprocess.Popen(
                command,
                cwd=folder,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=sink,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # Ctrl-C reaches this process only, which then ends pytest in order
            )
            try:
                for event in _follow(source, process, stop, deadline):
                    run.note(event)
                    on_event(event, run)
            finally:
                end_pytest(process)
        run.exit_code = process.returncode
        run.output = output.read_text(encoding="utf-8", errors="replace")
    run.seconds = round(deadline.elapsed, 2)
    if run.seconds > deadline.seconds:
        run.output += f"\nended, as it went on after {deadline.seconds:.0f} s"
    return run


def _follow(
    source: IO[str], process: subprocess.Popen[bytes], stop: threading.Event | None, deadline: Deadline
) -> Iterator[Event]:
    rest = ""
    while True:
        ended = process.poll() is not None
        *lines, rest = (rest + source.read()).split("\n")
        yield from map(json.loads, lines)
        if ended or deadline.passed():
            return
        if stop and stop.is_set():
            raise KeyboardInterrupt
        time.sleep(0.05)


def end_pytest(process: subprocess.Popen[bytes]) -> None:
    """End the process and what is left of its group. A running process gets signals first; leftovers are killed at once."""
    try:
        for kind, seconds in SECONDS_UNTIL_NEXT_SIGNAL:
            if process.poll() is not None:
                break
            process.send_signal(kind)
            with contextlib.suppress(WaitTimeout):
                wait_until(lambda: process.poll() is not None, seconds, "pytest to end", pause=0.05)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
