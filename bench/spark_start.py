"""Measures what the class archive saves: a day's Spark job with and without it, one after the other in one run.

CPU seconds are those of everything that spark-submit starts: both JVMs, the shells and Python. Environment: BENCH_JAVA
(machine,wheel: which Java), BENCH_PAIRS (3) of jobs.
"""

from __future__ import annotations

import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from datetime import date, timedelta
from pathlib import Path
from unittest.mock import patch

from bench.harness import PROJECT

DAY = date(2013, 6, 14)  # not the day that the archive is made with


def spark_start() -> dict:
    """Measure, per Java, the making of the archive, and a day's job without and with it."""
    results = {}
    for which in os.environ.get("BENCH_JAVA", "machine,wheel").split(","):
        with tempfile.TemporaryDirectory() as folder:
            results[which] = of_java(which, Path(folder))
            print(which, results[which], flush=True)
    return results


def of_java(which: str, folder: Path) -> dict:
    """Measure one Java.

    :param which: "machine": what the embedded stack would use; "wheel": what it uses on a machine without Java
    """
    from answers.stack.java import find_java
    from include.flights import feed
    from include.flights.days import midnight
    from include.flights.spark import SMALL_JOB
    from plugins import spark_start

    hidden = {} if which == "machine" else {"JAVA_HOME": "", "PATH": ""}
    with patch.dict(os.environ, hidden):
        java = find_java(folder)
    environ = {name: value for name, value in os.environ.items() if not name.startswith("SPARK_")}
    environ |= {"JAVA_HOME": str(java), "SPARK_LOCAL_IP": "127.0.0.1", "ANSWERS_SPARK_ARCHIVES": f"{folder}/archives"}
    environ["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    landed = feed.land_interval(feed.default_feed(), folder, midnight(DAY), midnight(DAY + timedelta(days=1)), "bench")[
        "folder"
    ]
    conf = [word for name, value in SMALL_JOB.items() for word in ("--conf", f"{name}={value}")]
    job = ["spark-submit", "--master", "local[*]", *conf, "include/flights/transform.py", landed]
    made = measured([sys.executable, "-m", "answers.stack.spark_archive", "--now"], environ)
    archive = spark_start.find_archive(SMALL_JOB, environ)
    if archive is None:
        raise SystemExit("no archive was made")
    with_archive = environ | spark_start.prepare_start(SMALL_JOB, environ).variables
    pairs = int(os.environ.get("BENCH_PAIRS", 3))
    pairs = [(measured(job, environ), measured(job, with_archive)) for _ in range(pairs)]
    (cpu_without, without), (cpu_with, with_it) = ([*zip(*side, strict=True)] for side in zip(*pairs, strict=True))
    return {
        "java": spark_start.java_version(spark_start.java_release(environ)),
        "archive_mb": round(archive.stat().st_size / 1e6),
        "making_cpu_s": round(made[0], 1),
        "cpu_s_without": round(statistics.median(cpu_without), 1),
        "cpu_s_with": round(statistics.median(cpu_with), 1),
        "ratio_cpu": round(statistics.median(b / a for a, b in zip(cpu_without, cpu_with, strict=True)), 3),
        "ratio_wall": round(statistics.median(b / a for a, b in zip(without, with_it, strict=True)), 3),
        "load_before": round(os.getloadavg()[0], 1),
    }


def measured(command: list[str], environ: dict[str, str]) -> tuple[float, float]:
    """Return CPU seconds of a command with all that it starts, and seconds by the clock."""

    def cpu() -> float:
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
        return used.ru_utime + used.ru_stime

    before, begun = cpu(), time.perf_counter()
    done = subprocess.run(command, cwd=PROJECT, env=environ, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(done.stdout + done.stderr)
    return cpu() - before, time.perf_counter() - begun
