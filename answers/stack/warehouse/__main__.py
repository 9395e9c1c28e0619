"""Runs the part `warehouse` of the embedded stack for supervisor: `python -m answers.stack.warehouse`.

A `clickhouse` on PATH is the warehouse where there is one, with a folder of its own; else this process holds chDB and serves it.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import shutil
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from answers.stack.parameters.contents import WAREHOUSE_USER
from answers.stack.preflight import memory_available
from answers.stack.settings import Settings
from answers.stack.warehouse.errors import QueryError
from include.files import exclusive_lock, write_atomically

if TYPE_CHECKING:
    from answers.stack.warehouse.engine import Engine

LEAST_DISK = 256 << 20  # bytes: with less left, an INSERT is refused before it begins
LEAST_MEMORY = 1 << 30  # bytes that a query may have on any machine


def limits() -> dict[str, str]:
    """Return the settings that all queries begin with: half of the memory that is free now for one, three quarters for all."""
    free = memory_available()
    return {
        "max_memory_usage": str(max(free // 2, LEAST_MEMORY)),
        "max_memory_usage_for_user": str(max(free // 4 * 3, LEAST_MEMORY)),
        "min_free_disk_bytes_to_perform_insert": str(LEAST_DISK),
    }


def serve(path: Path, port: int, password: str) -> None:
    """Open chDB and serve it until the process is ended.

    :raises SystemExit: it cannot be opened
    """
    os.environ["TZ"] = "UTC"  # the engine's zone, as the server's in docker compose, whatever this machine's is
    time.tzset()
    from answers.stack.warehouse.http import Application
    from answers.stack.warehouse.server import Server

    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s", stream=sys.stdout)
    with _opened(path) as engine:
        signal.signal(signal.SIGTERM, lambda *_: sys.exit())  # uvicorn gives it on, once the last answers are sent
        server = Server(engine, Application(engine, WAREHOUSE_USER, password), port)
        server.run()
        if not server.started:
            sys.exit(1)  # its port is taken; the log says so


@contextmanager
def _opened(path: Path) -> Iterator[Engine]:
    """Open the engine, alone: a second process must not even put right what it takes for left by a kill."""
    from answers.stack.warehouse.engine import Engine

    path.parent.mkdir(parents=True, exist_ok=True)

    def taken(process: str) -> SystemExit:
        return SystemExit(f"the warehouse {path} is served by process {process} already")

    with exclusive_lock(path.with_name(f"{path.name}.lock"), taken, str(os.getpid())):
        try:
            engine = Engine(path, limits())
        except QueryError as error:
            raise SystemExit(f"the warehouse {path} cannot be opened: {error.text}") from None
        for line in engine.repaired:
            logging.warning(line)
        try:
            yield engine
        finally:
            engine.close()


def server_command(binary: str, settings: Settings) -> list[str]:
    """Write the configuration of a `clickhouse` binary, and return the command that serves the warehouse with it."""
    folder = settings.home / "clickhouse"
    digest = hashlib.sha256(settings.secrets["CLICKHOUSE_PASSWORD"].encode()).hexdigest()
    user = {
        "password_sha256_hex": digest,
        "profile": "default",
        "quota": "default",
        "networks": {"ip": ["127.0.0.1", "::1"]},
    }
    config = {
        "listen_host": "127.0.0.1",
        "http_port": settings.ports["warehouse"],
        "path": f"{folder}/data/",
        "timezone": "UTC",
        "logger": {"level": "warning", "console": 1},
        "users": {WAREHOUSE_USER: user},
        "profiles": {"default": limits()},
        "quotas": {"default": {}},
        "user_directories": {"users_xml": {"path": str(folder / "config.yaml")}},
    }
    file = folder / "config.yaml"
    write_atomically(file, json.dumps(config), 0o600)  # JSON is YAML
    return [binary, "server", "--config-file", str(file)]


def main() -> None:
    """Become the warehouse."""
    settings = Settings.load()
    if binary := shutil.which("clickhouse"):
        command = server_command(binary, settings)
        os.execvp(command[0], command)
    serve(settings.warehouse, settings.ports["warehouse"], settings.secrets["CLICKHOUSE_PASSWORD"])


if __name__ == "__main__":
    main()
