"""Hands files to workers that parse them, watches, ends and replaces the workers. The command's side of zygote.py."""

from __future__ import annotations

import contextlib
import os
import re
import selectors
import signal
import socket
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

from dag_integrity import protocol
from dag_integrity.launch import Zygote, launch
from dag_integrity.protocol import Job, Result

AHEAD = 3  # files that a worker is given at a time, so that it never waits for the command
LAST_WORDS = 0.5  # seconds for a worker that is late to say where it is
# A slow or busy machine gives a file little CPU: only who computes nothing at all for so many timeouts hangs.
STALLED, ENDLESS = 2, 20
PROGRESS = 0.5  # seconds of CPU


class CannotCheck(Exception):
    """The check itself cannot run; the message says why."""


@dataclass
class Worker:
    """A process that parses."""

    number: int
    channel: socket.socket
    pid: int | None = None
    given: deque[Job] = field(default_factory=deque)
    current: Job | None = None
    deadline: float = float("inf")
    """When to look whether it is late."""
    begun: float = 0.0
    cpu_before: float = 0.0
    """Seconds of CPU that it had used when it began the current file."""
    progress: tuple[float, float, float] = (0.0, 0.0, 0.0)
    """When it was last seen to compute; the seconds that it had used by then, and those that it had waited for a CPU."""
    parsed: int = 0
    late: str = ""
    """Why it was ended."""
    status: int | None = None
    closed: bool = False
    """It is given nothing more."""
    drained: bool = False
    """All that it said is read."""
    received: bytearray = field(default_factory=bytearray)


class Pool:
    """One zygote and its workers.

    :param environment: of the parsers
    :param seed: the hash seed of its processes
    :param start: what they start with
    :param report: called with each (job, result) as it comes
    """

    def __init__(
        self,
        selector: selectors.BaseSelector,
        seed: int,
        start: protocol.Start,
        jobs: int,
        timeout: float,
        report: Callable[[Job, Result], None],
    ) -> None:
        self._selector, self._size, self._timeout, self._report = selector, jobs, timeout, report
        self._traces = Path(start.options["traces"])
        self.waiting: deque[Job] = deque()
        self.ready = False
        self._workers: dict[int, Worker] = {}
        self._next, self._received = 0, bytearray()
        self._confirmed: set[str] = set()
        self._zygote: Zygote = launch(seed, start)
        self._control = self._zygote.control
        selector.register(self._control, selectors.EVENT_READ, self._from_zygote)

    @property
    def busy(self) -> bool:
        """Tell whether a file is waiting or being parsed."""
        return bool(self.waiting) or any(worker.given for worker in self._workers.values())

    def add(self, job: Job) -> None:
        """Have a file parsed."""
        self.waiting.append(job)

    def step(self) -> None:
        """Hand out files, start workers that are missing, end those that are late."""
        if not self.ready:
            return
        for worker in list(self._workers.values()):
            self._feed(worker)
        idle = sum(not worker.given for worker in self._workers.values())
        while len(self._workers) < self._size and len(self.waiting) > idle * AHEAD:
            self._spawn()
            idle += 1
        now = time.monotonic()
        for worker in self._workers.values():
            if worker.current and now > worker.deadline and not worker.late and worker.pid:
                worker.late = self._overdue(worker, now)
                if not worker.late:
                    continue
                with contextlib.suppress(ProcessLookupError, FileNotFoundError):
                    os.kill(worker.pid, signal.SIGUSR1)  # says where it is
                    while not (self._traces / str(worker.pid)).stat().st_size and time.monotonic() < now + LAST_WORDS:
                        time.sleep(0.01)
                    time.sleep(0.05)
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(worker.pid, signal.SIGKILL)

    def _overdue(self, worker: Worker, now: float) -> str:
        """Tell why the file is given up; nothing when it computes, however slowly, and has CPU time left.

        Only the CPU seconds that a file used are held against it: the clock also counts what the machine does beside.
        """
        import psutil

        try:
            times = psutil.Process(worker.pid).cpu_times()
        except psutil.Error:
            return ""  # it has ended, which the zygote tells
        cpu, passed = times.user + times.system - worker.cpu_before, now - worker.begun
        queued = _seconds_in_queue(worker.pid)
        if cpu >= self._timeout:
            return f"still being parsed after {self._timeout:g} s of CPU"
        if cpu - worker.progress[1] >= PROGRESS:
            worker.progress = (now, cpu, queued)
        idle = now - worker.progress[0] - (queued - worker.progress[2])
        if idle >= STALLED * self._timeout or passed - queued >= ENDLESS * self._timeout:
            return f"still waiting after {passed:.0f} s, in which it computed for {cpu:.1f} s"
        worker.deadline = now + LAST_WORDS
        return ""

    def close(self) -> None:
        """End zygote and workers and everything that they started."""
        for worker in self._workers.values():
            worker.channel.close()
        self._zygote.close()

    def _spawn(self) -> None:
        ours, theirs = socket.socketpair()
        self._next += 1
        worker = self._workers[self._next] = Worker(self._next, ours)
        with theirs:
            socket.send_fds(self._control, [protocol.encode(protocol.Spawn(worker.number))], [theirs.fileno()])
        self._selector.register(ours, selectors.EVENT_READ, lambda: self._from_worker(worker))
        self._feed(worker)

    def _feed(self, worker: Worker) -> None:
        if worker.closed or worker.late or (worker.given and worker.given[-1].alone):
            return
        lines = []
        while self.waiting and len(worker.given) < AHEAD:
            job = self.waiting[0]
            if job.alone and (worker.parsed or worker.given):
                if worker.given or any(not each.parsed and not each.given for each in self._workers.values()):
                    break
                self._retire(worker)  # the job needs a fresh process, and this one is idle
                break
            worker.given.append(self.waiting.popleft())
            lines.append(protocol.encode(job))
            if job.alone:
                break
        if lines:
            with contextlib.suppress(OSError):  # its end is noticed in time
                worker.channel.sendall(b"".join(lines))

    def _retire(self, worker: Worker) -> None:
        with contextlib.suppress(OSError):
            worker.channel.shutdown(socket.SHUT_WR)
        worker.closed = True

    def _from_zygote(self) -> None:
        for message in self._messages(self._control, self._received):
            match message:
                case None:
                    raise CannotCheck(f"the process with Airflow ended: {self._zygote.last_words()}")
                case protocol.Fatal(text):
                    raise CannotCheck(text)
                case protocol.Ready():
                    self.ready = True
                case protocol.Spawned(number, pid) if number in self._workers:
                    self._workers[number].pid = pid
                case protocol.Ended(number, status) if number in self._workers:
                    self._workers[number].status = status
                    self._finish(self._workers[number])

    def _from_worker(self, worker: Worker) -> None:
        for message in self._messages(worker.channel, worker.received):
            if message is None:
                self._selector.unregister(worker.channel)
                worker.channel.close()
                worker.closed = worker.drained = True
                self._finish(worker)
            elif isinstance(message, protocol.Begin):
                worker.current = worker.given[0]
                worker.begun, worker.cpu_before = time.monotonic(), message.cpu
                queued = _seconds_in_queue(worker.pid)
                worker.deadline, worker.progress = worker.begun + self._timeout, (worker.begun, 0.0, queued)
            elif isinstance(message, Result):
                self._done(worker, message)

    def _done(self, worker: Worker, result: Result) -> None:
        job, worker.current, worker.deadline = worker.given.popleft(), None, float("inf")
        alone = worker.parsed == 0
        worker.parsed += 1
        if result.retire:
            worker.closed = True
        if not alone and self._should_confirm(result):
            self.waiting.appendleft(replace(job, alone=True))
        else:
            self._report(job, result)

    def _should_confirm(self, result: Result) -> bool:
        """Tell whether the failure might be due to a file that was parsed before in the same process; each kind is tried once."""
        messages = {message for rule, _, _, message in result.findings if rule in ("AA101", "AA103", "AA104")}
        if result.missing or messages <= self._confirmed:
            return False
        self._confirmed |= messages
        return True

    def _finish(self, worker: Worker) -> None:
        """Report what became of a worker's files, once its last words are read and its status is known."""
        if not worker.drained or worker.status is None:
            return
        del self._workers[worker.number]
        if worker.status == protocol.OWN_FAILURE and worker.current is None:
            raise CannotCheck(f"a process that parses cannot go on: {self._zygote.last_words()}")
        unread = list(worker.given)
        if worker.current is not None:
            job = unread.pop(0)
            if worker.parsed and not worker.late:
                unread.insert(0, replace(job, alone=True))
            else:
                self._report(job, Result(job.id, findings=[self._death(worker, job)], died=True))
        self.waiting.extendleft(reversed(unread))

    def _death(self, worker: Worker, job: Job) -> protocol.Entry:
        line = 1
        with contextlib.suppress(OSError):
            trace = (self._traces / str(worker.pid)).read_text(errors="replace")
            if match := re.search(rf'File "{re.escape(job.file.path)}", line (\d+)', trace):
                line = int(match.group(1))
        status = worker.status or 0
        if worker.late:
            return "AA102", line, None, worker.late
        if status == -signal.SIGKILL:
            return "AA104", line, None, "was killed while it was parsed, as the system does when memory runs out"
        if status < 0:
            return "AA103", line, None, f"ends the process that parses it with {signal.Signals(-status).name}"
        return "AA103", line, None, f"ends the process that parses it: os._exit({status})"

    @staticmethod
    def _messages(channel: socket.socket, received: bytearray) -> list[protocol.Message | None]:
        """Yield whole messages that have arrived; None is the end."""
        try:
            data = channel.recv(1 << 20)
        except OSError:
            data = b""
        received += data
        *lines, rest = bytes(received).split(b"\n")
        received[:] = rest
        messages: list[protocol.Message | None] = [protocol.decode(line) for line in lines if line]
        return messages if data else [*messages, None]


def _seconds_in_queue(pid: int | None) -> float:
    """Tell how long a process has been ready to compute while others had the CPUs; 0 where the system does not say."""
    try:
        return int(Path(f"/proc/{pid}/schedstat").read_text(encoding="ascii").split()[1]) / 1e9
    except (OSError, ValueError, IndexError):
        return 0.0


def parser_environment(home: Path, dags_folder: str, plugins: str, extra: dict[str, str]) -> dict[str, str]:
    """Return the environment that Airflow is imported with: neither database nor secrets backend nor a real home."""
    own = {
        "AIRFLOW_HOME": str(home),
        "AIRFLOW_CONFIG": str(home / "airflow.cfg"),
        "AIRFLOW__CORE__DAGS_FOLDER": dags_folder,
        "AIRFLOW__CORE__PLUGINS_FOLDER": plugins,
        "AIRFLOW__CORE__UNIT_TEST_MODE": "False",
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": "sqlite:///:memory:",
        "AIRFLOW__LOGGING__LOGGING_LEVEL": "CRITICAL",
        "AIRFLOW__LOGGING__BASE_LOG_FOLDER": str(home / "logs"),
        "_AIRFLOW__AS_LIBRARY": "1",  # neither ORM nor log files are set up
    }
    return {"AIRFLOW__CORE__LOAD_EXAMPLES": os.environ.get("AIRFLOW__CORE__LOAD_EXAMPLES", "False"), **extra, **own}
