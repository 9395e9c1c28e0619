"""Adds `--claim 1.4` to pytest, which runs the tests of one claim, and writes the events of the run to a file."""

import json
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest

from answers.interrupts import restore_ctrl_c


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options."""
    group = parser.getgroup("claims")
    group.addoption(
        "--claim", action="append", default=[], metavar="ID", help="only tests of this claim (1.4) or question (1, q01)"
    )
    group.addoption("--claim-events", metavar="FILE", help="append what happens to FILE, one JSON object a line")


def pytest_configure(config: pytest.Config) -> None:
    """Register the marker, and the writer of events when a file is given."""
    config.addinivalue_line("markers", "claim(id): the claim of include/questions that the test proves")
    if file := config.getoption("--claim-events"):
        config.pluginmanager.register(_Teller(Path(file)), "claim-events")
        restore_ctrl_c()  # `answers prove` ends its tests with SIGINT


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Note each test's claims, for JUnit reports, and deselect the tests of other claims."""
    for item in items:
        item.user_properties += [("claim", claim) for claim in claims_of(item)]
    asked = {str(word).lower() for word in config.getoption("--claim")}
    if not asked:
        return
    chosen = [item for item in items if any(_words(claim) & asked for claim in claims_of(item))]
    config.hook.pytest_deselected(items=[item for item in items if item not in set(chosen)])
    items[:] = chosen


def claims_of(item: pytest.Item) -> list[str]:
    """Return the ids of the claims that a test carries."""
    return sorted({str(claim) for mark in item.iter_markers("claim") for claim in mark.args})


def _words(claim: str) -> set[str]:
    """Return the words that mean this claim after --claim."""
    question = claim.partition(".")[0]
    return {claim, question, f"q{question}", f"q{question:0>2}"}


class _Teller:
    """Appends one JSON line an event: collected, collection failed, started, finished."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.current: dict[str, Any] = {}

    def tell(self, event: str, **fields: Any) -> None:
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps({"event": event, **fields}) + "\n")

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.failed:
            self.tell("collection failed", file=report.nodeid, message=report.longreprtext)

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        self.tell("collected", tests={item.nodeid: claims_of(item) for item in session.items})

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        self.current = {"test": nodeid, "outcome": "passed", "seconds": 0.0, "message": None, "exception": None}
        self.tell("started", test=nodeid)

    def pytest_runtest_logfinish(self) -> None:
        self.tell("finished", **self.current)

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item, call: pytest.CallInfo[None]
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        report = yield
        self.current["seconds"] = round(self.current["seconds"] + report.duration, 3)
        if report.failed and self.current["outcome"] != "failed":
            self.current |= {"outcome": "failed", "message": report.longreprtext}
            self.current["exception"] = call.excinfo.typename if call.excinfo else None
        elif report.skipped and self.current["outcome"] == "passed":
            reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else getattr(report, "wasxfail", "")
            self.current |= {"outcome": "skipped", "message": reason}
        return report
