"""Removes the files of landed intervals: those of one run at once, those of all runs after a week."""

from __future__ import annotations

import shutil
import time
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

KEEP_RUNS = timedelta(days=7)  # for how long the files of a finished run stay, so that a task can be cleared


def remove_landed(landed: Mapping[str, Any]) -> None:
    """Remove the files of one run's interval, once they are published. The feed still has their contents.

    :param landed: what `land_interval` returned
    """
    shutil.rmtree(landed["folder"], ignore_errors=True)


def remove_old_runs(folder: Path) -> None:
    """Remove the files of runs that nothing has touched for KEEP_RUNS."""
    before = time.time() - KEEP_RUNS.total_seconds()
    for run in folder.iterdir() if folder.is_dir() else ():
        if run.stat().st_mtime < before:
            shutil.rmtree(run, ignore_errors=True)
