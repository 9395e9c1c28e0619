"""`answers fleet`: what the fleet consists of, a whole day of it, and the repair of days that are not complete."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Annotated

import typer
from rich.live import Live
from rich.table import Table

from answers.interrupts import interruptible
from answers.operate.fleet import State
from answers.operate.repair import DUE, FAILED, PAUSED, REPAIRED, WAITING, Repair, Repairer, Request
from include.fleet.model import Fleet, Member, load

app = typer.Typer(help="The fleet of question 4: more than fifty DAGs from one YAML file.", no_args_is_help=True)

COLOURS = {
    **{"success": "green", "failed": "red", "running": "cyan", "queued": "yellow", "no event": "magenta"},
    **{REPAIRED: "green", FAILED: "red", PAUSED: "magenta", WAITING: "magenta", DUE: "yellow"},
}
LOG_LINES = 25
MOST_LOGS = 3  # the others failed after, and mostly because of, these
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON document instead of a table.")]


@app.command("list")
def list_(as_json: AsJson = False) -> None:
    """Show every DAG of the fleet: its weight, and what it waits for. Exit code 1 when the YAML has a mistake."""
    from answers.cli.app import out, readable_errors

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
    timeout: Annotated[float, typer.Option(help="Seconds to wait for the day to end.")] = 1800,
    as_json: AsJson = False,
) -> None:
    """Run a day of the whole fleet on the live stack and wait. A day that ran before is run again.

    Exit code 1 when a DAG fails, with the end of the log of what failed first.
    """
    from answers.cli.app import _day, err, out, readable_errors
    from answers.operate import fleet as fleet_run
    from answers.stack.client import Airflow

    with readable_errors():
        date = _day(day)
        fleet = load()
        members = fleet.needed(only) if only else list(fleet.members)
        airflow = Airflow()
        begun = time.monotonic()
        try:
            with interruptible():
                if fleet_run.start(airflow, members, date):
                    err.print(f"{date} is under way: watching it", style="dim")
                *_, states = shown(fleet, fleet_run.watch(airflow, members, date, timeout), quiet=as_json)
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
    timeout: Annotated[float, typer.Option(help="Seconds for each round of runs to end.")] = 1800,
    as_json: AsJson = False,
) -> None:
    """Find what is due and not done for these days, and do it, upstream first.

    A paused or full DAG is not given its events, and a run may have failed or been deleted. The warehouse tells what is
    published, and whether it is what its upstream gives now. A paused DAG stays paused and is told.
    Exit code 0: nothing is due any more. 1: something is, or with --dry-run, was found.
    """
    from answers.cli.app import _days, err, readable_errors
    from answers.stack.client import Airflow
    from answers.stack.connections import open_warehouse
    from include.fleet.due import Published, look

    with readable_errors():
        days, fleet = _days([], first, last), load()
        members = fleet.needed(only) if only else list(fleet.members)

        def ask() -> Published:
            with open_warehouse(timeout) as client:
                return look(client, fleet, members, days)

        repairer = Repairer(Airflow(), ask, Request(fleet, members, days, begin, unpause, timeout))
        try:
            with interruptible():
                repairs = repairer.find() if dry_run else []
                if not dry_run:
                    *_, repairs = _repairs_shown(repairer.repair(), quiet=as_json)
        except KeyboardInterrupt:
            err.print("no longer repairing; the runs that were started go on, and the same command goes on with them")
            raise typer.Exit(130) from None
    left = [each for each in repairs if each.state != REPAIRED]
    if as_json:
        found = [each.document() for each in repairs]
        print(json.dumps({"from": first, "to": last, "due": found, "left": len(left), "not_begun": repairer.not_begun}))
    else:
        _tell(repairs, left, repairer.not_begun, dry_run)
    if left:
        raise typer.Exit(1)


def _tell(repairs: list[Repair], left: list[Repair], not_begun: int, dry_run: bool) -> None:
    from answers.cli.app import out

    if dry_run or left:
        out.print(_repair_table(left))
    done = "nothing was done" if dry_run else f"{len(repairs) - len(left)} repaired, {len(left)} left"
    out.print(f"{len(repairs)} due: {done}" if repairs else "nothing is due", highlight=False)
    if any(each.state == PAUSED for each in left):
        out.print("paused DAGs are left alone: --unpause resumes those that have something due", style="dim")
    if not_begun:
        out.print(
            f"{not_begun} not begun: nothing of the day was landed; --begin ingests it", style="dim", highlight=False
        )


def _repairs_shown(looks: Iterator[list[Repair]], quiet: bool) -> Iterator[list[Repair]]:
    """Show the repair while it goes on: a live table on a terminal, a line a change elsewhere."""
    from answers.cli.app import out

    if quiet or not out.is_terminal:
        told: dict[tuple[str, object], str] = {}
        for repairs in looks:
            for each in repairs:
                if told.get((each.dag_id, each.day)) != each.state and not quiet:
                    out.print(f"{each.dag_id} {each.day}: {each.state} ({each.why})", highlight=False, soft_wrap=True)
                told[each.dag_id, each.day] = each.state
            yield repairs
        return
    with Live(console=out, refresh_per_second=4) as live:
        for repairs in looks:
            live.update(_repair_table(repairs))
            yield repairs


def _repair_table(repairs: list[Repair]) -> Table:
    table = Table("DAG", "day", "what is due", "state")
    for each in repairs:
        table.add_row(each.dag_id, str(each.day), each.why, f"[{COLOURS.get(each.state, 'dim')}]{each.state}[/]")
    return table


def shown(fleet: Fleet, looks: Iterator[list[State]], quiet: bool = False) -> Iterator[list[State]]:
    """Show the day while it goes on: carriers by layers on a terminal, a line a DAG that has ended elsewhere."""
    from answers.cli.app import out

    if quiet or not out.is_terminal:
        told: set[str] = set()
        for states in looks:
            for each in states:
                if each.done and each.member.dag_id not in told:
                    told.add(each.member.dag_id)
                    took = f" in {each.seconds:.1f} s" if each.seconds else ""
                    if not quiet:
                        out.print(f"{each.member.dag_id}: {each.state}{took}", highlight=False)
            yield states
        return
    with Live(console=out, refresh_per_second=4) as live:
        for states in looks:
            live.update(_table(fleet, states))
            yield states


def _table(fleet: Fleet, states: list[State]) -> Table:
    of = {each.member.dag_id: each for each in states}
    done = sum(each.done for each in states)
    table = Table("", "ingest", "transform", "report", title=f"{done} of {len(states)} DAGs have ended", min_width=60)

    def cell(member: Member | None) -> str:
        each = of.get(member.dag_id) if member else None
        if each is None or each.state == "none":
            return "·" if each else ""
        text = f"{each.seconds:.0f} s" if each.state == "success" and each.seconds else each.state
        return f"[{COLOURS.get(each.state, 'dim')}]{text}[/]"

    members = {(each.layer, each.key): each for each in fleet.members}
    for carrier in fleet.carriers:
        cells = [cell(members.get((layer, carrier.code))) for layer in ("ingest", "transform", "report")]
        if any(cells):
            table.add_row(carrier.code, *cells)
    table.add_section()
    for member in fleet.members:
        if member.layer in ("rollup", "scorecard") and member.dag_id in of:
            table.add_row(member.key or "scorecard", "", "", cell(member))
    return table
