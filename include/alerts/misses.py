"""The record of missed deadlines: one JSON file a miss, written once (include/alerts/records.py).

The promise: *one record, at least one notification*. A callback that is run again (its triggerer was killed) finds the
record, and notifies again only where no notification is known to have arrived. Killed between arrival and note, it notifies
twice; the message carries `id`, by which a receiver knows it again.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from include.alerts import records
from include.alerts.records import note_notified, notified

__all__ = ["note_notified", "notified", "record", "recorded"]

FOLDER = "deadline_misses"


def record(data_root: Path, miss: dict[str, Any]) -> Path:
    """Write DATA_ROOT/deadline_misses/DAG/RUN__ID.json; what is there already stays as it is.

    :param miss: at least dag_id, run_id and id (of the deadline)
    :returns: the file
    :raises OSError: it cannot be written
    """
    file = records.file_of(data_root / FOLDER, miss["dag_id"], miss["run_id"], miss["id"])
    records.write_once(file, miss)
    return file


def recorded(data_root: Path) -> list[dict[str, Any]]:
    """Every recorded miss, by file name, each with `notified`."""
    return records.recorded(data_root / FOLDER)
