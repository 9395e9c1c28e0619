"""Drives a probe: forks a confined child for each step, takes its answer through a pipe, and alone writes the evidence.

This process never imports the candidate's code; the children do. What the code raises is evidence; `CannotTell` is for what is
the machine's fault.
"""

from __future__ import annotations

import hashlib
import importlib.util
import io
import json
import os
import resource
import select
import signal
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from types import ModuleType
from typing import Any

from answers.exercise import confine, steps
from answers.process_tree import kill_descendants
from include.waiting import Deadline, exact_deadline

LARGEST = 20 << 20  # bytes of one result
SECONDS = 40.0  # that a step may take on the recorded machine
TABLE, VALUE = b"T", b"V"
Recorded = dict[str, Any]


class CannotTell(Exception):
    """Reports that this machine, and not the candidate's code, keeps a step from being done."""


class Driver:
    """Does steps and records them.

    :param request: what probing.py asks for: folders, values of the variant, how slow the machine is.
    """

    def __init__(self, request: dict[str, Any]) -> None:
        self.told: dict[str, Any] = request["variant"]["told"]
        self.hidden: dict[str, Any] = request["variant"]["hidden"]
        self.project, self.start, self.home = (Path(request[name]) for name in ("project", "start", "home"))
        self.evidence, self.ticket = Path(request["evidence"]), Path(request["ticket"])
        self.seals: dict[str, str] = {}
        self.costs: dict[str, list[float]] = {}  # seconds by the clock and of CPU, by step
        self.ports: list[int] | None = [] if request["tier"] in ("parse", "call", "dag") else None
        self.servers: list[int] = []  # processes of this probe that outlive a step
        self.shared_memory: list[Path] = []  # folders: this probe's own, or none
        self._patience: float = request["patience"]

    def inside(self, name: str, function: Callable[..., Any], *arguments: Any, seconds: float = SECONDS) -> Recorded:
        """Call a function in a confined child that sees the candidate's code, and record what it returns or raises.

        The function imports the code itself, in its body. It may return what JSON can hold, or an Arrow table or a data frame.

        :param name: of the evidence: letters, digits, hyphens; each name once.
        :param seconds: that it may take on the recorded machine; a slower one gets more.
        :returns: {"value"} or {"error": {"type", "message", "trace"}}; for a table {"table": rows}.
        """
        self._require_new(name)
        began, used = time.monotonic(), _cpu()
        kind, payload = self._fork(function, arguments, seconds * self._patience)
        self.costs[name] = [round(time.monotonic() - began, 1), round(_cpu() - used, 1)]
        if kind == TABLE:
            return self._record_table(name, payload)
        recorded: Recorded = json.loads(payload)
        self._write(f"{name}.json", json.dumps(recorded).encode())
        return recorded

    def note(self, name: str, value: Any) -> None:
        """Record something that the driver itself has seen, such as what a server was sent."""
        self._require_new(name)
        self._write(f"{name}.json", json.dumps({"value": value}, default=str).encode())

    def _fork(self, function: Callable[..., Any], arguments: Sequence[Any], seconds: float) -> tuple[bytes, bytes]:
        reading, writing = os.pipe()
        sys.stdout.flush()
        sys.stderr.flush()
        pid = os.fork()
        if pid == 0:
            os.close(reading)
            self._child(writing, function, arguments)
        os.close(writing)
        try:
            payload = _read(reading, exact_deadline(seconds))
        finally:
            os.close(reading)
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            kill_descendants(os.getpid(), self.servers)
        if payload is None:
            return VALUE, _error("TimedOut", f"was still running after {seconds:.0f} s")
        if not payload:
            return VALUE, _error("Ended", "the process ended without an answer")
        return payload[:1], payload[1:]

    def _child(self, writing: int, function: Callable[..., Any], arguments: Sequence[Any]) -> None:
        payload = VALUE + _error("Ended", "the process ended without an answer")
        try:
            os.setpgid(0, 0)
            confine.die_with_parent()
            os.dup2(writing, 3)
            os.closerange(4, 4096)
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            signal.signal(signal.SIGINT, signal.SIG_DFL)
            write = [self.project, self.home, *self.shared_memory]
            confine.confine([*confine.interpreter(), *steps.caches()], write, self.ports)
            os.chdir(self.home)
            payload = _as_bytes(function(*arguments))
        except BaseException as error:  # the candidate's code may raise anything
            traceback.print_exc()
            payload = VALUE + _error(type(error).__name__, str(error), traceback.format_exc())
        finally:
            with suppress(OSError), os.fdopen(3, "wb") as pipe:
                pipe.write(payload)
            os._exit(0)

    def _require_new(self, name: str) -> None:
        if not name.replace("-", "").replace("_", "").isalnum():
            raise ValueError(f"{name!r}: a name of evidence has letters, digits, hyphens")
        if f"{name}.json" in self.seals or f"{name}.parquet" in self.seals:
            raise ValueError(f"{name!r} was recorded before: each name once")

    def _record_table(self, name: str, payload: bytes) -> Recorded:
        self._write(f"{name}.parquet", payload)
        return {"table": len(payload)}

    def _write(self, file: str, content: bytes) -> None:
        if len(content) > LARGEST:
            raise CannotTell(f"the evidence {file} has {len(content) >> 20} MB, more than {LARGEST >> 20}")
        (self.evidence / file).write_bytes(content)
        self.seals[file] = hashlib.sha256(content).hexdigest()


def _cpu() -> float:
    """Return the CPU seconds of this process's children that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _as_bytes(value: Any) -> bytes:
    if hasattr(value, "to_parquet") or hasattr(value, "schema"):
        import pyarrow
        from pyarrow import parquet

        table = pyarrow.Table.from_pandas(value, preserve_index=False) if hasattr(value, "to_parquet") else value
        stream = io.BytesIO()
        parquet.write_table(table, stream)
        return TABLE + stream.getvalue()
    return VALUE + json.dumps({"value": value}, default=str).encode()


def _error(kind: str, message: str, trace: str = "") -> bytes:
    return json.dumps({"error": {"type": kind, "message": message[-2000:], "trace": trace[-8000:]}}).encode()


def _read(pipe: int, deadline: Deadline) -> bytes | None:
    """Read all that comes through a pipe. None when the time is up first."""
    parts: list[bytes] = []
    while not deadline.passed():
        if not select.select([pipe], [], [], max(0, deadline.seconds - deadline.elapsed))[0]:
            return None
        part = os.read(pipe, 1 << 16)
        if not part:
            return b"".join(parts)
        parts.append(part)
        if sum(map(len, parts)) > LARGEST:
            return VALUE + _error("TooMuch", f"the answer has more than {LARGEST >> 20} MB")
    return None


def load_module(name: str, file: Path) -> ModuleType:
    """Import a module from a file, under a name of its own."""
    known = sys.modules.get(f"ticket_{name}")
    if known is not None and known.__file__ == str(file):
        return known
    spec = importlib.util.spec_from_file_location(f"ticket_{name}", file)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module
