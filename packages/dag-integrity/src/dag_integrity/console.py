"""Writes what the command has to say: reports, rules, progress."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.console import Console

from dag_integrity import files
from dag_integrity.rules import RULES

Outputs = list[tuple[str, Path | None]]  # formats and the files they go to; None is standard output
FORMATS = ("text", "json", "junit", "sarif", "gitlab")
SCREEN = 40  # lines of a report that goes to no terminal


class Refusal(Exception):
    """The command cannot do what was asked; the message says why and what to do."""


def write_reports(outputs: Outputs, everything: bool, out: Console, err: Console, report: Any) -> None:
    """Write each report to where it belongs.

    :param everything: all findings, not as many as fit a screen
    """
    from dag_integrity import report as formats

    for fmt, path in outputs:
        if fmt == "text" and path is None:
            lines = None if everything else (out.height - 2 if out.is_terminal else SCREEN)
            report.print(out, lines)
            continue
        text = report.plain() if fmt == "text" else formats.as_format(fmt, report, version())
        if path is None:
            sys.stdout.write(text)
        else:
            write(path, text, f"--output {path}")
    if ("text", None) not in outputs:
        report.print_summary(err)


def write(path: Path, text: str, what: str) -> None:
    """Write a file whole or not at all.

    :param what: the option that names the file
    :raises Refusal: it cannot be written
    """
    try:
        files.write(path, text)
    except OSError as error:
        raise Refusal(f"{what}: {error}") from error


def version() -> str:
    """Tell the version of the package."""
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("airflow-dag-integrity")
    except PackageNotFoundError:  # run from a folder on PYTHONPATH
        return "0"


def show_rules(out: Console, fmt: str, explain: str | None) -> None:
    """Show the rules as a list, or one of them with its reason."""
    from dag_integrity import report

    if fmt not in ("text", "json", "markdown"):
        raise Refusal(f"--format {fmt}: rules are shown as text, json or markdown")
    chosen = list(RULES.values())
    if explain and not (chosen := [rule for rule in chosen if rule.id.startswith(explain.upper())]):
        raise Refusal(f"--explain {explain}: no such rule; --list-rules shows them")
    if fmt == "json":
        print(json.dumps([asdict(rule) for rule in chosen], indent=2))
    elif fmt == "markdown":
        print(report.rules_as_markdown(chosen))
    elif explain:
        report.explain(out, chosen)
    else:
        report.list_rules(out, chosen)


@contextmanager
def progress(err: Console) -> Iterator[Callable[[int, int], None]]:
    """Return a bar on a terminal, nothing elsewhere."""
    if not err.is_terminal:
        yield lambda done, total: None
        return
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, console=err, transient=True, refresh_per_second=5) as bar:
        task = bar.add_task("parsing", total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)
