"""Measures how many raw bytes a second become rows: the pipeline of q07_scale sustained, its stages alone, the engine alone.

A raw byte is a byte of the flights as CSV, whatever is compressed later; weather, planes and airports are not counted. The
feed lies on this disk, in the page cache after its first reading. Environment: BENCH_MINUTES (10) of each sustained run,
BENCH_CHUNK_MB (256) and BENCH_CHUNKS (4) of the feed, BENCH_PATHS (engine,spark), BENCH_SKIP: stages to leave out, e.g.
transform_spark.
"""

from __future__ import annotations

import multiprocessing
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from datetime import date, timedelta
from pathlib import Path

import psutil

from bench.fleet import live
from bench.harness import PROJECT
from bench.memory import Peak

GOAL = 2e12 / 86400 / 1e6  # MB/s of two terabytes a day
FIRST = date(2013, 6, 10)
DAG = "q07_scale"
# For chunks of seconds, not hops of milliseconds: what the project's configuration spends on quick starts and edits goes to work.
FOR_THROUGHPUT = {
    "AIRFLOW__SCHEDULER__SCHEDULER_IDLE_SLEEP_TIME": "1",  # Airflow's default; the project's is 0.05
    "AIRFLOW__DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL": "300",  # Airflow's default is 30
}


def throughput() -> dict:
    """Measure sustained runs by both paths on a live stack, and everything alone on the same feed."""
    from answers.operate import generate

    minutes = float(os.environ.get("BENCH_MINUTES", 10))
    megabytes = float(os.environ.get("BENCH_CHUNK_MB", 256))
    days = [FIRST + timedelta(days=n) for n in range(int(os.environ.get("BENCH_CHUNKS", 4)))]
    with tempfile.TemporaryDirectory() as folder:
        feed = Path(folder) / "feed"
        copies = round(megabytes * 1e6 / generate.BYTES_A_COPY)
        begun = time.perf_counter()
        chunks = generate.generate(feed, days, copies)
        raw = sum(chunk.raw_bytes for chunk in chunks)
        generated = raw / 1e6 / (time.perf_counter() - begun)
        alone = stages_alone(chunks[0], Path(folder))
        sustained_by = {}
        with live(**FOR_THROUGHPUT) as (settings, airflow):
            airflow.find_dag("q07")
            airflow.set_variable("q07_feed", str(feed))
            for path in os.environ.get("BENCH_PATHS", "engine,spark").split(","):
                sustained_by[path] = sustained(settings, airflow, path, minutes * 60, raw)
                print(path, sustained_by[path], flush=True)
    return {
        "goal_mb_s": round(GOAL, 1),
        "feed": {"chunks": len(chunks), "raw_mb": round(raw / 1e6), "rows": sum(chunk.rows for chunk in chunks)},
        "generator_mb_s": round(generated, 1),
        "configuration": FOR_THROUGHPUT,
        "sustained": sustained_by,
        "alone": alone,
        "load_before": [round(each, 1) for each in os.getloadavg()],
    }


def stages() -> dict:
    """Measure each stage alone, on one chunk; no stack."""
    from answers.operate import generate

    copies = round(float(os.environ.get("BENCH_CHUNK_MB", 256)) * 1e6 / generate.BYTES_A_COPY)
    load = os.getloadavg()[0]
    with tempfile.TemporaryDirectory() as folder:
        (chunk,) = generate.generate(Path(folder) / "feed", [FIRST], copies)
        alone = stages_alone(chunk, Path(folder))
    return {"raw_mb": round(chunk.raw_bytes / 1e6), "rows": chunk.rows, "alone": alone, "load_before": round(load, 1)}


def sustained(settings, airflow, path: str, seconds: float, raw: int) -> dict:
    """Run the DAG, two runs at a time, for so many seconds: from the first trigger to the last one's verification."""
    before, begun = psutil.cpu_times(), time.perf_counter()
    runs, active, spent = [], [], {}
    with Peak(settings, pause=2) as peak:  # a quarter of the CPU that the usual pause takes
        while active or time.perf_counter() - begun < seconds:
            if len(active) < 2 and time.perf_counter() - begun < seconds:
                run_id = f"bench__{path}__{len(runs)}"
                airflow.unpause(DAG)
                airflow.trigger(DAG, run_id, {"path": path})
                runs.append(run_id)
                active.append(run_id)
            time.sleep(1)  # between two looks
            for run in [airflow.run(DAG, run_id) for run_id in active]:
                if run.done:
                    if run.state != "success":
                        raise SystemExit(f"{run.run_id}: {run.tasks}")
                    active.remove(run.run_id)
                    for task, (_, _, taken) in run.tasks.items():
                        stage = task.partition("[")[0].rpartition(".")[2]
                        spent[stage] = spent.get(stage, 0.0) + (taken or 0)
    took, after = time.perf_counter() - begun, psutil.cpu_times()
    idle = (after.idle + after.iowait - before.idle - before.iowait) / took / os.cpu_count()
    rate = raw * len(runs) / 1e6 / took
    whole = sum(spent.values())
    return {
        "seconds": round(took),
        "raw_gb": round(raw * len(runs) / 1e9, 2),
        "mb_s": round(rate, 1),
        "tb_day": round(rate * 86400 / 1e6, 2),
        "ratio_to_goal": round(rate / GOAL, 2),
        "machine_cpu_share": round(1 - idle, 2),
        "peak_memory_mb": round(peak.total / 2**20),
        "of_it_java_mb": round(peak.java / 2**20),
        "share_of_task_time": {
            stage: round(taken / whole, 3) for stage, taken in spent.items() if taken / whole > 0.005
        },
    }


def stages_alone(chunk, folder: Path) -> dict:
    """Measure each stage on one chunk, alone and in a process of its own: MB of raw CSV a second, CPU seconds per GB."""
    data = folder / "alone"
    results = {}
    steps: dict[str, Callable] = {
        "land": land_chunk,
        "transform_spark": submit_spark,
        "transform_engine": _engine,
        "publish": publish_chunk,
        "engine_whole_csv": _engine_whole,
        "engine_whole_parquet": _engine_whole_parquet,
    }
    for name, step in steps.items():
        if name in os.environ.get("BENCH_SKIP", "").split(","):
            continue
        results[name] = measure_step(step, chunk, data)
        print(name, results[name], flush=True)
    return results


def measure_step(step: Callable, chunk, data: Path) -> dict:
    """Measure one stage, in a process of its own: MB of raw CSV a second, CPU seconds a GB, MB that its largest process took."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as fresh:
        wall, cpu, memory = fresh.submit(_measured, step, chunk, data).result()
    return {
        "mb_s": round(chunk.raw_bytes / 1e6 / wall, 1),
        "cpu_s_a_gb": round(cpu / chunk.raw_bytes * 1e9, 1),
        "peak_memory_mb": round(memory / 2**20),
    }


def _measured(step: Callable, chunk, data: Path) -> tuple[float, float, int]:
    sys.path.insert(0, str(PROJECT))

    def used() -> list[resource.struct_rusage]:
        return [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]

    def cpu() -> float:
        return sum(each.ru_utime + each.ru_stime for each in used())

    work = step(chunk, data)  # imports and preparation first
    before, begun = cpu(), time.perf_counter()
    work()
    memory = max(each.ru_maxrss for each in used()) * (1 if sys.platform == "darwin" else 1024)
    return time.perf_counter() - begun, cpu() - before, memory


def _landed(chunk, data: Path) -> dict:
    (folder,) = (data / "runs").iterdir()
    return {"folder": str(folder), "rows": chunk.rows, "first_day": chunk.day, "last_day": chunk.day, "slice": {}}


def land_chunk(chunk, data: Path) -> Callable:
    from answers.stack import dotenv

    os.environ |= dotenv.read(PROJECT / "config/airflow.env")  # Arrow's memory, as tasks have it
    import pyarrow.csv
    import pyarrow.parquet  # noqa: F401

    from include.flights import feed
    from include.flights.days import midnight

    day = date.fromisoformat(chunk.day)
    return lambda: feed.land_interval(
        Path(chunk.folder), data, midnight(day), midnight(day + timedelta(days=1)), "bench"
    )


def submit_spark(chunk, data: Path, checkout: Path = PROJECT) -> Callable:
    from answers.stack.settings import Settings
    from include.flights.spark import LARGE_JOB

    conf = [word for key, value in LARGE_JOB.items() for word in ("--conf", f"{key}={value}")]
    os.environ["ANSWERS_HOME"] = str(data / "home")
    command = ["spark-submit", "--master", "local[*]", *conf, str(checkout / "include/flights/transform.py")]
    environment = Settings.load().environment()
    folder = _landed(chunk, data)["folder"]
    return lambda: subprocess.run([*command, folder], cwd=PROJECT, env=environment, check=True, capture_output=True)


def _client(data: Path):
    import clickhouse_connect

    return clickhouse_connect.get_client(interface="chdb", path=str(data / "warehouse"))


def publish_chunk(chunk, data: Path) -> Callable:
    from include.flights import publish, warehouse

    client, landed, day = _client(data), _landed(chunk, data), date.fromisoformat(chunk.day)
    folder = Path(landed["folder"])
    return lambda: publish.publish_day(client, folder, day, day, chunk.rows, "bench", warehouse.GENERATED)


def _engine(chunk, data: Path) -> Callable:
    from include.flights import engine

    client, folder = _client(data), Path(_landed(chunk, data)["folder"])
    return lambda: engine.transform_files(client, folder)


def _engine_whole_parquet(chunk, data: Path) -> Callable:
    return _engine_whole(chunk, data, "Parquet")


def _engine_whole(chunk, data: Path, fmt: str = "CSVWithNames") -> Callable:
    """Let the engine read the feed itself and insert all three tables: no contract, no staging, no validation."""
    from include.flights import engine, warehouse
    from include.flights.contract import CONTRACT
    from include.flights.generated import verify_totals

    client = _client(data)
    warehouse.create_tables(client, warehouse.GENERATED)
    for table in warehouse.GENERATED.tables:
        client.command(f"TRUNCATE TABLE warehouse.generated_{table}")
    for name in engine.INPUTS:
        file = Path(chunk.folder) / f"{name}.csv"
        columns = ", ".join(f"{column.name} Nullable(String)" for column in CONTRACT[name].columns)
        source = f"file({warehouse.quoted(str(file))}, 'CSVWithNames', {warehouse.quoted(columns)})"
        if fmt == "Parquet":
            landed = Path(_landed(chunk, data)["folder"]) / "landing" / f"{name}.parquet"
            source = f"file({warehouse.quoted(str(landed))}, 'Parquet', {warehouse.quoted(columns)})"
        client.command(
            f"CREATE OR REPLACE VIEW feed_{name} AS SELECT *, rowNumberInAllBlocks() + 2 AS source_row FROM {source}"
        )
    client.command("CREATE OR REPLACE VIEW flights AS SELECT * FROM warehouse.generated_flights")

    def work() -> None:
        for output in engine.OUTPUTS:
            sql = (engine.SQL / f"{output}.sql").read_text()
            client.command(f"INSERT INTO warehouse.generated_{output} SELECT * FROM ({sql})", settings=engine.SETTINGS)
        verify_totals(client, [chunk])

    return work
