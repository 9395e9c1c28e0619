"""Runs a process that has Airflow imported and forks workers on request; nothing of a DAG file ever runs in it.

Run as `python -m dag_integrity.zygote FD`, FD being a socket to the command. protocol.py has the messages.
"""

from __future__ import annotations

import contextlib
import ctypes
import faulthandler
import gc
import logging
import os
import resource
import select
import signal
import socket
import sys
import time
import traceback
from typing import Any

from dag_integrity import protocol

LINUX = sys.platform == "linux"
PATIENCE = 0.5  # seconds for workers to end when the command has
SET_DEATH_SIGNAL, SET_SUBREAPER = 1, 36  # of prctl(2)


def main() -> None:
    """Import Airflow, say so, and fork workers until the command closes the socket."""
    control = socket.socket(fileno=int(sys.argv[1]))
    if LINUX:
        _prctl(SET_DEATH_SIGNAL, signal.SIGKILL)
        _prctl(SET_SUBREAPER, 1)  # what a DAG file starts and abandons becomes our child, and is ended
    os.setpgid(0, 0)  # Ctrl-C is for the command alone, which ends this process in order
    gc.disable()
    start = protocol.decode(control.makefile("rb").readline())
    assert isinstance(start, protocol.Start)
    os.environ.update(start.environment)
    try:
        from dag_integrity import parser
    except BaseException as error:
        text = f"Airflow cannot be imported by {sys.executable}: {type(error).__name__}: {error}"
        control.sendall(protocol.encode(protocol.Fatal(text)))
        return
    _forget_own_packages()
    import airflow
    from airflow import settings

    settings.configure_vars()
    if airflow.__version__.startswith("3.0."):
        _install_secrets_masker()
    parser.warm_up()
    gc.freeze()
    sys.dont_write_bytecode = True  # the folders of the DAGs are not ours to write into
    signal.signal(signal.SIGCHLD, lambda *_: None)
    wakeup, alarm = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC) if LINUX else os.pipe()
    os.set_blocking(alarm, False)
    signal.set_wakeup_fd(alarm)
    control.sendall(protocol.encode(protocol.Ready(airflow.__version__)))
    _serve(control, start.options, wakeup, alarm)


def _install_secrets_masker() -> None:
    """Give Airflow 3.0 its masker, as its logging does: without it, a Connection with a password is an error in a DAG file."""
    from airflow.sdk.execution_time.secrets_masker import SecretsMasker

    logging.getLogger("airflow.task").addFilter(SecretsMasker())


def _serve(control: socket.socket, options: dict[str, Any], wakeup: int, alarm: int) -> None:
    """Fork workers and tell of their ends until the command closes the socket: never returns."""
    workers: dict[int, int] = {}
    while True:
        inputs: list[Any] = [control, wakeup]
        ready = select.select(inputs, [], [])[0]
        if wakeup in ready:
            os.read(wakeup, 4096)
            for number, status in _reap(workers):
                control.sendall(protocol.encode(protocol.Ended(number, status)))
        if control in ready:
            data, fds, _, _ = socket.recv_fds(control, 65536, 8)
            if not data:
                _let_end(workers, wakeup)
                _end_children()
                os._exit(0)  # tidying up all of Airflow would take a third of a second
            for line, fd in zip(data.splitlines(), fds, strict=True):
                asked = protocol.decode(line)
                assert isinstance(asked, protocol.Spawn)
                if (pid := os.fork()) == 0:
                    os.close(alarm)
                    signal.set_wakeup_fd(-1)
                    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                    control.close()
                    _work(fd, options)
                os.close(fd)
                workers[pid] = asked.number
                control.sendall(protocol.encode(protocol.Spawned(asked.number, pid)))


def _work(fd: int, options: dict[str, Any]) -> None:
    """Be a worker until the end of this process: it never returns."""
    from dag_integrity import parser

    status = protocol.OWN_FAILURE
    try:
        os.setpgid(0, 0)
        if LINUX:
            _prctl(SET_DEATH_SIGNAL, signal.SIGKILL)
            _limit_memory(options["memory"])
        trace = os.open(options["traces"] + f"/{os.getpid()}", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        faulthandler.enable(trace, all_threads=False)
        faulthandler.register(signal.SIGUSR1, trace, all_threads=False)
        channel = socket.socket(fileno=fd)
        own, worker = os.getpid(), parser.Parser(options)
        for line in channel.makefile("rb"):
            job = protocol.decode(line)
            assert isinstance(job, protocol.Job)
            channel.sendall(protocol.encode(protocol.Begin(job.id, time.process_time())))
            try:
                result = worker.parse(job.file, job.doc, job.later)
            except Exception as error:  # of the check itself, or of what the file did to this process
                text = f"cannot be checked: {type(error).__name__}: {error}"
                result = protocol.Result(findings=[("AA103", 1, None, text)], retire=True)
            finally:
                if os.getpid() != own:
                    os._exit(0)  # a fork that the DAG file made and that ran to the file's end
            result.id = job.id
            channel.sendall(protocol.encode(result))
            if result.retire:
                break
        status = 0
    except BaseException:
        traceback.print_exc()  # the command shows the last line
        raise
    finally:
        os._exit(status)


def _forget_own_packages() -> None:
    """Take the checkout that the checker is run from off `sys.path`: a DAG project may have packages of the same names."""
    source = os.path.dirname(os.path.dirname(os.path.realpath(__file__)))
    if "site-packages" not in source:
        own = (source, os.path.dirname(os.path.dirname(os.path.dirname(source))))
        sys.path[:] = [entry for entry in sys.path if entry and os.path.realpath(entry) not in own]


def _limit_memory(megabytes: int) -> None:
    """Limit what the process may allocate beyond what it has."""
    with open("/proc/self/statm", encoding="ascii") as file:
        data = int(file.read().split()[5]) * resource.getpagesize()
    limit = data + megabytes * 2**20
    _, hard = resource.getrlimit(resource.RLIMIT_DATA)
    resource.setrlimit(resource.RLIMIT_DATA, (limit if hard == resource.RLIM_INFINITY else min(limit, hard), hard))
    resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))


def _reap(workers: dict[int, int]) -> list[tuple[int, int]]:
    """Return number and exit status of the workers that have ended, with what they had started."""
    ended: list[tuple[int, int]] = []
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return ended
        if not pid:
            break
        if (number := workers.pop(pid, None)) is not None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(pid, signal.SIGKILL)
            ended.append((number, os.waitstatus_to_exitcode(status)))
    if LINUX:
        for pid in _children():
            if pid not in workers:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
    return ended


def _let_end(workers: dict[int, int], wakeup: int) -> None:
    """Let idle workers, whose sockets are closed, end by themselves."""
    deadline = time.monotonic() + PATIENCE
    while workers and select.select([wakeup], [], [], max(0.0, deadline - time.monotonic()))[0]:
        os.read(wakeup, 4096)
        _reap(workers)


def _end_children() -> None:
    """End everything below, however deep it was started."""
    for _ in range(50):
        children = _children()
        for pid in children:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        try:
            os.waitpid(-1, 0)
        except ChildProcessError:
            return


def _children() -> list[int]:
    import psutil

    return [child.pid for child in psutil.Process().children()]


def _prctl(option: int, value: int) -> None:
    ctypes.CDLL(None).prctl(option, value, 0, 0, 0)


if __name__ == "__main__":
    main()
