"""Fernet: what lies in a metadata database, and the order in which a key is rotated."""

import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from itertools import pairwise

import pytest

from answers.operate.fernet import ENCRYPTED, can_decrypt, key_phases
from answers.stack import dotenv
from support import PROJECT, copy_fresh_database
from support.canary import CANARY, leaks

KEYS = [dotenv.KEYS["FERNET_KEY"]() for _ in range(3)]
SECRET = CANARY.format("at rest")
WRITE = """
import sys
from airflow.models import Connection, Variable
from airflow.utils.session import create_session
with create_session() as session:
    Variable.set("q06_at_rest", sys.argv[1], session=session)
    session.add(Connection("q06_at_rest", conn_type="http", password=sys.argv[1], extra='{"token": "%s"}' % len(sys.argv[1])))
"""
READ = """
import sys
from airflow.models import Connection, Variable
assert Variable.get_variable_from_secrets("q06_at_rest") == sys.argv[1]
assert Connection.get_connection_from_secrets("q06_at_rest").password == sys.argv[1]
"""


class Database:
    """Holds a metadata database of its own, used by processes that know these keys."""

    def __init__(self, folder) -> None:
        self.file = folder / "airflow.db"
        copy_fresh_database(self.file)
        with closing(sqlite3.connect(self.file)) as server, server:
            for table, *_ in ENCRYPTED:
                server.execute(f'DELETE FROM "{table}"')

    def run(self, keys: str, *arguments: str) -> subprocess.CompletedProcess:
        environment = os.environ | {
            "AIRFLOW__CORE__FERNET_KEY": keys,
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{self.file}",
        }
        command = [sys.executable, *arguments]
        return subprocess.run(command, env=environment, cwd=PROJECT, capture_output=True, text=True)

    def texts(self) -> list[str]:
        with closing(sqlite3.connect(self.file)) as server:
            rows = [server.execute(f'SELECT {column} FROM "{table}"').fetchall() for table, column, _ in ENCRYPTED]
        return [text for table in rows for (text,) in table if text]


@pytest.mark.claim("6.2")
def test_what_is_written_is_encrypted_and_rotated_without_a_reader_that_fails(metadata_database, tmp_path):
    old, new = KEYS[:2]
    database = Database(tmp_path)
    assert database.run(old, "-c", WRITE, SECRET).returncode == 0
    assert len(database.texts()) == 3
    assert leaks(database.file.read_bytes(), SECRET) == []
    assert all(can_decrypt(text, old) and not can_decrypt(text, new) for text in database.texts())

    known, preferred, final = key_phases(old, new)
    assert database.run(preferred, "-m", "airflow", "rotate-fernet-key").returncode == 0
    assert all(can_decrypt(text, new) and not can_decrypt(text, old) for text in database.texts())
    for keys in (known, preferred, final):  # whoever is already restarted, and whoever is not yet
        done = database.run(keys, "-c", READ, SECRET)
        assert done.returncode == 0, done.stderr[-1000:]
    # Why the others had to learn the key first. Airflow logs the error, and the Variable reads as one that is not there.
    assert database.run(old, "-c", READ, SECRET).returncode != 0


@pytest.mark.claim("6.2")
@pytest.mark.parametrize(
    "current", [KEYS[0], f"{KEYS[0]},{KEYS[1]}"], ids=["a key", "what an interrupted rotation left"]
)
def test_at_every_moment_all_processes_read_what_any_of_them_writes(current):
    """In the middle of a rolling restart some have the list before, some the one after."""
    new = KEYS[2]
    *steps, final = (current, *key_phases(current, new))
    assert final == new
    for before, after in pairwise(steps):
        for mine, others in ((before, after), (after, before)):
            assert others.split(",")[0] in mine.split(","), "what the others write is opened"
    # Everything is under the new key before the old ones are forgotten; the last two lists write with it.
    assert steps[-1].split(",")[0] == final


@pytest.mark.claim("6.2")
def test_the_live_stack_reads_its_key_from_the_file_at_each_start(tmp_path, monkeypatch):
    """Start twice: a supervisor that runs cannot change its parts' environment: the key must not be in it."""
    from answers.stack.settings import PORTS, Settings

    monkeypatch.setenv("ANSWERS_HOME", str(tmp_path / "a home"))
    settings, _ = Settings.load().with_ports()
    environment = settings.environment()
    assert settings.ports.keys() == PORTS.keys()
    assert "AIRFLOW__CORE__FERNET_KEY" not in environment
    assert settings.secrets["FERNET_KEY"] not in environment.values()
    code = "from airflow.configuration import conf; print(conf.get('core', 'fernet_key').strip())"
    for key in (settings.secrets["FERNET_KEY"], f"{KEYS[0]},{KEYS[1]}"):
        dotenv.replace(settings.home / "secrets.env", {"FERNET_KEY": key})
        done = subprocess.run(
            [sys.executable, "-c", code], env=environment, cwd=PROJECT, capture_output=True, text=True
        )
        assert done.stdout.splitlines()[-1] == key, done.stderr[-1000:]
    assert (settings.home / "secrets.env").stat().st_mode & 0o777 == 0o600
