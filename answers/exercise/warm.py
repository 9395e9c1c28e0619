"""Keeps a warm process, which has imported Airflow or computed the raw flights, and forks probes or judges from it: for proofs.

A proof makes a dozen checks of one ticket, and each would import Airflow and make its application anew: nine of fifteen seconds.
What is forked has nothing of the check before it. It needs folders of the same names in each check, since Airflow remembers its
database's. A candidate's check starts a process of its own: there is only one of it, and its code is a stranger's.

Run as `python -P -m answers.exercise.warm MODULE` by `Warm`; reads a line of JSON for each process that is wanted.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import signal
import subprocess
import sys
import traceback
from pathlib import Path
from select import select
from typing import Any

from answers.exercise import confine
from include.waiting import exact_deadline


class Warm:
    """Starts the process when it is first asked for one to be forked, and ends it with the block.

    :param module: "probe" or "judge"
    """

    def __init__(self, module: str) -> None:
        self._module = module
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Warm:
        return self

    def __exit__(self, *_: object) -> None:
        if self._process:
            self._process.kill()
            self._process.communicate()

    def start(self, request: Path, environment: dict[str, str], cwd: Path, log: Path) -> Forked:
        """Fork a process that does a request, as `python -m answers.exercise.MODULE REQUEST` would.

        :raises OSError: the process is gone.
        """
        if self._process is None:
            command = [sys.executable, "-P", "-m", "answers.exercise.warm", self._module]
            pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
            with log.open("ab") as stderr:
                self._process = subprocess.Popen(
                    command, cwd="/", env=environment, stderr=stderr, start_new_session=True, bufsize=0, **pipes
                )
        words = {"request": str(request), "environment": environment, "cwd": str(cwd), "log": str(log)}
        assert self._process.stdin
        self._process.stdin.write(json.dumps(words).encode() + b"\n")
        return Forked(self._process)


class Forked:
    """Offers of a forked process what is needed of a Popen."""

    def __init__(self, parent: subprocess.Popen[bytes]) -> None:
        assert parent.stdout
        self._from = parent.stdout
        self._rest = b""
        self._output = b""
        self.returncode: int | None = None
        self.stdout: Forked | None = self
        self.pid = int(self._line(None)["pid"])

    def _line(self, seconds: float | None) -> dict[str, Any]:
        """Return the next line that is about the process; what it has printed itself is kept."""
        deadline = exact_deadline(seconds) if seconds is not None else None
        while True:
            while b"\n" in self._rest:
                line, _, self._rest = self._rest.partition(b"\n")
                if line.startswith(b'{"warm": '):
                    told: dict[str, Any] = json.loads(line)["warm"]
                    return told
                self._output += line + b"\n"
            left = None if deadline is None else max(0.0, deadline.seconds - deadline.elapsed)
            if not select([self._from], [], [], left)[0]:
                raise subprocess.TimeoutExpired("warm", seconds or 0)
            if not (part := os.read(self._from.fileno(), 1 << 16)):
                raise OSError("the process that forks is gone")
            self._rest += part

    def wait(self, timeout: float | None = None) -> int:
        """Wait until it has ended.

        :raises subprocess.TimeoutExpired: it has not.
        """
        if self.returncode is None:
            self.returncode = int(self._line(timeout)["exited"])
        return self.returncode

    def poll(self) -> int | None:
        """Return its exit code, None while it runs."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            return self.wait(0)
        return None

    def send_signal(self, number: int) -> None:
        """Send it a signal."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        """Kill it."""
        self.send_signal(signal.SIGKILL)

    def read(self) -> bytes:
        """Return what it has printed."""
        return self._output

    def close(self) -> None:
        """Forget what it has printed."""
        self._output = b""


def main() -> None:
    """Fork a process for each line that is read; tell its id, then its exit code."""
    confine.die_with_parent()
    name = sys.argv[1]
    told = os.fdopen(os.dup(1), "w")
    prepared = False
    for line in sys.stdin:
        wanted = json.loads(line)
        if not prepared:
            prepared = True
            _prepare(name, wanted)
        pid = os.fork()
        if pid == 0:
            _become(name, wanted)
        for about in ({"pid": pid}, None):
            fact = about or {"exited": os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])}
            told.write(json.dumps({"warm": fact}) + "\n")
            told.flush()


def _prepare(name: str, wanted: dict[str, Any]) -> None:
    """Import and compute what all processes need; where that fails, each of them does it for itself and says why."""
    module = importlib.import_module(f"answers.exercise.{name}")
    try:
        module.prepare(json.loads(Path(wanted["request"]).read_text(encoding="utf-8")))
    except Exception:
        traceback.print_exc()


def _become(name: str, wanted: dict[str, Any]) -> None:
    """Turn this fork into the process that was wanted."""
    try:
        os.setsid()
        os.chdir(wanted["cwd"])
        log = os.open(wanted["log"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        os.dup2(log, 2)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.environ.clear()
        os.environ.update(wanted["environment"])
        importlib.invalidate_caches()
        sys.argv = [name, wanted["request"]]
        importlib.import_module(f"answers.exercise.{name}").main()
        sys.stdout.flush()
        os._exit(0)
    except SystemExit as error:
        print(error, file=sys.stderr)
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(1)


if __name__ == "__main__":
    main()
