"""Ways for a part of the compose stack to die while a day of question 7 is under way.

Each starts the day, and leaves everything running again.
"""

import re
from datetime import datetime

import httpx

from answers.deploy.roll import Compose
from support import wait_for
from support.kills import WORK, Day, docker


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

    def runs_again():
        now = {(each["dag_id"], each["task_id"]): each for each in day.instances()}[lost["dag_id"], lost["task_id"]]
        return now["state"] == "success" and now

    done = wait_for("its task to be done elsewhere", runs_again, 180)
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
