"""`answers integrity PATH...`: the command line of the checker."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from dag_integrity.findings import Finding, relative
from dag_integrity.interrupts import interruptible
from dag_integrity.rules import RANK, RULES

app = typer.Typer(pretty_exceptions_show_locals=False, context_settings={"help_option_names": ["-h", "--help"]})
FORMATS = ("text", "json", "junit", "sarif", "gitlab")


@app.command()
def integrity(
    paths: Annotated[list[Path] | None, typer.Argument(metavar="PATH...", help="Files and folders.")] = None,
    fmt: Annotated[str, typer.Option("--format", "-f", metavar="FORMAT", help=f"One of {', '.join(FORMATS)}.")] = "text",
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Write the report to this file.")] = None,
    select: Annotated[str | None, typer.Option(help="Rules or groups, by comma: AA2,AA301.")] = None,
    ignore: Annotated[str | None, typer.Option(help="Rules or groups that are left out.")] = None,
    fail_on: Annotated[str | None, typer.Option(metavar="SEVERITY", help="For exit code 1: error, warning, info.")] = None,
    jobs: Annotated[int | None, typer.Option(help="Files parsed at a time; the number of CPUs if not given.")] = None,
    timeout: Annotated[float | None, typer.Option(help="Seconds that one file may take (30).")] = None,
    memory: Annotated[int | None, typer.Option(help="MB that one file may allocate (2048).")] = None,
    list_rules: Annotated[bool, typer.Option("--list-rules", help="Show the rules, and check nothing.")] = False,
) -> None:  # fmt: skip
    """Check the DAGs of any Airflow 3 project: errors, cycles within and across DAGs, traps. See docs/integrity.md.

    Exit code 0: nothing found, 1: findings, 2: could not check.
    """
    out = Console(highlight=False)
    err = Console(stderr=True, highlight=False)

    def refuse(text: str) -> typer.Exit:
        err.print(f"answers integrity: {text}", style="red", markup=False, soft_wrap=True)
        return typer.Exit(2)

    if fmt not in FORMATS:
        raise refuse(f"--format {fmt}: should be one of {', '.join(FORMATS)}")
    if list_rules:
        _list_rules(out, fmt)
        return
    if not paths:
        raise refuse("which files? Give a path, for example: answers integrity dags")
    if missing := [str(path) for path in paths if not path.exists()]:
        raise refuse(f"no such file or folder: {', '.join(missing)}")
    if output is not None and not output.absolute().parent.is_dir():
        raise refuse(f"--output {output}: there is no folder {output.absolute().parent}")

    from dag_integrity.config import ConfigError, load

    given: dict[str, Any] = {
        "select": _words(select), "ignore": _words(ignore), "fail_on": fail_on, "jobs": jobs, "timeout": timeout, "memory": memory
    }  # fmt: skip
    # As they are written, not resolved: Airflow follows links, too, and names files by the way to them.
    absolute = list(dict.fromkeys(Path(os.path.abspath(path)) for path in paths))
    try:
        config, base = load(absolute[0], {key: value for key, value in given.items() if value is not None})
        if given["ignore"] is not None:  # adds to the project's
            project, _ = load(absolute[0], {})
            config = config.model_copy(update={"ignore": [*project.ignore, *given["ignore"]]})
        config.environment(base)
    except ConfigError as error:
        raise refuse(str(error)) from error

    from dag_integrity.check import Check
    from dag_integrity.pool import CannotCheck

    start = time.perf_counter()
    try:
        with interruptible(), _progress(err) as progress, Check(absolute, progress) as check:
            findings, files = check.run(config, base)
    except CannotCheck as error:
        raise refuse(str(error)) from error
    except KeyboardInterrupt:
        err.print("answers integrity: interrupted")
        raise typer.Exit(130) from None
    here = Path.cwd()
    findings = [relative(finding, here) for finding in findings]
    try:
        _report(out, err, fmt, output, findings, files, time.perf_counter() - start)
    except OSError as error:
        raise refuse(f"--output {output}: {error}") from error
    if any(RANK[finding.severity] >= RANK[config.fail_on] for finding in findings):
        raise typer.Exit(1)


def _report(
    out: Console, err: Console, fmt: str, output: Path | None, findings: list[Finding], files: int, seconds: float
) -> None:
    from dag_integrity import report

    if fmt == "text":
        if output is None:
            report.write_text(out, findings, files, seconds)
            return
        with output.open("w", encoding="utf-8") as file:
            report.write_text(Console(file=file, highlight=False), findings, files, seconds)
    else:
        text = {
            "json": lambda: report.as_json(findings),
            "junit": lambda: report.as_junit(findings, files),
            "sarif": lambda: report.as_sarif(findings, _version()),
            "gitlab": lambda: report.as_gitlab(findings),
        }[fmt]()
        if output is None:
            sys.stdout.write(text)
            return
        output.write_text(text, encoding="utf-8")
    report.write_text(err, findings, files, seconds, only_summary=True)


def _version() -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("airflow-answers")
    except PackageNotFoundError:
        return "0"


def _words(text: str | None) -> list[str] | None:
    return None if text is None else [word.strip() for word in text.split(",") if word.strip()]


def _list_rules(out: Console, fmt: str) -> None:
    if fmt == "json":
        import json
        from dataclasses import asdict

        print(json.dumps([asdict(rule) for rule in RULES.values()], indent=2))
        return
    table = Table("rule", "severity", "name", "why", box=None)
    for rule in RULES.values():
        table.add_row(rule.id, rule.severity, rule.name, rule.why)
    out.print(table)


@contextmanager
def _progress(err: Console) -> Iterator[Callable[[int, int], None]]:
    """A bar on a terminal, nothing elsewhere."""
    if not err.is_terminal:
        yield lambda done, total: None
        return
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, console=err, transient=True, refresh_per_second=5) as bar:
        task = bar.add_task("parsing", total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)
