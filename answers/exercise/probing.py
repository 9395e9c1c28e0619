"""Runs probe and judge as processes, with limits, and leaves none of their processes behind."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import signal
import subprocess
import sys
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from answers.exercise import confine
from answers.exercise.catalogue import Ticket
from answers.exercise.changes import CannotJudge
from answers.exercise.warm import Forked, Warm
from answers.printed import last_document
from answers.process_tree import kill_tree
from include.files import user_cache
from include.waiting import Deadline, slowness

KIT = Path(__file__).resolve().parents[2]
SECONDS, JUDGING = 75.0, 30.0  # of a whole probe, of a judge, on the recorded machine
MEMORY, DISK, PROCESSES = 6 << 30, 3 << 30, 300  # of all that a probe starts: bytes, bytes, how many
LOOK_AT_DISK = 1.0  # seconds
INTERRUPTED = threading.Event()  # ends the probes that other threads wait for


class Overused(Exception):
    """Reports that a candidate's code took more than it may have of memory, disk or processes."""


@dataclass(frozen=True)
class Rooms:
    """Names the folders of one check, all below one that is removed afterwards."""

    root: Path

    @property
    def project(self) -> Path:
        """Return the tree that the candidate's code runs in."""
        return self.root / "project"

    @property
    def start(self) -> Path:
        """Return the tree as it was handed out."""
        return self.root / "start"

    @property
    def kept(self) -> Path:
        """Return the tree that tests run in which must still pass: the candidate's code with the kit's tests."""
        return self.root / "kept"

    @property
    def evidence(self) -> Path:
        """Return the folder of what was recorded; no candidate's process may write there."""
        return self.root / "evidence"

    @property
    def log(self) -> Path:
        """Return the file of what the probe printed."""
        return self.root / "probe.log"


Process = subprocess.Popen[bytes] | Forked


def run_probe(
    ticket: Ticket,
    number: int,
    rooms: Rooms,
    keeps: list[str] | None = None,
    quick: bool = False,
    warm: Warm | None = None,
) -> tuple[str, dict[str, list[float]]]:
    """Run a ticket's probe, or the tests that must be kept.

    :param warm: forks the process of a proof's probe
    :returns: why it did not come to its end by itself, empty if it did; and what each step took: seconds by the clock, of CPU.
    :raises CannotJudge: the machine, or the ticket, is at fault.
    :raises Overused: the candidate's code took too much.
    """
    request = _request(ticket, number) | {"tier": ticket.exercise.tier, "quick": quick, "keeps": keeps or []}
    return _drive(request, rooms, SECONDS, warm)


def run_tests(rooms: Rooms, arguments: list[str], seconds: float) -> None:
    """Run tests in the tree `kept` with pytest, confined as a probe is. What they did is in the evidence `keeps`.

    :raises CannotJudge: the machine is at fault.
    :raises Overused: the candidate's code took too much.
    """
    about = {"ticket": "", "variant": {"told": {}, "hidden": {}}, "tier": "stack", "quick": False, "keeps": arguments}
    _drive(about, rooms, seconds)


def _drive(
    request: dict[str, Any], rooms: Rooms, seconds: float, warm: Warm | None = None
) -> tuple[str, dict[str, list[float]]]:
    part = "keeps" if request["keeps"] else "probe"
    home, evidence = rooms.root / f"home-{part}", rooms.evidence / part
    (home / "tmp").mkdir(parents=True)
    evidence.mkdir(parents=True, mode=0o700)
    project = rooms.kept if request["keeps"] else rooms.project
    request |= {
        "evidence": str(evidence),
        "project": str(project),
        "start": str(rooms.start),
        "home": str(home),
        "patience": slowness(),
        "seconds": seconds,
    }
    paths = [str(project), str(project / "packages/dag-integrity/src"), str(KIT)]
    environment = confine.environment(
        home, PYTHONPATH=os.pathsep.join(paths), ANSWERS_HOME=str(home), ANSWERS_CACHE=str(user_cache())
    )
    file = rooms.root / f"{part}.json"
    command = _command("probe", request, file)
    process = warm.start(file, environment, rooms.root, rooms.log) if warm else _start(command, environment, rooms)
    answer = _follow(process, rooms, home, seconds)
    if answer is None:
        return f"it was still running after {seconds:.0f} s and more", {}
    if answer["ended"] == "cannot tell":
        raise CannotJudge(answer["why"])
    if answer["ended"] == "broken":
        raise CannotJudge(f"the probe is broken: {answer['why'].strip().splitlines()[-1]}")
    _require_sealed(evidence, answer["seals"])
    return "", answer["costs"]


def run_judge(ticket: Ticket, number: int, rooms: Rooms, warm: Warm | None = None) -> list[dict[str, Any]]:
    """Let a ticket's judge decide from the evidence.

    :returns: what `judge.decide` returns.
    :raises CannotJudge: it cannot be run.
    """
    checks = ticket.exercise.checks
    about = {"checks": [check.id for check in checks], "after": {check.id: check.after for check in checks}}
    request = _request(ticket, number) | about | {"evidence": str(rooms.evidence / "probe")}
    home = rooms.root / "home-judge"
    (home / "tmp").mkdir(parents=True, exist_ok=True)
    file = rooms.root / "judge.json"
    command = _command("judge", request, file)
    environment = confine.environment(home, PYTHONPATH=str(KIT))
    seconds = JUDGING * slowness()
    with (home / "judge.log").open("w+b") as log:
        process: Process
        if warm:
            process = warm.start(file, environment, home, home / "judge.log")
        else:
            process = subprocess.Popen(command, env=environment, cwd=home, stdout=subprocess.PIPE, stderr=log)
        try:
            output, code = _output(process, seconds)
        except subprocess.TimeoutExpired:
            raise CannotJudge(f"the judge of {ticket.id} was still at work after {seconds:.0f} s") from None
        if code:
            said = (home / "judge.log").read_text(encoding="utf-8", errors="replace").strip().splitlines() or ["?"]
            raise CannotJudge(f"the judge of {ticket.id} is broken: {said[-1]}")
    verdicts: list[dict[str, Any]] = last_document(output)
    return verdicts


def _output(process: Process, seconds: float) -> tuple[bytes, int]:
    """Return what a process has printed, and its exit code.

    :raises subprocess.TimeoutExpired: it was still at work, and was ended.
    """
    if isinstance(process, Forked):
        try:
            code = process.wait(seconds)
            return process.read(), code
        finally:
            process.kill()
    try:
        return process.communicate(timeout=seconds)[0], process.returncode
    finally:
        process.kill()
        process.wait()


def _request(ticket: Ticket, number: int) -> dict[str, Any]:
    return {
        "ticket": str(ticket.folder),
        "variant": ticket.variant(number).model_dump(),
    }


def _command(module: str, request: dict[str, Any], file: Path) -> list[str]:
    file.write_text(json.dumps(request), encoding="utf-8")
    return [sys.executable, "-P", "-m", f"answers.exercise.{module}", str(file)]


def _start(command: list[str], environment: dict[str, str], rooms: Rooms) -> Process:
    with rooms.log.open("ab") as log:
        return subprocess.Popen(
            command,
            cwd=rooms.root,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=log,
            start_new_session=True,  # Ctrl-C reaches this process only, which then ends all in order
        )


def _follow(process: Process, rooms: Rooms, home: Path, seconds: float) -> dict[str, Any] | None:
    """Wait for the driver's end, or until its time is up: None then."""
    try:
        if not _wait(process, rooms, home, seconds):
            return None
        output = process.stdout.read() if process.stdout else b""
    finally:
        end_driver(process)
    try:
        answer: dict[str, Any] = last_document(output)
    except ValueError:
        tail = rooms.log.read_text(encoding="utf-8", errors="replace").strip().splitlines()[-1:]
        raise CannotJudge(f"the probe ended without an answer ({process.returncode}): {''.join(tail)[:300]}") from None
    return answer


def _wait(process: Process, rooms: Rooms, home: Path, seconds: float) -> bool:
    deadline, looked = Deadline(seconds), 0.0
    while not deadline.passed():
        if INTERRUPTED.is_set():
            raise KeyboardInterrupt
        try:
            process.wait(0.2)
            return True
        except subprocess.TimeoutExpired:
            _require_modest(process.pid)
        if deadline.elapsed - looked > LOOK_AT_DISK:
            looked = deadline.elapsed
            if (used := size(rooms.project) + size(home)) > DISK:
                raise Overused(f"wrote {used / 2**30:.1f} GB to the disk, more than {DISK >> 30}")
    return False


def _require_modest(pid: int) -> None:
    started: list[psutil.Process] = []
    with contextlib.suppress(psutil.NoSuchProcess):
        started = psutil.Process(pid).children(recursive=True)
    if len(started) > PROCESSES:
        raise Overused(f"started {len(started)} processes, more than {PROCESSES}")
    # What forks share counts in each of them, so it is asked for exactly where that seems too much.
    if (
        sum(_bytes(each, "rss") for each in started) > MEMORY
        and (used := sum(_bytes(each, "pss") for each in started)) > MEMORY
    ):
        raise Overused(f"used {used / 2**30:.1f} GB of memory, more than {MEMORY / 2**30:.1f}")


# Not answers/stack/processes.py:memory, which takes the larger number where it may not see the exact one: this one convicts.
def _bytes(process: psutil.Process, kind: str) -> int:
    with contextlib.suppress(psutil.Error):
        if kind == "rss":
            return int(process.memory_info().rss)
        full = process.memory_full_info()
        return int(getattr(full, "pss", full.uss))
    return 0


def size(folder: Path) -> int:
    """Return the bytes that a folder takes on the disk."""
    total = 0
    for path, _, names in os.walk(folder):
        for name in names:
            with contextlib.suppress(OSError):
                total += os.lstat(os.path.join(path, name)).st_blocks * 512
    return total


def end_driver(process: Process) -> None:
    """End a driver with everything below it, whatever that does meanwhile."""
    if process.poll() is None:
        process.send_signal(signal.SIGSTOP)  # it starts nothing more, and stays the parent of orphans
        kill_tree(process.pid)
    process.wait()
    if process.stdout:
        process.stdout.close()


def _require_sealed(evidence: Path, seals: dict[str, str]) -> None:
    found = {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in evidence.iterdir()}
    if found != seals:
        changed = sorted(name for name in {*found, *seals} if found.get(name) != seals.get(name))
        raise CannotJudge(
            f"the evidence {changed[0]} is not as the probe has recorded it: the code that was run has touched it"
        )
