"""Runs the checker's command line: `dag-integrity PATH...`."""

from __future__ import annotations

import os
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from dag_integrity import console
from dag_integrity.console import FORMATS, Refusal
from dag_integrity.findings import Finding, relative
from dag_integrity.interrupts import interruptible
from dag_integrity.rules import RANK

app = typer.Typer(pretty_exceptions_show_locals=False, context_settings={"help_option_names": ["-h", "--help"]})
BASELINE = "dag-integrity-baseline.json"


@dataclass
class Asked:
    """Holds what the command line asks for."""

    paths: list[Path]
    outputs: list[tuple[str, Path | None]]
    """Formats and the files they go to; None is standard output."""
    overrides: dict[str, Any]
    update_baseline: bool
    since: str | None
    everything: bool
    fix: bool
    yes: bool
    unsafe: bool


@app.command()
def integrity(
    paths: Annotated[list[Path] | None, typer.Argument(metavar="PATH...", help="Files and folders.")] = None,
    fmt: Annotated[
        str, typer.Option("--format", "-f", metavar="FORMAT", help=f"One of {', '.join(FORMATS)}.")
    ] = "text",
    output: Annotated[
        list[str] | None,
        typer.Option("--output", "-o", metavar="[FORMAT=]FILE", help="Write a report to a file; may be repeated."),
    ] = None,
    select: Annotated[str | None, typer.Option(help="Rules or groups, by comma: AA2,AA301.")] = None,
    ignore: Annotated[str | None, typer.Option(help="Rules or groups that are left out.")] = None,
    fail_on: Annotated[
        str | None, typer.Option(metavar="SEVERITY", help="For exit code 1: error, warning, info.")
    ] = None,
    baseline: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Findings that are known: only others count. Written when it is not there."),
    ] = None,
    update_baseline: Annotated[
        bool, typer.Option("--update-baseline", help="Write the baseline anew, with what is found now.")
    ] = False,
    since: Annotated[
        str | None,
        typer.Option(metavar="REV", help="Only what concerns files that changed since this branch left REV (Git)."),
    ] = None,
    missing: Annotated[
        str | None,
        typer.Option(
            metavar="report|stand-in", help="Packages that are not installed: report, or go on with stand-ins."
        ),
    ] = None,
    fix: Annotated[
        bool, typer.Option("--fix", help="Show what ruff's fixes change; write it after a yes, or with --yes.")
    ] = False,
    unsafe_fixes: Annotated[
        bool,
        typer.Option("--unsafe-fixes", help="With --fix: also what ruff calls unsafe, such as imports from providers."),
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="With --fix: write without a question.")] = False,
    everything: Annotated[bool, typer.Option("--all", help="Show every finding, not a screenful.")] = False,
    explain: Annotated[
        str | None, typer.Option(metavar="RULE", help="Tell why a rule is there and what to do, and check nothing.")
    ] = None,
    jobs: Annotated[int | None, typer.Option(help="Files parsed at a time; the number of CPUs if not given.")] = None,
    timeout: Annotated[float | None, typer.Option(help="Seconds of CPU that one file may take (30).")] = None,
    memory: Annotated[int | None, typer.Option(help="MB that one file may allocate (2048).")] = None,
    list_rules: Annotated[bool, typer.Option("--list-rules", help="Show the rules, and check nothing.")] = False,
    version: Annotated[bool, typer.Option("--version", help="Show the version.")] = False,
) -> None:
    """Check the DAGs of any Airflow 3 project: errors, cycles within and across DAGs, traps.

    Exit code 0: nothing found, 1: findings, 2: could not check. Configuration: table tool.dag-integrity in pyproject.toml.
    """
    out = Console(highlight=False)
    err = Console(stderr=True, highlight=False)
    try:
        if version:
            print(f"dag-integrity {console.version()}")
        elif list_rules or explain:
            console.show_rules(out, fmt, explain)
        else:
            overrides = {
                "select": _words(select), "ignore": _words(ignore), "fail_on": fail_on, "jobs": jobs, "timeout": timeout,
                "memory": memory, "missing": missing, "baseline": str(baseline.absolute()) if baseline else None,
            }  # fmt: skip
            outputs = _outputs(fmt, output or [])
            asked = Asked(
                _existing(paths), outputs, overrides, update_baseline, since, everything, fix, yes, unsafe_fixes
            )
            _check(asked, out, err)
    except Refusal as error:
        err.print(f"dag-integrity: {error}", style="red", markup=False, soft_wrap=True)
        raise typer.Exit(2) from error
    except KeyboardInterrupt:
        err.print("dag-integrity: interrupted")
        raise typer.Exit(130) from None


def _existing(paths: list[Path] | None) -> list[Path]:
    if not paths:
        raise Refusal("which files? Give a path, for example: dag-integrity dags")
    if missing := [str(path) for path in paths if not path.exists()]:
        raise Refusal(f"no such file or folder: {', '.join(missing)}")
    # As they are written, not resolved: Airflow follows links, too, and names files by the way to them.
    return list(dict.fromkeys(Path(os.path.abspath(path)) for path in paths))


def _outputs(fmt: str, given: list[str]) -> list[tuple[str, Path | None]]:
    """Pair formats with files. Without a file in the format of --format, that report goes to standard output."""
    if fmt not in FORMATS:
        raise Refusal(f"--format {fmt}: should be one of {', '.join(FORMATS)}")
    outputs: list[tuple[str, Path | None]] = []
    for text in given:
        name, equals, rest = text.partition("=")
        chosen, path = (name, Path(rest)) if equals and name in FORMATS else (fmt, Path(text))
        if not path.absolute().parent.is_dir():
            raise Refusal(f"--output {text}: there is no folder {path.absolute().parent}")
        if path.is_dir() or not path.name:
            raise Refusal(f"--output {text}: should name a file")
        outputs.append((chosen, path))
    if len({path for _, path in outputs}) < len(outputs):
        raise Refusal("--output: two reports go to one file")
    to_stdout = fmt not in {chosen for chosen, _ in outputs}
    return [*outputs, (fmt, None)] if to_stdout else outputs


def _check(asked: Asked, out: Console, err: Console) -> None:
    """Check, report, and end with the exit code."""
    from dag_integrity.config import ConfigError, load

    try:
        loaded = load(asked.paths[0], asked.overrides)
        loaded.config.environment(loaded.base)
    except ConfigError as error:
        raise Refusal(str(error)) from error
    config, base = loaded.config, loaded.base
    if loaded.deprecated:
        err.print(f"dag-integrity: {loaded.deprecated}", style="yellow", markup=False, soft_wrap=True)

    from dag_integrity.baseline import Baseline, BaselineError
    from dag_integrity.changes import Changes, ChangesError
    from dag_integrity.check import Check
    from dag_integrity.pool import CannotCheck
    from dag_integrity.report import Report

    start = time.perf_counter()
    known = _baseline_file(asked, config.baseline, base)
    try:
        changes = (
            Changes(asked.paths[0] if asked.paths[0].is_dir() else asked.paths[0].parent, asked.since)
            if asked.since
            else None
        )
        old = Baseline.read(known) if known and known.exists() and not asked.update_baseline else None
        if asked.fix:
            _fix(asked, out, err, config, base)
        with interruptible(), console.progress(err) as progress, Check(asked.paths, progress) as check:
            outcome = check.run(config, base)
    except (CannotCheck, BaselineError, ChangesError) as error:
        raise Refusal(str(error)) from error
    findings = outcome.findings
    notes: list[str] = []
    if known and old is None:
        new = Baseline.of(known, findings)
        console.write(known, new.text(), f"--baseline {known}")
        notes.append(f"{known.name} written with {len(findings)} findings: commit it; from now on only new ones count")
        findings = []
    elif old is not None:
        compared = old.compare(findings)
        findings = compared.new
        notes.append(f"{compared.known} findings are in {known.name if known else ''} already")
        if compared.gone and not changes:
            notes.append(f"{compared.gone} of it are gone: --update-baseline takes them out")
    if changes:
        findings = [each for each in findings if changes.concern(each, outcome.dags, outcome.modules)]
        notes.append(f"only what concerns the {len(changes.files)} files that changed since {asked.since}")
    here = Path.cwd()
    shown = sorted((relative(finding, here) for finding in findings), key=_by_weight)
    report = Report(shown, len(outcome.files), time.perf_counter() - start, config.fail_on, notes)
    console.write_reports(asked.outputs, asked.everything, out, err, report)
    if any(RANK[finding.severity] >= RANK[config.fail_on] for finding in findings):
        raise typer.Exit(1)


def _by_weight(finding: Finding) -> tuple[int, Finding]:
    return -RANK[finding.severity], finding


def _baseline_file(asked: Asked, configured: str | None, base: Path) -> Path | None:
    if configured is None:
        if asked.update_baseline:
            raise Refusal(f"--update-baseline: of which file? Give --baseline {BASELINE}")
        return None
    path = base / configured
    if not path.absolute().parent.is_dir():
        raise Refusal(f"--baseline {path}: there is no folder {path.parent}")
    if asked.since and (asked.update_baseline or not path.exists()):
        raise Refusal(f"--baseline {path}: cannot be written from a part of the findings; leave --since out")
    if not path.exists() and os.environ.get("CI") and not asked.update_baseline:
        # A gate that writes its own baseline lets everything pass.
        raise Refusal(f"--baseline {path}: is not there. Write it on your machine (the same command) and commit it")
    return path


def _fix(asked: Asked, out: Console, err: Console, config: Any, base: Path) -> None:
    """Show what ruff would change, and write it when that is wanted."""
    from rich.syntax import Syntax

    from dag_integrity import fix
    from dag_integrity.check import find_files
    from dag_integrity.static import Unavailable

    try:
        files = find_files(asked.paths, config, base)
        diff = fix.diff(files, asked.unsafe)
        if not diff:
            err.print("dag-integrity: nothing that ruff can fix")
            return
        # Reports go to standard output unchanged: a program may read them.
        target = out if ("text", None) in asked.outputs else err
        target.print(
            Syntax(diff, "diff", background_color="default") if target.is_terminal else diff,
            markup=False,
            soft_wrap=True,
        )
        if not asked.yes and not (sys.stdin.isatty() and typer.confirm("Write these changes?", err=True)):
            err.print("dag-integrity: nothing is written; --fix --yes writes it")
            return
        fix.apply(files, asked.unsafe)
    except Unavailable as error:
        raise Refusal(str(error)) from error


def _words(text: str | None) -> list[str] | None:
    return None if text is None else [word.strip() for word in text.split(",") if word.strip()]
