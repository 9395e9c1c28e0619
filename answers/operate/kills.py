"""Kills parts of an embedded stack on a seeded random schedule, for the proof of claim 5.4 and for the soak."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import psutil

from answers.stack import parts, processes
from answers.stack.settings import Settings
from include.waiting import patience, wait_until

# A worker that is killed is missed after a minute, `[scheduler] task_instance_heartbeat_timeout`; the others at once.
PARTS = ("task", "triggerer", "scheduler", "kafka", "kafka-relay", "warehouse", "worker")
PARTS_MISSED_AT_ONCE = PARTS[:-1]
TASK = "airflow worker -- "
EXECUTOR = f"{TASK}LocalExecutor"
FIND_WITHIN = 120  # seconds for the victim to be there: a part that is being restarted, a task that is to begin


@dataclass(frozen=True)
class Kill:
    """One kill: `at` seconds of the recorded machine after the beginning, so that a slow one has time to recover in between."""

    at: float
    part: str


def make_schedule(seed: int, count: int, within: float, parts: tuple[str, ...] = PARTS) -> list[Kill]:
    """Plan `count` kills over `within` seconds: in random order, and each part once among every len(parts) of them."""
    chance = random.Random(seed)  # noqa: S311 (a schedule that can be repeated)
    victims: list[str] = []
    while len(victims) < count:
        victims += chance.sample(parts, len(parts))
    return [
        Kill(at, part)
        for at, part in zip(sorted(chance.uniform(0, within) for _ in range(count)), victims, strict=False)
    ]


def carry_out(settings: Settings, kills: list[Kill], seed: int, say: Callable[[str], None] = print) -> Iterator[Kill]:
    """Do the kills, each as soon after its time as its victim is there.

    :raises RuntimeError: a victim was not there for long
    """
    chance = random.Random(seed)  # noqa: S311
    began = time.monotonic()
    for kill in kills:
        time.sleep(max(0.0, began + patience(kill.at) - time.monotonic()))
        pid = wait_until(
            lambda part=kill.part: _kill_part(settings, part, chance),  # type: ignore[misc]
            FIND_WITHIN,
            f"a {kill.part} to kill: does the stack work at all?",
            pause=0.05,
            error=RuntimeError,
        )
        say(f"{time.monotonic() - began:6.1f} s  SIGKILL {kill.part} ({pid})")
        yield kill


def _kill_part(settings: Settings, part: str, chance: random.Random) -> int | None:
    """Kill the part's process; None if there is none."""
    try:
        if part in ("task", "worker"):
            process = chance.choice(_task_processes(settings, part) or [None])
        else:
            states = {each["part"]: each for each in parts.status(settings)}
            pid = states.get(part, {}).get("pid")
            process = psutil.Process(pid) if pid else None
        if process is None:
            return None
        process.kill()
    except psutil.NoSuchProcess:
        return None
    return int(process.pid)


def _task_processes(settings: Settings, part: str) -> list[psutil.Process]:
    """Return the processes that run a task ("task"), or the executor's that watch one ("worker"). They call themselves so."""
    supervisor = processes.supervisor_process(settings)
    found = []
    for process in supervisor.children(recursive=True) if supervisor else []:
        try:
            title = " ".join(process.cmdline())
        except psutil.Error:
            continue
        executor = title.startswith(EXECUTOR)
        if title.startswith(TASK) and not title.endswith("<idle>") and executor == (part == "worker"):
            found.append(process)
    return found
