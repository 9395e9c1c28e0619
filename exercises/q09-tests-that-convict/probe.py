"""Runs the candidate's tests on the module as it is, on another right one, and on modules with one mistake each."""

from __future__ import annotations

from pathlib import Path

from answers.exercise.driver import load_module
from answers.exercise.probe import Probe

TESTS, MODULE = "tests/unit/test_compensation.py", "include/compensation.py"


def probe(p: Probe) -> None:
    """Record the outcome of each test, module by module; then in another order, zone, and on another day."""
    file = p.project / TESTS
    p.note("there", file.is_file())
    if not file.is_file():
        return
    given, tests = (p.start / MODULE).read_text(), file.read_text()
    modules = {"right": (p.ticket / "modules/right.py").read_text()}
    mistakes = load_module("mistakes", p.ticket / "modules/mistakes.py").MISTAKES
    for number, (old, new) in enumerate(mistakes.values(), start=1):
        assert given.count(old) == 1, old
        modules[f"mistake-{number}"] = given.replace(old, new)
    p.note("mistakes", list(mistakes))
    home = str(p.home)
    found = p.inside("given", run, home, "given", tests, given)
    ids = list(found.get("value", {}).get("outcomes", {}))
    if not ids:
        return
    for name, module in modules.items():
        p.inside(name, run, home, name, tests, module)
    p.inside("reversed", run, home, "reversed", tests, given, {"order": ids[::-1]})
    p.inside("elsewhere", run, home, "elsewhere", tests, given, {"zone": p.hidden["zone"], "clock": p.hidden["clock"]})


def run(home: str, name: str, tests: str, module: str, how: dict | None = None) -> dict:
    """Run the tests alone with a module: {"outcomes": {test: outcome}, in the order in which they ran, "exit": code}."""
    import os
    import subprocess
    import sys
    import xml.etree.ElementTree as ET

    how = how or {}
    folder = Path(home, name)
    for path, text in ((TESTS, tests), (MODULE, module), ("include/__init__.py", "")):
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text)
    report = folder / "report.xml"
    own = {"PYTHONPATH": str(folder), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "TZ": how.get("zone", "UTC")}
    chosen = [f"{TESTS}::{test}" for test in how.get("order", ())] or [TESTS]
    options = [
        "-q",
        "-c",
        os.devnull,
        "--rootdir",
        str(folder),
        "--confcutdir",
        str(folder),
        "-p",
        "no:cacheprovider",
        f"--junitxml={report}",
    ]
    program = "import sys, pytest; sys.exit(pytest.main(sys.argv[1:]))"
    if clock := how.get("clock"):
        travel = f"time_machine.travel(datetime.datetime.fromisoformat({clock!r})).start()"
        program = f"import datetime, time_machine\n{travel}\n{program}"
    kept = {key: value for key, value in os.environ.items() if not key.startswith("AIRFLOW")}
    command = [sys.executable, "-c", program, *options, *chosen]
    done = subprocess.run(command, cwd=folder, env=kept | own, check=False, stdin=subprocess.DEVNULL)
    outcomes = {}
    if report.exists():
        for case in ET.parse(report).getroot().iter("testcase"):  # noqa: S314
            kinds = [child.tag for child in case if child.tag in ("failure", "error", "skipped")]
            outcomes[str(case.get("name"))] = kinds[0] if kinds else "passed"
    return {"outcomes": outcomes, "exit": done.returncode}
