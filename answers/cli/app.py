"""Defines the `answers` command: the stack, its runs, its warehouse and the proof of every claim."""

from __future__ import annotations

import json
import logging
import signal
import sys
import webbrowser
from datetime import timedelta
from typing import Annotated, Any

import typer
from rich.table import Table

from answers.checkout import refuse_elsewhere
from answers.cli.airflow import airflow
from answers.cli.deploy import deploy
from answers.cli.exercise_interviewer import app as exercise
from answers.cli.fleet import app as fleet
from answers.cli.flights import app as flights
from answers.cli.kafka import app as kafka
from answers.cli.new import new
from answers.cli.page import page
from answers.cli.rollback import rollback
from answers.cli.secrets import app as secrets
from answers.cli.sla import sla
from answers.cli.walk import walk
from answers.console import AsJson, days_of, deadline_of_option, default_help, err, out, print_progress, readable_errors
from answers.deploy.roll import command as roll
from answers.interrupts import interruptible
from answers.progress import show_runs
from answers.proof.prove import prove
from answers.stack.client import Airflow
from answers.stack.settings import Settings

app = typer.Typer(
    help="Interview questions on Airflow, answered by DAGs that run, with proof.",
    no_args_is_help=True,
    pretty_exceptions_show_locals=False,  # a local variable may hold a secret
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command()(prove)
app.command()(new)
app.command()(page)
app.command()(walk)
app.command()(sla)
app.command()(rollback)
app.command()(deploy)
app.command("roll")(roll)
app.command(context_settings={"ignore_unknown_options": True, "allow_extra_args": True, "help_option_names": []})(
    airflow
)
app.add_typer(exercise, name="exercise")
app.add_typer(fleet, name="fleet")
app.add_typer(flights, name="flights")
app.add_typer(secrets, name="secrets")
app.add_typer(kafka, name="kafka")


@app.command()
def up(
    foreground: Annotated[
        bool, typer.Option("--foreground", "-f", help="Stay until Ctrl-C, then stop what it started.")
    ] = False,
    dags: Annotated[
        str | None, typer.Option(help="Where the DAGs are from: local (the folder dags) or git (see `answers deploy`).")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Start the embedded stack and wait until it is healthy. Ctrl-C stops it, unless it ran before."""
    from answers.stack import lifecycle, processes

    report = (lambda line: err.print(line, style="dim", markup=False, highlight=False)) if as_json else print_progress
    with readable_errors():
        try:
            with interruptible():
                settings = lifecycle.up(report, dags=dags)
                if as_json:
                    print(json.dumps({"url": settings.url, "user": "admin", "home": str(settings.home)}))
                else:
                    out.print(
                        f"Airflow is up: [link={settings.url}]{settings.url}[/link]  (`answers open` signs you in)"
                    )
                if foreground:
                    signal.pause()
        except KeyboardInterrupt:
            if processes.started_by_this_process(Settings.load()):
                lifecycle.down(report)
            else:
                report("this command did not start the stack, so it stays up; `answers down` stops it")
            raise typer.Exit(0 if foreground else 130) from None


@app.command()
def down() -> None:
    """Stop the embedded stack and everything that belongs to it."""
    from answers.stack import lifecycle

    with readable_errors():
        print_progress("stopped" if lifecycle.down(print_progress) else "nothing was running")


@app.command()
def status(as_json: AsJson = False) -> None:
    """Show how the embedded stack is, and each of its parts. Exit code 1 unless all of them run."""
    from answers.stack import lifecycle, parts

    settings = Settings.load()
    records = parts.status(settings)
    running = all(part["state"] == "RUNNING" for part in records)
    health = parts.health(settings) if any(part["pid"] for part in records) else {}
    state = parts.overall_state(records, lifecycle.work_under_way(settings), parts.all_healthy(health))
    url = settings.url if settings.ports else None
    if as_json:
        document = {"running": running, "state": state, "url": url, "parts": records, "health": health}
        print(json.dumps(document))
    else:
        table = Table("part", "state", "pid", "up", "memory", title=_headline(state, records, health, url or ""))
        for part in records:
            up_for = str(timedelta(seconds=part["uptime"])) if part["uptime"] is not None else ""
            memory = f"{part['memory'] / 2**20:.0f} MB" if part["memory"] else ""
            table.add_row(part["part"], part["state"], str(part["pid"] or ""), up_for, memory)
        out.print(table)
        out.print(f"logs: {settings.home / 'logs'}", highlight=False)
    raise typer.Exit(0 if running else 1)


def _headline(state: str, parts: list[dict[str, Any]], health: dict[str, str], url: str) -> str:
    """Say in one line how the stack is, and which parts are the reason."""
    if state == "running":
        return url
    if state == "not running":
        return state
    if state == "not healthy":
        words = [f"{part} {word}" for part, word in health.items() if word != "healthy"]
        return f"{url} is {state}: {', '.join(words)}"
    others = [f"{part['part']} {part['state']}" for part in parts if part["state"] != "RUNNING"]
    return f"{state}: {len(parts) - len(others)} of {len(parts)} parts run; " + ", ".join(others)


@app.command()
def run(
    dag: Annotated[str, typer.Argument(help="A question (q01) or the id of a DAG.")],
    dates: Annotated[list[str] | None, typer.Option("--date", help="Local day, YYYY-MM-DD; may be repeated.")] = None,
    first: Annotated[str | None, typer.Option("--from", help="First local day of a range.")] = None,
    last: Annotated[str | None, typer.Option("--to", help="Last local day of the range.")] = None,
    timeout: Annotated[
        float | None, typer.Option(help=f"Seconds to wait for the runs to end{default_help(3600)}")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Run a DAG for these days on the live stack and wait. A day that ran before is run again.

    Exit code 1 when a run fails, with the end of the failing task's log.
    """
    with readable_errors():
        days = days_of(dates or [], first, last)
        airflow = Airflow()
        dag_id = airflow.find_dag(dag)
        run_ids = [airflow.start(dag_id, day) for day in days]
        try:
            *_, runs = show_runs(airflow.watch(dag_id, run_ids, deadline_of_option(timeout, 3600)), quiet=as_json)
        except KeyboardInterrupt:
            err.print("stopped watching; the runs go on: see the UI, or `answers run` again")
            raise typer.Exit(130) from None
        failed = [each for each in runs if each.state != "success"]
        if as_json:
            print(
                json.dumps([{"dag_id": r.dag_id, "run_id": r.run_id, "state": r.state, "tasks": r.tasks} for r in runs])
            )
        for each in failed:
            for task, (state, tries, _) in each.tasks.items():
                if state == "failed":
                    tail = airflow.log(dag_id, each.run_id, task, tries).splitlines()[-25:]
                    err.print(f"{each.run_id} {task} failed at try {tries}; its log ends:", style="red", markup=False)
                    err.print("\n".join(tail), markup=False, highlight=False)
    if failed:
        raise typer.Exit(1)


@app.command()
def sql(
    query: Annotated[str, typer.Argument(help='Statement, e.g. "SELECT count() FROM warehouse.flights".')],
    fmt: Annotated[
        str, typer.Option("--format", help="Pretty, CSV, JSON, or any other format of ClickHouse.")
    ] = "Pretty",
    timeout: Annotated[
        float | None, typer.Option(help=f"Seconds to wait while the warehouse is down{default_help(60)}")
    ] = None,
) -> None:
    """Ask the warehouse that is configured, as a task would."""
    from clickhouse_connect.driver.exceptions import Error

    from answers.stack.connections import open_warehouse

    for client_of_http in ("clickhouse_connect", "urllib3"):
        logging.getLogger(client_of_http).setLevel(logging.CRITICAL)  # what they warn of is in their error, too
    with readable_errors(), open_warehouse(deadline_of_option(timeout, 60)) as client:
        try:
            # Bytes, as the engine formats them: some formats are binary.
            answer = client.raw_query(query, fmt=fmt) if _returns_rows(query) else f"{client.command(query)}\n".encode()
        except Error as error:
            raise ValueError(str(error)) from error
    sys.stdout.buffer.write(answer)
    sys.stdout.flush()


@app.command(context_settings={"ignore_unknown_options": True, "allow_extra_args": True, "help_option_names": []})
def integrity(context: typer.Context) -> None:
    """Check the DAG files of any Airflow project: errors, cycles within and across DAGs, and traps."""
    from dag_integrity.__main__ import main  # the image has the other commands, but not the checker

    main(context.args, name="answers integrity")


@app.command("open")
def open_ui(show: Annotated[bool, typer.Option("--print", help="Only print address and sign-in.")] = False) -> None:
    """Open Airflow's UI in the browser and print the sign-in."""
    from answers.stack import processes

    settings = Settings.load()
    if not settings.ports or processes.supervisor_process(settings) is None:
        err.print("answers: the stack is not running: `answers up`", style="red")
        raise typer.Exit(1)
    out.print(
        f"{settings.url}  user admin, password {settings.secrets['ADMIN_PASSWORD']}", highlight=False, soft_wrap=True
    )
    if not show and sys.stdout.isatty():
        webbrowser.open(settings.url)


@app.command()
def demo(
    questions: Annotated[list[str] | None, typer.Argument(help="q01 and so on; all that are answered.")] = None,
    first: Annotated[str, typer.Option("--from", help="First local day.")] = "2013-02-08",
    last: Annotated[str, typer.Option("--to", help="Last local day.")] = "2013-02-10",
) -> None:
    """Run the answered questions on some real days and show what each claim looks like in the data.

    A question that fails does not hide the others: the table at the end says which. Exit code 1 then.
    Stays up until Ctrl-C on a terminal; tears down and exits otherwise. A stack that ran before stays up in either case.
    """
    from answers import demo
    from answers.stack import lifecycle, processes

    shown = complete = False
    with readable_errors():
        try:
            with interruptible(), lifecycle.stop_if_started_within(print_progress):
                complete = demo.play_questions(questions or [], days_of([], first, last), out, show_runs)
                shown = True
                if not processes.started_by_this_process(Settings.load()):
                    out.print("The stack ran before the demonstration and stays up: `answers down` stops it.")
                elif sys.stdin.isatty() and sys.stdout.isatty():
                    out.print("The stack stays up until Ctrl-C.")
                    signal.pause()
        except KeyboardInterrupt:
            out.print()
            if not shown:
                raise typer.Exit(130) from None
    if not complete:
        raise typer.Exit(1)


def _returns_rows(query: str) -> bool:
    words = query.lstrip("( \n\t").split(maxsplit=1)
    return bool(words) and words[0].upper() in (
        "SELECT",
        "WITH",
        "SHOW",
        "DESCRIBE",
        "DESC",
        "EXPLAIN",
        "EXISTS",
        "VALUES",
    )


if __name__ == "__main__":
    refuse_elsewhere()
    app()
