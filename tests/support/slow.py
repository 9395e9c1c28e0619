#!/usr/bin/env python3
"""`make slow TARGET=demo`: runs a command, with all it starts, on a third of this machine's CPU time.

    python3 -I tests/support/slow.py COMMAND...

As root by a cgroup (version 2 or 1), which throttles as a container's limit does. Otherwise on one core that busy loops
share, which is less exact. Standard library only, since what it runs may be `make setup`. The exit code is the command's,
Ctrl-C and SIGTERM reach the command, and nothing of the throttle is left behind. Containers are not throttled: Docker's
daemon starts them.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

PART = 3  # the command gets one in so many parts of the machine
PERIOD = 100_000  # microseconds in which a cgroup shares out its time: the kernel's default
MOUNT = Path("/sys/fs/cgroup")
BUSY_LOOPS = 2


class NoCgroupError(Exception):
    """No cgroup can be made. The text says why."""


class Cgroup:
    """A cgroup of its own, whose processes have a share of the CPU."""

    def __init__(self, mount: Path, cores: float) -> None:
        self.version = 2 if (mount / "cgroup.controllers").exists() else 1
        parent = mount if self.version == 2 else mount / "cpu"
        for left in parent.glob("answers-slow-*"):
            _remove(left)  # of one that was killed; the kernel keeps those that still have processes
        self.path = parent / f"answers-slow-{os.getpid()}"
        quota = round(cores * PERIOD)
        # The weight: not less than a third where others work beside it, each of whose processes would weigh as much as all of it.
        limits = {"cpu.max": f"{quota} {PERIOD}", "cpu.weight": "10000"}
        if self.version == 1:
            limits = {"cpu.cfs_period_us": str(PERIOD), "cpu.cfs_quota_us": str(quota), "cpu.shares": "262144"}
        try:
            if self.version == 2:
                (parent / "cgroup.subtree_control").write_text("+cpu")
            self.path.mkdir()
            for name, value in limits.items():
                (self.path / name).write_text(value)
        except OSError as error:
            _remove(self.path)
            raise NoCgroupError(f"no cgroup can be made in {parent} ({error.strerror})") from error
        self.name = f"a cgroup, version {self.version}"

    def enter(self) -> None:
        """Put this process, and what it will start, into the cgroup."""
        (self.path / "cgroup.procs").write_text(str(os.getpid()))

    def close(self) -> str:
        """Remove the cgroup. What the command left running, on purpose or not, goes on with the whole machine.

        :returns: how often the command was throttled
        """
        seen = dict(line.split(maxsplit=1) for line in (self.path / "cpu.stat").read_text().splitlines())
        left = (self.path / "cgroup.procs").read_text().split()
        for pid in left:
            try:
                (self.path.parent / "cgroup.procs").write_text(pid)
            except OSError:
                continue  # it has ended
        _remove(self.path)
        told = f"; {len(left)} processes go on, no longer throttled" if left else ""
        return f"throttled in {seen['nr_throttled']} of {seen['nr_periods']} periods of {PERIOD // 1000} ms{told}"


class SharedCore:
    """One core, which the command shares with busy loops: for users who may not make a cgroup."""

    def __init__(self) -> None:
        self.core = max(os.sched_getaffinity(0))
        loop = [sys.executable, "-c", "while True: pass"]
        self.loops = [subprocess.Popen(loop, preexec_fn=self.enter) for _ in range(BUSY_LOOPS)]
        self.name = f"core {self.core}, shared with {BUSY_LOOPS} busy loops"

    def enter(self) -> None:
        """Keep this process, and what it will start, on that core."""
        os.sched_setaffinity(0, {self.core})

    def close(self) -> str:
        """End the busy loops."""
        for loop in self.loops:
            loop.kill()
            loop.wait()
        return "its core was shared"


def _remove(cgroup: Path) -> None:
    try:
        cgroup.rmdir()
    except OSError:
        return


def throttle() -> Cgroup | SharedCore:
    """The best throttle that this user may have.

    :raises SystemExit: there is none on this system
    """
    if not hasattr(os, "sched_getaffinity"):
        raise SystemExit("slow: this system can neither make a cgroup nor keep a process on one core: use Linux")
    try:
        return Cgroup(MOUNT, len(os.sched_getaffinity(0)) / PART)
    except NoCgroupError as error:
        print(f"slow: {error}; as root there is one", file=sys.stderr)
        return SharedCore()


def run(command: list[str], enter: Callable[[], None]) -> int:
    """Run the command as the terminal's foreground job, in a process group of its own. Returns its exit code.

    A Ctrl-C of the terminal reaches the command and not this process; a signal for this process is passed on.
    """
    terminal = sys.stdin.fileno() if sys.stdin.isatty() else None
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGTTOU)}
    signal.signal(
        signal.SIGTTOU, signal.SIG_IGN
    )  # taking the terminal back from the command must not stop this process

    def begin() -> None:
        os.setpgid(0, 0)
        if terminal is not None:
            os.tcsetpgrp(terminal, os.getpid())
        for number in before:
            signal.signal(number, signal.SIG_DFL)
        enter()

    process: subprocess.Popen[bytes] | None = None
    early: list[int] = []

    def pass_on(number: int, _: object) -> None:
        if process is None:
            early.append(number)
        else:
            os.killpg(process.pid, number)

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, pass_on)
    try:
        process = subprocess.Popen(command, preexec_fn=begin)
        for number in early:
            os.killpg(process.pid, number)
        code = process.wait()
    finally:
        for number, handler in before.items():
            if number != signal.SIGTTOU:
                signal.signal(number, handler)
        if terminal is not None:
            os.tcsetpgrp(terminal, os.getpgrp())
        signal.signal(signal.SIGTTOU, before[signal.SIGTTOU])
    return code if code >= 0 else 128 - code


def main() -> int:
    """Run the command of the command line; returns its exit code."""
    if len(sys.argv) < 2 or sys.argv[1] in ("-h", "--help"):
        print(__doc__)
        return 2
    limit, began = throttle(), time.monotonic()
    cores = len(os.sched_getaffinity(0))
    print(f"slow: one third of {cores} cores, by {limit.name}: {' '.join(sys.argv[1:])}", file=sys.stderr, flush=True)
    try:
        code = run(sys.argv[1:], limit.enter)
    except FileNotFoundError as error:
        print(f"slow: {error}", file=sys.stderr)
        code = 127
    finally:
        told = limit.close()
    print(f"slow: exit code {code} after {time.monotonic() - began:.0f} s, {told}", file=sys.stderr)
    return code


if __name__ == "__main__":
    sys.exit(main())
