"""Question 7 on the docker compose stack: workers that come and go under load, and what dies while a day is under way.

ANSWERS_RECORD_KILLS=1 writes what was seen to bench/results/q07_kills.json, which the table of docs/q07.md is made from.
"""

import json
import os
import platform
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime
from importlib.metadata import version

import httpx
import pytest

from answers.deploy.roll import Compose
from support import PROJECT, SOONER, meanwhile, wait_for
from support.kills import KILLS, WORK, Day, docker

pytestmark = [pytest.mark.compose, pytest.mark.timeout(1800)]

CANARY = "q10_canary"
RECORD = PROJECT / "bench/results/q07_kills.json"
SCHEDULING = ("airflow-scheduler", "airflow-dag-processor")


def workers(stack, count: int) -> None:
    """Have so many workers, those of now among them; one that was killed comes back."""
    stack.run("up", "--detach", "--no-deps", "--no-recreate", "--scale", f"airflow-worker={count}", "airflow-worker")
    healthy(stack, "airflow-worker")


def up(stack, *services: str) -> None:
    """Have these services as the compose files in force say, healthy."""
    stack.run("up", "--detach", "--no-deps", "--scale", "airflow-worker=1", *services)
    healthy(stack, *services)


def healthy(stack, *services: str) -> None:
    """Not by `up --wait`: an old engine calls a container unhealthy in the instant between its start and its first check."""

    def health() -> dict[str, str]:
        return {each["Name"]: each["Health"] for each in stack.services() if each["Service"] in services}

    def seen() -> str:
        return f"{health()}\n{stack.run('logs', '--no-color', '--tail', '40', *services).decode()}"

    what = f"{', '.join(services)} to be healthy"
    wait_for(what, lambda: set(health().values()) == {"healthy"}, 180, pause=1, seen=seen)


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
def sooner(stack, tmp_path_factory):
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
            body = {"dag_run_id": runs[-1], "logical_date": None}
            stack.airflow.request("POST", f"/dags/{CANARY}/dagRuns", json=body)

    with meanwhile(feed):
        yield runs


def per_second(tasks: list[dict]) -> float:
    ends = sorted(datetime.fromisoformat(each["end_date"]) for each in tasks)
    return (len(ends) - 1) / (ends[-1] - ends[0]).total_seconds()


@pytest.mark.claim("7.1")
def test_workers_that_join_take_tasks_and_those_that_go_lose_none(sooner, record):
    stack = sooner

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
def test_the_processes_of_an_autoscaled_worker_follow_its_load(sooner):
    """By Celery's own count; it lets a process go when it has not been needed for half a minute."""
    stack = sooner
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


# -- What dies. Each starts the day, and leaves everything running again.


def kill_worker(stack, day: Day) -> None:
    """One that stands still in the middle of a task, so that the task cannot end before the kill."""

    def frozen():
        for task in day.instances("running"):
            if task["task_id"] not in WORK or not (host := task["hostname"]):
                continue
            docker("pause", host)
            if task["id"] in {each["id"] for each in day.instances("running")}:
                return host, task
            docker("unpause", host)
        return None

    day.start()
    host, lost = wait_for("a worker in the middle of a task", frozen, pause=0.05)
    docker("kill", "--signal", "KILL", host)

    def again():
        now = {(each["dag_id"], each["task_id"]): each for each in day.instances()}[lost["dag_id"], lost["task_id"]]
        return now["state"] == "success" and now

    done = wait_for("its task to be done elsewhere", again, 180)
    assert done["try_number"] == 2
    assert done["hostname"] != host


def kill_redis(stack, day: Day) -> None:
    day.start()
    day.under_way()
    kill_service(stack, "redis")
    stack.run("up", "--detach", "--no-deps", "--no-recreate", "--wait", "redis")


def flush_redis(stack, day: Day) -> None:
    """While workers stand still, so that messages wait in the broker."""
    # Counted and flushed in one step: more may come at any time.
    flush = "local waiting = redis.call('LLEN', 'light') if waiting >= 3 then redis.call('FLUSHALL') end return waiting"

    def flushed() -> bool:
        return int(stack.run("exec", "-T", "redis", "redis-cli", "EVAL", flush, "0")) >= 3

    hosts = [worker.id for worker in Compose(*stack.project, environment=stack.environment).workers()]
    for host in hosts:
        docker("pause", host)
    try:
        day.start()
        wait_for("messages to wait in the broker", flushed, seen=lambda: states(day))
    finally:
        for host in hosts:
            docker("unpause", host)


def states(day: Day) -> dict[str, str]:
    return {f"{each['dag_id']}.{each['task_id']}": each["state"] for each in day.instances()}


def kill_postgres(stack, day: Day) -> None:
    def refused() -> bool:
        health = httpx.get(f"{stack.url}/api/v2/monitor/health", trust_env=False, timeout=30)
        return health.status_code != 200 or health.json()["metadatabase"]["status"] != "healthy"

    day.start()
    day.under_way()
    kill_service(stack, "postgres")
    wait_for("the API server to miss the database", refused)
    stack.run("up", "--detach", "--no-deps", "--no-recreate", "--wait", "postgres")


def kill_api_server(stack, day: Day) -> None:
    def calls() -> int:
        log = stack.run("logs", "--no-color", "--since", since, "airflow-worker").decode(errors="replace")
        return max(map(int, re.findall(r"this is the (\d+)\w\w time calling it", log)), default=0)

    day.start()
    day.under_way()
    since = datetime.now().astimezone().isoformat()
    kill_service(stack, "airflow-api-server")
    wait_for("a call of a worker to have failed ten times", lambda: calls() >= 10, pause=1)
    stack.run("up", "--detach", "--no-deps", "--no-recreate", "--wait", "airflow-api-server")


def kill_scheduler(stack, day: Day) -> None:
    day.start()
    day.under_way()
    kill_service(stack, "airflow-scheduler")
    wait_for("the tasks that ran to have ended without a scheduler", lambda: not day.instances("running"))
    stack.run("up", "--detach", "--no-deps", "--no-recreate", "--wait", "airflow-scheduler")


def kill_service(stack, service: str) -> None:
    stack.run("kill", "--signal", "KILL", service)


ON_REDIS = {
    "worker": (kill_worker, "2013-04-01"),
    "redis": (kill_redis, "2013-04-02"),
    "flush": (flush_redis, "2013-04-03"),
    "postgres": (kill_postgres, "2013-04-04"),
    "api_server": (kill_api_server, "2013-04-05"),
    "scheduler": (kill_scheduler, "2013-04-06"),
}


def play(stack, kill, day: str) -> dict:
    """Three workers, the kill in the middle of a day, and what became of that."""
    workers(stack, 3)
    under_test = Day(stack, day)
    kill(stack, under_test)
    seen = under_test.finish(240)
    print(f"KILL {kill.__name__} {json.dumps(seen)}")
    return seen


@pytest.mark.claim("7.5")
def test_a_worker_that_dies_while_a_day_is_under_way_loses_and_doubles_nothing(sooner, record):
    record["worker"] = play(sooner, *ON_REDIS["worker"])


@pytest.mark.long(
    "the worker that dies; killed parts of the embedded stack; the bounds of the settings in the unit tier"
)
@pytest.mark.claim("7.5")
@pytest.mark.parametrize("name", [name for name in ON_REDIS if name != "worker"])
def test_whatever_else_dies_while_a_day_is_under_way_loses_and_doubles_nothing(sooner, record, name):
    record[name] = play(sooner, *ON_REDIS[name])
    if name == "flush":
        assert record[name]["requeued"] > 0
        assert record[name]["retried"] == 0


@pytest.mark.long("the same on Redis; RabbitMQ's settings and overlay in the unit tier")
@pytest.mark.claim("7.1")
@pytest.mark.claim("7.5")
def test_with_rabbitmq_as_broker_a_day_is_whole_though_a_worker_dies(sooner, record):
    stack = sooner
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
