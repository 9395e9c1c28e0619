"""Sends one day's notices with two clocks, checks the DAGs, and runs tests of the first tier (question 9)."""

from __future__ import annotations

import subprocess
import sys
from datetime import datetime, time, timedelta
from typing import TYPE_CHECKING

from answers.proof.catalog import ROOT
from include.flights.days import ZONE
from include.refunds import DAYS_TO_PAY

if TYPE_CHECKING:
    from answers.demo import Demo

TESTS = ("test_refunds.py", "test_seams.py", "test_ci.py")


def play_part(demo: Demo) -> None:
    """Run the DAG with each clock, check the DAG files, and run the tests that need no Airflow."""
    dag_id = demo.airflow.find_dag("q09")
    tests = [str(ROOT / "tests" / "unit" / name) for name in TESTS]
    with (
        _start_program("-m", "answers", "integrity", str(ROOT / "dags")) as checker,
        _start_program("-m", "pytest", "-q", "-p", "no:cacheprovider", *tests) as unit,
    ):
        midnight = datetime.combine(demo.days[0] + timedelta(days=DAYS_TO_PAY + 1), time(), ZONE)
        seen = [_run_at(demo, dag_id, midnight - timedelta(hours=hours)) for hours in (1, 0)]
        (passed, _), (checked, trouble) = unit.communicate(), checker.communicate()
    demo.evidence(
        "q09",
        {
            "9.1": f"the first tier, in a process of its own: {passed.splitlines()[-1].strip('= ')}",
            "9.2": "; ".join(seen),
            "9.3": checked.splitlines()[-1] if checked else trouble,
        },
    )


def _run_at(demo: Demo, dag_id: str, clock: datetime) -> str:
    """Run the DAG with a clock, and return the notices."""
    airflow, run_id = demo.airflow, f"answers__{demo.days[0]}"
    airflow.delete_run(dag_id, run_id)
    before = len(demo.messages("/refunds"))
    airflow.start(dag_id, demo.days[0], {"now": clock.isoformat()})
    demo.finish(dag_id, [run_id])
    found = demo.messages("/refunds")[before:]
    return f"{clock:%Y-%m-%d %H:%M}: {len(found)} notices, days left {found[0]['days_left']}"


def _start_program(*arguments: str) -> subprocess.Popen[str]:
    """Start a Python program in the project's folder."""
    pipe = subprocess.PIPE
    return subprocess.Popen([sys.executable, *arguments], cwd=ROOT, stdout=pipe, stderr=pipe, text=True)
