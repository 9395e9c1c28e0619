"""Tells checkouts of this project apart: `answers` works only on the one that it was started in.

Standard library only: `answers` asks it before it imports anything else.
"""

import os
import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
EXERCISE = ".answers/exercise.json"  # marks a copy that was handed out
IS_THIS_PROJECT = re.compile(rb'^name\s*=\s*"airflow-answers"', re.MULTILINE)
REFUSED = 2  # the exit code of a wrong request


def checkout_of(folder: Path) -> Path | None:
    """Find the checkout of this project that a folder lies in. None outside of any."""
    for candidate in (folder, *folder.parents):
        metadata = candidate / "pyproject.toml"
        try:
            if IS_THIS_PROJECT.search(metadata.read_bytes()):
                return metadata.resolve().parent  # a deploy checks DAGs in a folder of links
        except OSError:
            continue
    return None


def refusal(root: Path = ROOT) -> str | None:
    """Says why this code, imported from `root`, must not work in the current folder; None where it may."""
    try:
        here = checkout_of(Path.cwd())
    except OSError:  # the current folder was removed
        return None
    if here is None or here.samefile(root):
        return None
    return f"this command is from {root}, and you are in another checkout of the project, {here}: {_remedy(here)}"


def _remedy(here: Path) -> str:
    command = here / ".venv" / "bin" / "answers"
    if here in Path(sys.prefix).absolute().parents:
        return f"PYTHONPATH={os.environ.get('PYTHONPATH', '')} leads there: unset it."
    if command.exists():
        return f"run {command}, or leave that folder."
    return f"run `make setup` there and then {command}, or leave that folder."


def refuse_elsewhere() -> None:
    """End the process when it was started in one checkout and its code is from another.

    :raises SystemExit: with exit code 2.
    """
    if reason := refusal():
        sys.stderr.write(f"answers: {reason}\n")
        raise SystemExit(REFUSED)


def is_exercise(root: Path) -> bool:
    """Tells whether a checkout is a copy that was handed out as an exercise."""
    return (root / EXERCISE).exists()
