"""Defines `answers fleet`: lists the fleet, runs a whole day of it, repairs days that are not complete."""

from __future__ import annotations

import json
import time
from typing import Annotated

import typer
from rich.table import Table

from answers.console import AsJson, day_of, days_of, deadline_of_option, default_help, err, out, readable_errors
from answers.interrupts import interruptible
from answers.operate.fleet_due import Published, read_published
from answers.operate.repair import PAUSED, REPAIRED, Repair, Repairer, Request
from answers.progress import show_fleet, show_repairs, table_of_repairs
from answers.stack.client import Airflow
from include.fleet.model import load_fleet

app = typer.Typer(help="The fleet of question 4: more than fifty DAGs from one YAML file.", no_args_is_help=True)

LOG_LINES = 25
MOST_LOGS = 3  # the first failures; the later ones mostly follow from them


@app.command("list")
def list_(as_json: AsJson = False) -> None:
    """Show every DAG of the fleet: its weight, and what it waits for. Exit code 1 when the YAML has a mistake."""
    with readable_errors():
        members = load_fleet().members
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
    timeout: Annotated[
        float | None, typer.Option(help=f"Seconds to wait for the day to end{default_help(1800)}")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Run a day of the whole fleet on the live stack and wait. A day that ran before is run again.

    Exit code 1 when a DAG fails, with the end of the log of what failed first.
    """
    from answers.operate import fleet as fleet_run

    with readable_errors():
        date = day_of(day)
        fleet = load_fleet()
        members = fleet.members_needed(only) if only else list(fleet.members)
        airflow = Airflow()
        begun = time.monotonic()
        try:
            with interruptible():
                if fleet_run.start_day(airflow, members, date):
                    err.print(f"{date} is under way: watching it", style="dim")
                *_, states = show_fleet(
                    fleet, fleet_run.watch_day(airflow, members, date, deadline_of_option(timeout, 1800)), quiet=as_json
                )
        except KeyboardInterrupt:
            err.print("stopped watching; the runs go on, and `answers fleet run` joins them again")
            raise typer.Exit(130) from None
        failed = fleet_run.failed_tasks(airflow, states)
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


@app.command("repair")
def repair(
    first: Annotated[str, typer.Option("--from", help="First local day, YYYY-MM-DD.")],
    last: Annotated[str, typer.Option("--to", help="Last local day.")],
    only: Annotated[
        str | None, typer.Option("--for", help="Only what this carrier or roll-up needs, e.g. headline.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Tell what is due, and do nothing.")] = False,
    begin: Annotated[bool, typer.Option("--begin", help="Also ingest what was never landed for these days.")] = False,
    unpause: Annotated[bool, typer.Option("--unpause", help="Resume paused DAGs that have something due.")] = False,
    timeout: Annotated[float | None, typer.Option(help=f"Seconds for all of it{default_help(1800)}")] = None,
    as_json: AsJson = False,
) -> None:
    """Find what is due and not done for these days, and run it, upstream first.

    A paused or full DAG is not given its events, and a run may have failed or been deleted. The warehouse tells what is
    published, and whether it is what its upstream gives now. A paused DAG stays paused and is told.
    Exit code 0: nothing is due any more. 1: something is, or with --dry-run, was found.
    """
    from answers.stack.connections import open_warehouse

    with readable_errors():
        days, fleet, deadline = days_of([], first, last), load_fleet(), deadline_of_option(timeout, 1800)
        members = fleet.members_needed(only) if only else list(fleet.members)

        def ask() -> Published:
            with open_warehouse(deadline) as client:
                return read_published(client, fleet, members, days)

        repairer = Repairer(Airflow(), ask, Request(fleet, members, days, begin, unpause, deadline))
        try:
            with interruptible():
                if dry_run:
                    repairs = repairer.find()
                else:
                    *_, repairs = show_repairs(repairer.repair(), quiet=as_json)
        except KeyboardInterrupt:
            err.print("stopped repairing; the started runs go on, and the same command continues with them")
            raise typer.Exit(130) from None
    left = [each for each in repairs if each.state != REPAIRED]
    if as_json:
        found = [each.document() for each in repairs]
        print(json.dumps({"from": first, "to": last, "due": found, "left": len(left), "not_begun": repairer.not_begun}))
    else:
        _print_repairs(repairs, left, repairer.not_begun, dry_run)
    if left:
        raise typer.Exit(1)


def _print_repairs(repairs: list[Repair], left: list[Repair], not_begun: int, dry_run: bool) -> None:
    if left:
        out.print(table_of_repairs(left))
    done = "nothing was done" if dry_run else f"{len(repairs) - len(left)} repaired, {len(left)} left"
    out.print(f"{len(repairs)} due: {done}" if repairs else "nothing is due", highlight=False)
    if any(each.state == PAUSED for each in left):
        out.print("paused DAGs stay paused: --unpause resumes those with days that are due", style="dim")
    if not_begun:
        line = f"not begun: {not_begun} days of carriers without any landed data; --begin ingests them"
        out.print(line, style="dim", highlight=False)
