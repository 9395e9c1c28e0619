"""Runs the checker: `dag-integrity`, or `python -m dag_integrity`."""

from __future__ import annotations

from dag_integrity.command import app


def main(arguments: list[str] | None = None, name: str = "dag-integrity") -> None:
    """Run the command line.

    :param arguments: those of the command line when None.
    :param name: what the help calls the program.
    """
    app(arguments, prog_name=name)


if __name__ == "__main__":
    main()
