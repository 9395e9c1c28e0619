"""Runs benchmarks, prints their ratios and records them in bench/results/NAME.json: `python -m bench [NAME...]`.

parse    parsing dags/ with Airflow already imported, in ms per file; with and without the modules imported beforehand
fork     a task process that parses the SparkSubmit DAG: forked from a parent that has its modules, against one that has not
load     rows into the warehouse through the loader's load step, against the engine reading the same Parquet file directly
warehouse  a publishing task with the engine in it and without; statements a second of the served warehouse
fleet    parsing 55 DAGs or one of them, a whole day, the pools' limits, the critical path with and without priorities
waiting  slot-seconds that poke, reschedule, deferrable and asset take while they wait for the same upstream
stack    memory of the embedded stack while Spark runs, and one day end to end (brings a stack of its own up)
kafka    three ways from a Kafka message to its effect beside the stock trigger: latency, events/s, loss under kills
stages   of the throughput, each alone; needs no stack
chunks   a GB by Spark's path, all in, with chunks of several sizes (BENCH_CHUNKS_MB=256,1024; BENCH_BESIDE=another checkout)
throughput  a generated feed, raw bytes in to rows queryable: sustained, each stage alone, the engine alone (BENCH_MINUTES=10)
scheduling  tasks/s and hop latency beside `airflow standalone`, Prefect and Dagster (BENCH_SCALE=1)
idle     the share of one core that each part of the embedded stack takes at rest, by the scheduler's idle sleep
celery   the same shapes on docker compose with one Celery worker and two, beside the embedded stack; needs Docker
knobs    tasks/s and hop latency with each knob of the scheduler changed alone (BENCH_SCALE=0.25)
spark_start  a day's Spark job with and without its class archive, by two Javas (BENCH_JAVA=machine,wheel; BENCH_PAIRS=3)
page     the Answers page against its budgets: first paint, bytes, queries and ms of a poll; needs Chromium
deploys  the longest pause between the starts of two tasks while a commit is deployed from Git, and taken back
exercises  a check of each ticket for interviews: all of it, copying, probe, judge, and the steps of the probe
integrity  the checker of DAG files against Airflow's own DagBag, on 50 and 1,000 generated files
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

from answers.interrupts import interruptible
from bench.harness import PROJECT, python, repeated
from bench.integrity import integrity
from bench.kafka import kafka
from bench.memory import Peak
from bench.warehouse import served

RESULTS = Path(__file__).parent / "results"
Q01 = PROJECT / "dags" / "q01_flights_to_clickhouse.py"


def parse() -> dict:
    """Measure the milliseconds to execute each DAG file in a fresh process that has Airflow imported."""
    code = """
import runpy, sys, time
import airflow.sdk, airflow.timetables.interval
{preload}
start = time.perf_counter()
runpy.run_path(sys.argv[1] if len(sys.argv) > 1 else {file!r})
print((time.perf_counter() - start) * 1000)
"""
    preload = "import airflow_local_settings"
    results = {}
    for file in sorted((PROJECT / "dags").glob("*.py")):
        cold = repeated(lambda f=file: float(python(code.format(preload="", file=str(f)), PYTHONPATH="config:.")), 3)
        warm = repeated(
            lambda f=file: float(
                python(code.format(preload=preload, file=str(f)), PYTHONPATH="config:.", ANSWERS_PRELOAD="1")
            ),
            3,
        )
        results[file.stem] = {
            "with_preload_ms": round(warm, 1),
            "without_ms": round(cold, 1),
            "ratio": round(warm / cold, 3),
        }
    return results


def fork() -> dict:
    """Measure seconds from fork to parsed DAG file and imported hook, with and without the modules in the parent."""
    code = """
import os, runpy, statistics, time
import airflow.sdk, airflow.timetables.interval, airflow.providers.standard.operators.bash
import airflow_local_settings
def child():
    start = time.perf_counter()
    pid = os.fork()
    if pid == 0:
        runpy.run_path({file!r})
        {hooks}
        os._exit(0)
    assert os.waitpid(pid, 0)[1] == 0
    return time.perf_counter() - start
print(statistics.median(child() for _ in range(5)))
"""
    bash_dag = "from airflow.sdk import DAG\nfrom airflow.providers.standard.operators.bash import BashOperator\n"
    bash_dag += "with DAG('b'):\n    BashOperator(task_id='b', bash_command='true')\n"
    with tempfile.NamedTemporaryFile("w", suffix=".py") as file:
        file.write(bash_dag)
        file.flush()

        def measure(preload: str, dag: str, hooks: str) -> float:
            # As scheduler and worker do at start-up; the variable decides whether it imports the modules.
            line = code.format(file=dag, hooks=hooks)
            return float(python(line, PYTHONPATH="config:.", ANSWERS_PRELOAD=preload))

        hook = "import airflow.providers.clickhousedb.hooks.clickhouse, clickhouse_connect"
        arrow = "import pyarrow.compute, pyarrow.csv, pyarrow.parquet"
        ways = (("0", Q01, hook), ("1", Q01, hook), ("0", Q01, arrow), ("1", Q01, arrow), ("1", file.name, "pass"))
        rounds = [[measure(preload, str(dag), hooks) for preload, dag, hooks in ways] for _ in range(3)]
    cold, warm, arrow_cold, arrow_warm, bash = (statistics.median(each) for each in zip(*rounds, strict=True))
    return {
        "spark_without_preload_s": round(cold, 3),
        "spark_with_preload_s": round(warm, 3),
        "landing_without_preload_s": round(arrow_cold, 3),
        "landing_with_preload_s": round(arrow_warm, 3),
        "bash_with_preload_s": round(bash, 3),
        "ratio_with_to_without": round(warm / cold, 3),
        "ratio_spark_to_bash": round(warm / bash, 2),
    }


def load(rows: int = 2_000_000) -> dict:
    """Measure MB/s of Parquet into a served warehouse: the load step against the engine's INSERT ... SELECT FROM file()."""
    import clickhouse_connect
    import numpy as np
    import pyarrow as pa
    import pyarrow.parquet as pq

    from include.flights import warehouse

    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "flights"
        source.mkdir()
        random = np.random.default_rng(2013)
        base = datetime(2013, 6, 13, 4, tzinfo=UTC)
        seconds = pa.array((np.arange(rows) % 86400).astype("int64") + int(base.timestamp()), pa.timestamp("s", "UTC"))
        minutes = pa.array(random.integers(-20, 300, rows), pa.int32())
        floats = pa.array(random.normal(50, 10, rows).round(2))
        codes = pa.array(random.choice(["EWR", "JFK", "LGA"], rows))
        columns = {
            "flight_date": pa.array([date(2013, 6, 13)] * rows), "carrier": codes, "flight": pa.array(np.arange(rows)),
            "tailnum": codes, "origin": codes, "dest": codes, "sched_dep_utc": seconds, "sched_arr_utc": seconds,
            "distance": pa.array(random.integers(80, 5000, rows)), "cancelled": pa.array(np.zeros(rows, bool)),
            **dict.fromkeys(["dep_delay", "arr_delay", "air_time", "plane_year", "plane_engines", "plane_seats"], minutes),
            **dict.fromkeys(["temp", "dewp", "humid", "wind_dir", "wind_speed"], floats),
            **dict.fromkeys(["wind_gust", "precip", "pressure", "visib"], floats),
            "plane_manufacturer": codes, "plane_model": codes, "weather_known": pa.array(np.ones(rows, bool)),
            "plane_known": pa.array(np.ones(rows, bool)), "source_row": pa.array(np.arange(rows)),
        }  # fmt: skip
        file = source / "part-0.parquet"
        pq.write_table(pa.table(columns), file, compression="zstd")
        size = file.stat().st_size
        with served(Path(folder), "bench") as options, clickhouse_connect.get_client(**options) as client:
            warehouse.create_tables(client)

            def timed(work: Callable[[], object]) -> float:
                client.command("DROP TABLE IF EXISTS warehouse.bench SYNC")
                client.command("CREATE TABLE warehouse.bench AS warehouse.flights")
                start = time.perf_counter()
                work()
                return time.perf_counter() - start

            names = ", ".join(columns)
            direct_sql = f"INSERT INTO warehouse.bench ({names}) SELECT {names} FROM file('{file}', 'Parquet')"
            pairs = [
                (
                    timed(lambda: warehouse.load_parquet(client, "warehouse.bench", source)),
                    timed(lambda: client.command(direct_sql)),
                )
                for _ in range(5)
            ]  # alternating, so that a noisy moment meets both
    ours, direct = (statistics.median(each) for each in zip(*pairs, strict=True))
    mb = size / 1e6
    return {
        "parquet_mb": round(mb, 1),
        "rows": rows,
        "loader_mb_s": round(mb / ours, 1),
        "engine_mb_s": round(mb / direct, 1),
        "ratio": round(direct / ours, 3),
    }


def stack() -> dict:
    """Measure start-up, one day end to end, and the peak of the embedded stack's memory (PSS) while it runs."""
    with tempfile.TemporaryDirectory() as home:
        os.environ["ANSWERS_HOME"] = f"{home}/stack"
        from answers.stack import lifecycle
        from answers.stack.client import Airflow

        start = time.perf_counter()
        settings = lifecycle.up(lambda line: None)
        first_start = time.perf_counter() - start
        try:
            airflow = Airflow(settings.url, settings.secrets["ADMIN_PASSWORD"])
            dag_id = airflow.find_dag("q01")
            days = []
            with Peak(settings) as peak:
                for day in (date(2013, 6, 13) + timedelta(days=n) for n in range(3)):
                    begun = time.perf_counter()
                    *_, runs = airflow.watch(dag_id, [airflow.start(dag_id, day)], 600)
                    days.append(time.perf_counter() - begun)
                    tasks = {task: round(seconds or 0, 1) for task, (_, _, seconds) in runs[0].tasks.items()}
        finally:
            lifecycle.down(lambda line: None)
    return {
        "first_start_s": round(first_start, 1),
        "day_end_to_end_s": round(statistics.median(days), 1),
        "tasks_s": tasks,
        "of_it_spark": round(tasks["transform"] / statistics.median(days), 2),
        "peak_memory_mb": round(peak.total / 2**20),
        "of_it_java_mb": round(peak.java / 2**20),
    }


def main() -> None:
    """Run what is asked for."""
    from bench.chunks import chunks
    from bench.compose import celery
    from bench.deploys import deploys
    from bench.exercises import exercises
    from bench.fleet import fleet, waiting
    from bench.idle import idle
    from bench.page import page
    from bench.plots import plots
    from bench.scheduling import knobs, scheduling
    from bench.spark_start import spark_start
    from bench.throughput import stages, throughput
    from bench.warehouse import warehouse

    known = {"parse": parse, "fork": fork, "load": load, "fleet": fleet, "waiting": waiting, "stack": stack}
    known |= {
        "integrity": integrity,
        "kafka": kafka,
        "stages": stages,
        "chunks": chunks,
        "throughput": throughput,
        "scheduling": scheduling,
        "celery": celery,
        "knobs": knobs,
        "idle": idle,
        "spark_start": spark_start,
        "warehouse": warehouse,
        "page": page,
        "deploys": deploys,
        "exercises": exercises,
    }
    parser = argparse.ArgumentParser(
        prog="python -m bench", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help="which; all if none. `plots` draws what is recorded")
    names = parser.parse_args().names or list(known)
    if unknown := [name for name in names if name not in (*known, "plots")]:
        parser.error(f"no benchmark {', '.join(unknown)}: there are {', '.join(known)}, and plots")
    RESULTS.mkdir(exist_ok=True)
    if "plots" in names:
        print(*plots(), sep="\n")
        names.remove("plots")
    for name in names:
        print(f"{name} ...", flush=True)
        with interruptible():  # a stack of its own comes down with it
            result = known[name]()
        facts = {"cpus": os.cpu_count(), "machine": platform.machine(), "python": platform.python_version()}
        facts |= {"command": f"python -m bench {name}", "at": datetime.now(UTC).isoformat(timespec="seconds")}
        chosen = {key: value for key, value in os.environ.items() if key.startswith("BENCH_") and key != "BENCH_TIMES"}
        facts |= {"environment": chosen} if chosen else {}
        (RESULTS / f"{name}.json").write_text(json.dumps({"machine": facts, "result": result}, indent=2) + "\n")
        print(json.dumps(result, indent=2), flush=True)


if __name__ == "__main__":
    main()
