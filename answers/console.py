"""Prints messages, reads days and turns errors into one message, in the same way for every command."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, timedelta
from typing import Annotated

import typer
from rich.console import Console

from include.flights.warehouse import WarehouseUnavailable
from include.waiting import Deadline, exact_deadline

out = Console()
err = Console(stderr=True)
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON document instead of a table.")]


@contextmanager
def readable_errors() -> Iterator[None]:
    """Turn the errors that a user can mend into one message and exit code 1."""
    from answers.stack.client import ApiError
    from answers.stack.parts import StackError

    try:
        yield
    except (StackError, ApiError, WarehouseUnavailable, ValueError, FileNotFoundError) as error:
        err.print(f"answers: {error}", style="red", markup=False, highlight=False, soft_wrap=True)
        raise typer.Exit(1) from error


def print_progress(line: str) -> None:
    """Print a line about what is going on, dimmed."""
    out.print(line, style="dim", markup=False, highlight=False)


def days_of(dates: list[str], first: str | None, last: str | None) -> list[date]:
    """Return the days that were asked for, each once: single ones, then the range from `first` to `last`.

    :raises ValueError: there is none, one is no day of the data, or the range is the wrong way round
    """
    if bool(first) != bool(last) or not (dates or first):
        raise ValueError("say which days: --date 2013-06-13 (may be repeated), or --from 2013-06-10 --to 2013-06-16")
    days = []
    for text in dates:
        days.append(day_of(text))
    if first and last:
        start, stop = day_of(first), day_of(last)
        if stop < start:
            raise ValueError(f"--to {last} lies before --from {first}")
        days += [start + timedelta(days=n) for n in range((stop - start).days + 1)]
    return list(dict.fromkeys(days))


def day_of(text: str) -> date:
    """Return the day that a text names, as 2013-06-13.

    :raises ValueError: it is no day, or lies outside of the data
    """
    try:
        day = date.fromisoformat(text)
    except ValueError:
        raise ValueError(f"{text!r} is not a day: write it as 2013-06-13") from None
    if day.year != 2013:
        raise ValueError(f"{text} lies outside of the data, which covers 2013-01-01 to 2013-12-31")
    return day


def deadline_of_option(seconds: float | None, default: float) -> Deadline:
    """Return the deadline of a command's option: a person's seconds as they are, the default's as the machine needs."""
    return Deadline(default) if seconds is None else exact_deadline(seconds)


def default_help(seconds: float) -> str:
    """Word the end of an option's help: its default."""
    return f" ({seconds:.0f}, more on a slower machine)."
