"""Small records on the shared disk, written once each, with a note of whether somebody was told.

Files and not the warehouse: they are written by the triggerer, by tasks that fail and by the DAG processor, and the warehouse
may be what is down.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any
from urllib.parse import quote
from uuid import uuid4


def file_of(folder: Path, dag_id: str, run_id: str, key: str) -> Path:
    """Return the path of a record about a run: FOLDER/DAG/RUN__KEY.json."""
    # A run's id may be 250 characters, of which quoting makes more than a file's name may have.
    return folder / quote(dag_id, safe="") / f"{quote(run_id, safe='')[:150]}__{key}.json"


def write_once(file: Path, document: dict[str, Any]) -> bool:
    """Write the record, whole or not at all; what is there already stays as it is.

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


def note_notified(file: Path) -> None:
    """Remember that the notification of this record has arrived."""
    file.with_suffix(".notified").touch()


def notified(file: Path) -> bool:
    """Tell whether the notification of this record is known to have arrived."""
    return file.with_suffix(".notified").exists()


def recorded(folder: Path) -> list[dict[str, Any]]:
    """Every record below a folder, by file name, each with `notified`."""
    files = sorted(folder.glob("*/[!.]*.json"))
    return [{**json.loads(file.read_text(encoding="utf-8")), "notified": notified(file)} for file in files]
