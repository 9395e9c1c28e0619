"""Measures what a deploy costs those who are waiting: the longest pause between the starts of two tasks under load."""

from __future__ import annotations

import difflib
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

from bench.fleet import live
from bench.harness import PROJECT
from bench.transitions import Change, Recorder

DAG = "q10_canary"
EVERY, QUIET = 1.5, 45  # seconds from one run to the next; of the phase in which nothing is deployed


def deploys() -> dict:
    """Measure the pauses while nothing happens, while a commit is deployed from Git, and while it is taken back."""
    from answers.stack import bundles
    from answers.stack.bundles import BRANCH
    from answers.stack.repository import Repository

    with live(dags="git") as (settings, airflow):
        airflow.find_dag(DAG)
        repository = Repository(bundles.repository_path(settings.home))
        with tempfile.NamedTemporaryFile("w", suffix=".patch") as patch:
            patch.write(_comment("dags/q09_refunds.py"))
            patch.flush()
            repository.apply(repository.head(BRANCH), Path(patch.name), "bench-deploy")
        recorder, over, runs = Recorder(settings), threading.Event(), []

        def load() -> None:
            while not over.wait(EVERY):
                runs.append(run_id := f"bench-{len(runs)}")
                airflow.trigger(DAG, run_id)

        thread = threading.Thread(target=load)
        thread.start()
        try:
            time.sleep(5 * EVERY)  # until runs overlap
            phases = {
                "nothing": _during(lambda: time.sleep(QUIET)),
                "deploy": _during(lambda: _deploy("--to", "bench-deploy", "--leave")),
                "rollback": _during(lambda: _deploy("--rollback", "--leave")),
            }
        finally:
            over.set()
            thread.join()
        *_, ended = airflow.watch(DAG, runs, 300)
        changes = recorder.changes()
    states = [run.state for run in ended]
    return {
        "runs": len(runs),
        "longest_pause_s": {name: longest_pause(changes, *times) for name, times in phases.items()},
        "seconds": {name: round((end - begin).total_seconds(), 1) for name, (begin, end) in phases.items()},
        "failed": states.count("failed"),
        "lost": len(states) - states.count("failed") - states.count("success"),
    }


def longest_pause(changes: list[Change], begin: datetime, end: datetime) -> float:
    """Return the seconds, at most, from the start of one task of the load to that of the next, between two instants."""
    starts = [each.at for each in changes if each.dag_id == DAG and each.state == "running" and begin <= each.at <= end]
    return round(max((later - earlier).total_seconds() for earlier, later in pairwise([begin, *starts, end])), 2)


def _during(work: Callable[[], object]) -> tuple[datetime, datetime]:
    begin = datetime.now(UTC)
    work()
    return begin, datetime.now(UTC)


def _comment(file: str) -> str:
    """Return a patch that adds a comment to the end of a file: a new commit, and nothing that a run would notice."""
    before = (PROJECT / file).read_text().splitlines(keepends=True)
    return "".join(difflib.unified_diff(before, [*before, "# deployed\n"], f"a/{file}", f"b/{file}"))


def _deploy(*arguments: str) -> dict[str, Any]:
    command = [sys.executable, "-m", "answers", "deploy", *arguments, "--json"]
    done = subprocess.run(command, cwd=PROJECT, env=dict(os.environ), capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{' '.join(command[2:])}: {done.stdout}{done.stderr}")
    return dict(json.loads(done.stdout))
