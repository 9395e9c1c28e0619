"""Question 9: one day's notices under two clocks, the checker on the DAGs, and tests of the first tier."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING, Any

import httpx

from include.answers.catalog import ROOT
from include.stack.client import ApiError

if TYPE_CHECKING:
    from include.demonstration import Demo

CLOCKS = ("2013-07-03T23:00:00-04:00", "2014-01-01T00:00:00-05:00")
TESTS = ("test_refunds.py", "test_seams.py", "test_ci.py")


def play(demo: Demo) -> None:
    """Run the DAG by each of the clocks, check the DAG files, and run the tests that need no Airflow."""
    airflow, day = demo.airflow, demo.days[0]
    dag_id = airflow.find_dag("q09")
    seen = []
    for clock in CLOCKS:
        run_id = f"answers__{day}"
        airflow.request("DELETE", f"/dags/{dag_id}/dagRuns/{run_id}", expect=(204, 404))
        before = len(_notices(demo))
        airflow.start(dag_id, day, {"now": clock})
        *_, (run,) = demo.shown(airflow.watch(dag_id, [run_id], patience=300))
        if run.state != "success":
            raise ApiError(f"{run_id} failed: see {demo.settings.url}/dags/{dag_id}")
        found = _notices(demo)[before:]
        seen.append(f"{clock[:10]}: {len(found)} notices, days left {found[0]['days_left']}")
    checked = subprocess.run(
        [sys.executable, "-m", "include.cli", "integrity", str(ROOT / "dags")], cwd=ROOT, capture_output=True, text=True
    )
    tests = [str(ROOT / "tests" / "unit" / name) for name in TESTS]
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *tests]
    unit = subprocess.run(command, cwd=ROOT, capture_output=True, text=True).stdout.splitlines()[-1]
    demo.evidence(
        "q09",
        {
            "9.1": f"the first tier, in a process of its own: {unit.strip('= ')}",
            "9.2": "; ".join(seen),
            "9.3": checked.stdout.splitlines()[-1] if checked.stdout else checked.stderr,
        },
    )


def _notices(demo: Demo) -> list[dict[str, Any]]:
    address = f"http://127.0.0.1:{demo.settings.ports['catcher']}/messages"
    answer = httpx.get(address, params={"path": "/refunds"}, trust_env=False)
    return [each["body"] for each in answer.json()]
