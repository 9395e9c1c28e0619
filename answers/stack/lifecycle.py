"""Starts, stops and restarts the embedded stack.

Supervisor keeps its parts alive; this module brings it up in order, and puts right what a crash left: orphaned
processes, stale pid files, a database that was never finished.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import xmlrpc.client
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from http.client import HTTPException
from pathlib import Path
from typing import Any

from answers.stack import bundles, metadata
from answers.stack.parts import (
    Say,
    StackError,
    healthy,
    is_served,
    parts_of,
    states_of,
    status,
    supervisor,
    wait_for,
    warehouse_answers,
)
from answers.stack.preflight import disk_available, memory_available
from answers.stack.processes import (
    STARTER,
    THIS_PROCESS,
    end_processes,
    stack_processes,
    started_by_this_process,
    supervisor_process,
    wait_for_end,
)
from answers.stack.repository import RepositoryError
from answers.stack.settings import PROJECT, Settings
from include.files import exclusive_lock, lock_note, write_atomically
from include.waiting import poll

CLIENTS_OF_API = ("scheduler", "dag-processor", "triggerer", "kafka-relay")
NEEDED_BYTES = {"MEMORY": 3 << 30, "DISK": 2 << 30}  # bytes that have to be free for a start


def up(say: Say = print, patience: float = 180, dags: str | None = None) -> Settings:
    """Start the stack, or the parts of it that are down, and wait until it is healthy.

    :param say: told what happens
    :param patience: seconds to wait for each step
    :param dags: where the DAGs are from, "local" or "git"; as it was if not given
    :raises StackError: naming the part that does not come up, with the end of its log
    """
    settings = Settings.load()
    with _one_at_a_time(settings.home, "starting"):
        choose_dags(dags)
        if supervisor_process(settings) is None:
            settings = _start_supervisor(settings, say)
        settings.write_passwords()
        rpc = supervisor(settings)
        wait_for("postgres", lambda: metadata.is_answering(settings), settings, patience, say)
        metadata.prepare(settings, say)
        states = states_of(rpc)
        if states["parameter-store"] not in ("RUNNING", "STARTING"):
            rpc.startProcess("parameter-store", False)
        # Before anything of Airflow, which takes its connections from there.
        wait_for("parameter-store", lambda: is_served(f"{settings.parameter_store}/requests"), settings, patience, say)
        for part in parts_of(settings)[2:]:
            if states[part] not in ("RUNNING", "STARTING"):
                rpc.startProcess(part, False)
        wait_for("warehouse", lambda: warehouse_answers(settings), settings, patience, say)
        wait_for(
            "catcher",
            lambda: is_served(f"http://127.0.0.1:{settings.ports['catcher']}/health"),
            settings,
            patience,
            say,
        )
        wait_for("Airflow", lambda: healthy(settings), settings, patience, say)
    return settings


def choose_dags(dags: str | None) -> None:
    """Note where the DAGs of the next start are from, "local" or "git"; as it was if None.

    :raises StackError: it is neither, or the stack runs with the other, or there is no commit to begin with
    """
    settings = Settings.load()
    try:
        bundles.choose_dags_source(settings.home, PROJECT, dags, running=supervisor_process(settings) is not None)
    except RepositoryError as error:
        raise StackError(str(error)) from error


def restart(settings: Settings, parts: Sequence[str], say: Say = print, patience: float = 180) -> None:
    """Restart parts, as a deployment would, and wait until all is healthy again.

    The scheduler gets a SIGTERM alone and waits for the tasks that run: none is lost. The others have no tasks: one that
    has not ended in time is killed. (Airflow 3.3.2's DAG processor sometimes swallows the signal.)

    :raises StackError: one does not come back
    """
    rpc = supervisor(settings)
    before = {record["part"]: record["pid"] for record in status(settings)}
    if "scheduler" in parts:
        rpc.signalProcess("scheduler", "TERM")
    for part in parts:
        if part != "scheduler":
            rpc.stopProcess(part, True)
            rpc.startProcess(part, False)

    def back() -> bool:
        now = {record["part"]: record["pid"] for record in status(settings)}
        return all(now[part] not in (None, before[part]) for part in parts) and healthy(settings)

    wait_for(", ".join(parts), back, settings, patience, say)


def down(say: Say = print) -> bool:
    """Stop the stack and everything that belongs to it. Returns whether there was anything to stop."""
    settings = Settings.load()
    with _one_at_a_time(settings.home, "stopping"):
        process = supervisor_process(settings)
        orphans = stack_processes(settings)
        if process:
            say("stopping the stack")
            try:
                rpc = supervisor(settings)
                _stop_api_clients_first(rpc)
                rpc.stopAllProcesses(True)
                rpc.shutdown()
            except (OSError, HTTPException, xmlrpc.client.Error):
                process.terminate()
            wait_for_end([process], 90)
        end_processes([each for each in orphans if each.is_running()])
        (settings.home / "supervisord.pid").unlink(missing_ok=True)
    return bool(process or orphans)


def _stop_api_clients_first(rpc: Any, patience: float = 45) -> None:
    """Stop the clients of the API server at once, while it and the database still answer.

    Supervisor's own shutdown would stop one part after the other, and PostgreSQL among the first.
    """
    states = states_of(rpc)
    clients = [part for part in CLIENTS_OF_API if states[part] in ("RUNNING", "STARTING", "BACKOFF")]
    for part in clients:
        rpc.stopProcess(part, False)
    for _ in poll(patience, 0.1):  # supervisor kills the slowest after 30 s
        states = states_of(rpc)
        if not any(states[part] == "STOPPING" for part in clients):
            return


@contextmanager
def stop_if_started_within(say: Say = print) -> Iterator[None]:
    """Stop the stack at the end of the block if it was started within. A stack that ran before stays up.

    Where the next start has its DAGs from is then as it was before, too.
    """
    dags_before = bundles.dags_source(Settings.load().home)
    try:
        yield
    finally:
        if started_by_this_process(Settings.load()):
            down(say)
        if supervisor_process(Settings.load()) is None:
            choose_dags(dags_before)


def _one_at_a_time(home: Path, work: str) -> AbstractContextManager[object]:
    """Let one command at a time start or stop the stack.

    :param work: "starting" or "stopping", for `work_under_way`
    """
    refused = StackError(f"another `answers up` or `answers down` works on {home}: wait for it")
    return exclusive_lock(home / "lock", lambda _: refused, work)


def work_under_way(settings: Settings) -> str | None:
    """Tell what a command does to the stack at this moment: "starting", "stopping", or None."""
    note = lock_note(settings.home / "lock")
    return None if note is None else note or "starting"


def _refuse_without_room(home: Path) -> None:
    """Say which of memory and disk is too small for the stack with one Spark job, before anything is started.

    :raises StackError: one is
    """
    memory, disk = (int(os.environ.get(f"ANSWERS_MIN_{name}", least)) for name, least in NEEDED_BYTES.items())
    if (free := memory_available()) < memory:
        raise StackError(
            f"only {free / 2**30:.1f} GB of memory are available, the stack with one Spark job wants "
            f"{memory / 2**30:.1f} GB: close something, or set ANSWERS_MIN_MEMORY (bytes) to try all the same"
        )
    for folder in (home, Path(tempfile.gettempdir())):
        if (free := disk_available(folder)) < disk:
            raise StackError(
                f"only {free / 2**30:.1f} GB of disk are free in {folder}, the stack with one Spark job wants "
                f"{disk / 2**30:.1f} GB: make room, or set ANSWERS_MIN_DISK (bytes) to try all the same"
            )


def _start_supervisor(settings: Settings, say: Say) -> Settings:
    if orphans := stack_processes(settings):
        say(f"ending {len(orphans)} processes that a crash left behind")
        end_processes(orphans)
    _refuse_without_room(settings.home)
    (settings.home / "supervisord.pid").unlink(missing_ok=True)
    settings.note_clickhouse()
    try:
        settings, notes = settings.with_ports()
    except TimeoutError as error:
        raise StackError(str(error)) from error
    for note in notes:
        say(note)
    for folder in ("logs", "data", "airflow"):
        (settings.home / folder).mkdir(exist_ok=True, mode=0o700)
    say("starting PostgreSQL and Airflow")
    command = [sys.executable, "-m", "supervisor.supervisord", "-c", str(PROJECT / "config" / "supervisord.conf")]
    environment = settings.environment() | {STARTER: THIS_PROCESS}
    done = subprocess.run(command, cwd=PROJECT, env=environment, capture_output=True, text=True)
    if done.returncode:
        raise StackError(f"supervisor did not start: {done.stderr.strip() or done.stdout.strip()}")

    def answers() -> bool:
        try:
            return bool(supervisor(settings).getState())
        except (OSError, HTTPException, xmlrpc.client.Error):
            return False

    wait_for("supervisor", answers, settings, 30, say)
    write_atomically(settings.home / "session", str(os.getsid(supervisor(settings).getPID())))
    return settings
