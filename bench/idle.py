"""Tells what the embedded stack takes while nothing runs: the share of one core of each part, by the scheduler's idle sleep."""

from __future__ import annotations

import contextlib
import os
import time

import psutil

from bench.fleet import live, until

WINDOW = 60.0  # seconds; several rounds of each part's timers
SLEEPS = ("0.05", "0.1", "0.25", "1")  # seconds of scheduler_idle_sleep_time; the last one is Airflow's default


def idle() -> dict:
    """Measure each part of a stack whose runs have all ended, with each sleep on a stack of its own."""
    result = {}
    for seconds in SLEEPS:
        with live(AIRFLOW__SCHEDULER__SCHEDULER_IDLE_SLEEP_TIME=seconds) as (settings, airflow):
            until(lambda airflow=airflow: not airflow.runs(state=["running", "queued"]), 600)
            _take_window(settings)  # what the last run has left to do
            result[f"scheduler_idle_sleep_time {seconds}"] = _take_window(settings)
            print(seconds, result[f"scheduler_idle_sleep_time {seconds}"], flush=True)
    return {"window_s": WINDOW, "cores": result, "load_after": [round(each, 1) for each in os.getloadavg()]}


def _take_window(settings) -> dict[str, float]:
    """Return part -> share of one core over the window, and the sum of all."""
    from answers.stack import parts

    pids = {part["part"]: part["pid"] for part in parts.status(settings) if part["pid"]}
    before, begun = {part: _cpu_seconds(pid) for part, pid in pids.items()}, time.monotonic()
    time.sleep(WINDOW)  # the window of the measurement
    spent = {part: _cpu_seconds(pid) - before[part] for part, pid in pids.items()}
    seconds = time.monotonic() - begun
    shares = {part: round(each / seconds, 3) for part, each in spent.items()}
    return shares | {"all": round(sum(spent.values()) / seconds, 3)}


def _cpu_seconds(pid: int) -> float:
    """Return the CPU time of a process, of its descendants, and of those of them that have ended."""
    total = 0.0
    for process in (root := psutil.Process(pid), *root.children(recursive=True)):
        with contextlib.suppress(psutil.NoSuchProcess):
            times = process.cpu_times()
            total += times.user + times.system + times.children_user + times.children_system
    return total
