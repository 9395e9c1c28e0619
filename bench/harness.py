"""Runs and repeats what the benchmarks measure."""

from __future__ import annotations

import contextlib
import os
import statistics
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import psutil

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


def cpu_seconds(pid: int) -> float:
    """Return the CPU time of a process, of its descendants, and of those of them that have ended."""
    total = 0.0
    for process in (root := psutil.Process(pid), *root.children(recursive=True)):
        with contextlib.suppress(psutil.NoSuchProcess):
            times = process.cpu_times()
            total += times.user + times.system + times.children_user + times.children_system
    return total
