"""Prepares the metadata database of the embedded stack: an empty one is filled, an older one is migrated."""

from __future__ import annotations

import json
import subprocess
import sys
from hashlib import sha256
from importlib.metadata import version

from answers.stack.parts import ANSWER_WITHIN, Say, StackError, log_tail
from answers.stack.settings import PROJECT, Settings
from include.files import write_atomically


def is_answering(settings: Settings) -> bool:
    """Tell whether PostgreSQL takes connections."""
    import psycopg2

    try:
        psycopg2.connect(dsn(settings, "postgres"), connect_timeout=ANSWER_WITHIN).close()
    except psycopg2.OperationalError:
        return False
    return True


def dsn(settings: Settings, name: str) -> str:
    """Return the address of a database as psycopg2 wants it."""
    return settings.database(name).replace("+psycopg2", "")


def prepare(settings: Settings, say: Say) -> None:
    """Prepare the metadata database. A new one is built under another name: if it is called airflow, it is complete."""
    import psycopg2

    server = psycopg2.connect(dsn(settings, "postgres"))
    server.autocommit = True
    try:
        with server.cursor() as cursor:
            cursor.execute("SELECT 1 FROM pg_database WHERE datname = 'airflow'")
            exists = cursor.fetchone() is not None
            stamp = settings.home / "bootstrapped.json"
            prepared = sha256((PROJECT / "answers/stack/bootstrap.py").read_bytes()).hexdigest()
            pools = settings.environment()["ANSWERS_POOLS"]
            made_with = json.dumps([version("apache-airflow"), pools, sys.prefix, prepared])
            if exists and stamp.exists() and stamp.read_text() == made_with:
                return
            say("migrating the metadata database" if exists else "creating the metadata database")
            name = "airflow" if exists else "airflow_building"
            if not exists:
                cursor.execute("DROP DATABASE IF EXISTS airflow_building")
                cursor.execute("CREATE DATABASE airflow_building")
            log = settings.home / "logs" / "bootstrap.log"
            environment = settings.environment() | {"AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": settings.database(name)}
            with log.open("w") as output:
                command = [sys.executable, "-m", "answers.stack.bootstrap"]
                code = subprocess.run(command, cwd=PROJECT, env=environment, stdout=output, stderr=output).returncode
            if code:
                raise StackError(
                    f"the metadata database could not be prepared ({log})\n{log_tail(settings, 'bootstrap')}"
                )
            if not exists:
                cursor.execute("ALTER DATABASE airflow_building RENAME TO airflow")
            write_atomically(stamp, made_with)
    finally:
        server.close()
