"""Question 7 on the docker compose stack: workers that come and go under load, and what dies while a day is under way.

ANSWERS_RECORD_KILLS=1 writes what was seen to bench/results/q07_kills.json, which the table of docs/q07.md is made from.
"""

import json
import os
import platform
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime
from importlib.metadata import version

import pytest

from answers.deploy.roll import Compose
from support import PROJECT, SOONER, running_beside, wait_for
from support.kills import KILLS, Day
from support.outages import ON_REDIS, kill_worker, up, workers

pytestmark = [pytest.mark.compose, pytest.mark.timeout(1800)]

CANARY = "q10_canary"
RECORD = PROJECT / "bench/results/q07_kills.json"
SCHEDULING = ("airflow-scheduler", "airflow-dag-processor")


@contextmanager
def overlaid(stack, file, *services: str):
    """The services under one more compose file, for as long as the block lasts."""
    stack.overlays.append(file)
    try:
        up(stack, *services)
        yield
    finally:
        stack.overlays.remove(file)
        up(stack, *services)


@pytest.fixture(scope="module")
def record():
    """Return what was seen, by name; written if that is asked for."""
    seen: dict[str, dict] = {}
    yield seen
    if os.environ.get("ANSWERS_RECORD_KILLS") == "1":
        old = json.loads(RECORD.read_text())["result"] if RECORD.exists() else {}
        facts = {"cpus": os.cpu_count(), "python": platform.python_version(), "airflow": version("apache-airflow")}
        facts |= {"command": "pytest tests/compose/test_q07_compose.py", "at": str(date.today())}
        RECORD.write_text(json.dumps({"machine": facts, "result": old | seen}, indent=2) + "\n")


@pytest.fixture(scope="module")
def quick_scheduler(stack, tmp_path_factory):
    """The stack with SOONER, and one task at a time on a worker: slots are scarce then, not this machine's cores."""
    stack.wait_for_dag()
    file = tmp_path_factory.mktemp("sooner") / "sooner.yaml"
    settings = SOONER | {"AIRFLOW__SCHEDULER__TASK_QUEUED_TIMEOUT": "45"}
    file.write_text(json.dumps({"services": {name: {"environment": settings} for name in SCHEDULING}}))
    stack.environment["WORKER_CONCURRENCY"] = "1"
    try:
        with overlaid(stack, file, *SCHEDULING, "airflow-worker"):
            stack.airflow.find_dag("fleet_rollup_headline", patience=120)
            yield stack
            del stack.environment["WORKER_CONCURRENCY"]
    finally:
        stack.environment.pop("WORKER_CONCURRENCY", None)


@contextmanager
def load(stack, prefix: str = "scale") -> Iterator[list[str]]:
    """Six runs of the canary at any time, until the block ends; their ids, as they are made."""
    runs: list[str] = []

    def feed(enough: threading.Event) -> None:
        while not enough.is_set():
            active = stack.get(f"/dags/{CANARY}/dagRuns?state=running&state=queued&limit=1")["total_entries"]
            if active >= 6:
                enough.wait(0.5)
                continue
            runs.append(f"{prefix}-{len(runs)}")
            assert stack.airflow.trigger(CANARY, runs[-1])

    with running_beside(feed):
        yield runs


def per_second(tasks: list[dict]) -> float:
    ends = sorted(datetime.fromisoformat(each["end_date"]) for each in tasks)
    return (len(ends) - 1) / (ends[-1] - ends[0]).total_seconds()


@pytest.mark.claim("7.1")
def test_workers_that_join_take_tasks_and_those_that_go_lose_none(quick_scheduler, record):
    stack = quick_scheduler

    def ended(since: str = "") -> list[dict]:
        path = f"/dags/{CANARY}/dagRuns/~/taskInstances?state=success&run_id_prefix_pattern=scale-"
        return [each for each in stack.airflow.pages(path, "task_instances") if each["end_date"] > since]

    def hosts() -> set[str]:
        workers = Compose(*stack.project, environment=stack.environment).workers()
        return {worker.id[:12] for worker in workers if worker.service == "airflow-worker"}

    def shared(since: str):
        found = ended(since)
        counts = [sum(each["hostname"] == host for each in found) for host in hosts()]
        return min(counts) >= 4 and len(found) >= 20 and found

    with load(stack) as runs:
        alone = wait_for("one worker to have done some tasks", lambda: len(found := ended()) >= 10 and found, pause=1)
        assert {each["hostname"] for each in alone} == hosts()
        workers(stack, 3)
        all_three = hosts()
        assert len(all_three) == 3
        joined = datetime.now(UTC).isoformat()
        together = wait_for("each of three workers to have done some tasks", lambda: shared(joined), pause=1)
        workers(stack, 1)
        left = datetime.now(UTC).isoformat()
        wait_for("the last worker to go on alone", lambda: len(ended(left)) >= 4, pause=1)
    *_, states = stack.airflow.watch(CANARY, runs, 300)
    assert {run.state for run in states} == {"success"}
    everything = ended()
    assert len(everything) == 3 * len(runs)
    assert {each["try_number"] for each in everything} == {1}
    assert {each["hostname"] for each in everything if each["start_date"] > left} == hosts() < all_three
    rates = {"one": round(per_second(alone), 2), "three": round(per_second(together), 2)}
    record["scale"] = rates | {"ratio": round(rates["three"] / rates["one"], 1), "tasks": len(everything)}
    print(f"SCALE {json.dumps(record['scale'])}")


@pytest.mark.long("workers that join and go under load; the setting in the unit tier")
@pytest.mark.claim("7.1")
def test_the_processes_of_an_autoscaled_worker_follow_its_load(quick_scheduler):
    """By Celery's own count; it lets a process go when it has not been needed for half a minute."""
    stack = quick_scheduler
    ask = "python -m celery --app airflow.providers.celery.executors.celery_executor.app inspect stats --json"

    def processes() -> int:
        host = stack.run("exec", "-T", "airflow-worker", "hostname").decode().strip()
        worker = json.loads(stack.run("exec", "-T", "airflow-worker", *ask.split()).splitlines()[-1])[f"celery@{host}"]
        assert (worker["autoscaler"]["max"], worker["autoscaler"]["min"]) == (3, 1)
        return len(worker["pool"]["processes"])

    stack.environment["WORKER_AUTOSCALE"] = "3,1"
    try:
        up(stack, "airflow-worker")
        assert processes() == 1
        with load(stack, "autoscale"):
            wait_for("the worker to have three processes", lambda: processes() == 3, pause=1)
        wait_for("the worker to have one process again", lambda: processes() == 1, 180, pause=1)
    finally:
        del stack.environment["WORKER_AUTOSCALE"]
        up(stack, "airflow-worker")


def play(stack, kill, day: str) -> dict:
    """Three workers, the kill in the middle of a day, and what became of that."""
    workers(stack, 3)
    under_test = Day(stack, day)
    kill(stack, under_test)
    seen = under_test.finish(240)
    print(f"KILL {kill.__name__} {json.dumps(seen)}")
    return seen


@pytest.mark.claim("7.5")
def test_a_worker_that_dies_while_a_day_is_under_way_loses_and_doubles_nothing(quick_scheduler, record):
    record["worker"] = play(quick_scheduler, *ON_REDIS["worker"])


@pytest.mark.long(
    "the worker that dies; killed parts of the embedded stack; the bounds of the settings in the unit tier"
)
@pytest.mark.claim("7.5")
@pytest.mark.parametrize("name", [name for name in ON_REDIS if name != "worker"])
def test_whatever_else_dies_while_a_day_is_under_way_loses_and_doubles_nothing(quick_scheduler, record, name):
    record[name] = play(quick_scheduler, *ON_REDIS[name])
    if name == "flush":
        assert record[name]["requeued"] > 0
        assert record[name]["retried"] == 0


@pytest.mark.long("the same on Redis; RabbitMQ's settings and overlay in the unit tier")
@pytest.mark.claim("7.1")
@pytest.mark.claim("7.5")
def test_with_rabbitmq_as_broker_a_day_is_whole_though_a_worker_dies(quick_scheduler, record):
    stack = quick_scheduler
    services = ("airflow-scheduler", "airflow-worker")
    stack.overlays.append(PROJECT / "docker-compose.rabbitmq.yaml")
    try:
        up(stack, "rabbitmq", *services)
        listed = ("exec", "-T", "rabbitmq", "rabbitmqctl", "--quiet", "list_queues", "name", "durable", "consumers")
        queues = [line.split() for line in stack.run(*listed).decode().splitlines()]
        assert {("light", "true"), ("spark", "true")} <= {(each[0], each[1]) for each in queues}
        record["worker_on_rabbitmq"] = play(stack, kill_worker, "2013-04-07")
    finally:
        stack.run("rm", "--stop", "--force", "rabbitmq")
        stack.overlays.pop()
        up(stack, *services)
    assert set(KILLS) >= {"worker_on_rabbitmq", *ON_REDIS}
