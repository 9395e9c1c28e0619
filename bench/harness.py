"""Runs and repeats what the benchmarks measure."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[1]


def repeated(work: Callable[[], float], times: int = 5) -> float:
    """Return the median of some runs."""
    return statistics.median(work() for _ in range(times))


def python(code: str, **environment: str) -> str:
    """Return the last line that a fresh interpreter prints."""
    done = subprocess.run(
        [sys.executable, "-c", code], env={**os.environ, **environment}, cwd=PROJECT, capture_output=True, text=True
    )
    if done.returncode:
        raise SystemExit(done.stderr)
    return done.stdout.splitlines()[-1]
