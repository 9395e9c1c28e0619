"""Defines `answers prove`: runs the tests of the claims, or tries their faults, and says what is proven."""

import json
import os
import sys
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from answers.checkout import is_exercise
from answers.interrupts import interruptible
from answers.proof.anchors import ELSEWHERE, claimed_tests
from answers.proof.catalog import ROOT, CatalogError, Claim, Fault, load_faults, load_questions, select_claims
from answers.proof.copies import TICKET, CopyError
from answers.proof.faults import FaultError, Verdict, make_exercise, prove_faults
from answers.proof.results import recorded, results_path, save_results, take_snapshot, tests_as_data
from answers.proof.runner import Event, TestRun, run_tests

COLOURS = {"proven": "green", "caught": "green", "failed": "red", "not caught": "red", "error": "red"}
NOT_HERE = "this copy was handed out as an exercise and has no faults: ask whoever made it"
MARKS = {"passed": "[green]✓[/]", "failed": "[red]✗[/]", "skipped": "[yellow]-[/]"}


def prove(
    asked: Annotated[
        list[str] | None, typer.Argument(metavar="[Q|CLAIM]...", help="Questions (q01) or claims (1.4); all if none.")
    ] = None,
    faults: Annotated[
        bool, typer.Option("--faults", help="Break each mechanism on a copy: tests must notice.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the results as JSON, and nothing else.")] = False,
    jobs: Annotated[int, typer.Option(min=1, help="How many faults are tried at a time.")] = os.cpu_count() or 1,
    compose: Annotated[bool, typer.Option("--compose", help="Also run the tests on the docker compose stack.")] = False,
    kubernetes: Annotated[
        bool, typer.Option("--kubernetes", help="Also run the tests on a Kubernetes cluster.")
    ] = False,
    show: Annotated[
        bool, typer.Option("--show", help="Run nothing: show what is recorded, and of which code.")
    ] = False,
    apply: Annotated[
        str | None, typer.Option(metavar="FAULT", help="Make an exercise: a copy with this fault.")
    ] = None,
    to: Annotated[Path | None, typer.Option(metavar="DIR", help="The new folder for --apply.")] = None,
) -> None:
    """Run the tests behind the claims and show what is proven.

    Ends with 0 only when everything asked for is proven (with --faults: caught), with 1 when not, with 2 when something
    asked for does not exist or the catalogue is wrong. The results are kept in results/prove.json, with hashes of the code
    that they are about: where that is no longer as it was, "proven" becomes "proven, code changed since".
    """
    try:
        with interruptible():
            all_faults = load_faults(ROOT)
            if (faults or apply is not None) and is_exercise(ROOT):
                raise FaultError(NOT_HERE)
            if apply is not None or to is not None:
                _make_exercise(all_faults, apply, to)
                return
            claims = select_claims(load_questions(ROOT), asked or [])
            if show:
                good = _show_recorded(claims, all_faults, as_json)
            elif faults:
                good = _prove_faults(claims, all_faults, jobs, as_json)
            else:
                also = {tier for tier, wanted in zip(ELSEWHERE, (compose, kubernetes), strict=True) if wanted}
                good = _prove_claims(claims, all_faults, also, as_json)
    except (CatalogError, CopyError, FaultError) as error:
        Console(stderr=True).print(f"[red]{escape(str(error))}[/]", highlight=False, soft_wrap=True)
        raise typer.Exit(2) from None
    except KeyboardInterrupt:
        Console(stderr=True).print("[yellow]interrupted; nothing was recorded[/]")
        raise typer.Exit(130) from None
    raise typer.Exit(0 if good else 1)


def _make_exercise(faults: list[Fault], fault_id: str | None, to: Path | None) -> None:
    if fault_id is None or to is None:
        raise FaultError("an exercise needs both: --apply FAULT --to DIR")
    fault = next((fault for fault in faults if fault.id == fault_id), None)
    if fault is None:
        raise FaultError(f"no fault {fault_id}; there are: {', '.join(fault.id for fault in faults) or 'none'}")
    make_exercise(ROOT, fault, to)
    Console().print(
        f"[bold]{escape(str(to))}[/] misbehaves: {escape(fault.symptom)}\n"
        f"Hand it out: {TICKET} says the same. `cd` into it, then `.venv/bin/answers prove {fault.claim}`: failed; repaired, "
        "proven. `git diff` there shows what was changed. docs/exercises.md says more.",
        highlight=False,
        soft_wrap=True,
    )


def prove_claims(
    root: Path,
    claims: list[Claim],
    also: Collection[str] = (),
    on_event: Callable[[Event, TestRun], None] | None = None,
) -> dict[str, dict[str, Any]]:
    """Run the tests of the claims in one pytest process.

    :param root: the project's folder.
    :param claims: what to prove.
    :param also: tiers of ELSEWHERE whose tests are run, too.
    :param on_event: called with each event while the tests run.
    :returns: by claim id: `status` (proven, failed, or unproven: no test passed), `reason` (None when proven), `tests`.
    """
    ids = {claim.id for claim in claims}
    left_out = [tier for tier in ELSEWHERE if tier not in also]
    marked = [t for t in claimed_tests(root) if t.claim in ids and t.tier not in left_out]
    run = TestRun(exit_code=5)
    if marked:
        chosen = [word for claim in sorted(ids) for word in ("--claim", claim)]
        tiers = ["-m", " and ".join(f"not {tier}" for tier in left_out)] if left_out else []
        arguments = [*sorted({t.file for t in marked}), *chosen, *tiers, "-q", "--continue-on-collection-errors"]
        run = run_tests(root, arguments, dict(os.environ), on_event or (lambda event, run: None))
    proofs = {}
    for claim in claims:
        status, reason = _status(run, claim.id, {t.file for t in marked if t.claim == claim.id})
        proofs[claim.id] = {"status": status, "reason": reason, "tests": tests_as_data(run.of(claim.id))}
    return proofs


def _status(run: TestRun, claim: str, files: set[str]) -> tuple[str, str | None]:
    tests = run.of(claim)
    for file in sorted(files & set(run.uncollected)):
        return "failed", f"{file} cannot be collected: {run.uncollected[file].strip().splitlines()[-1]}"
    for bad in (test for test in tests if test.outcome in ("failed", "unfinished")):
        return "failed", f"{bad.id} {'failed' if bad.outcome == 'failed' else 'did not finish'}"
    if not files:
        return "unproven", "no test carries its marker"
    if run.exit_code not in (0, 1, 5):
        return "unproven", f"pytest ended with {run.exit_code}: {run.tail()}"
    if not any(test.outcome == "passed" for test in tests):
        return "unproven", next((f"skipped: {test.message}" for test in tests), "none of its tests ran")
    return "proven", None


def _prove_claims(claims: list[Claim], faults: list[Fault], also: Collection[str], as_json: bool) -> bool:
    console = Console(stderr=True)
    questions = load_questions(ROOT)
    snapshot = take_snapshot(ROOT, questions, faults)
    with _progress(console) as progress:
        task = progress.add_task("collecting", total=None)

        def show(event: Event, run: TestRun) -> None:
            match event:
                case {"event": "collected", "tests": tests}:
                    progress.update(task, total=len(tests), description="running")
                case {"event": "collection failed", "file": file, "message": message}:
                    _print_failure(console, file, message)
                case {"event": "started", "test": test}:
                    progress.update(task, description=escape(test.rpartition("/")[2]))
                case {"event": "finished", "test": id_}:
                    progress.advance(task)
                    test = run.tests[id_]
                    where = f"[dim]{escape(' '.join(test.claims)):>4}[/] {escape(id_)}"
                    line = f"{MARKS[test.outcome]} {where} [dim]{test.seconds:.2f} s[/]"
                    console.print(line, highlight=False, soft_wrap=True)
                    if test.outcome == "failed":
                        _print_failure(console, id_, test.message or "")

        proofs = prove_claims(ROOT, claims, also, show)
    results = save_results(snapshot, proofs, {})
    _print_results(results, claims, as_json)
    if not as_json and (waiting := [question.id for question in questions if not question.claims]):
        Console().print(f"[dim]not answered yet: {', '.join(waiting)}[/]", highlight=False)
    return _all_proven(results, claims)


def _show_recorded(claims: list[Claim], faults: list[Fault], as_json: bool) -> bool:
    """Show what is recorded of the claims, and whether their code has changed since."""
    results = recorded(ROOT, load_questions(ROOT), faults)
    _print_results(results, claims, as_json)
    return _all_proven(results, claims)


def _all_proven(results: dict[str, Any], claims: list[Claim]) -> bool:
    return bool(claims) and all(results["claims"][claim.id]["state"] == "proven" for claim in claims)


def _prove_faults(claims: list[Claim], all_faults: list[Fault], jobs: int, as_json: bool) -> bool:
    console = Console(stderr=True)
    asked = [fault for fault in all_faults if fault.claim in {claim.id for claim in claims}]
    snapshot = take_snapshot(ROOT, load_questions(ROOT), all_faults)
    with _progress(console) as progress:
        task = progress.add_task("without any fault", total=len(asked))

        def begin(baseline: TestRun) -> None:
            passed = sum(test.outcome == "passed" for test in baseline.tests.values())
            line = f"without any fault {passed}/{len(baseline.tests)} tests pass [dim]{baseline.seconds:.1f} s[/]"
            console.print(line, highlight=False, soft_wrap=True)
            progress.update(task, description="with each fault")

        def show(verdict: Verdict) -> None:
            progress.advance(task)
            line = f"{_coloured(verdict.verdict)} {verdict.fault.id} [dim]{verdict.seconds:.1f} s[/]"
            console.print(line, highlight=False, soft_wrap=True)

        verdicts = prove_faults(ROOT, asked, jobs, show, begin)
    data = {verdict.fault.id: verdict.as_data() for verdict in verdicts}
    results = save_results(snapshot, {}, data)
    without = [claim.id for claim in claims if claim.id not in {fault.claim for fault in asked}]
    if as_json:
        _print_json(results, claims)
    else:
        _print_verdicts(verdicts)
        if without:
            Console().print(f"[red]no fault is known for: {', '.join(without)}[/]", highlight=False)
    return bool(claims) and not without and all(verdict.verdict == "caught" for verdict in verdicts)


def _progress(console: Console) -> Progress:
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    return Progress(*columns, console=console, transient=True, disable=not console.is_terminal)


def _coloured(word: str) -> str:
    return f"[{COLOURS.get(word, 'yellow')}]{word}[/]"  # a result of other code is yellow


def _print_failure(console: Console, title: str, text: str) -> None:
    console.print(f"[red]── {escape(title)}[/]", highlight=False)
    for line in text.strip().splitlines()[-12:]:
        console.print(f"   {escape(line)}", highlight=False, soft_wrap=True)


def _print_results(results: dict[str, Any], claims: list[Claim], as_json: bool) -> None:
    if as_json:
        _print_json(results, claims)
    else:
        _print_claims(results, claims)


def _print_json(results: dict[str, Any], claims: list[Claim]) -> None:
    shown = {claim.id: results["claims"][claim.id] for claim in claims}
    sys.stdout.write(json.dumps(results | {"claims": shown}, indent=2) + "\n")


def _table(*headings: str) -> Table:
    table = Table()
    for heading in headings:
        table.add_column(heading, overflow="fold")  # a long text goes on in the next line
    return table


def _print_claims(results: dict[str, Any], claims: list[Claim]) -> None:
    table = _table("claim", "text", "code", "tests", "fault", "status")
    without = "" if is_exercise(ROOT) else "[yellow]none[/]"
    for claim in claims:
        entry = results["claims"][claim.id]
        code = "\n".join(f"{each['file']}:{each['line'] or _symbol(each['anchor'])}" for each in entry["anchors"])
        passed = sum(test["outcome"] == "passed" for test in entry["tests"])
        verdicts = "\n".join(_coloured(fault["state"]) for fault in entry["faults"]) or without
        told = [entry["reason"]] if entry["reason"] else []
        status = "\n".join([_coloured(entry["state"]), *map(escape, told + entry["changed"])])
        table.add_row(claim.id, escape(claim.text), escape(code), f"{passed}/{len(entry['tests'])}", verdicts, status)
    Console().print(table)
    if old := [claim.id for claim in claims if results["claims"][claim.id]["elsewhere_changed"]]:
        why = "other code has changed since they were tested; `answers prove` tests them again"
        Console().print(f"[yellow]{', '.join(old)}: {why}[/]", highlight=False, soft_wrap=True)
    about = f"{ROOT}{' at ' + results['commit'][:12] if results.get('commit') else ''}"
    Console().print(
        f"[dim]about {escape(about)}; kept in {escape(str(results_path(ROOT)))}[/]", highlight=False, soft_wrap=True
    )


def _symbol(anchor: str) -> str:
    return f"no {anchor.partition(':')[2]}"


def _print_verdicts(verdicts: list[Verdict]) -> None:
    table = _table("fault", "claim", "title", "verdict", "seconds", "failing test")
    for v in verdicts:
        told = escape("\n".join(text for text in (v.failing_test, v.reason) if text))
        table.add_row(v.fault.id, v.fault.claim, escape(v.fault.title), _coloured(v.verdict), f"{v.seconds:.1f}", told)
    Console().print(table)
