"""The `answers` command's way in."""

from __future__ import annotations

import sys

from answers.proof.checkout import refuse_elsewhere


def main() -> None:
    """Run the command line.

    The checker runs in CI on each commit: it starts its helper at once, which takes a second to import Airflow, and imports
    none of the other commands.
    """
    refuse_elsewhere()
    arguments = sys.argv[1:]
    if arguments[:1] != ["integrity"]:
        from answers.cli.app import app

        app()
        return
    from dag_integrity import launch

    if not {"-h", "--help", "--list-rules"} & set(arguments):
        launch.ahead()
    from dag_integrity.command import app as integrity

    try:
        integrity(arguments[1:], prog_name="answers integrity")
    finally:
        launch.drop()


if __name__ == "__main__":
    main()
