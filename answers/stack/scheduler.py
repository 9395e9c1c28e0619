"""Runs Airflow's scheduler for supervisor: ends what a killed scheduler left behind, then becomes the new one.

LocalExecutor forks its workers from the scheduler. When that is killed (SIGKILL, out of memory), they live on, with their
tasks and with a copy of the scheduler's database connection: its transaction stays open, its row locks stay held, and
the new scheduler skips the locked runs for ever, without a word.
"""

from __future__ import annotations

import os
import sys

from answers.stack.processes import end_processes, lost_processes
from answers.stack.settings import Settings


def main() -> None:
    """Clean up, then exec `airflow scheduler`."""
    if found := lost_processes(Settings.load()):
        print(f"ending {len(found)} processes that a killed scheduler left behind: {[each.pid for each in found]}")
        end_processes(found, patience=5)
    os.execv(sys.executable, [sys.executable, "-m", "airflow", "scheduler", "--skip-serve-logs"])


if __name__ == "__main__":
    main()
