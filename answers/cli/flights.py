"""Defines `answers flights`: makes feeds of any size from the real flights."""

from __future__ import annotations

import json
from dataclasses import asdict
from datetime import date, timedelta
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TimeRemainingColumn, TransferSpeedColumn

from answers.console import readable_errors

app = typer.Typer(help="Question 7: feeds of any size, made from the real flights.", no_args_is_help=True)


@app.callback()
def group() -> None:
    """Make feeds."""


@app.command()
def generate(
    size: Annotated[
        float, typer.Option(help="Megabytes of CSV, over all days; rounded to whole copies of a day.")
    ] = 100,
    first: Annotated[str, typer.Option("--from", help="First local day of 2013, YYYY-MM-DD.")] = "2013-06-10",
    days: Annotated[int, typer.Option(help="Days, each a chunk of its own.", min=1, max=365)] = 4,
    to: Annotated[
        Path | None, typer.Option(help="Folder; where q07_scale looks on the embedded stack, if none.")
    ] = None,
    fmt: Annotated[str, typer.Option("--format", help="csv or parquet.")] = "csv",
    seed: Annotated[int, typer.Option(help="Another seed makes other delays.", min=0)] = 2013,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON document: the days and control totals.")
    ] = False,
) -> None:
    """Make a feed from the real flights: each is copied many times, with other numbers and delays.

    The same options give the same bytes.
    """
    from answers.operate import generate as generator
    from answers.stack.settings import Settings

    with readable_errors():
        if size <= 0:
            raise ValueError(f"--size {size}: more than nothing")
        start = date.fromisoformat(first)
        chosen = [start + timedelta(days=n) for n in range(days)]
        if {day.year for day in chosen} != {2013}:
            raise ValueError(f"{first} and {days} days do not lie in 2013, which the real flights are of")
        folder = to or Settings.load().home / "data" / "q07" / "feed"
        copies = max(1, round(size * 1e6 / days / generator.BYTES_A_COPY))
        columns = ("{task.description}", BarColumn(), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn())
        with Progress(*columns, console=Console(stderr=True)) as progress:
            task = progress.add_task(f"{days} x {copies} copies", total=size * 1e6)
            made = generator.generate(
                folder, chosen, copies, seed, fmt, progress=lambda size: progress.advance(task, size)
            )
            progress.update(task, total=sum(chunk.raw_bytes for chunk in made))
        if as_json:
            print(json.dumps([asdict(chunk) for chunk in made]))
            return
        rows, mb = sum(chunk.rows for chunk in made), sum(chunk.raw_bytes for chunk in made) / 1e6
        Console().print(f"{folder}: {len(made)} days, {rows:,} flights, {mb:,.1f} MB of CSV", highlight=False)
