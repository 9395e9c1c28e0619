"""Replaces docker compose's Celery workers one by one by those of another image tag (`answers roll --image TAG`).

A new worker is healthy before an old one gets its SIGTERM; that one takes no new task, ends those that it has, and goes
(Celery's warm shutdown). At no time are there fewer workers than before.
"""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any, Protocol

import typer

from answers.deploy.shape import PROJECT
from answers.interrupts import interruptible
from answers.stack import dotenv

SERVICES = (
    "airflow-worker",
    "airflow-partner-worker",
    "airflow-spark-worker",
)  # each has workers of its own queues, and keeps its number of them
IMAGE = "airflow-answers"
GRACE = 600  # seconds; more than stop_grace_period in docker-compose.yaml, as a roll is in no hurry
HEALTHY = 180  # seconds for a new worker


class RollError(RuntimeError):
    """The workers could not be replaced. The text says what runs now, and what to do."""


@dataclass(frozen=True)
class Worker:
    """A container of a service whose containers are workers."""

    id: str
    image: str
    service: str = SERVICES[0]


class Engine(Protocol):
    """Describes what rolling asks of docker compose."""

    def has_image(self, image: str) -> bool: ...  # noqa: D102 - `Compose` says
    def workers(self, running: bool = True) -> list[Worker]: ...  # noqa: D102
    def add(self, service: str, tag: str, count: int) -> None: ...  # noqa: D102
    def stop(self, worker: Worker, grace: int) -> int: ...  # noqa: D102
    def remove(self, worker: Worker) -> None: ...  # noqa: D102


def roll_workers(engine: Engine, tag: str, say: Callable[[str], None], grace: int = GRACE) -> list[dict[str, Any]]:
    """Replace the workers that run another image, so that an interrupted roll goes on where it was (with one more, at worst).

    :returns: {worker, seconds, exit_code} for each that was replaced
    :raises RollError: there is no such image, or a new worker does not become healthy; the old ones stay
    """
    image = f"{IMAGE}:{tag}"
    if not engine.has_image(image):
        raise RollError(f"there is no image {image}: `IMAGE_TAG={tag} docker compose build` makes it")
    workers = engine.workers()
    if not workers:
        raise RollError("no worker runs: `make up` starts the stack")
    replaced = []
    for worker in [each for each in workers if each.image != image]:
        known = {each.id for each in engine.workers() if each.service == worker.service}
        try:
            engine.add(worker.service, tag, len(known) + 1)
        except BaseException as error:
            for each in engine.workers(running=False):
                if each.service == worker.service and each.id not in known:
                    engine.remove(each)
            if isinstance(error, RollError):
                raise RollError(f"a worker of {image} does not become healthy; the old ones go on: {error}") from error
            raise
        say(f"a worker of {image} is healthy; {worker.id[:12]} ends its tasks")
        started = time.monotonic()
        code = engine.stop(worker, grace)
        seconds = time.monotonic() - started
        engine.remove(worker)
        replaced.append({"worker": worker.id[:12], "seconds": round(seconds, 1), "exit_code": code})
        killed = " (killed: its tasks took longer, and run again elsewhere)" if code == 137 else ""
        say(f"{worker.id[:12]} ended after {seconds:.0f} s{killed}")
    return replaced


class Compose:
    """The compose project of this checkout.

    :param arguments: of `docker compose`, before its command: -p, -f, --env-file
    """

    def __init__(self, *arguments: str, environment: dict[str, str] | None = None) -> None:
        self._arguments, self._environment = arguments, environment or dict(os.environ)

    def has_image(self, image: str) -> bool:
        """Tell whether the engine has an image."""
        return self._docker("image", "inspect", image, check=False).returncode == 0

    def workers(self, running: bool = True) -> list[Worker]:
        """Return the workers that run, the oldest first; with those that do not, too, if asked."""
        which = ("--status", "running") if running else ("--all",)
        there = self._compose("config", "--services").stdout.split()  # without those of a profile that is not chosen
        ids = self._compose("ps", "--quiet", *which, *(each for each in SERVICES if each in there)).stdout.split()
        if not ids:
            return []
        found = json.loads(self._docker("inspect", *ids).stdout)
        found.sort(key=lambda each: each["Created"])
        return [
            Worker(each["Id"], each["Config"]["Image"], each["Config"]["Labels"]["com.docker.compose.service"])
            for each in found
        ]

    def add(self, service: str, tag: str, count: int) -> None:
        """Have `count` workers of a service, the new ones with an image's tag; returns when all are healthy.

        :raises RollError: they are not in time
        """
        arguments = (
            "up",
            "--detach",
            "--no-deps",
            "--no-recreate",
            "--no-build",
            "--wait",
            "--wait-timeout",
            str(HEALTHY),
        )
        self._compose(*arguments, "--scale", f"{service}={count}", service, environment={"IMAGE_TAG": tag})

    def stop(self, worker: Worker, grace: int) -> int:
        """Stop a worker: SIGTERM, and SIGKILL after `grace` seconds. Return its exit code."""
        self._docker("stop", "--time", str(grace), worker.id)
        return int(self._docker("inspect", "--format", "{{.State.ExitCode}}", worker.id).stdout)

    def remove(self, worker: Worker) -> None:
        """Remove a container, running or not."""
        self._docker("rm", "--force", worker.id)

    def _compose(self, *arguments: str, environment: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
        return self._docker("compose", *self._arguments, *arguments, environment=environment)

    def _docker(
        self, *arguments: str, check: bool = True, environment: dict[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        try:
            done = subprocess.run(
                ["docker", *arguments],
                cwd=PROJECT,
                env=self._environment | (environment or {}),
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
            )
        except FileNotFoundError:
            raise RollError("docker is not installed: the workers of the compose stack need it") from None
        if check and done.returncode:
            raise RollError(f"docker {' '.join(arguments[:6])} …: {done.stderr.strip()[-1000:]}")
        return done


def command(
    image: Annotated[str, typer.Option(metavar="TAG", help="The tag of airflow-answers that the workers shall run.")],
    grace: Annotated[int, typer.Option(help="Seconds that a worker has to end its tasks.")] = GRACE,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document at the end.")] = False,
) -> None:
    """Replace the Celery workers of the compose stack one by one by those of another image: no task is lost."""
    from rich.console import Console

    err = Console(stderr=True, highlight=False)
    try:
        with interruptible():
            replaced = roll_workers(Compose(), image, lambda line: err.print(line, style="dim", markup=False), grace)
    except RollError as error:
        err.print(f"answers roll: {error}", style="red", markup=False, soft_wrap=True)
        raise typer.Exit(1) from error
    except KeyboardInterrupt:
        err.print("answers roll: interrupted; the same command goes on with the workers that are left")
        raise typer.Exit(130) from None
    if (file := PROJECT / ".env").exists():
        dotenv.replace(file, {"IMAGE_TAG": image})  # so that `make up` does not bring the old one back
    if as_json:
        print(json.dumps(replaced))
    else:
        err.print(f"{len(replaced)} workers replaced" if replaced else "every worker runs it already")
