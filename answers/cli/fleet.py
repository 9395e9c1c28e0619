"""`answers fleet`: what the fleet consists of, and a whole day of it."""

from __future__ import annotations

import json
import time
from typing import Annotated

import typer
from rich.table import Table

from answers.console import AsJson, day_of, err, out, readable_errors
from answers.interrupts import interruptible
from answers.progress import show_fleet
from include.fleet.model import load
from include.waiting import asked, by_default

app = typer.Typer(help="The fleet of question 4: more than fifty DAGs from one YAML file.", no_args_is_help=True)

LOG_LINES = 25
MOST_LOGS = 3  # the others failed after, and mostly because of, these


@app.command("list")
def list_(as_json: AsJson = False) -> None:
    """Show every DAG of the fleet: its weight, and what it waits for. Exit code 1 when the YAML has a mistake."""
    with readable_errors():
        members = load().members
    if as_json:
        print(json.dumps([member._asdict() for member in members]))
        return
    table = Table("DAG", "weight", "waits for", "by", "owner", title=f"{len(members)} DAGs")
    for member in members:
        by = "" if not member.waits_for else "date" if member.dated else "event"
        waits = ", ".join(name.removeprefix("fleet_") for name in member.waits_for)
        table.add_row(member.dag_id, str(member.weight), waits, by, member.owner)
    out.print(table)


@app.command("run")
def run(
    day: Annotated[str, typer.Option("--date", help="Local day, YYYY-MM-DD.")],
    only: Annotated[
        str | None, typer.Option("--for", help="Only what this carrier or roll-up needs, e.g. headline.")
    ] = None,
    timeout: Annotated[float | None, typer.Option(help=f"Seconds to wait for the day to end{by_default(1800)}")] = None,
    as_json: AsJson = False,
) -> None:
    """Run a day of the whole fleet on the live stack and wait. A day that ran before is run again.

    Exit code 1 when a DAG fails, with the end of the log of what failed first.
    """
    from answers.operate import fleet as fleet_run
    from answers.stack.client import Airflow

    with readable_errors():
        date = day_of(day)
        fleet = load()
        members = fleet.needed(only) if only else list(fleet.members)
        airflow = Airflow()
        begun = time.monotonic()
        try:
            with interruptible():
                if fleet_run.start(airflow, members, date):
                    err.print(f"{date} is under way: watching it", style="dim")
                *_, states = show_fleet(
                    fleet, fleet_run.watch(airflow, members, date, asked(timeout, 1800)), quiet=as_json
                )
        except KeyboardInterrupt:
            err.print("no longer watching; the runs go on (`answers fleet run` again joins them)")
            raise typer.Exit(130) from None
        failed = fleet_run.failures(airflow, states)
        for number, task in enumerate(failed):
            err.print(
                f"{task['dag_id']} {task['task_id']} failed at try {task['try_number']}", style="red", markup=False
            )
            if number < MOST_LOGS and not task["task_id"].startswith("wait_for_"):
                log = airflow.log(task["dag_id"], task["dag_run_id"], task["task_id"], task["try_number"])
                err.print("\n".join(log.splitlines()[-LOG_LINES:]), markup=False, highlight=False)
    good = sum(each.state == "success" for each in states)
    seconds = round(time.monotonic() - begun, 1)
    if as_json:
        dags = [
            {
                "dag_id": each.member.dag_id,
                "layer": each.member.layer,
                "key": each.member.key,
                "state": each.state,
                "run_id": each.run_id,
                "seconds": each.seconds,
                "ended": each.ended,
            }
            for each in states
        ]
        tasks = [{key: task[key] for key in ("dag_id", "task_id", "try_number", "end_date")} for task in failed]
        print(json.dumps({"date": str(date), "seconds": seconds, "dags": dags, "failed": tasks}))
    else:
        out.print(f"{date}: {good} of {len(states)} DAGs succeeded in {seconds:.0f} s", highlight=False)
    if good < len(states):
        raise typer.Exit(1)
