"""Runs the checker: `dag-integrity`, or `python -m dag_integrity`."""

from __future__ import annotations

import sys

from dag_integrity import launch


def main(arguments: list[str] | None = None, name: str = "dag-integrity") -> None:
    """Run the command line.

    Starts the process that parses at once, before the command line is read: importing Airflow takes it a second.

    :param arguments: those of the command line when None.
    :param name: what the help calls the program.
    """
    given = sys.argv[1:] if arguments is None else arguments
    if not {"-h", "--help", "--list-rules"} & set(given):
        launch.ahead()
    from dag_integrity.command import app

    try:
        app(given, prog_name=name)
    finally:
        launch.drop()


if __name__ == "__main__":
    main()
