"""Workers are replaced one by one: never fewer than before, and none is stopped before its successor is healthy."""

import pytest
import yaml

from answers.deploy.roll import SERVICES, RollError, Worker, roll_workers
from support import PROJECT

pytestmark = pytest.mark.claim("10.3")
OLD, NEW = "airflow-answers:old", "airflow-answers:new"


class Engine:
    """The seam to docker compose: containers in a list, and what happened in order."""

    def __init__(self, *images: str, healthy: bool = True) -> None:
        self.running = [Worker(f"{number}-{image}", image) for number, image in enumerate(images)]
        self.starting: list[Worker] = []
        self.healthy = healthy
        self.happened: list[tuple[str, int]] = []

    def has_image(self, image):
        return image in (OLD, NEW)

    def workers(self, running=True):
        return self.running if running else self.running + self.starting

    def add(self, service, tag, count):
        there = sum(each.service == service for each in self.running)
        self.starting = [
            Worker(f"new-{service}-{number}", f"airflow-answers:{tag}", service) for number in range(there, count)
        ]
        if not self.healthy:
            raise RollError("unhealthy")
        self.running, self.starting = self.running + self.starting, []
        self.happened.append(("added", len(self.running)))

    def stop(self, worker, grace):
        self.running = [each for each in self.running if each.id != worker.id]
        self.happened.append(("stopped", len(self.running)))
        return 0

    def remove(self, worker):
        self.running = [each for each in self.running if each.id != worker.id]
        self.starting = [each for each in self.starting if each.id != worker.id]


def test_each_worker_goes_after_its_successor_is_healthy_and_there_are_never_fewer():
    engine = Engine(OLD, OLD)
    assert [each["exit_code"] for each in roll_workers(engine, "new", print)] == [0, 0]
    assert engine.happened == [("added", 3), ("stopped", 2), ("added", 3), ("stopped", 2)]
    assert {each.image for each in engine.running} == {NEW}


def test_the_workers_of_every_queue_are_replaced_each_by_one_of_its_own_service():
    engine = Engine(OLD)
    engine.running += [Worker(f"other-{number}", OLD, SERVICES[1]) for number in range(2)]
    assert len(roll_workers(engine, "new", print)) == 3
    assert {each.image for each in engine.running} == {NEW}
    assert [each.service for each in engine.running] == [SERVICES[0], SERVICES[1], SERVICES[1]]


def test_every_service_of_compose_that_runs_workers_is_rolled():
    services = yaml.safe_load((PROJECT / "docker-compose.yaml").read_text())["services"]
    workers = {name for name, each in services.items() if {"celery", "worker"} <= set(each.get("command") or [])}
    assert workers == set(SERVICES)


def test_a_roll_that_was_interrupted_goes_on_with_the_workers_that_are_left():
    engine = Engine(NEW, OLD)
    roll_workers(engine, "new", print)
    assert engine.happened == [("added", 3), ("stopped", 2)]
    assert roll_workers(engine, "new", print) == []


def test_a_new_worker_that_is_not_healthy_is_removed_and_the_old_ones_stay():
    engine = Engine(OLD, OLD, healthy=False)
    with pytest.raises(RollError, match="the old ones go on: unhealthy"):
        roll_workers(engine, "new", print)
    assert [each.image for each in engine.workers(running=False)] == [OLD, OLD]


def test_an_image_that_does_not_exist_is_refused_with_what_makes_it():
    with pytest.raises(RollError, match="`IMAGE_TAG=newer docker compose build` makes it"):
        roll_workers(Engine(OLD), "newer", print)


def test_a_worker_gets_sigterm_alone_and_time_to_end_its_tasks():
    """An init that signals its group, or a shell in between, would end the tasks with their worker."""
    worker = yaml.safe_load((PROJECT / "docker-compose.yaml").read_text())["services"]["airflow-worker"]
    assert worker["stop_grace_period"] == "2m"
    assert worker["init"] is True
    assert worker["command"][:3] == ["airflow", "celery", "worker"]
    assert "stop_signal" not in worker
