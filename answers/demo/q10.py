"""Deploys a breaking change while a run is in its middle, and rolls it back (question 10)."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from answers.stack import bundles, lifecycle, parts, processes
from answers.stack.bundles import BRANCH
from answers.stack.client import Airflow, ApiError
from answers.stack.repository import Repository
from answers.stack.settings import PROJECT

if TYPE_CHECKING:
    from answers.demo import Demo

DAG = "q10_canary"
PATCH = Path(__file__).with_name("breaking.patch")


def play_part(demo: Demo) -> None:
    """Start the stack with DAGs from Git, hold a run, deploy the breaking change, let the run go on, then roll back."""

    def say(line: str) -> None:
        demo.out.print(line, style="dim", markup=False)

    if not processes.started_by_this_process(demo.settings):
        raise parts.StackError(
            "question 10 starts the stack anew, with its DAGs from Git, and leaves alone one that ran before: "
            "`answers down`, then `answers demo q10`"
        )
    lifecycle.down(say)
    settings = lifecycle.up(say, dags="git")
    airflow = Airflow(settings.url, settings.secrets["ADMIN_PASSWORD"])
    airflow.find_dag(DAG)
    repository = Repository(bundles.repository_path(settings.home))
    old, mark = repository.head(BRANCH), f"{datetime.now(UTC):%Y%m%dT%H%M%S}"
    hold = settings.home / "q10-hold"
    hold.touch()
    try:
        run_id = f"before-{mark}"
        airflow.trigger(DAG, run_id, {"hold": str(hold)})
        demo.wait_until(
            lambda: airflow.run(DAG, run_id).tasks.get("count", ("",))[0] == "success", f"{run_id} in its middle"
        )
        new = repository.apply(old, PATCH, f"demo-{mark}")
        say(f"{run_id} is in its middle; deploying demo-{mark}, which renames its last task")
        deployed = _deploy("--to", f"demo-{mark}", "--leave")
    finally:
        hold.unlink(missing_ok=True)
    canary = f"deploy__{deployed['deploy']}"
    watched = [run_id, canary]
    *_, runs = demo.shown(airflow.watch(DAG, watched, patience=120))
    if any(run.state != "success" for run in runs):
        raise ApiError(f"a run of {DAG} failed: see {airflow.link(DAG)}")
    commits = {run["dag_run_id"]: run["bundle_version"] for run in airflow.runs(DAG) if run["dag_run_id"] in watched}
    last = {run.run_id: list(run.tasks)[-1] for run in runs}
    (why,) = [each["why"] for each in deployed["changes"] if each["dag_id"] == DAG]
    taken_back = _deploy("--rollback", "--leave", "--canary", "none")
    seen = [f"{run_id.split('-')[0].split('__')[0]}: {commits[run_id][:10]}, {last[run_id]}" for run_id in commits]
    if commits != {run_id: old, canary: new} or taken_back["new"] != old:
        raise ApiError(f"the runs were on {commits}, not on {old} and {new}")
    copies = len(list((settings.home / "bundles" / "dags" / "versions").iterdir()))
    demo.evidence(
        "q10",
        {
            "10.1": f"{len(airflow.dag_ids())} DAGs from {repository.path.name}, branch {BRANCH}, at {old[:10]}; "
            f"{copies} commits in use on this machine",
            "10.2": "commit and last task of each run: " + "; ".join(seen),
            "10.4": f"paused for the deploy: {DAG} ({'; '.join(why)}); in force after the rollback: "
            f"{repository.name(repository.head(BRANCH))}",
        },
    )


def _deploy(*arguments: str) -> dict[str, Any]:
    """Run `answers deploy` as a user types it."""
    command = [sys.executable, "-m", "answers", "deploy", *arguments, "--json"]
    done = subprocess.run(command, cwd=PROJECT, env=dict(os.environ), stdout=subprocess.PIPE, text=True)
    if done.returncode:
        raise ApiError(f"answers deploy {' '.join(arguments)} failed: see above")
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer
