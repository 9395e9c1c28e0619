"""Tells what `--time-plan FILE` does: leaves tests out that a run has no time for, and says so by name.

FILE is what .ci/ci_plan.py writes: `left_out` (files of tests), `tight` (whether time may run out), `deadline` (seconds since
1970, or null) and `seconds` by file.
"""

import json
import time
from pathlib import Path

import pytest

LEFT_OUT = "left out: "


class TimePlan:
    """Follows a plan."""

    def __init__(self, file: Path) -> None:
        plan = json.loads(file.read_text())
        self.left_out = set(plan["left_out"])
        self.deadline: float | None = plan["deadline"]
        self.tight: bool = plan["tight"]
        self.seconds: dict[str, float] = plan["seconds"]
        self.begun: set[str] = set()

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """Mark what the plan leaves out. Where time is short, what shares one process comes cheapest first."""
        for item in items:
            if _file(item) in self.left_out:
                item.add_marker(pytest.mark.skip(reason=f"{LEFT_OUT}planned, this machine is too slow for all tests"))
        if self.tight and all(item.get_closest_marker("compose") for item in items):
            items.sort(key=lambda item: self.seconds.get(_file(item), 0.0))

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_setup(self, item: pytest.Item) -> None:
        """Leave a test out whose file cannot be done in time, or that time has run out for."""
        if self.deadline is None or item.get_closest_marker("skip"):
            return
        file = _file(item)
        needed = 0.0 if file in self.begun else self.seconds.get(file, 0.0)
        if time.time() + needed > self.deadline:
            pytest.skip(f"{LEFT_OUT}time has run out, its file needs {needed:.0f} s")
        self.begun.add(file)


def _file(item: pytest.Item) -> str:
    return item.path.relative_to(item.config.rootpath).as_posix()
