"""Starts zygotes: the processes that import Airflow and fork workers (zygote.py)."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from typing import IO

from dag_integrity import protocol

# What leads to a database, a secrets backend or a real home, and what Python read when it started.
LEFT_OUT = (
    "AIRFLOW__DATABASE__", "AIRFLOW__SECRETS__", "AIRFLOW__WORKERS__SECRETS", "AIRFLOW__CELERY__", "AIRFLOW__LOGGING__",
    "AIRFLOW__METRICS__", "AIRFLOW__TRACES__", "AIRFLOW__CORE__SQL_ALCHEMY", "PYTHONHASHSEED", "PYTHONSTARTUP",
    "PYTHONINSPECT",
)  # fmt: skip


@dataclass
class Zygote:
    """A running zygote."""

    process: subprocess.Popen[bytes]
    control: socket.socket
    log: IO[bytes]

    def last_words(self) -> str:
        """Return the last line that it wrote."""
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


def launch(seed: int, start: protocol.Start) -> Zygote:
    """Start a zygote.

    :param seed: its hash seed: sets have another order with another seed
    :param start: what it imports Airflow with
    """
    environment = {
        **inherited(),
        "PYTHONHASHSEED": str(seed),
        "OBJC_DISABLE_INITIALIZE_FORK_SAFETY": "YES",  # macOS
    }
    ours, theirs = socket.socketpair()
    log = tempfile.TemporaryFile()  # noqa: SIM115 - lives as long as the zygote
    with theirs:
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", "dag_integrity.zygote", str(theirs.fileno())],
            env=environment, pass_fds=[theirs.fileno()], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=log,
        )  # fmt: skip
    with contextlib.suppress(OSError):  # its end is noticed in time
        ours.sendall(protocol.encode(start))
    return Zygote(process, ours, log)


def inherited() -> dict[str, str]:
    """Return the caller's environment, as far as parsers get it."""
    return {name: value for name, value in os.environ.items() if not name.startswith(LEFT_OUT)}
