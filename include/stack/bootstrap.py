"""Prepares Airflow's metadata database: migrations, pools, variables. Safe to run again; used by both stacks.

Run as `python -m include.stack.bootstrap`. Environment: ANSWERS_POOLS="spark=1,warehouse=1".
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

POOLS = {
    "spark": "Spark jobs at a time",
    "warehouse": "loads at a time; the embedded engine allows one",
}


def main() -> None:
    """Migrate the database, create or resize the pools, set the variables that have no value yet."""
    from airflow.utils import db
    from airflow.utils.session import create_session

    db.upgradedb()

    from airflow.models import Pool, Variable  # the table itself, not the client in a task
    from sqlalchemy import select

    from include.flights.feed import default_feed
    from include.partitions.config import DEFAULT

    slots = dict(pair.split("=") for pair in os.environ.get("ANSWERS_POOLS", "spark=1,warehouse=1").split(","))
    with create_session() as session:
        for name, description in POOLS.items():
            Pool.create_or_update_pool(name, int(slots[name]), description, include_deferred=False, session=session)
        if session.scalar(select(Variable).where(Variable.key == "q03_config")) is None:  # noqa: AIR311
            document = Path(os.environ["AIRFLOW_VAR_DATA_ROOT"]) / "q03" / "config.json"
            if not document.exists():
                document.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(DEFAULT, document)
            description = "address of the document that shapes q03_partitions: file://, s3:// or gs://"
            Variable.set("q03_config", document.absolute().as_uri(), description, session=session)  # noqa: AIR311
        feed = session.scalar(select(Variable).where(Variable.key == "flights_feed"))  # noqa: AIR311
        if feed is None or not Path(feed.val or "").is_dir():  # the wheel may have moved with its environment
            description = "folder of the feed: flights, weather, planes, airports"
            Variable.set("flights_feed", str(default_feed()), description, session=session)  # noqa: AIR311
    print("metadata database ready:", ", ".join(f"pool {name} {count}" for name, count in slots.items()))


if __name__ == "__main__":
    main()
