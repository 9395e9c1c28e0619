"""Keeps small records of failures and missed deadlines on the shared disk: one JSON file each, written once.

They are files and no table: the triggerer, failing tasks and the DAG processor write them, and the warehouse may be what
is down.

The promise is *one record, at least one notification*. A callback that is run again (its triggerer was killed) finds the
record, and notifies again only where no notification is known to have arrived. If it is killed after the notification and
before `mark_notified`, it notifies again. Receivers know the notification by its `id`.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any
from urllib.parse import quote
from uuid import uuid4

MISSED_DEADLINES = "deadline_misses"  # a folder below data_root


def record_path(folder: Path, dag_id: str, run_id: str, key: str) -> Path:
    """Return the path of a record about a run: FOLDER/DAG/RUN__KEY.json."""
    # A run's id may be 250 characters, of which quoting makes more than a file's name may have.
    return folder / quote(dag_id, safe="") / f"{quote(run_id, safe='')[:150]}__{key}.json"


def write_once(file: Path, document: dict[str, Any]) -> bool:
    """Write the record, whole or not at all. What is there already stays as it is.

    :returns: whether this call wrote it
    :raises OSError: it cannot be written
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    part = file.parent / f".{uuid4().hex}.part"
    part.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
    try:
        os.link(part, file)  # with all of its contents, or not at all
    except FileExistsError:
        return False
    finally:
        part.unlink()
    return True


def mark_notified(file: Path) -> None:
    """Remember that the notification of this record has arrived."""
    file.with_suffix(".notified").touch()


def is_notified(file: Path) -> bool:
    """Tell whether the notification of this record is known to have arrived."""
    return file.with_suffix(".notified").exists()


def read_records(folder: Path) -> list[dict[str, Any]]:
    """List every record below a folder, by file name, each with `notified`."""
    files = sorted(folder.glob("*/[!.]*.json"))
    return [{**json.loads(file.read_text(encoding="utf-8")), "notified": is_notified(file)} for file in files]


def record_miss(data_root: Path, miss: dict[str, Any]) -> Path:
    """Write DATA_ROOT/deadline_misses/DAG/RUN__ID.json. What is there already stays as it is.

    :param miss: at least dag_id, run_id and id (of the deadline)
    :returns: the file
    :raises OSError: it cannot be written
    """
    file = record_path(data_root / MISSED_DEADLINES, miss["dag_id"], miss["run_id"], miss["id"])
    write_once(file, miss)
    return file


def recorded_misses(data_root: Path) -> list[dict[str, Any]]:
    """List every recorded miss, by file name, each with `notified`."""
    return read_records(data_root / MISSED_DEADLINES)
