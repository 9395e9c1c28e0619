"""Starts zygotes. Light to import, so that the first one is under way before the command line is even read."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

OWN = Path(__file__).resolve().parents[1]
# What leads to a database, a secrets backend or a real home, and what Python read when it started.
LEFT_OUT = (
    "AIRFLOW__DATABASE__", "AIRFLOW__SECRETS__", "AIRFLOW__WORKERS__SECRETS", "AIRFLOW__CELERY__", "AIRFLOW__LOGGING__",
    "AIRFLOW__METRICS__", "AIRFLOW__TRACES__", "AIRFLOW__CORE__SQL_ALCHEMY", "PYTHONHASHSEED", "PYTHONPATH",
    "PYTHONSTARTUP", "PYTHONINSPECT",
)  # fmt: skip


@dataclass
class Zygote:
    """A process on its way to have Airflow imported: see zygote.py."""

    process: subprocess.Popen[bytes]
    control: socket.socket
    log: IO[bytes]

    def configure(self, environment: dict[str, str], options: dict[str, Any]) -> None:
        """Say what Airflow is imported with. It waits for this."""
        message = json.dumps({"environment": environment, "options": options}).encode() + b"\n"
        with contextlib.suppress(OSError):  # its end is noticed in time
            self.control.sendall(message)

    def last_words(self) -> str:
        """The last line that it wrote."""
        self.log.seek(0)
        return " ".join(self.log.read().decode(errors="replace").strip().splitlines()[-1:])

    def close(self) -> None:
        """End it and everything that it started."""
        with contextlib.suppress(OSError):
            self.control.shutdown(socket.SHUT_RDWR)
        self.control.close()
        try:
            self.process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.log.close()


_ahead: list[Zygote] = []


def ahead() -> None:
    """Start the first zygote now."""
    _ahead.append(launch(0))


def take(seed: int) -> Zygote:
    """A zygote with this hash seed: the one that was started ahead, or a new one."""
    return _ahead.pop() if seed == 0 and _ahead else launch(seed)


def drop() -> None:
    """End what was started ahead and not needed."""
    while _ahead:
        zygote = _ahead.pop()
        zygote.process.kill()
        zygote.close()


def launch(seed: int) -> Zygote:
    """Start a zygote whose hash seed is `seed`."""
    environment = {
        **inherited(),
        "PYTHONHASHSEED": str(seed),
        "PYTHONPATH": os.pathsep.join(filter(None, [str(OWN), os.environ.get("PYTHONPATH")])),
        "OBJC_DISABLE_INITIALIZE_FORK_SAFETY": "YES",  # macOS
    }
    ours, theirs = socket.socketpair()
    log = tempfile.TemporaryFile()  # noqa: SIM115 - lives as long as the zygote
    with theirs:
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", "dag_integrity.zygote", str(theirs.fileno())],
            env=environment, pass_fds=[theirs.fileno()], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=log,
        )  # fmt: skip
    return Zygote(process, ours, log)


def inherited() -> dict[str, str]:
    """The caller's environment, as far as parsers get it."""
    return {name: value for name, value in os.environ.items() if not name.startswith(LEFT_OUT)}
