#!/usr/bin/env python3
"""`make setup`: checks the machine, makes `.venv` and installs the lock into it. Standard library only, any Python 3.

Says plainly what is missing or in the way, and how to mend it. A second run starts at once: the environment carries
the digest of the lock that it was made from.
"""

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[2]
CHECKER = PROJECT / "packages" / "dag-integrity"
VENV = PROJECT / ".venv"
STAMP = VENV / "lock.sha256"
OLDEST, NEWEST = (3, 11), (3, 13)
DISK = 4 << 30  # bytes: the environment takes 1.9 GB, a cache as much again while it is filled


def memory_available() -> int:
    """Bytes of memory that a new process can have, container limits included."""
    free = 1 << 62
    try:
        with open("/proc/meminfo") as file:
            free = next(int(line.split()[1]) * 1024 for line in file if line.startswith("MemAvailable"))
        with open("/sys/fs/cgroup/memory.max") as limit, open("/sys/fs/cgroup/memory.current") as used:
            free = min(free, int(limit.read()) - int(used.read()))
    except (OSError, ValueError, StopIteration):
        pass
    return free


def problems() -> list:
    """What keeps this machine from running the project, each with its remedy."""
    found = []
    version = sys.version_info[:2]
    if not OLDEST <= version <= NEWEST:
        found.append(
            f"Python {version[0]}.{version[1]} is not supported: install Python 3.11, 3.12 or 3.13 "
            "(`apt install python3`, `brew install python@3.13`), or name one: make PYTHON=/path/to/python3.13"
        )
    if sys.platform not in ("linux", "darwin"):
        found.append(f"{sys.platform} is not supported: use Linux, macOS, or WSL on Windows")
    free = shutil.disk_usage(PROJECT).free
    if not VENV.exists() and free < DISK:
        found.append(f"{PROJECT} has {free / 2**30:.1f} GB of free disk, {DISK / 2**30:.0f} GB are needed: make room")
    if not os.access(PROJECT, os.W_OK):
        found.append(f"{PROJECT} cannot be written to by this user: clone it to a folder of yours")
    return found


def digest() -> str:
    """Identifies what the environment is made from: the lock, the project's metadata and the interpreter."""
    parts = [
        (PROJECT / name).read_bytes()
        for name in ("requirements.txt", "pyproject.toml", "packages/dag-integrity/pyproject.toml")
    ]
    return hashlib.sha256(b"\0".join([*parts, sys.version.encode(), str(VENV).encode()])).hexdigest()


def locked(package: str) -> str:
    """The version of a package in the lock, as a requirement."""
    lines = (PROJECT / "requirements.txt").read_text().splitlines()
    return next(line.split()[0] for line in lines if line.startswith(package + "=="))


def installer() -> list:
    """The command that runs uv: the machine's, or the locked one, brought into the environment by pip."""
    if found := shutil.which("uv"):
        return [found]
    python = str(VENV / "bin" / "python")
    if subprocess.run([python, "-m", "pip", "--version"], capture_output=True).returncode:
        raise SystemExit(
            "setup: this Python makes environments without pip: install its venv package (`apt install python3-venv`) "
            "or uv, then run again"
        )
    subprocess.run([python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", locked("uv")], check=True)
    return [python, "-m", "uv"]


def main() -> int:
    """Make the environment; returns the exit code."""
    if sys.argv[1:2] in (["-h"], ["--help"]):
        print(__doc__)
        return 0
    found = problems()
    for problem in found:
        print(f"setup: {problem}", file=sys.stderr)
    if found:
        return 1
    if STAMP.exists() and STAMP.read_text() == digest():
        return 0
    print(f"setup: making {VENV} with Python {sys.version.split()[0]}", flush=True)
    subprocess.run(
        [sys.executable, "-m", "venv", "--clear", *_without_pip(), str(VENV)],
        check=True,
    )
    uv = [*installer(), "pip"]
    environment = {**os.environ, "VIRTUAL_ENV": str(VENV)}
    sync = [*uv, "sync", "--require-hashes", "--compile-bytecode", str(PROJECT / "requirements.txt")]
    project = [*uv, "install", "--quiet", "--no-deps", "--editable", str(PROJECT), "--editable", str(CHECKER)]
    for command in (sync, project):
        if subprocess.run(command, env=environment).returncode:
            print("setup: installation failed (see above): is the package index reachable?", file=sys.stderr)
            return 1
    STAMP.write_text(digest())
    return 0


def _without_pip() -> list:
    """Debian ships Python without ensurepip; with uv on the machine, no pip is needed."""
    return (
        ["--without-pip"]
        if shutil.which("uv")
        or subprocess.run([sys.executable, "-c", "import ensurepip"], capture_output=True).returncode
        else []
    )


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
