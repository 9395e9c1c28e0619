"""Shows runs while they go on: as a live table on a terminal, with one line for each change elsewhere."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Iterator
from typing import TYPE_CHECKING, TypeVar

from rich.live import Live
from rich.table import Table

from answers.console import out

if TYPE_CHECKING:
    from answers.operate.fleet import State
    from answers.operate.repair import Repair
    from answers.stack.client import Run
    from include.fleet.model import Fleet, Member

Look = TypeVar("Look")
MOST_COLUMNS = 10  # of a table of runs; for DAGs with more tasks it shows counts by state
COLOURS = {
    "success": "green",
    "failed": "red",
    "running": "cyan",
    "queued": "yellow",
    "up_for_retry": "yellow",
    "upstream_failed": "red",
    "no event": "magenta",
    "repaired": "green",
    "paused": "magenta",
    "waiting": "magenta",
    "due": "yellow",
}
ENDED = ("success", "failed", "up_for_retry", "upstream_failed")


def show_runs(looks: Iterator[list[Run]], quiet: bool = False) -> Iterator[list[Run]]:
    """Show the tasks of some runs of one DAG."""
    return _show(looks, _table_of_runs, _changes_of_runs, quiet)


def show_fleet(fleet: Fleet, looks: Iterator[list[State]], quiet: bool = False) -> Iterator[list[State]]:
    """Show a day of the fleet: carriers by layers."""
    return _show(looks, lambda states: _table_of_fleet(fleet, states), _changes_of_fleet, quiet)


def show_repairs(looks: Iterator[list[Repair]], quiet: bool = False) -> Iterator[list[Repair]]:
    """Show the repair of some days: a row for each DAG and day that is or was due."""
    return _show(looks, table_of_repairs, _changes_of_repairs, quiet)


def table_of_repairs(repairs: list[Repair]) -> Table:
    """Lay out what is or was due."""
    table = Table("DAG", "day", "what is due", "state")
    for each in repairs:
        table.add_row(each.dag_id, str(each.day), each.why, _coloured(each.state, each.state))
    return table


def _show(
    looks: Iterator[Look],
    table: Callable[[Look], Table],
    changes: Callable[[Look], Iterable[tuple[Hashable, str]]],
    quiet: bool,
) -> Iterator[Look]:
    """Pass the looks on.

    :param changes: of a look, (what changed, the line that says so); a change is printed once
    """
    if quiet or not out.is_terminal:
        printed: set[Hashable] = set()
        for look in looks:
            for change, line in changes(look):
                if change not in printed and not quiet:
                    printed.add(change)
                    out.print(line, highlight=False)
            yield look
        return
    with Live(console=out, refresh_per_second=4) as live:
        for look in looks:
            live.update(table(look))
            yield look


def _changes_of_runs(runs: list[Run]) -> Iterator[tuple[Hashable, str]]:
    for run in runs:
        for task, (state, tries, seconds) in run.tasks.items():
            if state in ENDED:
                took = f" in {seconds:.1f} s" if seconds else ""
                yield (run.run_id, task, state, tries), f"{run.run_id} {task}: {state}{took} (try {tries})"


def _changes_of_fleet(states: list[State]) -> Iterator[tuple[Hashable, str]]:
    for each in states:
        if each.done:
            took = f" in {each.seconds:.1f} s" if each.seconds else ""
            yield each.member.dag_id, f"{each.member.dag_id}: {each.state}{took}"


def _changes_of_repairs(repairs: list[Repair]) -> Iterator[tuple[Hashable, str]]:
    for each in repairs:
        yield (each.dag_id, each.day, each.state), f"{each.dag_id} {each.day}: {each.state} ({each.why})"


def _coloured(state: str, text: str) -> str:
    return f"[{COLOURS.get(state, 'dim')}]{text}[/]"


def _table_of_runs(runs: list[Run]) -> Table:
    tasks = list(dict.fromkeys(task for run in runs for task in run.tasks))
    if len(tasks) > MOST_COLUMNS:
        table = Table("run", "state", "tasks")
        for run in runs:
            states = Counter(state for state, _, _ in run.tasks.values())
            counts = ", ".join(_coloured(state, f"{count} {state}") for state, count in states.items())
            table.add_row(run.run_id, _coloured(run.state, run.state), counts)
        return table
    table = Table("run", "state", *tasks)
    for run in runs:
        cells = []
        for task in tasks:
            state, tries, seconds = run.tasks.get(task, ("none", 0, None))
            text = f"{seconds:.1f} s" if state == "success" and seconds else "" if state == "none" else state
            again = f" (try {tries})" if tries > 1 else ""
            cells.append(_coloured(state, f"{text}{again}"))
        table.add_row(run.run_id, _coloured(run.state, run.state), *cells)
    return table


def _table_of_fleet(fleet: Fleet, states: list[State]) -> Table:
    of = {each.member.dag_id: each for each in states}
    done = sum(each.done for each in states)
    table = Table("", "ingest", "transform", "report", title=f"{done} of {len(states)} DAGs have ended", min_width=60)

    def cell(member: Member | None) -> str:
        each = of.get(member.dag_id) if member else None
        if each is None or each.state == "none":
            return "·" if each else ""
        return _coloured(
            each.state, f"{each.seconds:.0f} s" if each.state == "success" and each.seconds else each.state
        )

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
