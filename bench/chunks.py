"""Measures what a gigabyte costs by Spark's path, in chunks of several sizes: land, transform and publish, each alone.

CPU seconds of all processes, of a GB of raw CSV; nothing runs beside it. Environment: BENCH_CHUNKS_MB (256,1024) of a chunk,
BENCH_BESIDE: another checkout, whose Spark job runs on the same landed files, just before this one's.
"""

from __future__ import annotations

import os
import tempfile
from datetime import timedelta
from functools import partial
from pathlib import Path

from bench.throughput import FIRST, land_chunk, measure_step, publish_chunk, submit_spark

GOAL = 170.0  # CPU seconds a GB, all in: 2 TB a day on four cores
TERABYTES = (0.5, 1, 2, 5, 10)  # a day


def chunks() -> dict:
    """Measure CPU seconds a GB for each size of a chunk, and count the cores that terabytes a day keep busy at the last size."""
    from answers.operate import generate

    sizes = {}
    for n, size in enumerate(os.environ.get("BENCH_CHUNKS_MB", "256,1024").split(",")):
        with tempfile.TemporaryDirectory() as folder:
            copies = round(float(size) * 1e6 / generate.BYTES_A_COPY)
            (chunk,) = generate.generate(Path(folder) / "feed", [FIRST + timedelta(days=n)], copies)
            sizes[f"{round(chunk.raw_bytes / 1e6)} MB"] = of_chunk(chunk, Path(folder))
    all_in = [size["all_in"]["cpu_s_a_gb"] for size in sizes.values()]
    return {
        "goal_cpu_s_a_gb": GOAL,
        "sizes": sizes,
        "ratio_last_size_to_first": round(all_in[-1] / all_in[0], 3),
        "ratio_to_goal": round(all_in[-1] / GOAL, 3),
        "cores_by_tb_a_day": {str(amount): cores(amount, all_in[-1]) for amount in TERABYTES},
        "load_before": round(os.getloadavg()[0], 1),
    }


def cores(terabytes: float, cpu_s_a_gb: float) -> float:
    """Return how many cores so many terabytes a day keep busy, day and night."""
    return round(terabytes * 1000 / 86400 * cpu_s_a_gb, 1)


def of_chunk(chunk, folder: Path) -> dict:
    """Measure each stage on one chunk."""
    data = folder / "alone"
    steps = {"land": land_chunk, "transform_spark": submit_spark, "publish": publish_chunk}
    if beside := os.environ.get("BENCH_BESIDE"):
        steps = {"land": land_chunk, "transform_beside": partial(submit_spark, checkout=Path(beside)), **steps}
    results = {}
    for name, step in steps.items():
        results[name] = measure_step(step, chunk, data)
        print(f"{chunk.raw_bytes / 1e6:.0f} MB", name, results[name], flush=True)
    parts = [results[name]["cpu_s_a_gb"] for name in ("land", "transform_spark", "publish")]
    results["all_in"] = {"cpu_s_a_gb": round(sum(parts), 1)}
    if beside:
        old, new = (results[name]["cpu_s_a_gb"] for name in ("transform_beside", "transform_spark"))
        results["ratio_to_beside"] = round(new / old, 3)
    return results
