"""Defines `answers walk`: steps through a question in front of somebody, or alone."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markup import escape
from rich.syntax import Syntax

from answers.console import AsJson, err, out, readable_errors
from answers.proof import walk as walks
from answers.proof.catalog import ROOT, CatalogError, Question, Step, load_questions
from answers.proof.excerpts import excerpt

ANSWER_SECONDS = 60  # an answer is said in


def walk(
    question: Annotated[str, typer.Argument(metavar="QUESTION", help="Such as q01.")],
    no_run: Annotated[bool, typer.Option("--no-run", help="Show the commands, run none: no stack is needed.")] = False,
    rehearse: Annotated[
        bool, typer.Option("--rehearse", help="Say the answer: a clock of 60 s, a sentence at a key.")
    ] = False,
    ask: Annotated[bool, typer.Option("--ask", help="Only what interviewers ask; the claims come at a key.")] = False,
    check: Annotated[bool, typer.Option("--check", help="Play it silently beforehand. Exit code 1 where it fails.")] = False,
    first: Annotated[int, typer.Option("--from", metavar="N", min=1, help="Begin with this step.")] = 1,
    edit: Annotated[bool, typer.Option("--edit", help="Open what is shown in the editor of $VISUAL or $EDITOR, too.")] = False,
    as_json: AsJson = False,
) -> None:  # fmt: skip
    """Walk through a question: what to say, the lines to show, the commands to run, what they ask. Enter goes on.

    A step that runs something shows the command first and runs it at Enter; `s` passes over it.
    """
    with readable_errors():
        found = _find_question(question)
        if first > len(found.walk):
            raise ValueError(f"--from {first}: the walk of {found.id} has {len(found.walk)} steps")
        good = True
        try:
            if check:
                good = _print_check(found, not no_run, first, as_json)
            elif as_json:
                print(json.dumps(_walk_as_data(found, first)))
            elif rehearse:
                _rehearse_answer(found)
            elif ask:
                _ask_questions(found, first)
            else:
                good = _play_walk(found, first, no_run, edit)
        except KeyboardInterrupt:
            raise typer.Exit(130) from None
    if not good:
        raise typer.Exit(1)


def _find_question(word: str) -> Question:
    """Find a question by q01, Q1 or 1.

    :raises ValueError: there is none, or it has no walk
    """
    try:
        questions = load_questions(ROOT)
    except CatalogError as error:
        raise ValueError(str(error)) from error
    number = word.lower().removeprefix("q").lstrip("0")
    found = next((each for each in questions if str(each.number) == number), None)
    if found is None:
        raise ValueError(f"no question {word}: there are {', '.join(each.id for each in questions)}")
    if not found.walk:
        raise ValueError(f"{found.id} has no walk yet: add `walk:` to include/questions/{found.id}.yaml")
    return found


def _walk_as_data(found: Question, first: int) -> dict[str, Any]:
    steps = [
        {"step": number, **step.model_dump(), "seconds": walks.seconds_of(step)}
        | {"excerpt": asdict(excerpt(step.show)) if step.show else None}
        for number, step in enumerate(found.walk, 1)
        if number >= first
    ]
    return {"question": found.id, "title": found.title, "seconds": walks.walk_seconds(found), "steps": steps}


def _print_check(found: Question, run: bool, first: int, as_json: bool) -> bool:
    played = []
    for each in walks.check_walk(found, run, first):
        played.append(each)
        if not as_json:
            mark = "[red]✗[/]" if each.problems else "[green]✓[/]"
            words = " / ".join(each.problems) or found.walk[each.number - 1].say
            out.print(f"{mark} {each.number} {escape(words)}", highlight=False)
    if as_json:
        print(json.dumps({"question": found.id, "steps": [asdict(each) for each in played]}))
    return not any(each.problems for each in played)


def _play_walk(found: Question, first: int, no_run: bool, edit: bool) -> bool:
    times = walks.walk_seconds(found)
    out.rule(f"{found.number} · {escape(found.title)}")
    whole = "" if no_run else f", {_rounded_time(times['whole'])} with its commands"
    out.print(f"{len(found.walk)} steps, {_rounded_time(times['said'])}{whole}", style="dim", highlight=False)
    good = True
    for number, step in enumerate(found.walk, 1):
        if number >= first:
            good = _play_step(found, number, step, no_run, edit) and good
            _wait_for_key("Enter for the next step" if number < len(found.walk) else "That was all")
    return good


def _play_step(found: Question, number: int, step: Step, no_run: bool, edit: bool) -> bool:
    """Show a step. Returns whether its commands did what is expected."""
    out.print()
    seconds = walks.seconds_of(step)
    took = f"{_rounded_time(seconds['said'])}{', then ' + _rounded_time(seconds['run']) if seconds['run'] and not no_run else ''}"
    out.print(f"[bold]{number}[/] [dim]of {len(found.walk)}, {took}[/]", highlight=False)
    out.print(escape(step.say), highlight=False)
    if step.show:
        _show_excerpt(step.show, edit)
    if step.ask:
        out.print(f"[yellow]They ask:[/] {escape(step.ask)}", highlight=False)
    if step.claim:
        out.print(f"[dim]Claim {', '.join(step.claim)}[/]", highlight=False)
    return all(_run_command(command, step, no_run) for command in step.commands)


def _show_excerpt(anchor: str, edit: bool) -> None:
    found = excerpt(anchor)
    out.print(f"[cyan]{escape(found.file)}:{found.line}[/]", highlight=False)
    lexer = Syntax.guess_lexer(found.file, found.text)
    lines = Syntax(found.text, lexer, line_numbers=True, start_line=found.first, word_wrap=True, theme="ansi_dark")
    lines.highlight_lines = {found.line}
    out.print(lines)
    if edit:
        _open_editor(ROOT / found.file, found.line)


def _open_editor(file: Path, line: int) -> None:
    """Open a file at a line. An editor that cannot be started does not end the walk."""
    editor = os.environ.get("VISUAL") or os.environ.get("EDITOR")
    if not editor:
        err.print("answers: --edit opens the editor that $VISUAL or $EDITOR names, and neither is set", style="yellow")
        return
    try:
        subprocess.run([*shlex.split(editor), f"+{line}", str(file)], check=False)
    except (OSError, ValueError) as error:
        err.print(f"answers: the editor {editor!r} ($VISUAL or $EDITOR) did not start: {error}", style="yellow")


def _run_command(command: str, step: Step, no_run: bool) -> bool:
    out.print(f"[bold]$ {escape(command)}[/]", highlight=False, soft_wrap=True)
    if no_run or _wait_for_key("Enter runs it, s passes over it") == "s":
        return True
    done = subprocess.run([sys.executable, "-m", *shlex.split(command)], cwd=ROOT, stdin=subprocess.DEVNULL)
    wanted = step.expect.exit if step.expect else 0
    if done.returncode != wanted:
        err.print(f"answers: ended with {done.returncode} instead of {wanted}", style="red")
    return done.returncode == wanted


def _ask_questions(found: Question, first: int) -> None:
    texts = {claim.id: claim.text for claim in found.claims}
    for step in (step for number, step in enumerate(found.walk, 1) if step.ask and number >= first):
        out.print(f"\n[yellow]{escape(step.ask or '')}[/]", highlight=False)
        _wait_for_key("Enter for the claim")
        out.print(escape(step.say), highlight=False)
        for claim in step.claim:
            out.print(f"[dim]{claim}[/] {escape(texts[claim])}", highlight=False)


def _rehearse_answer(found: Question) -> None:
    """Reveal the answer sentence by sentence, and tell the pace at the end."""
    out.print(f"[bold]{escape(' '.join(found.question.split()))}[/]", highlight=False)
    _wait_for_key(f"Enter starts the clock of {ANSWER_SECONDS} s")
    began = time.monotonic()
    for paragraph in (found.answer or "").strip().split("\n\n"):
        for sentence in walks.sentences(paragraph):
            left = ANSWER_SECONDS - round(time.monotonic() - began)
            _wait_for_key(f"{left} s left" if left >= 0 else f"{-left} s over")
            out.print(escape(sentence), highlight=False)
        out.print()
    seconds = max(1.0, time.monotonic() - began)
    words = len((found.answer or "").split())
    out.print(f"{words} words in {seconds:.0f} s: {words * 60 / seconds:.0f} a minute", highlight=False)


def _wait_for_key(what: str) -> str:
    """Wait for Enter on a terminal; anywhere else go on at once. Returns what was typed before it."""
    if not sys.stdin.isatty():
        return ""
    try:
        return out.input(f"[dim]{escape(what)} [/]").strip().lower()
    except EOFError:
        return ""


def _rounded_time(seconds: int) -> str:
    return f"{seconds} s" if seconds < 100 else f"{round(seconds / 60)} min"
