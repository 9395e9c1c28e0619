"""Measures the integrity checker against Airflow's own DagBag, on the same generated files in the same run."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import psutil

FILE = '''"""Generated."""
from datetime import timedelta
from airflow.providers.standard.operators.bash import BashOperator
from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import DAG, Asset, CronDataIntervalTimetable, TaskGroup, task
from pendulum import datetime

with DAG("dag_{i:04}", description="Generated DAG {i}", schedule=CronDataIntervalTimetable("@daily", timezone="UTC"),
    start_date=datetime(2026, 1, 1, tz="UTC"), catchup=False, tags=["generated"],
    default_args={{"owner": "bench", "retries": 2, "retry_delay": timedelta(minutes=5)}}) as dag:
    start = EmptyOperator(task_id="start")
    end = EmptyOperator(task_id="end", outlets=[Asset("x://dag/{i}")])
    @task
    def work(x):
        return x
    for g in range(3):
        with TaskGroup(f"group_{{g}}"):
            a = BashOperator(task_id="extract", bash_command="echo {{{{ ds }}}}")
            a >> work(g) >> end
        start >> a
'''
DAGBAG = """
import sys
from airflow.dag_processing.dagbag import DagBag
bag = DagBag(sys.argv[1])
assert not bag.import_errors and len(bag.dags) == int(sys.argv[2]), bag.import_errors
"""


def started(command: list[str], home: str) -> subprocess.Popen[str]:
    """Return the command, whose output is kept."""
    environment = {**os.environ, "AIRFLOW_HOME": home, "AIRFLOW__CORE__LOAD_EXAMPLES": "False"}
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def measured(command: list[str], home: str) -> tuple[float, float]:
    """Return wall seconds, and CPU seconds of all its processes."""
    before, start = os.times(), time.perf_counter()
    process = started(command, home)
    output, _ = process.communicate()
    wall, after = time.perf_counter() - start, os.times()
    if process.returncode:
        raise SystemExit(output)
    return wall, after.children_user + after.children_system - before.children_user - before.children_system


def peak_memory(command: list[str], home: str) -> tuple[float, float]:
    """Return peak MB (PSS) of the command, and of it with its children; in a run of its own, as reading them takes CPU."""
    process = started(command, home)
    parent = psutil.Process(process.pid)
    own = peak = 0
    done = threading.Event()

    def watch() -> None:
        nonlocal own, peak
        while not done.wait(0.1):
            try:
                mine = parent.memory_full_info().pss
                below = sum(each.memory_full_info().pss for each in parent.children(recursive=True))
            except psutil.Error:
                continue
            own, peak = max(own, mine), max(peak, mine + below)

    watcher = threading.Thread(target=watch)
    watcher.start()
    output, _ = process.communicate()
    done.set()
    watcher.join()
    if process.returncode:
        raise SystemExit(output)
    return own / 2**20, peak / 2**20


def integrity() -> dict:
    """Measure medians of runs that alternate, with the defaults, and once more with every file parsed twice."""
    checker = [str(Path(sys.executable).parent / "dag-integrity")]
    results: dict[str, object] = {"load_average_before": [round(each, 1) for each in os.getloadavg()]}
    for count, times in ((50, 5), (1000, 5)):
        with tempfile.TemporaryDirectory() as folder:
            files = Path(folder, "files")
            files.mkdir()
            for i in range(count):
                (files / f"dag_{i:04}.py").write_text(FILE.format(i=i))
            twice = Path(folder, "twice")
            twice.mkdir()
            (twice / "pyproject.toml").write_text('[tool.dag-integrity]\ndeterminism = "all"\n')
            (twice / "files").symlink_to(files)
            bag = [sys.executable, "-c", DAGBAG, str(files), str(count)]
            once, every_twice = [*checker, str(files)], [*checker, str(twice / "files")]
            home = f"{folder}/home"
            runs = [[measured(command, home) for command in (bag, once, every_twice)] for _ in range(times)]
            memory = [peak_memory(command, home) for command in (bag, once)]
        theirs, ours, all_twice = (
            [statistics.median(each) for each in zip(*kind, strict=True)] for kind in zip(*runs, strict=True)
        )
        results[f"files_{count}"] = {
            "dagbag_s": round(theirs[0], 2),
            "integrity_s": round(ours[0], 2),
            "integrity_every_file_twice_s": round(all_twice[0], 2),
            "ratio": round(statistics.median(o[0] / b[0] for b, o, _ in runs), 2),
            "ratio_every_file_twice": round(statistics.median(t[0] / b[0] for b, _, t in runs), 2),
            "dagbag_cpu_s": round(theirs[1], 2),
            "integrity_cpu_s": round(ours[1], 2),
            "dagbag_peak_mb": round(memory[0][1]),
            "integrity_peak_mb": round(memory[1][1]),
            "of_it_the_command_mb": round(memory[1][0]),
        }
    return results
