"""Where the tests work, and small things that several tiers need. Importing it prepares the environment for Airflow."""

import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

PROJECT = Path(__file__).resolve().parents[1]
HOME = Path(tempfile.mkdtemp(prefix="answers-test-"))
for name in [name for name in os.environ if name.startswith(("AIRFLOW", "ANSWERS_HOME", "ANSWERS_FLEET"))]:
    del os.environ[name]  # the tests must not depend on, or touch, what the caller runs
os.environ["ANSWERS_HOME"] = str(HOME)

from include.flights.contract import ZONE  # noqa: E402
from include.stack import dotenv  # noqa: E402
from include.stack.settings import Settings  # noqa: E402

# Airflow reads its configuration at its first import, which any test may be the first to do.
os.environ |= dotenv.read(PROJECT / "config" / "airflow.env") | Settings.load().core() | Settings.load().connections()
os.environ |= {
    "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{HOME}/airflow.db",
    "AIRFLOW__CORE__DEFAULT_TASK_RETRY_DELAY": "1",
    "AIRFLOW__LOGGING__LOGGING_LEVEL": "WARNING",
}
del os.environ["ANSWERS_STACK"]  # the mark of a live stack's processes


def interval(first: str, days: int = 1) -> tuple[datetime, datetime]:
    """The data interval of `days` local days from `first`."""
    start = date.fromisoformat(first)
    return tuple(datetime.combine(each, datetime.min.time(), ZONE) for each in (start, start + timedelta(days=days)))


def open_warehouse():
    """A client of the embedded warehouse of this test session."""
    import clickhouse_connect

    return clickhouse_connect.get_client(interface="chdb", path=str(HOME / "warehouse"))


def contents(client) -> dict[str, bytes]:
    """Every table, every column, in order: to compare bit for bit."""
    return {
        table: client.raw_query(f"SELECT * FROM warehouse.{table} ORDER BY ALL", fmt="RowBinary")
        for table in ("flights", "daily_delays", "delay_features")
    }


def wait_for(what: str, ready, patience: float = 120, pause: float = 0.2):
    """The first true answer of `ready`; fails when there is none within `patience` seconds."""
    deadline = time.monotonic() + patience
    while not (answer := ready()):
        assert time.monotonic() < deadline, f"waited {patience:.0f} s in vain for {what}"
        time.sleep(pause)
    return answer


@contextmanager
def loose_session() -> Iterator[Any]:
    """A session of the metadata database that checks no foreign keys and is rolled back."""
    from airflow.utils.session import create_session
    from sqlalchemy import text

    with create_session() as session:
        try:
            session.execute(text("PRAGMA foreign_keys = OFF"))
            yield session
        finally:
            session.rollback()
            session.execute(text("PRAGMA foreign_keys = ON"))  # the connection goes back to its pool
