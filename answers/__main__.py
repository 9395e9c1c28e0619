"""Runs the `answers` command."""

from __future__ import annotations

import sys

from answers.checkout import refuse_elsewhere


def main() -> None:
    """Run the command line.

    `answers integrity` imports none of the other commands: it runs in CI on each commit.
    """
    refuse_elsewhere()
    if sys.argv[1:2] == ["integrity"]:
        from dag_integrity.__main__ import main as integrity

        integrity(sys.argv[2:], name="answers integrity")
        return
    from answers.cli.app import app

    app()


if __name__ == "__main__":
    main()
