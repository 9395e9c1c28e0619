"""Tells what it takes to start a task: tasks a second and the hop from one task to the next, and what each knob does to them.

The same three shapes everywhere (bench/shapes), and the same probe: each task's code notes the time. BENCH_SCALE (1) scales
the number of tasks. The peers come from the package index into a throw-away environment, the versions that are current.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from itertools import pairwise
from pathlib import Path

import psutil

from bench.fleet import live, until

SHAPES = Path(__file__).parent / "shapes"
BUNDLE = json.dumps(
    [
        {
            "name": "shapes",
            "classpath": "airflow.dag_processing.bundles.local.LocalDagBundle",
            "kwargs": {"path": str(SHAPES)},
        }
    ]
)
# Prefect 3.9 does not start with the FastAPI that its own requirements allow.
PEERS = {"prefect": ["prefect", "fastapi<0.120"], "dagster": ["dagster"]}
# What each run differs in from the embedded stack as it is. "(default)" is what Airflow comes with.
KNOBS = {
    "as it is": {},
    # Airflow imports every module of the plugins folder at its start, and one of ours imports SparkSubmitOperator.
    "modules not imported in the parent (default)": {"ANSWERS_FORKS_PRELOAD": "0", "ANSWERS_PLUGINS": os.devnull},
    "scheduler_idle_sleep_time 1 (default)": {"AIRFLOW__SCHEDULER__SCHEDULER_IDLE_SLEEP_TIME": "1"},
    "scheduler_idle_sleep_time 0.02, not 0.05": {"AIRFLOW__SCHEDULER__SCHEDULER_IDLE_SLEEP_TIME": "0.02"},
    "min_heartbeat_interval 5 (default)": {"AIRFLOW__WORKERS__MIN_HEARTBEAT_INTERVAL": "5"},
    "scheduler_heartbeat_sec 1, not 5": {"AIRFLOW__SCHEDULER__SCHEDULER_HEARTBEAT_SEC": "1"},
    "max_tis_per_query 1, not 16": {"AIRFLOW__SCHEDULER__MAX_TIS_PER_QUERY": "1"},
    "parallelism 32 (default)": {"AIRFLOW__CORE__PARALLELISM": "32"},
    "api workers 2, not 1": {"AIRFLOW__API__WORKERS": "2"},
    "parsing_processes 2, not 1": {"AIRFLOW__DAG_PROCESSOR__PARSING_PROCESSES": "2"},
}


def scheduling() -> dict:
    """Measure the shapes on `airflow standalone` as it comes, on the embedded stack, and two of them on peers, in turn."""
    counts = numbers()
    with times_file() as times:
        with live(AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_CONFIG_LIST=BUNDLE) as (_, airflow):
            embedded = shapes(airflow, counts, times)
        with _standalone() as (airflow, died):
            standalone = shapes(airflow, counts, times, died=died)
        peers = {name: _peer(name, counts, times) for name in PEERS}
    systems = {"airflow standalone": standalone, "embedded": embedded, **peers}
    return {
        "tasks": counts,
        **systems,
        "embedded_to_standalone": {
            shape: round(embedded[shape]["tasks_s"] / standalone[shape]["tasks_s"], 2)
            for shape in counts
            if "tasks_s" in standalone[shape]
        },
        "load_after": [round(each, 1) for each in os.getloadavg()],
    }


def numbers() -> dict[str, int]:
    """Return the number of tasks of each shape, as bench/shapes has them."""
    scale = float(os.environ.get("BENCH_SCALE", 1))
    return {
        "sequential": max(2, round(40 * scale)),
        "parallel": max(1, round(50 * scale)) * 4,
        "fan": max(1, round(100 * scale)) + 2,
    }


def knobs() -> dict:
    """Measure each setting alone, on an embedded stack of its own that is otherwise as it is."""
    os.environ.setdefault("BENCH_SCALE", "0.25")
    counts = numbers()
    del counts["fan"]
    results = {}
    with times_file() as times:
        for knob, changed in KNOBS.items():
            with live(AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_CONFIG_LIST=BUNDLE, **changed) as (_, airflow):
                results[knob] = shapes(airflow, counts, times)
            print(knob, json.dumps(results[knob]), flush=True)
    base = results["as it is"]
    for each in results.values():
        each["hop_ratio"] = round(each["sequential"]["hop_ms"] / base["sequential"]["hop_ms"], 2)
        each["tasks_s_ratio"] = round(each["parallel"]["tasks_s"] / base["parallel"]["tasks_s"], 2)
    return {"tasks": counts, "knobs": results, "load_after": [round(each, 1) for each in os.getloadavg()]}


@contextmanager
def times_file() -> Iterator[Path]:
    """Return the file that tasks note their times in."""
    with tempfile.TemporaryDirectory() as folder:
        os.environ["BENCH_TIMES"] = f"{folder}/times"
        try:
            yield Path(folder, "times")
        finally:
            del os.environ["BENCH_TIMES"]


def _noted(times: Path, shape: str) -> list[float]:
    lines = times.read_text().splitlines() if times.exists() else []
    return sorted(float(at) for name, at in (line.split() for line in lines) if name == shape)


def _result(count: int, begun: float, noted: list[float]) -> dict:
    """Return tasks a second and the median hop, from the first task to the last; `start_s` is what passed before the first."""
    hops = [later - earlier for earlier, later in pairwise(noted)]
    return {
        "start_s": round(noted[0] - begun, 2),
        "tasks_s": round((count - 1) / (noted[-1] - noted[0]), 2),
        "hop_ms": round(statistics.median(hops) * 1000),
    }


def shapes(airflow, counts: dict[str, int], times: Path, name: str = "measured", died: Callable[[], str] = str) -> dict:
    """Run the shapes one after the other on a stack, after a run that warms it up.

    :param name: of the runs
    :param died: says why the stack will not go on; a shape that it died of has that text in place of figures
    """
    dags = {"sequential": ["sequential"], "fan": ["fan"]}
    dags["parallel"] = [f"parallel_{number}" for number in range(counts["parallel"] // 4)]
    from answers.stack.client import ApiError

    until(lambda: {dag for each in dags.values() for dag in each} <= set(airflow.dag_ids()), 180)
    airflow.unpause_all()

    def trigger(dag: str, name: str) -> int:
        """Start a run, return how often it was refused. On SQLite the answer may be 500: database is locked."""
        for refused in range(120):
            try:
                airflow.trigger(dag, name)
            except ApiError:
                time.sleep(0.25)
            else:
                return refused
        raise SystemExit(f"{dag} cannot be triggered")

    def run(shape: str, name: str) -> tuple[float, int]:
        times.unlink(missing_ok=True)
        begun = time.time()
        with ThreadPoolExecutor(4) as pool:
            return begun, sum(pool.map(lambda dag: trigger(dag, name), dags[shape]))

    run("sequential", f"warm-{name}")
    until(lambda: len(_noted(times, "sequential")) == counts["sequential"], 600)
    results: dict[str, dict] = {}
    for shape in sorted(counts, key=lambda shape: len(dags[shape])):  # the most DAGs at once last
        begun, refused = run(shape, name)
        until(lambda s=shape: bool(died()) or len(_noted(times, s)) == counts[s], 600)
        noted = _noted(times, shape)
        if len(noted) == counts[shape]:
            results[shape] = _result(counts[shape], begun, noted)
        else:
            results[shape] = {"died": died(), "ended_tasks": len(noted)}
        results[shape] |= {"refused_triggers": refused} if refused else {}
        print(shape, results[shape], flush=True)
    return results


@contextmanager
def _standalone() -> Iterator[tuple]:
    """Start `airflow standalone` with only folders and ports set (SQLite, LocalExecutor); yield client and what it died of."""
    from answers.stack import dotenv
    from answers.stack.client import Airflow, ApiError

    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        port, trigger, worker = (dotenv.free_port(wanted) for wanted in (28080, 28794, 28793))
        clean = {name: value for name, value in os.environ.items() if not name.startswith(("AIRFLOW", "ANSWERS"))}
        environment = clean | {
            "AIRFLOW_HOME": folder,
            "AIRFLOW__CORE__DAGS_FOLDER": str(SHAPES),
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "AIRFLOW__API__PORT": str(port),
            "AIRFLOW__API__HOST": "127.0.0.1",
            "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"http://127.0.0.1:{port}/execution/",
            "AIRFLOW__LOGGING__TRIGGER_LOG_SERVER_PORT": str(trigger),
            "AIRFLOW__LOGGING__WORKER_LOG_SERVER_PORT": str(worker),
            "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
            "NO_PROXY": "127.0.0.1,localhost",
            "no_proxy": "127.0.0.1,localhost",
        }
        log = stack.enter_context((Path(folder) / "log").open("wb"))
        process = subprocess.Popen(["airflow", "standalone"], env=environment, stdout=log, stderr=log, cwd=folder)
        try:
            passwords = Path(folder) / "simple_auth_manager_passwords.json.generated"

            def client():
                try:
                    found = Airflow(f"http://127.0.0.1:{port}", json.loads(passwords.read_text())["admin"])
                    found.dag_ids()
                except (ApiError, OSError, ValueError):
                    return None
                return found

            def died() -> str:
                """Name the error of a scheduler that has ended: it is one of the children, and is not started again."""
                ended = [
                    each for each in psutil.Process(process.pid).children() if each.status() == psutil.STATUS_ZOMBIE
                ]
                errors = [
                    line for line in (Path(folder) / "log").read_text().splitlines() if " sqlalchemy.exc." in line
                ]
                return " ".join(errors[:1] or ["a component ended"]) if ended else ""

            until(lambda: client() is not None, 180)
            yield client(), died
        finally:
            from answers.stack.processes import end_processes

            end_processes([*psutil.Process(process.pid).children(recursive=True), psutil.Process(process.pid)])


def _peer(name: str, counts: dict[str, int], times: Path) -> dict:
    """Run the two shapes that one run can have in a peer's own way: Prefect's threads, Dagster's process a step."""
    with tempfile.TemporaryDirectory() as folder:
        uv, python = str(Path(sys.executable).with_name("uv")), f"{folder}/venv/bin/python"
        subprocess.run([uv, "venv", "-q", "--python", sys.executable, f"{folder}/venv"], check=True)
        subprocess.run([uv, "pip", "install", "-q", "--python", python, *PEERS[name]], check=True)
        version = f"from importlib.metadata import version; print(version('{name}'))"
        results: dict = {"version": subprocess.check_output([python, "-c", version], text=True).strip()}
        home = Path(folder) / "home"
        home.mkdir()
        environment = os.environ | {
            "DAGSTER_HOME": str(home), "DAGSTER_DISABLE_TELEMETRY": "1", "PREFECT_HOME": str(home), "DO_NOT_TRACK": "1",
            "PREFECT_LOGGING_LEVEL": "ERROR", "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
            "NO_PROXY": "127.0.0.1,localhost", "no_proxy": "127.0.0.1,localhost",
        }  # fmt: skip
        for shape, count in counts.items():
            if shape == "parallel":
                continue
            many = count - 2 if shape == "fan" else count
            times.unlink(missing_ok=True)
            begun = time.time()
            subprocess.run(
                [python, str(SHAPES / f"{name}_shapes.py"), shape, str(many), str(times)],
                env=environment | {"BENCH_COUNT": str(many)}, check=True, capture_output=True, cwd=SHAPES,
            )  # fmt: skip
            noted = _noted(times, shape)
            assert len(noted) == count, (name, shape, len(noted))
            results[shape] = _result(count, begun, noted)  # its start is that of the interpreter, too
    return results
