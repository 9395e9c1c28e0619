#!/usr/bin/env python3
"""Checks the machine, makes `.venv` and installs the lock into it: `make setup`. Standard library only, any Python 3.

Says plainly what is missing or in the way, and how to mend it. A second run starts at once: the environment carries
the digest of the lock that it was made from.
"""

import hashlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[2]
VENV = PROJECT / ".venv"
STAMP = VENV / "lock.sha256"
LENT = "lent.json"  # in an environment without packages: whose it uses, and the lock that those were made from
OLDEST, NEWEST = (3, 11), (3, 13)
CGROUPS = Path("/sys/fs/cgroup")
# By version of cgroups: limit, use and statistics of a container's memory, and which of these can be given up.
CGROUP_MEMORY = (
    ("memory.max", "memory.current", "memory.stat", "inactive_file"),
    ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes", "memory/memory.stat", "total_inactive_file"),
)
DISK = 4 << 30  # bytes: the environment takes 1.9 GB, a cache as much again while it is filled
OLD_VENV = 2 << 30  # bytes that an environment gives back, which is made anew


def memory_available() -> int:
    """Return the bytes of memory that a new process can have, container limits included."""
    free = 1 << 62
    try:
        with open("/proc/meminfo") as file:
            free = next(int(line.split()[1]) * 1024 for line in file if line.startswith("MemAvailable"))
    except (OSError, StopIteration):
        pass
    for *names, key in CGROUP_MEMORY:
        try:
            limit, used, statistics = ((CGROUPS / name).read_text() for name in names)
            cached = next(int(line.split()[1]) for line in statistics.splitlines() if line.startswith(f"{key} "))
            free = min(free, int(limit) - int(used) + cached)  # the kernel gives files up that nobody has used lately
        except (OSError, ValueError, StopIteration):  # not this version of cgroups, or "max"
            continue
    return free


def problems() -> list:
    """Return what keeps this machine from running the project, each with its remedy."""
    found = []
    version = sys.version_info[:2]
    if not OLDEST <= version <= NEWEST:
        found.append(
            f"Python {version[0]}.{version[1]} is not supported: install Python 3.11, 3.12 or 3.13 "
            "(`apt install python3`, `brew install python@3.13`), or name one: make PYTHON=/path/to/python3.13"
        )
    if sys.platform not in ("linux", "darwin"):
        found.append(f"{sys.platform} is not supported: use Linux, macOS, or WSL on Windows")
    free = disk_available(PROJECT)
    wanted = DISK - (OLD_VENV if VENV.exists() else 0)
    if not up_to_date() and free < wanted:
        found.append(
            f"{PROJECT} has {free / 2**30:.1f} GB of free disk, {wanted / 2**30:.0f} GB are needed to make .venv: make room"
        )
    if not os.access(PROJECT, os.W_OK):
        found.append(f"{PROJECT} cannot be written to by this user: clone it to a folder of yours")
    return found


def distributions() -> list:
    """Return the folders that are installed from where they lie: the project and what is in packages/."""
    return [PROJECT, *sorted(file.parent for file in PROJECT.glob("packages/*/pyproject.toml"))]


def disk_available(folder: Path) -> int:
    """Return the bytes that can still be written to a folder's disk."""
    return shutil.disk_usage(folder).free


def up_to_date() -> bool:
    """Tell whether the environment is made from the lock as it is, or lent by another checkout."""
    return is_borrowed() or (STAMP.exists() and STAMP.read_text() == digest())


def digest() -> str:
    """Identify what the environment is made from: the lock, the project's metadata and the interpreter."""
    files = [PROJECT / "requirements.txt", *(folder / "pyproject.toml" for folder in distributions())]
    parts = [file.read_bytes() for file in files]
    return hashlib.sha256(b"\0".join([*parts, sys.version.encode(), str(VENV).encode()])).hexdigest()


def lock_digest(project: Path) -> str:
    """Identify the packages that a checkout needs."""
    return hashlib.sha256((project / "requirements.txt").read_bytes()).hexdigest()


def stamp_of(packages: Path) -> "str | None":
    """Return the stamp that tells one state of an environment's packages from another; None where it has none."""
    try:
        return (packages.parents[2] / STAMP.name).read_text()
    except OSError:
        return None


def is_borrowed() -> bool:
    """Tell whether the environment uses the packages of another one, as an exercise's does. Says why it no longer does."""
    try:
        lent = json.loads((VENV / LENT).read_text())
    except (OSError, ValueError):
        return False
    for path, stamp in lent["packages"].items():
        if not Path(path).is_dir():
            print(f"setup: this environment used the packages of {path}, which is gone")
            return False
        if stamp != stamp_of(Path(path)):
            print(f"setup: this environment used the packages of {path}, which are others now")
            return False
    if lent["lock"] != lock_digest(PROJECT):
        print("setup: requirements.txt has changed, and this environment's packages are borrowed")
        return False
    return True


def locked(package: str) -> str:
    """Return the version of a package in the lock, as a requirement."""
    lines = (PROJECT / "requirements.txt").read_text().splitlines()
    return next(line.split()[0] for line in lines if line.startswith(package + "=="))


def installer() -> list:
    """Return the command that runs uv: the machine's, or the locked one, brought into the environment by pip."""
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
    if up_to_date():
        return 0
    print(f"setup: making {VENV} with Python {sys.version.split()[0]}", flush=True)
    subprocess.run(
        [sys.executable, "-m", "venv", "--clear", *_without_pip(), str(VENV)],
        check=True,
    )
    uv = [*installer(), "pip"]
    environment = {**os.environ, "VIRTUAL_ENV": str(VENV)}
    sync = [*uv, "sync", "--require-hashes", "--compile-bytecode", str(PROJECT / "requirements.txt")]
    editable = [word for folder in distributions() for word in ("--editable", str(folder))]
    project = [*uv, "install", "--quiet", "--no-deps", *editable]
    # From uv's cache, if that has all: an index that forbids caching has pyspark built anew each time, a minute and 1.8 GB.
    cached = subprocess.run([*sync, "--offline", "--quiet"], env=environment, stderr=subprocess.DEVNULL).returncode == 0
    for command in (project,) if cached else (sync, project):
        if subprocess.run(command, env=environment).returncode:
            print("setup: installation failed (see above): is the package index reachable?", file=sys.stderr)
            return 1
    STAMP.write_text(digest())
    return 0


def _without_pip() -> list:
    """Tell whether to make .venv without pip: Debian ships no ensurepip, and uv on the machine needs no pip."""
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
