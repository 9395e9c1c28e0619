"""Tells what a DAG file may not do at parse is refused and told, by whichever way it tries; what is harmless goes on."""

import json

import pytest

from projects import bash, can_be_imported, check, dag

pytestmark = pytest.mark.claim("9.3")
TRY = "try:\n    {}\nexcept Exception as error:\n    refused = error\n"
# Name -> (what the file does, rule, words of the finding).
TRIED = {
    "socket": ("import socket; socket.socket().connect(('127.0.0.1', 9))", "AA402", "connects to 127.0.0.1 port 9"),
    "local_socket": ("import socket; socket.socket(socket.AF_UNIX).connect('/nowhere')", "AA402", "local socket"),
    "address": ("import socket; socket.getaddrinfo(b'db.example', 1)", "AA402", "looks up the address of db.example"),
    "sqlite": ("import sqlite3; sqlite3.connect('x.db')", "AA401", "opens an SQLite database"),
    "driver": ("import psycopg2; psycopg2.connect('host=db.example')", "AA401", "connects to a database (psycopg2)"),
    "engine": (
        "import sqlalchemy; sqlalchemy.create_engine('sqlite:///x.db').connect()",
        "AA401",
        "connects to a database (sqlite)",
    ),
    "session": ("from airflow import settings; settings.Session()", "AA401", "asks Airflow's metadata database"),
    "connection": (
        "from airflow.sdk import BaseHook; BaseHook.get_connection('nowhere')",
        "AA403",
        "looks up the connection 'nowhere'",
    ),
    "variable": ("from airflow.sdk import Variable; Variable.get('nowhere')", "AA403", "looks up the variable 'nowhere'"),
    "old_variable": (
        "from airflow.models import Variable; Variable.get_variable_from_secrets('nowhere')",
        "AA403",
        "looks up the variable 'nowhere'",
    ),
    "program": ("import subprocess; subprocess.run(['true'])", "AA404", "starts true"),
    "shell": ("import os; os.system('true')", "AA404", "starts a process (os.system)"),
}  # fmt: skip
# What is looked up here is there, or is no look-up: (what the file does, what has to be true afterwards).
ALLOWED = {
    "own_name": ("import socket; found = socket.getaddrinfo('localhost', 1)", "found"),
    "memory": ("import sqlite3; found = sqlite3.connect(':memory:')", "found.execute('SELECT 1').fetchone() == (1,)"),
    "given": (
        "from airflow.sdk import Variable; found = Variable.get('given', deserialize_json=True)",
        "found == {'a': 1}",
    ),
    "given_connection": (
        "from airflow.sdk import BaseHook; found = BaseHook.get_connection('given')",
        "found.host == 'db.example'",
    ),
}


TRIED_HERE = [name for name, (code, *_) in TRIED.items() if can_be_imported(code)]
ALLOWED_HERE = [name for name, (code, _) in ALLOWED.items() if can_be_imported(code)]


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    """Return the findings in each file: {name: {(rule, message)}}."""
    folder = tmp_path_factory.mktemp("guard")
    for name, (code, *_) in TRIED.items():
        (folder / f"{name}.py").write_text(
            dag(bash(), name) + "refused = None\n" + TRY.format(code) + f"print({name!r}, repr(refused))\n"
        )
    for name, (code, true) in ALLOWED.items():
        (folder / f"{name}.py").write_text(dag(bash(), name) + f"{code}\nassert {true}, found\n")
    given = {
        "AIRFLOW_VAR_GIVEN": '{"a": 1}',
        "AIRFLOW_CONN_GIVEN": json.dumps({"conn_type": "x", "host": "db.example"}),
    }
    findings, code, errors = check(folder, **given)
    assert code == 1, errors
    by_file: dict[str, set[tuple[str, str]]] = {name: set() for name in (*TRIED, *ALLOWED)}
    for each in findings:
        by_file[each["file"].rpartition("/")[2].removesuffix(".py")].add((each["rule"], each["message"]))
    return by_file, folder


@pytest.mark.parametrize("name", TRIED_HERE)
def test_the_attempt_is_told(found, name):
    _, rule, words = TRIED[name]
    assert any(each == rule and words in message for each, message in found[0][name]), found[0][name]


def test_no_database_was_made(found):
    assert not list(found[1].glob("*.db"))


@pytest.mark.parametrize("name", ALLOWED_HERE)
def test_what_is_harmless_goes_on(found, name):
    assert not {rule for rule, _ in found[0][name]} & {"AA101", "AA401", "AA402", "AA404"}, found[0][name]
