"""Kills what a process has started: its children, theirs, and what these start meanwhile."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress

import psutil


def kill_descendants(pid: int, spare: Iterable[int] = ()) -> None:
    """Kill everything that a process has started, however deep, and what that starts meanwhile. The process itself stays.

    :param spare: processes that stay, with what they started
    """
    for _ in range(200):
        try:
            descendants = psutil.Process(pid).children(recursive=True)
        except psutil.NoSuchProcess:
            return
        kept = set(spare)
        for server in spare:
            if psutil.pid_exists(server):
                kept |= {child.pid for child in psutil.Process(server).children(recursive=True)}
        alive = [each for each in descendants if each.pid not in kept and each.status() != psutil.STATUS_ZOMBIE]
        if not alive:
            return
        for each in alive:
            with suppress(psutil.NoSuchProcess):
                each.kill()
        psutil.wait_procs(alive, timeout=0.2)


def kill_tree(pid: int) -> None:
    """Kill a process with everything that it has started."""
    kill_descendants(pid)
    with suppress(psutil.NoSuchProcess):
        psutil.Process(pid).kill()
