"""Defines `answers page`: opens the Answers page, or writes it into a folder."""

from __future__ import annotations

import sys
import webbrowser
from pathlib import Path
from typing import Annotated

import typer

from answers.console import out, readable_errors
from answers.proof.catalog import ROOT, CatalogError


def page(
    export: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Write the page as files, which need no Airflow.")
    ] = None,
) -> None:
    """Open the Answers page of the running stack, or export it: for CI's artefacts, GitHub Pages, or a laptop.

    An export has questions, answers, claims, proof and plots as they are now. It has no live evidence.
    """
    from answers.page.export import write
    from answers.stack.settings import Settings

    with readable_errors():
        if export:
            try:
                files = write(ROOT, export)
            except CatalogError as error:
                raise ValueError(str(error)) from error
            out.print(f"wrote {len(files)} files: open {export / 'index.html'}", markup=False, highlight=False)
            return
        settings = Settings.load()
        if not settings.ports:
            raise ValueError("the stack is not running: `answers up`, or `answers page --export DIR` without one")
        address = f"{settings.url}/plugin/answers"
        out.print(f"{address}  (`answers open` signs you in)", highlight=False, soft_wrap=True)
        if sys.stdout.isatty():
            webbrowser.open(address)
