"""Starts, stops and inspects the embedded stack.

Supervisor keeps its parts alive; this module brings it up in order, and puts right what a crash left: orphaned
processes, stale pid files, a database that was never finished.
"""

from __future__ import annotations

import fcntl
import json
import os
import subprocess
import sys
import tempfile
import xmlrpc.client
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from hashlib import sha256
from http.client import HTTPException
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import psutil

from answers.stack import bundles, postgres
from answers.stack.preflight import disk_available, memory_available
from answers.stack.repository import RepositoryError
from answers.stack.settings import PROJECT, Settings
from include.waiting import Deadline, looks, wait_until

AIRFLOW_PARTS = ("api-server", "scheduler", "dag-processor", "triggerer")
PARTS = ("postgres", "parameter-store", "catcher", *AIRFLOW_PARTS)
CLIENTS_OF_API = ("scheduler", "dag-processor", "triggerer", "kafka-relay")
ON_DEMAND = ("kafka", "kafka-relay")  # shown only while somebody wants them
LEAST = {"MEMORY": 3 << 30, "DISK": 2 << 30}  # bytes that have to be free for a start
ANSWER_WITHIN = 30  # seconds for one answer on loopback: no machine needs them, and a part that hangs is noticed
STARTER = "ANSWERS_STARTED_BY"  # in the environment of every part: the process that started the stack, by this name
THIS_PROCESS = uuid4().hex  # a process number will be another process's one day, and a clock may be set back
Say = Callable[[str], None]


class StackError(RuntimeError):
    """The stack could not be started or reached. The text says what to do."""


def supervisor(settings: Settings) -> Any:
    """Supervisor's XML-RPC interface. Its calls raise OSError when no supervisor runs."""
    address = f"http://answers:{settings.secrets['SUPERVISOR_PASSWORD']}@127.0.0.1:{settings.ports['supervisor']}/RPC2"
    return xmlrpc.client.ServerProxy(address).supervisor


def _states(rpc: Any) -> dict[str, str]:
    """Supervisor's word on each of its programs."""
    return {info["name"]: info["statename"] for info in rpc.getAllProcessInfo()}


def supervisor_process(settings: Settings) -> psutil.Process | None:
    """The running supervisor of this stack."""
    try:
        process = psutil.Process(int((settings.home / "supervisord.pid").read_text()))
        return process if "supervisord" in " ".join(process.cmdline()) and settings.ports else None
    except (FileNotFoundError, ValueError, psutil.Error):
        return None


def leftovers(settings: Settings) -> list[psutil.Process]:
    """Processes of this stack: those with its mark in their environment, their descendants, and its PostgreSQL.

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
    if pid := postgres.running(settings.home / "postgres"):
        server = psutil.Process(pid)
        found |= {each.pid: each for each in (server, *server.children(recursive=True))}
    return [process for pid, process in found.items() if pid not in own]


def orphans(settings: Settings) -> list[psutil.Process]:
    """Processes of this stack that its supervisor has lost: children of a part that was killed."""
    running = supervisor_process(settings)
    known = {running.pid, *(each.pid for each in running.children(recursive=True))} if running else set()
    return [process for process in leftovers(settings) if process.pid not in known]


def started_here(settings: Settings) -> bool:
    """Tell whether this very process started the stack that runs: it may stop that one, and no other."""
    return any(_environment(process).get(STARTER) == THIS_PROCESS for process in leftovers(settings))


@contextmanager
def stopping_what_it_starts(say: Say = print) -> Iterator[None]:
    """Stop the stack at the end of the block if it was started within. A stack that ran before stays up.

    Where the next start has its DAGs from is then as it was before, too.
    """
    dags_before = bundles.chosen(Settings.load().home)
    try:
        yield
    finally:
        if started_here(Settings.load()):
            down(say)
        if supervisor_process(Settings.load()) is None:
            choose_dags(dags_before)


def _environment(process: psutil.Process) -> dict[str, str]:
    try:
        return process.environ()
    except (psutil.Error, OSError):
        return {}


def end(processes: list[psutil.Process], patience: float = 15) -> None:
    """Ask processes to end, and kill those that do not."""
    for act in ("terminate", "kill"):
        for process in processes:
            try:
                getattr(process, act)()
            except psutil.NoSuchProcess:
                continue
        processes = _still_alive(processes, patience)
        if not processes:
            return


def _still_alive(processes: list[psutil.Process], patience: float) -> list[psutil.Process]:
    """Return those of these processes that have not ended in time."""
    deadline = Deadline(patience)
    while processes and not deadline.passed():
        processes = psutil.wait_procs(processes, timeout=deadline.seconds - deadline.elapsed)[1]
    return processes


def status(settings: Settings) -> list[dict[str, Any]]:
    """One record a part: name, state (supervisor's word), pid, uptime in seconds, memory in bytes (with children)."""
    running = supervisor_process(settings)
    known: dict[str, Any] = {}
    if running:
        try:
            known = {info["name"]: info for info in supervisor(settings).getAllProcessInfo()}
        except (OSError, HTTPException, xmlrpc.client.Error):
            known = {}
    records = []
    wanted = [part for part in ON_DEMAND if known.get(part, {}).get("statename", "STOPPED") != "STOPPED"]
    for part in (*PARTS, *wanted):
        info = known.get(part, {})
        up = info.get("statename") == "RUNNING"
        records.append(
            {
                "part": part,
                "state": info.get(
                    "statename", "UNKNOWN" if running else "STOPPED"
                ),  # supervisor may be too busy to say
                "pid": info["pid"] if up else None,
                "uptime": info["now"] - info["start"] if up else None,
                "memory": _memory(info["pid"]) if up else None,
            }
        )
    return records


def health(settings: Settings) -> dict[str, str]:
    """Airflow's own word on its parts: part -> "healthy" or why not."""
    try:
        answer = httpx.get(f"{settings.url}/api/v2/monitor/health", timeout=ANSWER_WITHIN, trust_env=False).json()
        return {part: report.get("status") or "not started" for part, report in answer.items()}
    except (httpx.HTTPError, ValueError, KeyError) as error:
        return {"api-server": f"no answer ({type(error).__name__})"}


def healthy(settings: Settings) -> bool:
    """Tell whether every part of Airflow says that it is healthy."""
    return all_healthy(health(settings))


def all_healthy(parts: Mapping[str, str]) -> bool:
    """Tell whether what `health` returned is good news."""
    wanted = ("metadatabase", "scheduler", "triggerer", "dag_processor")
    return all(parts.get(part) == "healthy" for part in wanted)


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
        _wait_for("postgres", lambda: _database_answers(settings), settings, patience, say)
        _migrate(settings, say)
        states = _states(rpc)
        if states["parameter-store"] not in ("RUNNING", "STARTING"):
            rpc.startProcess("parameter-store", False)
        # Before anything of Airflow, which takes its connections from there.
        _wait_for("parameter-store", lambda: _parameters_answer(settings), settings, patience, say)
        for part in ("catcher", *AIRFLOW_PARTS):
            if states[part] not in ("RUNNING", "STARTING"):
                rpc.startProcess(part, False)
        _wait_for("catcher", lambda: _catcher_answers(settings), settings, patience, say)
        _wait_for("Airflow", lambda: healthy(settings), settings, patience, say)
    return settings


def choose_dags(dags: str | None) -> None:
    """Note where the DAGs of the next start are from, "local" or "git"; as it was if None.

    :raises StackError: it is neither, or the stack runs with the other, or there is no commit to begin with
    """
    settings = Settings.load()
    try:
        bundles.choose(settings.home, PROJECT, dags, running=supervisor_process(settings) is not None)
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

    _wait_for(", ".join(parts), back, settings, patience, say)


def down(say: Say = print) -> bool:
    """Stop the stack and everything that belongs to it. Returns whether there was anything to stop."""
    settings = Settings.load()
    with _one_at_a_time(settings.home, "stopping"):
        process = supervisor_process(settings)
        orphans = leftovers(settings)
        if process:
            say("stopping the stack")
            try:
                rpc = supervisor(settings)
                _stop_api_clients_first(rpc)
                rpc.stopAllProcesses(True)
                rpc.shutdown()
            except (OSError, HTTPException, xmlrpc.client.Error):
                process.terminate()
            _still_alive([process], 90)
        end([each for each in orphans if each.is_running()])
        (settings.home / "supervisord.pid").unlink(missing_ok=True)
    return bool(process or orphans)


def _stop_api_clients_first(rpc: Any, patience: float = 45) -> None:
    """Stop the clients of the API server at once, while it and the database still answer.

    Supervisor's own shutdown would stop one part after the other, and PostgreSQL among the first.
    """
    states = _states(rpc)
    clients = [part for part in CLIENTS_OF_API if states[part] in ("RUNNING", "STARTING", "BACKOFF")]
    for part in clients:
        rpc.stopProcess(part, False)
    for _ in looks(patience, 0.1):  # supervisor kills the slowest after 30 s
        states = _states(rpc)
        if not any(states[part] == "STOPPING" for part in clients):
            return


def log_tail(settings: Settings, part: str, lines: int = 20) -> str:
    """The end of a part's log."""
    try:
        return "\n".join((settings.home / "logs" / f"{part}.log").read_text(errors="replace").splitlines()[-lines:])
    except FileNotFoundError:
        return ""


@contextmanager
def _one_at_a_time(home: Path, work: str) -> Iterator[None]:
    """Let one command at a time start or stop the stack.

    :param work: "starting" or "stopping", for `at_work`
    """
    with (home / "lock").open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise StackError(f"another `answers up` or `answers down` works on {home}: wait for it") from None
        lock.truncate(0)
        lock.write(work)
        lock.flush()
        yield


def at_work(settings: Settings) -> str | None:
    """Tell what a command does to the stack at this moment: "starting", "stopping", or None."""
    try:
        with (settings.home / "lock").open() as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return lock.read() or "starting"
    except FileNotFoundError:
        pass
    return None


def condition(parts: Sequence[Mapping[str, Any]], work: str | None, healthy: bool) -> str:
    """Tell how the stack is as a whole.

    :param parts: as `status` returns them
    :param work: as `at_work` returns it
    :param healthy: whether Airflow says that its parts are
    :returns: not running, starting, stopping, incomplete (a part has ended or failed), not healthy, or running
    """
    states = {part["state"] for part in parts}
    if work:
        return work
    if states == {"STOPPED"}:
        return "not running"
    if states & {"STARTING", "BACKOFF"}:
        return "starting"
    if states != {"RUNNING"}:
        return "incomplete"
    return "running" if healthy else "not healthy"


def _refuse_without_room(home: Path) -> None:
    """Say which of memory and disk is too small for the stack with one Spark job, before anything is started.

    :raises StackError: one is
    """
    memory, disk = (int(os.environ.get(f"ANSWERS_MIN_{name}", least)) for name, least in LEAST.items())
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
    if orphans := leftovers(settings):
        say(f"ending {len(orphans)} processes that a crash left behind")
        end(orphans)
    _refuse_without_room(settings.home)
    (settings.home / "supervisord.pid").unlink(missing_ok=True)
    settings, notes = settings.with_ports()
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

    _wait_for("supervisor", answers, settings, 30, say)
    (settings.home / "session").write_text(str(os.getsid(supervisor(settings).getPID())))
    return settings


def _wait_for(what: str, ready: Callable[[], bool], settings: Settings, patience: float, say: Say) -> None:
    """Wait until `ready`.

    :raises StackError: a part keeps failing, or the time is up
    """

    def look() -> bool:
        if ready():
            return True
        for record in status(settings):
            if record["state"] == "FATAL":
                part = record["part"]
                raise StackError(f"{part} keeps failing ({settings.home / 'logs'})\n{log_tail(settings, part)}".strip())
        return False

    def detail() -> str:
        states = ", ".join(f"{name}: {state}" for name, state in health(settings).items())
        return f"({settings.home / 'logs'}) {states}\n{log_tail(settings, what)}"

    wait_until(look, patience, what, say=say, detail=detail, error=StackError)


def _database_answers(settings: Settings) -> bool:
    import psycopg2

    try:
        psycopg2.connect(_dsn(settings, "postgres"), connect_timeout=ANSWER_WITHIN).close()
    except psycopg2.OperationalError:
        return False
    return True


def _parameters_answer(settings: Settings) -> bool:
    try:
        return httpx.get(f"{settings.parameter_store}/requests", timeout=ANSWER_WITHIN, trust_env=False).is_success
    except httpx.HTTPError:
        return False


def _catcher_answers(settings: Settings) -> bool:
    try:
        url = f"http://127.0.0.1:{settings.ports['catcher']}/health"
        return httpx.get(url, timeout=ANSWER_WITHIN, trust_env=False).is_success
    except httpx.HTTPError:
        return False


def _dsn(settings: Settings, name: str) -> str:
    return settings.database(name).replace("+psycopg2", "")


def _migrate(settings: Settings, say: Say) -> None:
    """Prepare the metadata database. A new one is built under another name: if it is called airflow, it is complete."""
    from importlib.metadata import version

    import psycopg2

    server = psycopg2.connect(_dsn(settings, "postgres"))
    server.autocommit = True
    try:
        with server.cursor() as cursor:
            cursor.execute("SELECT 1 FROM pg_database WHERE datname = 'airflow'")
            exists = cursor.fetchone() is not None
            stamp = settings.home / "bootstrapped.json"
            prepared = sha256((PROJECT / "answers/stack/bootstrap.py").read_bytes()).hexdigest()
            pools = settings.environment()["ANSWERS_POOLS"]
            made_with = json.dumps([version("apache-airflow"), pools, sys.prefix, prepared])
            if exists and stamp.exists() and stamp.read_text() == made_with:
                return
            say("migrating the metadata database" if exists else "creating the metadata database")
            name = "airflow" if exists else "airflow_building"
            if not exists:
                cursor.execute("DROP DATABASE IF EXISTS airflow_building")
                cursor.execute("CREATE DATABASE airflow_building")
            log = settings.home / "logs" / "bootstrap.log"
            environment = settings.environment() | {"AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": settings.database(name)}
            with log.open("w") as output:
                command = [sys.executable, "-m", "answers.stack.bootstrap"]
                code = subprocess.run(command, cwd=PROJECT, env=environment, stdout=output, stderr=output).returncode
            if code:
                raise StackError(
                    f"the metadata database could not be prepared ({log})\n{log_tail(settings, 'bootstrap')}"
                )
            if not exists:
                cursor.execute("ALTER DATABASE airflow_building RENAME TO airflow")
            stamp.write_text(made_with)
    finally:
        server.close()


def _memory(pid: int) -> int:
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
