"""The record of missed deadlines: one JSON file a miss, written once.

Files and not the warehouse: a miss is recorded by the triggerer, and one process at a time may hold the embedded engine.

The promise: *one record, at least one notification*. A callback that is run again (its triggerer was killed) finds the
record, and notifies again only where no notification is known to have arrived. Killed between arrival and note, it notifies
twice; the message carries `id`, by which a receiver knows it again.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any
from urllib.parse import quote
from uuid import uuid4

FOLDER = "deadline_misses"


def record(data_root: Path, miss: dict[str, Any]) -> Path:
    """Write DATA_ROOT/deadline_misses/DAG/RUN__ID.json; what is there already stays as it is.

    :param miss: at least dag_id, run_id and id (of the deadline)
    :returns: the file
    :raises OSError: it cannot be written
    """
    folder = data_root / FOLDER / quote(miss["dag_id"], safe="")
    folder.mkdir(parents=True, exist_ok=True)
    # A run's id may be 250 characters, of which quoting makes more than a file's name may have.
    file = folder / f"{quote(miss['run_id'], safe='')[:150]}__{miss['id']}.json"
    part = folder / f".{uuid4().hex}.part"
    part.write_text(json.dumps(miss, indent=2) + "\n", encoding="utf-8")
    try:
        os.link(part, file)  # with all of its contents, or not at all
    except FileExistsError:
        pass
    finally:
        part.unlink()
    return file


def note_notified(file: Path) -> None:
    """Remember that the notification of this record has arrived."""
    file.with_suffix(".notified").touch()


def notified(file: Path) -> bool:
    """Whether the notification of this record is known to have arrived."""
    return file.with_suffix(".notified").exists()


def recorded(data_root: Path) -> list[dict[str, Any]]:
    """Every recorded miss, by file name, each with `notified`."""
    files = sorted((data_root / FOLDER).glob("*/[!.]*.json"))
    return [{**json.loads(file.read_text(encoding="utf-8")), "notified": notified(file)} for file in files]
