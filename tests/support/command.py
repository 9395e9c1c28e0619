"""Runs the `answers` command in this process."""

from typer.testing import CliRunner

from answers.cli import app


def answers(*arguments: str, code: int = 0, **options) -> str:
    """Return what `answers ARGUMENTS` prints, both streams; fails where it ends with another exit code."""
    done = CliRunner().invoke(app.app, arguments, **options)
    assert done.exit_code == code, f"{done.output}\n{done.exception!r}"
    return done.output
