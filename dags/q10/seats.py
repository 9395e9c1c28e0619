"""Implements the tasks of q10_canary.py. It lies beside that file so that Git pins both together."""

from __future__ import annotations

import csv
import json
from collections import Counter
from pathlib import Path


def seats_by_maker(feed: str) -> dict[str, int]:
    """Count the seats of the planes in the feed's register, by manufacturer; a dozen of them at most."""
    with (Path(feed) / "planes.csv").open(newline="") as file:
        seats: Counter[str] = Counter()
        for plane in csv.DictReader(file):
            seats[plane["manufacturer"]] += int(plane["seats"])
    return dict(seats.most_common(12))


def released(hold: str) -> bool:
    """Tell whether nothing holds the run: no file of this name, or no name."""
    return not hold or not Path(hold).exists()


def write_report(counted: dict[str, int], data_root: str, run_id: str) -> str:
    """Write {maker: seats} as JSON, whole or not at all; returns the file's path."""
    file = Path(data_root) / "q10" / f"{run_id}.json"
    file.parent.mkdir(parents=True, exist_ok=True)
    part = file.with_suffix(".part")
    part.write_text(json.dumps({maker: int(seats) for maker, seats in counted.items()}))
    part.replace(file)
    return str(file)
