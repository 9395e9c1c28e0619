"""Defines `answers exercise`: tickets for an interview, from handing out to the report."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from answers.checkout import ROOT, is_exercise
from answers.console import AsJson, err, out
from answers.interrupts import interruptible

if TYPE_CHECKING:
    from answers.exercise.check import Stage

app = typer.Typer(help="Tickets for an interview: hand out, check, talk about.", no_args_is_help=True)
MARKS = {"holds": "[green]✓[/]", "wrong": "[red]✗[/]", "cannot tell": "[yellow]?[/]", "not looked at": "[dim]-[/]"}
Here = Annotated[
    Path, typer.Argument(metavar="[DIR]", help="The working copy, or a folder in it.", show_default="here")
]
Id = Annotated[str, typer.Argument(metavar="ID", help="A ticket, as `list` shows it.")]


@contextmanager
def readable() -> Iterator[None]:
    """Turn a wrong request into one message and exit code 2, and Ctrl-C into 130."""
    from answers.exercise.catalogue import ExerciseError
    from answers.exercise.changes import CannotJudge
    from answers.proof.catalog import CatalogError
    from answers.proof.copies import CopyError
    from answers.proof.faults import FaultError

    try:
        with interruptible():
            yield
    except (ExerciseError, CannotJudge, CopyError, FaultError, CatalogError) as error:
        err.print(f"answers: {error}", style="red", markup=False, highlight=False, soft_wrap=True)
        raise typer.Exit(2) from error
    except KeyboardInterrupt:
        err.print("interrupted; nothing was recorded", style="yellow")
        raise typer.Exit(130) from None


def print_json(data: Any) -> None:
    """Print one JSON document, and nothing else."""
    sys.stdout.write(json.dumps(data, indent=2, default=str) + "\n")


@app.command("list")
def list_(
    level: Annotated[int | None, typer.Option(help="15, 30 or 60 minutes.")] = None,
    question: Annotated[str | None, typer.Option(help="q01 and so on.")] = None,
    as_json: AsJson = False,
) -> None:
    """Show the tickets: level, question, title. Nothing that spoils them."""
    from answers.exercise import catalogue, session

    with readable():
        session.require_kit(ROOT, "the list of tickets")
        tickets = [ticket.exercise for ticket in catalogue.load_all(ROOT) if not ticket.exercise.draft]
    chosen = [e for e in tickets if level in (None, e.level) and question in (None, e.question)]
    chosen.sort(key=lambda e: (e.level, e.question))
    if as_json:
        names = ("id", "title", "question", "claims", "level", "kind", "tier", "seconds", "skills")
        print_json([{name: getattr(e, name) for name in names} | {"variants": len(e.variants)} for e in chosen])
        return
    table = Table("minutes", "question", "id", "title", "checks", "variants", "skills")
    for e in chosen:
        counted = str(len(e.checks)), str(len(e.variants))
        table.add_row(str(e.level), e.question, e.id, e.title, *counted, ", ".join(e.skills))
    out.print(table if chosen else "no ticket fits")


@app.command()
def start(
    id_: Annotated[str, typer.Argument(metavar="ID", help="A ticket of `list`, or fault:FAULT of tests/faults.")],
    to: Annotated[Path | None, typer.Option("--to", metavar="DIR", help="The new folder.")] = None,
    variant: Annotated[int | None, typer.Option(min=1, help="Which values the story has (1).")] = None,
    seed: Annotated[int | None, typer.Option(help="Choose the variant by this number.")] = None,
    minutes: Annotated[int | None, typer.Option(min=1, help="Time to work (the ticket's level).")] = None,
    practice: Annotated[
        bool, typer.Option("--practice", help="Alone and in the open: solutions can be shown.")
    ] = False,
    archive: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="A take-home: one .tar.gz to send, without checks and hints' owner."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Hand out a ticket: a working copy with a story, one commit, and nothing that tells a solution."""
    from answers.exercise import handout

    with readable():
        made = handout.start(ROOT, id_, to, variant, seed, minutes, practice, archive)
    if as_json:
        print_json(made)
        return
    where = made["archive"] or made["folder"]
    out.print(f"{where}: {made['ticket']}, variant {made['variant']}, {made['minutes']} minutes", markup=False)
    if made["archive"]:
        out.print(
            "Send it. What comes back: `answers exercise check --submission FILE.bundle`.", style="dim", markup=False
        )
    else:
        out.print(
            f"Begin with TICKET.md. Then: cd {where} && .venv/bin/answers exercise check", style="dim", markup=False
        )


@app.command()
def check(
    folder: Here = Path(),
    full: Annotated[
        bool, typer.Option("--full", help="Interviewer: also what was expected, log and traceback.")
    ] = False,
    submission: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Interviewer: judge what `submit` has made.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Check the work: 0 it holds, 1 it does not, 2 it could not be told."""
    from answers.exercise import session, submitted
    from answers.exercise import workspace as copies

    with readable():
        if submission is None and is_exercise(ROOT):
            session.ask_kit(folder, ["check", *(["--full"] if full else []), *(["--json"] if as_json else [])])
        workspace = submitted.take_in(ROOT, submission) if submission else copies.find(folder)
        if not as_json:
            out.print(session.heading(workspace), style="bold", markup=False)
        with _progress(as_json):
            done = session.check(ROOT, workspace, None if as_json else lambda stage: _show(stage, full))
    if as_json:
        print_json(done.as_data(public=not full))
    else:
        if full and done.log:
            out.print(done.log, style="dim", markup=False, highlight=False)
        out.print(f"{done.verdict} · {done.seconds:.0f} s", style="bold", markup=False)
    raise typer.Exit(done.exit_code)


@contextmanager
def _progress(quiet: bool) -> Iterator[None]:
    """Show on a terminal that the check is at work, and for how long."""
    columns = SpinnerColumn(), TextColumn("your code is run, then judged"), TimeElapsedColumn()
    with Progress(*columns, console=out, transient=True, disable=quiet or not out.is_terminal) as shown:
        shown.add_task("", total=None)
        yield


def _show(stage: Stage, full: bool) -> None:
    line = f"{MARKS[stage.verdict]} {stage.id:<14} {escape(stage.holds)}"
    out.print(line, highlight=False, soft_wrap=True)
    for word, text in (("seen", stage.seen), ("because", stage.because)):
        if text and stage.verdict != "not looked at":
            out.print(f"                 {word}: {text}", style="dim", markup=False, highlight=False, soft_wrap=True)
    if full and stage.expected is not None:
        out.print(f"                 expected: {stage.expected}", style="dim", markup=False, highlight=False)
    if full and stage.detail:
        out.print(stage.detail, style="dim", markup=False, highlight=False)


@app.command()
def hint(
    folder: Here = Path(),
    show: Annotated[bool, typer.Option("--list", help="Only those that were shown.")] = False,
    as_json: AsJson = False,
) -> None:
    """Show the next hint. The report says which were asked for; nothing is taken off for them."""
    from answers.exercise import workspace as copies

    with readable():
        workspace = copies.find(folder)
        number, text = 0, ""
        if not show:
            workspace, number, text = copies.next_hint(workspace)
    used = workspace.note.get("hints_used", [])
    if as_json:
        print_json({"hint": number or None, "text": text or None, "used": used})
    elif show:
        for each in used:
            out.print(f"hint {each['hint']} after {each['minute']:.0f} minutes", highlight=False)
    else:
        out.print(f"hint {number}: {text}", markup=False, highlight=False, soft_wrap=True)


@app.command()
def reset(
    files: Annotated[list[str] | None, typer.Argument(metavar="[FILE]...", help="Paths from the copy's root.")] = None,
    folder: Annotated[Path, typer.Option("--in", metavar="DIR", help="The working copy.")] = Path(),
    everything: Annotated[bool, typer.Option("--all", help="All files.")] = False,
    as_json: AsJson = False,
) -> None:
    """Put files back to how they were handed out. What was there is kept as a Git ref first."""
    from answers.exercise import workspace as copies
    from answers.exercise.catalogue import ExerciseError

    with readable():
        if bool(files) == everything:
            raise ExerciseError("name the files to put back, or give --all")
        workspace = copies.find(folder)
        kept, changed = copies.reset(workspace, list(files or []))
    if as_json:
        print_json({"put_back": changed, "kept_at": kept})
        return
    for name in changed:
        out.print(f"put back {name}", markup=False, highlight=False)
    out.print(f"what was there: git show --stat {kept}", style="dim", markup=False, highlight=False)


@app.command()
def status(folder: Here = Path(), as_json: AsJson = False) -> None:
    """Show the ticket, the time used and the last check."""
    from answers.exercise import session
    from answers.exercise import workspace as copies

    with readable():
        workspace = copies.find(folder)
        data = session.status(workspace)
    if as_json:
        print_json(data)
        return
    out.print(session.heading(workspace), style="bold", markup=False)
    last = data["last"]
    told = f"check {data['checks']}: {last['verdict']}" if last else "not checked yet"
    out.print(f"{told}; {data['hints']} of 3 hints used", markup=False, highlight=False)


@app.command()
def submit(
    folder: Here = Path(),
    to: Annotated[Path | None, typer.Option("--to", metavar="FILE", help="The new file (beside the copy).")] = None,
    as_json: AsJson = False,
) -> None:
    """Pack a take-home's work into one file, and say what is in it."""
    from answers.exercise import submitted
    from answers.exercise import workspace as copies

    with readable():
        file, changed = submitted.pack(copies.find(folder), to)
    if as_json:
        names = [dict(zip(("status", "file"), line.split("\t", 1), strict=True)) for line in changed]
        print_json({"submission": str(file), "changed": names})
        return
    for line in changed:
        out.print(line, markup=False, highlight=False)
    out.print(
        f"{file}: {len(changed)} changed files, and what was there at each check. Send it to your interviewer.",
        markup=False,
    )
