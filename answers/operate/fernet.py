"""Rotates the Fernet key, which encrypts what lies in the metadata database, while the stack runs.

A process reads its keys once, at its start: the first of the list encrypts, all of it decrypts. While parts restart one
after the other, some have the new list and some the old one. "new,old" at once would let the first to restart write what
the others cannot read. So the new key is first made known to all, as the second of the list, and only then written with.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator

from answers.stack import dotenv, lifecycle, parts
from answers.stack.settings import PROJECT, Settings

# Column of each table with encrypted text, and what marks those rows.
ENCRYPTED = (
    ("connection", "password", "is_encrypted"),
    ("connection", "extra", "is_extra_encrypted"),
    ("variable", "val", "is_encrypted"),
    ("trigger", "kwargs", "true"),
)
# In this order: what asks the API server is back before that server goes.
ROUNDS = (("scheduler", "triggerer", "dag-processor"), ("api-server",))


def key_phases(current: str, new: str) -> tuple[str, str, str]:
    """Return the lists of keys that the parts get, one after the other; the rows are encrypted anew before the last one.

    :param current: the key in force, or the list that an interrupted rotation left
    """
    return f"{current},{new}", f"{new},{current}", new


def rotate_fernet_key(settings: Settings, say: parts.Say = print) -> int:
    """Give the embedded stack another Fernet key while it runs; returns the number of texts that are encrypted anew.

    :raises StackError: a part does not come back, or a row does not open with the new key; the old key then stays known
    """
    file = settings.home / "secrets.env"
    new = dotenv.KEYS["FERNET_KEY"]()
    known, preferred, final = key_phases(settings.secrets["FERNET_KEY"], new)
    for keys, what in ((known, "every part learns the new key"), (preferred, "every part writes with the new key")):
        say(what)
        _restart_with_keys(settings, keys, say)
    say("what lies in the metadata database is encrypted anew")
    done = subprocess.run(
        [sys.executable, "-m", "airflow", "rotate-fernet-key"],
        cwd=PROJECT,
        env=Settings.load().environment(),
        capture_output=True,
        text=True,
    )
    if done.returncode:
        raise parts.StackError(f"airflow rotate-fernet-key failed; both keys stay in {file}\n{done.stderr[-2000:]}")
    rows = list(encrypted_texts(settings))
    if shut := [where for where, text in rows if not can_decrypt(text, new)]:
        raise parts.StackError(
            f"{len(shut)} texts do not open with the new key ({', '.join(shut[:3])}); both keys stay in {file}"
        )
    # Nothing is left that needs the old key: the parts forget it at their next start, no restart is worth it.
    dotenv.replace(file, {"FERNET_KEY": final})
    return len(rows)


def encrypted_texts(settings: Settings) -> Iterator[tuple[str, str]]:
    """List every encrypted text of the metadata database, raw, with where it is: ("variable 7", "gAAAA…")."""
    import psycopg2

    server = psycopg2.connect(settings.database().replace("+psycopg2", ""))
    try:
        with server.cursor() as cursor:
            for table, column, marked in ENCRYPTED:
                cursor.execute(f"SELECT id, {column} FROM {table} WHERE {column} <> '' AND {marked}")  # noqa: S608
                yield from ((f"{table} {row}", text) for row, text in cursor.fetchall())
    finally:
        server.close()


def can_decrypt(text: str, key: str) -> bool:
    """Tell whether a key, by itself, decrypts a text."""
    from cryptography.fernet import Fernet, InvalidToken

    try:
        Fernet(key.encode()).decrypt(text.encode())
    except InvalidToken:
        return False
    return True


def _restart_with_keys(settings: Settings, keys: str, say: parts.Say) -> None:
    dotenv.replace(settings.home / "secrets.env", {"FERNET_KEY": keys})
    for group in ROUNDS:
        lifecycle.restart(settings, group, say)
