"""Tells where the tests work, and small things that several tiers need."""

import os
import signal
import sqlite3
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import date, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from answers.stack import dotenv
from answers.stack.settings import Settings
from include.flights.days import ZONE
from include.waiting import patience, wait_until

PROJECT = Path(__file__).resolve().parents[2]
HOME = Path(tempfile.gettempdir(), f"answers-test-{uuid4().hex}")  # of this process; `prepare_environment` makes it


def prepare_environment() -> None:
    """Give Airflow a scratch home and the platform's settings, and nothing of what the caller runs.

    Airflow reads its configuration at its first import, which any test may be the first to do.
    """
    HOME.mkdir(mode=0o700)
    for name in [name for name in os.environ if name.startswith(("AIRFLOW", "ANSWERS_HOME", "ANSWERS_FLEET"))]:
        del os.environ[name]
    os.environ["ANSWERS_HOME"] = str(HOME)
    # No live stack makes one beside the tests; those of the archive name a folder.
    os.environ["ANSWERS_SPARK_ARCHIVES"] = "off"
    settings = Settings.load()
    os.environ |= dotenv.read(PROJECT / "config" / "airflow.env") | settings.core() | settings.connections()
    os.environ |= {
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{HOME}/airflow.db",
        "AIRFLOW__CORE__DEFAULT_TASK_RETRY_DELAY": "1",
        "AIRFLOW__LOGGING__LOGGING_LEVEL": "WARNING",
    }
    del os.environ["ANSWERS_STACK"]  # the mark of a live stack's processes


# What live stacks have beside the platform's settings: what is waited for in tests comes in seconds. A part that is only slow,
# as this machine is, must not count as dead.
SOONER = {
    "AIRFLOW__CORE__DEFAULT_TASK_RETRY_DELAY": "1",
    # A task that was killed with its worker is missed after this (60 s).
    "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": f"{patience(20):.0f}",
    "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT_DETECTION_INTERVAL": "2",
    # What a killed scheduler left is taken over by the next one (45 s).
    "AIRFLOW__SCHEDULER__SCHEDULER_HEARTBEAT_SEC": "2",
    "AIRFLOW__SCHEDULER__SCHEDULER_HEALTH_CHECK_THRESHOLD": f"{patience(15):.0f}",
    "AIRFLOW__SCHEDULER__ORPHANED_TASKS_CHECK_INTERVAL": "5",
}
BROUGHT_UP = pytest.StashKey[dict[str, Any]]()  # by tier, until a test of it has failed


def interval(first: str, days: int = 1) -> tuple[datetime, datetime]:
    """Return the data interval of `days` local days from `first`."""
    start = date.fromisoformat(first)
    return tuple(datetime.combine(each, datetime.min.time(), ZONE) for each in (start, start + timedelta(days=days)))


def copy_database(source: Path, target: Path) -> None:
    """Copy an SQLite database as its readers see it: the file alone may lack what is still in its write-ahead log."""
    with closing(sqlite3.connect(source)) as database, closing(sqlite3.connect(target)) as copy:
        database.backup(copy)


def copy_fresh_database(target: Path) -> None:
    """Copy the fixture `metadata_database` as it was before any test: runs that others left would be found in it, too."""
    copy_database(HOME / "fresh.db", target)


@contextmanager
def open_warehouse() -> Iterator[Any]:
    """Give a client of the embedded warehouse of this test session. Closed at the end, whatever still refers to it."""
    import clickhouse_connect

    client = clickhouse_connect.get_client(interface="chdb", path=str(HOME / "warehouse"))
    try:
        yield client
    finally:
        client.close()


def contents(client) -> dict[str, bytes]:
    """Return every table, every column, in order: to compare bit for bit."""
    return {
        table: client.raw_query(f"SELECT * FROM warehouse.{table} ORDER BY ALL", fmt="RowBinary")
        for table in ("flights", "daily_delays", "delay_features")
    }


def wait_for(what: str, ready, patience: float = 120, pause: float = 0.2, seen: Callable[[], object] = str):
    """Return the first true answer of `ready`. Fails after `patience` seconds, and tells what `seen` says then.

    The seconds are those of the recorded machine (include/waiting.py).
    """
    return wait_until(ready, patience, what, pause=pause, detail=seen, error=AssertionError)


@contextmanager
def running_beside(work: Callable[[threading.Event], object]) -> Iterator[None]:
    """`work` in a thread of its own for as long as the block lasts: it ends once the event that it gets is set."""
    over = threading.Event()
    thread = threading.Thread(target=work, args=(over,))
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


@contextmanager
def brought_up(config: pytest.Config, tier: str, missing: str, make: Callable[[], Any]) -> Iterator[Any]:
    """Return what all tests of a tier share, made and up for as long as the block lasts; removed again however the tests end.

    :param missing: what keeps it from running on this machine, empty if nothing does
    :param make: of something with up(), down() and report(), whose text stands beside the first test that fails
    """
    if missing:
        # A skip must not pass for a proof where the proof is asked for.
        if os.environ.get(f"ANSWERS_REQUIRE_{tier.upper()}") == "1":
            pytest.fail(missing)
        pytest.skip(missing)
    system = make()
    # A SIGTERM, say from a cancelled CI job, unwinds like Ctrl-C instead of leaving a dozen containers.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        try:
            system.up()
        except AssertionError as error:
            pytest.fail(f"{error}\n{system.report()}", pytrace=False)
        config.stash.setdefault(BROUGHT_UP, {})[tier] = system
        yield system
    finally:
        system.down()


@contextmanager
def under_load(start: Callable[[str], object]) -> Iterator[list[str]]:
    """Short runs all the time, for as long as the block lasts; their ids, once `start` has started them."""
    runs: list[str] = []

    def load(over: threading.Event) -> None:
        while not over.is_set():
            start(run_id := f"load-{len(runs)}")
            runs.append(run_id)
            over.wait(4)  # a rate, not a wait for something

    with running_beside(load):
        yield runs


def longest_gap(instances: list[dict]) -> float:
    """Seconds, at most, from the start of one task instance to that of the next; fails if there are too few to tell."""
    began = sorted(datetime.fromisoformat(each["start_date"]) for each in instances)
    assert len(began) > 20
    return max((later - earlier).total_seconds() for earlier, later in pairwise(began))


@contextmanager
def catching(folder: Path) -> Iterator[Any]:
    """Run a catcher of webhooks, a real HTTP server on loopback, for as long as the block lasts."""
    from answers.stack.catcher import Catcher

    with Catcher(("127.0.0.1", 0), folder / "catcher.jsonl") as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


@contextmanager
def loose_session() -> Iterator[Any]:
    """Give a session of the metadata database that checks no foreign keys and is rolled back."""
    from airflow import settings
    from sqlalchemy.orm import Session

    # One connection all the time: after a rollback a session may get another one, and this one would never check keys again.
    with settings.engine.connect() as connection:
        connection.exec_driver_sql("PRAGMA foreign_keys = OFF")
        try:
            with Session(connection, expire_on_commit=False) as session:
                yield session
        finally:
            connection.rollback()
            connection.exec_driver_sql("PRAGMA foreign_keys = ON")  # it goes back to its pool
