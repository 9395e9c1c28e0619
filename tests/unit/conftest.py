"""Keeps this tier quick: a test that starts a process, or opens a database of Airflow, fails."""

import sys
from collections.abc import Iterator
from pathlib import Path

import croniter  # noqa: F401  # at its import it asks the program `file` for the machine's architecture
import pytest

FOLDER = Path(__file__).parent
STARTS = {"subprocess.Popen", "os.fork", "os.forkpty", "os.posix_spawn", "os.exec", "os.system"}
REMEDY = "tests/unit has no process and no database of Airflow: move the test to tests/service or tests/dag"


class Watch:
    """Refuses what tests of this tier may not do, and notes it."""

    def __init__(self) -> None:
        self.on = False
        self.refused: list[str] = []
        sys.addaudithook(self._notice)

    def _notice(self, event: str, arguments: tuple) -> None:
        if not self.on:
            return
        if event in STARTS:
            self._refuse(f"starts a process ({event}: {arguments[0] if arguments else ''})")
        elif event == "sqlite3.connect" and "airflow.db" in str(arguments[0]):
            self._refuse(f"opens {arguments[0]}")

    def _refuse(self, what: str) -> None:
        self.refused.append(f"The test {what}. {REMEDY}.")
        pytest.fail(self.refused[-1], pytrace=False)


watch = Watch()


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    """Watch a test and its fixtures."""
    watch.on, watch.refused = item.path.is_relative_to(FOLDER), []
    try:
        return (yield)
    finally:
        watch.on = False


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_makereport(call: pytest.CallInfo) -> Iterator[None]:
    """Fail a test that went on after the refusal: in another thread, or because it catches every error."""
    report = yield
    if watch.refused and call.when == "call" and report.passed:
        report.outcome, report.longrepr = "failed", watch.refused[0]
    return report
