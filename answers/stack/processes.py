"""Finds and ends the processes of the embedded stack: supervisor, its parts, and what a crash left of them."""

from __future__ import annotations

import os
import sys
from uuid import uuid4

import psutil

from answers.stack import postgres
from answers.stack.settings import Settings
from include.waiting import Deadline

STARTER = "ANSWERS_STARTED_BY"  # in the environment of every part: the process that started the stack, by this name
THIS_PROCESS = uuid4().hex  # a process number will be another process's one day, and a clock may be set back


def supervisor_process(settings: Settings) -> psutil.Process | None:
    """Return the running supervisor of this stack."""
    try:
        process = psutil.Process(int((settings.home / "supervisord.pid").read_text()))
        return process if "supervisord" in " ".join(process.cmdline()) and settings.ports else None
    except (FileNotFoundError, ValueError, psutil.Error):
        return None


def stack_processes(settings: Settings) -> list[psutil.Process]:
    """List the processes of this stack: those with its mark in their environment, their descendants, and its PostgreSQL.

    Airflow's workers write their title over their environment. They are known by their session, supervisor's, and by
    their program, since the number of a session that has ended may have gone to another one.
    """
    found: dict[int, psutil.Process] = {}
    own = {os.getpid(), *(parent.pid for parent in psutil.Process().parents())}
    try:
        session = int((settings.home / "session").read_text())
    except (FileNotFoundError, ValueError):
        session = None
    for process in psutil.process_iter():
        try:
            marked = process.environ().get("ANSWERS_STACK") == str(settings.home)
            titled = os.getsid(process.pid) == session and os.path.samefile(process.exe(), sys.executable)
            if marked or titled:
                found |= {each.pid: each for each in (process, *process.children(recursive=True))}
        except (psutil.Error, OSError):
            continue
    if pid := postgres.server_pid(settings.home / "postgres"):
        server = psutil.Process(pid)
        found |= {each.pid: each for each in (server, *server.children(recursive=True))}
    return [process for pid, process in found.items() if pid not in own]


def lost_processes(settings: Settings) -> list[psutil.Process]:
    """List the processes of this stack that its supervisor has lost: children of a part that was killed."""
    running = supervisor_process(settings)
    known = {running.pid, *(each.pid for each in running.children(recursive=True))} if running else set()
    return [process for process in stack_processes(settings) if process.pid not in known]


def started_by_this_process(settings: Settings) -> bool:
    """Tell whether this very process started the stack that runs: it may stop that one, and no other."""
    return any(_environment(process).get(STARTER) == THIS_PROCESS for process in stack_processes(settings))


def _environment(process: psutil.Process) -> dict[str, str]:
    try:
        return process.environ()
    except (psutil.Error, OSError):
        return {}


def end_processes(processes: list[psutil.Process], patience: float = 15) -> None:
    """Ask processes to end, and kill those that do not."""
    for act in ("terminate", "kill"):
        for process in processes:
            try:
                getattr(process, act)()
            except psutil.NoSuchProcess:
                continue
        processes = wait_for_end(processes, patience)
        if not processes:
            return


def wait_for_end(processes: list[psutil.Process], patience: float) -> list[psutil.Process]:
    """Return those of these processes that have not ended in time."""
    deadline = Deadline(patience)
    while processes and not deadline.passed():
        processes = psutil.wait_procs(processes, timeout=deadline.seconds - deadline.elapsed)[1]
    return processes


def memory(pid: int) -> int:
    """Return the bytes that a process and its descendants hold; pages that they share count once."""
    total = 0
    try:
        process = psutil.Process(pid)
        for each in (process, *process.children(recursive=True)):
            try:
                total += each.memory_full_info().pss
            except (psutil.Error, AttributeError):
                total += each.memory_info().rss
    except psutil.Error:
        pass
    return total
