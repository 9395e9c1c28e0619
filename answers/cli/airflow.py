"""Runs Airflow's own command line with the settings of the embedded stack: `answers airflow …`."""

from __future__ import annotations

import os
import sys

import typer

from answers.console import readable_errors


def airflow(context: typer.Context) -> None:
    """Run Airflow's own command line against the embedded stack, such as `tasks clear` or `backfill create`."""
    from answers.stack.client import ApiError
    from answers.stack.settings import Settings

    with readable_errors():
        settings = Settings.load()
        if not settings.ports:
            raise ApiError("the stack has never been started: run `answers up`")
    sys.stdout.flush()
    command = [sys.executable, "-m", "airflow", *context.args]
    os.execve(sys.executable, command, settings.environment())  # noqa: S606 (no shell: it becomes Airflow's program)
