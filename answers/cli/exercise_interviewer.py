"""Adds to `answers exercise` what interviewers and authors use: prove, new, solution, report."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from answers.checkout import ROOT, is_exercise
from answers.cli.exercise import Here, app, print_json, readable
from answers.console import AsJson, err, out, print_progress


@app.command()
def prove(
    ids: Annotated[list[str] | None, typer.Argument(metavar="[ID]...", help="All that are no drafts, if none.")] = None,
    jobs: Annotated[int, typer.Option(min=1, help="How many checks are made at a time.")] = max(
        1, (os.cpu_count() or 2) // 2
    ),
    only: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="A design or wrong answer; may be repeated.")
    ] = None,
    variant: Annotated[int, typer.Option(min=0, help="Whose values are used. 0: by turns, the next one each day.")] = 1,
    since: Annotated[
        str | None, typer.Option(metavar="COMMIT", help="Only tickets that the changes since then touch.")
    ] = None,
    minutes: Annotated[
        float, typer.Option(min=0, help="Leave out, by name, tickets that would take longer. 0: no limit.")
    ] = 0,
    as_json: AsJson = False,
) -> None:
    """Prove tickets: the untouched project fails, right designs pass twice, each wrong answer is convicted as meant."""
    from answers.exercise import catalogue, proving, session

    with readable():
        session.require_kit(ROOT, "a proof of tickets")
        ready = [] if ids else [ticket for ticket in catalogue.load_all(ROOT) if not ticket.exercise.draft]
        tickets = [catalogue.find(ROOT, id_) for id_ in ids] if ids else ready
        if since:
            tickets = proving.touched(ROOT, tickets, since)
        tell = (lambda text: None) if as_json else print_progress
        proofs = proving.prove_all(ROOT, tickets, variant, jobs, only or (), tell, minutes)
    if as_json:
        print_json([vars(proof) | {"proven": proof.proven} for proof in proofs])
    else:
        wanted = "as it should be, in what was looked at" if only else "proven"
        for proof in proofs:
            style = "green" if proof.proven else "red"
            out.print(
                f"{proof.ticket}: {'' if proof.proven else 'not '}{wanted} · variant {proof.variant} · {proof.seconds:.0f} s",
                style=style,
            )
            for problem in proof.problems:
                out.print(f"  {problem}", markup=False, highlight=False, soft_wrap=True)
        out.print("" if tickets else "no ticket is touched")
    raise typer.Exit(0 if all(proof.proven for proof in proofs) else 1)


@app.command()
def new(
    id_: Annotated[str, typer.Argument(metavar="ID", help="Such as q03-exclude-carriers.")],
    to: Annotated[Path | None, typer.Option("--to", metavar="FOLDER", help="Of all tickets (exercises/).")] = None,
    as_json: AsJson = False,
) -> None:
    """Write the folder of a new ticket. `prove ID` then lists what is missing."""
    from answers.exercise import session, skeleton

    with readable():
        session.require_kit(ROOT, "a new ticket")
        folder = skeleton.write(ROOT, id_, to)
    if as_json:
        print_json({"ticket": id_, "folder": str(folder)})
        return
    out.print(f"wrote {folder}; docs/exercises.md says what each file is for", markup=False, highlight=False)
    out.print(f"`answers exercise prove {id_}` lists what is missing", markup=False, highlight=False)


@app.command()
def solution(
    id_: Annotated[
        str | None, typer.Argument(metavar="[ID]", help="A ticket; that of the current copy if none.")
    ] = None,
    design: Annotated[str | None, typer.Option(metavar="NAME", help="One design as a patch.")] = None,
    give_up: Annotated[bool, typer.Option("--give-up", help="In practice: show it before a check holds.")] = False,
    as_json: AsJson = False,
) -> None:
    """Show the designs and why they are right: to the interviewer, and in practice after a check that holds."""
    from answers.exercise import session

    with readable():
        if is_exercise(ROOT):
            words = ["solution", *([id_] if id_ else []), *(["--design", design] if design else [])]
            options = [*(["--give-up"] if give_up else []), *(["--json"] if as_json else [])]
            session.ask_kit(Path(), [*words, *options], by=session.COPY)
        shown = session.solutions(ROOT, id_, design, give_up)
    if as_json:
        print_json(shown)
        return
    for name, text in shown.items():
        out.print(name, style="bold", markup=False)
        out.print(text, markup=False, highlight=False, soft_wrap=True)


@app.command()
def report(
    folder: Here = Path(),
    submission: Annotated[Path | None, typer.Option(metavar="FILE", help="Of what `submit` has made.")] = None,
    html: Annotated[Path | None, typer.Option(metavar="FILE", help="One page without script.")] = None,
    markdown: Annotated[Path | None, typer.Option(metavar="FILE", help="To a file, not to the terminal.")] = None,
    notes: Annotated[
        list[str] | None, typer.Option("--note", metavar="KEY=TEXT", help="Keep a note; may be repeated.")
    ] = None,
    tests: Annotated[
        bool, typer.Option("--tests", help="Measure the candidate's tests on wrong answers; takes minutes.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Tell the interviewer verdicts, time, hints, what changed between checks, what to ask, a rubric."""
    from answers.exercise import report as writing
    from answers.exercise import session, submitted
    from answers.exercise import workspace as copies
    from include.files import write_atomically

    with readable():
        session.require_kit(ROOT, "the report")
        workspace = submitted.take_in(ROOT, submission) if submission else copies.find(folder)
        writing.add_notes(ROOT, workspace, notes or [])
        if tests:
            session.measure_tests(ROOT, workspace)
        data = writing.gather(ROOT, workspace)
        for file, text in ((html, writing.as_html), (markdown, writing.markdown)):
            if file:
                write_atomically(file, text(data), 0o600)
                err.print(f"wrote {file}", style="dim", markup=False, highlight=False)
    if as_json:
        print_json(data)
    elif not (html or markdown):
        out.print(writing.markdown(data), markup=False, highlight=False, soft_wrap=True)
