"""Says which names the installed Airflow still has. Run as `python -m dag_integrity.resolve`: names come on standard input.

A process of its own, since importing a module of Airflow or of a provider can do anything.
"""

from __future__ import annotations

import contextlib
import importlib
import io
import json
import sys


def resolves(name: str) -> bool:
    """Tell whether a full name can be imported, redirections of Airflow included."""
    parts = name.split(".")
    for cut in range(len(parts), 0, -1):
        try:
            found: object = importlib.import_module(".".join(parts[:cut]))
            for part in parts[cut:]:
                found = getattr(found, part)
        except Exception:  # noqa: S112 - a shorter module is tried
            continue
        return True
    return False


def main() -> None:
    """Answer on standard output."""
    names = sys.stdin.read().split()
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        found = [name for name in names if resolves(name)]
    json.dump(found, sys.stdout)


if __name__ == "__main__":
    main()
