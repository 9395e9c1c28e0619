"""Mends what is mechanical, through ruff's own fixes of its Airflow rules: a diff first, then the files."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence

from dag_integrity.static import RUFF_RULES, Unavailable, _ruff

ALWAYS = (
    "--isolated", "--no-cache", "--preview", "--exit-zero", "--quiet", "--target-version", "py311", "--no-force-exclude",
    "--select", ",".join(RUFF_RULES),
)  # fmt: skip
AT_ONCE = 500  # files for one call: a command line has an end


def diff(files: Sequence[str], unsafe: bool = False) -> str:
    """Return what the fixes would change, as a unified diff; empty when there is nothing to fix.

    :param unsafe: also what ruff calls unsafe: a comment may get lost, or a provider has to be installed
    :raises Unavailable: ruff does not run
    """
    return "".join(_run(["--diff"], unsafe, files[start : start + AT_ONCE]) for start in range(0, len(files), AT_ONCE))


def apply(files: Sequence[str], unsafe: bool = False) -> None:
    """Write what `diff` shows.

    :raises Unavailable: ruff does not run
    """
    for start in range(0, len(files), AT_ONCE):
        _run(["--fix-only"], unsafe, files[start : start + AT_ONCE])


def _run(options: list[str], unsafe: bool, files: Sequence[str]) -> str:
    command = [_ruff(), "check", *options, *(["--unsafe-fixes"] if unsafe else []), *ALWAYS, "--", *files]
    try:
        done = subprocess.run(command, capture_output=True, text=True, encoding="utf-8")
    except OSError as error:
        raise Unavailable(f"ruff cannot be started: {error}") from error
    if done.returncode not in (0, 1):
        raise Unavailable(f"ruff ended with {done.returncode}: {' '.join(done.stderr.split())[:500]}")
    return done.stdout
