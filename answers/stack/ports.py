"""Remembers the ports of this user's embedded stacks, so that two that start at the same moment get different ones.

A port that was free when it was looked for is bound seconds later. Until then, and as long as its stack runs, it is listed in
`ports.json` of the user's cache: {home of a stack: {"ports": [...], "starter": [process id, time it was created]}}.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import psutil

from include.files import exclusive_lock, user_cache, write_atomically


def claim_ports(home: Path, choose: Callable[[set[int]], dict[str, int]]) -> dict[str, int]:
    """Let a stack choose its ports while no other one does.

    :param home: the stack's folder
    :param choose: is given the ports of the others, and returns its own by part
    :raises TimeoutError: another one chooses, and does not end
    """
    folder = user_cache()
    folder.mkdir(parents=True, exist_ok=True)
    register = folder / "ports.json"
    busy = TimeoutError(
        f"another stack has been choosing its ports for a minute: see who holds {folder / 'ports.lock'}"
    )
    with exclusive_lock(folder / "ports.lock", lambda _: busy, seconds=60):
        try:
            claims = json.loads(register.read_text())
        except (FileNotFoundError, ValueError):
            claims = {}
        others = {name: each for name, each in claims.items() if name != str(home) and _is_used(Path(name), each)}
        ports = choose({port for each in others.values() for port in each["ports"]})
        mine = {"ports": list(ports.values()), "starter": [os.getpid(), psutil.Process().create_time()]}
        write_atomically(register, json.dumps(others | {str(home): mine}))
    return ports


def _is_used(home: Path, claim: dict) -> bool:
    """Tell whether the stack runs, or the process that wants to start it."""
    number, created = claim["starter"]
    try:
        if psutil.Process(number).create_time() == created:
            return True
    except psutil.NoSuchProcess:
        pass
    try:
        return psutil.pid_exists(int((home / "supervisord.pid").read_text()))
    except (OSError, ValueError):
        return False
