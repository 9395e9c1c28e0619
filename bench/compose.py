"""Measures the start of a task through Celery: the shapes of bench/scheduling.py on docker compose, with one worker and two.

The embedded stack stands beside it, in the same run. Needs Docker; the stack is a project of its own, and is removed.
"""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.fleet import live
from bench.harness import PROJECT
from bench.scheduling import BUNDLE, SHAPES, numbers, shapes, times_file

AIRFLOW = ("init", "api-server", "scheduler", "dag-processor", "triggerer", "worker")
INSIDE = "/opt/bench"


def celery() -> dict:
    """Measure tasks a second and hops: embedded, compose with one worker of four processes, compose with two."""
    counts = numbers()
    with times_file() as times:
        with live(AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_CONFIG_LIST=BUNDLE) as (_, airflow):
            systems = {"embedded": shapes(airflow, counts, times)}
        with _compose(times) as (airflow, scale):
            for workers in (1, 2):
                scale(workers)
                name = f"compose, {workers} worker{'s' * (workers > 1)}"
                systems[name] = shapes(airflow, counts, times, f"measured-{workers}")
    return {"tasks": counts, **systems, "load_after": [round(each, 1) for each in os.getloadavg()]}


@contextmanager
def _compose(times: Path) -> Iterator[tuple]:
    """Yield (REST client, what sets the number of workers) of a stack that has the shapes for DAGs."""
    from answers.stack import dotenv
    from answers.stack.client import Airflow

    with tempfile.TemporaryDirectory() as folder:
        secrets, override = Path(folder) / "env", Path(folder) / "override.yaml"
        secrets.write_text(f"UI_PORT={dotenv.free_port(0)}\n")
        dotenv.complete(secrets)
        settings = dotenv.read(secrets)
        times.parent.chmod(0o777)  # the containers' user is another one
        service = {
            "environment": {
                "AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_CONFIG_LIST": BUNDLE.replace(str(SHAPES), f"{INSIDE}/shapes"),
                "BENCH_TIMES": f"{INSIDE}/times/{times.name}",
                "BENCH_SCALE": os.environ.get("BENCH_SCALE", "1"),
            },
            "volumes": [f"{SHAPES}:{INSIDE}/shapes:ro", f"{times.parent}:{INSIDE}/times"],
        }
        override.write_text(json.dumps({"services": {f"airflow-{name}": service for name in AIRFLOW}}))
        files = ["-f", str(PROJECT / "docker-compose.yaml"), "-f", str(override)]
        command = ["docker", "compose", "-p", "airflow-answers-bench", "--env-file", str(secrets), *files]
        clean = {key: value for key, value in os.environ.items() if key not in dotenv.KEYS}

        def run(*arguments: str) -> None:
            done = subprocess.run([*command, *arguments], cwd=PROJECT, env=clean, capture_output=True, text=True)
            if done.returncode:
                raise SystemExit(f"docker compose {' '.join(arguments)} failed:\n{done.stderr[-3000:]}")

        def scale(workers: int) -> None:
            run("up", "--detach", "--wait", "--no-recreate", "--scale", f"airflow-worker={workers}")

        try:
            run("up", "--detach", "--build", "--wait", "--wait-timeout", "300")
            yield Airflow(f"http://127.0.0.1:{settings['UI_PORT']}", settings["ADMIN_PASSWORD"]), scale
        finally:
            run("--profile", "*", "down", "--volumes", "--remove-orphans", "--timeout", "10")
